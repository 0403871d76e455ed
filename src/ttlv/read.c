/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "ttlv/table.h"
#include "ttlv/utf8.h"
#include <endian.h>
#include <string.h>

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

bool ttlv_ok(const struct ttlv_reader *r) { return kf_ok(r->err); }

void ttlv_refuse(struct ttlv_reader *r, kf_err err)
{
	if (kf_ok(r->err))
		r->err = err;
}

/* What the length of each type must be: a fixed number, or ... */
enum { NO_TYPE, ANY_LENGTH = 1, EIGHTS, SOME_EIGHTS };
static const uint8_t lengths[256] = {
	[TTLV_STRUCT] = EIGHTS,
	[TTLV_INT] = 4,
	[TTLV_LONG] = 8,
	[TTLV_BIGINT] = SOME_EIGHTS,
	[TTLV_ENUM] = 4,
	[TTLV_BOOL] = 8,
	[TTLV_TEXT] = ANY_LENGTH,
	[TTLV_BYTES] = ANY_LENGTH,
	[TTLV_DATE] = 8,
	[TTLV_INTERVAL] = 4,
	[TTLV_DATE_EXTENDED] = 8,
};

static inline bool length_fits(uint8_t type, uint32_t n)
{
	uint8_t want = lengths[type];
	if (want >= 4)
		return n == want;
	if (want == EIGHTS || want == SOME_EIGHTS)
		return n % 8 == 0 && (n > 0 || want == EIGHTS);
	return want == ANY_LENGTH;
}

/* Looks at the item under the cursor; moves nothing.  False at the end of the structure. */
static inline bool peek(struct ttlv_reader *r, struct ttlv_item *ret)
{
	size_t left = r->end[r->depth] - r->pos;
	if (left == 0 || !kf_ok(r->err))
		return false;
	const uint8_t *p = r->in.p + r->pos;
	uint32_t n = left < 8 ? 0 : get32(p + 4);
	size_t padded = ((size_t)n + 7) & ~(size_t)7;
	if (left < 8 || padded > left - 8) {
		ttlv_refuse(r, kf_fail(SHORT, "item is cut off"));
		return false;
	}
	if (!length_fits(p[3], n)) {
		ttlv_refuse(r, kf_fail(MALFORMED, "type and length do not fit"));
		return false;
	}
	*ret = (struct ttlv_item){
		.tag = get32(p) >> 8,
		.type = (enum ttlv_type)p[3],
		.value = { p + 8, n },
		.whole = { p, 8 + padded },
	};
	return true;
}

static inline void skip(struct ttlv_reader *r, const struct ttlv_item *it)
{
	r->pos += (uint32_t)it->whole.n;
}

/* The next item; a lenient reader does not see what its version does not know. */
static bool peek_known(struct ttlv_reader *r, struct ttlv_item *ret)
{
	while (peek(r, ret)) {
		if (!r->is_lenient || tag_is_in(tag_info(ret->tag), r->version))
			return true;
		skip(r, ret);
	}
	return false;
}

/* Most questions are about optional fields that are not there: one comparison answers those.  What
 * is wrong with the next item is said by whoever takes it, or by ttlv_close(). */
static inline bool is_next(struct ttlv_reader *r, uint32_t tag)
{
	struct ttlv_item it;
	if (r->is_lenient)
		peek_known(r, &it);
	return kf_ok(r->err) && r->end[r->depth] - r->pos >= 8 &&
	       get32(r->in.p + r->pos) >> 8 == tag &&
	       tag_is_in(tag_info(tag), r->version);
}

static inline bool value_fits(struct ttlv_reader *r, const struct ttlv_item *it)
{
	if (it->type == TTLV_BOOL && get64(it->value.p) > 1)
		ttlv_refuse(r, kf_fail(MALFORMED, "boolean is neither true nor false"));
	if (it->type == TTLV_TEXT && !utf8_is_text(it->value))
		ttlv_refuse(r, kf_fail(MALFORMED, "text is not UTF-8"));
	return kf_ok(r->err);
}

