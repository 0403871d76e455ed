/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the provider there for a web server: named, activated beside the default one, loadable, and in the
 * memory of the process that runs?
 */
#include "base/conf.h"
#include "cli/doctor.h"
#include "client/local.h"
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE_FILE "keyfleet.so"

/* How each server is told: where OPENSSL_CONF goes, and what to do about it. */
struct kind_facts {
	const char *service, *remedy;
	const char *files[4]; /* where the distribution sets its environment */
};

static const struct kind_facts kinds[SITE_KINDS] = {
	[SITE_NGINX] = { "nginx",
		"systemctl edit nginx    # [Service] "
		"Environment=OPENSSL_CONF=/etc/keyfleet/openssl.cnf   then: systemctl "
		"restart nginx",
		{ "/etc/systemd/system/nginx.service.d/*.conf", NULL } },
	[SITE_APACHE] = { "apache2",
		"echo 'export OPENSSL_CONF=/etc/keyfleet/openssl.cnf' >> "
		"/etc/apache2/envvars && systemctl restart apache2",
		{ "/etc/apache2/envvars", "/etc/systemd/system/apache2.service.d/*.conf",
			NULL } },
	[SITE_HAPROXY] = { "haproxy",
		"add to global of haproxy.cfg:  ssl-provider default  and  ssl-provider "
		"keyfleet   then: systemctl restart haproxy",
		{ "/etc/default/haproxy", "/etc/systemd/system/haproxy.service.d/*.conf",
			NULL } },
	[SITE_STUNNEL] = { "stunnel@NAME",
		"systemctl edit stunnel@NAME    # [Service] "
		"Environment=OPENSSL_CONF=/etc/keyfleet/openssl.cnf   then: systemctl "
		"restart stunnel@NAME",
		{ "/etc/systemd/system/stunnel@.service.d/*.conf",
			"/etc/default/stunnel4", NULL } },
};

const char *doctor_service(enum site_kind kind) { return kinds[kind].service; }

/* OpenSSL prints its folders as `OPENSSLDIR: "/usr/lib/ssl"`. */
static void folder_of_openssl(int which, char *ret, size_t size)
{
	const char *quote = strchr(OpenSSL_version(which), '"');
	snprintf(ret, size, "%.*s", quote ? (int)strcspn(quote + 1, "\"") : 0,
		quote ? quote + 1 : "");
}

static void default_conf(char *ret, size_t size)
{
	char dir[1024];
	folder_of_openssl(OPENSSL_DIR, dir, sizeof(dir));
	snprintf(ret, size, "%s/openssl.cnf", dir);
}

/* ---- which openssl.cnf ---- */

/* OPENSSL_CONF=X in a line of a unit, an envvars or a default file. */
static bool find_assignment(struct slice text, char *ret, size_t size)
{
	static const char name[] = "OPENSSL_CONF=";
	for (; text.n > sizeof(name); text.p++, text.n--) {
		if (memcmp(text.p, name, sizeof(name) - 1) != 0)
			continue;
		const char *v = (const char *)text.p + sizeof(name) - 1;
		size_t room = text.n - (sizeof(name) - 1), n = 0;
		v += *v == '"' || *v == '\'';
		while (n + 1 < room && !strchr(" \t\n\"'", v[n]))
			n++;
		return kf_ok(slice_to_text(
			(struct slice){ (const uint8_t *)v, n }, ret, size));
	}
	return false;
}

struct planned {
	char *ret;
	size_t size;
	bool is_found;
};

static kf_err look_into(void *arg, const char *path)
{
	struct planned *p = arg;
	autobuf text = buf_new(1 << 20), why = buf_new(65536);
	if (kf_ok(conf_read_file(path, &text, &why)) &&
		find_assignment(buf_slice(&text), p->ret, p->size))
		p->is_found = true;
	return KF_OK;
}

/* What it would get when it is started as a service. */
static bool planned_conf(enum site_kind kind, char *ret, size_t size)
{
	struct planned p = { ret, size, false };
	for (const char *const *f = kinds[kind].files; *f && !p.is_found; f++) {
		kf_err e = site_disk.glob(site_disk.arg, *f, look_into, &p);
		(void)e; /* what cannot be read sets nothing */
	}
	return p.is_found;
}

