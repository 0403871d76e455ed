/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet master-key add: a fresh master key for the key servers' file.  Servers take it with a reload.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "crypt/keyring.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

struct addition {
	struct cli *cli;
	const char *file, *wanted_id;
	bool is_last;
	char id[MASTER_ID_MAX + 1];
};

static kf_err read_file(const struct addition *a, struct buf *ret)
{
	autobuf why = buf_new(4096);
	kf_err e = conf_read_secret(a->file, ret, &why);
	if (!kf_ok(e))
		cli_note(a->cli, "%.*s", (int)why.n, (const char *)why.p);
	return e;
}

static kf_err parse(const struct addition *a, struct slice text, struct keyring **ret)
{
	unsigned line = 0;
	kf_err e = keyring_parse(text, &line, ret);
	if (!kf_ok(e))
		cli_note(a->cli, "%s:%u: %s", a->file, line, e.site->text);
	return e;
}

/* The day, and a number where that is taken. */
static kf_err choose_id(struct addition *a, const struct keyring *k)
{
	enum { A_DAY = 20 };
	time_t now = time(NULL);
	struct tm day;
	char date[16];
	if (a->wanted_id)
		return slice_to_text(slice_of(a->wanted_id), a->id, sizeof(a->id));
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&now, &day));
	strcpy(a->id, date);
	for (int i = 2; i < A_DAY && keyring_has(k, slice_of(a->id)); i++)
		snprintf(a->id, sizeof(a->id), "%s-%d", date, i);
	return KF_OK;
}

/* Where the first key stands: comments above it stay above. */
static size_t first_key(struct slice text)
{
	size_t at = 0;
	while (at < text.n && strchr("# \t\r\n", text.p[at])) {
		const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
		if (text.p[at] != '#' && text.p[at] != '\n')
			break;
		at = end ? (size_t)(end - text.p) + 1 : text.n;
	}
	return at;
}

static kf_err compose(const struct addition *a, struct slice old, struct buf *ret)
{
	size_t at = a->is_last ? old.n : first_key(old);
	buf_add(ret, old.p, at);
	if (at && old.p[at - 1] != '\n')
		buf_add_u8(ret, '\n');
	KF_TRY(keyring_new_line(a->id, ret));
	buf_add(ret, old.p + at, old.n - at);
	return buf_err(ret);
}

/* What is written can be read, or nothing is written. */
static kf_err add(struct addition *a)
{
	autobuf old = buf_new(KEYRING_FILE_MAX), new = buf_new(2 * KEYRING_FILE_MAX);
	CLEANUP(keyring_freep) struct keyring *had = NULL;
	CLEANUP(keyring_freep) struct keyring *has = NULL;
	KF_TRY(read_file(a, &old));
	KF_TRY(parse(a, buf_slice(&old), &had));
	KF_TRY(choose_id(a, had));
	KF_TRY(compose(a, buf_slice(&old), &new));
	KF_TRY(parse(a, buf_slice(&new), &has));
	return cli_file_error(a->cli, a->file, file_replace(a->file, buf_slice(&new)));
}

static kf_err run(struct cli *c)
{
	struct addition a = { .cli = c };
	const struct cli_option options[] = {
		{ "id", &a.wanted_id, NULL },
		{ "last", NULL, &a.is_last },
	};
	KF_TRY(cli_options(c, options, 2));
	KF_TRY(cli_operands(c, 1, 1));
	a.file = c->argv[0];
	KF_TRY(secret_init(1 << 16));
	KF_TRY(add(&a));
	cli_note(c,
		"%s has the new master key %s.  Copy the file to every key server of "
		"this "
		"store, keep a copy apart from the store, then reload the servers",
		a.file, a.id);
	return KF_OK;
}

const struct command command_master_key_add = {
	.words = "master-key add",
	.args = "FILE [--id ID] [--last]",
	.summary = "put a fresh master key into a key server's file",
	.help = "  --id ID  its name; by default the day\n"
		"  --last   behind the others, so that servers can read what it seals "
		"before "
		"one\n"
		"           seals with it; by default it comes first, and seals after a "
		"reload\n",
	.run = run,
};
