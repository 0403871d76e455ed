/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet grant: who may do what with which keys.
 */
#include "cli/call.h"
#include "kmip/admin.h"
#include "policy/policy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_selector(const char *key)
{
	return !strcmp(key, "*") || !strncmp(key, "name:", 5) ||
	       !strncmp(key, "group:", 6);
}

/* A plain name means the key that has it now: the grant is of its id, so that nobody gains rights by
 * giving another key the same name. */
static kf_err resolve_key(struct cli *c, const char *key, char *ret, size_t size)
{
	if (is_selector(key))
		return slice_to_text(slice_of(key), ret, size);
	struct key_ids ids;
	KF_TRY(key_find(c, key, &ids));
	return slice_to_text(slice_of(ids.id), ret, size);
}

static kf_err parse_permissions(struct cli *c, struct admin_grant *ret)
{
	kf_err e = permissions_parse(slice_of(c->argv[2]), &ret->permissions);
	if (!kf_ok(e)) {
		autobuf all = buf_new(4096);
		permissions_print(UINT32_MAX & ~(uint32_t)PERM_ADMINISTER, &all);
		cli_note(c, "%s: the operations are %.*s", c->argv[2], (int)all.n,
			(const char *)all.p);
	}
	return e;
}

/* What narrows a grant, as it stands on the command line; a flag for each constraint. */
struct narrowing {
	const char *rate, *burst, *concurrency;
	bool tls_only, pss_only, no_sha1, is_forced;
};

static kf_err parse_limit(
	struct cli *c, const char *option, const char *text, uint32_t *ret)
{
	char *end = NULL;
	if (!text)
		return KF_OK;
	long n = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || n < 1 || n > INT32_MAX) {
		cli_note(c, "--%s %s: not a number from 1 on", option, text);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*ret = (uint32_t)n;
	return KF_OK;
}

static kf_err parse_narrowing(
	struct cli *c, const struct narrowing *n, struct admin_grant *ret)
{
	ret->constraints = (n->tls_only ? CONSTRAINT_TLS_ONLY : 0u) |
			   (n->pss_only ? CONSTRAINT_PSS_ONLY : 0u) |
			   (n->no_sha1 ? CONSTRAINT_NO_SHA1 : 0u);
	kf_err e = n->rate ? rate_parse(slice_of(n->rate), &ret->rate_per_hour) : KF_OK;
	if (!kf_ok(e)) {
		cli_note(c, "--rate %s: not a rate like 100/s, 5000/m or 10/h", n->rate);
		return e;
	}
	if (n->burst && !n->rate) {
		cli_note(c, "--burst goes with --rate");
		return kf_fail(INVALID_FIELD, "see --help");
	}
	KF_TRY(parse_limit(c, "burst", n->burst, &ret->burst));
	return parse_limit(c, "concurrency", n->concurrency, &ret->concurrency);
}

static kf_err take_options(struct cli *c, struct narrowing *ret)
{
	const struct cli_option options[] = {
		{ "tls-only", NULL, &ret->tls_only },
		{ "pss-only", NULL, &ret->pss_only },
		{ "no-sha1", NULL, &ret->no_sha1 },
		{ "force", NULL, &ret->is_forced },
		{ "rate", &ret->rate, NULL },
		{ "burst", &ret->burst, NULL },
		{ "concurrency", &ret->concurrency, NULL },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	return cli_operands(c, 3, 3);
}

/* A misspelt name would be a grant for nobody, found out much later. */
static kf_err check_client(struct cli *c, const char *name)
{
	bool is_known = !strcmp(name, "*");
	struct list_pages pages = { .operation = KMIP_OPERATION_CLIENT_LIST };
	kf_err e = KF_OK;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_client row;
		while (admin_client_next(&r, &row))
			is_known |= slice_is(row.name, name) && !row.is_revoked;
	}
	KF_TRY(e);
	if (is_known)
		return KF_OK;
	cli_note(c,
		"no client is called %s, or it is revoked; `keyfleet client list` "
		"shows them, --force grants all the same",
		name);
	return kf_fail(NOT_FOUND, "no such client");
}

