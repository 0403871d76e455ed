/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/change_attribute.h"
#include "kmip/wire.h"

static struct ttlv_item first_of(struct slice set)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it = { 0 };
	(void)ttlv_next(&r, &it);
	return it;
}

/* --- requests --- */

static void put_wrapped(struct ttlv_writer *w, enum ttlv_tag tag, struct slice item)
{
	const struct ttlv_item it = first_of(item);
	if (!item.n)
		return;
	ttlv_begin(w, tag);
	attrs_put_one(w, &it, 0);
	ttlv_end(w);
}

static void put_2x(struct ttlv_writer *w, enum attribute_change kind,
	const struct change_attribute_request *q)
{
	put_wrapped(w, TAG_CURRENT_ATTRIBUTE, q->current_attribute);
	put_wrapped(w, TAG_NEW_ATTRIBUTE, q->new_attribute);
	if (q->has_ref)
		attr_ref_put(w, &q->ref);
	if (kind != ATTRIBUTE_ADJUST)
		return;
	ttlv_put_enum(w, TAG_ADJUSTMENT_TYPE, q->adjustment_type);
	if (q->adjustment_value.whole.n)
		ttlv_put_as(w, TAG_ADJUSTMENT_VALUE, &q->adjustment_value);
}

static void put_1x(struct ttlv_writer *w, enum attribute_change kind,
	const struct change_attribute_request *q)
{
	const struct ttlv_item it = first_of(q->new_attribute);
	if (kind != ATTRIBUTE_DELETE) {
		attrs_put_one(w, &it, q->index.value);
		return;
	}
	attr_ref_put(w, &q->ref);
	if (q->index.is_given)
		ttlv_put_int(w, TAG_ATTRIBUTE_INDEX, q->index.value);
}

void change_attribute_put_request(struct ttlv_writer *w, enum attribute_change kind,
	const struct change_attribute_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (kmip_is_2(w->version))
		put_2x(w, kind, q);
	else
		put_1x(w, kind, q);
}

/* What was appended: a place until all is read, since `into` moves as it grows. */
struct place {
	size_t at, n;
};

static struct place get_one(struct ttlv_reader *r, enum ttlv_tag tag, struct buf *into,
	struct attr_index *index)
{
	const size_t at = into->n;
	attrs_get_one(r, tag, into, index);
	return (struct place){ at, into->n - at };
}

static struct slice at_place(const struct buf *b, struct place p)
{
	return p.n ? (struct slice){ b->p + p.at, p.n } : (struct slice){ 0 };
}

static void get_ref(struct ttlv_reader *r, struct change_attribute_request *ret)
{
	ret->has_ref = attr_ref_get(r, &ret->ref);
	if (ret->has_ref && !ret->ref.tag)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "unknown attribute"));
}

/* No object has an attribute that nobody knows: 1.x says just this. */
static void get_name(struct ttlv_reader *r, struct change_attribute_request *ret)
{
	ret->has_ref = attr_ref_get(r, &ret->ref);
	if (ret->has_ref && !ret->ref.tag)
		ttlv_refuse(r, kf_fail(NOTHING_TO_DELETE, "unknown attribute"));
}

static void get_adjustment(struct ttlv_reader *r, struct change_attribute_request *ret)
{
	if (!ret->has_ref)
		ttlv_refuse(r, kf_fail(MALFORMED, "no Attribute Reference"));
	ttlv_get_enum(r, TAG_ADJUSTMENT_TYPE, &ret->adjustment_type);
	if (ttlv_at(r, TAG_ADJUSTMENT_VALUE))
		ttlv_get_item(r, TAG_ADJUSTMENT_VALUE, &ret->adjustment_value);
}

static void get_1x_delete(struct ttlv_reader *r, struct change_attribute_request *ret)
{
	struct attr_index *index = &ret->index;
	get_name(r, ret);
	if (!ret->has_ref)
		ttlv_refuse(r, kf_fail(MALFORMED, "no Attribute Name"));
	index->is_given = ttlv_opt_int(r, TAG_ATTRIBUTE_INDEX, &index->value);
	if (index->value < 0)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "Attribute Index is negative"));
}

static void get_2x_delete(struct ttlv_reader *r, struct change_attribute_request *ret)
{
	if (ttlv_at(r, TAG_ATTRIBUTE_REFERENCE))
		get_ref(r, ret);
}

kf_err change_attribute_get_request(struct ttlv_reader *r, enum attribute_change kind,
	struct buf *into, struct change_attribute_request *ret)
{
	const bool is_2 = kmip_is_2(r->version), deletes = kind == ATTRIBUTE_DELETE;
	struct place current = { 0 }, new_one = { 0 };

	*ret = (struct change_attribute_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	if (is_2 && ttlv_at(r, TAG_CURRENT_ATTRIBUTE) &&
		(deletes || kind == ATTRIBUTE_MODIFY))
		current = get_one(r, TAG_CURRENT_ATTRIBUTE, into, &ret->index);
	if (deletes && is_2)
		get_2x_delete(r, ret);
	else if (deletes)
		get_1x_delete(r, ret);
	else if (kind == ATTRIBUTE_ADJUST)
		get_ref(r, ret);
	else
		new_one = get_one(r, TAG_NEW_ATTRIBUTE, into, &ret->index);
	if (kind == ATTRIBUTE_ADJUST)
		get_adjustment(r, ret);
	KF_TRY(ttlv_done(r));
	KF_TRY(buf_err(into));
	ret->current_attribute = at_place(into, current);
	ret->new_attribute = at_place(into, new_one);
	return deletes && is_2 && !ret->has_ref && !current.n
		       ? kf_fail(MALFORMED, "neither Current Attribute nor a reference")
		       : KF_OK;
}

/* --- responses --- */

void change_attribute_put_response(
	struct ttlv_writer *w, const struct change_attribute_response *a)
{
	const struct ttlv_item it = first_of(a->attribute);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	if (!kmip_is_2(w->version) && a->attribute.n)
		attrs_put_one(w, &it, a->index);
}

kf_err change_attribute_get_response(
	struct ttlv_reader *r, struct buf *into, struct change_attribute_response *ret)
{
	struct attr_index index = { 0 };
	struct place one = { 0 };
	*ret = (struct change_attribute_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	if (!kmip_is_2(r->version))
		one = get_one(r, TAG_ATTRIBUTE, into, &index);
	KF_TRY(ttlv_done(r));
	KF_TRY(buf_err(into));
	ret->attribute = at_place(into, one);
	ret->index = index.value;
	return KF_OK;
}
