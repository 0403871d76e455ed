/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet token list, info, init, identify, drain, resume, change-pin.
 */
#include "base/mem.h"
#include "cli/tokens.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- list ---- */

static void tries_text(const struct token_line *l, char *ret, size_t size)
{
	if (!l->is_initialised || l->pin_tries < 0)
		snprintf(ret, size, "-");
	else if (l->pin_tries == TOKEN_TRIES_ENOUGH)
		snprintf(ret, size, "enough");
	else
		snprintf(ret, size, "%d", l->pin_tries);
}

static void add_line(struct table *t, const struct token_line *l)
{
	char tries[16], dkek[64], keys[32];
	tries_text(l, tries, sizeof(tries));
	token_line_dkek(l, dkek, sizeof(dkek));
	snprintf(keys, sizeof(keys), l->problems ? "%u (%u unusable)" : "%u", l->keys,
		l->problems);
	table_row(t, (const char *const[]){ l->serial, l->label, l->state, tries, dkek,
			     keys, l->pool, l->place, l->why });
}

static kf_err read_lines(struct tokens *t, struct token_line **ret, size_t *ret_n)
{
	enum { MAX = POOL_TOKENS_MAX * POOLS_MAX };
	struct token_line *l = calloc(MAX, sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	kf_err e = t->ops->list(t, l, MAX, ret_n);
	if (kf_ok(e))
		*ret = l;
	else
		free(l);
	return e;
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "SERIAL", "LABEL", "STATE", "PIN TRIES",
		"DKEK", "KEYS", "POOL", "PLACE", "WHY" };
	struct tokens_options o = { 0 };
	const struct cli_option options[] = { TOKENS_OPTIONS(o) };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct token_line *l = NULL;
	size_t n = 0;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 0, 0));
	KF_TRY(tokens_open(c, &o, false, &t));
	KF_TRY(read_lines(t, &l, &n));
	struct table *table = table_new(c, titles, 9);
	for (size_t i = 0; i < n; i++)
		add_line(table, &l[i]);
	return table_end(table, KF_OK);
}

/* ---- info ---- */

static void fact(struct table *t, const char *name, const char *value)
{
	if (value[0])
		table_row(t, (const char *const[]){ name, value });
}

static void number(struct table *t, const char *name, uint64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	fact(t, name, text);
}

struct info {
	struct table *table;
	const char *serial;
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
			return true;
	return false;
}

static void see_key(void *arg, const struct key_line *k)
{
	struct info *i = arg;
	char text[512];
	if (!has_word(k->holders, i->serial))
		return;
	snprintf(text, sizeof(text), "%s  %s  key id %.16s  on %u token%s%s%s", k->label,
		k->algorithm, k->key_id, k->holders_n, k->holders_n == 1 ? "" : "s",
		k->object[0] ? "  object " : "", k->object);
	fact(i->table, "key", text);
}

static kf_err add_facts(struct tokens *t, const struct token_line *l, struct table *table)
{
	char tries[16], dkek[64];
	struct info i = { table, l->serial };
	tries_text(l, tries, sizeof(tries));
	token_line_dkek(l, dkek, sizeof(dkek));
	fact(table, "serial", l->serial);
	fact(table, "label", l->label);
	fact(table, "model", l->model);
	fact(table, "pool", l->pool);
	fact(table, "place", l->place);
	fact(table, "state", l->state);
	fact(table, "why", l->why);
	fact(table, "task", l->task);
	fact(table, "initialised", l->is_initialised ? "yes" : "no");
	fact(table, "write protected", l->is_write_protected ? "yes" : "no");
	fact(table, "PIN tries left", tries);
	number(table, "DKEK shares", l->shares);
	fact(table, "DKEK", dkek);
	number(table, "signatures", l->signatures);
	number(table, "failures", l->failures);
	number(table, "keys", l->keys);
	number(table, "keys that cannot be used", l->problems);
	return t->ops->keys(t, see_key, &i);
}

