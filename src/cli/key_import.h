/* SPDX-License-Identifier: Apache-2.0
 *
 * key_import: an existing private key becomes a key pair in the key servers.
 */
#pragma once
#include "cli/cli.h"

struct key_import {
	struct cli *cli;
	const char *name, *file, *passphrase_file;
	bool is_inactive;
};

/* Writes the private key's id. */
kf_err key_import(const struct key_import *in, char *ret_id, size_t size);

/* A pass phrase from a file, or asked for; its length, or -1. */
int key_passphrase(const struct cli *c, const char *file, char *into, int size);

struct keypair;
/* The same for a pair that was read already; `in` gives client, name and state.  NAME_NOT_UNIQUE if another key
 * has the name. */
kf_err key_register(
	const struct key_import *in, const struct keypair *k, char *ret_id, size_t size);
