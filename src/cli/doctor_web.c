/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a web server that break or slow down key references.
 */
#include "cli/doctor.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct doctor_place at_fact(const struct doctor_web *w, const struct site_fact *f)
{
	return doctor_at(f && f->value.file ? f->value.file : w->site.file,
		f && f->value.file ? f->value.line : 0);
}

/* A duration of HAProxy: "5s", "500ms", a bare number of milliseconds; -1: none. */
static int64_t haproxy_ms(const char *text)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = { { "", 1000 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 },
		{ "m", 60000000 }, { "h", 3600000000 }, { "d", 86400000000 } };
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return -1;
	int64_t v = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (!strcmp(end, units[i].unit) && v <= INT64_MAX / units[i].us)
			return v * units[i].us / 1000;
	return -1;
}

/* ---- HAProxy ---- */

static void check_timeout(struct doctor *d, const struct doctor_web *w)
{
	bool is_short = false;
	const struct doctor_number deadline = doctor_number(w->deadline_ms);
	for (size_t i = 0; i < w->site.n_facts; i++) {
		const struct site_fact *f = &w->site.facts[i];
		if (f->id != SITE_CLIENT_TIMEOUT)
			continue;
		int64_t ms = haproxy_ms(f->value.text);
		const struct doctor_number n = doctor_number(ms);
		if (ms < 0 || ms > w->deadline_ms)
			continue;
		is_short = true;
		doctor_tell(
			d, HAPROXY_TIMEOUT, at_fact(w, f).text, n.text, deadline.text);
	}
	if (!is_short)
		doctor_fine(d, CHECK_HAPROXY_TIMEOUT, w->site.file);
}

static void check_haproxy(struct doctor *d, const struct doctor_web *w)
{
	const struct site_fact *async = site_fact(&w->site, SITE_ASYNC);
	if (!async) {
		doctor_tell(d, HAPROXY_ASYNC, w->site.file, w->site.file);
		return;
	}
	doctor_fine(d, CHECK_HAPROXY_ASYNC, at_fact(w, async).text);
	check_timeout(d, w);
}

/* ---- nginx ---- */

static bool keeps_openssl_conf(const struct site *s)
{
	for (size_t i = 0; i < s->n_facts; i++) {
		const char *text = s->facts[i].value.text;
		if (s->facts[i].id == SITE_ENVIRONMENT &&
			!strncmp(text, "OPENSSL_CONF", 12) &&
			(!text[12] || text[12] == '='))
			return true;
	}
	return false;
}

/* The file of all programs needs no variable. */
static void check_nginx(struct doctor *d, const struct doctor_web *w)
{
	if (w->is_default_conf || keeps_openssl_conf(&w->site))
		doctor_fine(d, CHECK_NGINX_UPGRADE, w->site.file);
	else
		doctor_tell(d, NGINX_UPGRADE, w->site.file, w->site.file);
}

/* ---- descriptors ---- */

struct need {
	int64_t connections, each;
	const char *limit, *setting;
};

static bool needs_of(const struct doctor_web *w, struct need *ret)
{
	const struct site_fact *most = site_fact(&w->site, SITE_MAX_CONNECTIONS);
	int64_t n = most ? strtoll(most->value.text, NULL, 10) : 0;
	if (w->site.kind == SITE_NGINX)
		*ret = (struct need){ n ? n : 512, 1,
			"worker_rlimit_nofile in nginx.conf", "worker_connections" };
	else if (w->site.kind == SITE_HAPROXY && n)
		*ret = (struct need){ n, 3, "LimitNOFILE of the unit, fd-hard-limit",
			"maxconn" };
	else
		return false;
	return true;
}

/* HAProxy reserves two a connection; with ssl-mode-async an operation that waits takes a third. */
static void check_descriptors(struct doctor *d, const struct doctor_web *w)
{
	uint64_t files;
	struct need need;
	const struct site_fact *set = site_fact(&w->site, SITE_MAX_DESCRIPTORS);
	if (!w->pid || !needs_of(w, &need) ||
		!kf_ok(proc_limit(w->pid, "Max open files", &files)))
		return;
	if (set && strtoull(set->value.text, NULL, 10))
		files = strtoull(set->value.text, NULL, 10);
	int64_t wanted = need.connections * need.each + 64;
	const struct doctor_place at =
		at_fact(w, site_fact(&w->site, SITE_MAX_CONNECTIONS));
	if (files >= (uint64_t)wanted) {
		doctor_fine(d, CHECK_WORKER_DESCRIPTORS, at.text);
		return;
	}
	doctor_tell(d, WORKER_DESCRIPTORS, at.text, site_kind_name(w->site.kind),
		doctor_number((int64_t)files).text, doctor_number(need.connections).text,
		doctor_number(wanted).text, need.limit, need.setting);
}

/* ---- the agent's socket, as workers see it ---- */

static void check_chroot(struct doctor *d, const struct doctor_web *w)
{
	const struct site_fact *f = site_fact(&w->site, SITE_CHROOT);
	char path[2 * DOCTOR_PATH];
	if (!f || w->agent_socket[0] != '/')
		return;
	snprintf(path, sizeof(path), "%s%s", f->value.text, w->agent_socket);
	if (access(path, F_OK) == 0)
		doctor_fine(d, CHECK_CHROOT_SOCKET, at_fact(w, f).text);
	else
		doctor_tell(d, CHROOT_SOCKET, at_fact(w, f).text, f->value.text,
			w->agent_socket);
}

static bool is_temporary(const char *path)
{
	return !strncmp(path, "/tmp/", 5) || !strncmp(path, "/var/tmp/", 9);
}

/* Through /proc/PID/root the process's own files are seen. */
static void check_private_tmp(struct doctor *d, const struct doctor_web *w)
{
	char path[2 * DOCTOR_PATH];
	if (!w->pid || !is_temporary(w->agent_socket) || !proc_has_own_mounts(w->pid))
		return;
	snprintf(path, sizeof(path), "/proc/%d/root%s", w->pid, w->agent_socket);
	if (access(path, F_OK) == 0)
		doctor_fine(d, CHECK_PRIVATE_TMP, path);
	else
		doctor_tell(d, PRIVATE_TMP, doctor_at_pid(w->pid, "root").text,
			site_kind_name(w->site.kind), w->agent_socket);
}

void doctor_web(struct doctor *d, struct doctor_web *w)
{
	check_descriptors(d, w);
	check_chroot(d, w);
	check_private_tmp(d, w);
	if (w->site.kind == SITE_HAPROXY)
		check_haproxy(d, w);
	if (w->site.kind == SITE_NGINX)
		check_nginx(d, w);
}
