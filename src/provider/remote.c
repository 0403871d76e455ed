/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/remote.h"
#include "kmip/decrypt.h"
#include "kmip/sign.h"
#include "provider/pause.h"
#include <stdio.h>
#include <string.h>

static struct cryptographic_parameters signing_parameters(const struct remote_sign *q)
{
	uint32_t hash = q->hash ? q->hash->kmip : 0;
	struct cryptographic_parameters p = { 0 };
	switch (q->scheme) {
	case SCHEME_RSA_PKCS1:
		p.padding_method = KMIP_PADDING_METHOD_PKCS1_V1_5;
		p.hashing_algorithm = hash;
		break;
	case SCHEME_RSA_PSS:
		p.padding_method = KMIP_PADDING_METHOD_PSS;
		p.hashing_algorithm = hash;
		p.mask_generator = KMIP_MASK_GENERATOR_MGF1;
		p.mask_generator_hashing_algorithm = hash;
		p.has_salt_length = true;
		p.salt_length = q->salt;
		break;
	case SCHEME_ECDSA: /* with SHA-3 it has no name of its own */
		if (!q->is_digest)
			p.digital_signature_algorithm =
				mech_find(SCHEME_ECDSA, q->hash->id)->kmip_signature;
		if (!p.digital_signature_algorithm)
			p.hashing_algorithm = hash;
		break;
	case SCHEME_ED25519:
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519;
		break;
	}
	return p;
}

static struct cryptographic_parameters decrypting_parameters(
	const struct remote_decrypt *q)
{
	if (q->padding != PADDING_OAEP)
		return (struct cryptographic_parameters){
			.padding_method = KMIP_PADDING_METHOD_PKCS1_V1_5
		};
	return (struct cryptographic_parameters){
		.padding_method = KMIP_PADDING_METHOD_OAEP,
		.hashing_algorithm = q->hash->kmip,
		.mask_generator = KMIP_MASK_GENERATOR_MGF1,
		.mask_generator_hashing_algorithm = q->mask_hash->kmip,
		.p_source = q->label,
	};
}

/* ---- one request, one answer ---- */

struct exchange {
	struct local_call call;
	struct ttlv_writer out;
	struct ttlv_reader in;
	struct kmip_extension extension;
	uint32_t operation;
};

static kf_err begin(struct exchange *x, const struct provider *p, uint32_t operation)
{
	KF_TRY(p->broken);
	KF_TRY(local_begin(p->local, &x->call));
	x->operation = operation;
	x->extension.deadline_ms = (int32_t)local_deadline_ms(p->local);
	x->out = ttlv_write(local_request(&x->call), KMIP_2_1);
	kmip_put_request_header(
		&x->out, &(struct kmip_request_header){ .version = KMIP_2_1,
				 .maximum_response_size = LOCAL_ANSWER_MAX,
				 .batch_count = 1 });
	kmip_put_request_item_begin(&x->out, operation, (struct slice){ 0 });
	return KF_OK;
}

static kf_err get_item(struct exchange *x, struct slice answer, struct slice *ret_payload)
{
	struct kmip_response_header header;
	struct kmip_response_item item;
	x->in = ttlv_read(answer);
	KF_TRY(kmip_get_response_header(&x->in, &header));
	KF_TRY(kmip_get_response_item(&x->in, &item));
	KF_TRY(kmip_get_response_end(&x->in));
	KF_TRY(kmip_result(&item));
	if (item.operation != x->operation)
		return kf_fail(MALFORMED, "key agent answered another operation");
	*ret_payload = item.payload;
	return KF_OK;
}

static kf_err transfer(struct exchange *x, struct slice *ret_payload)
{
	struct slice answer;
	kmip_put_request_item_end(&x->out, &x->extension);
	KF_TRY(kmip_put_request_end(&x->out));
	local_send(&x->call);
	pause_until_done(&x->call);
	KF_TRY(local_answer(&x->call, &answer));
	return get_item(x, answer, ret_payload);
}

