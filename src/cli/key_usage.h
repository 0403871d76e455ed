/* SPDX-License-Identifier: Apache-2.0
 *
 * key_usage: what a key is for, as people write it; kinds of symmetric keys.
 */
#pragma once
#include "cli/cli.h"

#define KEY_USAGE_HELP                                                                   \
	"  --use LIST   what it is for: sign, verify, encrypt, decrypt, wrap, unwrap, "  \
	"mac,\n               verify-mac, derive, agree, certificate-sign, crl-sign; "   \
	"with "                                                                          \
	"commas between\n"

/* "encrypt,decrypt" into a Cryptographic Usage Mask; NULL: 0.  INVALID_FIELD with a note. */
kf_err key_usage_read(const struct cli *c, const char *text, uint32_t *ret);

struct symmetric_type {
	char text[32];             /* as libkeyfleet writes it: "aes:256" */
	uint32_t algorithm, usage; /* KMIP; what it is for unless somebody says */
	int32_t bits;
};
/* "aes:256" or "aes-256", in any case; false: it is none. */
bool symmetric_type_read(const char *text, struct symmetric_type *ret);
