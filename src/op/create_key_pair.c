/* SPDX-License-Identifier: Apache-2.0
 *
 * Create Key Pair.  Generating an RSA key takes a tenth of a second and more: a worker does it.
 */
#include "crypt/keygen.h"
#include "op/attr_rule.h"
#include "op/material.h"
#include "op/pair.h"
#include "op/replace.h"
#include <string.h>

kf_err op_create_key_pair_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return create_key_pair_get_request(&r, &pair_of(call)->q, &call->attrs);
}

/* --- which kind of key --- */

/* Any of the three sets may say it. */
static uint32_t asked_for(
	const struct create_key_pair_request *q, uint32_t (*get)(struct slice set))
{
	const uint32_t common = get(q->common);
	const uint32_t of_private = get(q->private_key);
	return common ? common : of_private ? of_private : get(q->public_key);
}

static uint32_t algorithm_in(struct slice set)
{
	uint32_t v = 0;
	(void)attrs_get_enum(set, TAG_CRYPTOGRAPHIC_ALGORITHM, &v);
	return v;
}

static uint32_t length_in(struct slice set)
{
	int32_t v = 0;
	(void)attrs_get_int(set, TAG_CRYPTOGRAPHIC_LENGTH, &v);
	return (uint32_t)v;
}

static uint32_t curve_in(struct slice set)
{
	struct ttlv_item it;
	uint32_t v = 0;
	if (attrs_find(set, TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, 0, &it))
		(void)attrs_get_enum(it.value, TAG_RECOMMENDED_CURVE, &v);
	return v;
}

static kf_err choose_alg(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	const uint32_t algorithm = asked_for(&p->q, algorithm_in);

	if (!algorithm)
		return kf_fail(MISSING, "Cryptographic Algorithm");
	p->alg = alg_by_kmip(
		algorithm, asked_for(&p->q, curve_in), asked_for(&p->q, length_in));
	return p->alg ? op_check_legacy(call, p->alg)
		      : kf_fail(INVALID_FIELD, "no such algorithm, curve or length");
}

/* --- the two objects --- */

static bool wants_quantum_safe(struct slice attrs)
{
	bool is_wanted = false;
	return attrs_get_bool(attrs, TAG_QUANTUM_SAFE, &is_wanted) && is_wanted;
}

/* What is said of one half holds against what is said of both. */
static void add_common(struct buf *into, struct slice common, struct slice own)
{
	struct ttlv_reader r = ttlv_read(common);
	struct ttlv_item it;

	while (ttlv_next(&r, &it)) {
		const struct attr_info *info = attr_info(it.tag);
		if (!info || info->is_multi || !attrs_count(own, it.tag))
			attrs_add_item(into, it.whole);
	}
}

/* RSA keys are kept as PKCS#1, the standard's default for them, if nothing else is said. */
static kf_err choose_format(struct make *m, const struct alg *alg)
{
	static const uint32_t rsa_private[] = { KMIP_KEY_FORMAT_TYPE_PKCS_1,
		KMIP_KEY_FORMAT_TYPE_PKCS_8, 0 };
	static const uint32_t rsa_public[] = { KMIP_KEY_FORMAT_TYPE_PKCS_1,
		KMIP_KEY_FORMAT_TYPE_X_509, 0 };
	static const uint32_t ec_private[] = { KMIP_KEY_FORMAT_TYPE_PKCS_8,
		KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY, 0 };
	static const uint32_t other_private[] = { KMIP_KEY_FORMAT_TYPE_PKCS_8, 0 };
	static const uint32_t other_public[] = { KMIP_KEY_FORMAT_TYPE_X_509, 0 };

	if (m->type == OBJECT_PUBLIC_KEY)
		return make_choose_format(
			m, alg->family == FAMILY_RSA ? rsa_public : other_public);
	return make_choose_format(m, alg->family == FAMILY_RSA  ? rsa_private
				     : alg->family == FAMILY_EC ? ec_private
								: other_private);
}

static kf_err describe(
	struct op_call *call, struct make *m, struct slice own, enum object_type type)
{
	const struct pair_call *p = pair_of(call);

	*m = make_new(call, type);
	m->replaces = type == OBJECT_PRIVATE_KEY ? p->old_private : p->old_public;
	add_common(&m->attrs, p->q.common, own);
	buf_add_slice(&m->attrs, own);
	KF_TRY(make_check(call, m));
	if (m->replaces)
		replace_describe(call, m);
	KF_TRY(choose_format(m, p->alg));
	if (wants_quantum_safe(buf_slice(&m->attrs)))
		return kf_fail(QUANTUM, "no algorithm of ours is quantum safe");
	m->curve = p->alg;
	m->algorithm = p->alg->kmip_algorithm;
	m->length = (int32_t)p->alg->bits;
	m->is_generated = true;
	m->is_secret_by_default = type == OBJECT_PRIVATE_KEY;
	m->usage = type == OBJECT_PRIVATE_KEY ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN
					      : KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY;
	return KF_OK;
}

static kf_err check_names_differ(const struct pair_call *p)
{
	struct slice mine;
	const struct slice a = buf_slice(&p->private_key.attrs);
	const struct slice b = buf_slice(&p->public_key.attrs);

	for (size_t i = 0; attrs_get_name(a, i, &mine); i++)
		if (attrs_has_name(b, mine))
			return kf_fail(
				NAME_NOT_UNIQUE, "one name for both halves of a pair");
	return KF_OK;
}

