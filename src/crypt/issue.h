/* SPDX-License-Identifier: Apache-2.0
 *
 * issue: certificates of a small authority whose key is elsewhere.
 *
 * A request says who wants to be certified: a public key, a subject, DNS names and addresses.  The policy says
 * what of it may be; it is denied what no option allows.  Of a PKCS#10 request nothing else is taken over:
 * what a certificate is for, its dates and its serial number are the authority's to say.
 *
 * Nothing here changes once made; any thread may read.
 */
#pragma once
#include "crypt/pubkey.h"
#include "crypt/x509.h"

enum {
	ISSUE_REQUEST_MAX = 65536, /* bytes of a request */
	ISSUE_NAMES_MAX = 100,     /* DNS names and addresses of one certificate */
	ISSUE_PARTS_MAX = 32,      /* of a subject */
	ISSUE_SERIAL_SIZE = 17,    /* 128 random bits and more (RFC 5280: 20 at most) */
	ISSUE_CHAIN_MAX = 8,
};

/* --- who signs --- */

struct issue_ca; /* certificate of an authority, with its chain */

/* The first certificate of the PEM text, and behind it those that lead to its root.  Refused: one that may not
 * sign certificates, a chain whose links do not fit, and what cannot be read.  *ret_line, written in any case: where
 * the certificate that is wrong begins; 0: none in particular. */
kf_err issue_ca_new(struct slice pem, unsigned *ret_line, struct issue_ca **ret);
void issue_ca_free(struct issue_ca *ca); /* NULL is fine */
/* SHA-256 of its SubjectPublicKeyInfo, and of the certificate. */
const uint8_t *issue_ca_key_id(const struct issue_ca *ca);
const uint8_t *issue_ca_digest(const struct issue_ca *ca);
/* Of it and its chain. */
int64_t issue_ca_not_before(const struct issue_ca *ca);
int64_t issue_ca_not_after(const struct issue_ca *ca);
/* Its subject is this name, in DER. */
bool issue_ca_is_named(const struct issue_ca *ca, struct slice name);
/* PEM: what a server sends behind its own certificate.  A root is not among them, for clients have it or do not
 * trust it; empty: the authority is one. */
struct slice issue_ca_chain(const struct issue_ca *ca);
/* How its key signs with this hash (HASH_NONE: one that goes with its strength); NULL: not so. */
const struct mech *issue_ca_mech(const struct issue_ca *ca, enum hash_id hash);

/* --- what is asked for --- */

struct issue_request;

/* PKCS#10, in DER or PEM.  INVALID_CSR: it cannot be read.  Its signature is looked at by issue_request_verify(). */
kf_err issue_request_read(struct slice bytes, bool is_pem, struct issue_request **ret);
/* What a certificate has already, for a new one in its place. */
kf_err issue_request_renew(struct slice der, struct issue_request **ret);
/* A subject (a Name in DER, or its parts; neither: none) and alternative names (GeneralName in DER; without them the
 * common names among the parts). */
struct issue_part {
	int nid; /* NID_commonName, ... */
	struct slice text;
};
struct issue_names {
	struct slice subject;
	const struct issue_part *parts;
	size_t parts_n;
	const struct slice *names;
	size_t n;
};
kf_err issue_request_new(
	struct slice spki, const struct issue_names *names, struct issue_request **ret);
void issue_request_free(struct issue_request *r); /* NULL is fine */

const struct pubkey *issue_request_key(const struct issue_request *r);
/* Whoever asks has the private key: the request is signed by it (INVALID_CSR), or the certificate to be renewed was
 * issued by this authority (NOT_ISSUED).  Slow. */
kf_err issue_request_verify(const struct issue_request *r, const struct issue_ca *ca);
/* Appends "names=... subject=...", for records: printable, names without spaces, and of the subject what gets into
 * the certificate: its common name, or all of it. */
void issue_request_print(
	const struct issue_request *r, bool has_whole_subject, struct buf *ret);

/* --- what may be --- */

struct issue_network {
	uint8_t address[16]; /* IPv4 as mapped to IPv6 */
	unsigned bits;
};

struct issue_policy {
	/* "www.example.com": this one; ".example.com": all that end so */
	const char *const *names;
	size_t names_n;
	const struct issue_network *networks;
	size_t networks_n;
	bool allows_wildcards;      /* *.example.com */
	bool takes_whole_subject;   /* or its common name only */
	unsigned rsa_bits, ec_bits; /* smaller keys are refused */
};

/* NOT_ISSUED_NAME: a name that no option allows; a server needs one.  NOT_ISSUED_KEY: a key that is too small.
 * NOT_ISSUED: an authority.  Where it is one name that is refused, it is appended, printable and without spaces. */
kf_err issue_check(const struct issue_policy *p, enum cert_role role,
	const struct issue_request *r, struct buf *ret_refused);

/* NOT_ISSUED_NAME: clients would not accept it, for the authority's certificate, or one above it, permits other names only
 * (RFC 5280, 4.2.1.10).  It is appended as above. */
kf_err issue_check_constraints(const struct issue_ca *ca, bool takes_whole_subject,
	const struct issue_request *r, struct buf *ret_refused);

/* --- the certificate --- */

struct issue {
	const struct issue_ca *ca;
	enum cert_role role; /* CERT_SERVER or CERT_CLIENT */
	enum hash_id hash;   /* as for issue_ca_mech() */
	bool takes_whole_subject;
	uint8_t serial[ISSUE_SERIAL_SIZE]; /* by issue_serial() */
	int64_t not_before, not_after;
	csr_sign_fn *sign; /* may wait; gets the TBSCertificate */
	void *arg;
};

kf_err issue_serial(uint8_t ret[ISSUE_SERIAL_SIZE]);
/* The certificate in DER.  Its signature is verified before it is given away. */
kf_err issue_certificate(
	const struct issue *i, const struct issue_request *r, struct buf *ret);
