/* SPDX-License-Identifier: Apache-2.0 */
/* What is there: Locate, Get Attributes, Query, Discover Versions. */
#include "client/typed.h"
#include "kmip/discover_versions.h"
#include "kmip/get_attributes.h"
#include "kmip/locate.h"
#include "kmip/query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 1 << 26, ATTRS_MAX = 4096, LIST_MAX = 1 << 20 };

/* ---- Locate ---- */

struct kf_list {
	size_t n;
	char **item;
};

size_t kf_list_size(const struct kf_list *l) { return l->n; }

const char *kf_list_get(const struct kf_list *l, size_t i)
{
	return i < l->n ? l->item[i] : NULL;
}

void kf_list_free(struct kf_list *l)
{
	for (size_t i = 0; l && i < l->n; i++)
		free(l->item[i]);
	if (l)
		free(l->item);
	free(l);
}

static kf_err list_add(struct kf_list *l, struct slice text)
{
	if (l->n == LIST_MAX)
		return kf_fail(TOO_BIG, "too many objects in a list");
	if ((l->n & (l->n - 1)) == 0) {
		char **more = realloc(l->item, (l->n ? l->n * 2 : 1) * sizeof(*more));
		if (!more)
			return kf_fail(NOMEM, "keeping a list");
		l->item = more;
	}
	char *copy = slice_dup(text);
	if (!copy)
		return kf_fail(NOMEM, "keeping a list");
	l->item[l->n++] = copy;
	return KF_OK;
}

static kf_err list_fill(struct kf_list *l, struct slice uids)
{
	struct ttlv_reader r = ttlv_read(uids);
	struct slice uid;
	while (locate_next_uid(&r, &uid))
		KF_TRY(list_add(l, uid));
	return r.err;
}

TYPED(locate)

static void put_filter(struct buf *set, const kf_locate_request *q)
{
	if (q->name)
		attrs_add_name(set, slice_of(q->name));
	if (q->group)
		attrs_add_text(set, TAG_OBJECT_GROUP, slice_of(q->group));
	if (q->type)
		attrs_add_enum(set, TAG_OBJECT_TYPE, (uint32_t)q->type);
	if (q->state)
		attrs_add_enum(set, TAG_STATE, q->state);
}

kf_result kf_locate(struct kf_client *client, const kf_locate_request *request,
	struct kf_list **ret, kf_call *call)
{
	static const struct typed locate = { KMIP_OPERATION_LOCATE, locate_put,
		locate_get, 0, 0 };
	autobuf set = buf_new(ATTRS_MAX), answer = buf_new(ANSWER_MAX);
	put_filter(&set, request);
	if (!kf_ok(buf_err(&set)) || request->count_max > INT32_MAX ||
		request->offset > INT32_MAX)
		return status_refuse(call, KF_INVALID_ARGUMENT, "a field is too big");
	struct locate_request q = {
		.maximum_items = request->count_max ? (int32_t)request->count_max : -1,
		.offset_items = request->offset ? (int32_t)request->offset : -1,
		.attributes = buf_slice(&set)
	};
	struct locate_response a;
	kf_result result =
		typed_call(client, &locate, &(struct typed_io){ &q, &answer, &a }, call);
	if (result)
		return result;
	struct kf_list *l = calloc(1, sizeof(*l));
	kf_err err = l ? list_fill(l, a.uids) : kf_fail(NOMEM, "keeping a list");
	if (kf_ok(err))
		*ret = l;
	else
		kf_list_free(l);
	return status_tell(call, err, NULL);
}

/* ---- Get Attributes ---- */

struct attribute {
	uint32_t tag;
	bool has_number;
	int64_t number;
	char *text;
};

struct kf_attributes {
	size_t n;
	struct attribute *item;
};

size_t kf_attributes_size(const struct kf_attributes *a) { return a->n; }

uint32_t kf_attributes_tag(const struct kf_attributes *a, size_t i)
{
	return i < a->n ? a->item[i].tag : 0;
}

const char *kf_attributes_text(const struct kf_attributes *a, size_t i)
{
	return i < a->n ? a->item[i].text : NULL;
}

int kf_attributes_number(const struct kf_attributes *a, size_t i, int64_t *ret)
{
	if (i >= a->n || !a->item[i].has_number)
		return 0;
	*ret = a->item[i].number;
	return 1;
}

void kf_attributes_free(struct kf_attributes *a)
{
	for (size_t i = 0; a && i < a->n; i++)
		free(a->item[i].text);
	if (a)
		free(a->item);
	free(a);
}

static bool number_of(const struct ttlv_item *it, int64_t *ret)
{
	switch ((int)it->type) {
	case TTLV_INT:
	case TTLV_ENUM:
	case TTLV_INTERVAL: *ret = ttlv_item_int(it); return true;
	case TTLV_LONG:
	case TTLV_BOOL:
	case TTLV_DATE: *ret = ttlv_item_long(it); return true;
	case TTLV_DATE_EXTENDED: *ret = ttlv_item_long(it) / 1000000; return true;
	default: return false;
	}
}

/* Text as it is; of a Name its value; anything else as ttlv_print() shows it, masked. */
static kf_err text_of(const struct ttlv_item *it, struct buf *ret)
{
	struct slice name;
	if (it->type == TTLV_TEXT) {
		buf_add_slice(ret, it->value);
		return buf_err(ret);
	}
	if (it->tag == TAG_NAME && attrs_get_name(it->whole, 0, &name)) {
		buf_add_slice(ret, name);
		return buf_err(ret);
	}
	const struct ttlv_tag_info *info = ttlv_tag(it->tag);
	const char *word = info && it->type == TTLV_ENUM
				   ? ttlv_value_text((enum ttlv_kind)info->kind,
					     (uint32_t)ttlv_item_int(it))
				   : NULL;
	int64_t number;
	if (word)
		buf_add_text(ret, word);
	else if (number_of(it, &number))
		buf_printf(ret, "%lld", (long long)number);
	else
		return ttlv_print(it->whole, true, ret);
	return buf_err(ret);
}

