/* SPDX-License-Identifier: Apache-2.0
 *
 * key_token: keys that live on tokens, for the commands that make keys of every kind.
 */
#pragma once
#include "cli/key_source.h"
#include "cli/shares.h"
#include "cli/tokens.h"

/* --copies; 0: every token. */
kf_err key_token_copies(const struct cli *c, const char *text, unsigned *ret);
kf_err key_token_create(
	struct cli *c, const struct tokens_options *o, const struct key_wish *wish);

struct key_token_import {
	struct tokens_options tokens;
	struct shares_options shares;
	struct cli_list to;
	struct key_wish wish;
	const char *pem, *p12, *certificate, *passphrase_file;
	bool has_overflow_copy;
};
kf_err key_token_import(struct cli *c, const struct key_token_import *in);

/* Gives the key of this name or id a copy in software. */
kf_err key_overflow_give(struct cli *c, const char *key, const struct key_source *s);

/* Prints the id and what became of each token; an error while there are fewer copies than wanted. */
kf_err key_token_told(struct cli *c, const struct key_wish *wish,
	const struct provision_report *r, struct buf *id);
