/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/pcsc_api.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY     "libpcsclite.so.1"
#define ENVIRONMENT "PCSCLITE_CSOCK_NAME"
#define SOCKET      "/run/pcscd/pcscd.comm"

typedef int setenv_fn(const char *name, const char *value, int replace);

/* ISO C knows no conversion between pointers to objects and to functions. */
static bool find(void *library, const char *symbol, void *ret, size_t size)
{
	void *found = dlsym(library, symbol);
	memcpy(ret, &found, size);
	return found;
}

static bool find_all(struct pcsc_api *a)
{
#define X(name, symbol)                                                                  \
	if (!find(a->library, #symbol, &a->name, sizeof(a->name)))                       \
		return false;
	PCSC_FUNCTIONS(X)
#undef X
	a->t0 = dlsym(a->library, "g_rgSCardT0Pci");
	a->t1 = dlsym(a->library, "g_rgSCardT1Pci");
	return a->t0 && a->t1;
}

static kf_err load_shared(struct pcsc_api *a)
{
	const char *path = secure_getenv(ENVIRONMENT);
	strncpy(a->socket, path ? path : SOCKET, sizeof(a->socket) - 1);
	a->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!a->library)
		return kf_fail(CONFIG, "libpcsclite.so.1 cannot be loaded: install the "
				       "packages libpcsclite1 and pcscd");
	return KF_OK;
}

/* The other instance's libc has an environment of its own, which nobody else reads. */
static kf_err load_private(const char *socket, struct pcsc_api *a)
{
	strncpy(a->socket, socket, sizeof(a->socket) - 1);
	a->library = dlmopen(LM_ID_NEWLM, LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!a->library)
		return kf_fail(CONFIG,
			"libpcsclite.so.1 cannot be loaded once more: install the "
			"packages "
			"libpcsclite1 and pcscd; there may be too many pcscd sockets");
	setenv_fn *set;
	if (!find(a->library, "setenv", &set, sizeof(set)) || set == setenv ||
		set(ENVIRONMENT, socket, 1) != 0)
		return kf_fail(CONFIG, "libpcsclite cannot be told another socket");
	return KF_OK;
}

kf_err pcsc_load(const char *socket, struct pcsc_api *ret)
{
	struct pcsc_api a = { 0 };
	if (socket && (*socket != '/' || strlen(socket) >= sizeof(a.socket)))
		return kf_fail(CONFIG, "pcscd's socket needs an absolute path of at most "
				       "107 characters");
	kf_err e = socket ? load_private(socket, &a) : load_shared(&a);
	if (kf_ok(e) && !find_all(&a))
		e = kf_fail(CONFIG, "libpcsclite.so.1 is not the library of pcscd");
	if (kf_ok(e))
		*ret = a;
	else
		pcsc_unload(&a);
	return e;
}

void pcsc_unload(struct pcsc_api *a)
{
	if (a->library)
		dlclose(a->library);
	a->library = NULL;
}
