/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/reason.h"
#include "kmip/wire.h"

void kmip_put_response_header(
	struct ttlv_writer *w, const struct kmip_response_header *h, size_t *ret_count_at)
{
	w->version = h->version;
	ttlv_begin(w, TAG_RESPONSE_MESSAGE);
	ttlv_begin(w, TAG_RESPONSE_HEADER);
	wire_put_version(w, h->version);
	ttlv_put_date(w, TAG_TIME_STAMP, h->time_stamp);
	wire_put_text(w, TAG_CLIENT_CORRELATION_VALUE, h->client_correlation_value);
	wire_put_text(w, TAG_SERVER_CORRELATION_VALUE, h->server_correlation_value);
	ttlv_put_int(w, TAG_BATCH_COUNT, h->batch_count);
	if (ret_count_at)
		*ret_count_at = w->out->n - 8;
	ttlv_end(w);
}

void kmip_set_batch_count(struct buf *out, size_t count_at, int32_t count)
{
	buf_set_u32(out, count_at, (uint32_t)count);
}

static void put_head(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id, uint32_t status)
{
	ttlv_begin(w, TAG_BATCH_ITEM);
	wire_put_operation(w, operation);
	wire_put_bytes(w, TAG_UNIQUE_BATCH_ITEM_ID, batch_id);
	ttlv_put_enum(w, TAG_RESULT_STATUS, status);
}

void kmip_put_response_item_begin(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id)
{
	put_head(w, operation, batch_id, KMIP_RESULT_STATUS_SUCCESS);
	ttlv_begin(w, TAG_RESPONSE_PAYLOAD);
}

void kmip_put_response_item_end(struct ttlv_writer *w, const struct kmip_extension *ext)
{
	ttlv_end(w);
	wire_put_extension(w, ext);
	ttlv_end(w);
}

void kmip_put_response_failure(struct ttlv_writer *w, uint32_t operation,
	struct slice batch_id, enum kf_code code, const struct kmip_extension *ext)
{
	put_head(w, operation, batch_id, KMIP_RESULT_STATUS_OPERATION_FAILED);
	ttlv_put_enum(w, TAG_RESULT_REASON, kmip_reason(code, w->version));
	ttlv_put_text(w, TAG_RESULT_MESSAGE, slice_of(kf_code_name(code)));
	wire_put_extension(w, ext);
	ttlv_end(w);
}

void kmip_put_response_pending(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id, struct slice id)
{
	put_head(w, operation, batch_id, KMIP_RESULT_STATUS_OPERATION_PENDING);
	ttlv_put_bytes(w, TAG_ASYNCHRONOUS_CORRELATION_VALUE, id);
	ttlv_end(w);
}

void kmip_put_response_undone(struct ttlv_writer *w, uint32_t operation,
	struct slice batch_id, struct slice payload)
{
	put_head(w, operation, batch_id, KMIP_RESULT_STATUS_OPERATION_UNDONE);
	ttlv_begin(w, TAG_RESPONSE_PAYLOAD);
	ttlv_put_items(w, payload);
	ttlv_end(w);
	ttlv_end(w);
}

kf_err kmip_put_response_end(struct ttlv_writer *w)
{
	ttlv_end(w);
	return ttlv_written(w);
}

/* The version in which we refuse somebody whose version we do not speak. */
static uint16_t refusal_version(uint16_t version)
{
	if (version >> 8 >= 2)
		return kmip_knows(version) ? version : KMIP_2_1;
	return kmip_knows(version) ? version : KMIP_1_4;
}

kf_err kmip_put_refusal(
	struct buf *out, uint16_t version, enum kf_code code, int64_t now_s)
{
	struct ttlv_writer w = ttlv_write(out, 0);
	struct kmip_response_header h = {
		.version = refusal_version(version),
		.time_stamp = now_s,
		.batch_count = 1,
	};
	kmip_put_response_header(&w, &h, NULL);
	kmip_put_response_failure(&w, 0, (struct slice){ 0 }, code, NULL);
	return kmip_put_response_end(&w);
}

