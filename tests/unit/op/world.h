/* SPDX-License-Identifier: Apache-2.0
 *
 * A key server without a network: a store in memory, an engine, and a driver that takes a call through
 * its steps as keyfleetd does.
 */
#pragma once
#include "base/clock.h"
#include "base/epoch.h"
#include "crypt/keyring.h"
#include "kmip/activate.h"
#include "kmip/admin.h"
#include "kmip/create.h"
#include "kmip/create_key_pair.h"
#include "kmip/decrypt.h"
#include "kmip/destroy.h"
#include "kmip/get.h"
#include "kmip/get_attributes.h"
#include "kmip/key_wrapping.h"
#include "kmip/locate.h"
#include "kmip/register.h"
#include "kmip/revoke.h"
#include "kmip/sign.h"
#include "op/cryptoki.h"
#include "op/later.h"
#include "op/material.h"
#include "op/op.h"
#include "op/undo.h"
#include "test.h"
#include <semaphore.h>
#include <stdlib.h>

#define NOW ((int64_t)1800000000)

struct world {
	struct epoch *epoch;
	struct epoch_reader *reader;
	struct keyring *keyring;
	struct store *store;
	struct token_session *session;
	struct op_server server;
	struct op_call *call;
	int64_t now_s;
	uint16_t version;
	struct who who;
	struct buf question, answer, attrs;
	uint8_t request_id[16];
	bool has_request_id;
	uint16_t tls_client_version;
	bool worked;                            /* a worker was asked for */
	void (*before_commit)(struct world *w); /* once: somebody else comes first */
	void (*before_use)(struct world *w); /* the same, while a token is waited for */
	bool loses_answer;    /* the store does what it is told, and nobody learns it */
	struct op_undo *undo; /* what a batch changes; or NULL */
	char rule[OBJECT_ID_SIZE]; /* of the last decision */
	char message[512];         /* for the record of the last request; cut */
};

static void be(struct world *w, const char *name, bool is_admin)
{
	w->who = (struct who){ .is_admin = is_admin };
	snprintf(w->who.name, sizeof(w->who.name), "%s", name);
}

enum { WORLD_PATIENCE_MS = 600000 }; /* a machine that stood still is no failure */

static kf_err world_open(struct world *w)
{
	const char *key =
		"k = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	unsigned line = 0;

	*w = (struct world){ .now_s = NOW, .version = KMIP_2_1 };
	KF_TRY(epoch_new(&w->epoch));
	KF_TRY(epoch_register(w->epoch, &w->reader));
	KF_TRY(keyring_parse(slice_of(key), &line, &w->keyring));
	const struct store_conf conf = {
		.location = "memory:",
		.keyring = w->keyring,
		.epoch = w->epoch,
		.load_key = material_load_key,
		.deadline_ms = WORLD_PATIENCE_MS,
	};
	KF_TRY(store_open(&conf, &w->store));
	KF_TRY(soft_open(&w->session));
	w->server = (struct op_server){
		.store = w->store,
		.catalog = store_catalog(w->store),
		.message_max = 1 << 20,
		.version = "1.2.3",
		.name = "test",
	};
	KF_TRY(op_later_new(&(struct op_later_conf){ 0 }, &w->server.later));
	KF_TRY(op_cryptoki_new(&w->server.cryptoki));
	w->call = calloc(1, sizeof(*w->call));
	w->question = buf_new(1 << 20);
	w->answer = buf_new(1 << 20);
	w->attrs = buf_new(1 << 20);
	be(w, "alice", false);
	epoch_online(w->reader);
	return w->call ? KF_OK : kf_fail(NOMEM, "test");
}

static void world_close(struct world *w)
{
	op_free(w->call);
	free(w->call);
	buf_free(&w->question);
	buf_free(&w->answer);
	buf_free(&w->attrs);
	op_later_free(w->server.later);
	op_cryptoki_free(w->server.cryptoki);
	soft_close(w->session);
	epoch_offline(w->reader);
	store_close(w->store);
	epoch_unregister(w->reader);
	epoch_free(w->epoch);
	keyring_free(w->keyring);
}

#define WORLD(w)                                                                         \
	CLEANUP(world_close) struct world w;                                             \
	OK(kf_ok(world_open(&w)))

