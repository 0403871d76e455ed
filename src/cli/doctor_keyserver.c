/* SPDX-License-Identifier: Apache-2.0
 *
 * A key server, from its own host.
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "cli/doctor_wire.h"
#include "crypt/keyring.h"
#include "net/tls.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What holds when keyfleetd.conf says nothing: tests/scenario/doctor.py compares it with
 * keyfleetd --options. */
#define DEFAULTS(X)                                                                      \
	X(tls, certificate, "server.pem")                                                \
	X(tls, key, "server.key")                                                        \
	X(store, location, "sqlite:keyfleet.db")                                         \
	X(store, master_key, "master.key")                                               \
	X(audit, directory, "audit")                                                     \
	X(audit, segment, "64M")                                                         \
	X(server, secret_memory, "4M")                                                   \
	X(server, listen, "[::]:5696")                                                   \
	X(server, address_file, "address")                                               \
	X(limits, connections, "16384")

struct option_default {
	const char *section, *key, *initial;
};

static const struct option_default defaults[] = {
#define X(section, key, initial) { #section, #key, initial },
	DEFAULTS(X)
#undef X
};

struct setting {
	const char *value;
	struct doctor_place at;
	char path[DOCTOR_PATH]; /* the value as a path */
};

static void get(
	const struct doctor *d, const char *section, const char *key, struct setting *ret)
{
	const struct doctor_conf *c = &d->server_conf;
	const struct doctor_option *o = doctor_conf_find(c, section, key);
	const char *initial = "";
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		if (!strcmp(defaults[i].section, section) &&
			!strcmp(defaults[i].key, key))
			initial = defaults[i].initial;
	ret->value = o ? o->value : initial;
	ret->at = doctor_at(c->path, o ? o->line : 0);
	if (!kf_ok(doctor_conf_path(c, ret->value, ret->path, sizeof(ret->path))))
		ret->path[0] = 0;
}

/* ---- files ---- */

static void check_owner(struct doctor *d, const char *path)
{
	struct stat st;
	uid_t uid;
	gid_t gid;
	char runs_as[32], belongs_to[32];
	if (!d->keyserver_pid || !proc_worker(d->keyserver_pid, &uid, &gid) ||
		stat(path, &st) || uid == 0)
		return;
	if (st.st_uid == uid) {
		doctor_fine(d, CHECK_KEYSERVER_OWNER, path);
		return;
	}
	const struct passwd *p = getpwuid(uid);
	snprintf(
		runs_as, sizeof(runs_as), "%s", p ? p->pw_name : doctor_number(uid).text);
	p = getpwuid(st.st_uid);
	snprintf(belongs_to, sizeof(belongs_to), "%s",
		p ? p->pw_name : doctor_number(st.st_uid).text);
	doctor_tell(d, KEYSERVER_OWNER, path, path, belongs_to, runs_as);
}

static void check_secret(struct doctor *d, const struct setting *s)
{
	char mode[8];
	if (access(s->path, F_OK))
		return;
	if (doctor_is_open(s->path, false, mode))
		doctor_tell(d, KEYSERVER_SECRET, s->at.text, s->path, mode);
	else
		doctor_fine(d, CHECK_KEYSERVER_SECRET, s->path);
	check_owner(d, s->path);
}

static bool has_master_credential(const struct doctor *d)
{
	struct setting s;
	get(d, "store", "master_key", &s);
	return doctor_is_credential(s.value) ||
	       doctor_conf_find(&d->server_conf, "store", "master_key_credential");
}

static void check_master(struct doctor *d)
{
	struct setting s;
	struct keyring *ring = NULL;
	unsigned line = 0;
	if (has_master_credential(d)) {
		doctor_unseen(d, CHECK_MASTER_KEY, d->server_path,
			"they are a credential of the unit");
		return;
	}
	get(d, "store", "master_key", &s);
	if (access(s.path, F_OK) == 0 && access(s.path, R_OK)) {
		doctor_unseen(d, CHECK_MASTER_KEY, s.path, "this user may not read it");
		return;
	}
	check_secret(d, &s);
	kf_err e = keyring_load(s.path, &line, &ring);
	if (kf_ok(e))
		doctor_fine(d, CHECK_MASTER_KEY, s.path);
	else
		doctor_tell(d, MASTER_KEY, doctor_at(s.path, line).text, s.path,
			e.site->text);
	keyring_free(ring);
}

