/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"
#include <stdlib.h>

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages lie within the input, one after the other, and none is larger than allowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { data, size }, m;
	const uint8_t *at = data;
	while (frame_next(&rest, MAX, &m) == FRAME_READY) {
		if (m.p != at || m.n > MAX || m.n < FRAME_HEADER || m.p + m.n != rest.p)
			abort();
		at += m.n;
	}
	if (at + rest.n != data + size)
		abort();
	return 0;
}
