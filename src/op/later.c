/* SPDX-License-Identifier: Apache-2.0 */
#include "op/later.h"
#include "base/list.h"
#include "ttlv/ttlv.h"
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct list link; /* oldest first */
	struct later_row row;
	char client[CLIENT_NAME_SIZE];
	struct later_right right;
	uint16_t version;
	bool is_canceled;
	bool is_fetched; /* its client knows what became of it */
	int64_t done_s;
	enum kf_code code;
	struct buf payload;
	struct later_wait *waiter;
};

struct op_later {
	struct op_later_conf conf;
	pthread_mutex_t lock; /* guards what follows */
	struct list all;
	unsigned n;
	size_t bytes;
};

static struct op_later_conf with_defaults(const struct op_later_conf *c)
{
	return (struct op_later_conf){
		.most = c->most ? c->most : 256,
		.client_most = c->client_most ? c->client_most : 32,
		.keep_s = c->keep_s ? c->keep_s : 600,
		.bytes = c->bytes ? c->bytes : 16 << 20,
	};
}

kf_err op_later_new(const struct op_later_conf *conf, struct op_later **ret)
{
	struct op_later *l = calloc(1, sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "asynchronous requests");
	l->conf = with_defaults(conf);
	list_init(&l->all);
	pthread_mutex_init(&l->lock, NULL);
	*ret = l;
	return KF_OK;
}

static void drop(struct op_later *l, struct entry *e)
{
	list_remove(&e->link);
	l->n--;
	l->bytes -= e->payload.n;
	buf_free(&e->payload);
	free(e);
}

