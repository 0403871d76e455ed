/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/token_admin.h"
#include "kmip/wire.h"

static void put_begin(struct ttlv_writer *w) { w->allows_vendor = true; }
static void put_end(struct ttlv_writer *w) { w->allows_vendor = false; }

/* --- lists --- */

void token_row_add(struct buf *items, const struct token_row *row)
{
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_TOKEN);
	ttlv_put_text(&w, TAG_TOKEN_POOL, row->pool);
	ttlv_put_text(&w, TAG_TOKEN_SERIAL, row->serial);
	ttlv_put_items(&w, row->facts);
	ttlv_end(&w);
}

/* What is left of the structure. */
static struct slice take_rest(struct ttlv_reader *r)
{
	struct ttlv_item it;
	struct slice rest = wire_rest(r);
	while (ttlv_next(r, &it))
		;
	return rest;
}

bool token_row_next(struct ttlv_reader *r, struct token_row *ret)
{
	*ret = (struct token_row){ 0 };
	if (!ttlv_open_opt(r, TAG_TOKEN))
		return false;
	ttlv_get_text(r, TAG_TOKEN_POOL, &ret->pool);
	ttlv_get_text(r, TAG_TOKEN_SERIAL, &ret->serial);
	ret->facts = take_rest(r);
	ttlv_close(r);
	return ttlv_ok(r);
}

static void get_key_id(struct ttlv_reader *r, struct slice *ret)
{
	ttlv_get_bytes(r, TAG_TOKEN_KEY_ID, ret);
	if (ttlv_ok(r) && ret->n != 32)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "key id is not SHA-256"));
}

void token_key_row_add(struct buf *items, const struct token_key_row *row)
{
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_TOKEN_KEY);
	ttlv_put_text(&w, TAG_TOKEN_POOL, row->pool);
	ttlv_put_bytes(&w, TAG_TOKEN_KEY_ID, row->key_id);
	ttlv_put_items(&w, row->facts);
	ttlv_end(&w);
}

bool token_key_row_next(struct ttlv_reader *r, struct token_key_row *ret)
{
	*ret = (struct token_key_row){ 0 };
	if (!ttlv_open_opt(r, TAG_TOKEN_KEY))
		return false;
	ttlv_get_text(r, TAG_TOKEN_POOL, &ret->pool);
	get_key_id(r, &ret->key_id);
	ret->facts = take_rest(r);
	ttlv_close(r);
	return ttlv_ok(r);
}

/* --- actions --- */

static void put_number(struct ttlv_writer *w, enum ttlv_tag tag, int32_t n)
{
	if (n)
		ttlv_put_int(w, tag, n);
}

static void get_kind(struct ttlv_reader *r, int32_t last, int32_t *ret)
{
	ttlv_get_int(r, TAG_TOKEN_ACTION, ret);
	if (ttlv_ok(r) && (*ret < 1 || *ret > last))
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "unknown action"));
}

void token_action_put_request(struct ttlv_writer *w, const struct token_action *q)
{
	put_begin(w);
	ttlv_put_int(w, TAG_TOKEN_ACTION, (int32_t)q->kind);
	ttlv_put_text(w, TAG_TOKEN_SERIAL, q->serial);
	wire_put_bytes(w, TAG_TOKEN_PIN, q->pin);
	wire_put_bytes(w, TAG_TOKEN_NEW_PIN, q->new_pin);
	wire_put_bytes(w, TAG_TOKEN_SO_PIN, q->so_pin);
	wire_put_text(w, TAG_TOKEN_LABEL, q->label);
	put_number(w, TAG_TOKEN_SHARES, q->shares);
	wire_put_bytes(w, TAG_TOKEN_SHARE, q->share);
	put_number(w, TAG_TOKEN_PIN_TRIES, q->pin_tries);
	if (q->is_forced)
		ttlv_put_bool(w, TAG_TOKEN_FORCE, true);
	put_end(w);
}

static kf_err check_action(const struct token_action *q)
{
	if (q->shares < -1 || q->shares > 255)
		return kf_fail(INVALID_FIELD, "-1 to 255 shares");
	if (q->pin_tries < 0 || q->pin_tries > 255)
		return kf_fail(INVALID_FIELD, "0 to 255 tries");
	if (q->share.n && q->share.n != 32)
		return kf_fail(INVALID_FIELD, "a share has 32 bytes");
	return KF_OK;
}

kf_err token_action_get_request(struct ttlv_reader *r, struct token_action *ret)
{
	int32_t kind = 0;
	*ret = (struct token_action){ 0 };
	get_kind(r, TOKEN_ACTION_IMPORT_SHARE, &kind);
	ret->kind = (enum token_action_kind)kind;
	ttlv_get_text(r, TAG_TOKEN_SERIAL, &ret->serial);
	ttlv_opt_bytes(r, TAG_TOKEN_PIN, &ret->pin);
	ttlv_opt_bytes(r, TAG_TOKEN_NEW_PIN, &ret->new_pin);
	ttlv_opt_bytes(r, TAG_TOKEN_SO_PIN, &ret->so_pin);
	ttlv_opt_text(r, TAG_TOKEN_LABEL, &ret->label);
	ttlv_opt_int(r, TAG_TOKEN_SHARES, &ret->shares);
	ttlv_opt_bytes(r, TAG_TOKEN_SHARE, &ret->share);
	ttlv_opt_int(r, TAG_TOKEN_PIN_TRIES, &ret->pin_tries);
	ttlv_opt_bool(r, TAG_TOKEN_FORCE, &ret->is_forced);
	kf_err e = check_action(ret);
	if (ttlv_ok(r) && !kf_ok(e))
		ttlv_refuse(r, e);
	return ttlv_done(r);
}

