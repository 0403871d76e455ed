/* SPDX-License-Identifier: Apache-2.0
 *
 * digest: hashes, in one piece or in parts.  A message belongs to one thread at a time.
 */
#pragma once
#include "base/buf.h"

struct evp_md_ctx_st;

enum { DIGEST_MAX = 64 };

struct digest_info {
	const char *name; /* "SHA-256" */
	uint32_t kmip;    /* Hashing Algorithm */
	uint32_t hmac;    /* Cryptographic Algorithm of its HMAC; 0: none */
	const char *openssl_name;
	size_t size;
};

/* BAD_PARAMETERS: not one of digest.def. */
kf_err digest_find(uint32_t kmip, const struct digest_info **ret);
const struct digest_info *digest_each(size_t i); /* NULL after the last */
/* The hash that an algorithm of HMAC keys says by itself; NULL: it is no such algorithm. */
const struct digest_info *digest_of_hmac(uint32_t algorithm);

struct digest {
	const struct digest_info *info;
	struct evp_md_ctx_st *ctx;
};

kf_err digest_begin(struct digest *d, const struct digest_info *info);
kf_err digest_add(struct digest *d, struct slice data);
kf_err digest_last(struct digest *d, uint8_t ret[DIGEST_MAX]); /* info->size bytes */
void digest_end(struct digest *d);                             /* zeroed is fine */

/* By OpenSSL's name of a hash: what signs is in another table. */
kf_err digest_begin_named(struct digest *d, const char *openssl_name);