static void use_default(struct doctor_web *w)
{
	default_conf(w->openssl_path, sizeof(w->openssl_path));
	w->is_default_conf = true;
}

static void find_conf(const struct doctor *d, struct doctor_web *w)
{
	kf_err e = w->pid ? proc_getenv(w->pid, "OPENSSL_CONF", w->openssl_path,
				    sizeof(w->openssl_path))
			  : kf_fail(UNAVAILABLE, "no process");
	w->is_conf_known = kf_ok(e) || kf_is(e, KF_E_NOT_FOUND);
	if (kf_ok(e))
		return;
	if (kf_is(e, KF_E_NOT_FOUND))
		use_default(w);
	else if (d->openssl_path)
		snprintf(w->openssl_path, sizeof(w->openssl_path), "%s", d->openssl_path);
	else if (!planned_conf(w->site.kind, w->openssl_path, sizeof(w->openssl_path)))
		use_default(w);
}

/* ---- what it says ---- */

static const char *place(const struct openssl_option *o, struct doctor_place *room)
{
	*room = doctor_at(o ? o->file : NULL, o ? o->line : 0);
	return room->text;
}

static void check_default(struct doctor *d, const struct doctor_web *w)
{
	const struct openssl_conf *c = &w->openssl;
	struct doctor_place at;
	if (!c->base.is_active)
		doctor_tell(
			d, PROVIDER_DEFAULT, place(c->keyfleet.named, &at), c->providers);
	else if (c->base.named > c->keyfleet.named)
		doctor_tell(d, PROVIDER_ORDER, place(c->keyfleet.named, &at), "");
	else
		doctor_fine(d, CHECK_PROVIDER_DEFAULT, place(c->base.activate, &at));
}

static void module_path(const struct doctor_web *w, char *ret, size_t size)
{
	char dir[1024];
	const char *module = openssl_conf_keyfleet(&w->openssl, "module");
	folder_of_openssl(OPENSSL_MODULES_DIR, dir, sizeof(dir));
	if (!module)
		snprintf(ret, size, "%s/" MODULE_FILE, dir);
	else if (module[0] == '/')
		snprintf(ret, size, "%s", module);
	else
		snprintf(ret, size, "%s/%s", dir, module);
}

/* dlerror() begins with the path, which is said already. */
static const char *loading_fails(const char *path)
{
	if (access(path, R_OK))
		return "this user may not read it";
	void *module = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (!module)
		return dlerror();
	bool is_provider = dlsym(module, "OSSL_provider_init");
	dlclose(module);
	return is_provider ? NULL : "it is no OpenSSL provider";
}

static bool may_load(struct doctor *d, struct doctor_web *w, const char *conf,
	const char *module, const char **ret_why)
{
	char real[DOCTOR_PATH];
	*ret_why = NULL;
	if (access(module, F_OK))
		*ret_why = "there is no such file";
	else if (doctor_may_load(conf, real) && doctor_may_load(module, real))
		*ret_why = loading_fails(real);
	else {
		doctor_unseen(d, CHECK_PROVIDER_MODULE, module,
			"others than root can change it, or the file that names it: "
			"it is not loaded as root");
		return false;
	}
	w->may_load = true;
	return true;
}

static void check_module(struct doctor *d, struct doctor_web *w)
{
	char path[DOCTOR_PATH], dir[1024], installed[DOCTOR_PATH];
	const char *why;
	struct doctor_place at;
	const struct openssl_conf *c = &w->openssl;
	const struct openssl_option *o =
		openssl_conf_find(c, c->keyfleet.section, "module");
	module_path(w, path, sizeof(path));
	folder_of_openssl(OPENSSL_MODULES_DIR, dir, sizeof(dir));
	snprintf(installed, sizeof(installed), "%s/" MODULE_FILE, dir);
	if (!may_load(d, w, w->openssl_path, path, &why))
		return;
	if (why)
		doctor_tell(d, PROVIDER_MODULE, place(o ? o : c->keyfleet.named, &at),
			path, why, c->keyfleet.section,
			access(installed, F_OK) ? "none" : installed);
	else
		doctor_fine(d, CHECK_PROVIDER_MODULE, path);
}

