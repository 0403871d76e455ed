/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/query.h"
#include "kmip/wire.h"

void query_put_request(struct ttlv_writer *w, const struct query_request *q)
{
	for (size_t i = 0; i < q->n; i++)
		ttlv_put_enum(w, TAG_QUERY_FUNCTION, q->function[i]);
}

kf_err query_get_request(struct ttlv_reader *r, struct query_request *ret)
{
	*ret = (struct query_request){ 0 };
	struct ttlv_item it;
	uint32_t function = 0;
	while (ttlv_opt_enum(r, TAG_QUERY_FUNCTION, &function)) {
		if (ret->n < QUERY_FUNCTIONS_MAX)
			ret->function[ret->n++] = function;
	}
	if (ttlv_at(r, TAG_OBJECT_GROUPS))
		ttlv_get_item(r, TAG_OBJECT_GROUPS, &it);
	if (ttlv_ok(r) && ret->n == 0)
		ttlv_refuse(r, kf_fail(MISSING, "no Query Function"));
	return ttlv_done(r);
}

static void put_known(
	struct ttlv_writer *w, enum ttlv_tag tag, const uint32_t *value, size_t n)
{
	enum ttlv_kind kind = (enum ttlv_kind)ttlv_tag(tag)->kind;
	for (size_t i = 0; i < n; i++) {
		if (ttlv_value_in(kind, value[i], w->version))
			ttlv_put_enum(w, tag, value[i]);
	}
}

/* The fields of Server Information are those of 2.x; 1.x leaves its content to the vendor. */
static void put_server_information(struct ttlv_writer *w, const struct query_response *a)
{
	ttlv_begin(w, TAG_SERVER_INFORMATION);
	if (kmip_is_2(w->version)) {
		wire_put_text(w, TAG_SERVER_NAME, a->server_name);
		wire_put_text(w, TAG_SERVER_VERSION, a->server_version);
		wire_put_text(w, TAG_SERVER_LOAD, a->server_load);
		wire_put_text(w, TAG_PRODUCT_NAME, a->product_name);
		wire_put_text(w, TAG_CLUSTER_INFO, a->cluster_info);
	}
	ttlv_end(w);
}

void query_put_response(struct ttlv_writer *w, const struct query_response *a)
{
	put_known(w, TAG_OPERATION, a->operation, a->operations);
	put_known(w, TAG_OBJECT_TYPE, a->object_type, a->object_types);
	wire_put_text(w, TAG_VENDOR_IDENTIFICATION, a->vendor_identification);
	if (a->has_server_information)
		put_server_information(w, a);
	ttlv_put_items(w, a->more);
}

static void get_known(
	struct ttlv_reader *r, enum ttlv_tag tag, uint32_t *value, size_t max, size_t *n)
{
	uint32_t v = 0;
	while (ttlv_opt_enum(r, tag, &v)) {
		if (*n < max)
			value[(*n)++] = v;
	}
}

/* Leniently: vendors add their own, and there are fields that we do not keep. */
static void get_server_information(struct ttlv_reader *r, struct query_response *ret)
{
	struct slice content = { 0 };
	struct ttlv_item it;
	ttlv_get_content(r, TAG_SERVER_INFORMATION, &content);
	struct ttlv_reader inner = ttlv_read_as(content, r->version, true);
	while (ttlv_ok(r) && ttlv_next(&inner, &it)) {
		if (it.tag == TAG_SERVER_NAME)
			ret->server_name = it.value;
		else if (it.tag == TAG_SERVER_VERSION)
			ret->server_version = it.value;
		else if (it.tag == TAG_SERVER_LOAD)
			ret->server_load = it.value;
		else if (it.tag == TAG_PRODUCT_NAME)
			ret->product_name = it.value;
		else if (it.tag == TAG_CLUSTER_INFO)
			ret->cluster_info = it.value;
	}
	if (!kf_ok(inner.err))
		ttlv_refuse(r, inner.err);
}

kf_err query_get_response(struct ttlv_reader *r, struct query_response *ret)
{
	*ret = (struct query_response){ 0 };
	struct ttlv_item it;
	get_known(r, TAG_OPERATION, ret->operation, QUERY_LIST_MAX, &ret->operations);
	get_known(r, TAG_OBJECT_TYPE, ret->object_type, QUERY_TYPES_MAX,
		&ret->object_types);
	ttlv_opt_text(r, TAG_VENDOR_IDENTIFICATION, &ret->vendor_identification);
	ret->has_server_information = ttlv_at(r, TAG_SERVER_INFORMATION);
	if (ret->has_server_information)
		get_server_information(r, ret);
	ret->more = wire_rest(r);
	while (ttlv_next(r, &it))
		;
	return ttlv_done(r);
}
