/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pkcs11/module.h"
#include "base/list.h"
#include "token/text.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MAX = 2 * TOKEN_PLACES_MAX };

struct slot {
	CK_SLOT_ID id;
	uint64_t insertion;
	uint64_t taken; /* the insertion whose token is open; 0: none */
	bool is_present, is_seen;
	char name[TOKEN_PLACE_SIZE];
};

struct module {
	struct list link; /* of `loaded` */
	unsigned refs;    /* guarded by its lock */
	const CK_FUNCTION_LIST *call;
	bool is_ours; /* we initialised it */
	/* A module that cannot lock by itself, or was initialised by somebody who did not tell how: one
	 * call at a time, so that tokens behind it work one after another. */
	bool is_single;
	pthread_mutex_t one_call;
	/* Guards what follows.  Held while the module is asked for its slots, so that two watchers do not take
	 * events from each other; tokens want it when they are opened and closed only. */
	pthread_mutex_t slots_lock;
	uint64_t generation;
	size_t n;
	struct slot slot[SLOTS_MAX];
};

/* A module is initialised once a process, and knows nothing of its users: so this is the process's.
 * The lock is held while a module is initialised and finalised: nobody may use it then. */
static struct {
	pthread_mutex_t lock;
	struct list modules;
} loaded = { PTHREAD_MUTEX_INITIALIZER, LIST_INIT(loaded.modules) };

const CK_FUNCTION_LIST *p11_module_enter(struct module *m)
{
	if (m->is_single)
		pthread_mutex_lock(&m->one_call);
	return m->call;
}

void p11_module_leave(struct module *m)
{
	if (m->is_single)
		pthread_mutex_unlock(&m->one_call);
}

/* ---- loading ---- */

static kf_err check_functions(const CK_FUNCTION_LIST *f)
{
	if (!f)
		return kf_fail(CONFIG, "the module has no list of functions");
	if (f->version.major < 2 || f->version.major > 3)
		return kf_fail(CONFIG, "the module speaks no PKCS#11 of version 2 or 3");
#define X(name)                                                                          \
	if (!f->C_##name)                                                                \
		return kf_fail(CONFIG, "the module lacks C_" #name);
#include "token/pkcs11/function.def"
#undef X
	return KF_OK;
}

static kf_err load(const char *path, const CK_FUNCTION_LIST **ret)
{
	if (!path || path[0] != '/')
		return kf_fail(
			CONFIG, "the path of a PKCS#11 module begins with a slash");
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return kf_fail(CONFIG, "the PKCS#11 module cannot be loaded");
	union {
		void *symbol;
		CK_C_GetFunctionList call;
	} entry = { dlsym(library, "C_GetFunctionList") };
	CK_FUNCTION_LIST_PTR list = NULL;
	kf_err err = kf_fail(CONFIG, "the library is no PKCS#11 module");
	if (entry.symbol && entry.call(&list) == CKR_OK)
		err = check_functions(list);
	if (kf_ok(err))
		*ret = list;
	else
		dlclose(library);
	return err;
}

static CK_RV initialise(struct module *m)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv = m->call->C_Initialize(m->is_single ? NULL : &args);
	m->is_ours = m->is_ours || rv == CKR_OK;
	return rv;
}

/* Locks of its own, or ours around it. */
static bool start(struct module *m)
{
	CK_RV rv = initialise(m);
	m->is_single = rv != CKR_OK;
	if (rv == CKR_CANT_LOCK || rv == CKR_ARGUMENTS_BAD)
		rv = initialise(m);
	return rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
}

static void module_free(struct module *m)
{
	pthread_mutex_destroy(&m->one_call);
	pthread_mutex_destroy(&m->slots_lock);
	free(m);
}

static kf_err module_new(const CK_FUNCTION_LIST *call, struct module **ret)
{
	struct module *m = calloc(1, sizeof(*m));
	if (!m)
		return kf_fail(NOMEM, "module");
	m->call = call;
	pthread_mutex_init(&m->one_call, NULL);
	pthread_mutex_init(&m->slots_lock, NULL);
	if (!start(m)) {
		module_free(m);
		return kf_fail(
			CONFIG, "the PKCS#11 module does not start (C_Initialize)");
	}
	list_add_tail(&loaded.modules, &m->link);
	*ret = m;
	return KF_OK;
}

static struct module *find_loaded(const CK_FUNCTION_LIST *call)
{
	list_each(l, &loaded.modules)
	{
		struct module *m = container_of(l, struct module, link);
		if (m->call == call)
			return m;
	}
	return NULL;
}

kf_err p11_module_open(const char *path, struct module **ret)
{
	const CK_FUNCTION_LIST *call;
	KF_TRY(load(path, &call));
	kf_err err = KF_OK;

	pthread_mutex_lock(&loaded.lock);
	struct module *m = find_loaded(call);
	if (!m)
		err = module_new(call, &m);
	if (kf_ok(err))
		m->refs++;
	pthread_mutex_unlock(&loaded.lock);

	if (kf_ok(err))
		*ret = m;
	return err;
}

void p11_module_close(struct module *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&loaded.lock);
	bool is_last = --m->refs == 0;
	if (is_last) {
		list_remove(&m->link);
		if (m->is_ours)
			m->call->C_Finalize(NULL);
		module_free(m);
	}
	pthread_mutex_unlock(&loaded.lock);
}

/* ---- slots ---- */