/* By serial number, or by label if there is one of it. */
static const struct token_line *choose(
	const struct cli *c, const struct token_line *l, size_t n, const char *name)
{
	const struct token_line *found = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(l[i].serial, name))
			return &l[i];
		if (strcmp(l[i].label, name) != 0)
			continue;
		if (found) {
			cli_note(c,
				"%s: several tokens have this label; name a serial "
				"number",
				name);
			return NULL;
		}
		found = &l[i];
	}
	if (!found)
		cli_note(c, "%s: no such token; see `keyfleet token list`", name);
	return found;
}

static kf_err run_info(struct cli *c)
{
	static const char *const titles[] = { "NAME", "VALUE" };
	struct tokens_options o = { 0 };
	const struct cli_option options[] = { TOKENS_OPTIONS(o) };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct token_line *l = NULL;
	size_t n = 0;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(tokens_open(c, &o, o.is_local, &t));
	KF_TRY(read_lines(t, &l, &n));
	const struct token_line *line = choose(c, l, n, c->argv[0]);
	if (!line)
		return kf_fail(NOT_FOUND, "no such token");
	struct table *table = table_new(c, titles, 2);
	return table_end(table, add_facts(t, line, table));
}

/* ---- init ---- */

/* "none", "random" or a number. */
static kf_err read_shares(const struct cli *c, const char *text, int *ret)
{
	char *end;
	long n = text ? strtol(text, &end, 10) : 1;
	if (text && !strcmp(text, "none"))
		*ret = -1;
	else if (text && !strcmp(text, "random"))
		*ret = 0;
	else if (text && (*end || end == text || n < 1 || n > 255)) {
		cli_note(c, "--dkek-shares %s: a number from 1 to 255, random or none",
			text);
		return kf_fail(INVALID_FIELD, "see --help");
	} else
		*ret = (int)n;
	return KF_OK;
}

static kf_err init(struct tokens *t, const char *name, struct token_init *in, bool force)
{
	kf_err e = t->ops->init(t, name, in, force);
	if (kf_is(e, KF_E_EXISTS)) {
		cli_note(t->cli,
			"%s is initialised already: nothing was done; --force erases "
			"its keys",
			name);
		return KF_OK;
	}
	KF_TRY(tokens_error(t->cli, name, e));
	cli_note(t->cli,
		in->shares > 0
			? "%s is initialised; now `keyfleet dkek import` gives it its "
			  "DKEK"
			: "%s is initialised",
		name);
	return KF_OK;
}

static kf_err read_tries(const struct cli *c, const char *text, unsigned *ret)
{
	enum { TRIES_MAX = 10 };
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;
	if (text && (text[0] < '1' || text[0] > '9' || *end || n > TRIES_MAX)) {
		cli_note(c, "--pin-tries %s: a number from 1 to %d", text, TRIES_MAX);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*ret = (unsigned)n;
	return KF_OK;
}

static kf_err run_init(struct cli *c)
{
	struct tokens_options o = { 0 };
	const char *label = NULL, *shares = NULL, *tries = NULL;
	bool force = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o),
		{ "label", &label, NULL }, { "dkek-shares", &shares, NULL },
		{ "pin-tries", &tries, NULL }, { "force", NULL, &force } };
	CLEANUP(token_pin_freep) struct token_pin *pin = NULL;
	CLEANUP(token_pin_freep) struct token_pin *so_pin = NULL;
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	struct token_init in = { 0 };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(read_shares(c, shares, &in.shares));
	KF_TRY(read_tries(c, tries, &in.pin_tries));
	const char *pin_file = o.pin_file;
	o.pin_file =
		NULL; /* it is this token's from now on; the others would lose a try */
	KF_TRY(tokens_open(c, &o, false, &t));
	/* A blank token takes what is typed as its SO-PIN, for good. */
	KF_TRY(tokens_read_pin(c, o.so_pin_file, "SO-PIN", true, &so_pin));
	KF_TRY(tokens_read_pin(c, pin_file, "new PIN", true, &pin));
	in.so_pin = so_pin;
	in.pin = pin;
	in.label = label ? label : "";
	return init(t, c->argv[0], &in, force);
}

