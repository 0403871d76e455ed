/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keygen.h"
#include "base/mem.h"
#include "crypt/ossl.h"
#include "crypt/point.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAP_GRAIN = 32, FILE_MAX = 1 << 20, ED25519_SIZE = 32 };

static size_t heap_size; /* written by crypt_init() before there are threads */

kf_err crypt_init(size_t secure_heap)
{
	size_t size = 65536;
	while (size < secure_heap)
		size *= 2;
	if (CRYPTO_secure_malloc_initialized())
		return KF_OK;
	/* 2: it works, but the pages could not be locked. */
	if (CRYPTO_secure_malloc_init(size, HEAP_GRAIN) == 1) {
		heap_size = size;
		return KF_OK;
	}
	CRYPTO_secure_malloc_done();
	return ossl_fail(NOMEM, "memory for keys cannot be locked; raise RLIMIT_MEMLOCK");
}

size_t crypt_heap_size(void) { return heap_size; }

size_t crypt_room(void)
{
	return heap_size ? heap_size - CRYPTO_secure_used() : SIZE_MAX;
}

void keypair_free(struct keypair *k)
{
	buf_free(&k->pkcs8);
	buf_free(&k->spki);
	*k = (struct keypair){ 0 };
}

/* ---- from an EVP_PKEY to the canonical forms ---- */

static kf_err fill(EVP_PKEY *pkey, struct keypair *k)
{
	k->pkcs8 = buf_new(PKCS8_MAX);
	k->spki = buf_new(SPKI_MAX);
	k->alg = ossl_alg_of(pkey);
	if (!k->alg || !ossl_make_canonical(pkey))
		return ossl_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	KF_TRY(ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", &k->pkcs8));
	return ossl_put_spki(pkey, &k->spki);
}

static kf_err keypair_of(EVP_PKEY *pkey, struct keypair *ret)
{
	struct keypair k = { 0 };
	kf_err err = fill(pkey, &k);
	if (kf_ok(err))
		*ret = k;
	else
		keypair_free(&k);
	return err;
}

/* Somebody else made it: do the halves belong together, are the primes prime? */
static kf_err check(EVP_PKEY *pkey)
{
	if (!ossl_alg_of(pkey))
		return kf_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!ctx || EVP_PKEY_check(ctx) <= 0)
		return ossl_fail(INVALID_FIELD, "the private key is not consistent");
	return KF_OK;
}

static kf_err checked_keypair_of(EVP_PKEY *pkey, struct keypair *ret)
{
	KF_TRY(check(pkey));
	return keypair_of(pkey, ret);
}

/* ---- generate ---- */

static bool set_kind(EVP_PKEY_CTX *ctx, const struct alg *alg)
{
	switch (alg->family) {
	case FAMILY_RSA: return EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)alg->bits) > 0;
	case FAMILY_EC: return EVP_PKEY_CTX_set_group_name(ctx, alg->openssl_group) > 0;
	case FAMILY_ED25519: return true;
	case FAMILY_AES: break;
	}
	return false;
}

kf_err keypair_generate(const struct alg *alg, struct keypair *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, alg->openssl_type, NULL);
	if (!ctx || EVP_PKEY_keygen_init(ctx) <= 0 || !set_kind(ctx, alg) ||
		EVP_PKEY_generate(ctx, &pkey) <= 0)
		return ossl_fail(CRYPTO, "generating a key");
	return keypair_of(pkey, ret);
}

/* ---- import ---- */

struct asking {
	passphrase_fn *ask;
	void *arg;
	bool was_asked;
};

/* Without a callback OpenSSL would ask the terminal. */
static int ask_once(char *into, int size, int writing, void *arg)
{
	struct asking *a = arg;
	(void)writing;
	bool is_first = !a->was_asked;
	a->was_asked = true;
	return a->ask && is_first ? a->ask(a->arg, into, size) : -1;
}

static kf_err why_not(const struct asking *a)
{
	if (a->was_asked && !a->ask)
		return ossl_fail(
			AUTH, "the private key is encrypted, a pass phrase is needed");
	if (a->was_asked)
		return ossl_fail(
			AUTH, "wrong pass phrase, or the private key is damaged");
	return ossl_fail(KEY_FORMAT, "no private key that we can read");
}

