/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Verify, with a public key object, or with the public half of a private key.
 */
#include "kmip/signature_verify.h"
#include "op/parameters.h"
#include "op/public.h"
#include "op/step.h"

struct verify_call {
	struct signature_verify_request q;
	bool is_valid;
};

kf_err op_signature_verify_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct verify_call *v = OP_REQUEST(call, struct verify_call);

	KF_TRY(signature_verify_get_request(&r, &v->q));
	return op_name_object(call, &v->q.uid);
}

static kf_err check_parts(const struct signature_verify_request *q)
{
	if (q->correlation_value.n || (q->init_indicator && !q->final_indicator))
		return kf_fail(FEATURE, "verifying in several parts");
	if (q->has_data && q->has_digested_data)
		return kf_fail(INVALID_FIELD, "both Data and Digested Data");
	if (!q->has_data && !q->has_digested_data)
		return kf_fail(MISSING, "neither Data nor Digested Data");
	return KF_OK;
}

/* A PSS signature says how long its salt is to whoever opens it, and the request need not say it: what
 * others use by default is tried, the digest's length first. */
static kf_err verify_any_salt(const struct pubkey *key, struct signature *s)
{
	const int modulus = (int)(pubkey_alg(key)->bits / 8);
	const int salts[] = { SALT_AS_DIGEST, 20, 0,
		modulus - (int)hash_get(s->mech->hash)->size - 2 };
	kf_err err = KF_OK;

	for (size_t i = 0; i < sizeof(salts) / sizeof(*salts); i++) {
		s->salt = salts[i];
		err = pubkey_verify(key, s);
		if (!kf_is(err, KF_E_CRYPTO))
			return err;
	}
	return err;
}

static kf_err verify_by(const struct pubkey *key, struct signature *s,
	const struct cryptographic_parameters *p)
{
	if (s->mech->scheme == SCHEME_RSA_PSS && !p->has_salt_length)
		return verify_any_salt(key, s);
	return pubkey_verify(key, s);
}

static kf_err verify(struct op_call *call)
{
	struct verify_call *v = OP_REQUEST(call, struct verify_call);
	const struct signature_verify_request *q = &v->q;
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	struct signature s = { .salt = SALT_AS_DIGEST, .sig = q->signature };

	KF_TRY(op_check_use(call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY));
	KF_TRY(check_parts(q));
	KF_TRY(op_public_key(call, &key));
	const struct cryptographic_parameters p =
		parameters_of(call->object, q->has_parameters, &q->parameters);
	KF_TRY(parameters_to_mech(&p, pubkey_alg(key)->family, &s.mech, &s.salt));
	call->mechanism = mech_name(s.mech);
	s.is_digest = q->has_digested_data;
	s.data = q->has_digested_data ? q->digested_data : q->data;
	const kf_err err = verify_by(key, &s, &p);
	if (!kf_ok(err) && !kf_is(err, KF_E_CRYPTO))
		return err;
	v->is_valid = kf_ok(err);
	return KF_OK;
}

enum op_next op_signature_verify_start(struct op_call *call)
{
	return op_then(call, verify(call), OP_ANSWER);
}

void op_signature_verify_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct verify_call *v = OP_REQUEST(call, struct verify_call);
	signature_verify_put_response(
		w, &(struct signature_verify_response){
			   .uid = op_uid(call),
			   .validity = v->is_valid ? KMIP_VALIDITY_INDICATOR_VALID
						   : KMIP_VALIDITY_INDICATOR_INVALID,
		   });
}
