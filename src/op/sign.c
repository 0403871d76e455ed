/* SPDX-License-Identifier: Apache-2.0
 *
 * Sign.  On the hot path: no allocation, no lock.  The job carries its bytes in itself.
 */
#include "kmip/sign.h"
#include "op/material.h"
#include "op/parameters.h"
#include "op/step.h"
#include "op/usage.h"
#include "policy/tls_shape.h"
#include <openssl/evp.h>
#include <string.h>

struct sign_call {
	struct sign_request q;
	kf_err parameters; /* why there is no mechanism */
	const struct mech *mech;
	int salt;
	bool by_csr; /* only a grant to sign certification requests lets this in */
};

kf_err op_sign_decode(struct op_call *call)
{
	struct ttlv_reader r;
	struct sign_call *s = OP_REQUEST(call, struct sign_call);

	op_start_payload(call, &r);
	KF_TRY(sign_get_request(&r, &s->q));
	return op_name_object(call, &s->q.uid);
}

static void find_mech(const struct op_call *call, struct sign_call *s)
{
	const struct object *o = call->object;
	if (!o || !o->key)
		return;
	const struct cryptographic_parameters p =
		parameters_of(o, s->q.has_parameters, &s->q.parameters);
	s->salt = SALT_AS_DIGEST;
	s->parameters = parameters_to_mech(&p, o->key->alg->family, &s->mech, &s->salt);
}

static bool is_sha1(const struct sign_call *s)
{
	return s->mech && s->mech->hash == HASH_SHA1;
}

/* The constraints that the request keeps.  Without a mechanism it comes to nothing anyway.
 *
 * A bare digest says nothing of what it is the digest of, so a key for TLS only never signs one.  Much
 * of a ServerKeyExchange is the signer's to choose, and SHA-1 collides: with it, what TLS may have
 * signed could be something else as well. */
static uint32_t kept_by(const struct sign_call *s)
{
	uint32_t kept = 0;
	if (!is_sha1(s))
		kept |= CONSTRAINT_NO_SHA1;
	if (!s->mech || s->mech->scheme != SCHEME_RSA_PKCS1)
		kept |= CONSTRAINT_PSS_ONLY;
	if (!is_sha1(s) && s->q.has_data && tls_shape_ok(s->q.data))
		kept |= CONSTRAINT_TLS_ONLY;
	return kept;
}

/* Whoever may sign certification requests alone comes in, and gets no further than that. */
struct decision op_sign_decide(struct op_call *call)
{
	struct sign_call *s = OP_REQUEST(call, struct sign_call);
	find_mech(call, s);
	struct decision d = policy_decide_sign(catalog_rights(call->server->catalog),
		call->who, call->object, kept_by(s));

	s->by_csr = policy_fall_back_to_csr(&d);
	return d;
}

static kf_err check_one_part(const struct sign_request *q)
{
	if (q->correlation_value.n || (q->init_indicator && !q->final_indicator))
		return kf_fail(FEATURE, "signing in several parts");
	if (q->has_data && q->has_digested_data)
		return kf_fail(INVALID_FIELD, "both Data and Digested Data");
	return KF_OK;
}

static kf_err refuse_broken(uint32_t unkept, const struct sign_call *s)
{
	if (unkept & CONSTRAINT_PSS_ONLY)
		return kf_fail(DENIED, "this client may have RSA sign with PSS only");
	if (unkept && is_sha1(s))
		return kf_fail(DENIED, "this client may not have SHA-1 signed");
	if (unkept && !s->q.has_data)
		return kf_fail(DENIED, "this client may not have a bare digest signed");
	return unkept ? kf_fail(DENIED, "this client may not have such data signed")
		      : KF_OK;
}

