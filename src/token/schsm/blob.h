/* SPDX-License-Identifier: Apache-2.0
 *
 * blob: keys on their way between SmartCard-HSMs, wrapped under their DKEK; and the files in which they
 * are kept (sc-hsm-tool's).
 *
 *     check value 8 | kind 1 | algorithm, allowed algorithms, access, key OID (each 2 + n) |
 *     AES-256-CBC(random 8 | bits 2 | numbers (each 2 + n) | 80 00..) | AES-CMAC 16
 *
 * Whoever has the DKEK can make one of a software key, or read one.  Wrapped keys are no secret; keys
 * read are in bufs that wipe themselves.  Pure, any thread.
 */
#pragma once
#include "token/schsm/dkek.h"

enum blob_kind { BLOB_RSA = 5, BLOB_RSA_CRT = 6, BLOB_EC = 12, BLOB_AES = 15 };

enum { BLOB_MAX = 4096, BLOB_MAC_SIZE = 16, BLOB_ALGORITHMS_MAX = 64 };

/* What everybody can read. */
struct blob_facts {
	enum blob_kind kind;
	uint8_t check_value[DKEK_CHECK_SIZE]; /* of the DKEK that it is wrapped with */
	size_t algorithms_n;                  /* that the key may be used for; 0: all */
	uint8_t algorithms[BLOB_ALGORITHMS_MAX];
};
/* MALFORMED: this is no blob, or a cut one. */
kf_err blob_look(struct slice blob, struct blob_facts *ret);

struct blob_key {
	enum blob_kind kind;    /* BLOB_RSA, BLOB_EC, BLOB_AES */
	struct buf pkcs8, spki; /* owned; RSA and EC */
	struct buf aes;         /* owned; AES */
};
void blob_key_free(struct blob_key *k);

/* A blob of an RSA or EC key in PKCS#8 DER; `algorithms` may be empty.  KEY_FORMAT: a key that cards
 * do not know. */
kf_err blob_close(const struct dkek *d, struct slice pkcs8, struct slice algorithms,
	struct buf *ret);
kf_err blob_close_aes(
	const struct dkek *d, struct slice key, struct slice algorithms, struct buf *ret);
/* CONFLICT: it is wrapped under another DKEK (the check values differ); TAMPERED: it was changed. */
kf_err blob_open(const struct dkek *d, struct slice blob, struct blob_key *ret);
/* The same without reading the key. */
kf_err blob_check(const struct dkek *d, struct slice blob);

/* ---- files: 30 { 04 blob, description (prkd.h), certificate } ---- */

enum { KEY_FILE_MAX = 16384 };

/* Description and certificate are as their card has them, DER; either may be empty.  The certificate
 * may also be a request for one (CVC, 67). */
struct key_file {
	struct slice blob, description, certificate;
};
kf_err key_file_put(const struct key_file *f, struct buf *ret);
/* Slices of `file`.  MALFORMED. */
kf_err key_file_parse(struct slice file, struct key_file *ret);
