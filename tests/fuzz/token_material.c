/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_key.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is written the same again, and makes a handle or says why not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = { data, size };
	struct token_material m;
	struct token_key *key = NULL;
	autobuf again = buf_new(1 << 20);
	if (kf_ok(token_material_get(bytes, &m))) {
		token_material_put(&again, &m);
		if (kf_ok(buf_err(&again)) && !slice_eq(buf_slice(&again), bytes))
			abort();
	}
	if (kf_ok(token_material_load(bytes, &key)))
		token_key_put(key);
	return 0;
}