kf_err pair_describe(struct op_call *call)
{
	struct pair_call *p = pair_of(call);

	KF_TRY(describe(call, &p->private_key, p->q.private_key, OBJECT_PRIVATE_KEY));
	KF_TRY(describe(call, &p->public_key, p->q.public_key, OBJECT_PUBLIC_KEY));
	KF_TRY(check_names_differ(p));
	if (!p->old_private) /* for the record */
		memcpy(call->object_id, p->private_key.id, OBJECT_ID_SIZE);
	attrs_add_link(&p->private_key.attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK,
		slice_of(p->public_key.id));
	attrs_add_link(&p->public_key.attrs, KMIP_LINK_TYPE_PRIVATE_KEY_LINK,
		slice_of(p->private_key.id));
	return KF_OK;
}

/* --- the worker's part --- */

static kf_err finish(struct op_call *call, struct make *m, struct slice der)
{
	KF_TRY(material_make(
		&(struct material_key){
			.object_type = m->type,
			.format = m->format,
			.algorithm = m->algorithm,
			.length = m->length,
			.bytes = der,
		},
		&m->material));
	make_digest(m, der);
	return make_object(call, m);
}

kf_err pair_finish_public(struct op_call *call, struct slice spki)
{
	struct pair_call *p = pair_of(call);
	struct make *m = &p->public_key;
	autobuf der = buf_new(SPKI_MAX);

	if (p->alg->family != FAMILY_RSA)
		return finish(call, m, spki);
	KF_TRY(public_to_format(spki, KEY_PKCS1, &der));
	if (m->format == KMIP_KEY_FORMAT_TYPE_PKCS_1)
		return finish(call, m, buf_slice(&der));
	make_default_digest(m, buf_slice(&der), KMIP_KEY_FORMAT_TYPE_PKCS_1);
	return finish(call, m, spki);
}

kf_err pair_finish_token(struct op_call *call, struct slice material)
{
	pair_of(call)->private_key.format = KMIP_KEY_FORMAT_TYPE_TOKEN;
	return finish(call, &pair_of(call)->private_key, material);
}

kf_err pair_replace_old(struct op_call *call)
{
	const struct pair_call *p = pair_of(call);
	if (p->old_private)
		KF_TRY(replace_old(call, p->old_private, p->private_key.id));
	if (p->old_public)
		KF_TRY(replace_old(call, p->old_public, p->public_key.id));
	return KF_OK;
}

static kf_err finish_private(struct op_call *call, struct slice pkcs8)
{
	struct pair_call *p = pair_of(call);
	struct make *m = &p->private_key;
	const bool is_rsa = p->alg->family == FAMILY_RSA;
	const bool is_pkcs8 = m->format == KMIP_KEY_FORMAT_TYPE_PKCS_8;
	autobuf der = buf_new(PKCS8_MAX);

	if (is_pkcs8 && !is_rsa)
		return finish(call, m, pkcs8);
	KF_TRY(private_to_format(pkcs8, is_rsa ? KEY_PKCS1 : KEY_EC_PRIVATE, &der));
	if (!is_pkcs8)
		return finish(call, m, buf_slice(&der));
	make_default_digest(m, buf_slice(&der), KMIP_KEY_FORMAT_TYPE_PKCS_1);
	return finish(call, m, pkcs8);
}

static kf_err generate(struct op_call *call)
{
	struct keypair pair = { 0 };

	KF_TRY(pair_replace_old(call));
	KF_TRY(keypair_generate(pair_of(call)->alg, &pair));
	kf_err err = finish_private(call, buf_slice(&pair.pkcs8));
	if (kf_ok(err))
		err = pair_finish_public(call, buf_slice(&pair.spki));
	keypair_free(&pair);
	return err;
}

void pair_free(struct op_call *call)
{
	pair_leave_tokens(call);
	make_free(&pair_of(call)->private_key);
	make_free(&pair_of(call)->public_key);
}

static enum op_next work(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	const kf_err err = generate(call);

	memcpy(call->placeholder, p->private_key.id, OBJECT_ID_SIZE);
	return op_then(call, err, OP_COMMIT);
}

enum op_next pair_start(struct op_call *call)
{
	call->work = work;
	kf_err e = choose_alg(call);
	if (kf_ok(e) && pair_is_for_tokens(call))
		return pair_start_on_tokens(call);
	if (kf_ok(e))
		e = pair_describe(call);
	call->is_long = kf_ok(e) && pair_of(call)->alg->family == FAMILY_RSA;
	return op_then(call, e, OP_WORK);
}

static kf_err check_wishes(const struct create_key_pair_request *q)
{
	KF_TRY(attr_rule_check_wishes(q->common, attr_key_wishes));
	KF_TRY(attr_rule_check_wishes(q->private_key, attr_key_wishes));
	return attr_rule_check_wishes(q->public_key, attr_key_wishes);
}

enum op_next op_create_key_pair_start(struct op_call *call)
{
	call->release = pair_free;
	const kf_err e = check_wishes(&pair_of(call)->q);
	return kf_ok(e) ? pair_start(call) : op_then(call, e, OP_FAIL);
}

void op_create_key_pair_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct pair_call *p = pair_of(call);
	create_key_pair_put_response(
		w, &(struct create_key_pair_response){
			   .private_key = kmip_uid_text(slice_of(p->private_key.id)),
			   .public_key = kmip_uid_text(slice_of(p->public_key.id)),
		   });
}
