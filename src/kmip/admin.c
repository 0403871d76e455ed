/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/admin.h"
#include "kmip/wire.h"

/* These operations are ours as a whole, so our tags may stand in their payloads. */
static void put_begin(struct ttlv_writer *w) { w->allows_vendor = true; }
static void put_end(struct ttlv_writer *w) { w->allows_vendor = false; }

/* --- clients --- */

static void put_client(struct ttlv_writer *w, const struct admin_client *c)
{
	ttlv_put_text(w, TAG_CLIENT_NAME, c->name);
	ttlv_put_bytes(w, TAG_CERTIFICATE_FINGERPRINT, c->fingerprint);
	ttlv_put_date(w, TAG_NOT_AFTER, c->not_after);
}

static void get_client(struct ttlv_reader *r, struct admin_client *ret)
{
	ttlv_get_text(r, TAG_CLIENT_NAME, &ret->name);
	ttlv_get_bytes(r, TAG_CERTIFICATE_FINGERPRINT, &ret->fingerprint);
	ttlv_get_date(r, TAG_NOT_AFTER, &ret->not_after);
	if (ttlv_ok(r) && ret->fingerprint.n != 32)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "fingerprint is not SHA-256"));
}

void client_add_put_request(struct ttlv_writer *w, const struct client_add_request *q)
{
	struct admin_client c = {
		.name = q->name,
		.fingerprint = q->fingerprint,
		.not_after = q->not_after,
	};
	put_begin(w);
	put_client(w, &c);
	put_end(w);
}

kf_err client_add_get_request(struct ttlv_reader *r, struct client_add_request *ret)
{
	struct admin_client c = { 0 };
	get_client(r, &c);
	*ret = (struct client_add_request){ c.name, c.fingerprint, c.not_after };
	return ttlv_done(r);
}

void client_revoke_put_request(
	struct ttlv_writer *w, const struct client_revoke_request *q)
{
	put_begin(w);
	ttlv_put_text(w, TAG_CLIENT_NAME, q->name);
	put_end(w);
}

kf_err client_revoke_get_request(struct ttlv_reader *r, struct client_revoke_request *ret)
{
	*ret = (struct client_revoke_request){ 0 };
	ttlv_get_text(r, TAG_CLIENT_NAME, &ret->name);
	return ttlv_done(r);
}

void admin_client_add(struct buf *items, const struct admin_client *c)
{
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_CLIENT);
	put_client(&w, c);
	ttlv_put_bool(&w, TAG_IS_REVOKED, c->is_revoked);
	ttlv_end(&w);
}

bool admin_client_next(struct ttlv_reader *r, struct admin_client *ret)
{
	*ret = (struct admin_client){ 0 };
	if (!ttlv_open_opt(r, TAG_CLIENT))
		return false;
	get_client(r, ret);
	ttlv_get_bool(r, TAG_IS_REVOKED, &ret->is_revoked);
	ttlv_close(r);
	return ttlv_ok(r);
}

/* --- lists --- */

void page_put_request(struct ttlv_writer *w, const struct page *q)
{
	put_begin(w);
	ttlv_put_int(w, TAG_PAGE_OFFSET, q->offset);
	ttlv_put_int(w, TAG_MAXIMUM_ITEMS, q->maximum);
	put_end(w);
}

kf_err page_get_request(struct ttlv_reader *r, struct page *ret)
{
	*ret = (struct page){ 0 };
	ttlv_get_int(r, TAG_PAGE_OFFSET, &ret->offset);
	ttlv_get_int(r, TAG_MAXIMUM_ITEMS, &ret->maximum);
	if (ret->offset < 0 || ret->maximum < 0)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "page is negative"));
	return ttlv_done(r);
}

void list_put_response(struct ttlv_writer *w, const struct list_response *a)
{
	put_begin(w);
	ttlv_put_int(w, TAG_PAGE_TOTAL, a->total);
	ttlv_put_items(w, a->items);
	put_end(w);
}

kf_err list_get_response(struct ttlv_reader *r, struct list_response *ret)
{
	*ret = (struct list_response){ 0 };
	struct ttlv_item it;
	ttlv_get_int(r, TAG_PAGE_TOTAL, &ret->total);
	ret->items = wire_rest(r);
	while (ttlv_next(r, &it))
		;
	return ttlv_done(r);
}

/* --- grants --- */

/* A server that knows no limits understands a grant without them. */
static void put_limit(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t limit)
{
	if (limit)
		ttlv_put_int(w, tag, (int32_t)limit);
}

static void get_limit(struct ttlv_reader *r, enum ttlv_tag tag, uint32_t *ret)
{
	int32_t limit = 0;
	if (ttlv_opt_int(r, tag, &limit) && limit < 0)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "limit is negative"));
	*ret = (uint32_t)limit;
}

static void put_grant(struct ttlv_writer *w, const struct admin_grant *g)
{
	wire_put_text(w, TAG_GRANT_ID, g->id);
	ttlv_put_text(w, TAG_GRANT_SUBJECT, g->who);
	ttlv_put_text(w, TAG_GRANT_KEY, g->key);
	ttlv_put_int(w, TAG_GRANT_PERMISSIONS, (int32_t)g->permissions);
	ttlv_put_int(w, TAG_GRANT_CONSTRAINTS, (int32_t)g->constraints);
	put_limit(w, TAG_GRANT_RATE, g->rate_per_hour);
	put_limit(w, TAG_GRANT_BURST, g->burst);
	put_limit(w, TAG_GRANT_CONCURRENCY, g->concurrency);
}

