/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests and responses share.
 */
#include "kmip/message.h"
#include "kmip/wire.h"

#define VENDOR "keyfleet"

bool kmip_knows(uint16_t version)
{
	return (version >= KMIP_1_0 && version <= KMIP_1_4) || version == KMIP_2_0 ||
	       version == KMIP_2_1;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

kf_err kmip_message_length(const uint8_t head[KMIP_HEAD], size_t limit, size_t *ret)
{
	uint32_t tag_and_type = get32(head), n = get32(head + 4);
	if (tag_and_type != (TAG_REQUEST_MESSAGE << 8 | TTLV_STRUCT) &&
		tag_and_type != (TAG_RESPONSE_MESSAGE << 8 | TTLV_STRUCT))
		return kf_fail(MALFORMED, "neither a request nor a response");
	if (n % 8)
		return kf_fail(MALFORMED, "length is not a multiple of eight");
	if (limit < KMIP_HEAD || n > limit - KMIP_HEAD)
		return kf_fail(TOO_BIG, "message is longer than the limit");
	*ret = KMIP_HEAD + (size_t)n;
	return KF_OK;
}

/* --- Protocol Version --- */

void wire_put_version(struct ttlv_writer *w, uint16_t version)
{
	ttlv_begin(w, TAG_PROTOCOL_VERSION);
	ttlv_put_int(w, TAG_PROTOCOL_VERSION_MAJOR, version >> 8);
	ttlv_put_int(w, TAG_PROTOCOL_VERSION_MINOR, version & 0xff);
	ttlv_end(w);
}

void wire_get_version(struct ttlv_reader *r, uint16_t *ret)
{
	int32_t major = 0, minor = 0;
	ttlv_open(r, TAG_PROTOCOL_VERSION);
	ttlv_get_int(r, TAG_PROTOCOL_VERSION_MAJOR, &major);
	ttlv_get_int(r, TAG_PROTOCOL_VERSION_MINOR, &minor);
	ttlv_close(r);
	if (major < 0 || major > 0xff || minor < 0 || minor > 0xff)
		ttlv_refuse(r, kf_fail(VERSION, "version number out of range"));
	if (ttlv_ok(r))
		*ret = (uint16_t)(major << 8 | minor);
}

/* From here on the reader is one of this version. */
void wire_adopt_version(struct ttlv_reader *r, uint16_t version)
{
	if (version >> 8 != 1 && version >> 8 != 2)
		ttlv_refuse(r, kf_fail(VERSION, "major version is not supported"));
	r->version = version;
	r->is_lenient = !kmip_knows(version);
}

uint16_t kmip_version(struct slice message)
{
	struct ttlv_reader r = ttlv_read(message);
	uint16_t version = 0;
	if (ttlv_open_opt(&r, TAG_REQUEST_MESSAGE))
		ttlv_open(&r, TAG_REQUEST_HEADER);
	else if (ttlv_open_opt(&r, TAG_RESPONSE_MESSAGE))
		ttlv_open(&r, TAG_RESPONSE_HEADER);
	wire_get_version(&r, &version);
	return version;
}

struct ttlv_reader kmip_payload(const struct ttlv_reader *message, struct slice payload)
{
	return ttlv_read_like(message, payload);
}

/* --- Unique Identifier --- */

struct kmip_uid kmip_uid_text(struct slice id)
{
	return (struct kmip_uid){ .kind = KMIP_UID_TEXT, .text = id };
}

void kmip_put_uid(struct ttlv_writer *w, enum ttlv_tag tag, const struct kmip_uid *uid)
{
	switch (uid->kind) {
	case KMIP_UID_ABSENT: break;
	case KMIP_UID_TEXT: ttlv_put_text(w, tag, uid->text); break;
	case KMIP_UID_ENUM: ttlv_put_enum(w, tag, (uint32_t)uid->number); break;
	case KMIP_UID_INT: ttlv_put_int(w, tag, uid->number); break;
	}
}

void kmip_get_uid(struct ttlv_reader *r, enum ttlv_tag tag, struct kmip_uid *ret)
{
	struct ttlv_item it;
	*ret = (struct kmip_uid){ 0 };
	if (!ttlv_at(r, tag))
		return;
	ttlv_get_item(r, tag, &it);
	if (!ttlv_ok(r))
		return;
	if (it.type == TTLV_TEXT)
		*ret = kmip_uid_text(it.value);
	else if (r->version && !kmip_is_2(r->version))
		ttlv_refuse(r, kf_fail(MALFORMED, "identifier is not text"));
	else
		*ret = (struct kmip_uid){
			.kind = it.type == TTLV_ENUM ? KMIP_UID_ENUM : KMIP_UID_INT,
			.number = ttlv_item_int(&it),
		};
}

/* --- Message Extension --- */

static void put_extension(struct ttlv_writer *w, const struct kmip_extension *e)
{
	ttlv_begin(w, TAG_MESSAGE_EXTENSION);
	ttlv_put_text(w, TAG_VENDOR_IDENTIFICATION, SLICE_LIT(VENDOR));
	ttlv_put_bool(w, TAG_CRITICALITY_INDICATOR, false);
	ttlv_begin(w, TAG_VENDOR_EXTENSION);
	w->allows_vendor = true;
	if (e->request_id.n)
		ttlv_put_bytes(w, TAG_REQUEST_ID, e->request_id);
	if (e->deadline_ms)
		ttlv_put_int(w, TAG_DEADLINE, e->deadline_ms);
	if (e->tls_client_version) {
		ttlv_put_int(w, TAG_TLS_CLIENT_VERSION, e->tls_client_version);
		ttlv_put_int(w, TAG_TLS_NEGOTIATED_VERSION, e->tls_negotiated_version);
	}
	if (e->has_load)
		ttlv_put_int(w, TAG_LOAD, e->load);
	if (e->has_sent_at)
		ttlv_put_int(w, TAG_SENT_AT, e->sent_at_ms);
	if (e->has_user)
		ttlv_put_int(w, TAG_USER, e->user);
	if (e->limit)
		ttlv_put_int(w, TAG_LIMIT, e->limit);
	if (e->has_expected_wait)
		ttlv_put_int(w, TAG_EXPECTED_WAIT, e->expected_wait_us);
	if (e->abandoned.n)
		ttlv_put_bytes(w, TAG_ABANDONED, e->abandoned);
	w->allows_vendor = false;
	ttlv_end(w);
	ttlv_end(w);
}

void wire_put_extension(struct ttlv_writer *w, const struct kmip_extension *e)
{
	bool has_something =
		e && (e->request_id.n || e->deadline_ms || e->tls_client_version ||
			     e->has_load || e->has_sent_at || e->has_user || e->limit ||
			     e->has_expected_wait || e->abandoned.n);
	if (has_something)
		put_extension(w, e);
}

static void get_tls_version(struct ttlv_reader *r, enum ttlv_tag tag, uint16_t *ret)
{
	int32_t v = 0;
	if (!ttlv_opt_int(r, tag, &v))
		return;
	if (v < 0 || v > 0xffff)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "TLS version out of range"));
	else
		*ret = (uint16_t)v;
}

