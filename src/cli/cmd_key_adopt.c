/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key adopt: a key that tokens hold, and that no object refers to, gets one.  It was made at a
 * workstation, or the key server died between the token and its store.
 */
#include "base/mem.h"
#include "cli/key_token.h"
#include "cli/tokens_server.h"
#include <stdlib.h>
#include <string.h>

struct orphan {
	const char *name;
	size_t n;
	struct key_line line;
};

/* Its label, or eight or more digits of its key id. */
static void see(void *arg, const struct key_line *k)
{
	struct orphan *o = arg;
	size_t n = strlen(o->name);
	bool is_it =
		!strcmp(k->label, o->name) || (n >= 8 && !strncmp(k->key_id, o->name, n));
	if (k->object[0] || !is_it)
		return;
	o->line = *k;
	o->n++;
}

static kf_err find(struct cli *c, struct tokens *t, struct orphan *o)
{
	KF_TRY(t->ops->keys(t, see, o));
	if (o->n == 1)
		return KF_OK;
	cli_note(c,
		o->n ? "%s: several keys have this label; name a key id or --pool"
		     : "%s: no token holds such a key that has no object yet; `keyfleet "
		       "dkek status --drift` lists them",
		o->name);
	return o->n ? kf_fail(CONFLICT, "ambiguous") : kf_fail(NOT_FOUND, "no such key");
}

static kf_err adopt(struct cli *c, struct tokens *t, struct key_wish *wish)
{
	CLEANUP(mem_freep) struct orphan *o = calloc(1, sizeof(*o));
	CLEANUP(mem_freep) struct provision_report *r = calloc(1, sizeof(*r));
	autobuf id = buf_new(256);
	if (!o || !r)
		return kf_fail(NOMEM, "no memory for a key");
	o->name = c->argv[0];
	KF_TRY(find(c, t, o));
	if (!wish->name)
		wish->name = o->line.label[0] ? o->line.label : o->name;
	KF_TRY(tokens_error(c, o->name, server_adopt(t, &o->line, wish, &id, r)));
	return key_token_told(c, wish, r, &id);
}

static kf_err run_adopt(struct cli *c)
{
	struct tokens_options o = { 0 };
	struct key_wish wish = { 0 };
	const char *copies = NULL;
	const struct cli_option options[] = { { "pool", &o.pool, NULL },
		{ "name", &wish.name, NULL }, { "copies", &copies, NULL },
		{ "inactive", NULL, &wish.is_inactive } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(key_token_copies(c, copies, &wish.copies));
	KF_TRY(tokens_open(c, &o, false, &t));
	return adopt(c, t, &wish);
}

const struct command command_key_adopt = { .words = "key adopt",
	.args = "KEY [--name NAME] [--copies N] [--pool NAME]",
	.summary = "use a key at the key server that its tokens hold already",
	.help = "  KEY                 its label on the tokens, or eight or more digits "
		"of "
		"its key id\n"
		"  --name NAME         of its object [its label]\n"
		"  --copies N          is active when so many tokens hold it [1]\n"
		"  --inactive          do not activate it\n"
		"  --pool NAME         of several pools at the key server\n"
		"\nNothing is written to any token.\n",
	.run = run_adopt };
