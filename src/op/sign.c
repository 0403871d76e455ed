/* SPDX-License-Identifier: Apache-2.0
 *
 * Sign.  On the hot path: no allocation, no lock.  The job carries its bytes in itself.
 */
#include "kmip/sign.h"
#include "op/material.h"
#include "op/parameters.h"
#include "op/sign_parts.h"
#include "op/step.h"
#include "op/usage.h"
#include "policy/tls_shape.h"
#include <openssl/evp.h>
#include <string.h>

/* More is hashed by a worker. */
enum { PART_INLINE_MAX = 8192 };

struct sign_call {
	struct sign_request q;
	kf_err parameters; /* why there is no mechanism */
	const struct mech *mech;
	int salt;
	bool by_csr;    /* only a grant to sign certification requests lets this in */
	bool has_parts; /* others come before this one, or behind it */
	bool has_next;
	struct parts *parts; /* the call's, until it is over */
	uint8_t correlation[PARTS_ID_SIZE];
};

static struct parts_request parts_of(const struct sign_call *s)
{
	return (struct parts_request){ s->q.correlation_value, s->q.init_indicator,
		s->q.final_indicator };
}

kf_err op_sign_decode(struct op_call *call)
{
	struct ttlv_reader r;
	struct sign_call *s = OP_REQUEST(call, struct sign_call);

	op_start_payload(call, &r);
	KF_TRY(sign_get_request(&r, &s->q));
	const struct parts_request parts = parts_of(s);
	s->has_parts = parts_are_meant(&parts);
	return s->has_parts ? parts_name_object(call, &s->q.uid, &parts)
			    : op_name_object(call, &s->q.uid);
}

static void find_mech(struct op_call *call, struct sign_call *s)
{
	const struct object *o = call->object;
	if (!o || !o->key)
		return;
	const struct cryptographic_parameters p =
		parameters_of(o, s->q.has_parameters, &s->q.parameters);
	s->salt = SALT_AS_DIGEST;
	if (s->q.correlation_value.n) {
		const struct parts_request parts = parts_of(s);
		s->parameters = sign_parts_mech(call, &parts, &s->mech, &s->salt);
		return;
	}
	s->parameters = parameters_to_mech(&p, o->key->alg, &s->mech, &s->salt);
}

static bool is_sha1(const struct sign_call *s)
{
	return s->mech && s->mech->hash == HASH_SHA1;
}

/* The constraints that the request keeps.  Without a mechanism it comes to nothing anyway.
 *
 * A bare digest says nothing of what it is the digest of, so a key for TLS only never signs one.  Much
 * of a ServerKeyExchange is the signer's to choose, and SHA-1 collides: with it, what TLS may have
 * signed could be something else as well.  Nor does a part say what the whole is. */
