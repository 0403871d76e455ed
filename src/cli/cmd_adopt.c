/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet adopt: a running web server's keys move into the key servers.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

kf_err adopt_ask_sure(const struct cli *c, bool is_sure, const char *question)
{
	char answer[16] = "";
	if (is_sure)
		return KF_OK;
	if (!isatty(STDIN_FILENO))
		return kf_fail(INVALID_FIELD, "say --yes if that is what you want");
	fflush(stdout);
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) &&
		(answer[0] == 'y' || answer[0] == 'Y'))
		return KF_OK;
	cli_note(c, "nothing was changed");
	return kf_fail(CLOSED, "nothing was changed");
}

kf_err adopt_lock(const struct cli *c, const char *state_dir, bool waits, int *ret_fd)
{
	char parent[4096];
	const char *slash = strrchr(state_dir, '/');
	if (slash && slash > state_dir && (size_t)(slash - state_dir) < sizeof(parent)) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - state_dir),
			state_dir);
		mkdir(parent, 0755); /* /var/lib/keyfleet, where no key server made it */
	}
	if (mkdir(state_dir, 0700) && errno != EEXIST)
		return cli_file_error(c, state_dir, file_failed(errno));
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return cli_file_error(c, state_dir, file_failed(errno));
	/* A record says which files are written with what: nobody else may have made it, even where the folder
	 * above is a daemon's. */
	struct stat st;
	if (fstat(fd, &st) || (st.st_mode & 077) ||
		(st.st_uid != geteuid() && st.st_uid != 0)) {
		close(fd);
		return cli_file_error(c, state_dir,
			kf_fail(DENIED, "the folder of records must be yours alone, "
					"mode 0700"));
	}
	if (flock(fd, LOCK_EX | (waits ? 0 : LOCK_NB))) {
		close(fd);
		return kf_fail(BUSY, "another `keyfleet adopt` is at work on this host");
	}
	*ret_fd = fd;
	return KF_OK;
}

static kf_err prove_all(struct adopt *a)
{
	KF_TRY(adopt_load_openssl(a));
	struct progress shown = progress_start("proving references");
	kf_err e = KF_OK;
	for (size_t i = 0; i < a->n_items && kf_ok(e); i++) {
		progress_show(&shown, a->cli, (double)i / (double)a->n_items);
		if (!a->items[i].why_not)
			e = adopt_prove(a, &a->items[i]);
	}
	progress_done(&shown, a->cli);
	return e;
}

/* Apache's way to a provider in a process that runs already. */
static kf_err loader_line(
	const struct adopt *a, const struct server *s, char *ret, size_t size)
{
	char path[4096];
	*ret = 0;
	if (a->kind != SITE_APACHE || s->has_provider || !s->master)
		return KF_OK;
	KF_TRY(adopt_provider_path(path, sizeof(path)));
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; i < a->site.n_facts; i++)
		if (a->site.facts[i].id == SITE_LOAD_FILE &&
			strstr(a->site.facts[i].value.text, "keyfleet-load.so"))
			return KF_OK;
	snprintf(ret, size,
		"# keyfleet: brings the provider into an Apache that runs already\n"
		"LoadFile %s/keyfleet-load.so\n",
		path);
	return KF_OK;
}

static kf_err put_into_place(struct adopt *a, struct server *s, struct change *change)
{
	autobuf why = buf_new(65536);
	kf_err e = change_apply(change, &why);
	cli_note_lines(a->cli, &why);
	KF_TRY(e);
	KF_TRY(server_test(s));
	if (!s->master || a->has_no_reload)
		return KF_OK;
	KF_TRY(server_reload(s));
	return adopt_check(a);
}

static kf_err write_record(struct adopt *a, struct server *s, struct change *change)
{
	char loader[4400];
	KF_TRY(loader_line(a, s, loader, sizeof(loader)));
	KF_TRY(adopt_edit(a, change, loader[0] ? loader : NULL));
	return change_set(change, CHANGE_BEGUN);
}

static kf_err change_files(struct adopt *a, struct server *s, struct change *change)
{
	kf_err e = write_record(a, s, change);
	if (!kf_ok(e)) { /* copies of keys are in it, and nothing has changed */
		change_discard(change->dir);
		return e;
	}
	e = put_into_place(a, s, change);
	if (kf_ok(e))
		return change_set(change, CHANGE_DONE);
	cli_note(a->cli, "everything goes back to what it was");
	if (!kf_ok(adopt_undo(a->cli, change, a->has_no_reload)))
		cli_note(a->cli,
			"that failed too: see above, then `keyfleet adopt rollback`");
	return e;
}

/* Several places may name one key. */
static size_t count_keys(const struct adopt *a)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n_items; i++) {
		size_t k = 0;
		while (k < i && (a->items[k].why_not ||
					strcmp(a->items[k].id, a->items[i].id) != 0))
			k++;
		n += !a->items[i].why_not && k == i;
	}
	return n;
}

