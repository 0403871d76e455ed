/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_log.h"
#include <string.h>

static const struct log_text texts[] = {
#define X(program, pattern, cause, remedy) { program, pattern, cause, remedy },
#include "cli/doctor_text.def"
#undef X
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

/* Where the part between two stars begins, or NULL. */
static const uint8_t *find(struct slice in, const char *part, size_t n)
{
	return in.n >= n && in.n ? memmem(in.p, in.n, part, n) : NULL;
}

/* Parts follow each other in the line: with the leftmost place for each, none is missed. */
bool log_matches(struct slice line, const char *pattern)
{
	while (*pattern) {
		size_t n = strcspn(pattern, "*");
		const uint8_t *at = n ? find(line, pattern, n) : line.p;
		if (n && !at)
			return false;
		size_t used = (size_t)(at - line.p) + n;
		line = (struct slice){ line.p + used, line.n - used };
		pattern += n + (pattern[n] == '*');
	}
	return true;
}

const struct log_text *log_explain(struct slice line)
{
	for (size_t i = 0; i < TEXTS; i++)
		if (log_matches(line, texts[i].pattern))
			return &texts[i];
	return NULL;
}

const struct log_text *log_text_at(size_t i) { return i < TEXTS ? &texts[i] : NULL; }

struct slice log_next_line(struct slice *text)
{
	struct slice line = slice_take_line(text);
	while (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}
