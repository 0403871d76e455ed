/* SPDX-License-Identifier: Apache-2.0
 *
 * Register.  What comes is kept byte for byte.  Keys of algorithms and formats that we know are
 * checked: that they can be read, that the numbers belong together, and that the attributes say the
 * same; checking a private RSA key is slow, so a worker does it.  Others are kept as they are.
 */
#include "kmip/register.h"
#include "op/certificate.h"
#include "op/make.h"
#include "op/material.h"
#include <string.h>

struct register_call {
	struct register_request q;
	struct make make;
};

static struct register_call *register_of(struct op_call *call)
{
	return OP_REQUEST(call, struct register_call);
}

kf_err op_register_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return register_get_request(&r, &register_of(call)->q, &call->attrs);
}

/* --- the key and what is said about it --- */

static bool is_checked_format(const struct key_block *b)
{
	return b->has_value && !b->is_wrapped && !b->is_transparent &&
	       (b->format == KEY_RAW || b->format == KEY_PKCS1 ||
		       b->format == KEY_PKCS8 || b->format == KEY_X509 ||
		       b->format == KEY_EC_PRIVATE);
}

static kf_err read_private(
	const struct key_block *b, const struct alg *alg, const struct alg **ret)
{
	struct keypair pair = { 0 };

	KF_TRY(keypair_from_format((enum key_format)b->format, b->material, alg, &pair));
	*ret = pair.alg;
	keypair_free(&pair);
	return KF_OK;
}

static kf_err read_public(
	const struct key_block *b, const struct alg *alg, const struct alg **ret)
{
	autobuf spki = buf_new(SPKI_MAX);
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;

	KF_TRY(public_from_format((enum key_format)b->format, b->material, alg, &spki));
	KF_TRY(pubkey_parse(buf_slice(&spki), &key));
	*ret = pubkey_alg(key);
	return KF_OK;
}

static bool is_same_algorithm(uint32_t said, const struct alg *is)
{
	const bool is_ec = is->family == FAMILY_EC &&
			   (said == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ||
				   said == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
				   said == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH);
	return !said || is_ec || said == is->kmip_algorithm;
}

static kf_err check_said(struct make *m, const struct alg *is)
{
	if (!is_same_algorithm(m->algorithm, is) ||
		(m->length && m->length != (int32_t)is->bits))
		return kf_fail(INVALID_FIELD, "the key is not what it is said to be");
	m->algorithm = m->algorithm ? m->algorithm : is->kmip_algorithm;
	m->length = (int32_t)is->bits;
	/* A length alone stands for the first curve of that length. */
	if (is != alg_by_kmip(m->algorithm, 0, is->bits))
		m->curve = is;
	return KF_OK;
}

/* The curve that the attributes name; of a key that has a form of its own the length says nothing. */
static const struct alg *said_alg(const struct register_call *g)
{
	struct ttlv_item it;
	uint32_t curve = 0;
	if (attrs_find(buf_slice(&g->make.attrs), TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, 0,
		    &it))
		(void)attrs_get_enum(it.value, TAG_RECOMMENDED_CURVE, &curve);
	const struct alg *said =
		alg_by_kmip(g->make.algorithm, curve, (uint32_t)g->make.length);
	bool is_guess = said && said->family == FAMILY_EC && !curve &&
			g->q.object.block.format != KMIP_KEY_FORMAT_TYPE_RAW;
	return is_guess ? NULL : said;
}

/* A key that cannot be read may be one of an algorithm that we do not know: kept, never used. */
static kf_err check_asymmetric(struct op_call *call)
{
	struct register_call *g = register_of(call);
	const struct kmip_object *o = &g->q.object;
	const struct alg *is = NULL;

	if (!is_checked_format(&o->block))
		return KF_OK;
	const struct alg *said = said_alg(g);
	const kf_err err = o->type == OBJECT_PRIVATE_KEY
				   ? read_private(&o->block, said, &is)
				   : read_public(&o->block, said, &is);
	if (kf_is(err, KF_E_KEY_FORMAT) && !said)
		return KF_OK;
	KF_TRY(err);
	if (o->type == OBJECT_PRIVATE_KEY)
		KF_TRY(op_check_legacy(call, is));
	return check_said(&g->make, is);
}