/* --- transfers --- */

void key_transfer_put_request(struct ttlv_writer *w, const struct key_transfer *q)
{
	put_begin(w);
	ttlv_put_int(w, TAG_TOKEN_ACTION, (int32_t)q->kind);
	ttlv_put_text(w, TAG_UNIQUE_IDENTIFIER, q->uid);
	for (size_t i = 0; i < q->n; i++)
		ttlv_put_text(w, TAG_TOKEN_SERIAL, q->serial[i]);
	put_end(w);
}

kf_err key_transfer_get_request(struct ttlv_reader *r, struct key_transfer *ret)
{
	int32_t kind = 0;
	struct slice serial;
	*ret = (struct key_transfer){ 0 };
	get_kind(r, KEY_TRANSFER_DELETE, &kind);
	ret->kind = (enum key_transfer_kind)kind;
	ttlv_get_text(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	while (ret->n < TOKEN_SERIALS_MAX && ttlv_opt_text(r, TAG_TOKEN_SERIAL, &serial))
		ret->serial[ret->n++] = serial;
	return ttlv_done(r);
}

void key_transfer_put_response(
	struct ttlv_writer *w, const struct key_transfer_response *a)
{
	put_begin(w);
	wire_put_bytes(w, TAG_TOKEN_BLOB, a->blob);
	ttlv_put_items(w, a->facts);
	put_end(w);
}

kf_err key_transfer_get_response(struct ttlv_reader *r, struct key_transfer_response *ret)
{
	*ret = (struct key_transfer_response){ 0 };
	ttlv_opt_bytes(r, TAG_TOKEN_BLOB, &ret->blob);
	ret->facts = take_rest(r);
	return ttlv_done(r);
}

void key_adopt_put_request(struct ttlv_writer *w, const struct key_adopt *q)
{
	put_begin(w);
	ttlv_put_text(w, TAG_TOKEN_POOL, q->pool);
	wire_put_bytes(w, TAG_TOKEN_KEY_ID, q->key_id);
	wire_put_bytes(w, TAG_TOKEN_BLOB, q->blob);
	wire_put_text(w, TAG_NAME_VALUE, q->name);
	put_number(w, TAG_TOKEN_COPIES, q->copies);
	put_number(w, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)q->usage);
	ttlv_put_bool(w, TAG_TOKEN_IS_INACTIVE, q->is_inactive);
	put_end(w);
}

kf_err key_adopt_get_request(struct ttlv_reader *r, struct key_adopt *ret)
{
	int32_t usage = 0;
	*ret = (struct key_adopt){ 0 };
	ttlv_get_text(r, TAG_TOKEN_POOL, &ret->pool);
	if (ttlv_at(r, TAG_TOKEN_KEY_ID))
		get_key_id(r, &ret->key_id);
	ttlv_opt_bytes(r, TAG_TOKEN_BLOB, &ret->blob);
	ttlv_opt_text(r, TAG_NAME_VALUE, &ret->name);
	ttlv_opt_int(r, TAG_TOKEN_COPIES, &ret->copies);
	ttlv_opt_int(r, TAG_CRYPTOGRAPHIC_USAGE_MASK, &usage);
	ttlv_get_bool(r, TAG_TOKEN_IS_INACTIVE, &ret->is_inactive);
	ret->usage = (uint32_t)usage;
	if (ttlv_ok(r) && (ret->copies < 0 || ret->copies > TOKEN_SERIALS_MAX))
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "0 to 128 copies"));
	if (ttlv_ok(r) && !ret->key_id.n == !ret->blob.n)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "either a key id or a key file"));
	return ttlv_done(r);
}

/* --- copies in software --- */

void key_overflow_put_request(struct ttlv_writer *w, const struct key_overflow *q)
{
	put_begin(w);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	wire_put_bytes(w, TAG_TOKEN_OVERFLOW, q->key);
	put_end(w);
}

kf_err key_overflow_get_request(struct ttlv_reader *r, struct key_overflow *ret)
{
	*ret = (struct key_overflow){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_opt_bytes(r, TAG_TOKEN_OVERFLOW, &ret->key);
	return ttlv_done(r);
}

void key_overflow_put_response(struct ttlv_writer *w, const struct key_overflow *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err key_overflow_get_response(struct ttlv_reader *r, struct key_overflow *ret)
{
	*ret = (struct key_overflow){ 0 };
	return wire_get_only_uid(r, &ret->uid);
}
