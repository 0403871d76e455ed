/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens_server_shares: DKEK shares for the tokens of a key server, and what is said of each of them.
 */
#include "base/mem.h"
#include "cli/call.h"
#include "cli/shares.h"
#include "cli/tokens_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kf_err server_act(struct tokens *t, const struct token_action *q)
{
	autopayload p;
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	payload_init(&p);
	token_action_put_request(&p.w, q);
	return cli_call_slow(t->cli, KMIP_OPERATION_TOKEN_ACTION, &p, &answer);
}

/* ---- rows ---- */

struct provision_row *server_add_row(struct provision_report *r, const char *serial)
{
	if (r->n == POOL_TOKENS_MAX)
		return NULL;
	struct provision_row *row = &r->row[r->n++];
	*row = (struct provision_row){ 0 };
	snprintf(row->serial, sizeof(row->serial), "%s", serial);
	return row;
}

void server_decide(struct provision_row *row, kf_err e, const char *why)
{
	row->outcome = kf_ok(e) ? PROVISION_DONE : PROVISION_FAILED;
	row->err = e;
	if (why != row->why)
		snprintf(row->why, sizeof(row->why), "%s",
			why        ? why
			: kf_ok(e) ? ""
				   : e.site->text);
}

/* ---- shares ---- */

static kf_err check_value_of(const struct provision_shares *in, uint8_t *ret)
{
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	KF_TRY(dkek_new(&d));
	for (size_t i = 0; i < in->n; i++)
		KF_TRY(dkek_add(d, in->share[i]));
	dkek_check_value(d, ret);
	return KF_OK;
}

static kf_err give_share(
	struct tokens *t, const struct token_line *l, const uint8_t share[SHARE_SIZE])
{
	return server_act(t, &(struct token_action){ .kind = TOKEN_ACTION_IMPORT_SHARE,
				     .serial = slice_of(l->serial),
				     .share = { share, SHARE_SIZE } });
}

/* Tokens that know no shares take their sum; they say themselves if they have another. */
static kf_err give_sum(
	struct tokens *t, const struct token_line *l, const struct provision_shares *in)
{
	CLEANUP(shares_freep) struct shares *sum = secret_alloc(sizeof(*sum));
	if (!sum)
		return kf_fail(NOMEM, "no locked memory for a wrapping key");
	for (size_t i = 0; i < in->n; i++)
		for (size_t k = 0; k < SHARE_SIZE; k++)
			sum->share[0][k] ^= in->share[i][k];
	return give_share(t, l, sum->share[0]);
}

/* A share that is one too many would be taken and spoil the DKEK: counted before. */
static kf_err give_shares(
	struct tokens *t, const struct token_line *l, const struct provision_shares *in)
{
	if (l->shares == 0)
		return give_sum(t, l, in);
	if (in->n > l->shares_missing)
		return kf_fail(CONFLICT, "more shares than the token still waits for: it "
					 "has some of them, or was initialised for "
					 "fewer");
	for (size_t i = 0; i < in->n; i++)
		KF_TRY(give_share(t, l, in->share[i]));
	return KF_OK;
}

/* What it has become: a share that was given before may be none of these. */
static kf_err check_whole(struct tokens *t, const struct token_line *was,
	const struct provision_shares *in, const uint8_t *check_value,
	struct provision_row *row)
{
	struct token_line now;
	if (was->shares == 0)
		return KF_OK;
	KF_TRY(server_line(t, was->serial, &now));
	if (now.shares_missing)
		snprintf(row->why, sizeof(row->why), "%u of %u shares are still missing",
			now.shares_missing, now.shares);
	if (in->n < now.shares || !now.has_kcv ||
		!memcmp(now.kcv, check_value, TOKEN_KCV_SIZE))
		return KF_OK;
	return kf_fail(CONFLICT,
		"the token's DKEK is not that of its shares: a share was "
		"imported before that is none of these");
}

static void import_into(struct tokens *t, const struct token_line *l,
	const struct provision_shares *in, const uint8_t *check_value,
	struct provision_row *row)
{
	bool is_whole = l->shares && l->has_kcv && !l->shares_missing;
	bool is_same = is_whole && !memcmp(l->kcv, check_value, TOKEN_KCV_SIZE);
	if (!is_whole) {
		kf_err e = give_shares(t, l, in);
		if (kf_ok(e))
			e = check_whole(t, l, in, check_value, row);
		server_decide(row, e, kf_ok(e) && row->why[0] ? row->why : NULL);
		return;
	}
	server_decide(row,
		is_same ? KF_OK
			: kf_fail(CONFLICT, "the token has another DKEK; only "
					    "initialising it anew gives it this one"),
		is_same ? "has this DKEK already" : NULL);
	if (is_same)
		row->outcome = PROVISION_WAS_SO;
}

void server_count(struct provision_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->row[i].outcome == PROVISION_FAILED)
			r->failed++;
		else
			r->done++;
}

/* Of --all those that can take a share: blank ones and those that are away are not meant. */
static bool is_meant(const struct token_names *to, const struct token_line *l)
{
	static const enum pool_token_state away[] = { POOL_TOKEN_GONE, POOL_TOKEN_TAKEN,
		POOL_TOKEN_AMBIGUOUS };
	bool is_here = l->is_initialised;
	for (size_t i = 0; i < sizeof(away) / sizeof(*away); i++)
		is_here &= strcmp(l->state, pool_token_state_text(away[i])) != 0;
	return to->n || is_here;
}

/* --all of several pools: each has a DKEK of its own. */
static kf_err check_one_pool(const struct tokens *t, const struct token_names *to,
	const struct token_line *l, size_t n)
{
	for (size_t i = 1; to->n == 0 && i < n; i++)
		if (strcmp(l[i].pool, l[0].pool) != 0) {
			cli_note(t->cli, "--all: of which pool?  --pool NAME");
			return kf_fail(INVALID_FIELD, "there are several pools");
		}
	return KF_OK;
}

kf_err server_import_shares(struct tokens *t, const struct token_names *to,
	const struct provision_shares *shares, struct provision_report *ret)
{
	CLEANUP(mem_freep) struct token_line *l = calloc(LINES_MAX, sizeof(*l));
	uint8_t check_value[DKEK_CHECK_SIZE];
	size_t n = 0;
	if (!l)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(check_value_of(shares, check_value));
	KF_TRY(server_lines(t, to, l, &n));
	KF_TRY(check_one_pool(t, to, l, n));
	for (size_t i = 0; i < n; i++) {
		if (!is_meant(to, &l[i]))
			continue;
		struct provision_row *row = server_add_row(ret, l[i].serial);
		if (!row)
			return kf_fail(TOO_BIG, "more tokens than a pool can have");
		import_into(t, &l[i], shares, check_value, row);
	}
	server_count(ret);
	return KF_OK;
}
