/* SPDX-License-Identifier: Apache-2.0 */
#include "ttlv/table.h"

struct value {
	uint32_t value;
	uint16_t since, until;
	const char *text;
};

/* Rows of one kind follow each other, in the order of their values. */
static const struct value values[] = {
#define X(kind, name, value, since, until, text) { value, since, until, text },
#include "ttlv/enum.def"
};

enum row {
#define KIND(name, is_mask, text)                START_##name, BEFORE_##name = START_##name - 1,
#define X(kind, name, value, since, until, text) ROW_##kind##_##name,
#include "ttlv/enum.def"
	ROWS,
};

/* Every KIND of the enumeration above takes the number of its first row. */
static const struct {
	uint16_t first;
	bool is_mask;
} kinds[TTLV_KINDS + 1] = {
#define KIND(name, is_mask, text) [TTLV_KIND_##name] = { START_##name, is_mask },
#include "ttlv/enum.def"
	[TTLV_KINDS] = { ROWS, false },
};

static const struct value *find(enum ttlv_kind kind, uint32_t value)
{
	if (kind >= TTLV_KINDS)
		return NULL;
	size_t first = kinds[kind].first, n = kinds[kind + 1].first - first;
	if (n == 0)
		return NULL;
	/* Nearly every enumeration is dense. */
	size_t guess = value - values[first].value;
	if (guess < n && values[first + guess].value == value)
		return &values[first + guess];
	for (size_t i = first; i < first + n; i++) {
		if (values[i].value == value)
			return &values[i];
	}
	return NULL;
}

static bool is_in(const struct value *v, uint16_t version)
{
	return v->since <= version && version <= v->until;
}

bool ttlv_kind_is_mask(enum ttlv_kind kind)
{
	return kind < TTLV_KINDS && kinds[kind].is_mask;
}

static bool mask_in(enum ttlv_kind kind, uint32_t mask, uint16_t version)
{
	for (uint32_t bit = 1; bit; bit <<= 1) {
		const struct value *v = mask & bit ? find(kind, bit) : NULL;
		if (v && !is_in(v, version))
			return false;
	}
	return true;
}

bool ttlv_value_out(enum ttlv_kind kind, uint32_t value, uint16_t version)
{
	if (kind == TTLV_KIND_TAG) {
		const struct ttlv_tag_info *info = tag_info(value);
		return info->types && !tag_is_in(info, version);
	}
	if (ttlv_kind_is_mask(kind))
		return !mask_in(kind, value, version);
	const struct value *v = find(kind, value);
	return v && !is_in(v, version);
}

bool ttlv_value_in(enum ttlv_kind kind, uint32_t value, uint16_t version)
{
	if (kind == TTLV_KIND_NONE || value >= 0x80000000)
		return true;
	if (kind == TTLV_KIND_TAG)
		return ttlv_tag_in(value, version);
	if (ttlv_kind_is_mask(kind))
		return mask_in(kind, value, version);
	const struct value *v = find(kind, value);
	return v && is_in(v, version);
}

const char *ttlv_value_text(enum ttlv_kind kind, uint32_t value)
{
	if (kind == TTLV_KIND_TAG)
		return tag_info(value)->text;
	const struct value *v = find(kind, value);
	return v ? v->text : NULL;
}

static int lower(int c) { return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c; }

static bool counts(int c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* Letters and digits are equal, whatever stands between them. */
bool table_same_words(struct slice a, const char *b)
{
	size_t i = 0;
	for (;;) {
		while (i < a.n && !counts(a.p[i]))
			i++;
		while (*b && !counts(*b))
			b++;
		if (i == a.n || !*b)
			return i == a.n && !*b;
		if (lower(a.p[i++]) != lower(*b++))
			return false;
	}
}

bool ttlv_value_find(enum ttlv_kind kind, struct slice text, uint32_t *ret)
{
	if (kind == TTLV_KIND_TAG) {
		uint32_t tag = ttlv_tag_find(text);
		if (tag)
			*ret = tag;
		return tag != 0;
	}
	if (kind >= TTLV_KINDS)
		return false;
	for (size_t i = kinds[kind].first; i < kinds[kind + 1].first; i++) {
		if (table_same_words(text, values[i].text)) {
			*ret = values[i].value;
			return true;
		}
	}
	return false;
}
