/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet doctor: looks at a web host or a key server and says what is wrong, where, and what helps.
 */
#include "cli/doctor.h"
#include "cli/doctor_explain.h"
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT_CONF  "/etc/keyfleet/agent.conf"
#define SERVER_CONF "/etc/keyfleet/keyfleetd.conf"

struct wishes {
	const char *web, *log, *agent_config, *server_config, *openssl_conf, *units;
	bool is_agent, is_server, is_quick, is_list;
};

/* ---- what there is to look at ---- */

/* The process's name, as its kernel knows it. */
static const char *const comms[SITE_KINDS][2] = {
	[SITE_NGINX] = { "nginx", NULL },
	[SITE_APACHE] = { "apache2", "httpd" },
	[SITE_HAPROXY] = { "haproxy", NULL },
	[SITE_STUNNEL] = { "stunnel", "stunnel4" },
};

/* Whom workers run as while none runs. */
static const char *const users[SITE_KINDS] = {
	[SITE_NGINX] = "www-data",
	[SITE_APACHE] = "www-data",
	[SITE_HAPROXY] = "haproxy",
	[SITE_STUNNEL] = "root",
};

static void find_worker(struct doctor_web *w)
{
	const struct site_fact *f = site_fact(&w->site, SITE_USER);
	w->uid = geteuid();
	w->gid = getegid();
	if (w->pid) {
		proc_worker(w->pid, &w->uid, &w->gid);
		return;
	}
	char name[64];
	const char *text = f && *f->value.text ? f->value.text : users[w->site.kind];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, " "), text);
	const struct passwd *p = geteuid() ? NULL : getpwnam(name);
	if (p) {
		w->uid = p->pw_uid;
		w->gid = p->pw_gid;
	}
}

static void find_process(struct doctor_web *w, bool is_usual_file)
{
	for (size_t i = 0; i < 2 && comms[w->site.kind][i] && !w->pid; i++) {
		const struct proc_wish wish = { comms[w->site.kind][i], w->site.file,
			is_usual_file };
		w->pid = proc_find(&wish);
	}
}

static void tell_unreadable(struct doctor *d, enum site_kind kind, const char *file,
	const struct buf *why, kf_err e)
{
	char otherwise[DOCTOR_PATH];
	snprintf(otherwise, sizeof(otherwise), "%s: %s", file, e.site->text);
	const struct doctor_line line = doctor_first_line(why, otherwise);
	if (kf_is(e, KF_E_DENIED) || kf_is(e, KF_E_FEATURE) || kf_is(e, KF_E_UNSUPPORTED))
		doctor_unseen(d, CHECK_WEB_READABLE, file, e.site->text);
	else
		doctor_tell(d, WEB_READABLE, file, line.text, site_kind_name(kind));
}

static void add_web(
	struct doctor *d, enum site_kind kind, const char *file, bool is_usual_file)
{
	if (d->webs == DOCTOR_WEBS)
		return;
	struct doctor_web *w = &d->web[d->webs];
	autobuf why = buf_new(1 << 20);
	kf_err e = site_read(kind, file, NULL, &w->site, &why);
	if (!kf_ok(e))
		tell_unreadable(d, kind, file, &why, e);
	else
		doctor_fine(d, CHECK_WEB_READABLE, file);
	if (!w->site.file)
		return;
	d->webs++;
	find_process(w, is_usual_file);
	find_worker(w);
}

/* KIND or KIND:FILE. */
static kf_err add_wish(struct doctor *d, const char *wish, size_t n)
{
	char name[DOCTOR_PATH];
	enum site_kind kind;
	KF_TRY(slice_to_text(
		(struct slice){ (const uint8_t *)wish, n }, name, sizeof(name)));
	char *file = strchr(name, ':');
	if (file)
		*file++ = 0;
	if (!site_kind_find(name, &kind)) {
		cli_note(d->cli, "--web: %s is no web server that is known here", name);
		return kf_fail(INVALID_FIELD, "there is nginx, apache, haproxy, stunnel");
	}
	add_web(d, kind, file ? file : site_default_file(kind), !file);
	return KF_OK;
}

