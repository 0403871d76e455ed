/* SPDX-License-Identifier: Apache-2.0
 *
 * report: figures of a benchmark beside their goals, as a table for people and as rows of JSON.
 */
#pragma once
#include "base/buf.h"

struct report {
	struct buf json; /* rows, without the brackets */
	unsigned rows, missed;
	double slack; /* for machines that are busy: by so much a goal may be missed; 0 and 1: by nothing */
};
/* `reference` 0: none.  goal > 0: the ratio (or, without a reference, the value's) is at least that; < 0: at most; 0: none. */
void report_add(struct report *r, const char *name, double value, const char *unit,
	double reference, double goal);
/* Must be none. */
void report_none(struct report *r, const char *name, uint64_t n);
/* As a list of rows; NULL: nowhere. */
kf_err report_write(const struct report *r, const char *path);
