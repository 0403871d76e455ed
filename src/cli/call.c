/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/call.h"
#include "client/call.h"
#include "crypt/pubkey.h"
#include "kmip/get.h"
#include "kmip/get_attributes.h"
#include "kmip/locate.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

void payload_init(struct payload *p)
{
	p->bytes = buf_new(CALL_PAYLOAD_MAX);
	p->w = ttlv_write(&p->bytes, KMIP_2_1);
	p->w.allows_vendor = true;
}

void payload_clear(struct payload *p) { buf_free(&p->bytes); }

struct ttlv_reader answer_reader(const struct buf *answer)
{
	return ttlv_read_as(buf_slice(answer), KMIP_2_1, false);
}

/* Where a new user begins: nothing is set up yet. */
static void tell_where_configurations_come_from(const struct cli *c)
{
	if (access(c->config, F_OK) < 0 && errno == ENOENT)
		cli_note(c,
			"on a key server `keyfleet init /etc/keyfleet` makes one; "
			"elsewhere copy the administrator's and name it with --config");
}

static kf_err open_client(struct cli *c)
{
	if (c->client)
		return KF_OK;
	kf_call call = { 0 };
	if (kf_client_open(c->config, &c->client, &call) == KF_SUCCESS)
		return KF_OK;
	cli_note(c, "%s", kf_error_text(&call));
	tell_where_configurations_come_from(c);
	return kf_fail(CONFIG, "the client's configuration cannot be used; see --config");
}

kf_err cli_client(struct cli *c, struct kf_client **ret)
{
	KF_TRY(open_client(c));
	*ret = c->client;
	return KF_OK;
}

static kf_err call(struct cli *c, uint32_t operation, const struct payload *p,
	struct call_options *options, struct buf *ret)
{
	KF_TRY(ttlv_written(&p->w));
	KF_TRY(open_client(c));
	kf_err e = client_call(c->client, operation, buf_slice(&p->bytes), options, ret);
	if (!kf_ok(e) && options->report->message[0])
		cli_note(c, "%s: %s", ttlv_value_text(TTLV_KIND_OPERATION, operation),
			options->report->message);
	if (kf_is(e, KF_E_TOO_BIG) && !options->report->reason)
		cli_note(c, "%s: message_max is too small for this", c->config);
	return e;
}

kf_err cli_call(
	struct cli *c, uint32_t operation, const struct payload *p, struct buf *ret)
{
	struct call_report report = { 0 };
	return call(c, operation, p, &(struct call_options){ .report = &report }, ret);
}

kf_err cli_tell(struct cli *c, uint32_t operation, const struct payload *p)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	return cli_call(c, operation, p, &answer);
}

kf_err cli_call_slow(
	struct cli *c, uint32_t operation, const struct payload *p, struct buf *ret)
{
	enum { MINUTES = 10 };
	struct call_report report = { 0 };
	struct call_options options = {
		.report = &report, .timeout_ms = MINUTES * 60000, .is_once = true
	};
	kf_err e = call(c, operation, p, &options, ret);
	if (kf_is(e, KF_E_UNSUPPORTED))
		cli_note(c, "the key server has no tokens: a section [pool NAME] of "
			    "keyfleetd.conf gives it some, see keyfleetd.conf(5)");
	if (kf_is(e, KF_E_OUTCOME_UNKNOWN))
		cli_note(c, "what tokens have done is not known: `keyfleet dkek status "
			    "--drift` tells of keys that belong to no object");
	return e;
}

kf_err cli_call_part(struct cli *c, uint32_t operation, const struct payload *p,
	struct cli_stream *s, struct buf *ret)
{
	struct call_report report = { 0 };
	struct call_options options = {
		.report = &report, .is_once = s->server != 0, .server = s->server
	};
	KF_TRY(call(c, operation, p, &options, ret));
	s->server = report.server;
	return KF_OK;
}

