/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: made on one token, copied to others, deleted; their certificates.
 */
#include "base/mem.h"
#include "provision/copy.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- generate ---- */

struct making {
	const struct token_new_key *in;
	unsigned copies;
	struct token_key_facts *made;
};

static kf_err run_generate(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct making *m = arg;
	(void)row;
	if (!driver->generate)
		return kf_fail(UNSUPPORTED, "tokens of this kind make no keys");
	if (!driver->facts(t)->is_initialised)
		return kf_fail(
			STATE, "the token is not initialised: `keyfleet token init`");
	struct token_new_key key = *m->in;
	if (driver->facts(t)->wrapping == WRAPPING_NONE) {
		if (m->copies != 1)
			return kf_fail(UNSUPPORTED,
				"no key can leave this token, so that there would be one "
				"copy only: --copies 1, or give it a DKEK first");
		key.may_leave = false;
	}
	KF_TRY(driver->generate(t, &key, m->made));
	kf_err e = copy_prove(driver, t, m->made);
	if (!kf_ok(e))
		copy_take_back(driver, t, m->made->handle, e);
	return e;
}

static int fitness(const struct pool_token_status *s, bool may_leave)
{
	bool fits = s->facts.is_initialised && !s->facts.is_write_protected &&
		    !(may_leave && s->facts.wrapping == WRAPPING_NONE) &&
		    !s->facts.shares_missing;
	return !fits                            ? 0
	       : s->state == POOL_TOKEN_SERVING ? 3
	       : s->state == POOL_TOKEN_DRAINED ? 2
						: 1;
}

/* The first of the best ones, idle before busy. */
static kf_err choose(const struct provision *p, const struct provision_report *all,
	bool may_leave, char ret[TOKEN_SERIAL_SIZE])
{
	int best = 0;
	for (size_t i = 0; i < all->n; i++) {
		struct pool_token_status s;
		if (!kf_ok(each_status(p, all->row[i].serial, &s)))
			continue;
		int fit = 2 * fitness(&s, may_leave);
		fit += fit && !s.task[0];
		if (fit <= best)
			continue;
		best = fit;
		memcpy(ret, s.facts.serial, TOKEN_SERIAL_SIZE);
	}
	return best ? KF_OK
		    : kf_fail(UNAVAILABLE, "no token of the pool can make this key: not "
					   "initialised, without "
					   "DKEK, or away");
}

static kf_err make_on(const struct provision *p, const struct provision_new_key *in,
	const char *serial, struct token_key_facts *ret)
{
	const struct making m = { &in->key, in->copies, ret };
	const struct each e = { .task = "generating a key",
		.changes = true,
		.run = run_generate,
		.arg = &m };
	return each_one(p, &e, serial);
}

static kf_err copy_to_others(const struct provision *p, const uint8_t *key_id,
	const char *serial, unsigned copies, struct provision_report *r)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	struct provision_row *first = each_add(r, serial);
	if (first)
		first->outcome =
			PROVISION_WAS_SO; /* for the rounds: it counts, and is not tried */
	kf_err e = KF_OK;
	if (copies != 1 && r->n > 1)
		e = copy_out(p, key_id, &b);
	for (size_t i = 0; i < r->n; i++)
		if (!kf_ok(e) && &r->row[i] != first)
			each_fail(&r->row[i], e, NULL);
	KF_TRY(copy_to_some(p, &b, copies, r));
	first = each_add(r, serial);
	if (first)
		first->outcome = PROVISION_DONE;
	return KF_OK;
}

/* `made` is written as soon as the first token holds the key. */
static kf_err generate(const struct provision *p, const struct provision_new_key *in,
	struct token_key_facts *made, struct provision_report *ret)
{
	char serial[TOKEN_SERIAL_SIZE];
	struct provision_new_key wanted = *in;
	wanted.key.may_leave |= in->copies != 1;
	KF_TRY(each_fill(p, NULL, ret));
	if (in->serial)
		KF_TRY(provision_find(p, in->serial, serial));
	else
		KF_TRY(choose(p, ret, in->copies != 1, serial));
	KF_TRY(make_on(p, &wanted, serial, made));
	return copy_to_others(p, made->key_id, serial, in->copies, ret);
}

kf_err provision_generate(const struct provision *p, const struct provision_new_key *in,
	struct buf *ret_spki, struct provision_report *ret)
{
	CLEANUP(token_key_facts_free) struct token_key_facts made = { 0 };
	const kf_err err = generate(p, in, &made, ret);
	buf_add_slice(ret_spki, buf_slice(&made.spki));
	KF_TRY(err);
	return buf_err(ret_spki);
}

kf_err provision_generate_secret(const struct provision *p,
	const struct provision_new_key *in, uint8_t ret_id[KEY_ID_SIZE],
	struct provision_report *ret)
{
	CLEANUP(token_key_facts_free) struct token_key_facts made = { 0 };
	const kf_err err = generate(p, in, &made, ret);
	memcpy(ret_id, made.key_id, KEY_ID_SIZE);
	return err;
}

/* ---- clone ---- */

kf_err provision_clone(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *to, struct provision_report *ret)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	KF_TRY(each_fill(p, to, ret));
	KF_TRY(copy_out(p, key_id, &b));
	return copy_in(p, &b, ret);
}