static void get_grant(struct ttlv_reader *r, struct admin_grant *ret)
{
	int32_t permissions = 0, constraints = 0;
	*ret = (struct admin_grant){ 0 };
	ttlv_opt_text(r, TAG_GRANT_ID, &ret->id);
	ttlv_get_text(r, TAG_GRANT_SUBJECT, &ret->who);
	ttlv_get_text(r, TAG_GRANT_KEY, &ret->key);
	ttlv_get_int(r, TAG_GRANT_PERMISSIONS, &permissions);
	ttlv_get_int(r, TAG_GRANT_CONSTRAINTS, &constraints);
	ret->permissions = (uint32_t)permissions;
	ret->constraints = (uint32_t)constraints;
	get_limit(r, TAG_GRANT_RATE, &ret->rate_per_hour);
	get_limit(r, TAG_GRANT_BURST, &ret->burst);
	get_limit(r, TAG_GRANT_CONCURRENCY, &ret->concurrency);
}

void grant_add_put_request(struct ttlv_writer *w, const struct admin_grant *q)
{
	put_begin(w);
	put_grant(w, q);
	put_end(w);
}

kf_err grant_add_get_request(struct ttlv_reader *r, struct admin_grant *ret)
{
	get_grant(r, ret);
	return ttlv_done(r);
}

void admin_grant_add(struct buf *items, const struct admin_grant *g)
{
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_GRANT);
	put_grant(&w, g);
	ttlv_end(&w);
}

bool admin_grant_next(struct ttlv_reader *r, struct admin_grant *ret)
{
	*ret = (struct admin_grant){ 0 };
	if (!ttlv_open_opt(r, TAG_GRANT))
		return false;
	get_grant(r, ret);
	ttlv_close(r);
	return ttlv_ok(r);
}

void grant_id_put(struct ttlv_writer *w, const struct grant_id *g)
{
	put_begin(w);
	ttlv_put_text(w, TAG_GRANT_ID, g->id);
	put_end(w);
}

kf_err grant_id_get(struct ttlv_reader *r, struct grant_id *ret)
{
	*ret = (struct grant_id){ 0 };
	ttlv_get_text(r, TAG_GRANT_ID, &ret->id);
	return ttlv_done(r);
}

kf_err empty_get(struct ttlv_reader *r) { return ttlv_done(r); }

/* --- status --- */

void status_pair_add(struct buf *items, const struct status_pair *p)
{
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_STATUS_ITEM);
	ttlv_put_text(&w, TAG_STATUS_NAME, p->name);
	ttlv_put_text(&w, TAG_STATUS_VALUE, p->value);
	ttlv_end(&w);
}

bool status_pair_next(struct ttlv_reader *r, struct status_pair *ret)
{
	*ret = (struct status_pair){ 0 };
	if (!ttlv_open_opt(r, TAG_STATUS_ITEM))
		return false;
	ttlv_get_text(r, TAG_STATUS_NAME, &ret->name);
	ttlv_get_text(r, TAG_STATUS_VALUE, &ret->value);
	ttlv_close(r);
	return ttlv_ok(r);
}

/* --- policy --- */

void policy_test_put_request(struct ttlv_writer *w, const struct policy_test_request *q)
{
	put_begin(w);
	ttlv_put_text(w, TAG_CLIENT_NAME, q->who);
	ttlv_put_text(w, TAG_GRANT_KEY, q->key);
	ttlv_put_int(w, TAG_GRANT_PERMISSIONS, (int32_t)q->permission);
	put_end(w);
}

kf_err policy_test_get_request(struct ttlv_reader *r, struct policy_test_request *ret)
{
	int32_t permission = 0;
	*ret = (struct policy_test_request){ 0 };
	ttlv_get_text(r, TAG_CLIENT_NAME, &ret->who);
	ttlv_get_text(r, TAG_GRANT_KEY, &ret->key);
	ttlv_get_int(r, TAG_GRANT_PERMISSIONS, &permission);
	ret->permission = (uint32_t)permission;
	return ttlv_done(r);
}

/* --- backup --- */

void backup_put_request(struct ttlv_writer *w, const struct backup_request *q)
{
	put_begin(w);
	ttlv_put_long(w, TAG_BACKUP_OFFSET, q->offset);
	ttlv_put_int(w, TAG_MAXIMUM_ITEMS, q->maximum);
	put_end(w);
}

kf_err backup_get_request(struct ttlv_reader *r, struct backup_request *ret)
{
	*ret = (struct backup_request){ 0 };
	ttlv_get_long(r, TAG_BACKUP_OFFSET, &ret->offset);
	ttlv_get_int(r, TAG_MAXIMUM_ITEMS, &ret->maximum);
	if (ret->offset < 0 || ret->maximum < 0)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "chunk is negative"));
	return ttlv_done(r);
}

void backup_put_response(struct ttlv_writer *w, const struct backup_response *a)
{
	put_begin(w);
	ttlv_put_long(w, TAG_BACKUP_OFFSET, a->offset);
	ttlv_put_long(w, TAG_BACKUP_SIZE, a->size);
	ttlv_put_bytes(w, TAG_BACKUP_CHUNK, a->chunk);
	put_end(w);
}

kf_err backup_get_response(struct ttlv_reader *r, struct backup_response *ret)
{
	*ret = (struct backup_response){ 0 };
	ttlv_get_long(r, TAG_BACKUP_OFFSET, &ret->offset);
	ttlv_get_long(r, TAG_BACKUP_SIZE, &ret->size);
	ttlv_get_bytes(r, TAG_BACKUP_CHUNK, &ret->chunk);
	return ttlv_done(r);
}