kf_err cli_stream_next(struct cli_stream *s, struct slice correlation_value)
{
	enum { ID_MAX = 1024 };
	if (!correlation_value.n)
		return kf_fail(
			MALFORMED, "the server has forgotten the Correlation Value");
	buf_free(&s->id);
	s->id = buf_new(ID_MAX);
	buf_add_slice(&s->id, correlation_value);
	return buf_err(&s->id);
}

void cli_stream_clear(struct cli_stream *s) { buf_free(&s->id); }

kf_err key_attributes(struct cli *c, const char *id, struct buf *ret)
{
	autopayload p;
	payload_init(&p);
	const struct get_attributes_request q = { .uid = kmip_uid_text(slice_of(id)) };
	get_attributes_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_GET_ATTRIBUTES, &p, &answer));

	struct ttlv_reader r = answer_reader(&answer);
	struct get_attributes_response a = { 0 };
	KF_TRY(get_attributes_get_response(&r, &a, ret));
	return buf_err(ret);
}

/* The objects with these attributes, at most two. */
static kf_err locate(struct cli *c, const struct buf *attrs, struct buf *answer,
	struct ttlv_reader *ret_uids)
{
	KF_TRY(buf_err(attrs));
	autopayload p;
	payload_init(&p);
	const struct locate_request q = {
		.maximum_items = 2, .offset_items = -1, .attributes = buf_slice(attrs)
	};
	locate_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_LOCATE, &p, answer));

	struct ttlv_reader r = answer_reader(answer);
	struct locate_response a = { 0 };
	KF_TRY(locate_get_response(&r, &a));
	*ret_uids = ttlv_read(a.uids);
	return KF_OK;
}

/* At most one is expected.  `type` 0: of any. */
static kf_err locate_name(
	struct cli *c, const char *name, uint32_t type, struct key_ids *ret)
{
	autobuf attrs = buf_new(4096), answer = buf_new(CALL_PAYLOAD_MAX);
	if (type)
		attrs_add_enum(&attrs, TAG_OBJECT_TYPE, type);
	attrs_add_name(&attrs, slice_of(name));
	struct ttlv_reader uids;
	KF_TRY(locate(c, &attrs, &answer, &uids));
	struct slice id, another;
	if (!locate_next_uid(&uids, &id))
		return kf_fail(NOT_FOUND, "no key has this name");
	if (locate_next_uid(&uids, &another))
		return kf_fail(CONFLICT, "several keys have this name; say the id");
	return slice_to_text(id, ret->id, sizeof(ret->id));
}

kf_err key_has_name(struct cli *c, const char *name, struct key_ids *ret)
{
	return locate_name(c, name, KMIP_OBJECT_TYPE_PRIVATE_KEY, ret);
}

/* The private key if there is one: its public key may have the same name. */
static kf_err find_name(struct cli *c, const char *name, struct key_ids *ret)
{
	kf_err e = key_has_name(c, name, ret);
	return kf_is(e, KF_E_NOT_FOUND) ? locate_name(c, name, 0, ret) : e;
}

static void add_digest(struct buf *attrs, struct slice bytes)
{
	uint8_t digest[KEY_ID_SIZE];
	autobuf item = buf_new(256);
	struct ttlv_writer w = ttlv_write(&item, 0);
	spki_id(bytes, digest);
	ttlv_begin(&w, TAG_DIGEST);
	ttlv_put_enum(&w, TAG_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256);
	ttlv_put_bytes(&w, TAG_DIGEST_VALUE, (struct slice){ digest, sizeof(digest) });
	ttlv_end(&w);
	attrs_add_item(attrs, buf_slice(&item));
}

