/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments of an audit log, and lines of witnesses, that somebody has edited.
 */
#include "audit/fields.h"
#include "audit/replay.h"
#include "audit/witness.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void found(void *arg, const struct replay_finding *f)
{
	uint64_t *n = arg;
	if (memchr(f->text, 0, sizeof(f->text)) == NULL)
		abort();
	*n += !f->is_note;
}

static void read_line(struct replay *r, struct slice line)
{
	struct witness w;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	struct slice rest = line;
	struct field f;
	char text[16];
	int64_t us;
	while (field_next(&rest, &f)) {
		field_text(f.value, text, sizeof(text));
		if (field_time(f.value, &us) && f.value.n != 27)
			abort();
	}
	if (witness_read(line, &w, origin) && field_find(line, "origin").n == 0)
		abort();
	replay_line(r, line);
}

/* Without replay_end(): signatures take time and read nothing of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t findings = 0;
	CLEANUP(replay_freep) struct replay *r = replay_new(found, &findings);
	if (!r)
		abort();
	replay_segment(r, 1);
	while (size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;
		read_line(r, (struct slice){ data, n });
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	if (findings != r->findings)
		abort();
	return 0;
}