static struct slot *find_slot(struct module *m, CK_SLOT_ID id)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->slot[i].id == id)
			return &m->slot[i];
	return NULL;
}

/* One that is gone and that nobody holds makes room. */
static struct slot *add_slot(struct module *m, CK_SLOT_ID id)
{
	struct slot *s = m->n < SLOTS_MAX ? &m->slot[m->n] : NULL;
	for (size_t i = 0; !s && i < m->n; i++)
		if (!m->slot[i].is_present && !m->slot[i].taken)
			s = &m->slot[i];
	if (!s)
		return NULL;
	if (s == &m->slot[m->n])
		m->n++;
	*s = (struct slot){ .id = id };
	return s;
}

/* A token that was pulled and put back between two looks is known by an event only. */
static void take_events(struct module *m)
{
	for (int i = 0; i < SLOTS_MAX; i++) {
		CK_SLOT_ID id = 0;
		if (CALL(m, WaitForSlotEvent, CKF_DONT_BLOCK, &id, NULL) != CKR_OK)
			return;
		struct slot *s = find_slot(m, id);
		if (s && s->is_present)
			m->generation++;
		if (s)
			s->is_present = false;
	}
}

static void name_slot(struct module *m, struct slot *s)
{
	CK_SLOT_INFO info = { 0 };
	char description[TOKEN_PLACE_SIZE] = "";
	if (CALL(m, GetSlotInfo, s->id, &info) == CKR_OK)
		text_of_field(info.slotDescription, sizeof(info.slotDescription),
			description, sizeof(description));
	snprintf(s->name, sizeof(s->name), "slot %lu%s%.128s", (unsigned long)s->id,
		description[0] ? ": " : "", description);
}

static void see_slot(struct module *m, CK_SLOT_ID id)
{
	struct slot *s = find_slot(m, id);
	if (!s)
		s = add_slot(m, id);
	if (!s)
		return;
	s->is_seen = true;
	if (s->is_present)
		return;
	name_slot(m, s);
	s->is_present = true;
	s->insertion = ++m->generation;
}

/* The first call makes modules look for new readers (PKCS#11, C_GetSlotList). */
static size_t list_slots(struct module *m, CK_SLOT_ID ret[SLOTS_MAX])
{
	CK_ULONG n = 0;
	CK_RV rv = CALL(m, GetSlotList, CK_FALSE, NULL, &n);
	if (rv == CKR_CRYPTOKI_NOT_INITIALIZED) /* somebody else finalised it */
		initialise(m);
	n = SLOTS_MAX;
	rv = CALL(m, GetSlotList, CK_TRUE, ret, &n);
	return rv == CKR_OK && n <= SLOTS_MAX ? n : 0;
}

static void look(struct module *m)
{
	CK_SLOT_ID ids[SLOTS_MAX];
	take_events(m);
	size_t n = list_slots(m, ids);
	for (size_t i = 0; i < m->n; i++)
		m->slot[i].is_seen = false;
	for (size_t i = 0; i < n; i++)
		see_slot(m, ids[i]);
	for (size_t i = 0; i < m->n; i++) {
		if (m->slot[i].is_present && !m->slot[i].is_seen)
			m->generation++;
		m->slot[i].is_present = m->slot[i].is_seen;
	}
}

uint64_t p11_module_scan(struct module *m, struct token_places *ret)
{
	ret->n = 0;
	pthread_mutex_lock(&m->slots_lock);
	look(m);
	for (size_t i = 0; i < m->n && ret->n < TOKEN_PLACES_MAX; i++) {
		const struct slot *s = &m->slot[i];
		struct token_place *place = &ret->place[ret->n];
		if (!s->is_present)
			continue;
		memcpy(place->name, s->name, sizeof(s->name));
		place->insertion = s->insertion;
		ret->n++;
	}
	uint64_t generation = m->generation;
	pthread_mutex_unlock(&m->slots_lock);
	return generation;
}

static kf_err take(struct module *m, const struct token_place *place, CK_SLOT_ID *ret)
{
	for (size_t i = 0; i < m->n; i++) {
		struct slot *s = &m->slot[i];
		if (!s->is_present || s->insertion != place->insertion ||
			strcmp(s->name, place->name) != 0)
			continue;
		/* One that hangs since before it was pulled does not keep others from it. */
		if (s->taken == s->insertion)
			return kf_fail(DENIED, "this process uses the token already");
		s->taken = s->insertion;
		*ret = s->id;
		return KF_OK;
	}
	return kf_fail(CLOSED, "the token was pulled out");
}

kf_err p11_module_take(struct module *m, const struct token_place *place, CK_SLOT_ID *ret)
{
	pthread_mutex_lock(&m->slots_lock);
	kf_err err = take(m, place, ret);
	pthread_mutex_unlock(&m->slots_lock);
	return err;
}

bool p11_module_is_there(struct module *m, CK_SLOT_ID id, uint64_t insertion)
{
	pthread_mutex_lock(&m->slots_lock);
	const struct slot *s = find_slot(m, id);
	bool is_there = s && s->is_present && s->insertion == insertion;
	pthread_mutex_unlock(&m->slots_lock);
	return is_there;
}

void p11_module_give_back(struct module *m, CK_SLOT_ID id, uint64_t insertion)
{
	pthread_mutex_lock(&m->slots_lock);
	struct slot *s = find_slot(m, id);
	if (s && s->taken == insertion)
		s->taken = 0;
	pthread_mutex_unlock(&m->slots_lock);
}
