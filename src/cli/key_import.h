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
