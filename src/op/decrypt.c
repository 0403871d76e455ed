/* SPDX-License-Identifier: Apache-2.0
 *
 * Decrypt with RSA.  Three schemes, two permissions:
 *
 *   the request names TLS versions (docs/wire.md)   DECRYPT_TLS  48 bytes always, right or random
 *   Padding Method OAEP                             DECRYPT
 *   Padding Method PKCS1 v1.5                       DECRYPT      implicit rejection
 *
 * Raw RSA does not exist here.
 */
#include "kmip/decrypt.h"
#include "op/parameters.h"
#include "op/step.h"
#include <string.h>

kf_err op_decrypt_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct decrypt_request *q = OP_REQUEST(call, struct decrypt_request);

	KF_TRY(decrypt_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static bool is_tls(const struct op_call *call) { return call->tls_client_version != 0; }

struct decision op_decrypt_decide(struct op_call *call)
{
	return policy_decide(catalog_rights(call->server->catalog), call->who,
		is_tls(call) ? PERM_DECRYPT_TLS : PERM_DECRYPT, call->object);
}

static kf_err check_one_part(const struct decrypt_request *q)
{
	if (q->correlation_value.n || (q->init_indicator && !q->final_indicator))
		return kf_fail(FEATURE, "decrypting in several parts");
	if (q->additional_data.n || q->tag.n || q->iv.n)
		return kf_fail(INVALID_FIELD, "not a field of RSA decryption");
	return q->has_data ? KF_OK : kf_fail(MISSING, "Data");
}

static kf_err hash_of(uint32_t kmip, enum hash_id otherwise, enum hash_id *ret)
{
	const struct hash *h = kmip ? hash_by_kmip(kmip) : hash_get(otherwise);
	if (!h)
		return kf_fail(BAD_PARAMETERS, "unknown hash");
	*ret = h->id;
	return KF_OK;
}

/* KMIP's defaults for OAEP are those of PKCS#1: SHA-1, and MGF1 with the same hash. */
static kf_err fill_oaep(struct decrypt_job *job, const struct cryptographic_parameters *p)
{
	job->scheme = DECRYPT_OAEP;
	if (p->mask_generator && p->mask_generator != KMIP_MASK_GENERATOR_MGF1)
		return kf_fail(BAD_PARAMETERS, "unknown mask generator");
	KF_TRY(hash_of(p->hashing_algorithm, HASH_SHA1, &job->hash));
	KF_TRY(hash_of(p->mask_generator_hashing_algorithm, job->hash, &job->mask_hash));
	if (p->p_source.n > sizeof(job->label))
		return kf_fail(BAD_PARAMETERS, "P Source is too long");
	if (p->p_source.n)
		memcpy(job->label, p->p_source.p, p->p_source.n);
	job->label_n = p->p_source.n;
	return KF_OK;
}

static kf_err fill_scheme(struct op_call *call, const struct decrypt_request *q)
{
	struct decrypt_job *job = &call->decrypt;
	const struct cryptographic_parameters p =
		parameters_of(call->object, q->has_parameters, &q->parameters);

	if (is_tls(call)) {
		job->scheme = DECRYPT_TLS_PREMASTER;
		job->client_version = call->tls_client_version;
		job->negotiated_version = call->tls_negotiated_version;
		call->mechanism = "RSA_TLS_PREMASTER";
		return KF_OK;
	}
	if (p.padding_method == KMIP_PADDING_METHOD_OAEP) {
		call->mechanism = "RSA_OAEP";
		return fill_oaep(job, &p);
	}
	if (p.padding_method != KMIP_PADDING_METHOD_PKCS1_V1_5)
		return kf_fail(BAD_PARAMETERS, "Padding Method OAEP or PKCS1 v1.5");
	job->scheme = DECRYPT_PKCS1;
	call->mechanism = "RSA_PKCS1";
	return KF_OK;
}

static kf_err fill_job(struct op_call *call, const struct decrypt_request *q)
{
	struct decrypt_job *job = &call->decrypt;

	job->key = call->object->key; /* held by call->object */
	job->err = KF_OK;
	job->plain_n = job->label_n = 0;
	if (q->data.n > sizeof(job->cipher))
		return kf_fail(CRYPTO, "more data than the key can have encrypted");
	if (q->data.n)
		memcpy(job->cipher, q->data.p, q->data.n);
	job->n = q->data.n;
	return fill_scheme(call, q);
}

static kf_err prepare(struct op_call *call)
{
	const struct decrypt_request *q = OP_REQUEST(call, struct decrypt_request);
	const struct object *o = call->object;

	if (o->type != OBJECT_PRIVATE_KEY)
		return kf_fail(FEATURE, "decryption with symmetric keys");
	KF_TRY(op_check_use(call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT));
	if (!o->key || o->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt");
	KF_TRY(op_check_legacy(call, o->key->alg));
	KF_TRY(check_one_part(q));
	return fill_job(call, q);
}

enum op_next op_decrypt_start(struct op_call *call)
{
	return op_then(call, prepare(call), OP_DECRYPT);
}

void op_decrypt_answer(struct op_call *call, struct ttlv_writer *w)
{
	decrypt_put_response(
		w, &(struct decrypt_response){
			   .uid = op_uid(call),
			   .has_data = true,
			   .data = { call->decrypt.plain, call->decrypt.plain_n },
		   });
}
