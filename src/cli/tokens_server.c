/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens_server: tokens of a key server, by the operations of kmip/token_admin.h.
 */
#include "cli/tokens_server.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/call.h"
#include "cli/key_secret.h"
#include "cli/shares.h"
#include "kmip/create_key_pair.h"
#include "kmip/token_admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one token ---- */

static kf_err act_on(struct tokens *t, const char *name, struct token_action *q)
{
	struct token_line l;
	KF_TRY(server_line(t, name, &l));
	q->serial = slice_of(l.serial);
	return server_act(t, q);
}

static struct slice pin_slice(const struct token_pin *p)
{
	return p ? (struct slice){ p->bytes, p->n } : (struct slice){ NULL, 0 };
}

static kf_err init(
	struct tokens *t, const char *name, const struct token_init *in, bool force)
{
	struct token_line l;
	struct token_action q = {
		.kind = TOKEN_ACTION_INIT,
		.so_pin = pin_slice(in->so_pin),
		.pin = pin_slice(in->pin),
		.label = slice_of(in->label),
		.shares = in->shares,
		.pin_tries = (int32_t)in->pin_tries,
		.is_forced = force,
	};
	KF_TRY(server_line(t, name, &l));
	if (l.is_initialised && !force)
		return kf_fail(EXISTS, "the token is initialised already");
	q.serial = slice_of(l.serial);
	return server_act(t, &q);
}

static kf_err identify(struct tokens *t, const char *name)
{
	return act_on(t, name, &(struct token_action){ .kind = TOKEN_ACTION_IDENTIFY });
}

static kf_err drain(struct tokens *t, const char *name, bool resume)
{
	return act_on(t, name,
		&(struct token_action){
			.kind = resume ? TOKEN_ACTION_RESUME : TOKEN_ACTION_DRAIN });
}

static kf_err change_pin(struct tokens *t, const char *name, const struct token_pin *old,
	const struct token_pin *new)
{
	return act_on(t, name,
		&(struct token_action){ .kind = TOKEN_ACTION_CHANGE_PIN,
			.pin = pin_slice(old),
			.new_pin = pin_slice(new) });
}

/* ---- keys ---- */

/* Pairs: "token" SERIAL, "result" ok, was so, or why not. */
static void read_results(struct slice facts, struct provision_report *ret)
{
	struct ttlv_reader r = ttlv_read(facts);
	struct provision_row *row = NULL;
	struct status_pair p;
	char serial[TOKEN_SERIAL_SIZE], why[PROVISION_WHY_SIZE];
	while (status_pair_next(&r, &p)) {
		if (slice_is(p.name, "token")) {
			server_text(p.value, serial, sizeof(serial));
			row = server_add_row(ret, serial);
		} else if (row && slice_is(p.name, "result")) {
			server_text(p.value, why, sizeof(why));
			bool was_so = slice_is(p.value, "was so");
			bool is_ok = was_so || slice_is(p.value, "ok");
			server_decide(row,
				is_ok ? KF_OK : kf_fail(TOKEN, "the token failed"),
				is_ok ? "" : why);
			if (was_so)
				row->outcome = PROVISION_WAS_SO;
		}
	}
	server_count(ret);
}

