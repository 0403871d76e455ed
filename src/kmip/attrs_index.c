/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances of one attribute, their indices, and changes that keep them.
 */
#include "kmip/attrs.h"
#include "kmip/attrs_wire.h"

/* --- gaps --- */

/* How many instances were taken out here, if this is a gap of the attribute's; else 0. */
static int32_t gap_of(const struct ttlv_item *it, const struct attr_ref *ref)
{
	struct attr_ref of = { 0 };
	int32_t n = 0;
	if (it->tag != TAG_ATTRIBUTE_GAP || it->type != TTLV_STRUCT)
		return 0;
	struct ttlv_reader r = ttlv_read_as(it->value, KMIP_2_1, false);
	if (!attr_ref_get(&r, &of) || !attr_ref_eq(&of, ref))
		return 0;
	ttlv_get_int(&r, TAG_ATTRIBUTE_GAP_SIZE, &n);
	return ttlv_ok(&r) && n > 0 ? n : 0;
}

static void add_gap(struct buf *set, const struct attr_ref *ref, int32_t n)
{
	struct ttlv_writer w = ttlv_write(set, KMIP_2_1);
	w.allows_vendor = true;
	ttlv_begin(&w, TAG_ATTRIBUTE_GAP);
	attr_ref_put(&w, ref);
	ttlv_put_int(&w, TAG_ATTRIBUTE_GAP_SIZE, n);
	ttlv_end(&w);
}

static bool is_of(const struct ttlv_item *it, const struct attr_ref *ref)
{
	struct attr_ref of;
	return it->tag == ref->tag && attr_ref_of(it, &of) && attr_ref_eq(&of, ref);
}

/* --- finding --- */

bool attrs_find_index(struct slice set, const struct attr_ref *ref, int32_t index,
	struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	int32_t at = 0;
	while (ttlv_next(&r, &it) && at <= index) {
		at += gap_of(&it, ref);
		if (!is_of(&it, ref) || at++ != index)
			continue;
		*ret = it;
		return true;
	}
	return false;
}

int32_t attrs_index_of(struct slice set, const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item other;
	struct attr_ref ref;
	const struct attr_info *info = attr_info(it->tag);
	int32_t n = 0;
	if (!info || !info->is_multi || !attr_ref_of(it, &ref))
		return 0;
	while (ttlv_next(&r, &other) && other.whole.p < it->whole.p)
		n += is_of(&other, &ref) ? 1 : gap_of(&other, &ref);
	return n;
}

size_t attrs_count_ref(struct slice set, const struct attr_ref *ref)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	size_t n = 0;
	while (ttlv_next(&r, &it))
		n += is_of(&it, ref);
	return n;
}

void attrs_pick(struct slice set, const struct attr_ref *ref, struct buf *into)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (is_of(&it, ref) || gap_of(&it, ref))
			attrs_add_item(into, it.whole);
}

/* --- changing --- */

static void swap(struct buf *a, struct buf *b)
{
	struct buf was = *a;
	*a = *b;
	*b = was;
}

/* Gaps move up to the next instance that stays, and become one; behind the last one none is needed. */
void attrs_take_out(struct buf *set, const struct ttlv_item *gone)
{
	autobuf rest = buf_new(set->limit);
	struct ttlv_reader r = ttlv_read(buf_slice(set));
	struct ttlv_item it;
	struct attr_ref ref;
	int32_t pending = 0, gap;
	if (!kf_ok(buf_err(set)) || !attr_ref_of(gone, &ref))
		return;
	while (ttlv_next(&r, &it)) {
		gap = it.whole.p == gone->whole.p ? 1 : gap_of(&it, &ref);
		pending += gap;
		if (gap)
			continue;
		if (pending && is_of(&it, &ref)) {
			add_gap(&rest, &ref, pending);
			pending = 0;
		}
		attrs_add_item(&rest, it.whole);
	}
	swap(set, &rest);
}

void attrs_take_out_all(struct buf *set, const struct attr_ref *ref)
{
	autobuf rest = buf_new(set->limit);
	struct ttlv_reader r = ttlv_read(buf_slice(set));
	struct ttlv_item it;
	if (!kf_ok(buf_err(set)))
		return;
	while (ttlv_next(&r, &it))
		if (!is_of(&it, ref) && !gap_of(&it, ref))
			attrs_add_item(&rest, it.whole);
	swap(set, &rest);
}

void attrs_replace(struct buf *set, const struct ttlv_item *old, struct slice whole_item)
{
	autobuf rest = buf_new(set->limit);
	struct ttlv_reader r = ttlv_read(buf_slice(set));
	struct ttlv_item it;
	if (!kf_ok(buf_err(set)))
		return;
	while (ttlv_next(&r, &it))
		attrs_add_item(&rest, it.whole.p == old->whole.p ? whole_item : it.whole);
	swap(set, &rest);
}
