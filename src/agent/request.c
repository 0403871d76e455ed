/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"
#include "base/clock.h"
#include <string.h>

/* The parts of a message are for one server, which counts twice what is sent twice.  And of a key that wraps this one
 * nobody asks whether the user may use it. */
static bool is_fit(struct ttlv_reader *r)
{
	struct ttlv_item it;
	while (ttlv_next(r, &it))
		if (it.tag == TAG_CORRELATION_VALUE || it.tag == TAG_INIT_INDICATOR ||
			it.tag == TAG_FINAL_INDICATOR ||
			it.tag == TAG_KEY_WRAPPING_SPECIFICATION)
			return false;
	return true;
}

static kf_err read_key(const struct ttlv_reader *message, struct request *q)
{
	if (q->kind == ALLOW_LOCATE || !q->kind)
		return KF_OK;
	struct kmip_uid uid;
	struct ttlv_reader r;
	ttlv_start(&r, q->payload, message->version, message->is_lenient);
	kmip_get_uid(&r, TAG_UNIQUE_IDENTIFIER, &uid);
	KF_TRY(r.err);
	if (uid.kind != KMIP_UID_TEXT || !uid.text.n)
		return kf_fail(INVALID_FIELD, "the request names no key");
	q->key = uid.text;
	q->is_unfit = !is_fit(&r);
	return KF_OK;
}

static kf_err read_item(struct ttlv_reader *r, struct request *q)
{
	struct kmip_request_item item;
	KF_TRY(kmip_get_request_item(r, &item));
	if (item.batch_id.n > sizeof(q->batch_id) || item.has_unknown_critical_extension)
		return kf_fail(INVALID_FIELD, "the request cannot be forwarded");
	q->operation = item.operation;
	q->kind = allow_operation_of(item.operation);
	q->payload = item.payload;
	q->batch_id_n = item.batch_id.n;
	if (item.batch_id.n)
		memcpy(q->batch_id, item.batch_id.p, item.batch_id.n);
	if (item.extension.deadline_ms > 0)
		q->deadline_ms = (uint32_t)item.extension.deadline_ms;
	q->tls_client_version = item.extension.tls_client_version;
	q->tls_negotiated_version = item.extension.tls_negotiated_version;
	return KF_OK;
}

kf_err request_read(struct slice message, struct request *ret)
{
	*ret = (struct request){ 0 };
	/* To the last item: a key server ends the connection over what is no TTLV, and all guests share it. */
	KF_TRY(ttlv_check(message));
	struct ttlv_reader r;
	struct kmip_request_header h;
	ttlv_start(&r, message, 0, false);
	KF_TRY(kmip_get_request_header(&r, &h));
	/* What is forwarded as it is must be of the version in which we speak to key servers. */
	if (h.version != KMIP_2_1)
		return kf_fail(VERSION, "guests speak protocol version 2.1");
	if (h.batch_count != 1)
		return kf_fail(INVALID_FIELD, "one operation a message");
	ret->version = h.version;
	KF_TRY(read_item(&r, ret));
	KF_TRY(read_key(&r, ret));
	return kmip_get_request_end(&r);
}

static struct slice batch_id_of(const struct request *q)
{
	return (struct slice){ q->batch_id, q->batch_id_n };
}

static void put_header(struct ttlv_writer *w, const struct request *q)
{
	struct kmip_response_header h = {
		.version = q->version, .time_stamp = clock_wall_s(), .batch_count = 1
	};
	kmip_put_response_header(w, &h, NULL);
}

kf_err request_answer(const struct request *q, struct slice payload, struct buf *out)
{
	struct ttlv_writer w = ttlv_write(out, q->version);
	put_header(&w, q);
	kmip_put_response_item_begin(&w, q->operation, batch_id_of(q));
	ttlv_put_items(&w, payload);
	kmip_put_response_item_end(&w, NULL);
	return kmip_put_response_end(&w);
}

kf_err request_refuse(const struct request *q, enum kf_code code, struct buf *out)
{
	struct ttlv_writer w = ttlv_write(out, q->version);
	put_header(&w, q);
	kmip_put_response_failure(&w, q->operation, batch_id_of(q), code, NULL);
	return kmip_put_response_end(&w);
}

bool request_may_see(const struct request *q, struct slice payload)
{
	if (q->kind != ALLOW_GET)
		return true;
	struct ttlv_reader r = ttlv_read_as(payload, q->version, true);
	uint32_t type = 0;
	ttlv_get_enum(&r, TAG_OBJECT_TYPE, &type);
	return kf_ok(r.err) && (type == KMIP_OBJECT_TYPE_PUBLIC_KEY ||
				       type == KMIP_OBJECT_TYPE_CERTIFICATE);
}
