/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "ttlv/table.h"
#include <endian.h>
#include <string.h>

static void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* The last fence: nothing leaves that the peer's version does not know. */
static bool may_leave(struct ttlv_writer *w, uint32_t tag, unsigned type)
{
	if (w->version == 0)
		return true;
	const struct ttlv_tag_info *info = tag_info(tag);
	if (!tag_is_in(info, w->version) || (tag_is_vendor(tag) && !w->allows_vendor))
		buf_fail(w->out,
			kf_fail(INTERNAL, "a tag that the version does not know"));
	else if (!(info->types & 1u << type) ||
		 (type == TTLV_DATE_EXTENDED && w->version < 0x0200))
		buf_fail(w->out, kf_fail(INTERNAL, "a tag with a type it does not have"));
	return kf_ok(w->out->err);
}

/* Header and padding of one item; the place of its value, or NULL once the writer has failed.
 * One reservation an item: this is the hot path. */
static inline uint8_t *item(struct ttlv_writer *w, uint32_t tag, unsigned type, size_t n)
{
	struct buf *b = w->out;
	size_t padded = (n + 7) & ~(size_t)7, whole = 8 + padded;
	if (n > INT32_MAX) {
		buf_fail(w->out, kf_fail(TOO_BIG, "item is longer than TTLV can say"));
		return NULL;
	}
	if (!may_leave(w, tag, type))
		return NULL;

	bool fits = kf_ok(b->err) && whole <= b->cap - b->n && whole <= b->limit - b->n;
	uint8_t *p = fits ? b->p + b->n : buf_reserve(b, whole);
	if (!p)
		return NULL;
	put32(p, tag << 8 | type);
	put32(p + 4, (uint32_t)n);
	if (n & 7)
		memset(p + whole - 8, 0, 8);
	b->n += whole;
	return p + 8;
}

static void put_bytes(
	struct ttlv_writer *w, uint32_t tag, unsigned type, struct slice value)
{
	uint8_t *p = item(w, tag, type, value.n);
	if (p && value.n)
		memcpy(p, value.p, value.n);
}

struct ttlv_writer ttlv_write(struct buf *out, uint16_t version)
{
	return (struct ttlv_writer){ .out = out, .version = version };
}

void ttlv_begin(struct ttlv_writer *w, enum ttlv_tag tag)
{
	if (w->depth == TTLV_DEPTH || w->out->n > UINT32_MAX - 8) {
		buf_fail(w->out, kf_fail(TOO_BIG, "structures are nested too deep"));
		return;
	}
	item(w, tag, TTLV_STRUCT, 0);
	w->at[w->depth++] = (uint32_t)w->out->n;
}

void ttlv_end(struct ttlv_writer *w)
{
	if (!kf_ok(w->out->err)) {
		w->depth -= w->depth > 0;
		return;
	}
	if (!KF_HOLDS(&w->out->err, w->depth > 0, "ending what was not begun"))
		return;
	uint32_t start = w->at[--w->depth];
	if (w->out->n - start > INT32_MAX)
		buf_fail(w->out,
			kf_fail(TOO_BIG, "structure is longer than TTLV can say"));
	else
		put32(w->out->p + start - 4, (uint32_t)(w->out->n - start));
}

static inline void put_4(
	struct ttlv_writer *w, uint32_t tag, unsigned type, uint32_t value)
{
	uint8_t *p = item(w, tag, type, 4);
	if (p)
		put32(p, value);
}

static inline void put_8(
	struct ttlv_writer *w, uint32_t tag, unsigned type, uint64_t value)
{
	uint8_t *p = item(w, tag, type, 8);
	if (p)
		put64(p, value);
}

/* Values are fenced like tags: an enumeration value or mask bit the version does not know. */
static inline void put_value(
	struct ttlv_writer *w, uint32_t tag, unsigned type, uint32_t value)
{
	enum ttlv_kind kind = tag_info(tag)->kind;
	if (kind != TTLV_KIND_NONE && w->version != 0 &&
		ttlv_value_out(kind, value, w->version))
		buf_fail(w->out,
			kf_fail(INTERNAL, "a value that the version does not know"));
	else
		put_4(w, tag, type, value);
}

void ttlv_put_int(struct ttlv_writer *w, enum ttlv_tag tag, int32_t value)
{
	put_value(w, tag, TTLV_INT, (uint32_t)value);
}

void ttlv_put_enum(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t value)
{
	put_value(w, tag, TTLV_ENUM, value);
}

void ttlv_put_long(struct ttlv_writer *w, enum ttlv_tag tag, int64_t value)
{
	put_8(w, tag, TTLV_LONG, (uint64_t)value);
}

void ttlv_put_bigint(struct ttlv_writer *w, enum ttlv_tag tag, struct slice value)
{
	if (value.n == 0 || value.n % 8)
		buf_fail(w->out,
			kf_fail(INTERNAL, "big integer is not in words of eight bytes"));
	else
		put_bytes(w, tag, TTLV_BIGINT, value);
}

void ttlv_put_bool(struct ttlv_writer *w, enum ttlv_tag tag, bool value)
{
	put_8(w, tag, TTLV_BOOL, value);
}

void ttlv_put_text(struct ttlv_writer *w, enum ttlv_tag tag, struct slice value)
{
	put_bytes(w, tag, TTLV_TEXT, value);
}

void ttlv_put_bytes(struct ttlv_writer *w, enum ttlv_tag tag, struct slice value)
{
	put_bytes(w, tag, TTLV_BYTES, value);
}

void ttlv_put_date(struct ttlv_writer *w, enum ttlv_tag tag, int64_t value)
{
	put_8(w, tag, TTLV_DATE, (uint64_t)value);
}

void ttlv_put_interval(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t value)
{
	put_4(w, tag, TTLV_INTERVAL, value);
}

void ttlv_put_as(struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it)
{
	put_bytes(w, tag, it->type, it->value);
}

void ttlv_put_items(struct ttlv_writer *w, struct slice items)
{
	if (items.n == 0)
		return;
	struct ttlv_reader r;
	struct ttlv_item it;
	ttlv_start(&r, items, 0, false);
	while (ttlv_next(&r, &it))
		may_leave(w, it.tag, it.type);
	if (!kf_ok(r.err))
		buf_fail(w->out, kf_fail(INTERNAL, "what was stored is not TTLV"));
	buf_add_slice(w->out, items);
}

static bool value_fits(const struct ttlv_item *it, uint16_t version)
{
	enum ttlv_kind kind = tag_info(it->tag)->kind;
	if (kind && (it->type == TTLV_ENUM || it->type == TTLV_INT))
		return !ttlv_value_out(kind, (uint32_t)ttlv_item_int(it), version);
	return it->type != TTLV_DATE_EXTENDED || version >= 0x0200;
}

static bool fits(struct slice items, uint16_t version, unsigned depth)
{
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (!ttlv_tag_in(it.tag, version) || !value_fits(&it, version))
			return false;
		if (it.type == TTLV_STRUCT &&
			(depth == TTLV_DEPTH || !fits(it.value, version, depth + 1)))
			return false;
	}
	return kf_ok(r.err);
}

bool ttlv_fits(struct slice items, uint16_t version) { return fits(items, version, 0); }

kf_err ttlv_written(const struct ttlv_writer *w)
{
	return kf_ok(w->out->err) && w->depth != 0
		       ? kf_fail(INTERNAL, "a structure was not ended")
		       : w->out->err;
}
