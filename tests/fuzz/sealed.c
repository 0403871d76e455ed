/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/seal.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keyring *ring(void)
{
	static struct keyring *k;
	unsigned line;
	if (!k && !kf_ok(keyring_parse(SLICE_LIT("k = 000102030405060708090a0b0c0d0e0f"
						 "101112131415161718191a1b1c1d1e1f"),
			  &line, &k)))
		abort();
	return k;
}

/* Nobody makes sealed bytes without the master key: whatever opens says what was sealed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autobuf plain = buf_new(size + 1), again = buf_new(size + SEAL_OVERHEAD_MAX);
	struct slice sealed = { data, size };
	kf_err err = unseal_object(ring(), sealed, SLICE_LIT("id"), &plain);
	kf_err moved = reseal_object(ring(), sealed, SLICE_LIT("id"), &again);
	if (kf_ok(err) && (!kf_ok(moved) || !slice_is(buf_slice(&plain), "material")))
		abort();
	if (!kf_ok(err) && plain.n)
		abort();
	return 0;
}