static kf_err run_add(struct cli *c)
{
	struct narrowing n = { 0 };
	KF_TRY(take_options(c, &n));
	struct admin_grant q = { .who = slice_of(c->argv[0]) };
	KF_TRY(parse_permissions(c, &q));
	KF_TRY(parse_narrowing(c, &n, &q));
	if (!n.is_forced)
		KF_TRY(check_client(c, c->argv[0]));
	char key[KEY_ID_TEXT];
	KF_TRY(resolve_key(c, c->argv[1], key, sizeof(key)));
	q.key = slice_of(key);

	autopayload p;
	payload_init(&p);
	grant_add_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_GRANT_ADD, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct grant_id id = { 0 };
	KF_TRY(grant_id_get(&r, &id));
	printf("%.*s\n", (int)id.id.n, (const char *)id.id.p);
	return KF_OK;
}

static void add_row(struct table *t, const struct admin_grant *g)
{
	char id[KEY_ID_TEXT], who[KEY_ID_TEXT], key[KEY_ID_TEXT];
	autobuf operations = buf_new(4096), constraints = buf_new(4096),
		limits = buf_new(256);
	permissions_print(g->permissions, &operations);
	constraints_print(g->constraints, &constraints);
	limits_print(&(struct grant_limits){ g->rate_per_hour, g->burst, g->concurrency },
		&limits);
	buf_add_u8(&operations, 0);
	buf_add_u8(&constraints, 0);
	buf_add_u8(&limits, 0);
	if (!kf_ok(slice_to_text(g->id, id, sizeof(id))) ||
		!kf_ok(slice_to_text(g->who, who, sizeof(who))) ||
		!kf_ok(slice_to_text(g->key, key, sizeof(key))) ||
		!kf_ok(buf_err(&operations)) || !kf_ok(buf_err(&constraints)) ||
		!kf_ok(buf_err(&limits)))
		return;
	const char *cells[] = { id, who, key, (const char *)operations.p,
		(const char *)constraints.p, (const char *)limits.p };
	table_row(t, cells);
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "ID", "WHO", "KEY", "OPERATIONS",
		"CONSTRAINTS", "LIMITS" };
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 0));
	struct table *t = table_new(c, titles, 6);
	struct list_pages pages = { .operation = KMIP_OPERATION_GRANT_LIST };
	kf_err e;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_grant g;
		while (admin_grant_next(&r, &g))
			add_row(t, &g);
	}
	return table_end(t, e);
}

static kf_err run_remove(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	autopayload p;
	payload_init(&p);
	const struct grant_id id = { slice_of(c->argv[0]) };
	grant_id_put(&p.w, &id);
	return cli_tell(c, KMIP_OPERATION_GRANT_REMOVE, &p);
}

const struct command command_grant_add = {
	.words = "grant add",
	.args = "WHO KEY OPERATION[,OPERATION...] [--tls-only] [--pss-only] [--no-sha1] "
		"[--rate "
		"N/s] [--burst N] [--concurrency N] [--force]",
	.summary = "allow a client something; prints the grant's id",
	.help = "  WHO        a client's name, or '*' for every client\n"
		"  KEY        a key's name or id (the grant is of the id), name:NAME, "
		"group:GROUP, or '*'\n"
		"  OPERATION  sign, verify, decrypt, decrypt-tls, csr, get, "
		"get-attributes, locate,\n"
		"             create, register, activate, revoke, destroy, encrypt\n"
		"  --tls-only signatures for TLS servers only: nothing but a TLS 1.3 "
		"server\n"
		"             CertificateVerify or a TLS 1.2 ServerKeyExchange is "
		"signed\n"
		"  --pss-only RSA signatures with PSS padding only; other keys are as "
		"ever\n"
		"  --no-sha1  no signatures with SHA-1\n"
		"  --rate N/s, N/m, N/h  operations that may begin in a second, minute, "
		"hour, on each\n"
		"             key server and for each client; more are refused\n"
		"  --burst N  how many of them may come at once; without it what a "
		"second allows\n"
		"  --concurrency N  operations under way at the same time, on each key "
		"server\n"
		"  --force    also for a client that is not (or not any more) known\n",
	.run = run_add,
};
const struct command command_grant_list = { .words = "grant list",
	.args = "",
	.summary = "list what is allowed",
	.run = run_list };
const struct command command_grant_remove = { .words = "grant remove",
	.args = "ID",
	.summary = "take a grant back, at once and everywhere",
	.run = run_remove };
