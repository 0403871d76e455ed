/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the store share: a store on a driver, objects, and changes that are waited for.
 */
#pragma once
/* Every test uses a part of it. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "base/clock.h"
#include "base/epoch.h"
#include "base/mem.h"
#include "crypt/keyring.h"
#include "store/store.h"
#include "ttlv/ttlv.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_A "a = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "b = 101112131415161718191a1b1c1d1e1f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B_WRONG                                                                      \
	"b = ff1112131415161718191a1b1c1d1e1f101112131415161718191a1b1c1d1e1f\n"
#define KEY_A_WRONG                                                                      \
	"a = ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

/* In memory where that can be had: the tests sync a lot.  Removed at exit. */
static char directory[64];

static void remove_directory(void)
{
	char command[256];
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	if (system(command) != 0)
		printf("# %s is left behind\n", directory);
}

static const char *temporary_directory(void)
{
	if (directory[0])
		return directory;
	strcpy(directory, "/dev/shm/keyfleet-store-XXXXXX");
	if (!mkdtemp(directory)) {
		strcpy(directory, "/tmp/keyfleet-store-XXXXXX");
		if (!mkdtemp(directory))
			abort();
	}
	atexit(remove_directory);
	return directory;
}

struct fixture {
	struct store_conf conf;
	struct store *store;
	struct epoch *epoch;
	struct epoch_reader
		*reader; /* the test's thread: it looks into the catalog any time */
	struct keyring *keyring;
	kf_err event; /* the last one */
	char event_what[128];
};

static pthread_mutex_t event_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_event(void *arg, kf_err why, const char *what)
{
	struct fixture *f = arg;
	pthread_mutex_lock(&event_lock);
	f->event = why;
	snprintf(f->event_what, sizeof(f->event_what), "%s", what);
	pthread_mutex_unlock(&event_lock);
}

static bool was_told(struct fixture *f, const char *what)
{
	pthread_mutex_lock(&event_lock);
	bool was = strcmp(f->event_what, what) == 0;
	pthread_mutex_unlock(&event_lock);
	return was;
}

static kf_err fixture_open(struct fixture *f, const char *location, const char *keys)
{
	unsigned line = 0;
	KF_TRY(epoch_new(&f->epoch));
	KF_TRY(epoch_register(f->epoch, &f->reader));
	epoch_online(f->reader);
	KF_TRY(keyring_parse(slice_of(keys), &line, &f->keyring));
	f->conf.location = location;
	f->conf.keyring = f->keyring;
	f->conf.epoch = f->epoch;
	f->conf.event = note_event;
	f->conf.event_arg = f;
	return store_open(&f->conf, &f->store);
}

static void fixture_close(struct fixture *f)
{
	store_close(f->store);
	if (f->reader)
		epoch_offline(f->reader);
	epoch_unregister(f->reader);
	epoch_free(f->epoch);
	keyring_free(f->keyring);
	f->store = NULL;
	f->epoch = NULL;
	f->reader = NULL;
	f->keyring = NULL;
}

/* --- changes --- */

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t is_done;
	bool done;
};

static void wait_done(struct change *c)
{
	struct wait *w = c->arg;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->is_done);
	pthread_mutex_unlock(&w->lock);
}

static kf_err submit_and_wait(struct store *s, struct change *c)
{
	struct wait w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	c->done = wait_done;
	c->arg = &w;
	KF_TRY(store_submit(s, c));
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.is_done, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return c->err;
}

/* --- objects --- */

struct spec {
	const char *id, *name, *material;
	uint64_t version;
	enum object_type type;
	enum object_state state;
	int64_t activation;
};

static void put_name(struct ttlv_writer *w, const char *name)
{
	ttlv_begin(w, TAG_NAME);
	ttlv_put_text(w, TAG_NAME_VALUE, slice_of(name));
	ttlv_put_enum(w, TAG_NAME_TYPE, 1);
	ttlv_end(w);
}