/* What stands in its place decides: a field that the version does not know, or another one, or none. */
static kf_err lacks(bool has_next, const struct ttlv_item *next, uint16_t version)
{
	return has_next && !tag_is_in(tag_info(next->tag), version)
		       ? kf_fail(INVALID_FIELD, "a field that is not known")
		       : kf_fail(MISSING, "a required field is missing");
}

/* Takes the item with this tag, which must have one of these types. */
static bool take(
	struct ttlv_reader *r, uint32_t tag, unsigned types, struct ttlv_item *ret)
{
	const bool is_there = is_next(r, tag), has_next = peek(r, ret);
	if (!has_next || !is_there) {
		ttlv_refuse(r, lacks(has_next, ret, r->version));
		return false;
	}
	if (!(types & tag_info(tag)->types & 1u << ret->type)) {
		ttlv_refuse(r, kf_fail(MALFORMED, "tag has the wrong type"));
		return false;
	}
	if (!value_fits(r, ret))
		return false;
	skip(r, ret);
	return true;
}

/* The places of inner structures are written when those are opened, not here: a reader is made for
 * every payload of the hot path. */
void ttlv_start(
	struct ttlv_reader *ret, struct slice in, uint16_t version, bool is_lenient)
{
	bool is_too_long = in.n > UINT32_MAX - 8;
	ret->in = in;
	ret->version = version;
	ret->is_lenient = is_lenient;
	ret->depth = 0;
	ret->pos = ret->start[0] = 0;
	ret->end[0] = is_too_long ? 0 : (uint32_t)in.n;
	ret->err = is_too_long ? kf_fail(TOO_BIG, "message is longer than TTLV can say")
			       : KF_OK;
}

struct ttlv_reader ttlv_read_as(struct slice in, uint16_t version, bool is_lenient)
{
	struct ttlv_reader r;
	ttlv_start(&r, in, version, is_lenient);
	return r;
}

struct ttlv_reader ttlv_read(struct slice in) { return ttlv_read_as(in, 0, false); }

struct ttlv_reader ttlv_read_like(const struct ttlv_reader *r, struct slice in)
{
	return ttlv_read_as(in, r->version, r->is_lenient);
}

void ttlv_open(struct ttlv_reader *r, enum ttlv_tag tag)
{
	struct ttlv_item it;
	if (!take(r, tag, 1u << TTLV_STRUCT, &it))
		return;
	if (r->depth == TTLV_DEPTH) {
		ttlv_refuse(r, kf_fail(MALFORMED, "structures are nested too deep"));
		return;
	}
	r->depth++;
	r->end[r->depth] = r->pos;
	r->pos -= (uint32_t)it.value.n;
	r->start[r->depth] = r->pos;
}

bool ttlv_open_opt(struct ttlv_reader *r, enum ttlv_tag tag)
{
	if (!ttlv_at(r, tag))
		return false;
	ttlv_open(r, tag);
	return kf_ok(r->err);
}

/* Was there an item with this tag before the cursor, in the same structure? */
static bool is_repeated(const struct ttlv_reader *r, uint32_t tag)
{
	uint32_t pos = r->start[r->depth];
	while (pos < r->pos) {
		const uint8_t *p = r->in.p + pos;
		if (get32(p) >> 8 == tag)
			return true;
		pos += 8 + ((get32(p + 4) + 7) & ~7u);
	}
	return false;
}

static void refuse_rest(struct ttlv_reader *r)
{
	struct ttlv_item it;
	if (!peek_known(r, &it))
		return;
	if (is_repeated(r, it.tag))
		ttlv_refuse(r, kf_fail(MALFORMED, "a field is given twice"));
	else if (!r->is_lenient)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "a field does not belong here"));
}

