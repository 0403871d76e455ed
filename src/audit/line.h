/* SPDX-License-Identifier: Apache-2.0
 *
 * line: one audit record as one line of key=value.  Written by hand, not by printf: it is on the
 * path of every signature.
 */
#pragma once
#include "audit/audit.h"

enum {
	LINE_TEXT_MAX = 128, /* bytes of one value; more are cut and marked with "..." */
	LINE_MESSAGE_MAX = 2048, /* the same of what a client said, or was issued */
	LINE_SIZE = 14128,       /* all values at their longest, every byte escaped */
};

struct line {
	uint8_t p[LINE_SIZE];
	size_t n;
};

/* Remembers the text of the current second, which is dear to compute. */
struct line_clock {
	int64_t second;
	char text[24];
};

struct line_origin {
	unsigned loop;
	uint64_t sequence;
	int64_t time_us;
};

/* Ends with " chain=0000000000000000\n", which the audit worker fills in. */
void line_write(struct line *l, struct line_clock *clock,
	const struct line_origin *origin, const struct audit_record *r);

/* Pieces for lines of other kinds. */
enum { LINE_TIME_SIZE = 28 };
/* Room for a value of which at most `most` bytes are kept. */
#define LINE_VALUE_SIZE(most) (4 * (most) + 5)
size_t line_value(struct slice s, size_t most, uint8_t *ret); /* quoted where needed */
void line_time(int64_t time_us, char ret[LINE_TIME_SIZE]);
