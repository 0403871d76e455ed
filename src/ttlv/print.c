/* SPDX-License-Identifier: Apache-2.0 */
#include "ttlv/table.h"
#include "ttlv/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const char *const type_words[] = {
	[TTLV_STRUCT] = "Structure",
	[TTLV_INT] = "Integer",
	[TTLV_LONG] = "Long",
	[TTLV_BIGINT] = "BigInteger",
	[TTLV_ENUM] = "Enumeration",
	[TTLV_BOOL] = "Boolean",
	[TTLV_TEXT] = "Text",
	[TTLV_BYTES] = "Bytes",
	[TTLV_DATE] = "Date",
	[TTLV_INTERVAL] = "Interval",
	[TTLV_DATE_EXTENDED] = "DateExtended",
};
enum { TYPES = sizeof(type_words) / sizeof(type_words[0]) };

const char *text_type(enum ttlv_type type)
{
	return (unsigned)type < TYPES ? type_words[type] : NULL;
}

enum ttlv_type text_type_find(struct slice word)
{
	for (unsigned i = TTLV_STRUCT; i < TYPES; i++) {
		if (slice_is(word, type_words[i]))
			return (enum ttlv_type)i;
	}
	return (enum ttlv_type)0;
}

enum ttlv_kind text_kind(uint32_t tag, struct slice attribute_name)
{
	if (tag == TAG_ATTRIBUTE_VALUE)
		tag = ttlv_tag_find(attribute_name);
	return (enum ttlv_kind)tag_info(tag)->kind;
}

struct printer {
	struct buf *out;
	bool is_masked;
};

static void print_hex(struct buf *out, struct slice s)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < s.n; i++) {
		buf_add_u8(out, (uint8_t)digits[s.p[i] >> 4]);
		buf_add_u8(out, (uint8_t)digits[s.p[i] & 15]);
	}
}

static void print_text(struct buf *out, struct slice s)
{
	buf_add_u8(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_add_u8(out, c);
	}
	buf_add_u8(out, '"');
}

static void print_date(struct buf *out, int64_t t)
{
	struct tm tm;
	time_t seconds = (time_t)t;
	bool has_four_digit_year = t >= -62135596800 && t < 253402300800;
	if (has_four_digit_year && gmtime_r(&seconds, &tm))
		buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		buf_printf(out, "%" PRId64, t);
}

static bool mask_has_names(enum ttlv_kind kind, uint32_t mask)
{
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (mask & bit && !ttlv_value_text(kind, bit))
			return false;
	}
	return mask != 0 && ttlv_kind_is_mask(kind);
}

static void print_mask(struct buf *out, enum ttlv_kind kind, uint32_t mask)
{
	const char *between = "";
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (mask & bit) {
			buf_add_text(out, between);
			buf_add_text(out, ttlv_value_text(kind, bit));
			between = " | ";
		}
	}
}

static void print_int(struct buf *out, enum ttlv_kind kind, int32_t v)
{
	if (mask_has_names(kind, (uint32_t)v))
		print_mask(out, kind, (uint32_t)v);
	else
		buf_printf(out, "%" PRId32, v);
}

static void print_enum(struct buf *out, enum ttlv_kind kind, uint32_t v)
{
	const char *text = ttlv_value_text(kind, v);
	if (text)
		buf_add_text(out, text);
	else
		buf_printf(out, "0x%08" PRIx32, v);
}

static void print_value(struct buf *out, const struct ttlv_item *it, enum ttlv_kind kind)
{
	/* clang-format off */
	switch (it->type) {
	case TTLV_INT: print_int(out, kind, ttlv_item_int(it)); break;
	case TTLV_LONG:
	case TTLV_DATE_EXTENDED: buf_printf(out, "%" PRId64, ttlv_item_long(it)); break;
	case TTLV_ENUM: print_enum(out, kind, (uint32_t)ttlv_item_int(it)); break;
	case TTLV_BOOL: buf_add_text(out, ttlv_item_long(it) ? "true" : "false"); break;
	case TTLV_TEXT: print_text(out, it->value); break;
	case TTLV_BYTES:
	case TTLV_BIGINT: print_hex(out, it->value); break;
	case TTLV_DATE: print_date(out, ttlv_item_long(it)); break;
	case TTLV_INTERVAL: buf_printf(out, "%" PRIu32, (uint32_t)ttlv_item_int(it)); break;
	case TTLV_STRUCT: break;
	}
	/* clang-format on */
}

static void print_head(
	const struct printer *p, const struct ttlv_item *it, unsigned depth)
{
	const char *name = tag_info(it->tag)->text;
	for (unsigned i = 0; i < depth; i++)
		buf_add_u8(p->out, '\t');
	if (name)
		buf_add_text(p->out, name);
	else
		buf_printf(p->out, "0x%06" PRIx32, it->tag);
	if (it->type != TTLV_STRUCT)
		buf_printf(p->out, " = %s ", text_type(it->type));
}

static kf_err print(
	const struct printer *p, struct slice items, unsigned depth, bool is_secret)
{
	if (depth > TTLV_DEPTH)
		return kf_fail(MALFORMED, "structures are nested too deep");
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;
	struct slice name = { 0 }; /* of the attribute whose value may follow */
	while (ttlv_next(&r, &it)) {
		bool hides = p->is_masked && (is_secret || tag_info(it.tag)->is_secret);
		print_head(p, &it, depth);
		if (hides && it.type != TTLV_STRUCT)
			buf_printf(p->out, "(masked, %zu bytes)", it.value.n);
		else
			print_value(p->out, &it, text_kind(it.tag, name));
		buf_add_u8(p->out, '\n');
		if (it.type == TTLV_STRUCT)
			KF_TRY(print(p, it.value, depth + 1, hides));
		if (it.tag == TAG_ATTRIBUTE_NAME && it.type == TTLV_TEXT)
			name = it.value;
	}
	return r.err;
}

kf_err ttlv_print(struct slice items, bool is_masked, struct buf *ret)
{
	struct printer p = { ret, is_masked };
	KF_TRY(print(&p, items, 0, false));
	return buf_err(ret);
}
