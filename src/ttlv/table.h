/* SPDX-License-Identifier: Apache-2.0
 *
 * table: the tag table as an index array, for the folder's own use.
 */
#pragma once
#include "ttlv/ttlv.h"

enum {
	TABLE_STANDARD = 0x420000,
	TABLE_VENDOR = 0x540000,
	TABLE_STANDARD_SIZE = 0x180,
	TABLE_VENDOR_SIZE = 0x40,
};

extern const struct ttlv_tag_info ttlv_table[TABLE_STANDARD_SIZE + TABLE_VENDOR_SIZE];

/* A tag that nobody knows has no types and is in no version. */
extern const struct ttlv_tag_info ttlv_unknown_tag;

static inline bool tag_is_vendor(uint32_t tag) { return tag >> 16 == TABLE_VENDOR >> 16; }

static inline const struct ttlv_tag_info *tag_info(uint32_t tag)
{
	uint32_t i = tag - TABLE_STANDARD;
	if (i < TABLE_STANDARD_SIZE)
		return &ttlv_table[i];
	i = tag - TABLE_VENDOR;
	return i < TABLE_VENDOR_SIZE ? &ttlv_table[TABLE_STANDARD_SIZE + i]
				     : &ttlv_unknown_tag;
}

static inline bool tag_is_in(const struct ttlv_tag_info *info, uint16_t version)
{
	return version == 0 ? info->types != 0
			    : info->since <= version && version <= info->until;
}

/* Known to the table and newer or older than the version.  Values that we do not know pass. */
bool ttlv_value_out(enum ttlv_kind kind, uint32_t value, uint16_t version);
bool ttlv_kind_is_mask(enum ttlv_kind kind);
/* Letters and digits are equal, without case, whatever stands between them. */
bool table_same_words(struct slice a, const char *b);