static kf_err transfer(struct tokens *t, enum key_transfer_kind kind, const char *key,
	const struct token_names *tokens, struct buf *ret_blob,
	struct provision_report *ret)
{
	CLEANUP(mem_freep) struct token_line *l = calloc(LINES_MAX, sizeof(*l));
	CLEANUP(mem_freep) struct key_transfer *q = calloc(1, sizeof(*q));
	struct key_transfer_response a = { 0 };
	struct key_ids ids;
	autopayload p;
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	payload_init(&p);
	if (!l || !q || tokens->n > TOKEN_SERIALS_MAX)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(key_find(t->cli, key, &ids));
	q->kind = kind;
	q->uid = slice_of(ids.id);
	if (tokens->n)
		KF_TRY(server_lines(t, tokens, l, &q->n));
	for (size_t i = 0; i < q->n; i++)
		q->serial[i] = slice_of(l[i].serial);
	key_transfer_put_request(&p.w, q);
	KF_TRY(cli_call_slow(t->cli, KMIP_OPERATION_KEY_TRANSFER, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(key_transfer_get_response(&r, &a));
	if (ret_blob)
		buf_add_slice(ret_blob, a.blob);
	if (ret)
		read_results(a.facts, ret);
	return ret_blob ? buf_err(ret_blob) : KF_OK;
}

static kf_err clone(struct tokens *t, const char *key, const struct token_names *to,
	struct provision_report *ret)
{
	return transfer(t, KEY_TRANSFER_CLONE, key, to, NULL, ret);
}

/* The last copy is refused by the key server, whatever is said. */
static kf_err erase(struct tokens *t, const char *key, const struct token_names *from,
	bool force, struct provision_report *ret)
{
	(void)force;
	return transfer(t, KEY_TRANSFER_DELETE, key, from, NULL, ret);
}

static kf_err backup(struct tokens *t, const char *key, struct buf *ret)
{
	return transfer(
		t, KEY_TRANSFER_BACKUP, key, &(struct token_names){ NULL, 0 }, ret, NULL);
}

static kf_err need_pool(const struct tokens *t)
{
	return t->options.pool
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "--pool NAME: of which pool's tokens?");
}

static kf_err put_id(const struct kmip_uid *uid, struct buf *ret)
{
	buf_add_slice(ret, uid->text);
	return buf_err(ret);
}

/* Who holds the key of this name now. */
struct holding {
	const char *name;
	bool is_active;
	struct provision_report *report;
};

static void add_words(struct provision_report *r, const char *serials, const char *lacks)
{
	char serial[TOKEN_SERIAL_SIZE];
	for (const char *at = serials; *at; at += strspn(at, " ")) {
		struct slice word = { (const uint8_t *)at, strcspn(at, " ") };
		server_text(word, serial, sizeof(serial));
		struct provision_row *row = server_add_row(r, serial);
		if (row && lacks)
			server_decide(
				row, kf_fail(UNAVAILABLE, "a copy is missing"), lacks);
		at += word.n;
	}
}

static void see_holders(void *arg, const struct key_line *k)
{
	struct holding *h = arg;
	if (strcmp(k->object, h->name) != 0)
		return;
	add_words(h->report, k->holders, NULL);
	if (!h->is_active)
		add_words(h->report, k->missing,
			"lacks the key, which is not active: `keyfleet key clone`, then "
			"`keyfleet key activate`");
}

static kf_err is_used(
	struct tokens *t, const struct key_wish *wish, const struct buf *id, bool *ret)
{
	char text[KEY_ID_TEXT];
	uint32_t state = 0;
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	server_text(buf_slice(id), text, sizeof(text));
	KF_TRY(key_attributes(t->cli, text, &attrs));
	*ret = wish->is_inactive ||
	       (attrs_get_enum(buf_slice(&attrs), TAG_STATE, &state) &&
		       state == KMIP_STATE_ACTIVE);
	return KF_OK;
}

static kf_err tell_holders(struct tokens *t, const struct key_wish *wish,
	const struct buf *id, struct provision_report *ret)
{
	struct holding h = { .name = wish->name, .report = ret };
	KF_TRY(is_used(t, wish, id, &h.is_active));
	KF_TRY(server_keys(t, see_holders, &h));
	server_count(ret);
	return KF_OK;
}

static uint32_t usage_of_file(struct slice file)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	uint32_t usage = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
	if (kf_ok(provision_read_file(file, &b)) && b.may_decrypt)
		usage |= KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
	return usage;
}

/* Whatever makes or takes a key pair answers alike. */
static kf_err ask_for_pair(
	struct tokens *t, uint32_t operation, const struct payload *p, struct buf *ret_id)
{
	struct create_key_pair_response a = { 0 };
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call_slow(t->cli, operation, p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(create_key_pair_get_response(&r, &a));
	return put_id(&a.private_key, ret_id);
}

static kf_err adopt(struct tokens *t, const struct key_adopt *q, struct buf *ret_id)
{
	autopayload p;
	payload_init(&p);
	key_adopt_put_request(&p.w, q);
	return ask_for_pair(t, KMIP_OPERATION_KEY_ADOPT, &p, ret_id);
}

static kf_err restore(struct tokens *t, const struct key_wish *wish, struct slice file,
	const struct token_names *to, struct buf *ret_id, struct provision_report *ret)
{
	KF_TRY(need_pool(t));
	if (to->n)
		return kf_fail(INVALID_FIELD,
			"--to is for --local: at a key server say --all or --copies N");
	const struct key_adopt q = {
		.pool = slice_of(t->options.pool),
		.blob = file,
		.name = slice_of(wish->name),
		.copies = (int32_t)wish->copies,
		.is_inactive = wish->is_inactive,
		.usage = usage_of_file(file),
	};
	KF_TRY(adopt(t, &q, ret_id));
	return tell_holders(t, wish, ret_id, ret);
}

static bool read_key_id(const char *hex, uint8_t ret[KEY_ID_SIZE])
{
	unsigned v;
	for (size_t i = 0; i < KEY_ID_SIZE; i++, ret[i - 1] = (uint8_t)v)
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return false;
	return true;
}

kf_err server_adopt(struct tokens *t, const struct key_line *key,
	const struct key_wish *wish, struct buf *ret_id, struct provision_report *ret)
{
	uint8_t id[KEY_ID_SIZE] = { 0 };
	uint32_t usage = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
	if (!strncmp(key->algorithm, "rsa", 3))
		usage |= KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
	if (!read_key_id(key->key_id, id))
		return kf_fail(MALFORMED, "the key server tells no key id");
	const struct key_adopt q = {
		.pool = slice_of(key->pool),
		.key_id = { id, sizeof(id) },
		.name = slice_of(wish->name),
		.copies = (int32_t)wish->copies,
		.is_inactive = wish->is_inactive,
		.usage = usage,
	};
	KF_TRY(adopt(t, &q, ret_id));
	return tell_holders(t, wish, ret_id, ret);
}

/* Two sets: of both halves, and of the private one. */
static void put_place(
	const struct tokens *t, const struct key_wish *wish, struct buf *private)
{
	struct slice vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR);
	char copies[16];
	attrs_add_vendor_text(private, vendor, slice_of(TOKEN_ATTRIBUTE_POOL),
		slice_of(t->options.pool));
	snprintf(copies, sizeof(copies), "%u", wish->copies);
	if (wish->copies)
		attrs_add_vendor_text(private, vendor, slice_of(TOKEN_ATTRIBUTE_COPIES),
			slice_of(copies));
}

