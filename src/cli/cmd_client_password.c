/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet client password: the file of [server] passwords, on the key server's host.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "crypt/password.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PASSWORD_LEAST = 8 };

struct typed {
	char text[PASSWORD_MAX + 2], again[PASSWORD_MAX + 2];
};
static void typed_freep(struct typed **t) { secret_free(*t); }

struct wish {
	struct cli *cli;
	const char *name, *file, *password_file;
	bool is_removal;
	char path[4096];
};

/* ---- the password ---- */

static kf_err ask(const struct wish *w, struct typed *t, struct slice *ret)
{
	char question[128];
	snprintf(question, sizeof(question), "password of %s", w->name);
	const int n = terminal_ask(question, t->text, PASSWORD_MAX + 1);
	if (n < 1) {
		cli_note(w->cli, "a password is needed, and there is no terminal to ask "
				 "at: --password-file");
		return kf_fail(INVALID_FIELD, "see --help");
	}
	if (terminal_ask("again", t->again, PASSWORD_MAX + 1) != n ||
		memcmp(t->text, t->again, (size_t)n) != 0)
		return kf_fail(INVALID_FIELD, "the two passwords are not the same");
	*ret = (struct slice){ (const uint8_t *)t->text, (size_t)n };
	return KF_OK;
}

static kf_err read_secret(const struct wish *w, const char *path, struct buf *ret)
{
	autobuf why = buf_new(4096);
	kf_err e = conf_read_secret(path, ret, &why);
	if (!kf_ok(e))
		cli_note_lines(w->cli, &why);
	return e;
}

static kf_err get_password(
	const struct wish *w, struct typed *t, struct buf *bytes, struct slice *ret)
{
	if (!w->password_file)
		KF_TRY(ask(w, t, ret));
	else {
		KF_TRY(read_secret(w, w->password_file, bytes));
		*ret = buf_slice(bytes);
		while (ret->n && strchr("\r\n", ret->p[ret->n - 1]))
			ret->n--;
	}
	return ret->n < PASSWORD_LEAST
		       ? kf_fail(INVALID_FIELD, "a password has eight characters or more")
		       : KF_OK;
}

/* ---- the file ---- */

static bool is_of(struct slice line, const char *name)
{
	const size_t n = strlen(name);
	while (line.n && (*line.p == ' ' || *line.p == '\t'))
		line = (struct slice){ line.p + 1, line.n - 1 };
	return line.n > n && memcmp(line.p, name, n) == 0 && strchr(" \t=", line.p[n]);
}

/* All lines but the name's; true: it had one. */
static bool copy_others(struct slice old, const char *name, struct buf *ret)
{
	bool had = false;
	for (size_t at = 0, n; at < old.n; at += n) {
		const uint8_t *end = memchr(old.p + at, '\n', old.n - at);
		n = end ? (size_t)(end - old.p) + 1 - at : old.n - at;
		const struct slice line = { old.p + at, n };
		if (is_of(line, name))
			had = true;
		else
			buf_add_slice(ret, line);
	}
	if (ret->n && ret->p[ret->n - 1] != '\n')
		buf_add_u8(ret, '\n');
	return had;
}

/* What is written can be read, or nothing is written. */
static kf_err check(const struct wish *w, struct slice text)
{
	CLEANUP(passwords_freep) struct passwords *p = NULL;
	unsigned line = 0;
	kf_err e = passwords_parse(text, &line, &p);
	if (!kf_ok(e))
		cli_note(w->cli, "%s:%u: %s", w->path, line, e.site->text);
	return e;
}

static kf_err put_line(const struct wish *w, struct buf *ret)
{
	CLEANUP(typed_freep) struct typed *t = secret_alloc(sizeof(*t));
	autobuf bytes = buf_new(4096);
	struct slice password;
	if (!t)
		return kf_fail(NOMEM, "no locked memory for a password");
	KF_TRY(get_password(w, t, &bytes, &password));
	return password_put_line(slice_of(w->name), password, ret);
}

static kf_err write_file(const struct wish *w, struct slice text, bool is_new)
{
	return cli_file_error(w->cli, w->path,
		is_new ? file_create(w->path, text, 0600) : file_replace(w->path, text));
}

static kf_err change(const struct wish *w)
{
	const bool is_new = access(w->path, F_OK) != 0;
	autobuf old = buf_new(PASSWORDS_FILE_MAX), new = buf_new(PASSWORDS_FILE_MAX);
	if (!is_new)
		KF_TRY(read_secret(w, w->path, &old));
	KF_TRY(check(w, buf_slice(&old)));
	const bool had = copy_others(buf_slice(&old), w->name, &new);
	if (w->is_removal && !had)
		return kf_fail(NOT_FOUND, "the client has no password");
	if (!w->is_removal)
		KF_TRY(put_line(w, &new));
	KF_TRY(buf_err(&new));
	KF_TRY(check(w, buf_slice(&new)));
	return write_file(w, buf_slice(&new), is_new);
}

static kf_err find_file(struct wish *w)
{
	char dir[4000];
	if (w->file)
		return slice_to_text(slice_of(w->file), w->path, sizeof(w->path));
	KF_TRY(config_dir(w->cli, NULL, dir, sizeof(dir)));
	snprintf(w->path, sizeof(w->path), "%s/passwords", dir);
	return KF_OK;
}

static kf_err run(struct cli *c)
{
	struct wish w = { .cli = c };
	const struct cli_option options[] = {
		{ "file", &w.file, NULL },
		{ "password-file", &w.password_file, NULL },
		{ "remove", NULL, &w.is_removal },
	};
	KF_TRY(cli_options(c, options, 3));
	KF_TRY(cli_operands(c, 1, 1));
	w.name = c->argv[0];
	KF_TRY(find_file(&w));
	KF_TRY(secret_init(1 << 16));
	KF_TRY(change(&w));
	cli_note(c,
		"%s: reload the key server; its `passwords` in [server] must name this "
		"file",
		w.path);
	return KF_OK;
}

const struct command command_client_password = {
	.words = "client password",
	.args = "NAME [--file FILE] [--password-file FILE] [--remove]",
	.summary = "let a client say by a password who it is",
	.help = "For clients that send KMIP's Username and Password: the request is then "
		"NAME's,\n"
		"whoever's certificate the connection has.  On the key server's host; "
		"the file\n"
		"holds no password, only what tells whether one is right.\n\n"
		"  --file FILE           of the key server [`passwords` in the folder of "
		"the\n"
		"                        configuration]\n"
		"  --password-file FILE  mode 0600; else it is asked for\n"
		"  --remove              the client has no password any more\n",
	.run = run,
};