static kf_err attributes_add(struct kf_attributes *a, const struct ttlv_item *it)
{
	autobuf text = buf_new(1 << 20);
	KF_TRY(text_of(it, &text));
	struct attribute *item = &a->item[a->n];
	*item = (struct attribute){ .tag = it->tag };
	item->has_number = number_of(it, &item->number);
	item->text = slice_dup(buf_slice(&text));
	if (!item->text)
		return kf_fail(NOMEM, "keeping attributes");
	a->n++;
	return KF_OK;
}

static kf_err attributes_fill(struct kf_attributes *a, struct slice set)
{
	struct ttlv_item it;
	size_t n = 0;
	for (struct ttlv_reader r = ttlv_read(set); ttlv_next(&r, &it);)
		n++;
	a->item = calloc(n + 1, sizeof(*a->item));
	if (!a->item)
		return kf_fail(NOMEM, "keeping attributes");
	struct ttlv_reader r = ttlv_read(set);
	while (a->n < n && ttlv_next(&r, &it))
		KF_TRY(attributes_add(a, &it));
	return r.err;
}

/* The answer's attributes are translated from 1.x into a buffer of their own. */
struct attributes_answer {
	struct get_attributes_response a;
	struct buf set;
};

static void answer_clear(struct attributes_answer *a) { buf_free(&a->set); }

static kf_err attributes_get(struct ttlv_reader *r, void *ret)
{
	struct attributes_answer *a = ret;
	return get_attributes_get_response(r, &a->a, &a->set);
}

struct attributes_question {
	const char *id;
	const uint32_t *tags;
	size_t n;
};

/* Names of attributes are of a version, so they are made when it is known. */
static kf_err attributes_put(struct ttlv_writer *w, const void *request)
{
	const struct attributes_question *q = request;
	autobuf names = buf_new(65536);
	struct ttlv_writer n = ttlv_write(&names, w->version);
	for (size_t i = 0; i < q->n; i++)
		attr_ref_put(&n, &(struct attr_ref){ .tag = q->tags[i] });
	KF_TRY(ttlv_written(&n));
	struct get_attributes_request out = { .uid = kmip_uid_text(slice_of(q->id)),
		.names = buf_slice(&names) };
	get_attributes_put_request(w, &out);
	return ttlv_written(w);
}

kf_result kf_get_attributes(struct kf_client *client,
	const kf_attributes_request *request, struct kf_attributes **ret, kf_call *call)
{
	static const struct typed get = { KMIP_OPERATION_GET_ATTRIBUTES, attributes_put,
		attributes_get, 0, 0 };
	if (!typed_is_id(request->id))
		return status_refuse(call, KF_INVALID_ARGUMENT, "id");
	struct attributes_question q = { request->id, request->tags, request->n };
	autobuf answer = buf_new(ANSWER_MAX);
	CLEANUP(answer_clear) struct attributes_answer a = { .set = buf_new(ANSWER_MAX) };
	kf_result result =
		typed_call(client, &get, &(struct typed_io){ &q, &answer, &a }, call);
	if (result)
		return result;
	struct kf_attributes *list = calloc(1, sizeof(*list));
	kf_err err = list ? attributes_fill(list, a.a.attributes)
			  : kf_fail(NOMEM, "keeping attributes");
	if (kf_ok(err))
		*ret = list;
	else
		kf_attributes_free(list);
	return status_tell(call, err, NULL);
}

/* ---- servers ---- */

TYPED(discover_versions)
TYPED(query)

kf_result kf_discover_versions(
	struct kf_client *client, uint16_t *versions, size_t *n, kf_call *call)
{
	static const struct typed discover = { KMIP_OPERATION_DISCOVER_VERSIONS,
		discover_versions_put, discover_versions_get, 0, 0 };
	struct discover_versions_request q = { 0 };
	struct discover_versions_response a;
	autobuf answer = buf_new(ANSWER_MAX);
	kf_result result = typed_call(
		client, &discover, &(struct typed_io){ &q, &answer, &a }, call);
	if (result)
		return result;
	*n = *n < a.n ? *n : a.n;
	memcpy(versions, a.version, *n * sizeof(*versions));
	return KF_SUCCESS;
}

kf_result kf_query(struct kf_client *client, kf_server_info *ret, kf_call *call)
{
	static const struct typed query = { KMIP_OPERATION_QUERY, query_put, query_get, 0,
		0 };
	struct query_request q = { .n = 2,
		.function = { KMIP_QUERY_FUNCTION_QUERY_OPERATIONS,
			KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION } };
	struct query_response a;
	autobuf answer = buf_new(ANSWER_MAX);
	kf_result result =
		typed_call(client, &query, &(struct typed_io){ &q, &answer, &a }, call);
	if (result)
		return result;
	memset(ret, 0, sizeof(*ret));
	struct slice vendor = a.vendor_identification;
	if (vendor.n >= sizeof(ret->vendor))
		vendor.n = sizeof(ret->vendor) - 1;
	if (!kf_ok(slice_to_text(vendor, ret->vendor, sizeof(ret->vendor))))
		ret->vendor[0] = 0;
	size_t room = sizeof(ret->operations) / sizeof(*ret->operations);
	ret->operation_count = a.operations < room ? a.operations : room;
	memcpy(ret->operations, a.operation, ret->operation_count * sizeof(uint32_t));
	return KF_SUCCESS;
}