static kf_err import_pem(struct slice file, struct asking *a, struct keypair *ret)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(file.p, (int)file.n);
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *pkey = in ? PEM_read_bio_PrivateKey(in, NULL, ask_once, a) : NULL;
	if (!pkey)
		return why_not(a);
	ERR_clear_error();
	return checked_keypair_of(pkey, ret);
}

static kf_err import_encrypted_der(
	struct slice file, struct asking *a, struct keypair *ret)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(file.p, (int)file.n);
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *pkey = in ? d2i_PKCS8PrivateKey_bio(in, NULL, ask_once, a) : NULL;
	if (!pkey)
		return why_not(a);
	return checked_keypair_of(pkey, ret);
}

kf_err keypair_import(
	struct slice file, passphrase_fn *ask, void *arg, struct keypair *ret)
{
	struct asking a = { ask, arg, false };
	if (file.n == 0 || file.n > FILE_MAX)
		return kf_fail(KEY_FORMAT, "no private key that we can read");
	if (file.p[0] != 0x30)
		return import_pem(file, &a, ret);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	if (!kf_ok(ossl_parse_private(file, &pkey)))
		return import_encrypted_der(file, &a, ret);
	return checked_keypair_of(pkey, ret);
}

/* ---- KMIP key formats ---- */

static const char *structure_of(enum key_format format)
{
	switch (format) {
	case KEY_PKCS1: return "type-specific";
	case KEY_EC_PRIVATE: return "type-specific";
	case KEY_PKCS8: return "PrivateKeyInfo";
	case KEY_X509: return "SubjectPublicKeyInfo";
	case KEY_RAW: return NULL;
	}
	return NULL;
}

static const char *type_of(enum key_format format)
{
	return format == KEY_PKCS1 ? "RSA" : format == KEY_EC_PRIVATE ? "EC" : NULL;
}

/* Exactly one object of exactly this structure. */
static kf_err decode(
	struct slice der, enum key_format format, int selection, EVP_PKEY **ret)
{
	const unsigned char *p = der.p;
	size_t n = der.n;
	EVP_PKEY *pkey = NULL;
	if (n == 0 || n > PKCS8_MAX)
		return kf_fail(KEY_FORMAT, "key of an impossible size");
	mem_wipe_freed(true);
	OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER",
		structure_of(format), type_of(format), selection, NULL, NULL);
	int done = ctx && OSSL_DECODER_from_data(ctx, &p, &n);
	OSSL_DECODER_CTX_free(ctx);
	mem_wipe_freed(false);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *made = pkey;
	if (!done || !made)
		return ossl_fail(KEY_FORMAT, "key cannot be read in this format");
	if (n != 0)
		return ossl_fail(KEY_FORMAT, "bytes after the key");
	ERR_clear_error();
	*ret = made;
	made = NULL;
	return KF_OK;
}

static kf_err make_pkey(const char *type, int selection, OSSL_PARAM *list, EVP_PKEY **ret)
{
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
		EVP_PKEY_fromdata(ctx, &pkey, selection, list) <= 0)
		return ossl_fail(KEY_FORMAT, "raw key is not one of this algorithm");
	*ret = pkey;
	return KF_OK;
}

static OSSL_PARAM group_param(const struct alg *alg, char name[32])
{
	strncpy(name, alg->openssl_group, 31);
	return OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
}

/* public = scalar x generator; for the curves of alg.def OpenSSL does it in constant time. */
static kf_err point_of(
	const struct alg *alg, const BIGNUM *scalar, uint8_t *ret, size_t *n)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(alg->openssl_group));
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	size_t made = 0;
	if (point && !BN_is_zero(scalar) && !BN_is_negative(scalar) &&
		BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0 &&
		EC_POINT_mul(group, point, scalar, NULL, NULL, NULL))
		made = EC_POINT_point2oct(
			group, point, POINT_CONVERSION_UNCOMPRESSED, ret, *n, NULL);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	if (!made)
		return ossl_fail(KEY_FORMAT, "raw key is not a scalar of this curve");
	*n = made;
	return KF_OK;
}

