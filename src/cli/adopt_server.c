/* SPDX-License-Identifier: Apache-2.0
 *
 * The running server.  A process reads openssl.cnf once, so a provider that is new reaches it only in a way that
 * each server has of its own:
 *   nginx    USR2: a new master with the same listening sockets, then QUIT for the old one
 *   Apache   USR1: LoadFile brings a library that reads openssl.cnf again (keyfleet-load.so)
 *   HAProxy  USR2: the master executes itself again
 *   stunnel  nothing: it has to be restarted
 * Once the provider is there, an ordinary reload does.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/adopt.h"
#include "cli/process.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEST_MS = 300000, RELOAD_MS = 300000, OLD_MS = 3000 };

static const char *const programs[SITE_KINDS][3] = {
	[SITE_NGINX] = { "nginx" },
	[SITE_APACHE] = { "apache2", "httpd" },
	[SITE_HAPROXY] = { "haproxy" },
	[SITE_STUNNEL] = { "stunnel", "stunnel4" },
};

static bool is_program(enum site_kind kind, pid_t pid)
{
	char name[256];
	process_program(pid, name, sizeof(name));
	for (size_t i = 0; i < 3 && programs[kind][i]; i++)
		if (!strcmp(programs[kind][i], name))
			return true;
	return false;
}

/* ---- finding it ---- */

static bool is_same_file(const char *a, const char *b)
{
	char x[PATH_MAX], y[PATH_MAX];
	return realpath(a, x) && realpath(b, y) && !strcmp(x, y);
}

/* A word of its command line is the file; or none follows -c or -f, and the file is the usual one. */
static bool serves(const struct server *s, pid_t pid)
{
	char title[8192], *state = NULL;
	bool names_another = false;
	process_title(pid, title, sizeof(title));
	const char *before = "";
	for (char *word = strtok_r(title, " ", &state); word;
		word = strtok_r(NULL, " ", &state)) {
		bool follows = !strcmp(before, "-c") || !strcmp(before, "-f") ||
			       s->kind == SITE_STUNNEL;
		if (*word == '/' && follows && is_same_file(word, s->file))
			return true;
		names_another |= follows && *word == '/' && before[0];
		before = word;
	}
	return !names_another && is_same_file(s->file, site_default_file(s->kind));
}

static bool take_master(void *arg, pid_t pid)
{
	struct server *s = arg;
	/* Its program is run and its environment taken over: another user's is a trap. */
	if (!is_program(s->kind, pid) || !process_is_ours(pid) || process_is_gone(pid) ||
		is_program(s->kind, process_parent(pid)) || !serves(s, pid))
		return true;
	s->master = pid;
	return false;
}

/* While it reads its configuration, which may take long, a new master has the title that it was called by. */
static bool is_nginx_master(pid_t pid)
{
	char title[64];
	process_title(pid, title, sizeof(title));
	return is_program(SITE_NGINX, pid) && strncmp(title, "nginx: worker", 13) != 0 &&
	       strncmp(title, "nginx: cache", 12) != 0;
}

/* The master that a binary upgrade has started, while the old one is still there. */
static pid_t younger_master(pid_t master)
{
	struct pids *children = calloc(1, sizeof(*children));
	pid_t found = 0;
	if (children)
		process_children(master, children);
	for (size_t i = 0; children && i < children->n; i++)
		if (is_nginx_master(children->item[i]))
			found = children->item[i];
	free(children);
	return found;
}

kf_err server_find(
	struct cli *c, enum site_kind kind, const char *file, struct server *ret)
{
	*ret = (struct server){ .cli = c, .kind = kind, .file = file };
	snprintf(ret->program, sizeof(ret->program), "%s",
		kind == SITE_APACHE ? "apache2ctl" : programs[kind][0]);
	process_each(take_master, ret);
	if (!ret->master)
		return kf_fail(NOT_FOUND, "the server does not run");
	pid_t younger = kind == SITE_NGINX ? younger_master(ret->master) : 0;
	if (younger) {
		ret->older = ret->master;
		ret->master = younger;
	}
	process_path(ret->master, ret->program, sizeof(ret->program));
	ret->has_provider = process_maps(ret->master, "/keyfleet.so");
	return KF_OK;
}

/* ---- its own test ---- */

kf_err server_test(const struct server *s)
{
	const char *const argv[SITE_KINDS][7] = {
		[SITE_NGINX] = { s->program, "-t", "-q", "-c", s->file },
		[SITE_APACHE] = { s->program, "-t", "-f", s->file },
		[SITE_HAPROXY] = { s->program, "-c", "-f", s->file },
	};
	if (!argv[s->kind][0]) /* stunnel has none */
		return KF_OK;
	autobuf said = buf_new(65536);
	/* nginx overwrites its own environment; Apache's has what apache2ctl put there */
	const struct run run = { .argv = argv[s->kind],
		.environ_of = s->kind == SITE_NGINX ? 0 : s->master,
		.timeout_ms = TEST_MS };
	kf_err e = process_run(&run, &said);
	if (kf_ok(e))
		return e;
	cli_note(s->cli, "%s: %s", s->program, e.site->text);
	cli_note_lines(s->cli, &said);
	return kf_fail(CONFIG, "the server does not like its configuration");
}

/* ---- reload ---- */

static void look_again(void)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	nanosleep(&pause, NULL);
}

struct family {
	struct pids before, now;
};

static bool is_leaving(pid_t pid)
{
	char title[256];
	process_title(pid, title, sizeof(title));
	return strstr(title, "is shutting down") || strstr(title, "cache ");
}

