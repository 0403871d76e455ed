/* SPDX-License-Identifier: Apache-2.0
 *
 * key_secret: keys of AES, made by a key server or by the tokens of one of its pools.
 */
#pragma once
#include "cli/tokens.h"

/* "aes:256", "aes-256"; NULL: it is another type, or no length that such keys have. */
const struct alg *key_secret_type(const char *type);
/* Both tell of it. */
bool key_secret_is_meant(const char *type);
/* `pool` NULL: the key server's own.  Appends its id. */
kf_err key_secret_create(
	struct cli *c, const struct key_wish *wish, const char *pool, struct buf *ret_id);
