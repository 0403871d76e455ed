/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Verify, with a public key object, a certificate, or the public half of a private key.
 */
#include "kmip/signature_verify.h"
#include "op/parameters.h"
#include "op/public.h"
#include "op/sign_parts.h"
#include "op/step.h"
#include <string.h>

/* More is hashed by a worker. */
enum { INLINE_MAX = 8192 };

struct verify_call {
	struct signature_verify_request q;
	bool has_parts, is_valid;
	bool has_next;
	struct parts *parts; /* the call's, until it is over */
	uint8_t correlation[PARTS_ID_SIZE];
};

static struct verify_call *request_of(struct op_call *call)
{
	return OP_REQUEST(call, struct verify_call);
}

static struct parts_request parts_of(const struct verify_call *v)
{
	return (struct parts_request){ v->q.correlation_value, v->q.init_indicator,
		v->q.final_indicator };
}

kf_err op_signature_verify_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct verify_call *v = request_of(call);

	KF_TRY(signature_verify_get_request(&r, &v->q));
	const struct parts_request parts = parts_of(v);
	v->has_parts = parts_are_meant(&parts);
	return parts_name_object(call, &v->q.uid, &parts);
}

static kf_err check_parts(struct op_call *call, const struct verify_call *v)
{
	const struct parts_request parts = parts_of(v);

	if (v->q.has_digested_data)
		return kf_fail(INVALID_FIELD, "Digested Data in parts");
	if (!call->server->parts)
		return kf_fail(FEATURE, "verifying in several parts");
	return parts_check(call, &parts);
}

static kf_err check(struct op_call *call, const struct verify_call *v)
{
	const struct signature_verify_request *q = &v->q;
	const bool is_end = !v->has_parts || q->final_indicator;

	KF_TRY(op_check_use(call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY));
	if (q->has_data && q->has_digested_data)
		return kf_fail(INVALID_FIELD, "both Data and Digested Data");
	if (!q->has_data && !q->has_digested_data && !v->has_parts)
		return kf_fail(MISSING, "neither Data nor Digested Data");
	if (is_end && !q->signature.n)
		return kf_fail(MISSING, "Signature Data");
	return v->has_parts ? check_parts(call, v) : KF_OK;
}

/* --- one signature --- */

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

/* Whether a PSS signature's salt may have any length, there is none said. */
enum { SALT_UNSAID = -2 };

static kf_err find_mech(
	struct op_call *call, const struct pubkey *key, struct signature *s)
{
	const struct signature_verify_request *q = &request_of(call)->q;
	struct cryptographic_parameters p =
		parameters_of(call->object, q->has_parameters, &q->parameters);

	s->salt = SALT_AS_DIGEST;
	/* Profiles 1.3, CS-AC-M-3-ECC: ECDSA has no padding, so it says nothing. */
	if (pubkey_alg(key)->family == FAMILY_EC)
		p.padding_method = 0;
	KF_TRY(parameters_to_mech(&p, pubkey_alg(key), &s->mech, &s->salt));
	if (s->mech->scheme == SCHEME_RSA_PSS && !p.has_salt_length)
		s->salt = SALT_UNSAID;
	return KF_OK;
}

static kf_err verify(struct op_call *call, const struct pubkey *key, struct signature *s)
{
	call->mechanism = mech_name(s->mech);
	const kf_err err =
		s->salt == SALT_UNSAID ? verify_any_salt(key, s) : pubkey_verify(key, s);
	if (!kf_ok(err) && !kf_is(err, KF_E_CRYPTO))
		return err;
	request_of(call)->is_valid = kf_ok(err);
	return KF_OK;
}

static kf_err work_whole(struct op_call *call, const struct pubkey *key)
{
	const struct signature_verify_request *q = &request_of(call)->q;
	struct signature s = { .sig = q->signature,
		.is_digest = q->has_digested_data,
		.data = q->has_digested_data ? q->digested_data : q->data };

	KF_TRY(find_mech(call, key, &s));
	return verify(call, key, &s);
}

/* --- in parts --- */

static void release(struct op_call *call) { parts_free(call, &request_of(call)->parts); }

static kf_err end_parts(
	struct op_call *call, const struct pubkey *key, struct signature *s)
{
	uint8_t digest[DIGEST_MAX];
	struct verify_call *v = request_of(call);

	KF_TRY(sign_parts_end(v->parts, digest, &s->data, &s->is_digest));
	return verify(call, key, s);
}

static kf_err work_part(struct op_call *call, const struct pubkey *key)
{
	struct verify_call *v = request_of(call);
	struct signature s = { .sig = v->q.signature };
	const struct parts_request parts = parts_of(v);

	if (parts.correlation_value.n)
		KF_TRY(sign_parts_mech(call, &parts, &s.mech, &s.salt));
	else
		KF_TRY(find_mech(call, key, &s));
	const struct sign_part part = { s.mech, s.salt, v->q.data, parts };
	call->release = release;
	KF_TRY(sign_parts_add(call, &part, &v->parts));
	if (parts.is_last)
		return end_parts(call, key, &s);
	memcpy(v->correlation, v->parts->id, sizeof(v->correlation));
	KF_TRY(parts_put(call, &v->parts));
	v->has_next = true;
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	kf_err err = op_public_key(call, &key);

	if (kf_ok(err))
		err = request_of(call)->has_parts ? work_part(call, key)
						  : work_whole(call, key);
	return op_then(call, err, OP_ANSWER);
}

enum op_next op_signature_verify_start(struct op_call *call)
{
	const struct verify_call *v = request_of(call);
	const kf_err err = check(call, v);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->work = work;
	return v->q.data.n <= INLINE_MAX && !op_public_is_long(call->object) ? work(call)
									     : OP_WORK;
}

static uint32_t validity(const struct verify_call *v)
{
	if (v->has_next)
		return KMIP_VALIDITY_INDICATOR_UNKNOWN;
	return v->is_valid ? KMIP_VALIDITY_INDICATOR_VALID
			   : KMIP_VALIDITY_INDICATOR_INVALID;
}

void op_signature_verify_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct verify_call *v = request_of(call);
	signature_verify_put_response(
		w, &(struct signature_verify_response){
			   .uid = op_uid(call),
			   .validity = validity(v),
			   .correlation_value = { v->correlation,
				   v->has_next ? sizeof(v->correlation) : 0 },
		   });
}
