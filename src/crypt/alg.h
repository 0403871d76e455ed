/* SPDX-License-Identifier: Apache-2.0
 *
 * alg: the tables of key algorithms, hashes and signature mechanisms.  Constant, any thread.
 */
#pragma once
#include "base/buf.h"

/* AES: secret keys that tokens hold; none of alg.def is of it. */
enum alg_family { FAMILY_RSA, FAMILY_EC, FAMILY_ED25519, FAMILY_AES };

/* Who computes: the loop that read the request; a worker thread, because it takes longer than the
 * loop may stand still; or the loop at the end of its round, many at once (an engine with lanes;
 * the OpenSSL engine gains nothing by company, so no row says so yet). */
enum alg_cost { COST_INLINE, COST_WORKER, COST_BATCHED };

enum alg_id {
#define X(id, ...) ALG_##id,
#include "crypt/alg.def"
#undef X
	ALG_COUNT,
	ALG_AES = ALG_COUNT, /* of any length; behind those of alg.def */
};
enum { ALG_IDS = ALG_COUNT + 1 };

struct alg {
	enum alg_id id;
	enum alg_family family;
	const char *name; /* the spelling we print: "rsa:2048", "ec:P-256" */
	uint32_t kmip_algorithm, kmip_curve, bits;
	const char *openssl_type;  /* "RSA", "EC", "ED25519" */
	const char *openssl_group; /* NULL unless EC */
	enum alg_cost cost, keygen_cost;
	size_t sig_max;
	bool is_legacy; /* too weak for anything but comparisons; see alg.def */
	const char *spellings;
};

enum hash_id {
	HASH_NONE, /* the mechanism hashes by itself (Ed25519) */
#define X(id, ...) HASH_##id,
#include "crypt/hash.def"
#undef X
	HASH_COUNT
};

enum { HASH_SIZE_MAX = 64 };

struct hash {
	enum hash_id id;
	const char *openssl_name;
	uint32_t kmip;
	size_t size;
};

enum mech_scheme { SCHEME_RSA_PKCS1, SCHEME_RSA_PSS, SCHEME_ECDSA, SCHEME_ED25519 };

enum mech_id {
#define X(id, ...) MECH_##id,
#include "crypt/mech.def"
#undef X
	MECH_COUNT
};

struct mech {
	enum mech_id id;
	enum mech_scheme scheme;
	enum hash_id hash;
	enum alg_family family;
	uint32_t kmip_signature, kmip_padding;
};

enum { SALT_AS_DIGEST = -1 }; /* PSS: the salt is as long as the digest, as TLS has it */

/* KMIP Cryptographic Parameters, as far as a signature needs them; 0 = absent. */
struct mech_kmip {
	uint32_t signature; /* Digital Signature Algorithm */
	uint32_t padding, hash, mask_hash;
	bool has_salt;
	int32_t salt;
};

const struct alg *alg_get(enum alg_id id);
/* Secret keys of AES, of 128, 192 or 256 bits, or of a length that a token does not tell (0); NULL: none has this length.  They sign nothing and have no public half:
 * only tokens have handles of them. */
const struct alg *alg_aes(uint32_t bits);
/* Any spelling users know: "EC:prime256v1", "secp256r1", "NIST P-256", "RSA-2048"; NULL if none. */
const struct alg *alg_by_name(struct slice text);
/* What Create Key Pair asks for: the curve or the length decides; curve 0 and bits 0 = absent.
 * EC without a curve takes the first of that length, NIST's.  NULL if none or if they contradict. */
const struct alg *alg_by_kmip(uint32_t algorithm, uint32_t curve, uint32_t bits);

const struct hash *hash_get(enum hash_id id); /* NULL for HASH_NONE */
const struct hash *hash_by_kmip(uint32_t kmip);
const struct hash *hash_by_name(
	const char *name); /* "SHA256", "sha2-256", "SHA-256"; NULL if none */

const struct mech *mech_get(enum mech_id id);
const struct mech *mech_find(
	enum mech_scheme scheme, enum hash_id hash); /* NULL if none */
/* BAD_PARAMETERS unless the parameters name one mechanism and it fits the family.  An RSA request
 * without padding is PKCS#1 v1.5; without a hash it is refused.  `salt` is written for PSS only. */
kf_err mech_by_kmip(const struct mech_kmip *in, enum alg_family family,
	const struct mech **ret, int *salt);