/* As the provider reads them. */
static bool get_number(const char *text, unsigned long max, int64_t *ret)
{
	char *end;
	unsigned long v =
		text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : max + 1;
	if (v > max || *end)
		return false;
	*ret = (int64_t)v;
	return true;
}

static void check_number(struct doctor *d, const struct doctor_web *w, const char *key,
	unsigned long max, int64_t *ret)
{
	const struct openssl_conf *c = &w->openssl;
	const struct openssl_option *o = openssl_conf_find(c, c->keyfleet.section, key);
	struct doctor_place at;
	if (!o || !*o->value || get_number(o->value, max, ret))
		return;
	doctor_tell(d, PROVIDER_NUMBERS, place(o, &at), key, o->value);
}

static void check_parameters(struct doctor *d, struct doctor_web *w)
{
	const struct openssl_conf *c = &w->openssl;
	const struct openssl_option *socket =
		openssl_conf_find(c, c->keyfleet.section, "agent-socket");
	struct doctor_place at;
	check_number(d, w, "agent-uid", UINT32_MAX - 1, &w->agent_uid);
	check_number(d, w, "deadline-ms", 600000, &w->deadline_ms);
	if (!socket || !*socket->value)
		return;
	if (socket->value[0] != '@' && socket->value[0] != '/')
		doctor_tell(d, PROVIDER_SOCKET, place(socket, &at), socket->value);
	else
		snprintf(w->agent_socket, sizeof(w->agent_socket), "%s", socket->value);
}

static void check_conf(struct doctor *d, struct doctor_web *w)
{
	const struct openssl_conf *c = &w->openssl;
	struct doctor_place at;
	doctor_fine(d, CHECK_PROVIDER_NAMED, place(c->keyfleet.named, &at));
	if (!c->keyfleet.is_active)
		doctor_tell(d, PROVIDER_ACTIVE,
			place(c->keyfleet.activate ? c->keyfleet.activate
						   : c->keyfleet.named,
				&at),
			c->keyfleet.section);
	else
		doctor_fine(d, CHECK_PROVIDER_ACTIVE, place(c->keyfleet.activate, &at));
	check_default(d, w);
	check_module(d, w);
	check_parameters(d, w);
}

/* ---- HAProxy's own keywords ---- */

