/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/key.h"
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <string.h>

enum { AES_BLOCK = 16, SIGNATURE_MAX = 512 };

static inline void mac_freep(EVP_MAC **m) { EVP_MAC_free(*m); }
static inline void mac_ctx_freep(EVP_MAC_CTX **c) { EVP_MAC_CTX_free(*c); }
static inline void ecdsa_sig_freep(ECDSA_SIG **s) { ECDSA_SIG_free(*s); }

/* The low digit of an algorithm names the hash that the card makes; 0: the hash is given. */
static const char *hash_of(uint8_t algo)
{
	static const char *const rsa[] = { "", "SHA1", NULL, "SHA256", "SHA384",
		"SHA512" };
	static const char *const ec[] = { "", "SHA1", "SHA224", "SHA256", "SHA384",
		"SHA512" };
	size_t i = algo & 0x0f;
	if (i >= sizeof(rsa) / sizeof(rsa[0]))
		return NULL;
	return (algo & 0xf0) == ALGO_ECDSA ? ec[i] : rsa[i];
}

/* Some callers give a DigestInfo where the bare hash is due. */
static const char *hash_by_size(struct slice *hash)
{
	static const struct {
		const char *name;
		size_t size;
	} known[] = { { "SHA1", 20 }, { "SHA224", 28 }, { "SHA256", 32 },
		{ "SHA384", 48 }, { "SHA512", 64 } };
	enum { DIGEST_INFO = 19, DIGEST_INFO_SHA1 = 15 };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t size = known[i].size, info = i ? DIGEST_INFO : DIGEST_INFO_SHA1;
		if (hash->n != size && hash->n != size + info)
			continue;
		*hash = (struct slice){ hash->p + hash->n - size, size };
		return known[i].name;
	}
	return NULL;
}

static bool set_pss(EVP_PKEY_CTX *ctx, const char *hash)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
	       (!hash || EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(hash)) ==
				 1);
}

static bool set_padding(EVP_PKEY_CTX *ctx, uint8_t algo, const char *hash)
{
	switch (algo & 0xf0) {
	case ALGO_RSA_RAW: return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1;
	case ALGO_PKCS1: return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	case ALGO_PSS: return set_pss(ctx, hash);
	default: return true;
	}
}

static kf_err sign_given(
	const struct key *k, uint8_t algo, struct slice data, struct buf *to)
{
	const char *hash = NULL;
	if (algo == ALGO_PSS && !(hash = hash_by_size(&data)))
		return kf_fail(INVALID_FIELD, "no hash is that long");
	size_t n = SIGNATURE_MAX;
	uint8_t *at = buf_reserve(to, n);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
	if (!at || !ctx || EVP_PKEY_sign_init(ctx) != 1 || !set_padding(ctx, algo, hash))
		return ossl_fail(CRYPTO, "a signature cannot be started");
	if (EVP_PKEY_sign(ctx, at, &n, data.p, data.n) != 1)
		return ossl_fail(INVALID_FIELD, "these data cannot be signed");
	buf_commit(to, n);
	return KF_OK;
}

static kf_err sign_hashed(
	const struct key *k, uint8_t algo, struct slice data, struct buf *to)
{
	const char *hash = hash_of(algo);
	if (!hash)
		return kf_fail(BAD_PARAMETERS, "no such algorithm");
	size_t n = SIGNATURE_MAX;
	uint8_t *at = buf_reserve(to, n);
	EVP_PKEY_CTX *ctx = NULL; /* belongs to md */
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (!at || !md ||
		EVP_DigestSignInit_ex(md, &ctx, hash, NULL, NULL, k->pkey, NULL) != 1 ||
		!set_padding(ctx, algo, NULL) ||
		EVP_DigestSign(md, at, &n, data.p, data.n) != 1)
		return ossl_fail(CRYPTO, "a signature failed");
	buf_commit(to, n);
	return KF_OK;
}

kf_err key_sign(const struct key *k, uint8_t algo, struct slice data, struct buf *to)
{
	bool is_ec = (algo & 0xf0) == ALGO_ECDSA;
	bool is_rsa = algo == ALGO_RSA_RAW || (algo & 0xf0) == ALGO_PKCS1 ||
		      (algo & 0xf0) == ALGO_PSS;
	if (!(k->kind == KEY_EC && is_ec) && !(k->kind == KEY_RSA && is_rsa))
		return kf_fail(BAD_PARAMETERS, "algorithm and key do not fit");
	return algo & 0x0f ? sign_hashed(k, algo, data, to)
			   : sign_given(k, algo, data, to);
}

kf_err key_sign_plain(const struct key *k, struct slice data, struct buf *to)
{
	autobuf der = buf_new(SIGNATURE_MAX);
	KF_TRY(sign_hashed(k, ALGO_ECDSA | 3, data, &der));
	const uint8_t *p = der.p;
	CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	size_t size = key_size(k);
	uint8_t *at = buf_reserve(to, 2 * size);
	if (!sig || !at || BN_bn2binpad(ECDSA_SIG_get0_r(sig), at, (int)size) < 0 ||
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), at + size, (int)size) < 0)
		return ossl_fail(CRYPTO, "a signature cannot be written plainly");
	buf_commit(to, 2 * size);
	return KF_OK;
}

