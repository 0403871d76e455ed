/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pubkey.h"
#include "crypt/ossl.h"
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>

struct pubkey {
	const struct alg *alg;
	EVP_PKEY *pkey;
	OSSL_LIB_CTX *lib;
	struct buf spki;
};

void spki_id(struct slice spki, uint8_t ret[KEY_ID_SIZE]) { SHA256(spki.p, spki.n, ret); }

const struct alg *pubkey_alg(const struct pubkey *k) { return k->alg; }
struct slice pubkey_spki(const struct pubkey *k) { return buf_slice(&k->spki); }
EVP_PKEY *pubkey_pkey(const struct pubkey *k) { return k->pkey; }

void pubkey_id(const struct pubkey *k, uint8_t ret[KEY_ID_SIZE])
{
	spki_id(pubkey_spki(k), ret);
}

void pubkey_free(struct pubkey *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	buf_free(&k->spki);
	free(k);
}

void pubkey_freep(struct pubkey **k)
{
	pubkey_free(*k);
	*k = NULL;
}

static kf_err fill(struct pubkey *k, EVP_PKEY *pkey, OSSL_LIB_CTX *lib)
{
	k->spki = buf_new(SPKI_MAX);
	k->lib = lib;
	k->alg = ossl_alg_of(pkey);
	if (!k->alg || !ossl_make_canonical(pkey))
		return ossl_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	if (!EVP_PKEY_up_ref(pkey))
		return ossl_fail(NOMEM, "public key");
	k->pkey = pkey;
	return ossl_put_spki(pkey, &k->spki);
}

static kf_err make(EVP_PKEY *pkey, OSSL_LIB_CTX *lib, struct pubkey **ret)
{
	CLEANUP(pubkey_freep) struct pubkey *k = calloc(1, sizeof(*k));
	if (!k)
		return kf_fail(NOMEM, "public key");
	KF_TRY(fill(k, pkey, lib));
	*ret = k;
	k = NULL;
	return KF_OK;
}

kf_err pubkey_of_pkey(EVP_PKEY *pkey, struct pubkey **ret)
{
	return make(pkey, NULL, ret);
}

kf_err pubkey_parse_in(OSSL_LIB_CTX *lib, struct slice spki, struct pubkey **ret)
{
	const unsigned char *p = spki.p;
	if (spki.n == 0 || spki.n > SPKI_MAX)
		return kf_fail(KEY_FORMAT, "public key of an impossible size");
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *pkey = d2i_PUBKEY_ex(NULL, &p, (long)spki.n, lib, NULL);
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "public key cannot be read");

	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	KF_TRY(make(pkey, lib, &k));
	/* The key id is a hash of these bytes, so one key must have one encoding. */
	if (!slice_eq(pubkey_spki(k), spki))
		return kf_fail(KEY_FORMAT, "public key is not in its canonical form");
	*ret = k;
	k = NULL;
	return KF_OK;
}

kf_err pubkey_parse(struct slice spki, struct pubkey **ret)
{
	return pubkey_parse_in(NULL, spki, ret);
}

kf_err pubkey_from_pem(struct slice pem, struct pubkey **ret)
{
	if (pem.n > 1 << 20)
		return kf_fail(TOO_BIG, "PEM file");
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *pkey = in ? PEM_read_bio_PUBKEY(in, NULL, NULL, NULL) : NULL;
	if (!pkey && in) {
		BIO_reset(in);
		CLEANUP(ossl_x509_freep)
		X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
		pkey = x ? X509_get_pubkey(x) : NULL;
	}
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "neither a public key nor a certificate");
	ERR_clear_error();
	return make(pkey, NULL, ret);
}

void pubkey_to_pem(const struct pubkey *k, struct buf *ret)
{
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long n = 0;
	if (out && PEM_write_bio_PUBKEY(out, k->pkey))
		n = BIO_get_mem_data(out, &text);
	if (n > 0)
		buf_add(ret, text, (size_t)n);
	else if (kf_ok(ret->err))
		ret->err = ossl_fail(CRYPTO, "writing a public key");
}

/* The digest of the data, or the data themselves when they are one already. */
static kf_err digest_of(
	const struct pubkey *k, const struct signature *s, struct buf *ret)
{
	const struct hash *h = hash_get(s->mech->hash);
	unsigned n = 0;
	if (!s->is_digest) {
		uint8_t *p = buf_reserve(ret, HASH_SIZE_MAX);
		EVP_MD *md = EVP_MD_fetch(k->lib, h->openssl_name, NULL);
		int done = p && md && EVP_Digest(s->data.p, s->data.n, p, &n, md, NULL);
		EVP_MD_free(md);
		if (!done)
			return ossl_fail(CRYPTO, "hashing");
		buf_commit(ret, n);
		return KF_OK;
	}
	if (s->data.n != h->size)
		return kf_fail(BAD_PARAMETERS, "digest has the wrong length");
	buf_add_slice(ret, s->data);
	return buf_err(ret);
}

static kf_err verify_digest(const struct pubkey *k, const struct signature *s)
{
	autobuf digest = buf_new(HASH_SIZE_MAX);
	KF_TRY(digest_of(k, s, &digest));
	struct ossl_mech m;
	ossl_mech_init(&m, s->mech, s->salt);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(k->lib, k->pkey, NULL);
	if (!ctx || EVP_PKEY_verify_init_ex(ctx, m.list) <= 0)
		return ossl_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	if (EVP_PKEY_verify(ctx, s->sig.p, s->sig.n, digest.p, digest.n) != 1)
		return ossl_fail(CRYPTO, "signature is wrong");
	return KF_OK;
}

static kf_err verify_data(const struct pubkey *k, const struct signature *s)
{
	if (s->is_digest)
		return kf_fail(BAD_PARAMETERS, "Ed25519 signs data, not digests");
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestVerifyInit_ex(
			    ctx, NULL, NULL, k->lib, NULL, k->pkey, NULL) <= 0)
		return ossl_fail(CRYPTO, "preparing a verification");
	if (EVP_DigestVerify(ctx, s->sig.p, s->sig.n, s->data.p, s->data.n) != 1)
		return ossl_fail(CRYPTO, "signature is wrong");
	return KF_OK;
}

kf_err pubkey_verify(const struct pubkey *k, const struct signature *s)
{
	if (s->mech->family != k->alg->family)
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	return s->mech->hash == HASH_NONE ? verify_data(k, s) : verify_digest(k, s);
}
