/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/attrs.h"
#include <string.h>

/* By tag, with gaps: found at once. */
enum { FIRST = 0x420000 };
static const struct attr_info infos[] = {
#define X(tag, since, until, multi, settable, modifiable, deletable, states, types,      \
	indexed)                                                                         \
	[TAG_##tag - FIRST] = { TAG_##tag, since, until, multi, settable, modifiable,    \
		deletable, indexed, ATTR_##states, ATTR_##types },
#include "kmip/attr.def"
#undef X
};
enum { INFOS = sizeof(infos) / sizeof(infos[0]) };

const struct attr_info *attr_info(uint32_t tag)
{
	uint32_t i = tag - FIRST;
	return i < INFOS && infos[i].tag ? &infos[i] : NULL;
}

/* Once for each attribute of a 1.x request, so the first letter is looked at first. */
const struct attr_info *attr_info_by_name(struct slice name)
{
	for (size_t i = 0; i < INFOS && name.n; i++) {
		if (!infos[i].tag || infos[i].tag == TAG_ATTRIBUTE)
			continue;
		const char *text = attr_name(&infos[i]);
		if ((uint8_t)text[0] == name.p[0] && slice_is(name, text))
			return &infos[i];
	}
	return NULL;
}

const struct attr_info *attr_info_each(size_t i)
{
	for (size_t k = 0; k < INFOS; k++) {
		if (infos[k].tag && i-- == 0)
			return &infos[k];
	}
	return NULL;
}

const char *attr_name(const struct attr_info *info) { return ttlv_tag(info->tag)->text; }

/* --- references --- */

bool attr_ref_of(const struct ttlv_item *it, struct attr_ref *ret)
{
	struct attr_ref ref = { .tag = it->tag };
	if (!attr_info(it->tag))
		return false;
	if (it->tag == TAG_ATTRIBUTE) {
		struct ttlv_reader r = ttlv_read(it->value);
		ttlv_get_text(&r, TAG_VENDOR_IDENTIFICATION, &ref.vendor);
		ttlv_get_text(&r, TAG_ATTRIBUTE_NAME, &ref.name);
		if (!ttlv_ok(&r))
			return false;
	}
	*ret = ref;
	return true;
}

bool attr_ref_eq(const struct attr_ref *a, const struct attr_ref *b)
{
	return a->tag == b->tag && slice_eq(a->vendor, b->vendor) &&
	       slice_eq(a->name, b->name);
}

/* --- sets --- */

bool attrs_find_ref(
	struct slice set, const struct attr_ref *ref, size_t n, struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	struct attr_ref found;
	while (ttlv_next(&r, &it)) {
		if (it.tag != ref->tag || !attr_ref_of(&it, &found) ||
			!attr_ref_eq(&found, ref) || n-- > 0)
			continue;
		*ret = it;
		return true;
	}
	return false;
}

bool attrs_find(struct slice set, uint32_t tag, size_t n, struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (it.tag != tag || n-- > 0)
			continue;
		*ret = it;
		return true;
	}
	return false;
}

size_t attrs_count(struct slice set, uint32_t tag)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	size_t n = 0;
	while (ttlv_next(&r, &it))
		n += it.tag == tag;
	return n;
}

static bool first_of(
	struct slice set, uint32_t tag, enum ttlv_type type, struct ttlv_item *ret)
{
	return attrs_find(set, tag, 0, ret) && ret->type == type;
}

#define SHORT_CUT(name, TYPE, ctype, value_of)                                           \
	bool attrs_get_##name(struct slice set, uint32_t tag, ctype *ret)                \
	{                                                                                \
		struct ttlv_item it;                                                     \
		if (!first_of(set, tag, TTLV_##TYPE, &it))                               \
			return false;                                                    \
		*ret = value_of;                                                         \
		return true;                                                             \
	}

SHORT_CUT(int, INT, int32_t, ttlv_item_int(&it))
SHORT_CUT(enum, ENUM, uint32_t, (uint32_t)ttlv_item_int(&it))
SHORT_CUT(bool, BOOL, bool, ttlv_item_long(&it) != 0)
SHORT_CUT(date, DATE, int64_t, ttlv_item_long(&it))
SHORT_CUT(text, TEXT, struct slice, it.value)

static bool get_name(const struct ttlv_item *it, struct slice *ret)
{
	struct ttlv_reader r = ttlv_read(it->value);
	ttlv_get_text(&r, TAG_NAME_VALUE, ret);
	return ttlv_ok(&r);
}

bool attrs_get_name(struct slice set, size_t n, struct slice *ret)
{
	struct ttlv_item it;
	return attrs_find(set, TAG_NAME, n, &it) && get_name(&it, ret);
}

bool attrs_has_name(struct slice set, struct slice name)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	struct slice have;
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_NAME && get_name(&it, &have) && slice_eq(have, name))
			return true;
	return false;
}

