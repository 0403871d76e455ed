/* SPDX-License-Identifier: Apache-2.0 */
#include "op/take.h"
#include "op/attr_rule.h"
#include "op/certificate.h"
#include "op/key_file.h"
#include "op/material.h"
#include "op/template.h"
#include "op/token_step.h"
#include "op/transparent.h"
#include <stdlib.h>
#include <string.h>

static struct taking *taking_of(struct op_call *call)
{
	return OP_REQUEST(call, struct taking);
}

void taking_free(struct taking *t)
{
	make_free(&t->make);
	buf_free(&t->plain);
	if (t->unwrapping)
		unwrapping_clear(t->unwrapping);
	free(t->unwrapping);
	t->unwrapping = NULL;
	key_file_free(t->file);
	t->file = NULL;
}

/* --- the key and what is said about it --- */

static bool is_checked_format(const struct key_block *b)
{
	return b->has_value && !b->is_wrapped &&
	       (b->is_transparent || b->format == KEY_RAW || b->format == KEY_PKCS1 ||
		       b->format == KEY_PKCS8 || b->format == KEY_X509 ||
		       b->format == KEY_EC_PRIVATE);
}

static kf_err parse_private(
	const struct key_block *b, const struct alg *alg, struct keypair *ret)
{
	autobuf pkcs8 = buf_new(PKCS8_MAX);

	if (!b->is_transparent)
		return keypair_from_format(
			(enum key_format)b->format, b->material, alg, ret);
	KF_TRY(transparent_to_pkcs8(b, &pkcs8));
	return keypair_from_format(KEY_PKCS8, buf_slice(&pkcs8), alg, ret);
}

static kf_err read_private(
	const struct key_block *b, const struct alg *alg, const struct alg **ret)
{
	struct keypair pair = { 0 };

	KF_TRY(parse_private(b, alg, &pair));
	*ret = pair.alg;
	keypair_free(&pair);
	return KF_OK;
}

