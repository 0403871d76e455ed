/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes on the wire: 2.x as they are, 1.x as Attribute{Attribute Name, Index, Value}.
 */
#include "kmip/attrs_wire.h"
#include "kmip/cryptographic_parameters.h"
#include "kmip/wire.h"
#include <string.h>

static const enum ttlv_tag templates[] = {
	[ATTRS_PLAIN] = TAG_TEMPLATE_ATTRIBUTE,
	[ATTRS_COMMON] = TAG_COMMON_TEMPLATE_ATTRIBUTE,
	[ATTRS_PRIVATE_KEY] = TAG_PRIVATE_KEY_TEMPLATE_ATTRIBUTE,
	[ATTRS_PUBLIC_KEY] = TAG_PUBLIC_KEY_TEMPLATE_ATTRIBUTE,
};
static const enum ttlv_tag natives[] = {
	[ATTRS_PLAIN] = TAG_ATTRIBUTES,
	[ATTRS_COMMON] = TAG_COMMON_ATTRIBUTES,
	[ATTRS_PRIVATE_KEY] = TAG_PRIVATE_KEY_ATTRIBUTES,
	[ATTRS_PUBLIC_KEY] = TAG_PUBLIC_KEY_ATTRIBUTES,
};

static bool is_in(const struct attr_info *info, uint16_t version)
{
	return info && info->since <= version && version <= info->until;
}

/* "x-NAME" or "y-NAME". */
static bool is_custom(struct slice name)
{
	return name.n > 2 && (name.p[0] == 'x' || name.p[0] == 'y') && name.p[1] == '-';
}

/* --- reading --- */

/* New attributes are whole, wanted ones may be parts. */
typedef kf_err check_fn(const struct ttlv_item *it);

static void add_custom(struct buf *into, struct slice name, const struct ttlv_item *value)
{
	struct ttlv_writer w = ttlv_write(into, 0);
	ttlv_begin(&w, TAG_ATTRIBUTE);
	ttlv_put_text(&w, TAG_VENDOR_IDENTIFICATION, (struct slice){ name.p, 1 });
	ttlv_put_text(&w, TAG_ATTRIBUTE_NAME, (struct slice){ name.p + 2, name.n - 2 });
	ttlv_put_as(&w, TAG_ATTRIBUTE_VALUE, value);
	ttlv_end(&w);
}

/* What the standard gave to another version is refused; of a version that we do not know nobody knows. */
static kf_err check_item(
	const struct ttlv_reader *r, const struct ttlv_item *it, check_fn *check)
{
	KF_TRY(check(it));
	return r->is_lenient ? KF_OK : attrs_check_version(it, r->version);
}

/* Appends the value under the attribute's own tag and looks at the result. */
static kf_err add_standard(const struct ttlv_reader *request, uint32_t tag,
	const struct ttlv_item *value, check_fn *check, struct buf *into)
{
	size_t at = into->n;
	struct ttlv_writer w = ttlv_write(into, 0);
	struct ttlv_item it = { 0 };
	if (!(ttlv_tag(tag)->types & 1u << value->type))
		return kf_fail(INVALID_FIELD, "attribute value has the wrong type");
	ttlv_put_as(&w, tag, value);
	KF_TRY(buf_err(into));
	struct ttlv_reader r = ttlv_read((struct slice){ into->p + at, into->n - at });
	ttlv_get_item(&r, (enum ttlv_tag)tag, &it);
	KF_TRY(r.err);
	return check_item(request, &it, check);
}

static kf_err add_1x(struct ttlv_reader *r, struct slice name,
	const struct ttlv_item *value, check_fn *check, struct buf *into)
{
	const struct attr_info *info = attr_info_by_name(name);
	KF_TRY(ttlv_check(value->whole));
	if (is_custom(name))
		add_custom(into, name, value);
	else if (is_in(info, r->version))
		return add_standard(r, info->tag, value, check, into);
	else if (!r->is_lenient)
		return kf_fail(INVALID_FIELD, "unknown attribute");
	return buf_err(into);
}

static void get_1x(
	struct ttlv_reader *r, check_fn *check, struct buf *into, struct attr_index *ret)
{
	struct slice name = { 0 };
	struct ttlv_item value = { 0 };
	struct attr_index index = { 0 };
	ttlv_open(r, TAG_ATTRIBUTE);
	ttlv_get_text(r, TAG_ATTRIBUTE_NAME, &name);
	index.is_given = ttlv_opt_int(r, TAG_ATTRIBUTE_INDEX, &index.value);
	ttlv_get_item(r, TAG_ATTRIBUTE_VALUE, &value);
	ttlv_close(r);
	if (ret)
		*ret = index;
	if (index.value < 0)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "Attribute Index is negative"));
	if (!ttlv_ok(r))
		return;
	kf_err e = add_1x(r, name, &value, check, into);
	if (!kf_ok(e))
		ttlv_refuse(r, e);
}

