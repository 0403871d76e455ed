/* SPDX-License-Identifier: Apache-2.0
 *
 * Client Add, List and Revoke.  For the administrator.
 */
#include "kmip/admin.h"
#include "op/page.h"
#include "op/step.h"
#include <string.h>

enum {
	CERTIFICATES_MAX = sizeof(((struct client_row *)0)->certificate) /
			   sizeof(((struct client_row *)0)->certificate[0])
};

/* --- add --- */

kf_err op_client_add_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return client_add_get_request(&r, OP_REQUEST(call, struct client_add_request));
}

/* A name stands in log lines, grants and on command lines: letters, digits and . _ - @ only, and it
 * does not begin with a dash.  The administrator's would make its bearer the owner of all that
 * administrators made. */
bool op_is_client_name(struct slice name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";

	if (!name.n || name.n >= CLIENT_NAME_SIZE || name.p[0] == '-' ||
		slice_is(name, ADMIN_NAME))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!name.p[i] || !strchr(allowed, name.p[i]))
			return false;
	return true;
}

static void drop_certificate(struct client_row *row, size_t at)
{
	memmove(&row->certificate[at], &row->certificate[at + 1],
		(row->certificates - at - 1) * sizeof(row->certificate[0]));
	row->certificates--;
}

static void drop_expired(struct client_row *row, int64_t now_s)
{
	for (size_t i = row->certificates; i-- > 0;)
		if (row->certificate[i].not_after < now_s)
			drop_certificate(row, i);
}

static kf_err add_certificate(
	struct op_call *call, struct client_row *row, const struct client_add_request *q)
{
	drop_expired(row, call->now_s);
	if (row->certificates == CERTIFICATES_MAX)
		return kf_fail(LIMIT, "the client has too many certificates");
	struct client_certificate *c = &row->certificate[row->certificates++];
	memcpy(c->fingerprint, q->fingerprint.p, sizeof(c->fingerprint));
	c->not_after = q->not_after;
	return KF_OK;
}

/* The row as it is, or a new one.  Whoever was revoked begins anew, without old certificates. */
static kf_err row_of(
	const struct rights *rights, struct slice name, struct client_row *ret)
{
	KF_TRY(slice_to_text(name, ret->name, sizeof(ret->name)));
	const struct client_row *have = rights_client(rights, ret->name);
	if (!have)
		return KF_OK;
	*ret = *have;
	if (ret->is_revoked)
		ret->certificates = 0;
	ret->is_revoked = false;
	return KF_OK;
}

static void put_row(struct op_call *call, const struct client_row *row)
{
	struct mutation *m = op_mutate(call, PUT_CLIENT);
	m->expected_version = row->version;
	m->client = *row;
	m->client.version = row->version + 1;
}

static kf_err client_add(struct op_call *call)
{
	const struct client_add_request *q = OP_REQUEST(call, struct client_add_request);
	const struct rights *rights = catalog_rights(call->server->catalog);
	struct client_row row = { 0 };

	if (!op_is_client_name(q->name))
		return kf_fail(INVALID_FIELD, "this cannot be a client's name");
	if (q->fingerprint.n != sizeof(row.certificate[0].fingerprint))
		return kf_fail(INVALID_FIELD, "a fingerprint has 32 bytes");
	if (rights_certificate(rights, q->fingerprint.p))
		return kf_fail(EXISTS, "the certificate is enrolled already");
	KF_TRY(row_of(rights, q->name, &row));
	KF_TRY(add_certificate(call, &row, q));
	put_row(call, &row);
	return KF_OK;
}

enum op_next op_client_add_start(struct op_call *call)
{
	return op_then(call, client_add(call), OP_COMMIT);
}

void op_client_add_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w;
}

/* --- revoke --- */

kf_err op_client_revoke_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return client_revoke_get_request(
		&r, OP_REQUEST(call, struct client_revoke_request));
}

static kf_err client_revoke(struct op_call *call)
{
	const struct client_revoke_request *q =
		OP_REQUEST(call, struct client_revoke_request);
	const struct rights *rights = catalog_rights(call->server->catalog);
	char name[CLIENT_NAME_SIZE];

	KF_TRY(slice_to_text(q->name, name, sizeof(name)));
	const struct client_row *have = rights_client(rights, name);
	if (!have)
		return kf_fail(NOT_FOUND, "no such client");
	if (have->is_revoked)
		return kf_fail(STATE, "the client is revoked already");
	struct client_row row = *have;
	row.is_revoked = true;
	put_row(call, &row);
	return KF_OK;
}

enum op_next op_client_revoke_start(struct op_call *call)
{
	return op_then(call, client_revoke(call), OP_COMMIT);
}

void op_client_revoke_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w;
}

/* --- list: an item for each certificate --- */

kf_err op_client_list_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return page_get_request(&r, &OP_REQUEST(call, struct page_call)->q);
}

static void list_client(
	struct op_call *call, struct page_call *page, const struct client_row *row)
{
	struct admin_client item = {
		.name = slice_of(row->name),
		.is_revoked = row->is_revoked,
	};
	for (size_t i = 0; i < row->certificates; i++) {
		const struct client_certificate *c = &row->certificate[i];
		item.fingerprint =
			(struct slice){ c->fingerprint, sizeof(c->fingerprint) };
		item.not_after = c->not_after;
		if (page_has(page))
			admin_client_add(&call->scratch, &item);
	}
}

enum op_next op_client_list_start(struct op_call *call)
{
	const struct rights *rights = catalog_rights(call->server->catalog);
	struct page_call *page = OP_REQUEST(call, struct page_call);

	for (size_t i = 0; i < rights->clients; i++)
		list_client(call, page, rights->client[i]);
	return op_then(call, buf_err(&call->scratch), OP_ANSWER);
}

void op_client_list_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
