/* SPDX-License-Identifier: Apache-2.0
 *
 * What ttlv_check() accepts can be printed, and what was printed parses to the same bytes but for the
 * padding; what it refuses cannot be printed.
 */
#include "ttlv/ttlv.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Re-encodes item by item, which makes the padding zero. */
static void normalise(struct slice in, struct ttlv_writer *w)
{
	struct ttlv_reader r = ttlv_read(in);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (it.type != TTLV_STRUCT) {
			ttlv_put_as(w, it.tag, &it);
			continue;
		}
		ttlv_begin(w, (enum ttlv_tag)it.tag);
		normalise(it.value, w);
		ttlv_end(w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { data, size };
	autobuf text = buf_new(64 * size + 4096), masked = buf_new(64 * size + 4096);
	autobuf plain = buf_new(2 * size + 64), again = buf_new(2 * size + 64);
	bool is_good = kf_ok(ttlv_check(in));
	if (is_good != kf_ok(ttlv_print(in, false, &text)))
		abort();
	if (is_good != kf_ok(ttlv_print(in, true, &masked)))
		abort();
	ttlv_fits(in, 0x0100);
	if (!is_good)
		return 0;

	struct ttlv_writer w = ttlv_write(&plain, 0);
	normalise(in, &w);
	if (!kf_ok(ttlv_written(&w)) || !kf_ok(ttlv_parse(buf_slice(&text), &again)))
		abort();
	if (!slice_eq(buf_slice(&plain), buf_slice(&again)))
		abort();
	return 0;
}
