/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/heads.h"
#include "audit/fields.h"
#include "audit/seal.h"
#include "audit/verify.h"
#include "base/log.h"
#include "keyfleetd/server.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OTHERS_MAX = 64, FIELDS_MAX = 1024, SERVER_NAME_MAX = 80 };

/* What was last seen of another server. */
struct other {
	uint8_t origin[CHAIN_ORIGIN_SIZE], chain[CHAIN_SIZE];
	uint64_t number, records;
	bool is_alarmed;
};

struct heads {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t woken; /* with lock: is_stopping was set */
	bool is_stopping;
	int64_t every_ms;
	/* the thread's */
	bool is_away, is_alarmed, has_compared;
	struct audit_head own;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	struct other other[OTHERS_MAX];
	size_t others;
};

/* ---- what others show ---- */

static bool is_signed(
	const struct heads *h, const uint8_t *origin, const struct witness *w)
{
	const struct keyring *k = h->server->keyring;
	const struct seal_claim claim = { origin, w->chain, w->number };
	uint8_t room[SEAL_TO_SIGN], public[SIGNER_PUBLIC_SIZE];
	for (size_t i = 0; i < keyring_count(k); i++) {
		CLEANUP(signer_freep) struct signer *s = NULL;
		if (!kf_ok(seal_signer(k, slice_of(keyring_id(k, i)), &s)))
			continue;
		signer_public(s, public);
		if (kf_ok(signer_check(public, seal_to_sign(&claim, room), w->signature)))
			return true;
	}
	return false;
}

static struct other *other_of(struct heads *h, const uint8_t *origin)
{
	for (size_t i = 0; i < h->others; i++)
		if (memcmp(h->other[i].origin, origin, CHAIN_ORIGIN_SIZE) == 0)
			return &h->other[i];
	if (h->others == OTHERS_MAX)
		return NULL;
	struct other *o = &h->other[h->others++];
	memcpy(o->origin, origin, CHAIN_ORIGIN_SIZE);
	return o;
}

static void raise_alarm(struct heads *h, const char *about, const char *what)
{
	log_error("audit was tampered with", LOG_TEXT("what", what));
	if (!kf_ok(audit_alarm(h->server->audit, about, what)))
		log_error("the audit takes no alarm");
}

/* What is wrong with ours, as it was put there last by a run before this one; false: nothing.  A number alone can be
 * reached again by lines that nobody has signed. */
static bool find_fault(struct heads *h, const struct witness *w, struct buf *ret)
{
	if (w->number > h->own.number)
		buf_printf(ret,
			"the audit segments are older than what the database knows of "
			"this server: checkpoint %" PRIu64
			" was published, the newest here is %" PRIu64,
			w->number, h->own.number);
	else if (!h->has_compared && verify_contradicts(h->server->conf.audit, w))
		buf_printf(ret,
			"checkpoint %" PRIu64
			" is not the one that the database knows of this server",
			w->number);
	h->has_compared = true;
	return ret->n > 0;
}

static void check_own(struct heads *h, const struct witness *w)
{
	autobuf text = buf_new(300);
	if (h->is_alarmed || !find_fault(h, w, &text))
		return;
	h->is_alarmed = true;
	buf_add_u8(&text, 0);
	raise_alarm(h, NULL, (const char *)text.p);
}

static void check_other(
	struct heads *h, struct other *o, const struct witness *w, const char *server)
{
	char text[300];
	bool is_same = memcmp(o->chain, w->chain, CHAIN_SIZE) == 0;
	bool is_back = w->number < o->number || (w->number == o->number && !is_same);
	if (o->number == 0 || !is_back || o->is_alarmed)
		return;
	o->is_alarmed = true;
	snprintf(text, sizeof(text),
		"the audit of %s went back: checkpoint %" PRIu64
		" was seen, now it shows %" PRIu64,
		server, o->number, w->number);
	raise_alarm(h, server, text);
}

static void put_hex(struct buf *b, const char *key, const uint8_t *p, size_t n)
{
	char hex[2 * SIGNER_SIGNATURE_SIZE];
	chain_to_hex(p, n, hex);
	audit_put_field(b, key, (struct slice){ (const uint8_t *)hex, 2 * n });
}

