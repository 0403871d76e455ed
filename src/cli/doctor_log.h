/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_log: lines of error logs, and what they mean for key references.  Pure; the lines may be
 * anything.
 */
#pragma once
#include "base/buf.h"

struct log_text {
	const char *program, *pattern, *cause, *remedy;
};

/* The row that explains the line; NULL: none does. */
const struct log_text *log_explain(struct slice line);
bool log_matches(struct slice line, const char *pattern);
/* Rows of the table, in their order; NULL at the end. */
const struct log_text *log_text_at(size_t i);

/* Cuts the next line off, without its end. */
struct slice log_next_line(struct slice *text);
