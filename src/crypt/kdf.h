/* SPDX-License-Identifier: Apache-2.0
 *
 * kdf: keys out of keys, by the methods that KMIP's Derive Key names.  Each appends `n` bytes.
 *
 * DATA: the method does not give so many bytes.  Any thread; PBKDF2 is for workers.
 */
#pragma once
#include "crypt/prf.h"

enum {
	KDF_SIZE_MAX = 8192,
	KDF_DATA_MAX = 1 << 16, /* may be gone over for each block that is made */
};

struct kdf {
	const struct hash *hash; /* NULL, where CMAC will do: AES-CMAC */
	struct slice key, data, salt;
	uint32_t iterations, iterations_max; /* PBKDF2; of all blocks together */
	size_t n;
};

kf_err kdf_hash(const struct kdf *k, struct buf *ret); /* of the key */
kf_err kdf_hmac(const struct kdf *k, struct buf *ret);
/* PKCS#5; the key is the pass phrase. */
kf_err kdf_pbkdf2(const struct kdf *k, struct buf *ret);
/* RFC 5869, extract and expand; data is the info. */
kf_err kdf_hkdf(const struct kdf *k, struct buf *ret);

/* SP 800-108 with HMAC or CMAC; the counter has 32 bits and stands before `data`, which is all of the
 * fixed input (label, 00, context, length: whatever the caller wants of them).  salt: the IV of the
 * feedback mode. */
enum kdf_mode { KDF_COUNTER, KDF_FEEDBACK, KDF_DOUBLE_PIPELINE };
kf_err kdf_sp800_108(enum kdf_mode mode, const struct kdf *k, struct buf *ret);

/* AWS Signature Version 4: HMAC-SHA-256 over each part in turn, beginning with "AWS4" and the key. */
kf_err kdf_aws4(struct slice key, const struct slice *part, size_t parts, size_t n,
	struct buf *ret);

/* The shared secret of two keys as it is: ECDH (the x coordinate), X25519, X448 or DH.  DER: PKCS#8, and
 * SubjectPublicKeyInfo.  BAD_PARAMETERS: they do not agree on anything. */
kf_err kdf_agree(struct slice pkcs8, struct slice spki, size_t n, struct buf *ret);