static kf_err check_2x(
	const struct ttlv_reader *r, const struct ttlv_item *it, check_fn *check)
{
	if (!is_in(attr_info(it->tag), r->version))
		return kf_fail(INVALID_FIELD, "unknown attribute");
	return check_item(r, it, check);
}

static void get_2x(
	struct ttlv_reader *r, struct slice content, check_fn *check, struct buf *into)
{
	struct ttlv_reader inner = ttlv_read_like(r, content);
	struct ttlv_item it;
	while (ttlv_ok(r) && ttlv_next(&inner, &it)) {
		bool skips = r->is_lenient && !attr_info(it.tag);
		kf_err e = skips ? KF_OK : check_2x(r, &it, check);
		if (!kf_ok(e))
			ttlv_refuse(r, e);
		else if (!skips)
			attrs_add_item(into, it.whole);
	}
	if (!kf_ok(inner.err))
		ttlv_refuse(r, inner.err);
}

/* Comparing all attributes with all others must stay cheap. */
static void check_room(struct ttlv_reader *r, const struct buf *into)
{
	struct ttlv_reader set = ttlv_read(buf_slice(into));
	struct ttlv_item it;
	size_t n = 0;
	kf_err e = buf_err(into);
	while (ttlv_ok(r) && ttlv_next(&set, &it))
		n++;
	if (!kf_ok(e))
		ttlv_refuse(r, e);
	if (n > ATTRS_COUNT_MAX)
		ttlv_refuse(r, kf_fail(LIMIT, "too many attributes"));
}

static void get_template_1x(struct ttlv_reader *r, enum ttlv_tag tag, struct buf *into)
{
	if (!ttlv_open_opt(r, tag))
		return;
	if (ttlv_at(r, TAG_NAME))
		ttlv_refuse(r, kf_fail(NOT_FOUND, "templates are not kept"));
	while (ttlv_at(r, TAG_ATTRIBUTE))
		get_1x(r, attrs_check_shape, into, NULL);
	ttlv_close(r);
}

void attrs_get_template(struct ttlv_reader *r, enum attrs_role role, struct buf *into)
{
	struct slice content = { 0 };
	if (!kmip_is_2(r->version)) {
		get_template_1x(r, templates[role], into);
	} else if (ttlv_at(r, natives[role])) {
		ttlv_get_content(r, natives[role], &content);
		get_2x(r, content, attrs_check_shape, into);
	}
	check_room(r, into);
}

void attrs_get_list(struct ttlv_reader *r, struct buf *into)
{
	struct slice content = { 0 };
	while (!kmip_is_2(r->version) && ttlv_at(r, TAG_ATTRIBUTE))
		get_1x(r, attrs_check_part, into, NULL);
	if (kmip_is_2(r->version) && ttlv_at(r, TAG_ATTRIBUTES)) {
		ttlv_get_content(r, TAG_ATTRIBUTES, &content);
		get_2x(r, content, attrs_check_part, into);
	}
	check_room(r, into);
}

/* What was appended is one attribute; less only where the client speaks of one that we do not know. */
static void check_one(struct ttlv_reader *r, struct slice added)
{
	struct ttlv_reader set = ttlv_read(added);
	struct ttlv_item it;
	size_t n = 0;
	while (ttlv_next(&set, &it))
		n++;
	if (ttlv_ok(r) && n != 1)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "not one attribute"));
}

void attrs_get_one(struct ttlv_reader *r, enum ttlv_tag tag, struct buf *into,
	struct attr_index *ret)
{
	struct slice content = { 0 };
	size_t at = into->n;
	*ret = (struct attr_index){ 0 };
	if (kmip_is_2(r->version)) {
		ttlv_get_content(r, tag, &content);
		get_2x(r, content, attrs_check_shape, into);
	} else {
		get_1x(r, attrs_check_shape, into, ret);
	}
	check_one(r, wire_since(into, at));
}

/* --- writing --- */

/* Cryptographic Parameters of old versions have fewer fields. */
static void put_parameters(
	struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->whole);
	struct cryptographic_parameters p = { 0 };
	cryptographic_parameters_get(&r, &p);
	cryptographic_parameters_put_as(w, (enum ttlv_tag)tag, &p);
}

