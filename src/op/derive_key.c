/* SPDX-License-Identifier: Apache-2.0
 *
 * Derive Key: a symmetric key or secret data out of others (KMIP 2.1, Derive Key).  The bytes: op/derive.c.
 */
#include "kmip/derive_key.h"
#include "op/attr_rule.h"
#include "op/derive.h"
#include "op/make.h"
#include "op/material.h"
#include "op/symmetric.h"
#include "op/token_step.h"
#include "op/usage.h"
#include <string.h>

enum { BITS_MAX = KDF_SIZE_MAX * 8, LINKS_MAX = 256, ITERATIONS_MAX = 2000000 };

struct derive_call {
	struct derive_key_request q;
	struct make make;
	struct object *other; /* the second base; owned reference, or NULL */
	size_t n; /* bytes that are asked for; 0: as many as the method gives */
};

static struct derive_call *derive_of(struct op_call *call)
{
	return OP_REQUEST(call, struct derive_call);
}

kf_err op_derive_key_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct derive_call *d = derive_of(call);

	KF_TRY(derive_key_get_request(&r, &d->q, &call->attrs));
	return op_name_object(call, &d->q.base[0]);
}

/* --- from what --- */

/* Keys that agree may be for Key Agreement instead. */
static kf_err check_base(const struct op_call *call, const struct object *o)
{
	const bool is_pair =
		o->type == OBJECT_PRIVATE_KEY || o->type == OBJECT_PUBLIC_KEY;
	return op_check_use_of(o, call->now_s, OP_PROTECT,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY |
			(is_pair ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_KEY_AGREEMENT : 0));
}

/* What an object lacks for this, KMIP 1.x does not tell apart. */
static kf_err unfit(const struct op_call *call, kf_err err)
{
	const bool is_unfit = kf_is(err, KF_E_USAGE) || kf_is(err, KF_E_STATE) ||
			      kf_is(err, KF_E_OBJECT_TYPE);
	return is_unfit && !kmip_is_2(call->version)
		       ? kf_fail(INVALID_FIELD, "nothing is derived from this object")
		       : err;
}

static kf_err find_other(struct op_call *call, struct derive_call *d)
{
	const struct object *o = NULL;

	if (d->q.bases < 2)
		return KF_OK;
	if (d->q.bases > 2)
		return kf_fail(INVALID_FIELD, "derived from two objects at most");
	KF_TRY(op_find_named(call, &d->q.base[1], &o));
	KF_TRY(op_use_other(call, o, PERM_DERIVE));
	d->other = object_ref(o);
	return unfit(call, check_base(call, o));
}

/* --- into what --- */

static kf_err check_length(const struct derive_call *d, int32_t bits)
{
	const uint32_t algorithm = d->make.algorithm;

	if (bits <= 0 || bits > BITS_MAX || bits % 8)
		return kf_fail(INVALID_FIELD, "no such Cryptographic Length");
	if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES && bits != 128 && bits != 192 &&
		bits != 256)
		return kf_fail(INVALID_FIELD, "an AES key has 128, 192 or 256 bits");
	return KF_OK;
}

static kf_err describe(struct op_call *call, struct derive_call *d)
{
	static const uint32_t of_keys[] = { KMIP_KEY_FORMAT_TYPE_RAW, 0 };
	static const uint32_t of_data[] = { KMIP_KEY_FORMAT_TYPE_OPAQUE,
		KMIP_KEY_FORMAT_TYPE_RAW, 0 };
	struct make *m = &d->make;
	int32_t bits = 0;

	if (d->q.object_type != OBJECT_SYMMETRIC_KEY &&
		d->q.object_type != OBJECT_SECRET_DATA)
		return kf_fail(
			INVALID_FIELD, "symmetric keys and secret data are derived");
	*m = make_new(call, (enum object_type)d->q.object_type);
	if (call->conflicts) /* as the record says already */
		memcpy(m->id, call->with, OBJECT_ID_SIZE);
	KF_TRY(attr_rule_check_wishes(d->q.attributes, attr_no_wishes));
	buf_add_slice(&m->attrs, d->q.attributes);
	KF_TRY(make_check(call, m));
	(void)attrs_get_enum(d->q.attributes, TAG_CRYPTOGRAPHIC_ALGORITHM, &m->algorithm);
	const bool has_length =
		attrs_get_int(d->q.attributes, TAG_CRYPTOGRAPHIC_LENGTH, &bits);
	if (m->type == OBJECT_SYMMETRIC_KEY && (!m->algorithm || !has_length))
		return kf_fail(MISSING, "Cryptographic Algorithm or Length");
	KF_TRY(make_choose_format(
		m, m->type == OBJECT_SYMMETRIC_KEY ? of_keys : of_data));
	if (has_length)
		KF_TRY(check_length(d, bits));
	m->length = bits;
	d->n = symmetric_bytes(m->algorithm, bits);
	return KF_OK;
}