void ttlv_close(struct ttlv_reader *r)
{
	if (!kf_ok(r->err) ||
		!KF_HOLDS(&r->err, r->depth > 0, "closing what was not opened"))
		return;
	refuse_rest(r);
	r->pos = r->end[r->depth];
	r->depth--;
}

kf_err ttlv_done(struct ttlv_reader *r)
{
	if (kf_ok(r->err) &&
		KF_HOLDS(&r->err, r->depth == 0, "done inside of a structure"))
		refuse_rest(r);
	return r->err;
}

bool ttlv_at(struct ttlv_reader *r, enum ttlv_tag tag) { return is_next(r, tag); }

bool ttlv_more(struct ttlv_reader *r)
{
	struct ttlv_item it;
	return peek_known(r, &it);
}

bool ttlv_next(struct ttlv_reader *r, struct ttlv_item *ret)
{
	struct ttlv_item it;
	if (!peek(r, &it))
		return false;
	const struct ttlv_tag_info *info = tag_info(it.tag);
	if (info->types && !(info->types & 1u << it.type))
		ttlv_refuse(r, kf_fail(MALFORMED, "tag has the wrong type"));
	if (!value_fits(r, &it))
		return false;
	skip(r, &it);
	*ret = it;
	return true;
}

static kf_err check(struct slice in, unsigned depth)
{
	struct ttlv_reader r;
	struct ttlv_item it;
	ttlv_start(&r, in, 0, false);
	if (depth > TTLV_DEPTH)
		return kf_fail(MALFORMED, "structures are nested too deep");
	while (ttlv_next(&r, &it)) {
		if (it.type == TTLV_STRUCT)
			KF_TRY(check(it.value, depth + 1));
	}
	return r.err;
}

kf_err ttlv_check(struct slice in) { return check(in, 0); }

int32_t ttlv_item_int(const struct ttlv_item *it) { return (int32_t)get32(it->value.p); }
int64_t ttlv_item_long(const struct ttlv_item *it) { return (int64_t)get64(it->value.p); }

/* Typed getters: take the item, then turn its value into C's. */
#define GETTER(name, type, ctype, value_of)                                              \
	void ttlv_get_##name(struct ttlv_reader *r, enum ttlv_tag tag, ctype *ret)       \
	{                                                                                \
		struct ttlv_item it;                                                     \
		if (take(r, tag, 1u << TTLV_##type, &it))                                \
			*ret = value_of;                                                 \
	}

GETTER(int, INT, int32_t, ttlv_item_int(&it))
GETTER(long, LONG, int64_t, ttlv_item_long(&it))
GETTER(bigint, BIGINT, struct slice, it.value)
GETTER(enum, ENUM, uint32_t, get32(it.value.p))
GETTER(bool, BOOL, bool, ttlv_item_long(&it) != 0)
GETTER(text, TEXT, struct slice, it.value)
GETTER(bytes, BYTES, struct slice, it.value)
GETTER(date, DATE, int64_t, ttlv_item_long(&it))
GETTER(interval, INTERVAL, uint32_t, get32(it.value.p))
GETTER(content, STRUCT, struct slice, it.value)

void ttlv_get_item(struct ttlv_reader *r, enum ttlv_tag tag, struct ttlv_item *ret)
{
	struct ttlv_item it;
	if (take(r, tag, ~0u, &it))
		*ret = it;
}

#define OPTION(name, ctype)                                                              \
	bool ttlv_opt_##name(struct ttlv_reader *r, enum ttlv_tag tag, ctype *ret)       \
	{                                                                                \
		if (!ttlv_at(r, tag))                                                    \
			return false;                                                    \
		ttlv_get_##name(r, tag, ret);                                            \
		return kf_ok(r->err);                                                    \
	}

OPTION(int, int32_t)
OPTION(enum, uint32_t)
OPTION(bool, bool)
OPTION(text, struct slice)
OPTION(bytes, struct slice)
OPTION(date, int64_t)