static kf_err check_symmetric(const struct register_call *g)
{
	const struct key_block *b = &g->q.object.block;
	const bool has_parity = g->make.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES ||
				g->make.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DES;

	if (b->format != KMIP_KEY_FORMAT_TYPE_RAW || !b->has_value || b->is_wrapped)
		return KF_OK;
	if (!b->material.n)
		return kf_fail(INVALID_FIELD, "an empty key");
	if (g->make.length && !has_parity && (size_t)g->make.length != b->material.n * 8)
		return kf_fail(INVALID_FIELD, "Cryptographic Length is not the key's");
	return KF_OK;
}

/* --- describing it --- */

/* What the Key Block says holds where the attributes say nothing; they may not contradict. */
static kf_err merge_key_block(struct make *m, const struct key_block *b)
{
	uint32_t algorithm = 0;
	int32_t length = 0;
	const struct slice attrs = buf_slice(&m->attrs);

	(void)attrs_get_enum(attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, &algorithm);
	(void)attrs_get_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, &length);
	if ((algorithm && b->algorithm && algorithm != b->algorithm) ||
		(length && b->length && length != b->length))
		return kf_fail(INVALID_FIELD, "attributes and Key Block contradict");
	m->algorithm = algorithm ? algorithm : b->algorithm;
	m->length = length ? length : b->length;
	m->format = b->format;
	make_digest(m, b->material);
	return KF_OK;
}

static kf_err describe(struct op_call *call)
{
	struct register_call *g = register_of(call);
	const struct kmip_object *o = &g->q.object;
	struct make *m = &g->make;

	*m = make_new(call, (enum object_type)o->type);
	memcpy(call->object_id, m->id, OBJECT_ID_SIZE); /* for the record */
	buf_add_slice(&m->attrs, g->q.attributes);
	buf_add_slice(&m->material, o->item);
	KF_TRY(make_check(call, m));
	if (o->block.format == KMIP_KEY_FORMAT_TYPE_TOKEN)
		return kf_fail(KEY_FORMAT, "keys on tokens are adopted, not registered");
	switch ((int)o->type) {
	case OBJECT_SYMMETRIC_KEY:
	case OBJECT_PUBLIC_KEY:
	case OBJECT_PRIVATE_KEY:
	case OBJECT_SPLIT_KEY:
	case OBJECT_SECRET_DATA:
	case OBJECT_PGP_KEY: return merge_key_block(m, &o->block);
	case OBJECT_CERTIFICATE: return certificate_describe(o, m);
	default: make_digest(m, o->value); return KF_OK;
	}
}

static enum op_next finish(struct op_call *call)
{
	struct make *m = &register_of(call)->make;
	const kf_err err = make_object(call, m);

	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return op_then(call, err, OP_COMMIT);
}

static enum op_next work(struct op_call *call)
{
	const kf_err err = check_asymmetric(call);
	return kf_ok(err) ? finish(call) : op_then(call, err, OP_FAIL);
}

static void free_make(struct op_call *call) { make_free(&register_of(call)->make); }

enum op_next op_register_start(struct op_call *call)
{
	const struct register_call *g = register_of(call);
	const uint32_t type = g->q.object.type;

	call->work = work;
	call->release = free_make;
	kf_err err = describe(call);
	if (kf_ok(err) && (type == OBJECT_PRIVATE_KEY || type == OBJECT_PUBLIC_KEY))
		return op_then(call, err, OP_WORK);
	if (kf_ok(err) && type == OBJECT_SYMMETRIC_KEY)
		err = check_symmetric(g);
	return kf_ok(err) ? finish(call) : op_then(call, err, OP_FAIL);
}

void op_register_answer(struct op_call *call, struct ttlv_writer *w)
{
	register_put_response(w, &(struct register_response){ .uid = op_uid(call) });
}