/* The private key that links to this public one, unless it is of no use any more. */
static kf_err locate_by_link(struct cli *c, struct key_ids *ids)
{
	autobuf attrs = buf_new(4096), answer = buf_new(CALL_PAYLOAD_MAX);
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_PRIVATE_KEY);
	attrs_add_enum(&attrs, TAG_STATE, KMIP_STATE_ACTIVE);
	attrs_add_link(&attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, slice_of(ids->public_key));
	struct ttlv_reader uids;
	struct slice id;
	KF_TRY(locate(c, &attrs, &answer, &uids));
	return locate_next_uid(&uids, &id)
		       ? slice_to_text(id, ids->id, sizeof(ids->id))
		       : kf_fail(NOT_FOUND, "no private key of this public key");
}

kf_err key_find_spki(struct cli *c, struct slice spki, struct key_ids *ret)
{
	autobuf attrs = buf_new(4096), answer = buf_new(CALL_PAYLOAD_MAX);
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_PUBLIC_KEY);
	add_digest(&attrs, spki);
	struct ttlv_reader uids;
	struct slice id;
	KF_TRY(locate(c, &attrs, &answer, &uids));
	while (locate_next_uid(&uids, &id)) {
		struct key_ids ids = { 0 };
		KF_TRY(slice_to_text(id, ids.public_key, sizeof(ids.public_key)));
		kf_err e = locate_by_link(c, &ids);
		if (kf_ok(e))
			*ret = ids;
		if (kf_ok(e) || !kf_is(e, KF_E_NOT_FOUND))
			return e;
	}
	return kf_fail(NOT_FOUND, "the key servers do not have this key");
}

/* Names are shown in tables and logs, and asked for by people. */
kf_err key_name_check(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			n = 0;
	if (n > 0 && n <= 240)
		return KF_OK;
	return kf_fail(INVALID_FIELD,
		"a key's name is 1 to 240 bytes, without control characters");
}

kf_err certificate_find(struct cli *c, struct slice der, char ret[KEY_ID_TEXT])
{
	autobuf attrs = buf_new(4096), answer = buf_new(CALL_PAYLOAD_MAX);
	struct ttlv_reader uids;
	struct slice id;
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
	add_digest(&attrs, der);
	KF_TRY(locate(c, &attrs, &answer, &uids));
	return locate_next_uid(&uids, &id)
		       ? slice_to_text(id, ret, KEY_ID_TEXT)
		       : kf_fail(NOT_FOUND, "the key servers do not have this "
					    "certificate, or this client may not see it");
}

static bool looks_like_id(const char *s)
{
	return strlen(s) == 36 && strspn(s, "0123456789abcdef-") == 36;
}

kf_err key_find(struct cli *c, const char *name_or_id, struct key_ids *ret)
{
	struct key_ids ids = { 0 };
	if (looks_like_id(name_or_id)) {
		KF_TRY(slice_to_text(slice_of(name_or_id), ids.id, sizeof(ids.id)));
	} else {
		kf_err e = find_name(c, name_or_id, &ids);
		if (!kf_ok(e)) {
			cli_note(c, "%s: %s", name_or_id, e.site->text);
			return e;
		}
	}
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(key_attributes(c, ids.id, &attrs));
	struct slice link;
	if (attrs_get_link(buf_slice(&attrs), KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &link))
		KF_TRY(slice_to_text(link, ids.public_key, sizeof(ids.public_key)));
	*ret = ids;
	return KF_OK;
}

kf_err key_spki(struct cli *c, const struct key_ids *ids, struct buf *ret)
{
	if (!ids->public_key[0])
		return kf_fail(NOT_FOUND, "the key has no link to its public key");
	autopayload p;
	payload_init(&p);
	const struct get_request q = {
		.uid = kmip_uid_text(slice_of(ids->public_key)),
		.key_format_type = KMIP_KEY_FORMAT_TYPE_X_509,
	};
	get_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_GET, &p, &answer));

	struct ttlv_reader r = answer_reader(&answer);
	struct get_response a = { 0 };
	KF_TRY(get_get_response(&r, &a));
	buf_add_slice(ret, a.object.block.material);
	return buf_err(ret);
}
