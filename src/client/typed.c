/* SPDX-License-Identifier: Apache-2.0 */
#include "client/typed.h"
#include <string.h>

static kf_err run(struct kf_client *c, const struct typed *t, const struct typed_io *io,
	const struct call_options *o)
{
	struct call q = { t->operation, t->put, io->request, o, io->answer };
	uint16_t version;
	KF_TRY(client_run(c, &q, &version));
	if (!t->get)
		return KF_OK;
	struct ttlv_reader r = ttlv_read_as(buf_slice(io->answer), version, true);
	return t->get(&r, io->ret);
}

kf_result typed_call(struct kf_client *c, const struct typed *t,
	const struct typed_io *io, kf_call *call)
{
	struct call_report report = { 0 };
	struct call_options o = { .tls_client_version = t->tls_client_version,
		.tls_negotiated_version = t->tls_negotiated_version,
		.report = &report };
	if (call && call->timeout_ms > SETTINGS_TIMEOUT_MAX_MS)
		return status_refuse(call, KF_INVALID_ARGUMENT, "timeout is too long");
	if (call) {
		o.timeout_ms = call->timeout_ms;
		o.request_id = call->request_id;
	}
	return status_tell(call, run(c, t, io, &o), &report);
}

/* The rest of the message, however its fields are encoded. */
enum { AROUND_DATA = 2048 };

const char *typed_fits(const struct kf_client *c, size_t size, size_t more)
{
	size_t room = c->local ? LOCAL_REQUEST_MAX : c->fleet.setup.message_max;
	size_t all;
	if (__builtin_add_overflow(size, more, &all) || all > room - AROUND_DATA)
		return c->local ? "data are too long for the agent"
				: "data are longer than message_max allows";
	return NULL;
}

kf_result typed_fill(kf_call *call, struct slice from, kf_buffer *to)
{
	to->used = from.n;
	if (from.n > to->size)
		return status_refuse(call, KF_BUFFER_TOO_SMALL, "see used");
	if (from.n)
		memcpy(to->data, from.p, from.n);
	return KF_SUCCESS;
}

kf_result typed_id(kf_call *call, const struct kmip_uid *uid, kf_id *to)
{
	char text[KF_ID_SIZE];
	if (!uid->text.n || !kf_ok(slice_to_text(uid->text, text, sizeof(text))))
		return status_refuse(call, KF_PROTOCOL, "no usable Unique Identifier");
	memcpy(to->text, text, sizeof(text));
	return KF_SUCCESS;
}

bool typed_is_id(const char *id) { return id && *id && strlen(id) < KF_ID_SIZE; }
