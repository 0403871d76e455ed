/* SPDX-License-Identifier: Apache-2.0
 *
 * What ttlv_parse() makes is printed as something that parses to the same bytes.
 */
#include "ttlv/ttlv.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autobuf bytes = buf_new(16 * size + 64), text = buf_new(64 * size + 4096),
		again = buf_new(16 * size + 64);
	if (!kf_ok(ttlv_parse((struct slice){ data, size }, &bytes)))
		return 0;
	/* The text may say what no reader accepts: a wrong type, no UTF-8, too deep. */
	if (!kf_ok(ttlv_print(buf_slice(&bytes), false, &text)))
		return 0;
	if (!kf_ok(ttlv_parse(buf_slice(&text), &again)) ||
		!slice_eq(buf_slice(&bytes), buf_slice(&again)))
		abort();
	return 0;
}