static kf_err write_witness(struct heads *h, const uint8_t *origin,
	const struct witness *w, const char *server)
{
	autobuf b = buf_new(FIELDS_MAX);
	char number[24];
	int n = snprintf(number, sizeof(number), "%" PRIu64, w->number);
	put_hex(&b, "origin", origin, CHAIN_ORIGIN_SIZE);
	audit_put_field(&b, "server", slice_of(server));
	audit_put_field(&b, "seen", (struct slice){ (const uint8_t *)number, (size_t)n });
	put_hex(&b, "head", w->chain, CHAIN_SIZE);
	put_hex(&b, "proof", w->signature, SIGNER_SIGNATURE_SIZE);
	KF_TRY(buf_err(&b));
	return audit_event(h->server->audit, "witness", buf_slice(&b));
}

/* Only what has new records is worth a line, or two servers would witness each other's witnessing for ever. */
static void heed_other(struct heads *h, const uint8_t *origin, const struct witness *w,
	struct slice line)
{
	char server[SERVER_NAME_MAX];
	uint64_t records = 0;
	if (!field_number(field_find(line, "records"), &records) ||
		!is_signed(h, origin, w))
		return;
	/* Not before: whoever can write into the database shall not fill the places with inventions. */
	struct other *o = other_of(h, origin);
	if (!o)
		return;
	field_text(field_find(line, "server"), server, sizeof(server));
	check_other(h, o, w, server);
	bool is_new = o->number == 0 || records != o->records;
	if (is_new && !kf_ok(write_witness(h, origin, w, server)))
		return; /* tried again the next time */
	o->number = w->number;
	o->records = records;
	memcpy(o->chain, w->chain, CHAIN_SIZE);
}

static void heed(void *arg, struct slice name, struct slice line)
{
	struct heads *h = arg;
	struct witness w;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	(void)name; /* the line has it too, and its signature covers it */
	if (!witness_read(line, &w, origin))
		return;
	if (memcmp(origin, h->origin, sizeof(origin)) != 0)
		heed_other(h, origin, &w, line);
	else if (is_signed(h, origin, &w))
		check_own(h, &w);
}

/* ---- the thread ---- */

static void tell(struct heads *h, kf_err e)
{
	bool was_away = h->is_away;
	h->is_away = !kf_ok(e);
	if (h->is_away && !was_away)
		log_err(e, "audit checkpoints are not exchanged");
	else if (was_away && !h->is_away)
		log_notice("audit checkpoints are exchanged again");
}

static void exchange(struct heads *h)
{
	struct server *s = h->server;
	char origin[2 * CHAIN_ORIGIN_SIZE];
	audit_head(s->audit, &h->own);
	struct slice line = slice_of(h->own.line), found = field_find(line, "origin");
	if (!chain_from_hex(found, h->origin, sizeof(h->origin)))
		return;
	memcpy(origin, found.p, sizeof(origin));
	struct store_head own = { .origin = { (const uint8_t *)origin, sizeof(origin) },
		.line = line };
	tell(h, store_exchange_heads(s->store, &own, heed, h));
}

static bool wait_for_next(struct heads *h, int64_t ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->lock);
	int result = 0;
	while (!h->is_stopping && result == 0)
		result = pthread_cond_timedwait(&h->woken, &h->lock, &until);
	bool goes_on = !h->is_stopping;
	pthread_mutex_unlock(&h->lock);
	return goes_on;
}

static void *work(void *arg)
{
	struct heads *h = arg;
	do
		exchange(h);
	while (wait_for_next(h, h->every_ms));
	if (!h->is_away)
		exchange(h);
	return NULL;
}

/* ---- life ---- */

static void init_condition(struct heads *h)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&h->woken, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&h->lock, NULL);
}

static void release(struct heads *h)
{
	pthread_cond_destroy(&h->woken);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

kf_err heads_start(struct server *s, struct heads **ret)
{
	*ret = NULL;
	if (!store_is_shared(s->store))
		return KF_OK;
	struct heads *h = calloc(1, sizeof(*h));
	if (!h)
		return kf_fail(NOMEM, "exchange of audit checkpoints");
	h->server = s;
	h->every_ms = s->conf.audit_witness_ms;
	init_condition(h);
	if (pthread_create(&h->thread, NULL, work, h) != 0) {
		release(h);
		return kf_fail(NOMEM, "no thread for the exchange of audit checkpoints");
	}
	*ret = h;
	return KF_OK;
}

void heads_stop(struct heads *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->is_stopping = true;
	pthread_cond_signal(&h->woken);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	release(h);
}