/* Digest of 1.0 says nothing about the Key Format Type. */
static void put_digest_1_0(
	struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct ttlv_item field;
	ttlv_begin(w, (enum ttlv_tag)tag);
	while (ttlv_next(&r, &field)) {
		if (field.tag != TAG_KEY_FORMAT_TYPE)
			ttlv_put_items(w, field.whole);
	}
	ttlv_end(w);
}

/* Bits that the version has no name for are left out. */
static void put_usage_mask(
	struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it)
{
	uint32_t mask = (uint32_t)ttlv_item_int(it);
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (!ttlv_value_in(TTLV_KIND_CRYPTOGRAPHIC_USAGE_MASK, bit, w->version))
			mask &= ~bit;
	}
	ttlv_put_int(w, (enum ttlv_tag)tag, (int32_t)mask);
}

static bool can_leave(const struct ttlv_writer *w, const struct ttlv_item *it)
{
	if (!is_in(attr_info(it->tag), w->version))
		return false;
	/* A vendor's value may hold anything; the others are cut to the version as they are put. */
	return it->tag == TAG_ATTRIBUTE || it->tag == TAG_CRYPTOGRAPHIC_PARAMETERS ||
	       it->tag == TAG_CRYPTOGRAPHIC_USAGE_MASK ||
	       ttlv_fits(it->whole, w->version);
}

static void put_value(struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it)
{
	if (it->tag == TAG_CRYPTOGRAPHIC_PARAMETERS)
		put_parameters(w, tag, it);
	else if (it->tag == TAG_CRYPTOGRAPHIC_USAGE_MASK)
		put_usage_mask(w, tag, it);
	else if (it->tag == TAG_DIGEST && w->version == KMIP_1_0)
		put_digest_1_0(w, tag, it);
	else
		ttlv_put_as(w, tag, it);
}

static void put_name_and_index(struct ttlv_writer *w, struct slice name, int32_t index)
{
	ttlv_put_text(w, TAG_ATTRIBUTE_NAME, name);
	if (index > 0)
		ttlv_put_int(w, TAG_ATTRIBUTE_INDEX, index);
}

enum { CUSTOM_NAME_MAX = 256 };

/* A vendor attribute as "x-NAME"; those of other vendors have no name in 1.x. */
static bool custom_name(const struct attr_ref *ref, uint8_t name[CUSTOM_NAME_MAX])
{
	if (!slice_is(ref->vendor, "x") && !slice_is(ref->vendor, "y"))
		return false;
	if (ref->name.n == 0 || ref->name.n > CUSTOM_NAME_MAX - 2)
		return false;
	name[0] = ref->vendor.p[0];
	name[1] = '-';
	memcpy(name + 2, ref->name.p, ref->name.n);
	return true;
}

static void put_custom_1x(
	struct ttlv_writer *w, const struct ttlv_item *it, int32_t index)
{
	uint8_t name[CUSTOM_NAME_MAX];
	struct attr_ref ref;
	struct ttlv_item value = { 0 };
	struct ttlv_reader r = ttlv_read(it->value);
	if (!attr_ref_of(it, &ref) || !custom_name(&ref, name))
		return;
	ttlv_get_text(&r, TAG_VENDOR_IDENTIFICATION, &ref.vendor);
	ttlv_get_text(&r, TAG_ATTRIBUTE_NAME, &ref.name);
	ttlv_get_item(&r, TAG_ATTRIBUTE_VALUE, &value);
	if (!ttlv_ok(&r) || value.type == TTLV_DATE_EXTENDED)
		return;
	ttlv_begin(w, TAG_ATTRIBUTE);
	put_name_and_index(w, (struct slice){ name, ref.name.n + 2 }, index);
	ttlv_put_as(w, TAG_ATTRIBUTE_VALUE, &value);
	ttlv_end(w);
}

static bool is_link_of_2x(const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct slice id;
	uint32_t type;
	ttlv_get_enum(&r, TAG_LINK_TYPE, &type);
	ttlv_get_text(&r, TAG_LINKED_OBJECT_IDENTIFIER, &id);
	return it->tag == TAG_LINK && !ttlv_ok(&r);
}

bool attrs_leaves(const struct ttlv_writer *w, const struct ttlv_item *it)
{
	uint8_t name[CUSTOM_NAME_MAX];
	struct attr_ref ref;
	if (!can_leave(w, it) || !attr_ref_of(it, &ref))
		return false;
	if (kmip_is_2(w->version))
		return true;
	return it->tag == TAG_ATTRIBUTE ? custom_name(&ref, name) : !is_link_of_2x(it);
}