/* ---- delete ---- */

struct deleting {
	const uint8_t *key_id;
	bool must_prove;
};

/* What a token says of a key may be wrong (another program's public key or certificate beside it): the key itself
 * is asked. */
static kf_err check_proof(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key)
{
	kf_err e = copy_prove(driver, t, key);
	if (kf_is(e, KF_E_LIMIT))
		return KF_OK; /* used up: whosever it is, it does nothing any more */
	return kf_is(e, KF_E_CRYPTO)
		       ? kf_fail(CONFLICT, "it is another key than the token says: not "
					   "deleted")
		       : e;
}

/* Other tools may have put it there more than once. */
static kf_err delete_all(const struct token_driver *driver, struct token *t,
	const struct deleting *d, unsigned *ret_n)
{
	enum { TIMES_MAX = 256 };
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	struct token_key_facts *key;
	for (*ret_n = 0; *ret_n < TIMES_MAX; ++*ret_n) {
		kf_err e = copy_find(driver, t, d->key_id, &list, &key);
		if (kf_is(e, KF_E_NOT_FOUND))
			return KF_OK;
		KF_TRY(e);
		if (d->must_prove)
			KF_TRY(check_proof(driver, t, key));
		KF_TRY(driver->delete_key(t, key->handle));
	}
	return kf_fail(TOKEN, "the token does not delete the key");
}

static kf_err run_delete(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	unsigned n;
	if (!driver->delete_key)
		return kf_fail(UNSUPPORTED, "tokens of this kind delete no keys");
	KF_TRY(delete_all(driver, t, arg, &n));
	if (n)
		return KF_OK;
	row->outcome = PROVISION_WAS_SO;
	snprintf(row->why, sizeof(row->why), "does not hold the key");
	return KF_OK;
}

static bool is_row(const struct provision_report *r, const char *serial)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->row[i].serial, serial))
			return true;
	return false;
}

static bool leaves_a_copy(const struct provision *p, const uint8_t *key_id,
	const struct provision_report *from)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	size_t n = pool_key_holders(p->pools, p->pool, key_id, holder, POOL_TOKENS_MAX);
	for (size_t i = 0; i < n && i < POOL_TOKENS_MAX; i++)
		if (!is_row(from, holder[i]))
			return true;
	return n == 0; /* nothing is deleted */
}

static kf_err delete_from(const struct provision *p, const struct deleting *d,
	const struct provision_targets *from, bool force, struct provision_report *ret)
{
	const struct each e = {
		.task = "deleting a key", .changes = true, .run = run_delete, .arg = d
	};
	KF_TRY(each_fill(p, from, ret));
	if (!force && !leaves_a_copy(p, d->key_id, ret))
		return kf_fail(EXISTS, "these tokens hold the last copies of the key");
	return each_token(p, &e, ret);
}

/* One at a time: two that each leave the other's copy would leave none. */
static kf_err delete_alone(const struct provision *p, const struct deleting *d,
	const struct provision_targets *from, bool force, struct provision_report *ret)
{
	static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
	if (pthread_mutex_trylock(&alone))
		return kf_fail(BUSY, "another deletion of keys is under way");
	kf_err e = delete_from(p, d, from, force, ret);
	pthread_mutex_unlock(&alone);
	return e;
}

kf_err provision_delete(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *from, bool force, struct provision_report *ret)
{
	const struct deleting d = { key_id, false };
	return delete_alone(p, &d, from, force, ret);
}

kf_err provision_erase(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *from, struct provision_report *ret)
{
	const struct deleting d = { key_id, true };
	return delete_alone(p, &d, from, true, ret);
}

/* ---- certificates ---- */

struct storing {
	const uint8_t *key_id;
	enum token_certificate_kind kind;
	struct slice der;
};

static kf_err run_store(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct storing *s = arg;
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	struct token_key_facts *key;
	if (!driver->store_certificate)
		return kf_fail(UNSUPPORTED, "tokens of this kind store no certificates");
	KF_TRY(copy_find(driver, t, s->key_id, &list, &key));
	if (s->kind == CERTIFICATE_OF_KEY &&
		slice_eq(buf_slice(&key->certificate), s->der)) {
		row->outcome = PROVISION_WAS_SO;
		snprintf(row->why, sizeof(row->why), "has this certificate already");
		return KF_OK;
	}
	return driver->store_certificate(t, key->handle, s->kind, s->der);
}

kf_err provision_certificate(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	enum token_certificate_kind kind, struct slice der, struct provision_report *ret)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	const struct storing s = { key_id, kind, der };
	const struct each e = { .task = "storing a certificate",
		.changes = true,
		.run = run_store,
		.arg = &s };
	size_t n = pool_key_holders(p->pools, p->pool, key_id, holder, POOL_TOKENS_MAX);
	ret->n = ret->done = ret->failed = 0;
	if (n == 0)
		return kf_fail(NOT_FOUND, "no token of the pool holds this key");
	for (size_t i = 0; i < n && i < POOL_TOKENS_MAX; i++)
		each_add(ret, holder[i]);
	return each_token(p, &e, ret);
}
