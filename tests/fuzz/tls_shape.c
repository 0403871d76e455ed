/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_shape.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted is one thing only, and has one length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = { data, size }, less = { data, size ? size - 1 : 0 };
	bool is_verify = tls_is_certificate_verify(s),
	     is_exchange = tls_is_server_key_exchange(s);
	if (is_verify && (is_exchange || (size != 130 && size != 146)))
		abort();
	if (is_exchange && (size < 64 + 36 || tls_is_server_key_exchange(less)))
		abort();
	if (size > 64) { /* the first bytes are the key, the others the request for it */
		struct slice info = { data + 64, size - 64 }, key = { data, 64 };
		if (csr_info_is_for(info, key) && tls_shape_ok(info))
			abort();
	}
	return 0;
}
