/* SPDX-License-Identifier: Apache-2.0 */
/* buf: bytes we own (struct buf) and bytes we look at (struct slice).
 *
 * A buf grows up to its limit, wipes itself when freed, and remembers the first
 * failure: append as often as you like, ask buf_err() once.
 */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct slice {
	const uint8_t *p;
	size_t n;
};

#define SLICE_LIT(lit) ((struct slice){ (const uint8_t *)(lit), sizeof(lit) - 1 })

struct slice slice_of(const char *text); /* NULL is the empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice s, const char *text);
/* Copies and ends with NUL; TOO_BIG if it does not fit, MALFORMED if the slice holds a NUL. */
kf_err slice_to_text(struct slice s, char *ret, size_t size);
/* Ends with NUL; free() it.  NULL: no memory. */
char *slice_dup(struct slice s);
/* White space of ASCII, whatever the locale. */
bool slice_is_space(uint8_t c);
struct slice slice_trimmed(struct slice s); /* without the white space around it */
/* Cuts the first line off *text and returns it without its '\n'.  Of nothing: an empty line. */
struct slice slice_take_line(struct slice *text);

struct buf {
	uint8_t *p;
	size_t n, cap, limit;
	kf_err err;
};

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define autobuf     CLEANUP(buf_free) struct buf

struct buf buf_new(size_t limit);
void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* wipes, keeps the memory, forgets the error */
void buf_consume(struct buf *b, size_t n); /* drops the first n bytes, n <= b->n */
/* Makes room for n more bytes and returns it, or NULL once the buf has failed.
 * What was written there counts after buf_commit(). */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_text(struct buf *b, const char *text);
/* For people: error texts, tables, configuration.  Never for the wire. */
void buf_printf(struct buf *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_set_u32(struct buf *b, size_t at, uint32_t v);
/* The caller's own finding; the first one stays. */
void buf_fail(struct buf *b, kf_err err);
kf_err buf_err(const struct buf *b);
struct slice buf_slice(const struct buf *b);
