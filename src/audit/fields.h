/* SPDX-License-Identifier: Apache-2.0
 *
 * fields: a line of an audit segment, read.  key=value pairs with one blank between; a value that begins
 * with a double quote ends with one and has \xNN for what is neither printable nor itself.
 */
#pragma once
#include "base/buf.h"

enum { FIELD_TEXT_SIZE = 304 };

struct field {
	struct slice key;
	struct slice value; /* as written, without its quotes */
};

/* The next pair of *rest, which it is taken off.  False: there is none, or the text is none. */
bool field_next(struct slice *rest, struct field *ret);
/* Every field of the line is well formed. */
bool fields_are_sound(struct slice line);
/* The value of a key; empty if there is none. */
struct slice field_find(struct slice line, const char *key);
/* It ends as a checkpoint does; *ret gets the digits of its signature. */
bool fields_are_signed(struct slice line, struct slice *ret);
bool field_number(struct slice value, uint64_t *ret);
/* Without its escapes, cut at the size, for comparing and printing; what is not printable is '?'. */
void field_text(struct slice value, char *ret, size_t size);
/* "2026-11-21T13:18:50.087909Z" */
bool field_time(struct slice value, int64_t *ret_us);