static size_t field_size(const struct alg *alg) { return (alg->bits + 7) / 8; }

static kf_err ec_from_scalar(struct slice raw, const struct alg *alg, EVP_PKEY **ret)
{
	uint8_t point[160], native[72];
	char group[32] = "";
	size_t n = sizeof(point), size = field_size(alg);
	if (raw.n != size)
		return kf_fail(KEY_FORMAT, "raw key has the wrong length");
	CLEANUP(ossl_bn_freep) BIGNUM *scalar = BN_secure_new();
	if (!scalar || !BN_bin2bn(raw.p, (int)raw.n, scalar))
		return ossl_fail(NOMEM, "raw key");
	KF_TRY(point_of(alg, scalar, point, &n));
	if (BN_bn2nativepad(scalar, native, (int)size) < 0)
		return ossl_fail(INTERNAL, "raw key");
	OSSL_PARAM list[] = {
		group_param(alg, group),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, n),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, size),
		OSSL_PARAM_construct_end(),
	};
	kf_err err = make_pkey("EC", EVP_PKEY_KEYPAIR, list, ret);
	OPENSSL_cleanse(native, sizeof(native));
	return err;
}

static kf_err ec_from_point(struct slice raw, const struct alg *alg, EVP_PKEY **ret)
{
	autobuf point = buf_new(POINT_SIZE_MAX);
	char group[32] = "";
	if (!kf_ok(point_convert(alg, raw, POINT_UNCOMPRESSED, &point)))
		return kf_fail(KEY_FORMAT, "raw key is not a point of this curve");
	OSSL_PARAM list[] = {
		group_param(alg, group),
		OSSL_PARAM_construct_octet_string(
			OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n),
		OSSL_PARAM_construct_end(),
	};
	return make_pkey("EC", EVP_PKEY_PUBLIC_KEY, list, ret);
}

static kf_err ed25519_from_raw(struct slice raw, bool is_private, EVP_PKEY **ret)
{
	if (raw.n != ED25519_SIZE)
		return kf_fail(KEY_FORMAT, "raw key has the wrong length");
	*ret = is_private ? EVP_PKEY_new_raw_private_key_ex(
				    NULL, "ED25519", NULL, raw.p, raw.n)
			  : EVP_PKEY_new_raw_public_key_ex(
				    NULL, "ED25519", NULL, raw.p, raw.n);
	return *ret ? KF_OK
		    : ossl_fail(KEY_FORMAT, "raw key is not one of this algorithm");
}

static kf_err from_raw(
	struct slice raw, const struct alg *alg, bool is_private, EVP_PKEY **ret)
{
	if (!alg)
		return kf_fail(MISSING, "a raw key needs its algorithm");
	switch (alg->family) {
	case FAMILY_EC:
		return is_private ? ec_from_scalar(raw, alg, ret)
				  : ec_from_point(raw, alg, ret);
	case FAMILY_ED25519: return ed25519_from_raw(raw, is_private, ret);
	case FAMILY_RSA:
	case FAMILY_AES: break;
	}
	return kf_fail(KEY_FORMAT, "RSA keys have no raw form");
}

static kf_err check_alg(const struct alg *want, const struct alg *have)
{
	if (want && want != have)
		return kf_fail(
			INVALID_FIELD, "the key is of another algorithm or length");
	return KF_OK;
}

kf_err keypair_from_format(enum key_format format, struct slice bytes,
	const struct alg *alg, struct keypair *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	if (format == KEY_RAW)
		KF_TRY(from_raw(bytes, alg, true, &pkey));
	else if (format == KEY_X509 || !structure_of(format))
		return kf_fail(KEY_FORMAT, "not a format of private keys");
	else
		KF_TRY(decode(bytes, format, EVP_PKEY_KEYPAIR, &pkey));
	KF_TRY(check_alg(alg, ossl_alg_of(pkey)));
	return checked_keypair_of(pkey, ret);
}

static kf_err check_public(EVP_PKEY *pkey)
{
	if (!ossl_alg_of(pkey) || !ossl_make_canonical(pkey))
		return ossl_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!ctx || EVP_PKEY_public_check(ctx) <= 0)
		return ossl_fail(INVALID_FIELD, "the public key is not a valid one");
	return KF_OK;
}

