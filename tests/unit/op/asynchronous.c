/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/asynchronous.h"
#include "world.h"

/* As the driver does it: started, told that it is under way, and answered into the table. */
static kf_err begin(struct world *w, uint32_t code)
{
	struct op_call *call = w->call;
	call->op = op_find(code);
	call->server = &w->server;
	call->version = w->version;
	call->payload = buf_slice(&w->question);
	call->who = &w->who;
	call->now_s = w->now_s;
	KF_TRY(op_decode(call));
	KF_TRY(op_authorise(call));
	return op_start(call) == OP_FAIL ? call->err : KF_OK;
}

struct later {
	uint8_t id[LATER_ID_SIZE];
};

static kf_err later(struct world *w, uint32_t code, struct later *ret)
{
	struct buf none = { 0 };
	KF_TRY(begin(w, code));
	const struct later_request q = { .right = later_right_of(w->call),
		.client = w->who.name,
		.operation = code,
		.version = w->version,
		.now_s = w->now_s };
	kf_err e = op_later_add(w->server.later, &q, ret->id);
	op_clear(w->call);
	epoch_quiescent(w->reader);
	KF_TRY(e);
	KF_TRY(op_later_begin(w->server.later, ret->id));
	op_later_end(w->server.later, ret->id, w->now_s, KF_OK, &none);
	return KF_OK;
}

static kf_err get_later(struct world *w, const struct id *id, struct later *ret)
{
	struct ttlv_writer q = question(w);
	get_put_request(&q, &(struct get_request){ .uid = uid(id) });
	return later(w, KMIP_OPERATION_GET, ret);
}

static kf_err sign_later(struct world *w, const struct id *id, struct later *ret)
{
	struct ttlv_writer q = question(w);
	sign_put_request(
		&q, &(struct sign_request){
			    .uid = uid(id),
			    .has_parameters = true,
			    .parameters = { .digital_signature_algorithm = 0x0e },
			    .has_data = true,
			    .data = slice_of("text"),
		    });
	return later(w, KMIP_OPERATION_SIGN, ret);
}

static kf_err poll(struct world *w, const struct later *l)
{
	struct ttlv_writer q = question(w);
	const struct asynchronous_request a = { .id = { l->id, sizeof(l->id) } };
	asynchronous_put_request(&q, &a);
	return ask(w, KMIP_OPERATION_POLL);
}

static kf_err drop_grants(struct world *w)
{
	const struct rights *r = catalog_rights(w->server.catalog);
	const struct who was = w->who;
	while (r->grants) {
		char id[OBJECT_ID_SIZE];
		memcpy(id, r->grant[0]->id, sizeof(id));
		be(w, "root", true);
		struct ttlv_writer q = question(w);
		grant_id_put(&q, &(struct grant_id){ slice_of(id) });
		KF_TRY(ask(w, KMIP_OPERATION_GRANT_REMOVE));
		r = catalog_rights(w->server.catalog);
	}
	w->who = was;
	return KF_OK;
}

TEST(an_answer_is_fetched_by_whom_may_still_have_it)
{
	WORLD(w);
	struct id key;
	struct later l;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "key", &key)));
	OK(kf_ok(add_grant(&w, "bob", "name:key", PERM_GET, 0)));
	be(&w, "bob", false);
	OK(kf_ok(get_later(&w, &key, &l)));
	OK(kf_ok(poll(&w, &l)));

	OK(kf_ok(drop_grants(&w)));
	OK(kf_is(poll(&w, &l), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_GET_ATTRIBUTES, 0)));
	OK(kf_is(poll(&w, &l), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_GET, 0)));
	OK(kf_ok(poll(&w, &l)));
}

TEST(a_signature_is_fetched_while_its_constraints_hold)
{
	WORLD(w);
	struct pair p;
	struct later l;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "web", &p)));
	OK(kf_ok(add_grant(&w, "bob", "name:web", PERM_SIGN, 0)));
	be(&w, "bob", false);
	OK(kf_ok(sign_later(&w, &p.private_key, &l)));
	OK(kf_ok(poll(&w, &l)));

	OK(kf_ok(drop_grants(&w)));
	OK(kf_ok(add_grant(&w, "bob", "name:web", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_is(poll(&w, &l), KF_E_NOT_FOUND));
}

TEST(what_was_made_is_told_though_nothing_more_may_be)
{
	WORLD(w);
	struct later l;
	autobuf attrs = buf_new(4096);
	OK(kf_ok(let_alice_create(&w)));
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256);
	put_create(&w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs));
	OK(kf_ok(later(&w, KMIP_OPERATION_CREATE, &l)));
	OK(kf_ok(drop_grants(&w)));
	OK(kf_ok(poll(&w, &l)));
}

TEST_MAIN