static kf_err add_wishes(struct doctor *d, const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		KF_TRY(add_wish(d, list, n));
		list += n + (list[n] == ',');
	}
	return KF_OK;
}

static void find_webs(struct doctor *d)
{
	for (int k = 0; k < SITE_KINDS; k++) {
		const char *file = site_default_file((enum site_kind)k);
		if (file && access(file, F_OK) == 0)
			add_web(d, (enum site_kind)k, file, true);
	}
}

/* What was asked for, else what this host has. */
static kf_err choose(struct doctor *d, const struct wishes *w)
{
	d->agent_path = w->agent_config ? w->agent_config : AGENT_CONF;
	d->server_path = w->server_config ? w->server_config : SERVER_CONF;
	d->openssl_path = w->openssl_conf ? w->openssl_conf : getenv("OPENSSL_CONF");
	d->units_path = w->units ? w->units : "/etc/systemd/system";
	d->has_no_handshakes = w->is_quick;
	bool is_told = w->web || w->is_agent || w->agent_config || w->is_server ||
		       w->server_config;
	d->looks_at_server = w->is_server || w->server_config ||
			     (!is_told && access(d->server_path, F_OK) == 0);
	d->looks_at_agent = w->is_agent || w->agent_config || w->web ||
			    (!is_told && access(d->agent_path, F_OK) == 0);
	if (w->web)
		return add_wishes(d, w->web);
	if (!is_told)
		find_webs(d);
	return KF_OK;
}

/* ---- the key servers of this host's agent, or of the administrator's configuration ---- */

static kf_err read_client_section(struct doctor *d)
{
	static const struct conf_section sections[] = { { "client", 0, 0, "" } };
	static const struct conf_option options[] = { SETTINGS_ROWS("client", 0) };
	static const struct conf_table table = CONF_TABLE(sections, options);
	autobuf text = buf_new(1 << 20), why = buf_new(65536);
	for (size_t i = 0; i < d->agent_conf.n; i++) {
		const struct doctor_option *o = &d->agent_conf.item[i];
		if (strcmp(o->section, "client") != 0)
			continue;
		/* A credential is a file of the unit: its name is kept, and no file found. */
		buf_printf(&text, "%s%s = \"%s%s\"\n", text.n ? "" : "[client]\n", o->key,
			doctor_is_credential(o->value) ? "/" : "", o->value);
	}
	KF_TRY(conf_parse(&table, d->agent_path, buf_slice(&text), &d->servers, &why));
	return settings_check(d->agent_path, "client", &d->servers, &why);
}

static void read_servers(struct doctor *d)
{
	if (!d->looks_at_agent || d->has_servers)
		return;
	kf_err e = d->agent_conf.n ? read_client_section(d)
				   : kf_fail(NOT_FOUND, "agent.conf was not read");
	d->has_servers = kf_ok(e);
	if (!kf_ok(e) && d->agent_conf.n)
		doctor_unseen(d, CHECK_SERVER_REACHABLE, d->agent_path,
			"[client] names no key servers that can be asked");
}

/* ---- all of it ---- */

static void look_at_webs(struct doctor *d)
{
	for (size_t i = 0; i < d->webs; i++) {
		struct doctor_web *w = &d->web[i];
		doctor_pairs(d, w);
		if (!w->references)
			continue;
		if (w->pid)
			doctor_fine(d, CHECK_WEB_RUNNING, w->site.file);
		else
			doctor_tell(d, WEB_RUNNING, w->site.file,
				site_kind_name(w->site.kind),
				doctor_service(w->site.kind));
		doctor_provider(d, w);
	}
}

