/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypt, with a symmetric key, or with an RSA key: public, of a certificate, or the public half of a
 * private one.
 */
#include "crypt/pubkey.h"
#include "op/encipher.h"
#include "op/parameters.h"
#include "op/public.h"
#include "op/step.h"
#include "op/usage.h"

kf_err op_encrypt_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct encipher *s = OP_REQUEST(call, struct encipher);

	KF_TRY(encrypt_get_request(&r, &s->q));
	const struct parts_request stream = encipher_parts(&s->q);
	return parts_name_object(call, &s->q.uid, &stream);
}

/* --- RSA --- */

static kf_err check_rsa(struct op_call *call, const struct decrypt_request *q)
{
	const struct parts_request stream = encipher_parts(q);

	KF_TRY(op_check_use(call, OP_PROTECT, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT));
	if (parts_are_meant(&stream))
		return kf_fail(FEATURE, "RSA encrypts in one piece");
	if (q->additional_data.n || q->iv.n)
		return kf_fail(INVALID_FIELD, "not a field of RSA encryption");
	return q->has_data ? KF_OK : kf_fail(MISSING, "Data");
}

static enum op_next encrypt_rsa(struct op_call *call)
{
	const struct decrypt_request *q = &OP_REQUEST(call, struct encipher)->q;
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	struct rsa_padding padding;
	const struct cryptographic_parameters p =
		parameters_of(call->object, q->has_parameters, &q->parameters);

	kf_err err = op_public_key(call, &key);
	if (kf_ok(err))
		err = op_check_legacy(call, pubkey_alg(key));
	if (kf_ok(err))
		err = parameters_to_padding(&p, &padding, &call->mechanism);
	buf_clear(&call->scratch);
	if (kf_ok(err))
		err = pubkey_encrypt(key, &padding, q->data, &call->scratch);
	return op_then(call, err, OP_ANSWER);
}

static enum op_next start_rsa(struct op_call *call)
{
	const struct decrypt_request *q = &OP_REQUEST(call, struct encipher)->q;
	const kf_err err = check_rsa(call, q);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->work = encrypt_rsa;
	const enum op_next next = op_spend_usage(call, q->data.n, OP_WORK);
	return next == OP_WORK && !op_public_is_long(call->object) ? encrypt_rsa(call)
								   : next;
}

enum op_next op_encrypt_start(struct op_call *call)
{
	const enum object_type type = call->object->type;

	return type == OBJECT_PUBLIC_KEY || type == OBJECT_PRIVATE_KEY ||
			       type == OBJECT_CERTIFICATE
		       ? start_rsa(call)
		       : encipher_start(call, false);
}

void op_encrypt_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct decrypt_response a = encipher_answer(call);
	encrypt_put_response(w, &a);
}
