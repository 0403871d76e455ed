/* SPDX-License-Identifier: Apache-2.0
 *
 * bad: the driver over tests/tools/bad_pkcs11.c, anew for each test.
 */
#pragma once
#include "../../../tools/bad_pkcs11.h"
#include "base/mem.h"
#include "token/driver.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRIVER (&pkcs11_driver)

static const struct bad_pkcs11 *faults;

static void bad_load(void)
{
	if (faults)
		return;
	union {
		void *symbol;
		const struct bad_pkcs11 *(*call)(void);
	} entry = { NULL };
	void *library = dlopen(getenv("BAD_PKCS11"), RTLD_NOW | RTLD_LOCAL);
	if (library)
		entry.symbol = dlsym(library, "bad_pkcs11_faults");
	if (!entry.symbol)
		abort();
	faults = entry.call();
	if (!kf_ok(secret_init(1 << 16)))
		abort();
}

__attribute__((unused)) static kf_err bad_source(struct token_source **ret)
{
	struct token_source_conf conf = { .module = getenv("BAD_PKCS11") };
	bad_load();
	return DRIVER->open_source(&conf, ret);
}

__attribute__((unused)) static void bad_close_source(struct token_source **s)
{
	if (*s)
		DRIVER->close_source(*s);
}

__attribute__((unused)) static void bad_close_token(struct token **t)
{
	DRIVER->close(*t);
}

__attribute__((unused)) static kf_err bad_open(struct token_source *s, struct token **ret)
{
	struct token_places *places = calloc(1, sizeof(*places));
	kf_err err = DRIVER->watch(s, 0, places);
	if (kf_ok(err) && places->n == 0)
		err = kf_fail(NOT_FOUND, "nothing is plugged in");
	if (kf_ok(err))
		err = DRIVER->open(s, &places->place[0], ret);
	free(places);
	return err;
}

__attribute__((unused)) static kf_err bad_login(struct token *t, const char *text)
{
	struct token_pin *pin = secret_alloc(sizeof(*pin));
	pin->n = strlen(text);
	memcpy(pin->bytes, text, pin->n);
	kf_err err = DRIVER->login(t, pin);
	secret_free(pin);
	return err;
}

__attribute__((unused)) static bool is_of_the_contract(kf_err e)
{
	static const enum kf_code codes[] = { KF_E_NONE, KF_E_TOKEN, KF_E_CLOSED,
		KF_E_AUTH, KF_E_NOT_FOUND, KF_E_UNSUPPORTED, KF_E_BAD_PARAMETERS,
		KF_E_CRYPTO, KF_E_READ_ONLY, KF_E_FULL, KF_E_EXISTS, KF_E_CONFLICT,
		KF_E_DENIED, KF_E_NOMEM };
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (kf_is(e, codes[i]))
			return true;
	printf("# %s\n", e.site->text);
	return false;
}
