/* SPDX-License-Identifier: Apache-2.0
 *
 * mac: message authentication codes, in one piece or in parts.  A message belongs to one thread at a time.
 */
#pragma once
#include "crypt/cbcmac.h"

struct evp_mac_ctx_st;

enum { MAC_MAX = 64 };

/* What KMIP's Cryptographic Parameters name; 0: absent. */
struct mac_wish {
	uint32_t algorithm; /* HMAC-..., Poly1305, or of the block cipher */
	uint32_t mode;      /* CMAC, CBC-MAC */
	uint32_t padding;   /* of CBC-MAC */
	uint32_t hash;      /* of HMAC, where the algorithm does not say it */
	size_t key_n;
};

struct mac_kind {
	const char *mac; /* OpenSSL's "HMAC", "CMAC", "POLY1305"; NULL: CBC-MAC */
	const char *param,
		*detail;  /* "digest" and which, "cipher" and which; NULL: none */
	const char *name; /* for people: "HMAC-SHA-256" is the hash's name */
	size_t size;
	const struct cipher_info *cbc; /* CBC-MAC's cipher */
	enum padding padding;
};

/* BAD_PARAMETERS: no such MAC, or not with a key of this length.  An empty key is none. */
kf_err mac_find(const struct mac_wish *wish, struct mac_kind *ret);

struct mac {
	struct evp_mac_ctx_st *ctx;
	struct cbcmac cbc;
	size_t size; /* 0: not begun */
};

kf_err mac_begin(struct mac *m, const struct mac_kind *kind, struct slice key);
kf_err mac_add(struct mac *m, struct slice data);
kf_err mac_last(struct mac *m, uint8_t ret[MAC_MAX]); /* m->size bytes */
void mac_end(struct mac *m);                          /* wipes; zeroed is fine */
