/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/ossl.h"
#include "base/mem.h"
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <string.h>

void ossl_forgive(struct buf *b)
{
	for (unsigned long e = ERR_get_error(); e; e = ERR_get_error())
		if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
			buf_fail(b, kf_fail(NOMEM, "OpenSSL"));
}

static void add_text(OSSL_PARAM **p, const char *key, char *into, const char *text)
{
	strcpy(into, text);
	*(*p)++ = OSSL_PARAM_construct_utf8_string(key, into, 0);
}

static void add_salt(struct ossl_mech *m, OSSL_PARAM **p, int salt)
{
	m->salt = salt;
	if (salt == SALT_AS_DIGEST)
		add_text(p, OSSL_SIGNATURE_PARAM_PSS_SALTLEN, m->salt_name,
			OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST);
	else
		*(*p)++ = OSSL_PARAM_construct_int(
			OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &m->salt);
}

/* The order matters: OpenSSL 3.0 takes the digest before the padding and the salt after it. */
void ossl_mech_init(struct ossl_mech *m, const struct mech *mech, int salt)
{
	OSSL_PARAM *p = m->list;
	if (mech->hash != HASH_NONE)
		add_text(&p, OSSL_SIGNATURE_PARAM_DIGEST, m->digest,
			hash_get(mech->hash)->openssl_name);
	if (mech->scheme == SCHEME_RSA_PKCS1)
		add_text(&p, OSSL_SIGNATURE_PARAM_PAD_MODE, m->padding,
			OSSL_PKEY_RSA_PAD_MODE_PKCSV15);
	if (mech->scheme == SCHEME_RSA_PSS) {
		add_text(&p, OSSL_SIGNATURE_PARAM_PAD_MODE, m->padding,
			OSSL_PKEY_RSA_PAD_MODE_PSS);
		add_salt(m, &p, salt);
	}
	*p = OSSL_PARAM_construct_end();
}

/* Even, tiny and huge exponents have no honest use; huge ones make verifying slow. */
static bool is_sane_rsa(const EVP_PKEY *pkey)
{
	CLEANUP(ossl_bn_freep) BIGNUM *e = NULL, *third = NULL;
	if (!EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e))
		return false;
	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR3, &third))
		return false;
	return BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= 64;
}

static bool is_named_curve(const EVP_PKEY *pkey, const char *want)
{
	char group[64] = "";
	int is_explicit = 0;
	EVP_PKEY_get_int_param(
		pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit);
	return !is_explicit &&
	       EVP_PKEY_get_utf8_string_param(
		       pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) &&
	       !strcmp(group, want);
}

static bool is_of(const EVP_PKEY *pkey, const struct alg *a)
{
	if (!EVP_PKEY_is_a(pkey, a->openssl_type))
		return false;
	switch (a->family) {
	case FAMILY_RSA:
		return EVP_PKEY_get_bits(pkey) == (int)a->bits && is_sane_rsa(pkey);
	case FAMILY_EC: return is_named_curve(pkey, a->openssl_group);
	case FAMILY_ED25519: return true;
	case FAMILY_AES: break;
	}
	return false;
}

const struct alg *ossl_alg_of(const EVP_PKEY *pkey)
{
	const struct alg *found = NULL;
	for (int i = 0; i < ALG_COUNT && !found; i++)
		if (is_of(pkey, alg_get((enum alg_id)i)))
			found = alg_get((enum alg_id)i);
	ERR_clear_error();
	return found;
}

bool ossl_make_canonical(EVP_PKEY *pkey)
{
	return !EVP_PKEY_is_a(pkey, "EC") ||
	       EVP_PKEY_set_utf8_string_param(
		       pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
}

kf_err ossl_encode(
	const EVP_PKEY *pkey, int selection, const char *structure, struct buf *ret)
{
	unsigned char *der = NULL;
	size_t n = 0;
	mem_wipe_freed(true); /* the encoder's drafts */
	OSSL_ENCODER_CTX *ctx =
		OSSL_ENCODER_CTX_new_for_pkey(pkey, selection, "DER", structure, NULL);
	int done = ctx && OSSL_ENCODER_to_data(ctx, &der, &n);
	OSSL_ENCODER_CTX_free(ctx);
	mem_wipe_freed(false);
	if (!done)
		return ossl_fail(KEY_FORMAT, "this key has no such encoding");
	buf_add(ret, der, n);
	OPENSSL_clear_free(der, n);
	return buf_err(ret);
}

kf_err ossl_put_spki(const EVP_PKEY *pkey, struct buf *ret)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);
	if (n <= 0)
		return ossl_fail(KEY_FORMAT, "public key cannot be encoded");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

kf_err ossl_put_x509(const X509 *x, struct buf *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certificate");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

/* libcrypto's decoders leave copies of what they read on the heap. */
static EVP_PKEY *decode_private(const unsigned char **p, size_t n)
{
	mem_wipe_freed(true);
	EVP_PKEY *pkey = d2i_AutoPrivateKey_ex(NULL, p, (long)n, NULL, NULL);
	mem_wipe_freed(false);
	return pkey;
}

kf_err ossl_parse_private(struct slice pkcs8, EVP_PKEY **ret)
{
	const unsigned char *p = pkcs8.p;
	if (pkcs8.n == 0 || pkcs8.n > 16384)
		return kf_fail(KEY_FORMAT, "private key of an impossible size");
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = decode_private(&p, pkcs8.n);
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "private key cannot be read");
	if (p != pkcs8.p + pkcs8.n)
		return ossl_fail(KEY_FORMAT, "bytes after the private key");
	*ret = pkey;
	pkey = NULL;
	return KF_OK;
}