static kf_err make_object(const struct spec *spec, struct object **ret)
{
	autobuf attrs = buf_new(4096);
	struct ttlv_writer w = ttlv_write(&attrs, 0);
	ttlv_put_enum(&w, TAG_STATE, spec->state ? spec->state : STATE_ACTIVE);
	ttlv_put_date(&w, TAG_INITIAL_DATE, 1000);
	if (spec->activation)
		ttlv_put_date(&w, TAG_ACTIVATION_DATE, spec->activation);
	ttlv_put_int(&w, TAG_CRYPTOGRAPHIC_USAGE_MASK, 1);
	ttlv_put_bool(&w, TAG_SENSITIVE, true);
	if (spec->name)
		put_name(&w, spec->name);
	KF_TRY(ttlv_written(&w));
	struct object_parts parts = {
		.id = slice_of(spec->id),
		.owner = SLICE_LIT("alice"),
		.attrs = buf_slice(&attrs),
		.type = spec->type ? spec->type : OBJECT_SECRET_DATA,
		.version = spec->version ? spec->version : 1,
	};
	return object_new(&parts, ret);
}

static kf_err add_put(struct change *c, const struct spec *spec, const struct object *was)
{
	struct mutation *m = &c->m[c->n];
	*m = (struct mutation){ .kind = PUT_OBJECT };
	KF_TRY(make_object(spec, &m->object.object));
	m->expected_version = m->object.object->version - 1;
	m->object.was = was ? object_ref(was) : NULL;
	m->object.material = buf_new(4096);
	if (spec->material)
		buf_add_text(&m->object.material, spec->material);
	c->n++;
	return KF_OK;
}

static struct change request(uint8_t id, uint8_t hash, const char *answer)
{
	struct change c = { .has_request_id = true };
	strcpy(c.client, "alice");
	memset(c.request_id, id, sizeof(c.request_id));
	memset(c.request_hash, hash, sizeof(c.request_hash));
	c.answer = buf_new(4096);
	buf_add_text(&c.answer, answer);
	return c;
}

static kf_err put(struct store *s, const struct spec *spec)
{
	struct change c = { 0 };
	KF_TRY(add_put(&c, spec, NULL));
	return submit_and_wait(s, &c);
}

/* A new version of what the catalog has, without new material. */
static kf_err put_again(struct store *s, const struct spec *spec)
{
	struct change c = { 0 };
	KF_TRY(add_put(&c, spec, catalog_find(store_catalog(s), slice_of(spec->id))));
	return submit_and_wait(s, &c);
}

static kf_err put_client(
	struct store *s, const char *name, uint64_t expected, uint8_t print)
{
	struct change c = { .n = 1,
		.m = { { .kind = PUT_CLIENT, .expected_version = expected } } };
	snprintf(c.m[0].client.name, CLIENT_NAME_SIZE, "%s", name);
	c.m[0].client.certificates = 1;
	memset(c.m[0].client.certificate[0].fingerprint, print, 32);
	c.m[0].client.certificate[0].not_after = 4000000000;
	return submit_and_wait(s, &c);
}

static kf_err put_grant(
	struct store *s, const char *id, uint64_t expected, enum mutation_kind kind)
{
	struct change c = { .n = 1,
		.m = { { .kind = kind, .expected_version = expected } } };
	snprintf(c.m[0].grant.id, OBJECT_ID_SIZE, "%s", id);
	strcpy(c.m[0].grant.who, "alice");
	strcpy(c.m[0].grant.key, "*");
	c.m[0].grant.permissions = 1;
	return submit_and_wait(s, &c);
}

static kf_err put_limited(struct store *s, const char *id, struct grant_limits limits)
{
	struct change c = { .n = 1, .m = { { .kind = PUT_GRANT } } };
	snprintf(c.m[0].grant.id, OBJECT_ID_SIZE, "%s", id);
	strcpy(c.m[0].grant.who, "alice");
	strcpy(c.m[0].grant.key, "*");
	c.m[0].grant.permissions = 1;
	c.m[0].grant.limits = limits;
	return submit_and_wait(s, &c);
}

static const struct grant_row *grant_of(struct store *s, const char *id)
{
	const struct rights *r = catalog_rights(store_catalog(s));
	for (size_t i = 0; i < r->grants; i++)
		if (strcmp(r->grant[i]->id, id) == 0)
			return r->grant[i];
	return NULL;
}

static bool holds(struct store *s, const char *id, const char *material)
{
	const struct object *o = catalog_find(store_catalog(s), slice_of(id));
	autobuf plain = buf_new(4096);
	return o && kf_ok(store_unseal(s, o, &plain)) &&
	       slice_is(buf_slice(&plain), material);
}

static bool says(kf_err err, enum kf_code code, const char *words)
{
	if (kf_is(err, code) && strstr(err.site->text, words))
		return true;
	printf("# said %s: %s\n", kf_code_name(err.code), err.site ? err.site->text : "");
	return false;
}
