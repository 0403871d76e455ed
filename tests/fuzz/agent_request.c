/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_within(struct slice s, const uint8_t *data, size_t size)
{
	return s.n == 0 || (s.p >= data && s.n <= size && s.p + s.n <= data + size);
}

/* What a guest sends is refused, or names a key within the message, and can be answered either way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request q;
	if (!kf_ok(request_read((struct slice){ data, size }, &q)))
		return 0;
	if (!lies_within(q.key, data, size) || !lies_within(q.payload, data, size))
		abort();
	if (q.kind && q.kind != ALLOW_LOCATE && !q.key.n)
		abort();
	autobuf out = buf_new(1 << 16);
	if (!kf_ok(request_refuse(&q, KF_E_NOT_FOUND, &out)))
		abort();
	(void)request_may_see(&q, q.payload);
	return 0;
}
