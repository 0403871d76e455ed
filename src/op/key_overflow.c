/* SPDX-License-Identifier: Apache-2.0
 *
 * Key Overflow: the copy in software of a key on tokens, given or taken away.  For the administrator.
 */
#include "crypt/keygen.h"
#include "op/material.h"
#include "op/token_key.h"
#include "op/token_step.h"
#include <openssl/sha.h>
#include <string.h>

kf_err op_key_overflow_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct key_overflow *q = OP_REQUEST(call, struct key_overflow);
	KF_TRY(key_overflow_get_request(&r, q));
	call->mechanism =
		q->key.n ? "overflow-copy" : "no-overflow-copy"; /* for the record */
	return op_name_object(call, &q->uid);
}

/* What software does nobody counts. */
static kf_err check_counter(const struct op_call *call)
{
	const struct object *o = call->object;
	const bool counts =
		token_attribute(o->attrs, TOKEN_ATTRIBUTE_COUNTER).n ||
		pool_key_counts(call->server->pools, pool_key_pool(o->key), o->key->id);
	return counts ? kf_fail(DENIED,
				"its token counts the uses of this key: a copy in "
				"software would be used without being counted")
		      : KF_OK;
}

/* A copy that would never be used is only a risk. */
static kf_err prepare(const struct op_call *call)
{
	const struct key_overflow *q =
		OP_REQUEST((struct op_call *)(uintptr_t)call, struct key_overflow);
	const struct object *o = call->object;
	KF_TRY(op_check_material(o, call->now_s));
	if (o->type != OBJECT_PRIVATE_KEY || !o->key || !pool_key_is(o->key))
		return kf_fail(INVALID_FIELD, "this is no private key on tokens");
	if (!q->key.n)
		return KF_OK;
	KF_TRY(op_token_check(call, pool_key_pool(o->key), false));
	KF_TRY(check_counter(call));
	return pool_overflows(call->server->pools, pool_key_pool(o->key))
		       ? KF_OK
		       : kf_fail(DENIED,
				 "[pool] overflow = never: its keys are on tokens "
				 "only");
}

/* It is the key that the tokens hold, and nothing else. */
static kf_err read_copy(const struct op_call *call, struct keypair *ret)
{
	const struct key_overflow *q =
		OP_REQUEST((struct op_call *)(uintptr_t)call, struct key_overflow);
	const struct token_key *key = call->object->key;
	if (!q->key.n)
		return KF_OK;
	KF_TRY(keypair_from_format(KEY_PKCS8, q->key, key->alg, ret));
	return slice_eq(buf_slice(&ret->spki), pool_key_spki(key))
		       ? KF_OK
		       : kf_fail(KEY_FORMAT,
				 "this is another key than that of the tokens");
}

static void material_wipe(struct token_material *m) { explicit_bzero(m, sizeof(*m)); }

/* It tells the other key servers that they have to look at the material. */
static void put_digest(struct slice material, struct buf *attrs)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256(material.p, material.n, digest);
	attrs_remove_all(attrs, TAG_DIGEST);
	struct ttlv_writer w = ttlv_write(attrs, 0);
	ttlv_begin(&w, TAG_DIGEST);
	ttlv_put_enum(&w, TAG_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256);
	ttlv_put_bytes(&w, TAG_DIGEST_VALUE, (struct slice){ digest, sizeof(digest) });
	ttlv_put_enum(&w, TAG_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_TOKEN);
	ttlv_end(&w);
}

static kf_err make_material(struct op_call *call, struct slice copy, struct buf *ret)
{
	autobuf was = buf_new(call->server->message_max);
	autobuf bytes = buf_new(call->server->message_max);
	struct kmip_object k = { 0 };
	CLEANUP(material_wipe) struct token_material m = { 0 };
	KF_TRY(store_unseal(call->server->store, call->object, &was));
	KF_TRY(kmip_object_parse(buf_slice(&was), &k));
	KF_TRY(token_material_get(k.block.material, &m));
	m.overflow = copy;
	token_material_put(&bytes, &m);
	KF_TRY(buf_err(&bytes));
	const struct material_key key = { .object_type = k.type,
		.format = k.block.format,
		.algorithm = k.block.algorithm,
		.length = k.block.length,
		.bytes = buf_slice(&bytes) };
	return material_make(&key, ret);
}

/* Shown to people; what counts is the material. */
static void put_attributes(const struct op_call *call, bool has_copy, struct buf *ret)
{
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(TOKEN_ATTRIBUTE_OVERFLOW) };
	struct ttlv_reader r = ttlv_read(call->object->attrs);
	struct ttlv_item it, old;
	bool had = attrs_find_ref(call->object->attrs, &ref, 0, &old);
	while (ttlv_next(&r, &it))
		if (!had || it.whole.p != old.whole.p)
			buf_add_slice(ret, it.whole);
	if (has_copy)
		attrs_add_vendor_text(ret, ref.vendor, ref.name, slice_of("software"));
	attrs_set_date(ret, TAG_LAST_CHANGE_DATE, call->now_s);
}

static kf_err change(struct op_call *call)
{
	CLEANUP(keypair_free) struct keypair copy = { 0 };
	autobuf attrs = buf_new(call->server->message_max);
	struct buf material = buf_new(call->server->message_max);
	KF_TRY(read_copy(call, &copy));
	put_attributes(call, copy.pkcs8.n > 0, &attrs);
	kf_err e = make_material(call, buf_slice(&copy.pkcs8), &material);
	if (kf_ok(e)) {
		put_digest(buf_slice(&material), &attrs);
		e = op_replace_object(call, &attrs, false);
	}
	if (!kf_ok(e)) {
		buf_free(&material);
		return e;
	}
	call->change.m[call->change.n - 1].object.material = material;
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	return op_then(call, change(call), OP_COMMIT);
}

enum op_next op_key_overflow_start(struct op_call *call)
{
	call->work = work;
	return op_then(call, prepare(call), OP_WORK);
}

void op_key_overflow_answer(struct op_call *call, struct ttlv_writer *w)
{
	key_overflow_put_response(w, &(struct key_overflow){ .uid = op_uid(call) });
}
