/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "crypt/seal.h"
#include "store/work.h"
#include "token/token.h"
#include <stdlib.h>
#include <string.h>

enum { SEALED_MAX = (4 << 20) + 1024 };

/* --- preparation --- */

static kf_err seal_material(
	struct store *s, struct mutation *m, struct slice binding, struct buf *sealed)
{
	struct object *o = m->object.object;
	KF_TRY(seal_object(
		s->conf.keyring, buf_slice(&m->object.material), binding, sealed));
	if (!object_has_handle(o) || !s->conf.load_key)
		return KF_OK;
	struct token_key *key = NULL;
	KF_TRY(s->conf.load_key(o, buf_slice(&m->object.material), &key));
	object_set_key(o, key);
	return KF_OK;
}

/* The material stays; what it is bound to is new. */
static kf_err rebind(
	struct store *s, struct mutation *m, struct slice binding, struct buf *sealed)
{
	const struct object *was = m->object.was;
	if (!was || !was->sealed.n)
		return KF_OK;
	autobuf old = buf_new(1024);
	KF_TRY(object_binding(was, &old));
	KF_TRY(rebind_object(
		s->conf.keyring, was->sealed, buf_slice(&old), binding, sealed));
	object_set_key(m->object.object, token_key_get(was->key));
	return KF_OK;
}

static kf_err prepare_object(struct store *s, struct mutation *m)
{
	struct object *o = m->object.object;
	if (o->version != m->expected_version + 1)
		return kf_fail(INTERNAL, "version of an object does not follow");
	autobuf sealed = buf_new(SEALED_MAX);
	if (!object_is_destroyed(o)) {
		autobuf binding = buf_new(1024);
		KF_TRY(object_binding(o, &binding));
		KF_TRY(m->object.material.n
				? seal_material(s, m, buf_slice(&binding), &sealed)
				: rebind(s, m, buf_slice(&binding), &sealed));
	}
	KF_TRY(buf_err(&sealed));
	object_set_sealed(o, &sealed);
	buf_free(&m->object.material);
	return KF_OK;
}

static kf_err prepare(struct store *s, struct mutation *m)
{
	switch (m->kind) {
	case PUT_OBJECT: return prepare_object(s, m);
	case PUT_CLIENT: m->client.version = m->expected_version + 1; return KF_OK;
	case PUT_GRANT:
	case DROP_GRANT: m->grant.version = m->expected_version + 1; return KF_OK;
	}
	return kf_fail(INTERNAL, "unknown mutation");
}

kf_err change_prepare(struct store *s, struct change *c)
{
	if (c->n > (c->more ? CHANGE_MUTATIONS_MAX : CHANGE_MUTATIONS))
		return kf_fail(INTERNAL, "too many mutations in a change");
	for (size_t i = 0; i < c->n; i++)
		KF_TRY(prepare(s, change_mutation(c, i)));
	return KF_OK;
}

void change_release(struct change *c)
{
	const size_t n = c->more || c->n < CHANGE_MUTATIONS ? c->n : CHANGE_MUTATIONS;
	for (size_t i = 0; i < n; i++) {
		struct mutation *m = change_mutation(c, i);
		if (m->kind != PUT_OBJECT)
			continue;
		buf_free(&m->object.material);
		object_unref(m->object.object);
		object_unref((struct object *)(uintptr_t)m->object.was);
		m->object.object = NULL;
		m->object.was = NULL;
	}
}

/* --- mutations --- */

static kf_err encode(const struct mutation *m, struct buf *scratch, struct record *ret)
{
	switch (m->kind) {
	case PUT_OBJECT: record_of_object(m->object.object, ret); return KF_OK;
	case PUT_CLIENT: return record_of_client(&m->client, scratch, ret);
	case PUT_GRANT: record_of_grant(&m->grant, false, ret); return KF_OK;
	case DROP_GRANT: record_of_grant(&m->grant, true, ret); return KF_OK;
	}
	return kf_fail(INTERNAL, "unknown mutation");
}

static kf_err check_version(const struct mutation *m, const struct fact *old)
{
	if (m->expected_version == 0)
		return old ? kf_fail(EXISTS, "object, client or grant exists already")
			   : KF_OK;
	if (!old)
		return kf_fail(NOT_FOUND, "object, client or grant is not in the store");
	if (old->version != m->expected_version)
		return kf_fail(CONFLICT, "object, client or grant was changed meanwhile");
	return KF_OK;
}

static kf_err put_index(struct store *s, const struct mutation *m)
{
	if (m->kind == PUT_OBJECT)
		return index_object(s->db, m->object.object);
	if (m->kind == PUT_CLIENT)
		return index_client(s->db, &m->client);
	return KF_OK;
}

static kf_err apply(struct store *s, const struct mutation *m)
{
	autobuf scratch = buf_new(1024);
	struct record r;
	uint8_t mac[MAC_SIZE];
	KF_TRY(encode(m, &scratch, &r));
	const struct fact *old = facts_find(&s->facts, r.table, r.v[COL_ID].s);
	KF_TRY(check_version(m, old));
	uint64_t sequence = ++s->facts.next.sequence;
	r.v[COL_SEQUENCE] = value_int((int64_t)sequence);
	r.v[COL_CREATED] = value_int((int64_t)(old ? old->created : sequence));
	KF_TRY(record_sign(s->conf.keyring, &r, mac));
	KF_TRY(rows_put(s->db, &r));
	KF_TRY(put_index(s, m));
	return facts_put(&s->facts, s->conf.keyring, &r);
}

