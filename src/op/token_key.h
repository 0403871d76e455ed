/* SPDX-License-Identifier: Apache-2.0
 *
 * token_key: the sealed material of a private key that tokens hold: a Key Block of Key Format Type Token
 * (0x806b6601) whose bytes say where the key is, never what it is:
 *
 *     version | pool: 1 byte length, text | 32 bytes reject | SPKI: 2 bytes length, DER | file: 4 bytes length
 *     version 2: | overflow: 2 bytes length, PKCS#8
 *
 *     version 3, a key of AES: version | pool: 1 byte length, text | 32 bytes what it is known by | bits: 2 bytes
 *
 * `overflow` is the one case in which it does say what the key is: its owner imported a copy for software (Key
 * Overflow), which may sign when tokens cannot in time and [pool] overflow of the key server says so.  `reject` is the secret of implicit rejection (token/unpad.h), the same at every key server.  `file` is
 * the key wrapped for tokens (provision's key file), kept for restoring it onto a new one; may be empty.
 */
#pragma once
#include "base/buf.h"
#include "pool/pool.h"
#include "store/catalog.h"

enum {
	TOKEN_MATERIAL_VERSION = 1,
	TOKEN_MATERIAL_OVERFLOW = 2, /* the version with a copy for software */
	TOKEN_MATERIAL_SECRET = 3,   /* AES */
	TOKEN_FILE_MAX = 65535
};

struct token_material {
	struct slice pool, spki, file;
	struct slice overflow; /* PKCS#8; empty: tokens alone have the key */
	uint8_t reject[32];
	struct slice
		key_id; /* of AES keys, which have nothing of the above but the pool */
	uint32_t bits;
};

void token_material_put(struct buf *to, const struct token_material *m);
/* KEY_FORMAT: damaged, or of a later release. */
kf_err token_material_get(struct slice bytes, struct token_material *ret);

/* The handle whose jobs go to the pool. */
kf_err token_material_load(struct slice bytes, struct token_key **ret);

/* Destroy: the attributes of an object whose key is on tokens remember which key it was. */
void token_key_bury(struct buf *attrs, const struct token_key *key);
/* An object with this key was destroyed, and no other has it: it must go from all tokens.  The object, the last
 * of them that was destroyed; NULL: none.  On a thread that may read the catalog. */
const struct object *token_key_buried(
	const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE]);
bool token_key_is_buried(const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE],
	char ret_id[OBJECT_ID_SIZE]);
/* A live object whose key is this one on tokens; NULL: none. */
const struct object *token_key_object(
	const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE]);
