/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/wire.h"

/* Boolean in 1.x; 2.x: 1 Mandatory, 2 Optional, 3 Prohibited. */
static void get_asynchronous(struct ttlv_reader *r, uint32_t *ret)
{
	struct ttlv_item it;
	if (!ttlv_at(r, TAG_ASYNCHRONOUS_INDICATOR))
		return;
	ttlv_get_item(r, TAG_ASYNCHRONOUS_INDICATOR, &it);
	if (!ttlv_ok(r))
		return;
	if ((it.type == TTLV_BOOL) == kmip_is_2(r->version)) {
		ttlv_refuse(r, kf_fail(MALFORMED, "Asynchronous Indicator"));
		return;
	}
	*ret = (uint32_t)ttlv_item_int(&it);
	if (it.type == TTLV_BOOL)
		*ret = ttlv_item_long(&it) ? KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL : 0;
	else if (*ret < KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY ||
		 *ret > KMIP_ASYNCHRONOUS_INDICATOR_PROHIBITED)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "Asynchronous Indicator"));
}

static void get_attestation(struct ttlv_reader *r)
{
	bool is_capable;
	uint32_t type;
	ttlv_opt_bool(r, TAG_ATTESTATION_CAPABLE_INDICATOR, &is_capable);
	while (ttlv_opt_enum(r, TAG_ATTESTATION_TYPE, &type))
		;
}

static void get_authentication(struct ttlv_reader *r, struct slice *ret)
{
	struct ttlv_item it;
	if (!ttlv_at(r, TAG_AUTHENTICATION))
		return;
	ttlv_get_item(r, TAG_AUTHENTICATION, &it);
	if (ttlv_ok(r))
		*ret = it.whole;
}

static void get_options(struct ttlv_reader *r, struct kmip_request_header *ret)
{
	ttlv_opt_int(r, TAG_MAXIMUM_RESPONSE_SIZE, &ret->maximum_response_size);
	ttlv_opt_text(r, TAG_CLIENT_CORRELATION_VALUE, &ret->client_correlation_value);
	ttlv_opt_text(r, TAG_SERVER_CORRELATION_VALUE, &ret->server_correlation_value);
	get_asynchronous(r, &ret->asynchronous);
	get_attestation(r);
	get_authentication(r, &ret->authentication);
	ttlv_opt_enum(
		r, TAG_BATCH_ERROR_CONTINUATION_OPTION, &ret->batch_error_continuation);
	ret->is_ordered = kmip_is_2(r->version);
	ttlv_opt_bool(r, TAG_BATCH_ORDER_OPTION, &ret->is_ordered);
	ret->has_time_stamp = ttlv_opt_date(r, TAG_TIME_STAMP, &ret->time_stamp);
	ttlv_get_int(r, TAG_BATCH_COUNT, &ret->batch_count);
}

kf_err kmip_get_request_header(struct ttlv_reader *r, struct kmip_request_header *ret)
{
	*ret = (struct kmip_request_header){ 0 };
	ttlv_open(r, TAG_REQUEST_MESSAGE);
	ttlv_open(r, TAG_REQUEST_HEADER);
	wire_get_version(r, &ret->version);
	wire_adopt_version(r, ret->version);
	ret->is_lenient = r->is_lenient;
	get_options(r, ret);
	ttlv_close(r);
	if (ttlv_ok(r) && ret->batch_count < 1)
		ttlv_refuse(r, kf_fail(MALFORMED, "a batch without items"));
	if (ttlv_ok(r) && ret->batch_count > KMIP_BATCH_MAX)
		ttlv_refuse(r, kf_fail(TOO_BIG, "too many batch items"));
	return r->err;
}

static void get_ephemeral(struct ttlv_reader *r, bool *ret)
{
	struct ttlv_item it;
	if (!ttlv_at(r, TAG_EPHEMERAL))
		return;
	ttlv_get_item(r, TAG_EPHEMERAL, &it);
	if (ttlv_ok(r))
		*ret = it.type == TTLV_BOOL ? ttlv_item_long(&it) != 0 : true;
}

kf_err kmip_get_request_item(struct ttlv_reader *r, struct kmip_request_item *ret)
{
	*ret = (struct kmip_request_item){ 0 };
	ttlv_open(r, TAG_BATCH_ITEM);
	ttlv_get_enum(r, TAG_OPERATION, &ret->operation);
	get_ephemeral(r, &ret->is_ephemeral);
	ttlv_opt_bytes(r, TAG_UNIQUE_BATCH_ITEM_ID, &ret->batch_id);
	ttlv_get_content(r, TAG_REQUEST_PAYLOAD, &ret->payload);
	wire_get_extensions(r, &ret->extension, &ret->has_unknown_critical_extension);
	ttlv_close(r);
	return r->err;
}

kf_err kmip_get_request_end(struct ttlv_reader *r)
{
	if (r->depth > 0)
		ttlv_close(r);
	return ttlv_done(r);
}

static void put_asynchronous(struct ttlv_writer *w, uint32_t asynchronous)
{
	if (asynchronous && kmip_is_2(w->version))
		ttlv_put_enum(w, TAG_ASYNCHRONOUS_INDICATOR, asynchronous);
	else if (asynchronous)
		ttlv_put_bool(w, TAG_ASYNCHRONOUS_INDICATOR,
			asynchronous != KMIP_ASYNCHRONOUS_INDICATOR_PROHIBITED);
}

void kmip_put_request_header(struct ttlv_writer *w, const struct kmip_request_header *h)
{
	w->version = h->version;
	ttlv_begin(w, TAG_REQUEST_MESSAGE);
	ttlv_begin(w, TAG_REQUEST_HEADER);
	wire_put_version(w, h->version);
	if (h->maximum_response_size)
		ttlv_put_int(w, TAG_MAXIMUM_RESPONSE_SIZE, h->maximum_response_size);
	wire_put_text(w, TAG_CLIENT_CORRELATION_VALUE, h->client_correlation_value);
	wire_put_text(w, TAG_SERVER_CORRELATION_VALUE, h->server_correlation_value);
	put_asynchronous(w, h->asynchronous);
	ttlv_put_items(w, h->authentication);
	wire_put_enum(
		w, TAG_BATCH_ERROR_CONTINUATION_OPTION, h->batch_error_continuation);
	if (h->is_ordered != kmip_is_2(h->version))
		ttlv_put_bool(w, TAG_BATCH_ORDER_OPTION, h->is_ordered);
	if (h->has_time_stamp)
		ttlv_put_date(w, TAG_TIME_STAMP, h->time_stamp);
	ttlv_put_int(w, TAG_BATCH_COUNT, h->batch_count);
	ttlv_end(w);
}

void kmip_put_request_item_begin(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id)
{
	ttlv_begin(w, TAG_BATCH_ITEM);
	ttlv_put_enum(w, TAG_OPERATION, operation);
	wire_put_bytes(w, TAG_UNIQUE_BATCH_ITEM_ID, batch_id);
	ttlv_begin(w, TAG_REQUEST_PAYLOAD);
}

void kmip_put_request_item_end(struct ttlv_writer *w, const struct kmip_extension *ext)
{
	ttlv_end(w);
	wire_put_extension(w, ext);
	ttlv_end(w);
}

kf_err kmip_put_request_end(struct ttlv_writer *w)
{
	ttlv_end(w);
	return ttlv_written(w);
}
