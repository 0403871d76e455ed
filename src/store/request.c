/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of requests: the recorded answer is authenticated, so that nobody who can
 * write to the database can make a repeated Create answer with another key's id.
 */
#include "store/rows.h"
#include <string.h>

enum { ID_SIZE = 16, HASH_SIZE = 32, ANSWER_MAX = 1 << 20 };

static struct slice bytes(const uint8_t *p, size_t n) { return (struct slice){ p, n }; }

static kf_err request_mac(const struct keyring *k, struct slice master,
	const struct request_row *r, struct slice answer, uint8_t ret[MAC_SIZE])
{
	autobuf b = buf_new(ANSWER_MAX + 4096);
	buf_add_u32(&b, (uint32_t)strlen(r->client));
	buf_add_text(&b, r->client);
	buf_add(&b, r->id, ID_SIZE);
	buf_add(&b, r->hash, HASH_SIZE);
	buf_add_u64(&b, (uint64_t)r->at_s);
	buf_add_slice(&b, answer);
	KF_TRY(buf_err(&b));
	return keyring_mac(k, master, "keyfleet store request", buf_slice(&b), ret);
}

struct recall {
	const struct keyring *k;
	const struct request_row *want;
	bool *is_known;
	struct buf *answer;
};

static kf_err recall_row(void *arg, const struct value *v, size_t n)
{
	const struct recall *r = arg;
	if (n != 5 || v[0].kind != VALUE_BYTES || v[0].s.n != HASH_SIZE ||
		v[1].kind != VALUE_BYTES || v[2].kind != VALUE_INT ||
		v[3].kind != VALUE_TEXT || v[4].kind != VALUE_BYTES)
		return kf_fail(TAMPERED, "recorded answer is malformed");
	struct request_row have = *r->want;
	have.hash = v[0].s.p;
	have.at_s = v[2].i;
	uint8_t mac[MAC_SIZE];
	KF_TRY(request_mac(r->k, v[3].s, &have, v[1].s, mac));
	KF_TRY(mac_check(mac, v[4].s));
	if (memcmp(have.hash, r->want->hash, HASH_SIZE) != 0)
		return kf_fail(INVALID_FIELD, "request id was used for another request");
	*r->is_known = true;
	buf_clear(r->answer);
	if (r->answer->limit < v[1].s.n)
		r->answer->limit = v[1].s.n;
	buf_add_slice(r->answer, v[1].s);
	return buf_err(r->answer);
}

kf_err rows_recall(struct db *db, const struct keyring *k, const struct request_row *r,
	bool *is_known, struct buf *answer)
{
	*is_known = false;
	struct recall recall = { k, r, is_known, answer };
	struct value in[] = { value_text(slice_of(r->client)),
		value_bytes(bytes(r->id, ID_SIZE)) };
	struct query q = { "select hash,answer,at,master,mac from request_id "
			   "where client=$1 and id=$2",
		in, 2, recall_row, &recall };
	return db->driver->run(db, &q);
}

kf_err rows_remember(struct db *db, const struct keyring *k, const struct request_row *r,
	struct slice answer)
{
	if (answer.n > ANSWER_MAX)
		return kf_fail(TOO_BIG, "answer to be recorded");
	struct slice master = slice_of(keyring_id(k, 0));
	uint8_t mac[MAC_SIZE];
	KF_TRY(request_mac(k, master, r, answer, mac));
	struct value in[] = { value_text(slice_of(r->client)),
		value_bytes(bytes(r->id, ID_SIZE)),
		value_bytes(bytes(r->hash, HASH_SIZE)), value_bytes(answer),
		value_int(r->at_s), value_text(master),
		value_bytes(bytes(mac, MAC_SIZE)) };
	struct query q = {
		.sql = "insert into request_id (client,id,hash,answer,at,master,mac) "
		       "values ($1,$2,$3,$4,$5,$6,$7)",
		.in = in,
		.n = 7
	};
	return db->driver->run(db, &q);
}

kf_err rows_forget_before(struct db *db, int64_t at_s)
{
	struct value in = value_int(at_s);
	struct query q = {
		.sql = "delete from request_id where at<$1", .in = &in, .n = 1
	};
	return db->driver->run(db, &q);
}

struct counter {
	kf_err (*visit)(void *arg, struct slice client, uint64_t n);
	void *arg;
};

static kf_err count_row(void *arg, const struct value *v, size_t n)
{
	const struct counter *c = arg;
	if (n != 2 || v[0].kind != VALUE_TEXT || v[1].kind != VALUE_INT)
		return kf_fail(STORE, "database cannot count");
	return c->visit(c->arg, v[0].s, (uint64_t)v[1].i);
}

kf_err rows_count_requests(struct db *db,
	kf_err (*visit)(void *arg, struct slice client, uint64_t n), void *arg)
{
	struct counter c = { visit, arg };
	struct query q = {
		.sql = "select client,count(*) from request_id group by client",
		.row = count_row,
		.arg = &c
	};
	return db->driver->run(db, &q);
}