/* --- request ids --- */

/* Counted by this server: with several servers a client may have a few more. */
struct quota {
	char client[CLIENT_NAME_SIZE];
	uint64_t n;
};

static kf_err quota_of(struct store *s, struct slice client, struct quota **ret)
{
	struct quota *q = map_get(&s->quota, client);
	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q)
			return kf_fail(NOMEM, "counting request ids");
		kf_err err = slice_to_text(client, q->client, sizeof(q->client));
		if (kf_ok(err))
			err = map_put(&s->quota, slice_of(q->client), q);
		if (!kf_ok(err)) {
			free(q);
			return err;
		}
	}
	*ret = q;
	return KF_OK;
}

static kf_err quota_row(void *arg, struct slice client, uint64_t n)
{
	struct quota *q = NULL;
	KF_TRY(quota_of(arg, client, &q));
	q->n = n;
	return KF_OK;
}

void quota_free(struct store *s)
{
	void *q;
	for (size_t at = 0; (q = map_next(&s->quota, &at));)
		free(q);
	map_free(&s->quota);
}

kf_err quota_load(struct store *s)
{
	quota_free(s);
	s->quota = map_new();
	return rows_count_requests(s->db, quota_row, s);
}

static kf_err remember(struct store *s, struct change *c, const struct request_row *row)
{
	struct quota *q = NULL;
	KF_TRY(quota_of(s, slice_of(c->client), &q));
	if (q->n >= s->conf.request_ids_max)
		return kf_fail(
			LIMIT, "client has too many request ids within their lifetime");
	KF_TRY(rows_remember(s->db, s->conf.keyring, row, buf_slice(&c->answer)));
	q->n++;
	return KF_OK;
}

/* --- a change --- */

static kf_err apply_all(struct store *s, struct item *item)
{
	struct change *c = item->change;
	struct request_row row = { c->client, c->request_id, c->request_hash,
		clock_wall_s() };
	if (c->has_request_id)
		KF_TRY(rows_recall(
			s->db, s->conf.keyring, &row, &item->is_replay, &item->recorded));
	if (item->is_replay)
		return KF_OK;
	for (size_t i = 0; i < c->n; i++)
		KF_TRY(apply(s, change_mutation(c, i)));
	if (!c->has_request_id)
		return KF_OK;
	KF_TRY(remember(s, c, &row));
	item->is_counted = true;
	return KF_OK;
}

/* A table, not a switch: new codes are the database's. */
bool change_is_refusal(kf_err err)
{
	static const enum kf_code codes[] = { KF_E_EXISTS, KF_E_NOT_FOUND, KF_E_CONFLICT,
		KF_E_NAME_NOT_UNIQUE, KF_E_INVALID_FIELD, KF_E_LIMIT, KF_E_TOO_BIG,
		KF_E_MALFORMED, KF_E_TAMPERED, KF_E_CONFIG, KF_E_INTERNAL };
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (err.code == codes[i])
			return true;
	return false;
}

kf_err change_apply(struct store *s, struct item *item)
{
	item->is_replay = item->is_counted = false;
	item->err = apply_all(s, item);
	const bool is_its_own = change_is_refusal(item->err) && !s->db->is_broken;
	return kf_ok(item->err) || is_its_own ? KF_OK : item->err;
}

kf_err change_apply_apart(struct store *s, struct item *item)
{
	struct facts_mark mark = facts_mark(&s->facts);
	KF_TRY(s->driver->script(s->db, "savepoint change"));
	KF_TRY(change_apply(s, item));
	if (!kf_ok(item->err)) {
		facts_back(&s->facts, mark);
		KF_TRY(s->driver->script(s->db, "rollback to savepoint change"));
	}
	return s->driver->script(s->db, "release savepoint change");
}

void change_take_back(struct store *s, struct item *item)
{
	const struct change *c =
		item->change; /* of one that was given up nothing is known */
	struct quota *q = c ? map_get(&s->quota, slice_of(c->client)) : NULL;
	if (item->is_counted && q && q->n)
		q->n--;
	item->is_counted = item->is_replay = false;
	item->err = KF_OK;
	buf_free(&item->recorded);
}

static void publish(struct store *s, struct mutation *m)
{
	switch (m->kind) {
	case PUT_OBJECT:
		must(catalog_put(s->catalog, m->object.object));
		m->object.object = NULL;
		break;
	case PUT_CLIENT: must(catalog_put_client(s->catalog, &m->client)); break;
	case PUT_GRANT: must(catalog_put_grant(s->catalog, &m->grant)); break;
	case DROP_GRANT: must(catalog_drop_grant(s->catalog, m->grant.id)); break;
	}
}

void change_publish(struct store *s, struct change *c)
{
	for (size_t i = 0; i < c->n; i++)
		publish(s, change_mutation(c, i));
}
