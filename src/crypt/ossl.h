/* SPDX-License-Identifier: Apache-2.0
 *
 * ossl: what every file that calls OpenSSL needs: scope cleanup, and a failure that leaves nothing
 * in the thread's error queue (a stale entry there would confuse the next SSL_get_error()).
 */
#pragma once
#include "crypt/alg.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#define ossl_fail(code, text) (ERR_clear_error(), kf_fail(code, text))

/* What cannot be read says nothing and leaves nothing in the queue; that memory ran out is the error of `b`. */
void ossl_forgive(struct buf *b);

#define OSSL_FREEP(name, type, fn)                                                       \
	static inline void name(type **p) { fn(*p); }
OSSL_FREEP(ossl_pkey_freep, EVP_PKEY, EVP_PKEY_free)
OSSL_FREEP(ossl_pkey_ctx_freep, EVP_PKEY_CTX, EVP_PKEY_CTX_free)
OSSL_FREEP(ossl_md_ctx_freep, EVP_MD_CTX, EVP_MD_CTX_free)
OSSL_FREEP(ossl_cipher_ctx_freep, EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
OSSL_FREEP(ossl_bn_freep, BIGNUM, BN_clear_free)
OSSL_FREEP(ossl_bio_freep, BIO, BIO_free_all)
OSSL_FREEP(ossl_x509_freep, X509, X509_free)
OSSL_FREEP(ossl_x509_req_freep, X509_REQ, X509_REQ_free)
OSSL_FREEP(ossl_name_freep, X509_NAME, X509_NAME_free)
#undef OSSL_FREEP

/* Parameters of a signature for EVP_PKEY_sign_init_ex() and its sister. */
struct ossl_mech {
	char digest[16], padding[8], salt_name[8];
	int salt;
	OSSL_PARAM list[5];
};
void ossl_mech_init(struct ossl_mech *m, const struct mech *mech, int salt);

/* The row of a key's algorithm, or NULL: only keys that alg.def knows, and only sane ones. */
const struct alg *ossl_alg_of(const EVP_PKEY *pkey);

/* However the file wrote an EC point: ours is uncompressed, and the key id depends on it. */
bool ossl_make_canonical(EVP_PKEY *pkey);

/* Appends the public key in DER. */
kf_err ossl_put_spki(const EVP_PKEY *pkey, struct buf *ret);
kf_err ossl_put_x509(const X509 *x, struct buf *ret);
/* Appends what an OpenSSL encoder makes of the key; its own copy is wiped. */
kf_err ossl_encode(
	const EVP_PKEY *pkey, int selection, const char *structure, struct buf *ret);
kf_err ossl_parse_private(struct slice pkcs8, EVP_PKEY **ret);