/* What only a grant for certification requests lets in is one of this very key. */
static kf_err check_csr(const struct op_call *call, const struct sign_call *s)
{
	const uint32_t other = call->decision.csr_unkept;
	const bool is_csr =
		s->q.has_data && !is_sha1(s) &&
		csr_info_is_for(s->q.data, material_key_spki(call->object->key));
	return refuse_broken(other | (is_csr ? 0 : CONSTRAINT_TLS_ONLY), s);
}

static kf_err check_content(const struct op_call *call, const struct sign_call *s)
{
	return s->by_csr ? check_csr(call, s) : refuse_broken(call->decision.unkept, s);
}

/* More than a job holds is hashed here.  This allocates: no TLS signature comes this way. */
static kf_err digest_into(struct sign_job *job, struct slice data)
{
	size_t n = 0;

	if (EVP_Q_digest(NULL, hash_get(job->mech->hash)->openssl_name, NULL, data.p,
		    data.n, job->data, &n) != 1)
		return kf_fail(CRYPTO, "hashing the data");
	job->n = n;
	job->is_digest = true;
	return KF_OK;
}

static kf_err fill_digest(struct sign_job *job, struct slice digest)
{
	const struct hash *hash = hash_get(job->mech->hash);

	if (!hash)
		return kf_fail(BAD_PARAMETERS, "this mechanism signs data, not a digest");
	if (digest.n != hash->size)
		return kf_fail(
			BAD_PARAMETERS, "Digested Data has not the size of the hash");
	memcpy(job->data, digest.p, digest.n);
	job->n = digest.n;
	job->is_digest = true;
	return KF_OK;
}

static kf_err fill_data(struct sign_job *job, struct slice data)
{
	job->is_digest = false;
	job->outside = (struct slice){ 0 };
	if (data.n > JOB_DATA_MAX && job->mech->hash != HASH_NONE)
		return digest_into(job, data);
	if (data.n > JOB_DATA_MAX) {
		job->outside = data; /* call->payload lives as long as the call */
		job->n = 0;
		return KF_OK;
	}
	if (data.n)
		memcpy(job->data, data.p, data.n);
	job->n = data.n;
	return KF_OK;
}

static kf_err fill_job(struct op_call *call, const struct sign_call *s)
{
	const struct sign_request *q = &s->q;
	struct sign_job *job = &call->job;

	KF_TRY(s->parameters);
	job->key = call->object->key; /* held by call->object */
	job->mech = s->mech;
	job->salt = s->salt;
	job->err = KF_OK;
	job->sig_n = 0;
	call->mechanism = mech_name(job->mech);
	if (q->has_digested_data)
		return fill_digest(job, q->digested_data);
	if (q->has_data)
		return fill_data(job, q->data);
	return kf_fail(MISSING, "neither Data nor Digested Data");
}

static kf_err prepare(struct op_call *call)
{
	const struct sign_call *s = OP_REQUEST(call, struct sign_call);

	if (call->object->type != OBJECT_PRIVATE_KEY)
		return kf_fail(USAGE, "only private keys sign");
	KF_TRY(op_check_use(call, OP_PROTECT, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN));
	if (!call->object->key)
		return kf_fail(BAD_PARAMETERS, "this key's algorithm is not supported");
	KF_TRY(op_check_legacy(call, call->object->key->alg));
	KF_TRY(check_one_part(&s->q));
	KF_TRY(check_content(call, s));
	return fill_job(call, s);
}

static uint64_t protected_bytes(struct op_call *call)
{
	const struct sign_request *q = &OP_REQUEST(call, struct sign_call)->q;
	return q->has_digested_data ? q->digested_data.n : q->data.n;
}

enum op_next op_sign_start(struct op_call *call)
{
	const enum op_next next = op_then(call, prepare(call), OP_SIGN);
	return op_spend_usage(call, protected_bytes(call), next);
}

void op_sign_answer(struct op_call *call, struct ttlv_writer *w)
{
	sign_put_response(w, &(struct sign_response){
				     .uid = op_uid(call),
				     .signature = { call->job.sig, call->job.sig_n },
			     });
}