static kf_err read_public(
	const struct key_block *b, const struct alg *alg, const struct alg **ret)
{
	autobuf spki = buf_new(SPKI_MAX);
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;

	if (b->is_transparent)
		KF_TRY(transparent_to_spki(b, &spki));
	else
		KF_TRY(public_from_format(
			(enum key_format)b->format, b->material, alg, &spki));
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
static const struct alg *said_alg(const struct taking *g)
{
	struct ttlv_item it;
	uint32_t curve = 0;
	if (attrs_find(buf_slice(&g->make.attrs), TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, 0,
		    &it))
		(void)attrs_get_enum(it.value, TAG_RECOMMENDED_CURVE, &curve);
	const struct alg *said =
		alg_by_kmip(g->make.algorithm, curve, (uint32_t)g->make.length);
	bool is_guess = said && said->family == FAMILY_EC && !curve &&
			g->object.block.format != KMIP_KEY_FORMAT_TYPE_RAW;
	return is_guess ? NULL : said;
}

/* A key that cannot be read may be one of an algorithm that we do not know: kept, never used.  So is one
 * that is too weak. */
static kf_err check_asymmetric(struct op_call *call)
{
	struct taking *g = taking_of(call);
	const struct kmip_object *o = &g->object;
	const struct alg *is = NULL;

	if (!is_checked_format(&o->block))
		return KF_OK;
	const struct alg *said = said_alg(g);
	const kf_err err = o->type == OBJECT_PRIVATE_KEY
				   ? read_private(&o->block, said, &is)
				   : read_public(&o->block, said, &is);
	if (kf_is(err, KF_E_KEY_FORMAT) && (!said || o->block.is_transparent))
		return KF_OK;
	KF_TRY(err);
	if (o->type == OBJECT_PUBLIC_KEY)
		KF_TRY(material_check_compression(&o->block, is));
	return check_said(&g->make, is);
}

static kf_err check_symmetric(const struct taking *g)
{
	const struct key_block *b = &g->object.block;
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
	if (b->has_value)
		make_digest(m, b->material);
	else
		attrs_set_bool(&m->attrs, TAG_KEY_VALUE_PRESENT, false);
	return KF_OK;
}

static bool is_asymmetric(const struct taking *t)
{
	return t->object.type == OBJECT_PRIVATE_KEY ||
	       t->object.type == OBJECT_PUBLIC_KEY;
}

static kf_err describe(struct taking *t)
{
	const struct kmip_object *o = &t->object;
	struct make *m = &t->make;

	switch ((int)o->type) {
	case OBJECT_SYMMETRIC_KEY:
	case OBJECT_PUBLIC_KEY:
	case OBJECT_PRIVATE_KEY:
	case OBJECT_SPLIT_KEY:
	case OBJECT_SECRET_DATA:
	case OBJECT_PGP_KEY: return merge_key_block(m, &o->block);
	case OBJECT_CERTIFICATE: return certificate_describe(o, m);
	case OBJECT_CERTIFICATE_REQUEST: return certificate_describe_request(o, m);
	case OBJECT_TEMPLATE: return KF_OK;
	default: make_digest(m, o->value); return KF_OK;
	}
}

/* --- unwrapping it --- */

static kf_err find_keys(struct op_call *call)
{
	struct taking *t = taking_of(call);
	const struct key_block *kb = &t->object.block;
	bool is_known = false;

	if (!kb->is_wrapped || t->keeps_wrapped)
		return KF_OK;
	struct unwrapping *u = calloc(1, sizeof(*u));
	if (!u)
		return kf_fail(NOMEM, "key wrapping");
	const kf_err err = kmip_object_is_kept_whole(t->object.type)
				   ? KF_OK
				   : op_unwrap_find(call, kb, u, &is_known);
	if (is_known)
		t->unwrapping = u;
	else
		free(u);
	KF_TRY(err);
	if (t->must_unwrap && !is_known)
		return kf_fail(WRAP_TYPE, "the key is wrapped by a key that is not here");
	return KF_OK;
}

/* The store has the usable key, and behind it the object as it was registered. */
static kf_err unwrap(struct op_call *call)
{
	struct taking *t = taking_of(call);
	struct buf *to = &t->make.material;

	if (t->unwrapping) {
		struct ttlv_writer w = ttlv_write(to, 0);
		t->plain = buf_new(call->server->message_max);
		KF_TRY(op_unwrap(call, t->unwrapping, &t->object.block, &t->plain));
		kmip_object_put(&w, &t->object);
		KF_TRY(ttlv_written(&w));
		if (t->must_unwrap)
			return KF_OK;
	}
	buf_add_slice(to, t->object.item);
	return buf_err(to);
}

/* --- all of it --- */

static kf_err prepare(struct op_call *call)
{
	struct taking *t = taking_of(call);

	memcpy(call->object_id, t->make.id, OBJECT_ID_SIZE); /* for the record */
	t->make.is_foreign = true;
	/* Import brings back what a server has set. */
	if (!t->make.is_import)
		KF_TRY(attr_rule_check_wishes(t->attributes, attr_no_wishes));
	buf_add_slice(&t->make.attrs, t->attributes);
	if (t->object.type == OBJECT_TEMPLATE)
		KF_TRY(template_check(call, &t->object, &t->make.attrs));
	KF_TRY(make_check(call, &t->make));
	if (t->object.block.format == KMIP_KEY_FORMAT_TYPE_TOKEN)
		return kf_fail(KEY_FORMAT, "keys on tokens are adopted, not registered");
	KF_TRY(key_file_find(call, t));
	return find_keys(call);
}

/* Key Format Type and Digest are those of the file, as it was registered. */
static kf_err settle(struct op_call *call)
{
	struct taking *t = taking_of(call);

	if (t->file) {
		KF_TRY(describe(t));
		return key_file_open(call, t);
	}
	KF_TRY(unwrap(call));
	return describe(t);
}

/* A symmetric key's default format is Raw, that of RSA keys PKCS#1.  In 1.x the one that it was registered in is
 * enough (TC-181, TC-182; 2.x: TC-DIGESTS-1, TC-IMPEXP-4). */
static void add_default_digest(const struct op_call *call, struct taking *t)
{
	struct kmip_object o = t->object;
	autobuf bytes = buf_new(call->server->message_max);
	const bool is_rsa =
		is_asymmetric(t) && t->make.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
	const uint32_t format =
		is_rsa ? KMIP_KEY_FORMAT_TYPE_PKCS_1 : KMIP_KEY_FORMAT_TYPE_RAW;

	if (!kmip_is_2(call->version) || t->file || o.block.format == format ||
		(!is_rsa && o.type != OBJECT_SYMMETRIC_KEY))
		return;
	if (kf_ok(material_convert(&o, format, said_alg(t), &bytes)))
		make_default_digest(&t->make, buf_slice(&bytes), format);
}

static kf_err check(struct op_call *call)
{
	const struct taking *t = taking_of(call);

	if (is_asymmetric(t))
		return check_asymmetric(call);
	return t->object.type == OBJECT_SYMMETRIC_KEY ? check_symmetric(t) : KF_OK;
}

static kf_err complete(struct op_call *call)
{
	KF_TRY(settle(call));
	KF_TRY(check(call));
	add_default_digest(call, taking_of(call));
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	const kf_err err = complete(call);
	return kf_ok(err) ? taking_of(call)->finish(call) : op_then(call, err, OP_FAIL);
}

static bool is_for_worker(const struct taking *t)
{
	const bool is_parsed = t->object.type == OBJECT_CERTIFICATE ||
			       t->object.type == OBJECT_CERTIFICATE_REQUEST;
	return is_asymmetric(t) ||
	       (is_parsed && t->object.value.n > CERTIFICATE_INLINE_MAX) ||
	       (t->unwrapping && !unwrapping_is_quick(t->unwrapping));
}

enum op_next take_start(struct op_call *call)
{
	struct taking *t = taking_of(call);
	const kf_err err = prepare(call);

	call->work = work;
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	if (t->unwrapping && unwrapping_waits_for_tokens(t->unwrapping))
		return op_token_work(call, work);
	call->is_long = t->file != NULL; /* its password is stretched */
	return is_for_worker(t) ? OP_WORK : work(call);
}
