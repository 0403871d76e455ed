/* SPDX-License-Identifier: Apache-2.0
 *
 * x509: certificates of our own small authority, and PKCS#10 requests for keys that sign elsewhere.
 * Keys of certificates made here are P-256; a request may bring any key of alg.def.  For tools.
 */
#pragma once
#include "crypt/keygen.h"

enum { CERT_PEM_MAX = 65536, FINGERPRINT_SIZE = 32, SAN_MAX = 32, NAME_MAX_BYTES = 64 };

enum cert_role { CERT_CA, CERT_SERVER, CERT_CLIENT };

/* PEM texts.  The key's is PKCS#8, empty when the request brought its own public key. */
struct cert {
	struct buf pem, key_pem;
};

struct cert_wish {
	enum cert_role role;
	const char *common_name; /* 1..64 bytes of printable text; a client's name */
	const char *const
		*sans; /* server: "dns:name", "ip:address" or bare; NULL-terminated */
	unsigned days; /* 0: ten years for a CA, one for the others */
	struct slice
		csr; /* PEM or DER; empty: make a key.  Only its public key is used. */
};

/* Self-signed, path length 0, may sign certificates and revocation lists and nothing else. */
kf_err cert_make_ca(const struct cert_wish *wish, struct cert *ret);
/* wish->role decides the extended key usage: serverAuth alone or clientAuth alone. */
kf_err cert_issue(struct slice ca_pem, struct slice ca_key_pem,
	const struct cert_wish *wish, struct cert *ret);
void cert_free(struct cert *c);

/* SHA-256 of the DER of the first certificate in the text. */
kf_err cert_fingerprint(struct slice pem, uint8_t ret[FINGERPRINT_SIZE]);
kf_err cert_not_after(struct slice pem, int64_t *ret); /* seconds since 1970 */
kf_err cert_dates(struct slice pem, int64_t *ret_from, int64_t *ret_to);
/* Is it for this key, with these alternative names (as csr_wish has them; NULL: none) in this order, and no others? */
kf_err cert_is_for(
	struct slice pem, struct slice spki, const char *const *sans, bool *ret);
/* The same for key and names of a PKCS#10 request, in PEM or DER. */
kf_err cert_is_for_request(struct slice pem, struct slice csr, bool *ret);
/* Are the first certificates of both texts for one key? */
kf_err cert_have_one_key(struct slice a_pem, struct slice b_pem, bool *ret);
kf_err cert_common_name(struct slice pem, char *ret, size_t size);
kf_err cert_to_der(struct slice pem, struct buf *ret);
kf_err cert_from_der(struct slice der, struct buf *ret_pem);

/* A certification request whose key is elsewhere: sign() gets the CertificationRequestInfo and
 * appends the signature made by `mech`.  subject is "CN=www.example,O=Example" (commas and
 * backslashes escaped by a backslash); NULL: none, the names are all there is. */
typedef kf_err csr_sign_fn(
	void *arg, const struct mech *mech, struct slice info, struct buf *sig);
struct csr_wish {
	struct slice spki;
	const char *subject;
	const char *const *sans; /* as above; NULL: none */
	csr_sign_fn *sign;
	void *arg;
};
kf_err csr_make(const struct csr_wish *wish, struct buf *ret_pem);