/* ---- the others ---- */

static kf_err open_one(struct cli *c, bool logs_in, struct tokens **ret)
{
	struct tokens_options o = { 0 };
	const struct cli_option options[] = { TOKENS_OPTIONS(o) };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	return tokens_open(c, &o, logs_in, ret);
}

static kf_err run_identify(struct cli *c)
{
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(open_one(c, false, &t));
	return tokens_error(c, c->argv[0], t->ops->identify(t, c->argv[0]));
}

static kf_err run_drain(struct cli *c)
{
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(open_one(c, false, &t));
	return tokens_error(c, c->argv[0], t->ops->drain(t, c->argv[0], false));
}

static kf_err run_resume(struct cli *c)
{
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(open_one(c, false, &t));
	return tokens_error(c, c->argv[0], t->ops->drain(t, c->argv[0], true));
}

static kf_err run_change_pin(struct cli *c)
{
	struct tokens_options o = { 0 };
	const char *new_file = NULL;
	const struct cli_option options[] = { TOKENS_OPTIONS(o),
		{ "new-pin-file", &new_file, NULL } };
	CLEANUP(token_pin_freep) struct token_pin *old = NULL;
	CLEANUP(token_pin_freep) struct token_pin *new = NULL;
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	const char *pin_file = o.pin_file;
	o.pin_file = NULL; /* it is told with the command, not used to look around */
	KF_TRY(tokens_open(c, &o, false, &t));
	KF_TRY(tokens_read_pin(c, pin_file, "PIN", false, &old));
	KF_TRY(tokens_read_pin(c, new_file, "new PIN", true, &new));
	return tokens_error(c, c->argv[0], t->ops->change_pin(t, c->argv[0], old, new));
}

const struct command command_token_list = { .words = "token list",
	.args = "[--local]",
	.summary = "list tokens: state, PIN tries, DKEK, keys",
	.help = TOKENS_HELP,
	.run = run_list };
const struct command command_token_info = { .words = "token info",
	.args = "TOKEN [--local]",
	.summary = "print what a token tells of itself, and its keys",
	.help = TOKENS_HELP,
	.run = run_info };
const struct command command_token_init = { .words = "token init",
	.args = "TOKEN --label LABEL [--dkek-shares N] [--force] [--local]",
	.summary = "initialise a token: PINs, DKEK shares, label; erases it",
	.help = "  --label LABEL       its name\n"
		"  --dkek-shares N     shares that its DKEK will be made of, `random` (a "
		"DKEK "
		"of its\n"
		"                      own: keys never leave it), or `none` [1]\n"
		"  --pin-tries N       until the PIN is blocked [the token's own]\n"
		"  --force             also if it is initialised: erases its keys\n"
		"  --so-pin-file FILE  SO-PIN, mode 0600; SmartCard-HSM: 16 hexadecimal "
		"digits; else\n"
		"                      it is asked for\n" TOKENS_HELP,
	.run = run_init };
const struct command command_token_identify = { .words = "token identify",
	.args = "TOKEN [--local]",
	.summary = "make a token recognisable: its light blinks",
	.help = TOKENS_HELP,
	.run = run_identify };
const struct command command_token_drain = { .words = "token drain",
	.args = "TOKEN",
	.summary = "give a token no more work, so that it can be pulled out",
	.help = TOKENS_HELP,
	.run = run_drain };
const struct command command_token_resume = { .words = "token resume",
	.args = "TOKEN",
	.summary = "use a token again that was drained or put aside",
	.help = TOKENS_HELP,
	.run = run_resume };
const struct command command_token_change_pin = { .words = "token change-pin",
	.args = "TOKEN [--new-pin-file FILE] [--local]",
	.summary = "give a token another user PIN",
	.help = "  --new-pin-file FILE  mode 0600; else it is asked for\n" TOKENS_HELP,
	.run = run_change_pin };