/* Leniently: a later release may say more. */
static void get_ours(
	struct ttlv_reader *message, struct slice in, struct kmip_extension *e)
{
	struct ttlv_reader r = ttlv_read_as(in, message->version, true);
	if (ttlv_opt_bytes(&r, TAG_REQUEST_ID, &e->request_id) &&
		e->request_id.n != KMIP_REQUEST_ID_SIZE)
		ttlv_refuse(&r, kf_fail(INVALID_FIELD, "Request Id is not 16 bytes"));
	ttlv_opt_int(&r, TAG_DEADLINE, &e->deadline_ms);
	get_tls_version(&r, TAG_TLS_CLIENT_VERSION, &e->tls_client_version);
	get_tls_version(&r, TAG_TLS_NEGOTIATED_VERSION, &e->tls_negotiated_version);
	e->has_load = ttlv_opt_int(&r, TAG_LOAD, &e->load);
	e->has_sent_at = ttlv_opt_int(&r, TAG_SENT_AT, &e->sent_at_ms);
	e->has_user = ttlv_opt_int(&r, TAG_USER, &e->user);
	ttlv_opt_int(&r, TAG_LIMIT, &e->limit);
	e->has_expected_wait = ttlv_opt_int(&r, TAG_EXPECTED_WAIT, &e->expected_wait_us);
	ttlv_opt_bytes(&r, TAG_ABANDONED, &e->abandoned);
	if (e->deadline_ms < 0 || e->expected_wait_us < 0 || e->sent_at_ms < 0 ||
		e->user < 0 || e->load < 0 || e->load > 10000)
		ttlv_refuse(&r, kf_fail(INVALID_FIELD, "vendor field out of range"));
	kf_err e_done = ttlv_done(&r);
	if (!kf_ok(e_done))
		ttlv_refuse(message, e_done);
}

void wire_get_extensions(
	struct ttlv_reader *r, struct kmip_extension *ret, bool *ret_unknown_critical)
{
	while (ttlv_open_opt(r, TAG_MESSAGE_EXTENSION)) {
		struct slice vendor = { 0 }, content = { 0 };
		bool is_critical = false;
		ttlv_get_text(r, TAG_VENDOR_IDENTIFICATION, &vendor);
		ttlv_get_bool(r, TAG_CRITICALITY_INDICATOR, &is_critical);
		ttlv_get_content(r, TAG_VENDOR_EXTENSION, &content);
		ttlv_close(r);
		if (slice_is(vendor, VENDOR))
			get_ours(r, content, ret);
		else if (is_critical)
			*ret_unknown_critical = true;
	}
}
