/* SPDX-License-Identifier: Apache-2.0
 *
 * Decrypt, with a symmetric key (op/encipher.h) or with RSA, which has three schemes and two permissions:
 *
 *   the request names TLS versions (docs/wire.md)   DECRYPT_TLS  48 bytes always, right or random
 *   Padding Method OAEP                             DECRYPT
 *   Padding Method PKCS1 v1.5                       DECRYPT      implicit rejection
 *
 * Raw RSA does not exist here.
 */
#include "op/encipher.h"
#include "op/parameters.h"
#include "op/step.h"
#include <string.h>

kf_err op_decrypt_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct decrypt_request *q = &OP_REQUEST(call, struct encipher)->q;

	KF_TRY(decrypt_get_request(&r, q));
	const struct parts_request stream = encipher_parts(q);
	return parts_name_object(call, &q->uid, &stream);
}

static bool is_tls(const struct op_call *call) { return call->tls_client_version != 0; }

struct decision op_decrypt_decide(struct op_call *call)
{
	return policy_decide(catalog_rights(call->server->catalog), call->who,
		is_tls(call) ? PERM_DECRYPT_TLS : PERM_DECRYPT, call->object);
}

static kf_err check_one_part(const struct decrypt_request *q)
{
	const struct parts_request stream = encipher_parts(q);
	if (parts_are_meant(&stream))
		return kf_fail(FEATURE, "RSA decrypts in one piece");
	if (q->additional_data.n || q->tag.n || q->iv.n)
		return kf_fail(INVALID_FIELD, "not a field of RSA decryption");
	return q->has_data ? KF_OK : kf_fail(MISSING, "Data");
}

static kf_err fill_padding(struct decrypt_job *job, const struct rsa_padding *padding)
{
	job->scheme = padding->is_oaep ? DECRYPT_OAEP : DECRYPT_PKCS1;
	job->hash = padding->hash;
	job->mask_hash = padding->mask_hash;
	if (padding->label.n > sizeof(job->label))
		return kf_fail(BAD_PARAMETERS, "P Source is too long");
	if (padding->label.n)
		memcpy(job->label, padding->label.p, padding->label.n);
	job->label_n = padding->label.n;
	return KF_OK;
}

static kf_err fill_scheme(struct op_call *call, const struct decrypt_request *q)
{
	struct decrypt_job *job = &call->decrypt;
	struct rsa_padding padding;
	const struct cryptographic_parameters p =
		parameters_of(call->object, q->has_parameters, &q->parameters);

	if (is_tls(call)) {
		job->scheme = DECRYPT_TLS_PREMASTER;
		job->client_version = call->tls_client_version;
		job->negotiated_version = call->tls_negotiated_version;
		call->mechanism = "RSA_TLS_PREMASTER";
		return KF_OK;
	}
	KF_TRY(parameters_to_padding(&p, &padding, &call->mechanism));
	return fill_padding(job, &padding);
}

static kf_err fill_job(struct op_call *call, const struct decrypt_request *q)
{
	struct decrypt_job *job = &call->decrypt;

	job->key = call->object->key; /* held by call->object */
	job->err = KF_OK;
	job->plain_n = job->label_n = 0;
	if (q->data.n > sizeof(job->cipher))
		return kf_fail(DATA, "more data than the key can have encrypted");
	if (q->data.n)
		memcpy(job->cipher, q->data.p, q->data.n);
	job->n = q->data.n;
	return fill_scheme(call, q);
}

static kf_err prepare(struct op_call *call)
{
	const struct decrypt_request *q = &OP_REQUEST(call, struct encipher)->q;
	const struct object *o = call->object;

	KF_TRY(op_check_use(call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT));
	if (!o->key || o->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt");
	KF_TRY(op_check_legacy(call, o->key->alg));
	KF_TRY(check_one_part(q));
	return fill_job(call, q);
}

/* The premaster secret of TLS is nothing that a symmetric key decrypts. */
enum op_next op_decrypt_start(struct op_call *call)
{
	if (call->object->type == OBJECT_PRIVATE_KEY)
		return op_then(call, prepare(call), OP_DECRYPT);
	if (is_tls(call))
		return op_then(
			call, kf_fail(OBJECT_TYPE, "the object is no RSA key"), OP_FAIL);
	return encipher_start(call, true);
}

static struct decrypt_response rsa_answer(struct op_call *call)
{
	return (struct decrypt_response){
		.uid = op_uid(call),
		.has_data = true,
		.data = { call->decrypt.plain, call->decrypt.plain_n },
	};
}

void op_decrypt_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct decrypt_response a = call->object->type == OBJECT_PRIVATE_KEY
						  ? rsa_answer(call)
						  : encipher_answer(call);
	decrypt_put_response(w, &a);
}