static void put_1x(struct ttlv_writer *w, const struct ttlv_item *it, int32_t index)
{
	if (it->tag == TAG_ATTRIBUTE) {
		put_custom_1x(w, it, index);
		return;
	}
	ttlv_begin(w, TAG_ATTRIBUTE);
	put_name_and_index(w, slice_of(attr_name(attr_info(it->tag))), index);
	put_value(w, TAG_ATTRIBUTE_VALUE, it);
	ttlv_end(w);
}

void attrs_put_one(struct ttlv_writer *w, const struct ttlv_item *it, int32_t index)
{
	if (!attrs_leaves(w, it))
		return;
	if (kmip_is_2(w->version))
		put_value(w, it->tag, it);
	else
		put_1x(w, it, index);
}

static void put_each(struct ttlv_writer *w, struct slice set)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		attrs_put_one(
			w, &it, kmip_is_2(w->version) ? 0 : attrs_index_of(set, &it));
}

void attrs_put_template(struct ttlv_writer *w, enum attrs_role role, struct slice set)
{
	ttlv_begin(w, kmip_is_2(w->version) ? natives[role] : templates[role]);
	put_each(w, set);
	ttlv_end(w);
}

void attrs_put_list(struct ttlv_writer *w, struct slice set)
{
	if (kmip_is_2(w->version))
		attrs_put_template(w, ATTRS_PLAIN, set);
	else
		put_each(w, set);
}

/* --- names --- */

static void put_ref_2x(struct ttlv_writer *w, const struct attr_ref *ref)
{
	if (ref->tag != TAG_ATTRIBUTE) {
		ttlv_put_enum(w, TAG_ATTRIBUTE_REFERENCE, ref->tag);
		return;
	}
	ttlv_begin(w, TAG_ATTRIBUTE_REFERENCE);
	ttlv_put_text(w, TAG_VENDOR_IDENTIFICATION, ref->vendor);
	ttlv_put_text(w, TAG_ATTRIBUTE_NAME, ref->name);
	ttlv_end(w);
}

void attr_ref_put(struct ttlv_writer *w, const struct attr_ref *ref)
{
	uint8_t name[CUSTOM_NAME_MAX];
	const struct attr_info *info = attr_info(ref->tag);
	if (!is_in(info, w->version))
		return;
	if (kmip_is_2(w->version))
		put_ref_2x(w, ref);
	else if (ref->tag != TAG_ATTRIBUTE)
		ttlv_put_text(w, TAG_ATTRIBUTE_NAME, slice_of(attr_name(info)));
	else if (custom_name(ref, name))
		ttlv_put_text(
			w, TAG_ATTRIBUTE_NAME, (struct slice){ name, ref->name.n + 2 });
}

static struct attr_ref ref_by_name(struct slice name, uint16_t version)
{
	if (is_custom(name))
		return (struct attr_ref){ .tag = TAG_ATTRIBUTE,
			.vendor = { name.p, 1 },
			.name = { name.p + 2, name.n - 2 } };
	const struct attr_info *info = attr_info_by_name(name);
	return (struct attr_ref){ .tag = is_in(info, version) ? info->tag : 0 };
}

static void get_ref_2x(struct ttlv_reader *r, struct attr_ref *ret)
{
	struct ttlv_item it = { 0 };
	ttlv_get_item(r, TAG_ATTRIBUTE_REFERENCE, &it);
	if (!ttlv_ok(r))
		return;
	if (it.type == TTLV_ENUM) {
		uint32_t tag = (uint32_t)ttlv_item_int(&it);
		bool is_known = tag != TAG_ATTRIBUTE && is_in(attr_info(tag), r->version);
		*ret = (struct attr_ref){ .tag = is_known ? tag : 0 };
		return;
	}
	struct ttlv_reader inner = ttlv_read_like(r, it.value);
	struct attr_ref ref = { .tag = TAG_ATTRIBUTE };
	ttlv_get_text(&inner, TAG_VENDOR_IDENTIFICATION, &ref.vendor);
	ttlv_get_text(&inner, TAG_ATTRIBUTE_NAME, &ref.name);
	kf_err e = ttlv_done(&inner);
	if (!kf_ok(e))
		ttlv_refuse(r, e);
	else
		*ret = ref;
}

bool attr_ref_get(struct ttlv_reader *r, struct attr_ref *ret)
{
	struct slice name = { 0 };
	if (ttlv_at(r, TAG_ATTRIBUTE_REFERENCE))
		get_ref_2x(r, ret);
	else if (ttlv_opt_text(r, TAG_ATTRIBUTE_NAME, &name))
		*ret = ref_by_name(name, r->version);
	else
		return false;
	return ttlv_ok(r);
}
