/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pubkey.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One key, one encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	struct slice spki = { data, size };
	if (kf_ok(pubkey_parse(spki, &k)) && !slice_eq(pubkey_spki(k), spki))
		abort();
	return 0;
}
