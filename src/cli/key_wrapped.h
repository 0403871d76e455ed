/* SPDX-License-Identifier: Apache-2.0
 *
 * key_wrapped: keys in files, wrapped by another key of the key servers: `key export` writes what `key import
 * --wrapped-with` reads.  Bytes, behind the IV where the mode has one.
 */
#pragma once
#include "cli/cli.h"

struct key_wrap_mode {
	const char *name; /* of --mode */
	uint32_t mode; /* KMIP's Block Cipher Mode; 0: the wrapping key's own first one */
	size_t iv_size; /* bytes before what is wrapped */
};
/* --mode; NULL: none of these.  INVALID_FIELD with a note. */
kf_err key_wrap_mode(const struct cli *c, const char *text, struct key_wrap_mode *ret);

struct key_wrapped {
	struct cli *cli;
	const char *name, *file, *by, *type, *mode, *use;
	bool is_inactive;
};
/* Writes the new key's id.  The server unwraps it, or refuses. */
kf_err key_wrapped_import(const struct key_wrapped *k, char *ret_id, size_t size);