static void wake(struct change *c) { sem_post(c->arg); }

static void submit_and_wait(struct world *w, struct change *c, kf_err *ret)
{
	sem_t done;

	sem_init(&done, 0, 0);
	c->done = wake;
	c->arg = &done;
	*ret = store_submit(w->store, c);
	if (kf_ok(*ret)) {
		/* Nobody else reads: let the store's worker free what it retires. */
		epoch_offline(w->reader);
		while (sem_wait(&done))
			;
		epoch_online(w->reader);
	}
	sem_destroy(&done);
}

static void let_in(struct world *w, void (**interlude)(struct world *))
{
	void (*const come)(struct world *) = *interlude;
	*interlude = NULL;
	if (come)
		come(w);
}

static kf_err commit(struct world *w)
{
	struct change *c = &w->call->change;
	kf_err err;

	let_in(w, &w->before_commit);
	if (w->undo)
		KF_TRY(op_undo_expect(w->undo, c, w->call->op->name));
	submit_and_wait(w, c, &err);
	if (w->loses_answer)
		c->err = kf_fail(OUTCOME_UNKNOWN, "as written");
	if (w->undo && kf_ok(err) && kf_ok(c->err) && !c->is_replay)
		op_undo_keep(w->undo);
	return err;
}

static kf_err steps(struct world *w)
{
	struct op_call *call = w->call;

	KF_TRY(op_decode(call));
	KF_TRY(op_authorise(call));
	enum op_next next = op_start(call);
	for (;;) {
		switch (next) {
		case OP_SIGN: {
			struct sign_job *job = &call->job;
			soft_sign(w->session, &job, 1);
			next = OP_ANSWER;
			break;
		}
		case OP_DECRYPT:
			soft_decrypt(w->session, &call->decrypt);
			next = OP_ANSWER;
			break;
		case OP_USE: {
			let_in(w, &w->before_use);
			const kf_err err = pool_submit_and_wait(
				w->server.pools, &(struct pool_job){ .use = &call->use });
			if (!kf_ok(err))
				call->use.err = err;
			next = OP_ANSWER;
			break;
		}
		case OP_WORK:
			w->worked = true;
			next = op_worked(call);
			break;
		case OP_COMMIT:
			KF_TRY(commit(w));
			next = op_committed(call);
			break;
		case OP_WAIT: return kf_fail(INTERNAL, "nobody to wait for");
		case OP_FAIL: return call->err;
		case OP_ANSWER: {
			struct ttlv_writer a = ttlv_write(&w->answer, w->version);
			a.allows_vendor = true;
			return op_answer(call, &a);
		}
		}
	}
}

/* For before_commit and before_use: what somebody else asks, with a call of its own; not in our batch. */
static void meanwhile(struct world *w, void (*ask_for)(struct world *w))
{
	const struct world mine = *w;

	w->question = buf_new(1 << 20);
	w->answer = buf_new(1 << 20);
	w->call = calloc(1, sizeof(*w->call));
	w->undo = NULL;
	ask_for(w);
	op_free(w->call);
	free(w->call);
	buf_free(&w->question);
	buf_free(&w->answer);
	w->question = mine.question;
	w->answer = mine.answer;
	w->call = mine.call;
	w->undo = mine.undo;
}

/* Asks what is in w->question; the content of the answer is in w->answer. */
static kf_err ask(struct world *w, uint32_t code)
{
	struct op_call *call = w->call;

	buf_clear(&w->answer);
	call->op = op_find(code);
	if (!call->op)
		return kf_fail(UNSUPPORTED, "no such operation");
	call->server = &w->server;
	call->version = w->version;
	call->is_undoable = w->undo != NULL;
	call->payload = buf_slice(&w->question);
	call->who = &w->who;
	call->request_id =
		w->has_request_id ? (struct slice){ w->request_id, sizeof(w->request_id) }
				  : (struct slice){ 0 };
	call->tls_client_version = w->tls_client_version;
	call->tls_negotiated_version = 0;
	call->now_s = w->now_s;
	const kf_err err = steps(w);
	snprintf(w->rule, sizeof(w->rule), "%s",
		call->decision.rule ? call->decision.rule : "");
	snprintf(w->message, sizeof(w->message), "%.*s", (int)call->message.n,
		call->message.n ? (const char *)call->message.p : "");
	op_clear(call);
	epoch_quiescent(w->reader);
	return err;
}

