/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_usage.h"
#include "ttlv/ttlv.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAY(what) KMIP_CRYPTOGRAPHIC_USAGE_MASK_##what

static const struct word {
	const char *name;
	uint32_t bit;
} words[] = {
	{ "sign", MAY(SIGN) },
	{ "verify", MAY(VERIFY) },
	{ "encrypt", MAY(ENCRYPT) },
	{ "decrypt", MAY(DECRYPT) },
	{ "wrap", MAY(WRAP_KEY) },
	{ "unwrap", MAY(UNWRAP_KEY) },
	{ "mac", MAY(MAC_GENERATE) },
	{ "verify-mac", MAY(MAC_VERIFY) },
	{ "derive", MAY(DERIVE_KEY) },
	{ "agree", MAY(KEY_AGREEMENT) },
	{ "certificate-sign", MAY(CERTIFICATE_SIGN) },
	{ "crl-sign", MAY(CRL_SIGN) },
};

static uint32_t bit_of(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i].name) == n && !strncmp(words[i].name, word, n))
			return words[i].bit;
	return 0;
}

kf_err key_usage_read(const struct cli *c, const char *text, uint32_t *ret)
{
	uint32_t mask = 0;
	for (const char *at = text; at && *at;) {
		size_t n = strcspn(at, ",");
		uint32_t bit = bit_of(at, n);
		if (!bit) {
			cli_note(c, "--use knows no `%.*s`", (int)n, at);
			return kf_fail(INVALID_FIELD, "see --help");
		}
		mask |= bit;
		at += n + (at[n] == ',');
	}
	*ret = mask;
	return KF_OK;
}

static const struct kind {
	const char *name;
	uint32_t algorithm, usage;
} kinds[] = {
	{ "aes", KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, MAY(ENCRYPT) | MAY(DECRYPT) },
	{ "chacha20", KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20,
		MAY(ENCRYPT) | MAY(DECRYPT) },
	{ "hmac-sha256", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256,
		MAY(MAC_GENERATE) | MAY(MAC_VERIFY) },
	{ "hmac-sha384", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384,
		MAY(MAC_GENERATE) | MAY(MAC_VERIFY) },
	{ "hmac-sha512", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512,
		MAY(MAC_GENERATE) | MAY(MAC_VERIFY) },
};

static bool is_kind(const struct kind *k, const char *text, struct symmetric_type *ret)
{
	size_t n = strlen(k->name);
	if (strncasecmp(text, k->name, n) != 0 || (text[n] != ':' && text[n] != '-') ||
		!isdigit((unsigned char)text[n + 1]))
		return false;
	char *end;
	long bits = strtol(text + n + 1, &end, 10);
	if (*end || bits < 1 || bits > 65536)
		return false;
	*ret = (struct symmetric_type){
		.algorithm = k->algorithm, .usage = k->usage, .bits = (int32_t)bits
	};
	snprintf(ret->text, sizeof(ret->text), "%s:%ld", k->name, bits);
	return true;
}

bool symmetric_type_read(const char *text, struct symmetric_type *ret)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (is_kind(&kinds[i], text, ret))
			return true;
	return false;
}
