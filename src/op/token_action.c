/* SPDX-License-Identifier: Apache-2.0
 *
 * Token Action: what an administrator does to one token.
 */
#include "base/mem.h"
#include "op/page.h"
#include "op/token_step.h"
#include <string.h>

struct action_call {
	struct page_call
		page; /* of the answer's facts; first: page_answer() looks here */
	struct token_action q;
	char serial[TOKEN_SERIAL_SIZE], pool[POOL_NAME_SIZE];
};

static struct action_call *action_of(const struct op_call *call)
{
	return OP_REQUEST((struct op_call *)(uintptr_t)call, struct action_call);
}

kf_err op_token_action_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct action_call *a = action_of(call);
	KF_TRY(token_action_get_request(&r, &a->q));
	KF_TRY(slice_to_text(a->q.serial, a->serial, sizeof(a->serial)));
	call->token = a->serial;
	return KF_OK;
}

/* --- each of them --- */

static struct provision where(const struct op_call *call)
{
	return (struct provision){ .pools = call->server->pools,
		.pool = action_of(call)->pool };
}

static kf_err init(struct op_call *call)
{
	struct action_call *a = action_of(call);
	const struct provision p = where(call);
	char label[TOKEN_LABEL_SIZE] = "";
	CLEANUP(op_token_pin_freep) struct token_pin *pin = NULL, *so_pin = NULL;
	KF_TRY(op_token_pin(a->q.pin, &pin));
	KF_TRY(op_token_pin(a->q.so_pin, &so_pin));
	if (a->q.label.n)
		KF_TRY(slice_to_text(a->q.label, label, sizeof(label)));
	const struct token_init in = {
		.so_pin = so_pin,
		.pin = pin,
		.pin_tries = (unsigned)a->q.pin_tries,
		.shares = a->q.shares,
		.label = label[0] ? label : NULL,
	};
	if (!pin || !so_pin)
		return kf_fail(MISSING, "a PIN and an SO PIN");
	return provision_init(&p, a->serial, &in, a->q.is_forced);
}

static kf_err change_pin(struct op_call *call)
{
	const struct action_call *a = action_of(call);
	const struct provision p = where(call);
	CLEANUP(op_token_pin_freep) struct token_pin *old = NULL, *new = NULL;
	KF_TRY(op_token_pin(a->q.pin, &old));
	KF_TRY(op_token_pin(a->q.new_pin, &new));
	if (!old || !new)
		return kf_fail(MISSING, "the old PIN and the new one");
	return provision_change_pin(&p, a->serial, old, new);
}

static void share_freep(void *share) { secret_free(*(uint8_t(**)[SHARE_SIZE])share); }

static kf_err import_share(struct op_call *call)
{
	const struct action_call *a = action_of(call);
	const struct provision p = where(call);
	const char *const serial[] = { a->serial };
	struct provision_report report = { 0 };
	CLEANUP(share_freep)
	uint8_t(*share)[SHARE_SIZE] = secret_alloc(SHARE_SIZE);
	if (!share)
		return kf_fail(NOMEM, "locked memory for a share");
	if (a->q.share.n != SHARE_SIZE)
		return kf_fail(MISSING, "the share");
	memcpy(*share, a->q.share.p, SHARE_SIZE);
	const struct provision_shares in = { 1, (const uint8_t(*)[SHARE_SIZE])share };
	const struct provision_targets to = { serial, 1 };
	KF_TRY(provision_import_shares(&p, &to, &in, &report));
	return report.failed ? report.row[0].err : KF_OK;
}

static kf_err act(struct op_call *call)
{
	const struct action_call *a = action_of(call);
	const struct provision p = where(call);
	switch (a->q.kind) {
	case TOKEN_ACTION_INIT: return init(call);
	case TOKEN_ACTION_DRAIN: return pool_drain(p.pools, a->serial);
	case TOKEN_ACTION_RESUME: return pool_resume(p.pools, a->serial);
	case TOKEN_ACTION_IDENTIFY: return provision_identify(&p, a->serial);
	case TOKEN_ACTION_CHANGE_PIN: return change_pin(call);
	case TOKEN_ACTION_IMPORT_SHARE: return import_share(call);
	}
	return kf_fail(INVALID_FIELD, "unknown action");
}

/* --- all of them --- */

static kf_err act_and_tell(struct op_call *call)
{
	struct pool_token_status now;
	KF_TRY(act(call));
	KF_TRY(op_token_find(call, action_of(call)->serial, &now));
	op_token_facts(&call->scratch, &now);
	return buf_err(&call->scratch);
}

static enum op_next work(struct op_call *call)
{
	return op_then(call, act_and_tell(call), OP_ANSWER);
}

static bool changes_token(enum token_action_kind kind)
{
	return kind == TOKEN_ACTION_INIT || kind == TOKEN_ACTION_CHANGE_PIN ||
	       kind == TOKEN_ACTION_IMPORT_SHARE;
}

static const char *const names[] = {
	[TOKEN_ACTION_INIT] = "init",
	[TOKEN_ACTION_DRAIN] = "drain",
	[TOKEN_ACTION_RESUME] = "resume",
	[TOKEN_ACTION_IDENTIFY] = "identify",
	[TOKEN_ACTION_CHANGE_PIN] = "change-pin",
	[TOKEN_ACTION_IMPORT_SHARE] = "import-share",
};

static kf_err prepare(struct op_call *call)
{
	struct action_call *a = action_of(call);
	struct pool_token_status s;
	call->mechanism = names[a->q.kind]; /* for the record */
	KF_TRY(op_token_find(call, a->serial, &s));
	memcpy(a->pool, s.pool, sizeof(a->pool));
	return op_token_check(call, a->pool, changes_token(a->q.kind));
}

enum op_next op_token_action_start(struct op_call *call)
{
	kf_err e = prepare(call);
	return kf_ok(e) ? op_token_work(call, work) : op_then(call, e, OP_FAIL);
}

void op_token_action_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