static uint32_t kept_by(const struct sign_call *s)
{
	uint32_t kept = 0;
	if (!is_sha1(s))
		kept |= CONSTRAINT_NO_SHA1;
	if (!s->mech || s->mech->scheme != SCHEME_RSA_PKCS1)
		kept |= CONSTRAINT_PSS_ONLY;
	if (!is_sha1(s) && s->q.has_data && !s->has_parts && tls_shape_ok(s->q.data))
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

static kf_err check_fields(const struct op_call *call, const struct sign_call *s)
{
	if (s->q.has_data && s->q.has_digested_data)
		return kf_fail(INVALID_FIELD, "both Data and Digested Data");
	if (!s->has_parts)
		return KF_OK;
	if (s->q.has_digested_data)
		return kf_fail(INVALID_FIELD, "Digested Data in parts");
	return call->server->parts ? KF_OK : kf_fail(FEATURE, "signing in several parts");
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
		s->q.has_data && !s->has_parts && !is_sha1(s) &&
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

static void start_job(struct op_call *call, const struct sign_call *s)
{
	struct sign_job *job = &call->job;

	job->key = call->object->key; /* held by call->object */
	job->mech = s->mech;
	job->salt = s->salt;
	job->outside = (struct slice){ 0 }; /* a job of another kind may have been here */
	job->err = KF_OK;
	job->sig_n = 0;
	call->mechanism = mech_name(job->mech);
}

static kf_err fill_job(struct op_call *call, const struct sign_call *s)
{
	const struct sign_request *q = &s->q;
	struct sign_job *job = &call->job;

	KF_TRY(s->parameters);
	start_job(call, s);
	if (q->has_digested_data)
		return fill_digest(job, q->digested_data);
	if (q->has_data)
		return fill_data(job, q->data);
	return kf_fail(MISSING, "neither Data nor Digested Data");
}

/* --- in parts --- */

static void release(struct op_call *call)
{
	parts_free(call, &OP_REQUEST(call, struct sign_call)->parts);
}

static kf_err prepare_part(struct op_call *call, const struct sign_call *s)
{
	const struct parts_request parts = parts_of(s);

	KF_TRY(s->parameters);
	call->mechanism = mech_name(s->mech);
	return parts_check(call, &parts);
}

static kf_err keep(struct op_call *call, struct sign_call *s)
{
	memcpy(s->correlation, s->parts->id, sizeof(s->correlation));
	KF_TRY(parts_put(call, &s->parts));
	s->has_next = true;
	return KF_OK;
}

/* What was kept whole stays with the call until it is signed. */
static kf_err fill_last(struct op_call *call, struct sign_call *s)
{
	struct sign_job *job = &call->job;
	uint8_t digest[DIGEST_MAX];
	struct slice bytes;
	bool is_digest = false;

	KF_TRY(sign_parts_end(s->parts, digest, &bytes, &is_digest));
	start_job(call, s);
	if (is_digest)
		return fill_digest(job, bytes);
	job->is_digest = false;
	job->outside = bytes;
	job->n = 0;
	return bytes.n ? KF_OK : kf_fail(MISSING, "nothing to sign");
}

static enum op_next work_part(struct op_call *call)
{
	struct sign_call *s = OP_REQUEST(call, struct sign_call);
	const struct sign_part part = { s->mech, s->salt, s->q.data, parts_of(s) };

	call->release = release;
	const kf_err err = sign_parts_add(call, &part, &s->parts);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	return s->q.final_indicator ? op_then(call, fill_last(call, s), OP_SIGN)
				    : op_then(call, keep(call, s), OP_ANSWER);
}

static enum op_next start_part(struct op_call *call, enum op_next next)
{
	const struct sign_request *q = &OP_REQUEST(call, struct sign_call)->q;

	if (next == OP_FAIL)
		return next;
	call->work = work_part;
	next = q->correlation_value.n ? op_spend_usage_more(call, q->data.n, OP_WORK)
				      : op_spend_usage(call, q->data.n, OP_WORK);
	return next == OP_WORK && q->data.n <= PART_INLINE_MAX ? work_part(call) : next;
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
	KF_TRY(check_fields(call, s));
	KF_TRY(check_content(call, s));
	return s->has_parts ? prepare_part(call, s) : fill_job(call, s);
}

static uint64_t protected_bytes(struct op_call *call)
{
	const struct sign_request *q = &OP_REQUEST(call, struct sign_call)->q;
	return q->has_digested_data ? q->digested_data.n : q->data.n;
}

enum op_next op_sign_start(struct op_call *call)
{
	const enum op_next next = op_then(call, prepare(call), OP_SIGN);

	if (OP_REQUEST(call, struct sign_call)->has_parts)
		return start_part(call, next);
	return op_spend_usage(call, protected_bytes(call), next);
}

void op_sign_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct sign_call *s = OP_REQUEST(call, struct sign_call);
	struct sign_response a = { .uid = op_uid(call) };

	if (s->has_next)
		a.correlation_value =
			(struct slice){ s->correlation, sizeof(s->correlation) };
	else
		a.signature = (struct slice){ call->job.sig, call->job.sig_n };
	sign_put_response(w, &a);
}
