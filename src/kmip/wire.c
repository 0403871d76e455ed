/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/wire.h"

/* An echo of what the peer said is not fenced: it knows its own values. */
void wire_put_operation(struct ttlv_writer *w, uint32_t operation)
{
	uint16_t version = w->version;
	w->version = 0;
	if (operation)
		ttlv_put_enum(w, TAG_OPERATION, operation);
	w->version = version;
}

void wire_put_text(struct ttlv_writer *w, enum ttlv_tag tag, struct slice s)
{
	if (s.n)
		ttlv_put_text(w, tag, s);
}

void wire_put_bytes(struct ttlv_writer *w, enum ttlv_tag tag, struct slice s)
{
	if (s.n)
		ttlv_put_bytes(w, tag, s);
}

void wire_put_enum(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t v)
{
	if (v)
		ttlv_put_enum(w, tag, v);
}

bool wire_knows(const struct ttlv_writer *w, uint32_t tag)
{
	return w->version == 0 || ttlv_tag_in(tag, w->version);
}

void wire_put_stream(
	struct ttlv_writer *w, struct slice correlation, bool is_first, bool is_last)
{
	wire_put_bytes(w, TAG_CORRELATION_VALUE, correlation);
	if (is_first)
		ttlv_put_bool(w, TAG_INIT_INDICATOR, true);
	if (is_last)
		ttlv_put_bool(w, TAG_FINAL_INDICATOR, true);
}

void wire_get_stream(
	struct ttlv_reader *r, struct slice *correlation, bool *is_first, bool *is_last)
{
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, correlation);
	ttlv_opt_bool(r, TAG_INIT_INDICATOR, is_first);
	ttlv_opt_bool(r, TAG_FINAL_INDICATOR, is_last);
}

bool wire_opt_data(struct ttlv_reader *r, struct slice *ret)
{
	struct ttlv_item it;
	if (!ttlv_at(r, TAG_DATA))
		return false;
	ttlv_get_item(r, TAG_DATA, &it);
	if (ttlv_ok(r) && it.type != TTLV_BYTES)
		ttlv_refuse(r, kf_fail(FEATURE, "Data by reference"));
	if (ttlv_ok(r))
		*ret = it.value;
	return ttlv_ok(r);
}

kf_err wire_get_only_uid(struct ttlv_reader *r, struct kmip_uid *ret)
{
	*ret = (struct kmip_uid){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, ret);
	return ttlv_done(r);
}

bool wire_knows_value(const struct ttlv_writer *w, uint32_t tag, uint32_t value)
{
	const struct ttlv_tag_info *info = ttlv_tag(tag);
	enum ttlv_kind kind = info ? (enum ttlv_kind)info->kind : TTLV_KIND_NONE;
	return w->version == 0 || ttlv_value_in(kind, value, w->version) ||
	       !ttlv_value_text(kind, value);
}

struct slice wire_rest(const struct ttlv_reader *r)
{
	size_t n = r->end[r->depth] - r->pos;
	return n ? (struct slice){ r->in.p + r->pos, n } : (struct slice){ 0 };
}

struct slice wire_since(const struct buf *b, size_t at)
{
	return b->p ? (struct slice){ b->p + at, b->n - at } : (struct slice){ 0 };
}

void wire_skip_masks(struct ttlv_reader *r, enum ttlv_tag tag)
{
	wire_skip_template(r, tag);
}

void wire_skip_template(struct ttlv_reader *r, enum ttlv_tag tag)
{
	struct ttlv_item it;
	if (ttlv_at(r, tag))
		ttlv_get_item(r, tag, &it);
}
