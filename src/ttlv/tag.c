/* SPDX-License-Identifier: Apache-2.0 */
#include "ttlv/table.h"

enum {
	B_STRUCT = 1 << TTLV_STRUCT,
	B_INT = 1 << TTLV_INT,
	B_LONG = 1 << TTLV_LONG,
	B_BIGINT = 1 << TTLV_BIGINT,
	B_ENUM = 1 << TTLV_ENUM,
	B_BOOL = 1 << TTLV_BOOL,
	B_TEXT = 1 << TTLV_TEXT,
	B_BYTES = 1 << TTLV_BYTES,
	B_DATE = 1 << TTLV_DATE | 1 << TTLV_DATE_EXTENDED,
	B_INTERVAL = 1 << TTLV_INTERVAL,
	B_ANY = 0xffe,
};

#define INDEX(tag)                                                                       \
	((tag) >= TABLE_VENDOR ? TABLE_STANDARD_SIZE + (tag)-TABLE_VENDOR                \
			       : (tag)-TABLE_STANDARD)

const struct ttlv_tag_info ttlv_table[TABLE_STANDARD_SIZE + TABLE_VENDOR_SIZE] = {
#define X(name, value, types, since, until, secret, kind, text)                          \
	[INDEX(value)] = { since, until, types, TTLV_KIND_##kind, secret, text },
#include "ttlv/tag.def"
#undef X
};
const struct ttlv_tag_info ttlv_unknown_tag = { .since = 0xffff };

const struct ttlv_tag_info *ttlv_tag(uint32_t tag)
{
	const struct ttlv_tag_info *info = tag_info(tag);
	return info->types ? info : NULL;
}

bool ttlv_tag_in(uint32_t tag, uint16_t version)
{
	return tag_is_in(tag_info(tag), version);
}

static uint32_t tag_at(size_t i)
{
	return i < TABLE_STANDARD_SIZE ? TABLE_STANDARD + (uint32_t)i
				       : TABLE_VENDOR + (uint32_t)i - TABLE_STANDARD_SIZE;
}

uint32_t ttlv_tag_find(struct slice text)
{
	for (size_t i = 0; i < sizeof(ttlv_table) / sizeof(ttlv_table[0]); i++) {
		const char *name = ttlv_table[i].text;
		if (name && text.n && (uint8_t)name[0] == text.p[0] &&
			slice_is(text, name))
			return tag_at(i);
	}
	return 0;
}

uint32_t ttlv_tag_find_words(struct slice text)
{
	for (size_t i = 0; i < sizeof(ttlv_table) / sizeof(ttlv_table[0]); i++)
		if (ttlv_table[i].text && table_same_words(text, ttlv_table[i].text))
			return tag_at(i);
	return 0;
}