static void check_provider_path(struct doctor *d, struct doctor_web *w)
{
	const char *why;
	char dir[1024], path[DOCTOR_PATH];
	const struct site_fact *f = site_fact(&w->site, SITE_PROVIDER_PATH);
	folder_of_openssl(OPENSSL_MODULES_DIR, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/" MODULE_FILE, f ? f->value.text : dir);
	if (!may_load(d, w, w->site.file, path, &why))
		return;
	const struct doctor_place at =
		doctor_at(f ? f->value.file : w->site.file, f ? f->value.line : 0);
	if (why)
		doctor_tell(d, HAPROXY_PATH, at.text, f ? f->value.text : dir, why, dir);
	else
		doctor_fine(d, CHECK_HAPROXY_PATH, at.text);
}

static const char *variable(
	const struct doctor_web *w, const char *name, char *room, size_t size)
{
	return w->pid && kf_ok(proc_getenv(w->pid, name, room, size)) ? room : NULL;
}

/* Without an openssl.cnf the provider asks the environment. */
static void read_environment(struct doctor_web *w)
{
	char room[DOCTOR_PATH];
	const char *v = variable(w, "KEYFLEET_AGENT_SOCKET", room, sizeof(room));
	if (v)
		snprintf(w->agent_socket, sizeof(w->agent_socket), "%s", v);
	if ((v = variable(w, "KEYFLEET_AGENT_UID", room, sizeof(room))))
		w->agent_uid = strtoll(v, NULL, 10);
	if ((v = variable(w, "KEYFLEET_DEADLINE_MS", room, sizeof(room))))
		w->deadline_ms = strtoll(v, NULL, 10);
}

/* True: its own keywords load the provider. */
static bool check_keywords(struct doctor *d, struct doctor_web *w)
{
	const struct site_value *ours = NULL;
	bool has_default = false;
	for (size_t i = 0; i < w->site.n_facts && !ours; i++) {
		const struct site_fact *f = &w->site.facts[i];
		if (f->id == SITE_PROVIDER && !strcmp(f->value.text, "keyfleet"))
			ours = &f->value;
		else if (f->id == SITE_PROVIDER && !strcmp(f->value.text, "default"))
			has_default = true;
	}
	if (!ours)
		return false;
	const struct doctor_place at = doctor_at(ours->file, ours->line);
	doctor_fine(d, CHECK_HAPROXY_PROVIDER, at.text);
	if (!has_default)
		doctor_tell(d, HAPROXY_DEFAULT, at.text, "");
	check_provider_path(d, w);
	read_environment(w);
	w->has_provider = true;
	return true;
}

/* ---- the process ---- */

static void tell_absent(struct doctor *d, const struct doctor_web *w)
{
	const struct kind_facts *k = &kinds[w->site.kind];
	const struct doctor_number pid = doctor_number(w->pid);
	const struct doctor_place at =
		w->pid ? doctor_at_pid(w->pid, "environ") : doctor_at(w->site.file, 0);
	char usual[DOCTOR_PATH];
	default_conf(usual, sizeof(usual));
	if (w->site.kind == SITE_HAPROXY)
		doctor_tell(d, HAPROXY_PROVIDER, w->site.file, w->site.file);
	else
		doctor_tell(d, PROVIDER_ENV, at.text, k->service,
			w->pid ? pid.text : "not running", usual, k->remedy);
}

static void check_process(struct doctor *d, const struct doctor_web *w)
{
	const char *service = kinds[w->site.kind].service;
	const struct doctor_place at = doctor_at_pid(w->pid, "maps");
	const struct doctor_number pid = doctor_number(w->pid);
	switch (proc_maps(w->pid, MODULE_FILE)) {
	case PROC_UNSEEN:
		doctor_unseen(d, CHECK_PROVIDER_LOADED, at.text, "needs root");
		break;
	case PROC_ABSENT:
		doctor_tell(d, PROVIDER_LOADED, at.text, service, pid.text);
		break;
	case PROC_REPLACED:
		doctor_tell(d, PROVIDER_CURRENT, at.text, service, pid.text);
		break;
	case PROC_MAPPED: doctor_fine(d, CHECK_PROVIDER_LOADED, at.text); break;
	}
}

/* What a process of nginx that has the provider was told cannot be read: it overwrites its environment. */
static bool was_told(const struct doctor_web *w)
{
	return !w->is_conf_known && w->pid &&
	       proc_maps(w->pid, MODULE_FILE) >= PROC_MAPPED;
}

static void check_file(struct doctor *d, struct doctor_web *w)
{
	kf_err e = openssl_conf_read(w->openssl_path, &w->openssl);
	bool is_named = kf_ok(e) && w->openssl.keyfleet.named;
	w->has_provider = is_named;
	if (is_named)
		check_conf(d, w);
	else if (was_told(w))
		doctor_unseen(d, CHECK_PROVIDER_NAMED, w->openssl_path,
			"the server has the provider, from another file; "
			"name it with --openssl-conf");
	else if (w->is_default_conf)
		tell_absent(d, w);
	else if (!kf_ok(e))
		doctor_tell(
			d, OPENSSL_FILE, w->openssl_path, w->openssl_path, e.site->text);
	else
		doctor_tell(d, PROVIDER_NAMED, w->openssl_path, w->openssl_path);
	if (w->pid && (is_named || was_told(w)))
		check_process(d, w);
}

void doctor_provider(struct doctor *d, struct doctor_web *w)
{
	w->deadline_ms = LOCAL_DEADLINE_MS;
	if (w->site.kind == SITE_HAPROXY && check_keywords(d, w)) {
		if (w->pid)
			check_process(d, w);
		return;
	}
	find_conf(d, w);
	check_file(d, w);
}
