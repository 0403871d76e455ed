/* SPDX-License-Identifier: Apache-2.0
 *
 * shares: DKEK share files of the administrator, opened and made; passwords from files, the terminal, or
 * in parts that several people keep.
 */
#pragma once
#include "cli/cli.h"
#include "token/schsm/dkek.h"

enum { SHARES_MAX = 16 };

/* In locked memory. */
struct shares {
	size_t n;
	uint8_t share[SHARES_MAX][SHARE_SIZE];
};
void shares_freep(struct shares **s);

struct shares_options {
	struct cli_list files; /* share files */
	struct cli_list
		password_files; /* in their order; fewer: the others are asked for */
	const char *parts;      /* how many parts make a password; NULL: none */
	const char *iterations;
};
/* The share's file option is the caller's: operands, or --share. */
#define SHARES_OPTIONS(o)                                                                \
	{ "password-file", .list = &(o).password_files, .takes_one = true },             \
		{ "parts", &(o).parts, NULL },                                           \
	{                                                                                \
		"iterations", &(o).iterations, NULL                                      \
	}
#define SHARES_HELP                                                                      \
	"  --password-file FILE  of a share, mode 0600, as often as there are shares, "  \
	"in\n"                                                                           \
	"                      their order; else it is asked for\n"                      \
	"  --parts M           the passwords are in parts: M people type theirs\n"       \
	"  --iterations N      as the share was made with [10000000]\n"

kf_err shares_read(struct cli *c, const struct shares_options *o, struct shares **ret);
kf_err shares_dkek(const struct shares *s, struct dkek **ret);
/* A new share into a file; `total` > 0: its password in parts, any `threshold` of which make it. */
kf_err shares_make(struct cli *c, const struct shares_options *o, const char *file,
	unsigned threshold, unsigned total);