kf_err public_from_format(enum key_format format, struct slice bytes,
	const struct alg *alg, struct buf *ret_spki)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	if (format == KEY_RAW)
		KF_TRY(from_raw(bytes, alg, false, &pkey));
	else if (format != KEY_X509 && format != KEY_PKCS1)
		return kf_fail(KEY_FORMAT, "not a format of public keys");
	else
		KF_TRY(decode(bytes, format, EVP_PKEY_PUBLIC_KEY, &pkey));
	KF_TRY(check_alg(alg, ossl_alg_of(pkey)));
	KF_TRY(check_public(pkey));
	return ossl_put_spki(pkey, ret_spki);
}

static kf_err put_scalar(const EVP_PKEY *pkey, size_t size, struct buf *ret)
{
	CLEANUP(ossl_bn_freep) BIGNUM *scalar = BN_secure_new();
	uint8_t *p = buf_reserve(ret, size);
	if (!p)
		return buf_err(ret);
	if (!scalar || !EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) ||
		BN_bn2binpad(scalar, p, (int)size) < 0)
		return ossl_fail(KEY_FORMAT, "this key has no raw form");
	buf_commit(ret, size);
	return KF_OK;
}

static kf_err put_octets(const EVP_PKEY *pkey, const char *name, struct buf *ret)
{
	size_t n = 0;
	uint8_t *p = buf_reserve(ret, 256);
	if (!p)
		return buf_err(ret);
	if (!EVP_PKEY_get_octet_string_param(pkey, name, p, 256, &n))
		return ossl_fail(KEY_FORMAT, "this key has no raw form");
	buf_commit(ret, n);
	return KF_OK;
}

static kf_err put_raw_private(
	const EVP_PKEY *pkey, const struct alg *alg, struct buf *ret)
{
	switch (alg->family) {
	case FAMILY_EC: return put_scalar(pkey, field_size(alg), ret);
	case FAMILY_ED25519: return put_octets(pkey, OSSL_PKEY_PARAM_PRIV_KEY, ret);
	case FAMILY_RSA:
	case FAMILY_AES: break;
	}
	return kf_fail(KEY_FORMAT, "RSA keys have no raw form");
}

static bool has_format(const struct alg *alg, enum key_format format)
{
	if (format == KEY_PKCS1)
		return alg->family == FAMILY_RSA;
	if (format == KEY_EC_PRIVATE)
		return alg->family == FAMILY_EC;
	return true;
}

kf_err private_to_format(struct slice pkcs8, enum key_format format, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(ossl_parse_private(pkcs8, &pkey));
	const struct alg *alg = ossl_alg_of(pkey);
	if (!alg || format == KEY_X509 || !has_format(alg, format))
		return kf_fail(KEY_FORMAT, "this key has no such format");
	if (format == KEY_RAW)
		return put_raw_private(pkey, alg, ret);
	return ossl_encode(pkey, EVP_PKEY_KEYPAIR, structure_of(format), ret);
}

kf_err public_to_format(struct slice spki, enum key_format format, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	KF_TRY(pubkey_parse(spki, &k));
	bool is_rsa = pubkey_alg(k)->family == FAMILY_RSA;
	if (format == KEY_X509) {
		buf_add_slice(ret, spki);
		return buf_err(ret);
	}
	if (format == KEY_PKCS1 && is_rsa)
		return ossl_encode(
			pubkey_pkey(k), EVP_PKEY_PUBLIC_KEY, "type-specific", ret);
	if (format == KEY_RAW && !is_rsa)
		return put_octets(pubkey_pkey(k), OSSL_PKEY_PARAM_PUB_KEY, ret);
	return kf_fail(KEY_FORMAT, "this key has no such format");
}

kf_err private_to_pem(struct slice pkcs8, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(ossl_parse_private(pkcs8, &pkey));
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_secmem());
	const char *text = NULL;
	long n = 0;
	if (out && PEM_write_bio_PKCS8PrivateKey(out, pkey, NULL, NULL, 0, NULL, NULL))
		n = BIO_get_mem_data(out, &text);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a private key");
	buf_add(ret, text, (size_t)n);
	return buf_err(ret);
}
