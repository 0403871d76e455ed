/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keyring.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	unsigned line = 0;
	kf_err err = keyring_parse((struct slice){ data, size }, &line, &k);
	if (kf_ok(err) != (k != NULL) || (k && keyring_count(k) == 0) ||
		(!k && !kf_is(err, KF_E_CONFIG)))
		abort();
	return 0;
}