static size_t count_new(const struct family *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->now.n; i++)
		n += !pids_has(&f->before, f->now.item[i]);
	return n;
}

static size_t count_staying(const struct family *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->now.n; i++)
		n += pids_has(&f->before, f->now.item[i]) && !is_leaving(f->now.item[i]);
	return n;
}

/* New workers are there; and the old ones leave, as far as one can see it. */
static kf_err wait_for_workers(const struct server *s, struct family *f)
{
	uint64_t start = clock_monotonic_ns(), seen = 0;
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		process_children(s->master, &f->now);
		bool has_new = count_new(f) > 0;
		seen = has_new && !seen ? now : seen;
		if (has_new &&
			(!count_staying(f) || now - seen > (uint64_t)OLD_MS * 1000000))
			return KF_OK;
		if (process_is_gone(s->master))
			return kf_fail(CLOSED, "the server ended");
		if (now - start > (uint64_t)RELOAD_MS * 1000000)
			return kf_fail(TIMEOUT, "the server starts no new workers");
		look_again();
	}
}

static kf_err signal_and_wait(const struct server *s, int number)
{
	CLEANUP(mem_freep) struct family *f = calloc(1, sizeof(*f));
	if (!f)
		return kf_fail(NOMEM, "no memory for a list of processes");
	process_children(s->master, &f->before);
	if (kill(s->master, number))
		return kf_fail(
			DENIED, "the server takes no signal from us; are you root?");
	return wait_for_workers(s, f);
}

static bool has_workers(pid_t master)
{
	CLEANUP(mem_freep) struct pids *children = calloc(1, sizeof(*children));
	if (!children)
		return false;
	process_children(master, children);
	return children->n > 0;
}

static kf_err wait_for_younger(struct server *s)
{
	uint64_t end = clock_monotonic_ns() + (uint64_t)RELOAD_MS * 1000000;
	uint64_t early = clock_monotonic_ns() + 2000000000;
	while (clock_monotonic_ns() < end) {
		pid_t younger = younger_master(s->master);
		if (younger && has_workers(younger)) {
			s->older = s->master;
			s->master = younger;
			return KF_OK;
		}
		/* It has to appear soon; loading may take its time. */
		if (!younger && clock_monotonic_ns() > early)
			break;
		look_again();
	}
	return kf_fail(TIMEOUT, "nginx starts no new master; its error log says why");
}

static kf_err upgrade_nginx(struct server *s)
{
	if (kill(s->master, SIGUSR2))
		return kf_fail(
			DENIED, "the server takes no signal from us; are you root?");
	KF_TRY(wait_for_younger(s));
	kill(s->older, SIGQUIT);
	s->older = 0;
	s->has_provider = true;
	return KF_OK;
}

static kf_err reload_nginx(struct server *s)
{
	if (s->older) { /* somebody stopped in the middle of an upgrade */
		kill(s->older, SIGQUIT);
		s->older = 0;
	}
	return s->has_provider ? signal_and_wait(s, SIGHUP) : upgrade_nginx(s);
}

static kf_err reload(struct server *s)
{
	switch (s->kind) {
	case SITE_NGINX: return reload_nginx(s);
	case SITE_APACHE: return signal_and_wait(s, SIGUSR1);
	case SITE_HAPROXY: return signal_and_wait(s, SIGUSR2);
	case SITE_STUNNEL: break;
	}
	return kill(s->master, SIGHUP)
		       ? kf_fail(DENIED,
				 "the server takes no signal from us; are you root?")
		       : KF_OK;
}

kf_err server_reload(struct server *s)
{
	kf_err e = reload(s);
	if (!kf_ok(e))
		cli_note(s->cli, "reload: %s", e.site->text);
	return e;
}

/* ---- whether that will do ---- */

static bool title_has(pid_t pid, const char *words)
{
	char title[8192];
	process_title(pid, title, sizeof(title));
	return strstr(title, words) != NULL;
}

kf_err server_can_reload(const struct server *s, const struct site *site)
{
	const struct site_fact *daemon = site_fact(site, SITE_DAEMON);
	bool stays = title_has(s->master, "daemon off") ||
		     (daemon && !strcmp(daemon->value.text, "off") &&
			     !title_has(s->master, "daemon on"));
	if (s->has_provider)
		return KF_OK;
	if (s->kind == SITE_NGINX && stays)
		return kf_fail(STATE,
			"nginx runs with `daemon off`: whoever supervises it would take "
			"a "
			"binary "
			"upgrade for its end.  Say --no-reload, then restart it");
	/* It executes what it was called by, from its own folder. */
	if (s->kind == SITE_NGINX && !title_has(s->master, "nginx: master process /"))
		return kf_fail(STATE,
			"nginx was started without the path of its program, so a binary "
			"upgrade would "
			"not find it.  Start it as /usr/sbin/nginx, or say --no-reload "
			"and restart it");
	if (s->kind == SITE_HAPROXY && !title_has(s->master, " -W") &&
		!site_fact(site, SITE_MASTER_WORKER))
		return kf_fail(STATE, "HAProxy runs without a master (-W), so it cannot "
				      "read openssl.cnf "
				      "again.  "
				      "Say --no-reload, then restart it");
	if (s->kind == SITE_STUNNEL)
		return kf_fail(STATE, "stunnel reads openssl.cnf only when it starts.  "
				      "Say --no-reload, "
				      "then restart it");
	return KF_OK;
}