/* Fields that a response may carry and that we have no use for. */
static void skip_nonce_and_attestation(struct ttlv_reader *r)
{
	struct ttlv_item it;
	uint32_t type;
	if (ttlv_at(r, TAG_NONCE))
		ttlv_get_item(r, TAG_NONCE, &it);
	if (ttlv_at(r, TAG_SERVER_HASHED_PASSWORD))
		ttlv_get_item(r, TAG_SERVER_HASHED_PASSWORD, &it);
	while (ttlv_opt_enum(r, TAG_ATTESTATION_TYPE, &type))
		;
}

kf_err kmip_get_response_header(struct ttlv_reader *r, struct kmip_response_header *ret)
{
	*ret = (struct kmip_response_header){ 0 };
	ttlv_open(r, TAG_RESPONSE_MESSAGE);
	ttlv_open(r, TAG_RESPONSE_HEADER);
	wire_get_version(r, &ret->version);
	wire_adopt_version(r, ret->version);
	ttlv_get_date(r, TAG_TIME_STAMP, &ret->time_stamp);
	skip_nonce_and_attestation(r);
	ttlv_opt_text(r, TAG_CLIENT_CORRELATION_VALUE, &ret->client_correlation_value);
	ttlv_opt_text(r, TAG_SERVER_CORRELATION_VALUE, &ret->server_correlation_value);
	ttlv_get_int(r, TAG_BATCH_COUNT, &ret->batch_count);
	ttlv_close(r);
	if (ttlv_ok(r) && (ret->batch_count < 0 || ret->batch_count > KMIP_BATCH_MAX))
		ttlv_refuse(r, kf_fail(MALFORMED, "batch count out of range"));
	return r->err;
}

kf_err kmip_get_response_item(struct ttlv_reader *r, struct kmip_response_item *ret)
{
	bool is_critical = false;
	*ret = (struct kmip_response_item){ 0 };
	ttlv_open(r, TAG_BATCH_ITEM);
	ttlv_opt_enum(r, TAG_OPERATION, &ret->operation);
	ttlv_opt_bytes(r, TAG_UNIQUE_BATCH_ITEM_ID, &ret->batch_id);
	ttlv_get_enum(r, TAG_RESULT_STATUS, &ret->status);
	ttlv_opt_enum(r, TAG_RESULT_REASON, &ret->reason);
	ttlv_opt_text(r, TAG_RESULT_MESSAGE, &ret->message);
	ttlv_opt_bytes(r, TAG_ASYNCHRONOUS_CORRELATION_VALUE,
		&ret->asynchronous_correlation_value);
	if (ttlv_at(r, TAG_RESPONSE_PAYLOAD))
		ttlv_get_content(r, TAG_RESPONSE_PAYLOAD, &ret->payload);
	wire_get_extensions(r, &ret->extension, &is_critical);
	ttlv_close(r);
	if (is_critical)
		ttlv_refuse(r, kf_fail(FEATURE, "unknown critical extension"));
	return r->err;
}

kf_err kmip_get_response_end(struct ttlv_reader *r) { return kmip_get_request_end(r); }

static const enum kf_code limits[] = {
	[KMIP_LIMIT_CLIENT_RATE] = KF_E_CLIENT_RATE,
	[KMIP_LIMIT_CLIENT_REQUESTS] = KF_E_CLIENT_REQUESTS,
	[KMIP_LIMIT_GRANT_RATE] = KF_E_GRANT_RATE,
	[KMIP_LIMIT_GRANT_REQUESTS] = KF_E_GRANT_REQUESTS,
};
enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

enum kmip_limit kmip_limit_of(enum kf_code code)
{
	for (size_t i = 1; i < LIMITS; i++)
		if (limits[i] == code)
			return (enum kmip_limit)i;
	return KMIP_LIMIT_NONE;
}

/* One that a later release knows is a server that is busy, as to whoever knows none. */
static enum kf_code code_of(const struct kmip_response_item *item)
{
	enum kf_code code = kmip_reason_code(item->reason, item->message);
	int32_t limit = item->extension.limit;
	return code == KF_E_BUSY && limit > 0 && limit < LIMITS ? limits[limit] : code;
}

kf_err kmip_result(const struct kmip_response_item *item)
{
	if (item->status == KMIP_RESULT_STATUS_SUCCESS)
		return KF_OK;
	if (item->status == KMIP_RESULT_STATUS_OPERATION_PENDING)
		return kf_fail(FEATURE, "the server answers later");
	kf_err e = kf_fail(INTERNAL, "as the answer says");
	e.code = code_of(item);
	return e;
}