void op_later_free(struct op_later *l)
{
	if (!l)
		return;
	while (!list_is_empty(&l->all))
		drop(l, container_of(l->all.next, struct entry, link));
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* --- the table --- */

static struct entry *first(const struct op_later *l)
{
	return container_of(l->all.next, struct entry, link);
}

static struct entry *after(const struct entry *e)
{
	return container_of(e->link.next, struct entry, link);
}

static bool is_end(const struct op_later *l, const struct entry *e)
{
	return &e->link == &l->all;
}

static bool is_old(const struct op_later *l, const struct entry *e, int64_t now_s)
{
	return e->row.stage == LATER_COMPLETED && now_s - e->done_s >= l->conf.keep_s;
}

static void forget_old(struct op_later *l, int64_t now_s)
{
	for (struct entry *e = first(l), *next; !is_end(l, e); e = next) {
		next = after(e);
		if (is_old(l, e, now_s))
			drop(l, e);
	}
}

/* Answers that were fetched are kept for those that got lost, as long as there is room. */
static bool forget_fetched(struct op_later *l, const char *client)
{
	for (struct entry *e = first(l); !is_end(l, e); e = after(e)) {
		if (!e->is_fetched || e->row.stage != LATER_COMPLETED ||
			(client && strcmp(e->client, client) != 0))
			continue;
		drop(l, e);
		return true;
	}
	return false;
}

static struct entry *find(const struct op_later *l, const uint8_t *id)
{
	for (struct entry *e = first(l); !is_end(l, e); e = after(e))
		if (memcmp(e->row.id, id, LATER_ID_SIZE) == 0)
			return e;
	return NULL;
}

static struct entry *find_own(const struct op_later *l, const struct later_name *name)
{
	struct entry *e = name->id.n == LATER_ID_SIZE ? find(l, name->id.p) : NULL;
	return e && strcmp(e->client, name->client) == 0 && !is_old(l, e, name->now_s)
		       ? e
		       : NULL;
}

static unsigned count_of(const struct op_later *l, const char *client)
{
	unsigned n = 0;
	for (struct entry *e = first(l); !is_end(l, e); e = after(e))
		n += strcmp(e->client, client) == 0;
	return n;
}

/* --- carrying out --- */

static kf_err make_room(struct op_later *l, const struct later_request *q)
{
	forget_old(l, q->now_s);
	if (l->n >= l->conf.most && !forget_fetched(l, NULL))
		return kf_fail(BUSY, "too many asynchronous requests");
	if (count_of(l, q->client) >= l->conf.client_most &&
		!forget_fetched(l, q->client))
		return kf_fail(BUSY, "too many asynchronous requests of the client");
	return KF_OK;
}

static kf_err new_entry(const struct later_request *q, struct entry **ret)
{
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return kf_fail(NOMEM, "an asynchronous request");
	if (RAND_bytes(e->row.id, LATER_ID_SIZE) != 1) {
		free(e);
		return kf_fail(CRYPTO, "random numbers");
	}
	e->row.operation = q->operation;
	e->row.submitted_s = q->now_s;
	e->row.stage = LATER_SUBMITTED;
	e->version = q->version;
	e->right = q->right;
	strncpy(e->client, q->client, sizeof(e->client) - 1);
	*ret = e;
	return KF_OK;
}

kf_err op_later_add(
	struct op_later *l, const struct later_request *q, uint8_t ret_id[LATER_ID_SIZE])
{
	struct entry *e = NULL;
	KF_TRY(new_entry(q, &e));
	memcpy(ret_id, e->row.id, LATER_ID_SIZE);
	pthread_mutex_lock(&l->lock);
	kf_err err = make_room(l, q);
	if (kf_ok(err)) {
		list_add_tail(&l->all, &e->link);
		l->n++;
		e = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	free(e);
	return err;
}

kf_err op_later_begin(struct op_later *l, const uint8_t id[LATER_ID_SIZE])
{
	pthread_mutex_lock(&l->lock);
	struct entry *e = find(l, id);
	const bool is_canceled = !e || e->is_canceled;
	if (!is_canceled)
		e->row.stage = LATER_IN_PROCESS;
	pthread_mutex_unlock(&l->lock);
	return is_canceled ? kf_fail(CANCELED, "canceled before it was begun") : KF_OK;
}

/* What does not fit is asked for again in smaller pieces, or without being asynchronous. */
static void keep(struct op_later *l, struct entry *e, struct buf *take)
{
	while (l->bytes + take->n > l->conf.bytes && forget_fetched(l, NULL))
		;
	if (l->bytes + take->n > l->conf.bytes) {
		e->code = KF_E_RESPONSE_TOO_BIG;
		return;
	}
	e->payload = *take;
	*take = (struct buf){ 0 };
	l->bytes += e->payload.n;
}

void op_later_end(struct op_later *l, const uint8_t id[LATER_ID_SIZE], int64_t now_s,
	kf_err result, struct buf *take)
{
	struct later_wait *waiter = NULL;
	pthread_mutex_lock(&l->lock);
	struct entry *e = find(l, id);
	if (e) {
		waiter = e->waiter;
		e->waiter = NULL;
		e->row.stage = LATER_COMPLETED;
		e->done_s = now_s;
		e->code = result.code;
		if (kf_ok(result))
			keep(l, e, take);
	}
	pthread_mutex_unlock(&l->lock);
	if (waiter)
		waiter->done(waiter);
}

/* --- its client --- */

static kf_err poll_entry(struct entry *e, struct later_answer *ret, struct buf *payload)
{
	*ret = (struct later_answer){
		.is_pending = e->row.stage != LATER_COMPLETED && !e->is_canceled,
		.operation = e->row.operation,
		.version = e->version,
		.right = e->right,
		.code = e->is_canceled ? KF_E_CANCELED : e->code,
	};
	e->is_fetched |= !ret->is_pending;
	buf_add_slice(payload, buf_slice(&e->payload));
	return buf_err(payload);
}

kf_err op_later_poll(struct op_later *l, const struct later_name *name,
	struct later_answer *ret, struct buf *payload)
{
	pthread_mutex_lock(&l->lock);
	struct entry *e = find_own(l, name);
	kf_err err = e ? poll_entry(e, ret, payload)
		       : kf_fail(NOT_OUTSTANDING, "no such asynchronous request");
	pthread_mutex_unlock(&l->lock);
	return err;
}

static uint32_t cancel_entry(struct entry *e)
{
	switch (e->row.stage) {
	case LATER_SUBMITTED:
		e->is_canceled = e->is_fetched = true;
		return KMIP_CANCELLATION_RESULT_CANCELED;
	case LATER_IN_PROCESS: return KMIP_CANCELLATION_RESULT_UNABLE_TO_CANCEL;
	case LATER_COMPLETED: break;
	}
	if (e->is_canceled)
		return KMIP_CANCELLATION_RESULT_CANCELED;
	return e->code == KF_E_NONE ? KMIP_CANCELLATION_RESULT_COMPLETED
				    : KMIP_CANCELLATION_RESULT_FAILED;
}

uint32_t op_later_cancel(struct op_later *l, const struct later_name *name)
{
	pthread_mutex_lock(&l->lock);
	struct entry *e = find_own(l, name);
	const uint32_t result =
		e ? cancel_entry(e) : KMIP_CANCELLATION_RESULT_UNAVAILABLE;
	pthread_mutex_unlock(&l->lock);
	return result;
}

static kf_err wait_for(struct entry *e, struct later_wait *w)
{
	if (!e)
		return kf_fail(NOT_OUTSTANDING, "no such asynchronous request");
	if (e->waiter)
		return kf_fail(DUPLICATE, "somebody waits for it already");
	if (e->row.stage != LATER_COMPLETED)
		e->waiter = w;
	return KF_OK;
}

kf_err op_later_wait(
	struct op_later *l, const struct later_name *name, struct later_wait *w)
{
	pthread_mutex_lock(&l->lock);
	struct entry *e = find_own(l, name);
	kf_err err = wait_for(e, w);
	const bool is_done = kf_ok(err) && e->waiter != w;
	pthread_mutex_unlock(&l->lock);
	if (is_done)
		w->done(w);
	return err;
}

bool op_later_row(struct op_later *l, const char *client, size_t i, int64_t now_s,
	struct later_row *ret)
{
	bool is_found = false;
	pthread_mutex_lock(&l->lock);
	for (struct entry *e = first(l); !is_end(l, e) && !is_found; e = after(e)) {
		if (strcmp(e->client, client) != 0 || is_old(l, e, now_s))
			continue;
		is_found = i-- == 0;
		if (is_found)
			*ret = e->row;
	}
	pthread_mutex_unlock(&l->lock);
	return is_found;
}
