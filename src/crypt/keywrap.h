/* SPDX-License-Identifier: Apache-2.0
 *
 * keywrap: bytes of a key encrypted under another key: AES in the modes that KMIP's key wrapping has.
 *
 *   NIST         AES Key Wrap, RFC 3394: 16 bytes or more, a multiple of 8
 *   NIST_PADDED  AES Key Wrap with Padding, RFC 5649: any length from 1
 *   CBC          padded as PKCS#7 says, or a multiple of 16 bytes; not authenticated
 *   GCM          the tag follows the ciphertext
 *
 * Opening is all or nothing: what does not authenticate gives DATA and no bytes.  Any thread.
 */
#pragma once
#include "base/buf.h"

enum keywrap_mode {
	KEYWRAP_NIST,
	KEYWRAP_NIST_PADDED,
	KEYWRAP_CBC,
	KEYWRAP_CBC_PADDED,
	KEYWRAP_GCM,
};

/* Key wraps of NIST go over each eight bytes six times, a block by itself: a megabyte takes a tenth of a second. */
enum { KEYWRAP_MAX = 1 << 20, KEYWRAP_NIST_MAX = 1 << 15, KEYWRAP_IV_MAX = 64 };

struct keywrap {
	enum keywrap_mode mode;
	struct slice key; /* AES: 16, 24 or 32 bytes */
	size_t iv_size;   /* GCM; 0: 12 bytes */
	size_t tag_size;  /* GCM; 0: 16 bytes */
};

/* What sealing and opening look at first, for whoever leaves the rest to a token: BAD_PARAMETERS, or DATA for what
 * cannot have been sealed.  Says nothing of the key. */
kf_err keywrap_check(const struct keywrap *k, size_t plain_n);
kf_err keywrap_check_sealed(
	const struct keywrap *k, struct slice iv, struct slice sealed);

/* CBC and GCM make a random IV and append it to `iv`; the others leave it empty.  Appends to `ret`. */
kf_err keywrap_seal(
	const struct keywrap *k, struct slice plain, struct buf *iv, struct buf *ret);
/* BAD_PARAMETERS: this IV or key does not fit the mode.  DATA: not what was sealed with this key. */
kf_err keywrap_open(
	const struct keywrap *k, struct slice iv, struct slice sealed, struct buf *ret);

/* RSA-OAEP with a public key (SubjectPublicKeyInfo).  Hashes by KMIP's numbers; 0: SHA-1 as PKCS#1 has
 * it, and for the mask the same as `hash`. */
struct keywrap_oaep {
	uint32_t hash, mask_hash;
	struct slice label;
};
kf_err keywrap_seal_oaep(struct slice spki, const struct keywrap_oaep *how,
	struct slice plain, struct buf *ret);
