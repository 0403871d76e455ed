/* SPDX-License-Identifier: Apache-2.0
 *
 * chain: each line's value is SHA-256 over the value of the line before it in its chain and the line's
 * own text.  Every loop's records are one chain, the lines with event= another, the journal's.  The
 * format is told in docs/audit.md.
 */
#pragma once
#include "base/buf.h"
#define OPENSSL_SUPPRESS_DEPRECATED /* no fetch, no allocation: it is done for every record */
#include <openssl/sha.h>

enum {
	CHAIN_SIZE = 32,
	CHAIN_LOOPS_MAX = 256,
	CHAIN_SHOWN = 8,     /* bytes of its value that a record's line ends with */
	CHAIN_END_SIZE = 24, /* " chain=", its 16 digits, newline */
	CHAIN_ORIGIN_SIZE = 16,
};

struct chain {
	uint64_t sequence; /* of its newest line */
	uint64_t sealed;   /* the same, of the newest that a checkpoint names */
	uint8_t head[CHAIN_SIZE];
};

/* All chains of a key server at one place of its journal. */
struct chains {
	uint8_t origin[CHAIN_ORIGIN_SIZE]; /* random, made with the chains */
	struct chain journal;
	/* over the beginnings of all values since the last checkpoint */
	SHA256_CTX order;
	uint64_t unsealed; /* lines since then */
	unsigned loops;
	struct chain loop[CHAIN_LOOPS_MAX];
};

/* Chains without a line; `loops` of them. */
void chains_init(
	struct chains *c, const uint8_t origin[CHAIN_ORIGIN_SIZE], unsigned loops);
/* More of them; there are never less. */
void chains_grow(struct chains *c, unsigned loops);
void chains_copy(struct chains *to, const struct chains *from);

/* One more line; `text` is without its end " chain=...". */
void chain_add(struct chain *c, struct slice text);
/* What stands behind a line's value goes into the value of the next one. */
void chain_fold(struct chain *c, struct slice more);
/* The order of lines of several chains; not of checkpoints. */
void chains_note(struct chains *c, const struct chain *of);
void chains_order(const struct chains *c, uint8_t ret[CHAIN_SIZE]);
/* Everything so far stands in a checkpoint. */
void chains_seal(struct chains *c);

void chain_to_hex(const uint8_t *p, size_t n, char *ret); /* 2 n digits, no NUL */
bool chain_from_hex(struct slice text, uint8_t *ret, size_t n);