/* ---- certificate ---- */

static void check_dates(struct doctor *d, const struct setting *s, const X509 *x)
{
	const struct doctor_dates dates = doctor_dates(x);
	char dir[DOCTOR_PATH];
	const char *slash = strrchr(d->server_path, '/');
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - d->server_path) : 1,
		slash ? d->server_path : ".");
	if (dates.validity == CERT_SOON)
		doctor_tell(d, KEYSERVER_EXPIRES, s->at.text, s->path, dates.date, dir);
	else if (dates.validity == CERT_FINE)
		doctor_fine(d, CHECK_KEYSERVER_VALID, s->path);
	else
		doctor_tell(d, KEYSERVER_VALID, s->at.text, s->path, dates.word,
			dates.date, dir);
}

static void check_pair(struct doctor *d, const struct setting *s, const X509 *x)
{
	struct setting key;
	const char *why = NULL;
	get(d, "tls", "key", &key);
	if (strncmp(key.value, "pool:", 5) == 0) {
		doctor_unseen(d, CHECK_KEYSERVER_PAIR, key.value,
			"it is on tokens, which the key server uses");
		return;
	}
	check_secret(d, &key);
	EVP_PKEY *k = doctor_key_open(key.path, &why);
	if (!k)
		doctor_unseen(d, CHECK_KEYSERVER_PAIR, key.path, why);
	else if (EVP_PKEY_eq(k, X509_get0_pubkey(x)) == 1)
		doctor_fine(d, CHECK_KEYSERVER_PAIR, key.path);
	else
		doctor_tell(d, KEYSERVER_PAIR, key.at.text, key.path, s->path);
	EVP_PKEY_free(k);
}

static void check_certificate(struct doctor *d)
{
	struct setting s;
	const char *why = NULL;
	get(d, "tls", "certificate", &s);
	X509 *x = doctor_cert_open(s.path, &why);
	if (!x) {
		doctor_unseen(d, CHECK_KEYSERVER_VALID, s.path, why);
		return;
	}
	check_dates(d, &s, x);
	check_pair(d, &s, x);
	if (tls_has_role(x, true))
		doctor_fine(d, CHECK_KEYSERVER_ROLE, s.path);
	else
		doctor_tell(d, KEYSERVER_ROLE, s.at.text, s.path);
	X509_free(x);
}

/* ---- store and audit ---- */

static void check_store(struct doctor *d)
{
	struct setting s;
	char path[DOCTOR_PATH];
	get(d, "store", "location", &s);
	if (!strncmp(s.value, "postgresql:", 11))
		doctor_postgresql(d, s.value + 11, s.at.text);
	else if (!strncmp(s.value, "sqlite:", 7) &&
		 kf_ok(doctor_conf_path(
			 &d->server_conf, s.value + 7, path, sizeof(path))))
		doctor_sqlite(d, path);
}

static void check_space(struct doctor *d, const char *dir)
{
	struct setting segment;
	struct statvfs fs;
	get(d, "audit", "segment", &segment);
	int64_t size = doctor_conf_size(segment.value);
	if (size <= 0 || statvfs(dir, &fs)) {
		doctor_unseen(d, CHECK_AUDIT_SPACE, dir, strerror(errno));
		return;
	}
	int64_t left = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	const struct doctor_number have = doctor_number(left >> 20),
				   want = doctor_number(2 * size >> 20);
	if (left < 2 * size)
		doctor_tell(d, AUDIT_SPACE, segment.at.text, dir, have.text, want.text);
	else
		doctor_fine(d, CHECK_AUDIT_SPACE, dir);
}

/* ---- the process ---- */

static void check_limit(struct doctor *d, enum doctor_check check, const char *limit,
	const struct setting *wanted)
{
	uint64_t have;
	const struct doctor_place at = doctor_at_pid(d->keyserver_pid, "limits");
	if (!kf_ok(proc_limit(d->keyserver_pid, limit, &have)))
		return;
	const struct doctor_number pid = doctor_number(d->keyserver_pid),
				   number = doctor_number((int64_t)have);
	const char *const facts[] = { pid.text, number.text, wanted->value, NULL };
	if ((int64_t)have >= 0 && (int64_t)have < doctor_conf_size(wanted->value))
		doctor_add(d, check, at.text, facts);
	else
		doctor_fine(d, check, at.text);
}

