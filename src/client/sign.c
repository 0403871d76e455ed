/* SPDX-License-Identifier: Apache-2.0 */
#include "client/sign.h"
#include "client/typed.h"
#include "kmip/signature_verify.h"
#include <openssl/evp.h>
#include <string.h>

enum { ANSWER_MAX = 65536 };

static const struct mech *mech_of(kf_scheme scheme)
{
	switch (scheme) {
	case KF_RSA_PKCS1_SHA256: return mech_get(MECH_RSA_PKCS1_SHA256);
	case KF_RSA_PKCS1_SHA384: return mech_get(MECH_RSA_PKCS1_SHA384);
	case KF_RSA_PKCS1_SHA512: return mech_get(MECH_RSA_PKCS1_SHA512);
	case KF_RSA_PSS_SHA256: return mech_get(MECH_RSA_PSS_SHA256);
	case KF_RSA_PSS_SHA384: return mech_get(MECH_RSA_PSS_SHA384);
	case KF_RSA_PSS_SHA512: return mech_get(MECH_RSA_PSS_SHA512);
	case KF_ECDSA_SHA256: return mech_get(MECH_ECDSA_SHA256);
	case KF_ECDSA_SHA384: return mech_get(MECH_ECDSA_SHA384);
	case KF_ECDSA_SHA512: return mech_get(MECH_ECDSA_SHA512);
	case KF_ED25519: return mech_get(MECH_ED25519);
	}
	return NULL;
}

/* docs/wire.md, Signing. */
static struct cryptographic_parameters parameters_of(const struct mech *m, bool is_digest)
{
	struct cryptographic_parameters p = { 0 };
	const struct hash *h = hash_get(m->hash);
	if (m->scheme == SCHEME_ED25519) {
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519;
	} else if (m->scheme == SCHEME_ECDSA && !is_digest) {
		p.digital_signature_algorithm = m->kmip_signature;
	} else {
		p.padding_method = m->kmip_padding;
		p.hashing_algorithm = h->kmip;
	}
	if (m->scheme == SCHEME_RSA_PSS) {
		p.mask_generator = KMIP_MASK_GENERATOR_MGF1;
		p.mask_generator_hashing_algorithm = h->kmip;
	}
	return p;
}

static bool make_digest(const struct hash *h, const kf_sign_request *q, uint8_t *ret)
{
	const EVP_MD *md = EVP_get_digestbyname(h->openssl_name);
	EVP_MD *fetched = md ? NULL : EVP_MD_fetch(NULL, h->openssl_name, NULL);
	int ok = (md || fetched) &&
		 EVP_Digest(q->data, q->size, ret, NULL, md ? md : fetched, NULL);
	EVP_MD_free(fetched);
	return ok;
}

static const char *check(const kf_sign_request *q, const struct mech *m)
{
	if (!q->key || !*q->key || strlen(q->key) >= KF_ID_SIZE)
		return "key is not a Unique Identifier";
	if (!m)
		return "scheme is unknown";
	if (!q->data && q->size)
		return "data is NULL";
	if (q->is_digest && m->scheme == SCHEME_ED25519)
		return "Ed25519 signs messages, not digests";
	if (q->is_digest && q->size != hash_get(m->hash)->size)
		return "size is not that of the scheme's digest";
	return NULL;
}

const char *sign_plan(const kf_sign_request *q, struct sign_plan *ret)
{
	const struct mech *m = mech_of(q->scheme);
	const char *why = check(q, m);
	if (why)
		return why;
	bool is_long = q->size > SIGN_DATA_MAX && m->scheme != SCHEME_ED25519;
	bool is_digest = q->is_digest || is_long;
	struct slice data = { q->data, q->size };
	if (is_long && !q->is_digest) {
		const struct hash *h = hash_get(m->hash);
		if (!make_digest(h, q, ret->digest))
			return "the digest cannot be computed";
		data = (struct slice){ ret->digest, h->size };
	}
	ret->q = (struct sign_request){ .uid = kmip_uid_text(slice_of(q->key)),
		.has_parameters = true,
		.parameters = parameters_of(m, is_digest),
		.has_data = !is_digest,
		.has_digested_data = is_digest };
	*(is_digest ? &ret->q.digested_data : &ret->q.data) = data;
	return NULL;
}

kf_err sign_put(struct ttlv_writer *w, const void *request)
{
	sign_put_request(w, request);
	return ttlv_written(w);
}

