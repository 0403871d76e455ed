/* SPDX-License-Identifier: Apache-2.0
 *
 * material: what the store seals for an object is the whole managed object of KMIP (Private Key {
 * Key Block {...}}, Certificate {...}), byte for byte as it was registered.  Here it becomes keys.
 */
#pragma once
#include "crypt/keygen.h"
#include "kmip/key_block.h"
#include "store/object.h"

struct token_key;

/* The algorithm of an object's attributes; NULL if it is none of alg.def. */
const struct alg *material_alg(const struct object *o);

/* The handle that signs.  For struct store_conf's load_key.  *ret is NULL, and no error, for keys of
 * algorithms or formats that we keep but cannot use. */
kf_err material_load_key(
	const struct object *o, struct slice material, struct token_key **ret);

/* The public key of a handle, wherever its key lives. */
struct slice material_key_spki(const struct token_key *key);

kf_err material_public(
	struct slice material, const struct object *o, struct pubkey **ret);

/* The object's key in another format, its bytes in `ret`.  KEY_FORMAT where there is none. */
kf_err material_convert(
	struct kmip_object *k, uint32_t format, const struct alg *alg, struct buf *ret);

/* A public key of an elliptic curve with its point as this Key Compression Type has it, in the format that it is in.
 * KEY_COMPRESSION for other objects, and for types that no curve here has. */
kf_err material_compress(
	struct kmip_object *k, uint32_t type, const struct alg *alg, struct buf *ret);
/* Of a block that was registered: its point is of the type that it says, if it says one. */
kf_err material_check_compression(const struct key_block *b, const struct alg *alg);

/* A managed object around key material, ready to be sealed.  Of secret data no Key Block says an algorithm or a
 * length. */
struct material_key {
	uint32_t object_type, format, algorithm;
	uint32_t secret_data_type; /* of secret data */
	int32_t length;
	struct slice bytes;
};
kf_err material_make(const struct material_key *k, struct buf *ret);