static void look_at_web_settings(struct doctor *d)
{
	for (size_t i = 0; i < d->webs; i++) {
		if (!d->web[i].references)
			continue;
		doctor_web(d, &d->web[i]);
		if (d->has_no_handshakes)
			continue;
		doctor_handshakes(d, &d->web[i]);
		doctor_listeners(d, &d->web[i]);
	}
}

static void look(struct doctor *d)
{
	doctor_host(d);
	look_at_webs(d);
	if (d->looks_at_agent)
		doctor_agent(d);
	read_servers(d);
	doctor_network(d);
	look_at_web_settings(d);
	if (d->looks_at_server)
		doctor_keyserver(d);
	doctor_units(d);
}

static void clear(struct doctor *d)
{
	for (size_t i = 0; i < d->webs; i++) {
		site_free(&d->web[i].site);
		openssl_conf_free(&d->web[i].openssl);
	}
	doctor_conf_free(&d->agent_conf);
	doctor_conf_free(&d->server_conf);
	settings_free(&d->servers);
	doctor_forget(d);
	free(d->refs);
	free(d);
}

static kf_err examine(struct cli *c, const struct wishes *w)
{
	struct doctor *d = calloc(1, sizeof(*d));
	if (!d)
		return kf_fail(NOMEM, "findings");
	d->cli = c;
	d->known = map_new();
	signal(SIGPIPE,
		SIG_IGN); /* servers that end a connection are news, not our end */
	kf_err e = choose(d, w);
	if (kf_ok(e) && !d->webs && !d->looks_at_agent && !d->looks_at_server &&
		!d->n_findings)
		e = kf_fail(NOT_FOUND, "nothing of keyfleet is configured here; say "
				       "--web, --agent or --server");
	if (kf_ok(e)) {
		look(d);
		c->exit_status = doctor_print(d);
	}
	clear(d);
	return e;
}

static kf_err run(struct cli *c)
{
	struct wishes w = { 0 };
	const struct cli_option options[] = {
		{ "web", &w.web, NULL },
		{ "agent", NULL, &w.is_agent },
		{ "agent-config", &w.agent_config, NULL },
		{ "server", NULL, &w.is_server },
		{ "server-config", &w.server_config, NULL },
		{ "openssl-conf", &w.openssl_conf, NULL },
		{ "units", &w.units, NULL },
		{ "log", &w.log, NULL },
		{ "no-handshake", NULL, &w.is_quick },
		{ "checks", NULL, &w.is_list },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 0, 0));
	if (w.is_list) {
		doctor_list_checks();
		return KF_OK;
	}
	return w.log ? doctor_explain(c, w.log) : examine(c, &w);
}

const struct command command_doctor = {
	.words = "doctor",
	.args = "[--web KIND[:FILE],...] [--agent] [--server] [--log FILE]",
	.summary = "find what is wrong on a web host or a key server, and the remedy",
	.help = "Without options it looks at what is configured on this host.  It "
		"changes "
		"nothing and\n"
		"prints no secrets; root sees most.  Exit status: 0 fine, 1 warnings, 2 "
		"failures.\n\n"
		"  --web KIND[:FILE],...  web servers: nginx, apache, haproxy, stunnel, "
		"with their\n"
		"                         configuration when it is not the "
		"distribution's\n"
		"  --agent                the agent and its way to the key servers\n"
		"  --agent-config FILE    its configuration (" AGENT_CONF ")\n"
		"  --server               the key server on this host\n"
		"  --server-config FILE   its configuration (" SERVER_CONF ")\n"
		"  --openssl-conf FILE    what web servers have in OPENSSL_CONF, where "
		"that cannot be seen\n"
		"  --units DIR            where drop-ins of units are "
		"(/etc/systemd/system)\n"
		"  --no-handshake         make no handshakes\n"
		"  --log FILE             explain the lines of an error log or a "
		"configuration test\n"
		"                         that are about key references; - is standard "
		"input\n"
		"  --checks               print what is looked at, and the remedies\n",
	.run = run,
};