kf_err decrypt_put(struct ttlv_writer *w, const void *request)
{
	decrypt_put_request(w, request);
	return ttlv_written(w);
}

const char *decrypt_plan(const kf_decrypt_request *q, struct decrypt_request *ret)
{
	if (!q->key || !*q->key || strlen(q->key) >= KF_ID_SIZE)
		return "key is not a Unique Identifier";
	if (!q->data || !q->size)
		return "there is nothing to decrypt";
	struct cryptographic_parameters p = { .cryptographic_algorithm =
						      KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA };
	switch (q->padding) {
	case KF_PKCS1_V15:
	case KF_PKCS1_V15_TLS: p.padding_method = KMIP_PADDING_METHOD_PKCS1_V1_5; break;
	case KF_OAEP_SHA1: p.hashing_algorithm = hash_get(HASH_SHA1)->kmip; break;
	case KF_OAEP_SHA256: p.hashing_algorithm = hash_get(HASH_SHA256)->kmip; break;
	default: return "padding is unknown";
	}
	if (p.hashing_algorithm)
		p.padding_method = KMIP_PADDING_METHOD_OAEP;
	if (q->padding == KF_PKCS1_V15_TLS && !q->tls_client_version)
		return "tls_client_version is missing";
	*ret = (struct decrypt_request){ .uid = kmip_uid_text(slice_of(q->key)),
		.has_parameters = true,
		.parameters = p,
		.has_data = true,
		.data = { q->data, q->size } };
	return NULL;
}

/* ---- blocking calls ---- */

static kf_err sign_get(struct ttlv_reader *r, void *ret)
{
	return sign_get_response(r, ret);
}

static kf_err decrypt_get(struct ttlv_reader *r, void *ret)
{
	return decrypt_get_response(r, ret);
}

TYPED(signature_verify)

kf_result kf_sign(struct kf_client *client, const kf_sign_request *request,
	kf_buffer *signature, kf_call *call)
{
	static const struct typed sign = { KMIP_OPERATION_SIGN, sign_put, sign_get, 0,
		0 };
	struct sign_plan plan;
	const char *why = sign_plan(request, &plan);
	if (why)
		return status_refuse(call, KF_INVALID_ARGUMENT, why);
	autobuf answer = buf_new(ANSWER_MAX);
	struct sign_response a;
	struct typed_io io = { &plan.q, &answer, &a };
	kf_result result = typed_call(client, &sign, &io, call);
	return result ? result : typed_fill(call, a.signature, signature);
}

kf_result kf_decrypt(struct kf_client *client, const kf_decrypt_request *request,
	kf_buffer *plain, kf_call *call)
{
	struct typed decrypt = { KMIP_OPERATION_DECRYPT, decrypt_put, decrypt_get, 0, 0 };
	struct decrypt_request q;
	const char *why = decrypt_plan(request, &q);
	if (why)
		return status_refuse(call, KF_INVALID_ARGUMENT, why);
	if (request->padding == KF_PKCS1_V15_TLS) {
		decrypt.tls_client_version = request->tls_client_version;
		decrypt.tls_negotiated_version = request->tls_negotiated_version;
	}
	autobuf answer = buf_new(ANSWER_MAX);
	struct decrypt_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = typed_call(client, &decrypt, &io, call);
	return result ? result : typed_fill(call, a.data, plain);
}

kf_result kf_signature_verify(struct kf_client *client, const kf_sign_request *request,
	const kf_bytes *signature, int *is_valid, kf_call *call)
{
	static const struct typed verify = { KMIP_OPERATION_SIGNATURE_VERIFY,
		signature_verify_put, signature_verify_get, 0, 0 };
	struct sign_plan plan;
	const char *why = sign_plan(request, &plan);
	if (why)
		return status_refuse(call, KF_INVALID_ARGUMENT, why);
	struct signature_verify_request q = { .uid = plan.q.uid,
		.has_parameters = true,
		.parameters = plan.q.parameters,
		.has_data = plan.q.has_data,
		.has_digested_data = plan.q.has_digested_data,
		.data = plan.q.data,
		.digested_data = plan.q.digested_data,
		.signature = { signature->data, signature->size } };
	autobuf answer = buf_new(ANSWER_MAX);
	struct signature_verify_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = typed_call(client, &verify, &io, call);
	if (!result)
		*is_valid = a.validity == KMIP_VALIDITY_INDICATOR_VALID;
	return result;
}