static void check_process(struct doctor *d)
{
	struct setting memory, connections;
	uint64_t core;
	const struct doctor_place at = doctor_at_pid(d->keyserver_pid, "limits");
	get(d, "server", "secret_memory", &memory);
	get(d, "limits", "connections", &connections);
	check_limit(d, CHECK_KEYSERVER_MEMORY, "Max locked memory", &memory);
	check_limit(d, CHECK_KEYSERVER_FILES, "Max open files", &connections);
	if (!kf_ok(proc_limit(d->keyserver_pid, "Max core file size", &core)))
		return;
	if (core)
		doctor_tell(d, KEYSERVER_CORE, at.text,
			doctor_number(d->keyserver_pid).text,
			"Max core file size is not 0");
	else
		doctor_fine(d, CHECK_KEYSERVER_CORE, at.text);
}

/* The port may be one that the system chose: then it is in a file. */
static void listener(struct doctor *d, char *ret, size_t size)
{
	struct setting file, listen;
	get(d, "server", "address_file", &file);
	get(d, "server", "listen", &listen);
	if (access(file.path, R_OK) == 0) {
		snprintf(ret, size, "file:%s", file.path);
		return;
	}
	bool is_any =
		!strncmp(listen.value, "[::]", 4) || !strncmp(listen.value, "0.0.0.0", 7);
	const char *colon = strrchr(listen.value, ':');
	snprintf(ret, size, "%s%.*s", is_any ? "127.0.0.1" : "",
		(int)strcspn(is_any ? colon : listen.value, ", "),
		is_any ? colon : listen.value);
}

static void check_listener(struct doctor *d)
{
	char address[DOCTOR_PATH + 8];
	const struct settings nobody = { .connect_timeout_ms = 2000 };
	struct wire w;
	listener(d, address, sizeof(address));
	wire_open(&w, &nobody, address);
	if (w.step <= WIRE_TCP)
		doctor_tell(d, KEYSERVER_RUNS, address, address, w.why);
	else
		doctor_fine(d, CHECK_KEYSERVER_RUNS, address);
	wire_close(&w);
}

/* ---- its configuration ---- */

static void check_config(struct doctor *d)
{
	const char *const argv[] = { "keyfleetd", "--config", d->server_path, "--check",
		NULL };
	autobuf errors = buf_new(65536);
	int status = 0;
	struct setting key;
	get(d, "tls", "key", &key);
	bool is_hidden = doctor_is_credential(key.value) || has_master_credential(d) ||
			 (access(key.path, R_OK) && errno == EACCES);
	kf_err e = is_hidden ? kf_fail(DENIED, "its keys are not for this user, or are "
					       "the unit's")
			     : proc_run(argv, &errors, &status);
	if (!kf_ok(e)) {
		doctor_unseen(d, CHECK_KEYSERVER_CONFIG, d->server_path, e.site->text);
		return;
	}
	if (status == 0) {
		doctor_fine(d, CHECK_KEYSERVER_CONFIG, d->server_path);
		return;
	}
	const struct doctor_line line =
		doctor_first_line(&errors, "keyfleetd --check found a mistake");
	doctor_tell(d, KEYSERVER_CONFIG, d->server_path, line.text, d->server_path);
}

void doctor_keyserver(struct doctor *d)
{
	const struct proc_wish wish = { "keyfleetd", d->server_path, true };
	struct setting audit;
	d->keyserver_pid = proc_find(&wish);
	kf_err e = doctor_conf_read(d->server_path, &d->server_conf);
	if (kf_is(e, KF_E_DENIED)) {
		doctor_unseen(d, CHECK_KEYSERVER_CONFIG, d->server_path, e.site->text);
		return;
	}
	if (!kf_ok(e)) {
		doctor_tell(d, KEYSERVER_CONFIG, d->server_path, e.site->text,
			d->server_path);
		return;
	}
	check_config(d);
	check_listener(d);
	check_certificate(d);
	check_master(d);
	check_store(d);
	get(d, "audit", "directory", &audit);
	check_space(d, audit.path);
	doctor_backup_age(d, audit.path);
	doctor_pools(d);
	doctor_authorities(d);
	if (d->keyserver_pid)
		check_process(d);
}
