/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet dkek create, import, status.
 */
#include "base/mem.h"
#include "cli/shares.h"
#include "cli/tokens.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- create ---- */

/* "3/5" */
static kf_err read_threshold(
	const struct cli *c, const char *text, unsigned *threshold, unsigned *total)
{
	char end;
	if (!text || (sscanf(text, "%u/%u%c", threshold, total, &end) == 2 &&
			     *threshold >= PARTS_MIN && *threshold <= *total &&
			     *total <= PARTS_MAX))
		return KF_OK;
	cli_note(c, "--split %s: M/N, any M of N parts; 2 to 9", text);
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err run_create(struct cli *c)
{
	struct shares_options o = { 0 };
	const char *split = NULL;
	unsigned threshold = 0, total = 0;
	const struct cli_option options[] = {
		{ "password-file", .list = &o.password_files, .takes_one = true },
		{ "iterations", &o.iterations, NULL }, { "split", &split, NULL }
	};
	KF_TRY(cli_options(c, options, 3));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(read_threshold(c, split, &threshold, &total));
	KF_TRY(tokens_secrets());
	KF_TRY(shares_make(c, &o, c->argv[0], threshold, total));
	if (c->is_quiet)
		return KF_OK;
	cli_note(c,
		"%s holds a new DKEK share.  Without it and its password keys cannot be "
		"restored: keep copies in safe places",
		c->argv[0]);
	return KF_OK;
}

/* ---- import ---- */

static void note_check_value(const struct cli *c, const struct shares *s)
{
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	uint8_t v[DKEK_CHECK_SIZE];
	char hex[2 * DKEK_CHECK_SIZE + 1];
	if (!kf_ok(shares_dkek(s, &d)))
		return;
	dkek_check_value(d, v);
	for (size_t i = 0; i < sizeof(v); i++)
		snprintf(hex + 2 * i, 3, "%02X", v[i]);
	if (!c->is_quiet)
		cli_note(c, "key check value of %s: %s",
			s->n == 1 ? "this share alone" : "these shares", hex);
}

static kf_err import(struct cli *c, struct tokens *t, const struct cli_list *to,
	const struct shares *s)
{
	CLEANUP(mem_freep) struct provision_report *r = calloc(1, sizeof(*r));
	const struct provision_shares shares = { s->n, s->share };
	if (!r)
		return kf_fail(NOMEM, "no memory for a report");
	note_check_value(c, s);
	*c->has_told = false;
	KF_TRY(tokens_error(c, "dkek import",
		t->ops->import_shares(
			t, &(struct token_names){ to->item, to->n }, &shares, r)));
	return tokens_print_report(c, r, NULL);
}

static kf_err run_import(struct cli *c)
{
	struct tokens_options o = { 0 };
	struct shares_options so = { 0 };
	struct cli_list to = { 0 };
	bool all = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o), SHARES_OPTIONS(so),
		{ "to", .list = &to }, { "all", NULL, &all } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(shares_freep) struct shares *s = NULL;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, SHARES_MAX));
	if (all == (to.n > 0))
		return kf_fail(INVALID_FIELD, "either --to TOKEN... or --all");
	for (int i = 0; i < c->argc; i++)
		so.files.item[so.files.n++] = c->argv[i];
	bool logs_in =
		o.is_local && tokens_are_pkcs11(&o); /* cards take shares without */
	KF_TRY(tokens_open(c, &o, logs_in, &t));
	KF_TRY(shares_read(c, &so, &s));
	return import(c, t, &to, s);
}

/* ---- status ---- */

static const char *kind_text(const struct token_line *l)
{
	switch (l->wrapping) {
	case WRAPPING_DKEK: return l->shares_missing ? "waits for shares" : "whole";
	case WRAPPING_AES: return "AES wrapping key";
	case WRAPPING_NONE: return "none";
	}
	return "?";
}

struct drifting {
	struct table *table;
	size_t n;
};

static void see_drift(void *arg, const struct provision_drift_row *row)
{
	struct drifting *d = arg;
	char key[TOKEN_LABEL_SIZE + 24] = "";
	if (row->label[0])
		snprintf(key, sizeof(key), "%s", row->label);
	d->n += row->kind != DRIFT_BLANK; /* some modules always have one more */
	table_row(d->table, (const char *const[]){ row->serial, key, row->text });
}

static kf_err print_drift(struct cli *c, struct tokens *t)
{
	static const char *const titles[] = { "TOKEN", "KEY", "DRIFT" };
	struct drifting d = { table_new(c, titles, 3), 0 };
	const struct provision_drift in = { .row = see_drift, .arg = &d };
	KF_TRY(table_end(d.table, t->ops->drift(t, &in)));
	if (d.n)
		c->exit_status = EXIT_FAILURE;
	return KF_OK;
}

static kf_err print_status(struct cli *c, struct tokens *t)
{
	static const char *const titles[] = { "TOKEN", "LABEL", "DKEK", "SHARES",
		"MISSING", "CHECK VALUE" };
	enum { MAX = POOL_TOKENS_MAX * POOLS_MAX };
	CLEANUP(mem_freep) struct token_line *l = calloc(MAX, sizeof(*l));
	size_t n = 0;
	if (!l)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(t->ops->list(t, l, MAX, &n));
	struct table *table = table_new(c, titles, 6);
	for (size_t i = 0; i < n; i++) {
		char shares[16], missing[16], kcv[64];
		snprintf(shares, sizeof(shares), "%u", l[i].shares);
		snprintf(missing, sizeof(missing), "%u", l[i].shares_missing);
		token_line_dkek(&l[i], kcv, sizeof(kcv));
		table_row(table,
			(const char *const[]){ l[i].serial, l[i].label, kind_text(&l[i]),
				shares, missing, l[i].shares_missing ? "-" : kcv });
	}
	return table_end(table, KF_OK);
}

static kf_err run_status(struct cli *c)
{
	struct tokens_options o = { 0 };
	bool drift = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o),
		{ "drift", NULL, &drift } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 0, 0));
	KF_TRY(tokens_open(c, &o, drift && o.is_local, &t));
	return drift ? print_drift(c, t) : print_status(c, t);
}

const struct command command_dkek_create = {
	.words = "dkek create",
	.args = "FILE [--password-file FILE | --split M/N] [--iterations N]",
	.summary = "make a DKEK share, encrypted under a password, in a new file",
	.help = "  --password-file FILE  mode 0600; else it is asked for\n"
		"  --split M/N           a random password in N parts, any M of which "
		"open the "
		"share:\n"
		"                        they are printed, for M people and more\n"
		"  --iterations N        how slow guessing passwords shall be "
		"[10000000]\n"
		"\nNeeds no token.  sc-hsm-tool reads the file, and this program reads "
		"sc-hsm-tool's.\n",
	.run = run_create,
};
const struct command command_dkek_import = {
	.words = "dkek import",
	.args = "FILE... --to TOKEN...|--all [--local]",
	.summary = "give DKEK shares to tokens; every password is worked out once",
	.help = "  --to TOKEN...       serial numbers or labels\n"
		"  --all               every token of the pool\n" SHARES_HELP TOKENS_HELP,
	.run = run_import,
};
const struct command command_dkek_status = {
	.words = "dkek status",
	.args = "[--drift] [--local]",
	.summary = "list key check values, or what differs among the tokens of a pool",
	.help = "  --drift             tokens that lack a key or have another DKEK, keys "
		"that "
		"nobody\n"
		"                      knows; ends with 1 if there are any\n" TOKENS_HELP,
	.run = run_status,
};