static kf_err put_material(struct make *m, struct slice bytes)
{
	return material_make(
		&(struct material_key){
			.object_type = m->type,
			.secret_data_type = m->type == OBJECT_SECRET_DATA
						    ? KMIP_SECRET_DATA_TYPE_SEED
						    : 0,
			.format = m->format,
			.algorithm = m->algorithm,
			.length = m->length,
			.bytes = bytes,
		},
		&m->material);
}

/* --- links and limits --- */

static struct derivation derivation_of(struct op_call *call)
{
	const struct derive_call *d = derive_of(call);

	return (struct derivation){
		.method = d->q.method,
		.how = &d->q.how,
		.base = { call->object, d->other },
		.n = d->n,
		.iterations_max = call->server->iterations_max
					  ? call->server->iterations_max
					  : ITERATIONS_MAX,
	};
}

/* The base names what was derived from it: not if that is very much, nor if others derive from it at
 * this very moment; the derived object always names its base. */
static bool is_to_be_linked(const struct op_call *call, const struct object *base)
{
	return !call->conflicts && attrs_count(base->attrs, TAG_LINK) < LINKS_MAX;
}

static kf_err change_base(struct op_call *call, const struct object *base, size_t data)
{
	const struct derivation what = derivation_of(call);
	const bool counts = base->is_limited && op_derive_protects(&what, base);
	autobuf attrs = buf_new(call->server->message_max);

	if (!is_to_be_linked(call, base) && !counts)
		return KF_OK;
	buf_add_slice(&attrs, base->attrs);
	if (counts)
		KF_TRY(usage_take_use(&attrs, base, data));
	if (is_to_be_linked(call, base))
		attrs_add_link(&attrs, KMIP_LINK_TYPE_DERIVED_KEY_LINK,
			slice_of(derive_of(call)->make.id));
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_other(call, base, &attrs, true);
}

static kf_err link_all(struct op_call *call, struct derive_call *d, size_t data)
{
	struct buf *attrs = &d->make.attrs;

	attrs_add_link(attrs, KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK,
		slice_of(call->object->id));
	KF_TRY(change_base(call, call->object, data));
	if (!d->other || d->other == call->object)
		return KF_OK;
	attrs_add_link(attrs, KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK,
		slice_of(d->other->id));
	return change_base(call, d->other, data);
}

/* --- all of it --- */

static kf_err make(struct op_call *call)
{
	struct derive_call *d = derive_of(call);
	autobuf bytes = buf_new(KDF_SIZE_MAX);
	const struct derivation what = derivation_of(call);
	size_t data = 0;

	KF_TRY(unfit(call, op_derive(call, &what, &bytes, &data)));
	if (!d->make.length)
		d->make.length = (int32_t)bytes.n * 8;
	KF_TRY(put_material(&d->make, buf_slice(&bytes)));
	make_digest(&d->make, buf_slice(&bytes));
	KF_TRY(link_all(call, d, data));
	KF_TRY(make_object(call, &d->make));
	memcpy(call->placeholder, d->make.id, OBJECT_ID_SIZE);
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	return op_then(call, make(call), OP_COMMIT);
}

static void release(struct op_call *call)
{
	struct derive_call *d = derive_of(call);
	make_free(&d->make);
	object_unref(d->other);
	d->other = NULL;
}

static kf_err prepare(struct op_call *call)
{
	struct derive_call *d = derive_of(call);

	if (!ttlv_value_in(TTLV_KIND_DERIVATION_METHOD, d->q.method, call->version))
		return kf_fail(INVALID_FIELD, "no such Derivation Method");
	call->mechanism = ttlv_value_text(TTLV_KIND_DERIVATION_METHOD, d->q.method);
	KF_TRY(describe(call, d));
	KF_TRY(unfit(call, check_base(call, call->object)));
	KF_TRY(find_other(call, d));
	const struct derivation what = derivation_of(call);
	KF_TRY(op_derive_check(call, &what));
	/* The record is about the base, and is written before the work begins. */
	memcpy(call->with, d->make.id, OBJECT_ID_SIZE);
	return KF_OK;
}

enum op_next op_derive_key_start(struct op_call *call)
{
	call->release = release;
	call->work = work;
	const kf_err err = prepare(call);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	const struct derivation what = derivation_of(call);
	if (op_derive_waits_for_tokens(&what))
		return op_token_work(call, work);
	call->is_long = op_derive_is_long(&what);
	return op_derive_is_slow(&what) ? OP_WORK : work(call);
}

void op_derive_key_answer(struct op_call *call, struct ttlv_writer *w)
{
	derive_key_put_response(w, &(struct derive_key_response){ kmip_uid_text(
					   slice_of(derive_of(call)->make.id)) });
}