static int rsa_padding(uint8_t algo)
{
	switch (algo) {
	case ALGO_RSA_DECRYPT: return RSA_NO_PADDING;
	case ALGO_RSA_DECRYPT_PKCS1: return RSA_PKCS1_PADDING;
	case ALGO_RSA_DECRYPT_OAEP: return RSA_PKCS1_OAEP_PADDING;
	default: return 0;
	}
}

static kf_err decrypt(const struct key *k, int padding, struct slice data, struct buf *to)
{
	size_t n = SIGNATURE_MAX;
	uint8_t *at = buf_reserve(to, n);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
	if (!at || !ctx || EVP_PKEY_decrypt_init(ctx) != 1 ||
		EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1)
		return ossl_fail(CRYPTO, "a decryption cannot be started");
	if (padding == RSA_PKCS1_OAEP_PADDING &&
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1)
		return ossl_fail(CRYPTO, "a decryption cannot be started");
	if (EVP_PKEY_decrypt(ctx, at, &n, data.p, data.n) != 1)
		return ossl_fail(INVALID_FIELD, "these data cannot be decrypted");
	buf_commit(to, n);
	return KF_OK;
}

static EVP_PKEY *peer_of(const struct key *k, struct slice point)
{
	EVP_PKEY *peer = EVP_PKEY_new();
	if (peer && EVP_PKEY_copy_parameters(peer, k->pkey) == 1 &&
		EVP_PKEY_set1_encoded_public_key(peer, point.p, point.n) == 1)
		return peer;
	EVP_PKEY_free(peer);
	return NULL;
}

/* 04 and the x coordinate: callers take as many bytes after the 04 as the field has. */
static kf_err agree(const struct key *k, struct slice point, struct buf *to)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *peer = peer_of(k, point);
	if (!peer)
		return ossl_fail(INVALID_FIELD, "this is no point of the key's curve");
	buf_add_u8(to, 0x04);
	size_t n = key_size(k);
	uint8_t *at = buf_reserve(to, n);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
	if (!at || !ctx || EVP_PKEY_derive_init(ctx) != 1 ||
		EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
		EVP_PKEY_derive(ctx, at, &n) != 1)
		return ossl_fail(
			INVALID_FIELD, "no secret can be agreed with this point");
	buf_commit(to, n);
	return KF_OK;
}

kf_err key_decipher(const struct key *k, uint8_t algo, struct slice data, struct buf *to)
{
	if (k->kind == KEY_EC && algo == ALGO_ECDH)
		return agree(k, data, to);
	if (k->kind == KEY_RSA && rsa_padding(algo))
		return decrypt(k, rsa_padding(algo), data, to);
	return kf_fail(BAD_PARAMETERS, "algorithm and key do not fit");
}

/* The initial vector is zero, as the card has it: the host XORs its own in. */
static kf_err cbc(const struct key *k, bool encrypts, struct slice data, struct buf *to)
{
	static const uint8_t iv[AES_BLOCK];
	const EVP_CIPHER *cipher = k->n_aes == 16   ? EVP_aes_128_cbc()
				   : k->n_aes == 24 ? EVP_aes_192_cbc()
						    : EVP_aes_256_cbc();
	if (data.n == 0 || data.n % AES_BLOCK)
		return kf_fail(INVALID_FIELD, "CBC works on whole blocks");
	int n = 0;
	uint8_t *at = buf_reserve(to, data.n + AES_BLOCK);
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!at || !ctx ||
		EVP_CipherInit_ex2(ctx, cipher, k->aes, iv, encrypts, NULL) != 1 ||
		EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
		EVP_CipherUpdate(ctx, at, &n, data.p, (int)data.n) != 1)
		return ossl_fail(CRYPTO, "AES failed");
	buf_commit(to, (size_t)n);
	return KF_OK;
}

static kf_err cmac(const struct key *k, struct slice data, struct buf *to)
{
	char name[] = "AES-256-CBC";
	memcpy(name + 4, k->n_aes == 16 ? "128" : k->n_aes == 24 ? "192" : "256", 3);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					OSSL_MAC_PARAM_CIPHER, name, 0),
		OSSL_PARAM_construct_end() };
	size_t n = AES_BLOCK;
	uint8_t *at = buf_reserve(to, n);
	CLEANUP(mac_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	CLEANUP(mac_ctx_freep) EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	if (!at || !ctx || EVP_MAC_init(ctx, k->aes, k->n_aes, params) != 1 ||
		EVP_MAC_update(ctx, data.p, data.n) != 1 ||
		EVP_MAC_final(ctx, at, &n, AES_BLOCK) != 1)
		return ossl_fail(CRYPTO, "CMAC failed");
	buf_commit(to, n);
	return KF_OK;
}

kf_err key_cipher(const struct key *k, uint8_t algo, struct slice data, struct buf *to)
{
	if (k->kind == KEY_AES && algo == ALGO_CMAC)
		return cmac(k, data, to);
	if (k->kind == KEY_AES && (algo == ALGO_CBC_ENCRYPT || algo == ALGO_CBC_DECRYPT))
		return cbc(k, algo == ALGO_CBC_ENCRYPT, data, to);
	return kf_fail(BAD_PARAMETERS, "algorithm and key do not fit");
}