static kf_err put_attributes(const struct tokens *t, const struct key_wish *wish,
	struct create_key_pair_request *q, struct buf sets[3])
{
	uint32_t usage = wish->usage ? wish->usage : KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
	char public_name[256];
	if (wish->alg->family == FAMILY_RSA && !wish->usage)
		usage |= KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
	snprintf(public_name, sizeof(public_name), "%s.pub", wish->name);
	attrs_add_enum(&sets[0], TAG_CRYPTOGRAPHIC_ALGORITHM, wish->alg->kmip_algorithm);
	attrs_add_int(&sets[0], TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)wish->alg->bits);
	attrs_add_curve(&sets[0], wish->alg->kmip_curve);
	if (!wish->is_inactive)
		attrs_add_date(&sets[0], TAG_ACTIVATION_DATE, clock_wall_s() - 1);
	attrs_add_name(&sets[1], slice_of(wish->name));
	attrs_add_int(&sets[1], TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)usage);
	put_place(t, wish, &sets[1]);
	attrs_add_name(&sets[2], slice_of(public_name));
	attrs_add_int(&sets[2], TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
	for (int i = 0; i < 3; i++)
		KF_TRY(buf_err(&sets[i]));
	*q = (struct create_key_pair_request){ buf_slice(&sets[0]), buf_slice(&sets[1]),
		buf_slice(&sets[2]) };
	return KF_OK;
}

static kf_err send_create(
	struct tokens *t, const struct create_key_pair_request *q, struct buf *ret_id)
{
	autopayload p;
	payload_init(&p);
	create_key_pair_put_request(&p.w, q);
	return ask_for_pair(t, KMIP_OPERATION_CREATE_KEY_PAIR, &p, ret_id);
}

static kf_err create_pair(
	struct tokens *t, const struct key_wish *wish, struct buf *ret_id)
{
	enum { SET_MAX = 4096 };
	struct create_key_pair_request q;
	struct buf sets[3] = { buf_new(SET_MAX), buf_new(SET_MAX), buf_new(SET_MAX) };
	kf_err e = put_attributes(t, wish, &q, sets);
	if (kf_ok(e))
		e = send_create(t, &q, ret_id);
	for (int i = 0; i < 3; i++)
		buf_free(&sets[i]);
	return e;
}

static kf_err create(struct tokens *t, const struct key_wish *wish, struct buf *ret_id,
	struct provision_report *ret)
{
	KF_TRY(need_pool(t));
	if (wish->alg->family == FAMILY_AES)
		KF_TRY(key_secret_create(t->cli, wish, t->options.pool, ret_id));
	else
		KF_TRY(create_pair(t, wish, ret_id));
	return tell_holders(t, wish, ret_id, ret);
}

static kf_err certificate(struct tokens *t, const char *key,
	enum token_certificate_kind kind, struct slice der, struct provision_report *ret)
{
	(void)key;
	(void)kind;
	(void)der;
	(void)ret;
	cli_note(t->cli, "certificates are stored on tokens with --local");
	return kf_fail(INVALID_FIELD, "see --help");
}

static void close_server(struct tokens *t) { free(t); }

static const struct tokens_ops server_ops = {
	.list = server_list,
	.keys = server_keys,
	.init = init,
	.identify = identify,
	.drain = drain,
	.change_pin = change_pin,
	.import_shares = server_import_shares,
	.clone = clone,
	.erase = erase,
	.backup = backup,
	.restore = restore,
	.create = create,
	.certificate = certificate,
	.drift = server_drift,
	.close = close_server,
};

kf_err tokens_open_server(
	struct cli *c, const struct tokens_options *o, struct tokens **ret)
{
	struct tokens *t = calloc(1, sizeof(*t));
	if (!t)
		return kf_fail(NOMEM, "no memory for tokens");
	*t = (struct tokens){ &server_ops, c, *o };
	*ret = t;
	return KF_OK;
}
