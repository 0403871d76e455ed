/* SPDX-License-Identifier: Apache-2.0 */
/* Calls through the host's agent: the local half does the work, as it does inside guests. */
#include "base/clock.h"
#include "client/client.h"
#include "client/repeat.h"
#include <stdio.h>

static kf_err put(struct local_call *l, const struct call *q)
{
	struct buf *out = local_request(l);
	if (!out)
		return l->err;
	struct kmip_request_header h = { .version = KMIP_2_1, .batch_count = 1 };
	uint64_t now = clock_monotonic_ns();
	struct kmip_extension ext = {
		.deadline_ms = l->deadline_ns > now
				       ? (int32_t)((l->deadline_ns - now) / 1000000 + 1)
				       : 1,
		.tls_client_version = q->options->tls_client_version,
		.tls_negotiated_version = q->options->tls_negotiated_version
	};
	/* Written apart: put() makes sure that what it wrote is whole. */
	autobuf payload = buf_new(LOCAL_REQUEST_MAX);
	struct ttlv_writer p = ttlv_write(&payload, KMIP_2_1);
	KF_TRY(q->put(&p, q->request));
	struct ttlv_writer w = ttlv_write(out, KMIP_2_1);
	w.allows_vendor = true;
	kmip_put_request_header(&w, &h);
	kmip_put_request_item_begin(&w, q->operation, (struct slice){ 0 });
	ttlv_put_items(&w, buf_slice(&payload));
	kmip_put_request_item_end(&w, &ext);
	return kmip_put_request_end(&w);
}

static kf_err get(struct slice message, const struct call *q, struct call_report *report)
{
	struct ttlv_reader r = ttlv_read(message);
	r.is_lenient = true;
	struct kmip_response_header h;
	struct kmip_response_item item;
	KF_TRY(kmip_get_response_header(&r, &h));
	KF_TRY(kmip_get_response_item(&r, &item));
	report->version = KMIP_2_1;
	kf_err err = kmip_result(&item);
	if (!kf_ok(err)) {
		report->reason = item.reason;
		report_message(report, item.message);
		return err;
	}
	buf_add_slice(q->ret, item.payload);
	return KF_OK;
}

static kf_err talk(struct local_call *l, const struct call *q, struct call_report *report)
{
	struct slice message;
	KF_TRY(put(l, q));
	local_send(l);
	local_wait(l);
	report->attempts = 1 + l->is_repeated;
	KF_TRY(local_answer(l, &message));
	return get(message, q, report);
}

kf_err client_run_agent(
	struct kf_client *c, const struct call *q, struct call_report *report)
{
	if (repeat_of(q->operation) != REPEAT_FREELY)
		return kf_fail(UNSUPPORTED, "the agent changes nothing; use key servers");
	uint32_t timeout_ms = q->options->timeout_ms
				      ? q->options->timeout_ms
				      : (uint32_t)c->fleet.settings.timeout_ms;
	struct local_call l;
	KF_TRY(local_begin(c->local, &l));
	local_set_deadline(&l, timeout_ms);
	kf_err err = talk(&l, q, report);
	local_end(&l);
	if (!kf_ok(err) && !report->version)
		snprintf(report->message, sizeof(report->message), "agent %s: %s",
			local_socket(c->local), err.site->text);
	return err;
}