static struct ttlv_writer question(struct world *w)
{
	buf_clear(&w->question);
	struct ttlv_writer q = ttlv_write(&w->question, w->version);
	q.allows_vendor = true;
	return q;
}

static struct ttlv_reader answer(struct world *w)
{
	return ttlv_read_as(buf_slice(&w->answer), w->version, false);
}

/* --- the operations, as short as tests want them --- */

struct id {
	char text[OBJECT_ID_SIZE];
};

static void keep_id(const struct kmip_uid *uid, struct id *ret)
{
	if (!kf_ok(slice_to_text(uid->text, ret->text, sizeof(ret->text))))
		ret->text[0] = '\0';
}

static struct kmip_uid uid(const struct id *id)
{
	return id ? kmip_uid_text(slice_of(id->text)) : (struct kmip_uid){ 0 };
}

/* Whoever asks registers it with these attributes. */
static kf_err register_object(struct world *w, struct slice attributes,
	const struct kmip_object *o, struct id *ret)
{
	struct ttlv_writer q = question(w);
	register_put_request(
		&q, &(struct register_request){ .attributes = attributes, .object = *o });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_REGISTER));
	struct register_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(register_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

struct pair {
	struct id private_key, public_key;
};

struct pair_wish {
	uint32_t algorithm, curve;
	int32_t bits;
	const char *private_name, *public_name;
	bool is_active;
	int32_t private_usage, public_usage;
	struct slice private_extra;
};

static void add_curve(struct buf *set, uint32_t curve)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
	ttlv_put_enum(&w, TAG_RECOMMENDED_CURVE, curve);
	ttlv_end(&w);
}

static kf_err ask_for_pair(
	struct world *w, const struct create_key_pair_request *wanted, struct pair *ret)
{
	struct ttlv_writer q = question(w);
	create_key_pair_put_request(&q, wanted);
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_CREATE_KEY_PAIR));
	struct create_key_pair_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(create_key_pair_get_response(&r, &a));
	keep_id(&a.private_key, &ret->private_key);
	keep_id(&a.public_key, &ret->public_key);
	return KF_OK;
}

static kf_err create_pair(struct world *w, const struct pair_wish *wish, struct pair *ret)
{
	autobuf common = buf_new(4096), private_key = buf_new(4096),
		public_key = buf_new(4096);

	attrs_add_enum(&common, TAG_CRYPTOGRAPHIC_ALGORITHM, wish->algorithm);
	if (wish->bits)
		attrs_add_int(&common, TAG_CRYPTOGRAPHIC_LENGTH, wish->bits);
	if (wish->curve)
		add_curve(&common, wish->curve);
	if (wish->is_active)
		attrs_add_date(&common, TAG_ACTIVATION_DATE, w->now_s);
	if (wish->private_name)
		attrs_add_name(&private_key, slice_of(wish->private_name));
	if (wish->public_name)
		attrs_add_name(&public_key, slice_of(wish->public_name));
	if (wish->private_usage)
		attrs_add_int(
			&private_key, TAG_CRYPTOGRAPHIC_USAGE_MASK, wish->private_usage);
	if (wish->public_usage)
		attrs_add_int(
			&public_key, TAG_CRYPTOGRAPHIC_USAGE_MASK, wish->public_usage);
	buf_add_slice(&private_key, wish->private_extra);
	return ask_for_pair(w,
		&(struct create_key_pair_request){ buf_slice(&common),
			buf_slice(&private_key), buf_slice(&public_key) },
		ret);
}

static kf_err create_p256(struct world *w, const char *name, struct pair *ret)
{
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = 7,
			.private_name = name,
			.is_active = true },
		ret);
}

/* Create is asked next. */
static void put_create(struct world *w, enum object_type type, struct slice attributes)
{
	struct ttlv_writer q = question(w);
	create_put_request(&q, &(struct create_request){ type, attributes });
}

