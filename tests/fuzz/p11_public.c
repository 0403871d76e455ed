/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of public keys as a token tells them: a byte says which kind, a byte half how long the
 * first one is.
 */
#include "token/pkcs11/public.h"
#include "token/text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const int fuzz_mutations;
const int fuzz_mutations = 3000; /* OpenSSL's parser behind it is fuzzed by `spki` */

static kf_err make(uint8_t kind, struct slice a, struct slice b, struct pubkey **ret)
{
	switch (kind & 3) {
	case 0: return p11_public_of_rsa(a, b, ret);
	case 1: return p11_public_of_ec(a, b, ret);
	case 2: return p11_public_of_ed25519(b, ret);
	default: return p11_public_of_certificate(b, ret);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL, *again = NULL;
	char text[16];
	if (size < 2)
		return 0;
	size_t first = 2 * (size_t)data[1];
	if (first > size - 2)
		first = size - 2;
	struct slice a = { data + 2, first }, b = { data + 2 + first, size - 2 - first };
	text_of_field(b.p, b.n, text, sizeof(text));
	if (strlen(text) >= sizeof(text))
		abort();
	/* What is made is a key by everybody's rules. */
	if (kf_ok(make(data[0], a, b, &k)) &&
		!kf_ok(pubkey_parse(pubkey_spki(k), &again)))
		abort();
	return 0;
}
