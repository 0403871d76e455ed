/* SPDX-License-Identifier: Apache-2.0
 *
 * Grant Add, List and Remove.  For the administrator.  A grant counts from its commit on.
 */
#include "op/page.h"
#include <string.h>

enum {
#define X(name, bit, text, manual) +bit
	ALL_PERMISSIONS = 0
#include "policy/permission.def"
	,
	ALL_CONSTRAINTS = 0
#include "policy/constraint.def"
#undef X
	,
	GRANTABLE = ALL_PERMISSIONS & ~(PERM_ADMINISTER | PERM_QUERY),
};

struct grant_call {
	struct admin_grant q;
	char id[OBJECT_ID_SIZE];
};

/* --- add --- */

kf_err op_grant_add_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return grant_add_get_request(&r, &OP_REQUEST(call, struct grant_call)->q);
}

static kf_err check_grant(const struct admin_grant *q)
{
	if (!slice_is(q->who, "*") && !op_is_client_name(q->who))
		return kf_fail(INVALID_FIELD, "who is neither a client's name nor *");
	if (!q->key.n)
		return kf_fail(INVALID_FIELD, "the grant names no key");
	if (!q->permissions || (q->permissions & ~(uint32_t)GRANTABLE))
		return kf_fail(INVALID_FIELD, "permissions that cannot be granted");
	if (q->constraints & ~(uint32_t)ALL_CONSTRAINTS)
		return kf_fail(INVALID_FIELD, "unknown constraints");
	if (q->burst && !q->rate_per_hour)
		return kf_fail(INVALID_FIELD, "a burst without a rate");
	return KF_OK;
}

static kf_err grant_add(struct op_call *call)
{
	struct grant_call *g = OP_REQUEST(call, struct grant_call);
	struct grant_row row = {
		.version = 1,
		.permissions = g->q.permissions,
		.constraints = g->q.constraints,
		.limits = { g->q.rate_per_hour, g->q.burst, g->q.concurrency },
	};

	KF_TRY(check_grant(&g->q));
	KF_TRY(slice_to_text(g->q.who, row.who, sizeof(row.who)));
	KF_TRY(slice_to_text(g->q.key, row.key, sizeof(row.key)));
	op_new_id(g->id);
	memcpy(row.id, g->id, sizeof(row.id));
	op_mutate(call, PUT_GRANT)->grant = row;
	return KF_OK;
}

enum op_next op_grant_add_start(struct op_call *call)
{
	return op_then(call, grant_add(call), OP_COMMIT);
}

void op_grant_add_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct grant_call *g = OP_REQUEST(call, struct grant_call);
	grant_id_put(w, &(struct grant_id){ .id = slice_of(g->id) });
}

/* --- remove --- */

kf_err op_grant_remove_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return grant_id_get(&r, OP_REQUEST(call, struct grant_id));
}

static const struct grant_row *find_grant(const struct rights *rights, struct slice id)
{
	for (size_t i = 0; i < rights->grants; i++)
		if (slice_is(id, rights->grant[i]->id))
			return rights->grant[i];
	return NULL;
}

static kf_err grant_remove(struct op_call *call)
{
	const struct grant_row *have = find_grant(catalog_rights(call->server->catalog),
		OP_REQUEST(call, struct grant_id)->id);

	if (!have)
		return kf_fail(NOT_FOUND, "no such grant");
	struct mutation *m = op_mutate(call, DROP_GRANT);
	m->expected_version = have->version;
	m->grant = *have;
	return KF_OK;
}

enum op_next op_grant_remove_start(struct op_call *call)
{
	return op_then(call, grant_remove(call), OP_COMMIT);
}

void op_grant_remove_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w;
}

/* --- list --- */

kf_err op_grant_list_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return page_get_request(&r, &OP_REQUEST(call, struct page_call)->q);
}

enum op_next op_grant_list_start(struct op_call *call)
{
	const struct rights *rights = catalog_rights(call->server->catalog);
	struct page_call *page = OP_REQUEST(call, struct page_call);

	for (size_t i = 0; i < rights->grants; i++) {
		const struct grant_row *g = rights->grant[i];
		if (page_has(page))
			admin_grant_add(&call->scratch,
				&(struct admin_grant){
					.id = slice_of(g->id),
					.who = slice_of(g->who),
					.key = slice_of(g->key),
					.permissions = g->permissions,
					.constraints = g->constraints,
					.rate_per_hour = g->limits.rate_per_hour,
					.burst = g->limits.burst,
					.concurrency = g->limits.concurrency,
				});
	}
	return op_then(call, buf_err(&call->scratch), OP_ANSWER);
}

void op_grant_list_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
