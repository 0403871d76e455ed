/* SPDX-License-Identifier: Apache-2.0 */
#include "op/parts.h"
#include "base/clock.h"
#include "op/step.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

struct op_parts {
	pthread_mutex_t lock; /* guards all below */
	struct op_parts_conf conf;
	size_t count, held; /* of those in calls too */
	struct list by_age; /* the one that was touched longest ago first */
	struct list bucket[BUCKETS];
};

kf_err op_parts_new(const struct op_parts_conf *conf, struct op_parts **ret)
{
	struct op_parts *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "streams");
	s->conf = *conf;
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->by_age);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&s->bucket[i]);
	*ret = s;
	return KF_OK;
}

static void wipe(struct parts *st)
{
	cipher_end(&st->cipher);
	mac_end(&st->mac);
	digest_end(&st->digest);
	buf_free(&st->data);
	OPENSSL_clear_free(st, sizeof(*st));
}

void op_parts_free(struct op_parts *s)
{
	if (!s)
		return;
	for (struct list *l = list_take(&s->by_age); l; l = list_take(&s->by_age))
		wipe(container_of(l, struct parts, by_age));
	pthread_mutex_destroy(&s->lock);
	free(s);
}

size_t op_parts_count(struct op_parts *s)
{
	pthread_mutex_lock(&s->lock);
	const size_t n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* --- the table; under the lock --- */

static void take_out(struct parts *st)
{
	list_remove(&st->by_id);
	list_remove(&st->by_age);
}

static void forget(struct op_parts *s, struct parts *st)
{
	take_out(st);
	s->count--;
	s->held -= st->counted;
	st->counted = 0;
}

static bool is_stale(const struct op_parts *s, const struct parts *st, uint64_t now_ns)
{
	return now_ns - st->touched_ns >= s->conf.idle_ns;
}

/* One that is over moves to `gone`, for the caller to wipe without the lock. */
static void drop_stale(struct op_parts *s, struct list *gone)
{
	const uint64_t now_ns = clock_monotonic_ns();

	while (!list_is_empty(&s->by_age)) {
		struct parts *st = container_of(s->by_age.next, struct parts, by_age);
		if (!is_stale(s, st, now_ns))
			return;
		forget(s, st);
		list_add_tail(gone, &st->by_age);
	}
}

static struct parts *find(struct op_parts *s, struct slice id)
{
	if (id.n != PARTS_ID_SIZE)
		return NULL;
	list_each(l, &s->bucket[id.p[0]])
	{
		struct parts *st = container_of(l, struct parts, by_id);
		if (!CRYPTO_memcmp(st->id, id.p, PARTS_ID_SIZE))
			return st;
	}
	return NULL;
}

static struct parts *find_own(const struct op_call *call, struct slice id)
{
	struct parts *st = find(call->server->parts, id);

	if (!st || st->operation != call->op->code ||
		strcmp(st->client, call->who->name) != 0)
		return NULL;
	return is_stale(call->server->parts, st, clock_monotonic_ns()) ? NULL : st;
}

static size_t count_of(struct op_parts *s, const char *client)
{
	size_t n = 0;
	list_each(l, &s->by_age) n +=
		!strcmp(container_of(l, struct parts, by_age)->client, client);
	return n;
}

static void wipe_all(struct list *gone)
{
	for (struct list *l = list_take(gone); l; l = list_take(gone))
		wipe(container_of(l, struct parts, by_age));
}

/* --- housekeeping --- */

static bool has_key(const struct parts *st, const struct catalog *catalog, int64_t now_s)
{
	if (!st->facts.object_id[0])
		return true;
	const struct object *o = catalog_find(catalog, slice_of(st->facts.object_id));
	return o && kf_ok(op_check_material(o, now_s));
}

void op_parts_sweep(struct op_parts *s, const struct catalog *catalog, int64_t now_s)
{
	struct list gone = LIST_INIT(gone), *next;

	pthread_mutex_lock(&s->lock);
	drop_stale(s, &gone);
	for (struct list *l = s->by_age.next; l != &s->by_age; l = next) {
		struct parts *st = container_of(l, struct parts, by_age);
		next = l->next;
		if (has_key(st, catalog, now_s))
			continue;
		forget(s, st);
		list_add_tail(&gone, &st->by_age);
	}
	pthread_mutex_unlock(&s->lock);
	wipe_all(&gone);
}

/* --- requests --- */

bool parts_are_meant(const struct parts_request *q)
{
	return q->correlation_value.n || (q->is_first && !q->is_last);
}

static kf_err none_such(void)
{
	return kf_fail(CORRELATION, "no such operation is under way");
}

kf_err parts_facts(
	struct op_call *call, const struct parts_request *q, struct parts_facts *ret)
{
	struct op_parts *s = call->server->parts;

	if (!s)
		return none_such();
	pthread_mutex_lock(&s->lock);
	const struct parts *st = find_own(call, q->correlation_value);
	if (st)
		*ret = st->facts;
	pthread_mutex_unlock(&s->lock);
	return st ? KF_OK : none_such();
}

kf_err parts_name_object(
	struct op_call *call, const struct kmip_uid *uid, const struct parts_request *q)
{
	struct parts_facts facts;

	if (uid->kind != KMIP_UID_ABSENT || !q->correlation_value.n)
		return op_name_object(call, uid);
	KF_TRY(parts_facts(call, q, &facts));
	const struct kmip_uid meant = kmip_uid_text(slice_of(facts.object_id));
	return op_name_object(call, &meant);
}

kf_err parts_check(struct op_call *call, const struct parts_request *q)
{
	struct parts_facts facts;

	if (!q->correlation_value.n)
		return KF_OK;
	if (q->is_first)
		return kf_fail(INVALID_FIELD, "Init Indicator with a Correlation Value");
	KF_TRY(parts_facts(call, q, &facts));
	return strcmp(facts.object_id, call->object_id) ? none_such() : KF_OK;
}

static kf_err open_old(struct op_call *call, struct slice id, struct parts **ret)
{
	struct op_parts *s = call->server->parts;

	pthread_mutex_lock(&s->lock);
	struct parts *st = find_own(call, id);
	if (st && strcmp(st->facts.object_id, call->object_id))
		st = NULL;
	if (st)
		take_out(st);
	pthread_mutex_unlock(&s->lock);
	if (!st)
		return none_such();
	*ret = st;
	return KF_OK;
}

static kf_err admit(struct op_parts *s, const char *client)
{
	struct list gone = LIST_INIT(gone);

	pthread_mutex_lock(&s->lock);
	drop_stale(s, &gone);
	const bool has_room =
		s->count < s->conf.most && count_of(s, client) < s->conf.client_most;
	s->count += has_room;
	pthread_mutex_unlock(&s->lock);
	wipe_all(&gone);
	return has_room ? KF_OK : kf_fail(BUSY, "too many streams are under way");
}

static void leave(struct op_parts *s)
{
	pthread_mutex_lock(&s->lock);
	s->count--;
	pthread_mutex_unlock(&s->lock);
}

static kf_err open_new(struct op_call *call, struct parts **ret)
{
	struct op_parts *s = call->server->parts;

	KF_TRY(admit(s, call->who->name));
	struct parts *st = calloc(1, sizeof(*st));
	if (!st || RAND_bytes(st->id, PARTS_ID_SIZE) != 1) {
		free(st);
		leave(s);
		return kf_fail(NOMEM, "a stream");
	}
	list_init(&st->by_id);
	list_init(&st->by_age);
	memcpy(st->client, call->who->name, sizeof(st->client));
	memcpy(st->facts.object_id, call->object_id, sizeof(st->facts.object_id));
	st->operation = call->op->code;
	st->data = buf_new(call->server->message_max);
	*ret = st;
	return KF_OK;
}

kf_err parts_open(struct op_call *call, const struct parts_request *q, struct parts **ret)
{
	if (!call->server->parts)
		return kf_fail(FEATURE, "operations in several parts");
	KF_TRY(parts_check(call, q));
	return q->correlation_value.n ? open_old(call, q->correlation_value, ret)
				      : open_new(call, ret);
}

kf_err parts_put(struct op_call *call, struct parts **take)
{
	struct op_parts *s = call->server->parts;
	struct parts *st = *take;
	const size_t holds = st->data.n + st->cipher.held.n + st->cipher.aad.n;

	pthread_mutex_lock(&s->lock);
	const bool fits = holds <= s->conf.memory &&
			  s->held - st->counted <= s->conf.memory - holds;
	if (fits) {
		s->held += holds - st->counted;
		st->counted = holds;
		st->touched_ns = clock_monotonic_ns();
		list_add_tail(&s->bucket[st->id[0]], &st->by_id);
		list_add_tail(&s->by_age, &st->by_age);
		*take = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (fits)
		return KF_OK;
	parts_free(call, take);
	return kf_fail(BUSY, "streams hold too many bytes");
}

void parts_free(struct op_call *call, struct parts **take)
{
	struct op_parts *s = call->server->parts;
	struct parts *st = *take;

	*take = NULL;
	if (!st)
		return;
	pthread_mutex_lock(&s->lock);
	forget(s, st);
	pthread_mutex_unlock(&s->lock);
	wipe(st);
}