bool attrs_get_link(struct slice set, uint32_t link_type, struct slice *ret)
{
	struct ttlv_item it;
	for (size_t n = 0; attrs_find(set, TAG_LINK, n, &it); n++) {
		struct ttlv_reader r = ttlv_read(it.value);
		struct slice id = { 0 };
		uint32_t type = 0;
		ttlv_get_enum(&r, TAG_LINK_TYPE, &type);
		ttlv_get_text(&r, TAG_LINKED_OBJECT_IDENTIFIER, &id);
		if (ttlv_ok(&r) && type == link_type) {
			*ret = id;
			return true;
		}
	}
	return false;
}

/* --- building --- */

void attrs_add_item(struct buf *set, struct slice whole_item)
{
	buf_add_slice(set, whole_item);
}

#define ADDER(name, ctype)                                                               \
	void attrs_add_##name(struct buf *set, uint32_t tag, ctype v)                    \
	{                                                                                \
		struct ttlv_writer w = ttlv_write(set, 0);                               \
		ttlv_put_##name(&w, (enum ttlv_tag)tag, v);                              \
	}

ADDER(int, int32_t)
ADDER(enum, uint32_t)
ADDER(bool, bool)
ADDER(date, int64_t)
ADDER(text, struct slice)

void attrs_add_name(struct buf *set, struct slice name)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_NAME);
	ttlv_put_text(&w, TAG_NAME_VALUE, name);
	ttlv_put_enum(&w, TAG_NAME_TYPE, KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING);
	ttlv_end(&w);
}

void attrs_add_link(struct buf *set, uint32_t link_type, struct slice uid)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_LINK);
	ttlv_put_enum(&w, TAG_LINK_TYPE, link_type);
	ttlv_put_text(&w, TAG_LINKED_OBJECT_IDENTIFIER, uid);
	ttlv_end(&w);
}

void attrs_add_curve(struct buf *set, uint32_t recommended_curve)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	if (!recommended_curve)
		return;
	ttlv_begin(&w, TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
	ttlv_put_enum(&w, TAG_RECOMMENDED_CURVE, recommended_curve);
	ttlv_end(&w);
}

void attrs_add_vendor_text(
	struct buf *set, struct slice vendor, struct slice name, struct slice value)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_ATTRIBUTE);
	ttlv_put_text(&w, TAG_VENDOR_IDENTIFICATION, vendor);
	ttlv_put_text(&w, TAG_ATTRIBUTE_NAME, name);
	ttlv_put_text(&w, TAG_ATTRIBUTE_VALUE, value);
	ttlv_end(&w);
}

bool attrs_remove(struct buf *set, uint32_t tag, size_t n)
{
	struct ttlv_item it;
	if (!kf_ok(buf_err(set)) || !attrs_find(buf_slice(set), tag, n, &it))
		return false;
	size_t at = (size_t)(it.whole.p - set->p), rest = set->n - at - it.whole.n;
	memmove(set->p + at, set->p + at + it.whole.n, rest);
	explicit_bzero(set->p + at + rest, it.whole.n);
	set->n -= it.whole.n;
	return true;
}

void attrs_remove_all(struct buf *set, uint32_t tag)
{
	while (attrs_remove(set, tag, 0))
		;
}

void attrs_set_date(struct buf *set, uint32_t tag, int64_t v)
{
	attrs_remove_all(set, tag);
	attrs_add_date(set, tag, v);
}

void attrs_set_enum(struct buf *set, uint32_t tag, uint32_t v)
{
	attrs_remove_all(set, tag);
	attrs_add_enum(set, tag, v);
}

void attrs_set_bool(struct buf *set, uint32_t tag, bool v)
{
	attrs_remove_all(set, tag);
	attrs_add_bool(set, tag, v);
}

void attrs_set_item(struct buf *set, struct slice whole_item)
{
	struct ttlv_reader r = ttlv_read(whole_item);
	struct ttlv_item it;
	if (!ttlv_next(&r, &it))
		return;
	attrs_remove_all(set, it.tag);
	attrs_add_item(set, whole_item);
}