static void say_done(const struct adopt *a, const struct change *change)
{
	if (a->cli->is_quiet || a->cli->is_json)
		return;
	const char *id = strrchr(change->dir, '/');
	const size_t keys = count_keys(a);
	id = id ? id + 1 : change->dir;
	printf("%zu key%s moved.  The old key files are still there.\n"
	       "  keyfleet adopt rollback %s    everything as it was\n"
	       "  keyfleet adopt finish %s      destroys the old key files\n",
		keys, keys == 1 ? "" : "s", id, id);
}

static kf_err move(struct adopt *a, struct server *s)
{
	KF_TRY(adopt_client_name(a));
	KF_TRY(adopt_keys(a));
	KF_TRY(adopt_find_openssl_conf(a));
	KF_TRY(adopt_add_include(a));
	struct change change = { 0 };
	kf_err e = prove_all(a);
	if (kf_ok(e))
		e = change_new(a->state_dir, site_kind_name(a->kind), a->file, &change);
	if (kf_ok(e))
		e = change_files(a, s, &change);
	if (kf_ok(e))
		say_done(a, &change);
	else if (!kf_ok(adopt_release_include(a->cli, a->state_dir, a->openssl_path)))
		cli_note(a->cli, "%s still names the provider", a->openssl_path);
	change_free(&change);
	return e;
}

/* What has to be so before anything is touched. */
static kf_err look_at_server(struct adopt *a, struct server *s)
{
	kf_err e = server_find(a->cli, a->kind, a->file, s);
	if (kf_is(e, KF_E_NOT_FOUND)) {
		cli_note(a->cli, "%s does not run with %s: only files will change",
			site_kind_name(a->kind), a->file);
		return KF_OK;
	}
	KF_TRY(e);
	KF_TRY(server_test(s)); /* a mistake that was there before is not ours to undo */
	if (a->has_no_reload)
		return KF_OK;
	e = server_can_reload(s, &a->site);
	if (!kf_ok(e))
		cli_note(a->cli, "%s", e.site->text);
	KF_TRY(e);
	return adopt_check_before(a);
}

static kf_err adopt(struct adopt *a)
{
	CLEANUP(mem_closep) int lock = -1;
	struct server s = { 0 };
	if (!a->is_dry) {
		KF_TRY(adopt_lock(a->cli, a->state_dir, false, &lock));
		KF_TRY(adopt_undo_begun(a));
	}
	KF_TRY(adopt_plan(a));
	adopt_print_plan(a);
	if (!a->moving)
		cli_note(a->cli, "there is nothing to move");
	if (!a->moving || a->is_dry)
		return KF_OK;
	KF_TRY(look_at_server(a, &s));
	KF_TRY(adopt_ask_sure(a->cli, a->is_sure, "Move these keys?"));
	return move(a, &s);
}

static kf_err run(struct cli *c)
{
	struct adopt a = { .cli = c, .state_dir = ADOPT_STATE_DIR };
	const struct cli_option options[] = {
		{ "file", &a.file, NULL },
		{ "only", &a.only, NULL },
		{ "name", &a.prefix, NULL },
		{ "client", &a.client, NULL },
		{ "state", &a.state_dir, NULL },
		{ "openssl-conf", &a.openssl_conf, NULL },
		{ "dry-run", NULL, &a.is_dry },
		{ "yes", NULL, &a.is_sure },
		{ "no-reload", NULL, &a.has_no_reload },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 1, 1));
	if (!site_kind_find(c->argv[0], &a.kind))
		return kf_fail(
			INVALID_FIELD, "there is nginx, apache, haproxy and stunnel");
	if (!a.file)
		a.file = site_default_file(a.kind);
	kf_err e = adopt(&a);
	OSSL_LIB_CTX_free(a.lib);
	adopt_clear(&a);
	return e;
}

const struct command command_adopt = {
	.words = "adopt",
	.args = "nginx|apache|haproxy|stunnel [--file FILE] [--dry-run] [--yes] [--only "
		"CERTIFICATE|NAME]\n"
		"                      [--name PREFIX] [--client NAME] [--no-reload] "
		"[--state DIR] [--openssl-conf FILE]",
	.summary = "move a running web server's keys into the key servers",
	.help = "Run it as root on the web host, with the administrator's --config.  It "
		"shows a plan, imports the\n"
		"keys, lets this host sign with them for TLS only, proves each "
		"reference with a handshake, then\n"
		"changes the configuration, tests it, reloads the server and makes a "
		"handshake at each address.\n"
		"Whatever fails is undone.\n\n"
		"  --file FILE          the server's configuration [the distribution's]\n"
		"  --dry-run            show the plan\n"
		"  --yes                do not ask\n"
		"  --only WHICH         one certificate: its file, or a name it is "
		"served "
		"for\n"
		"  --name PREFIX        before the names of imported keys, which are "
		"those of the certificates\n"
		"  --client NAME        this host's name at the key servers [that of the "
		"agent's certificate]\n"
		"  --no-reload          change the files; you restart the server\n"
		"  --state DIR          where records are [" ADOPT_STATE_DIR "]\n"
		"  --openssl-conf FILE  what the server's OpenSSL reads "
		"[/etc/ssl/openssl.cnf]\n",
	.run = run,
};