static kf_err create_object(
	struct world *w, enum object_type type, struct slice attributes, struct id *ret)
{
	put_create(w, type, attributes);
	KF_TRY(buf_err(&w->question));
	KF_TRY(ask(w, KMIP_OPERATION_CREATE));
	struct create_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(create_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return a.object_type == type ? KF_OK : kf_fail(INVALID_FIELD, "type");
}

/* What a key for data is asked for with. */
static void add_symmetric(struct buf *attrs, uint32_t algorithm, int32_t bits)
{
	attrs_add_enum(attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, bits);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
}

static kf_err create_aes(struct world *w, const char *name, struct id *ret)
{
	autobuf attrs = buf_new(4096);

	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256);
	if (name)
		attrs_add_name(&attrs, slice_of(name));
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), ret);
}

static kf_err activate(struct world *w, const struct id *id)
{
	struct ttlv_writer q = question(w);
	activate_put_request(&q, &(struct activate_request){ uid(id) });
	return ask(w, KMIP_OPERATION_ACTIVATE);
}

static kf_err revoke(struct world *w, const struct id *id, uint32_t reason)
{
	struct ttlv_writer q = question(w);
	revoke_put_request(
		&q, &(struct revoke_request){ .uid = uid(id), .reason = reason });
	return ask(w, KMIP_OPERATION_REVOKE);
}

static kf_err destroy(struct world *w, const struct id *id)
{
	struct ttlv_writer q = question(w);
	destroy_put_request(&q, &(struct destroy_request){ uid(id) });
	return ask(w, KMIP_OPERATION_DESTROY);
}

static kf_err get_as(
	struct world *w, const struct id *id, uint32_t format, struct get_response *ret)
{
	struct ttlv_writer q = question(w);
	get_put_request(
		&q, &(struct get_request){ .uid = uid(id), .key_format_type = format });
	KF_TRY(ask(w, KMIP_OPERATION_GET));
	struct ttlv_reader r = answer(w);
	return get_get_response(&r, ret);
}

static kf_err get(struct world *w, const struct id *id, struct get_response *ret)
{
	return get_as(w, id, 0, ret);
}

/* Get or Export of what is to be wrapped so; the answer is in w->answer. */
static kf_err ask_wrapped(struct world *w, uint32_t code, const struct id *id,
	const struct key_wrapping *how)
{
	autobuf item = buf_new(4096);
	struct ttlv_writer s = ttlv_write(&item, w->version);
	key_wrapping_specification_put(&s, how);
	KF_TRY(ttlv_written(&s));
	struct ttlv_writer q = question(w);
	get_put_request(&q, &(struct get_request){ .uid = uid(id),
				    .key_wrapping_specification = buf_slice(&item) });
	return ask(w, code);
}

/* All attributes, in w->attrs. */
static kf_err attributes(struct world *w, const struct id *id)
{
	struct ttlv_writer q = question(w);
	get_attributes_put_request(
		&q, &(struct get_attributes_request){ .uid = uid(id) });
	buf_clear(&w->attrs);
	KF_TRY(ask(w, KMIP_OPERATION_GET_ATTRIBUTES));
	struct get_attributes_response a;
	struct ttlv_reader r = answer(w);
	return get_attributes_get_response(&r, &a, &w->attrs);
}

static uint32_t state_of(struct world *w, const struct id *id)
{
	uint32_t state = 0;
	if (!kf_ok(attributes(w, id)))
		return 99;
	(void)attrs_get_enum(buf_slice(&w->attrs), TAG_STATE, &state);
	return state;
}

/* How many objects with these attributes; the first one's id. */
static int located(struct world *w, struct slice attrs, struct id *first)
{
	struct locate_response a;
	struct slice text;
	int n = 0;

	struct ttlv_writer q = question(w);
	locate_put_request(&q,
		&(struct locate_request){
			.maximum_items = -1, .offset_items = -1, .attributes = attrs });
	if (!kf_ok(ask(w, KMIP_OPERATION_LOCATE)))
		return -1;
	struct ttlv_reader r = answer(w);
	if (!kf_ok(locate_get_response(&r, &a)))
		return -2;
	struct ttlv_reader each = ttlv_read(a.uids);
	while (locate_next_uid(&each, &text))
		if (!n++ && first &&
			!kf_ok(slice_to_text(text, first->text, sizeof(first->text))))
			return -3;
	return n;
}

