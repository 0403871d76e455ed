/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy2.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy2 p;
	char text[ADDRESS_TEXT_MAX];
	size_t used = 0;
	if (proxy2_parse((struct slice){ data, size }, &p, &used) != PROXY2_READY)
		return 0;
	if (used > size || used > PROXY2_MAX)
		abort();
	address_print(&p.client, text);
	return 0;
}
