/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/asynchronous.h"
#include "kmip/wire.h"

void asynchronous_put_request(struct ttlv_writer *w, const struct asynchronous_request *q)
{
	ttlv_put_bytes(w, TAG_ASYNCHRONOUS_CORRELATION_VALUE, q->id);
}

kf_err asynchronous_get_request(struct ttlv_reader *r, struct asynchronous_request *ret)
{
	*ret = (struct asynchronous_request){ 0 };
	ttlv_get_bytes(r, TAG_ASYNCHRONOUS_CORRELATION_VALUE, &ret->id);
	return ttlv_done(r);
}

void cancel_put_response(struct ttlv_writer *w, const struct cancel_response *a)
{
	ttlv_put_bytes(w, TAG_ASYNCHRONOUS_CORRELATION_VALUE, a->id);
	ttlv_put_enum(w, TAG_CANCELLATION_RESULT, a->result);
}

kf_err cancel_get_response(struct ttlv_reader *r, struct cancel_response *ret)
{
	*ret = (struct cancel_response){ 0 };
	ttlv_get_bytes(r, TAG_ASYNCHRONOUS_CORRELATION_VALUE, &ret->id);
	ttlv_get_enum(r, TAG_CANCELLATION_RESULT, &ret->result);
	return ttlv_done(r);
}

/* --- Query Asynchronous Requests --- */

void query_asynchronous_put_request(
	struct ttlv_writer *w, const struct query_asynchronous_request *q)
{
	if (q->has_ids) {
		ttlv_begin(w, TAG_ASYNCHRONOUS_CORRELATION_VALUES);
		for (size_t i = 0; i < q->ids; i++)
			ttlv_put_bytes(w, TAG_ASYNCHRONOUS_CORRELATION_VALUE, q->id[i]);
		ttlv_end(w);
	}
	if (q->has_operations) {
		ttlv_begin(w, TAG_OPERATIONS);
		for (size_t i = 0; i < q->operations; i++)
			ttlv_put_enum(w, TAG_OPERATION, q->operation[i]);
		ttlv_end(w);
	}
}

static void get_ids(struct ttlv_reader *r, struct query_asynchronous_request *ret)
{
	struct slice id;
	while (ttlv_opt_bytes(r, TAG_ASYNCHRONOUS_CORRELATION_VALUE, &id)) {
		if (ret->ids == ASYNCHRONOUS_FILTER_MAX)
			ttlv_refuse(r, kf_fail(TOO_BIG, "too many values"));
		else
			ret->id[ret->ids++] = id;
	}
}

static void get_operations(struct ttlv_reader *r, struct query_asynchronous_request *ret)
{
	uint32_t operation;
	while (ttlv_opt_enum(r, TAG_OPERATION, &operation)) {
		if (ret->operations == ASYNCHRONOUS_FILTER_MAX)
			ttlv_refuse(r, kf_fail(TOO_BIG, "too many operations"));
		else
			ret->operation[ret->operations++] = operation;
	}
}

kf_err query_asynchronous_get_request(
	struct ttlv_reader *r, struct query_asynchronous_request *ret)
{
	*ret = (struct query_asynchronous_request){ 0 };
	if (ttlv_open_opt(r, TAG_ASYNCHRONOUS_CORRELATION_VALUES)) {
		ret->has_ids = true;
		get_ids(r, ret);
		ttlv_close(r);
	}
	if (ttlv_open_opt(r, TAG_OPERATIONS)) {
		ret->has_operations = true;
		get_operations(r, ret);
		ttlv_close(r);
	}
	return ttlv_done(r);
}

void asynchronous_put_row(struct ttlv_writer *w, const struct asynchronous_row *row)
{
	ttlv_begin(w, TAG_ASYNCHRONOUS_REQUEST);
	ttlv_put_bytes(w, TAG_ASYNCHRONOUS_CORRELATION_VALUE, row->id);
	ttlv_put_enum(w, TAG_OPERATION, row->operation);
	ttlv_put_date(w, TAG_SUBMISSION_DATE, row->submitted_s);
	ttlv_put_enum(w, TAG_PROCESSING_STAGE, row->stage);
	ttlv_end(w);
}

bool asynchronous_next_row(struct ttlv_reader *r, struct asynchronous_row *ret)
{
	*ret = (struct asynchronous_row){ 0 };
	if (!ttlv_open_opt(r, TAG_ASYNCHRONOUS_REQUEST))
		return false;
	ttlv_get_bytes(r, TAG_ASYNCHRONOUS_CORRELATION_VALUE, &ret->id);
	ttlv_get_enum(r, TAG_OPERATION, &ret->operation);
	ttlv_get_date(r, TAG_SUBMISSION_DATE, &ret->submitted_s);
	ttlv_get_enum(r, TAG_PROCESSING_STAGE, &ret->stage);
	ttlv_close(r);
	return ttlv_ok(r);
}