static int located_by_name(struct world *w, const char *name, struct id *first)
{
	autobuf attrs = buf_new(1024);
	attrs_add_name(&attrs, slice_of(name));
	return located(w, buf_slice(&attrs), first);
}

struct sign_wish {
	struct slice data, digest;
	struct cryptographic_parameters parameters;
	bool without_parameters;
};

static kf_err sign(struct world *w, const struct id *id, const struct sign_wish *wish,
	struct slice *ret)
{
	struct sign_response a;
	struct ttlv_writer q = question(w);
	sign_put_request(&q, &(struct sign_request){
				     .uid = uid(id),
				     .has_parameters = !wish->without_parameters,
				     .parameters = wish->parameters,
				     .has_data = wish->data.p != NULL,
				     .has_digested_data = wish->digest.p != NULL,
				     .data = wish->data,
				     .digested_data = wish->digest,
			     });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_SIGN));
	struct ttlv_reader r = answer(w);
	KF_TRY(sign_get_response(&r, &a));
	if (ret)
		*ret = a.signature;
	return KF_OK;
}

static kf_err sign_text(struct world *w, const struct id *id, const char *text)
{
	return sign(w, id,
		&(struct sign_wish){ .data = slice_of(text),
			.parameters = { .digital_signature_algorithm = 0x0e } },
		NULL);
}

static kf_err add_grant_as(struct world *w, const struct admin_grant *g)
{
	const struct who was = w->who;
	be(w, "root", true);
	struct ttlv_writer q = question(w);
	grant_add_put_request(&q, g);
	const kf_err err = ask(w, KMIP_OPERATION_GRANT_ADD);
	w->who = was;
	return err;
}

static kf_err add_grant(struct world *w, const char *who, const char *key,
	uint32_t permissions, uint32_t constraints)
{
	return add_grant_as(w, &(struct admin_grant){ .who = slice_of(who),
				       .key = slice_of(key),
				       .permissions = permissions,
				       .constraints = constraints });
}

/* --- what counts against grants beside what a request is about --- */

static struct {
	uint32_t permissions[8]; /* of the grants, in their order */
	unsigned n;
	uint32_t used_up; /* the grant for these refuses */
} charged;

static kf_err note_charge(struct op_call *call, const struct grant_row *g)
{
	charged.permissions[charged.n++ % 8] = g->permissions;
	(void)call;
	return g->permissions & charged.used_up ? kf_fail(GRANT_RATE, "as asked for")
						: KF_OK;
}

static kf_err add_limited(
	struct world *w, const char *who, const char *key, uint32_t permissions)
{
	return add_grant_as(w, &(struct admin_grant){ .who = slice_of(who),
				       .key = slice_of(key),
				       .permissions = permissions,
				       .rate_per_hour = 1 });
}

/* From now on, what refuses, and nothing was counted. */
static void count_charges(struct world *w, uint32_t used_up)
{
	w->call->charge = note_charge;
	charged.n = 0;
	charged.used_up = used_up;
}

/* Which ones were counted since, all of them once. */
static bool were_charged(uint32_t permissions)
{
	uint32_t all = 0, twice = 0;
	for (unsigned i = 0; i < charged.n && i < 8; i++) {
		twice |= all & charged.permissions[i];
		all |= charged.permissions[i];
	}
	return charged.n <= 8 && !twice && all == permissions;
}

/* What most tests begin with: alice may create and register. */
static kf_err let_alice_create(struct world *w)
{
	return add_grant(w, "alice", "*", PERM_CREATE | PERM_REGISTER, 0);
}

/* Not every test uses every helper. */
__attribute__((unused)) static void world_helpers(void)
{
	(void)create_p256;
	(void)put_create;
	(void)create_object;
	(void)add_symmetric;
	(void)create_aes;
	(void)activate;
	(void)revoke;
	(void)destroy;
	(void)get;
	(void)state_of;
	(void)located_by_name;
	(void)sign_text;
	(void)meanwhile;
	(void)let_alice_create;
	(void)ask_wrapped;
	(void)add_limited;
	(void)count_charges;
	(void)were_charged;
	(void)register_object;
}