static kf_err copy_out(struct slice from, struct remote_result *ret)
{
	if (from.n > ret->size)
		return kf_fail(TOO_BIG, "result does not fit the caller's buffer");
	if (from.n)
		memcpy(ret->p, from.p, from.n);
	ret->n = from.n;
	return KF_OK;
}

/* ---- Sign ---- */

static kf_err check_signature(const struct key *key, struct slice signature)
{
	bool is_fixed = key_family(key) != FAMILY_EC;
	if (signature.n == 0 || signature.n > key_size(key) ||
		(is_fixed && signature.n != key_size(key)))
		return kf_fail(
			MALFORMED, "signature has a size that does not fit the key");
	return KF_OK;
}

static kf_err ask_to_sign(
	struct exchange *x, const struct remote_sign *q, struct remote_result *ret)
{
	struct sign_request request = { .uid = kmip_uid_text(key_id(q->key)),
		.has_parameters = true,
		.parameters = signing_parameters(q),
		.has_data = !q->is_digest,
		.has_digested_data = q->is_digest };
	*(q->is_digest ? &request.digested_data : &request.data) = q->data;
	struct sign_response answer;
	struct slice payload;

	sign_put_request(&x->out, &request);
	KF_TRY(transfer(x, &payload));
	struct ttlv_reader r = kmip_payload(&x->in, payload);
	KF_TRY(sign_get_response(&r, &answer));
	KF_TRY(check_signature(q->key, answer.signature));
	return copy_out(answer.signature, ret);
}

kf_err remote_sign(const struct remote_sign *q, struct remote_result *ret)
{
	struct exchange x = { 0 };
	KF_TRY(begin(&x, key_provider(q->key), KMIP_OPERATION_SIGN));
	kf_err e = ask_to_sign(&x, q, ret);
	local_end(&x.call);
	return e;
}

/* ---- Decrypt ---- */

enum { PREMASTER_SIZE = 48 };

/* Padding and version rules are the key server's affair; here nothing may depend on the plaintext. */
static kf_err ask_to_decrypt(
	struct exchange *x, const struct remote_decrypt *q, struct remote_result *ret)
{
	struct decrypt_request request = { .uid = kmip_uid_text(key_id(q->key)),
		.has_parameters = true,
		.parameters = decrypting_parameters(q),
		.has_data = true,
		.data = q->data };
	struct decrypt_response answer;
	struct slice payload;

	if (q->padding == PADDING_TLS) {
		x->extension.tls_client_version = q->client_version;
		x->extension.tls_negotiated_version = q->negotiated_version;
	}
	decrypt_put_request(&x->out, &request);
	KF_TRY(transfer(x, &payload));
	struct ttlv_reader r = kmip_payload(&x->in, payload);
	KF_TRY(decrypt_get_response(&r, &answer));
	if (q->padding == PADDING_TLS && answer.data.n != PREMASTER_SIZE)
		return kf_fail(MALFORMED, "key agent's answer is no premaster secret");
	return copy_out(answer.data, ret);
}

kf_err remote_decrypt(const struct remote_decrypt *q, struct remote_result *ret)
{
	struct exchange x = { 0 };
	KF_TRY(begin(&x, key_provider(q->key), KMIP_OPERATION_DECRYPT));
	kf_err e = ask_to_decrypt(&x, q, ret);
	local_end(&x.call);
	return e;
}

void remote_raise(const struct key *key, kf_err e)
{
	const struct provider *p = key_provider(key);
	struct slice id = key_id(key);
	char about[160];
	snprintf(about, sizeof(about), "agent %.90s, key %.*s",
		p->local ? local_socket(p->local) : "none", (int)id.n,
		(const char *)id.p);
	provider_raise(p, e, about);
}

int remote_raised(const struct provider *p, const struct key *key, kf_err e)
{
	if (kf_ok(e))
		return 1;
	if (key)
		remote_raise(key, e);
	else
		provider_raise(p, e, "");
	return 0;
}
