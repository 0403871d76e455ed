/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent of this host: its configuration, whose its socket is, whether it answers, and whom it serves.
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "client/local.h"
#include "kmip/query.h"
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- agent.conf ---- */

/* Its key is for its own user and root: others would be told that it cannot be read. */
static bool may_judge(const struct doctor *d)
{
	char path[DOCTOR_PATH];
	const struct doctor_option *key =
		doctor_conf_find(&d->agent_conf, "client", "key");
	return !key ||
	       !kf_ok(doctor_conf_path(&d->agent_conf, key->value, path, sizeof(path))) ||
	       (!doctor_is_credential(key->value) &&
		       (access(path, R_OK) == 0 || errno != EACCES));
}

/* The program itself judges: what it says is what a reload would say. */
static void check_config(struct doctor *d)
{
	const char *const argv[] = { "keyfleet-agent", "--config", d->agent_path,
		"--check", NULL };
	autobuf errors = buf_new(65536);
	int status = 0;
	kf_err e = may_judge(d)
			   ? proc_run(argv, &errors, &status)
			   : kf_fail(DENIED,
				     "its key is not for this user, or is the unit's");
	if (!kf_ok(e)) {
		doctor_unseen(d, CHECK_AGENT_CONFIG, d->agent_path, e.site->text);
		return;
	}
	if (status == 0) {
		doctor_fine(d, CHECK_AGENT_CONFIG, d->agent_path);
		return;
	}
	const struct doctor_line line =
		doctor_first_line(&errors, "keyfleet-agent --check found a mistake");
	doctor_tell(d, AGENT_CONFIG, d->agent_path, line.text, d->agent_path);
}

static void check_secret(struct doctor *d)
{
	const struct doctor_option *key =
		doctor_conf_find(&d->agent_conf, "client", "key");
	char path[DOCTOR_PATH], mode[8];
	if (!key ||
		!kf_ok(doctor_conf_path(&d->agent_conf, key->value, path, sizeof(path))))
		return;
	const struct doctor_place at = doctor_at(d->agent_path, key->line);
	if (doctor_is_open(path, false, mode))
		doctor_tell(d, AGENT_SECRET, at.text, path, mode);
	else if (access(path, F_OK) == 0)
		doctor_fine(d, CHECK_AGENT_SECRET, at.text);
}

/* ---- its process ---- */

static void check_core(struct doctor *d, enum doctor_check check, pid_t pid)
{
	uint64_t core;
	const struct doctor_place at = doctor_at_pid(pid, "limits");
	const struct doctor_number number = doctor_number(pid);
	if (!kf_ok(proc_limit(pid, "Max core file size", &core)))
		return;
	const char *const facts[] = { number.text, "Max core file size is not 0", NULL };
	if (core)
		doctor_add(d, check, at.text, facts);
	else
		doctor_fine(d, check, at.text);
}

static void check_process(struct doctor *d)
{
	uint64_t locked, files;
	const struct doctor_place at = doctor_at_pid(d->agent_pid, "limits");
	const struct doctor_number pid = doctor_number(d->agent_pid);
	const char *most =
		doctor_conf_get(&d->agent_conf, "agent", "connections_max", "16384");
	if (!kf_ok(proc_limit(d->agent_pid, "Max locked memory", &locked)) ||
		!kf_ok(proc_limit(d->agent_pid, "Max open files", &files)))
		return;
	const struct doctor_number bytes = doctor_number((int64_t)locked),
				   limit = doctor_number((int64_t)files);
	if (locked != UINT64_MAX)
		doctor_tell(d, AGENT_MEMORY, at.text, pid.text, bytes.text);
	else
		doctor_fine(d, CHECK_AGENT_MEMORY, at.text);
	if ((int64_t)files < doctor_conf_size(most))
		doctor_tell(d, AGENT_DESCRIPTORS, at.text, pid.text, limit.text, most);
	else
		doctor_fine(d, CHECK_AGENT_DESCRIPTORS, at.text);
	check_core(d, CHECK_AGENT_CORE, d->agent_pid);
}

/* ---- its socket ---- */

/* Like a guest, but it asks who is there before it minds. */
static int connect_to(const char *name, struct ucred *ret)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	socklen_t size = sizeof(*ret);
	struct timeval patience = { .tv_sec = 2 };
	if (n >= sizeof(sun.sun_path))
		return ENAMETOOLONG;
	memcpy(sun.sun_path, name, n);
	if (name[0] == '@')
		sun.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	int error = connect(fd, (struct sockaddr *)&sun,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
					(name[0] == '/')))
			    ? errno
			    : 0;
	if (!error && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size))
		error = errno;
	close(fd);
	return error;
}

static kf_err ask(const char *socket, uid_t uid, double *ret_ms)
{
	struct local *l;
	struct local_call c;
	struct slice answer;
	const struct local_conf conf = { .socket = socket, .agent_uid = uid };
	KF_TRY(local_new(&conf, &l));
	kf_err e = local_begin(l, &c);
	if (kf_ok(e)) {
		uint64_t start = clock_monotonic_ns();
		struct ttlv_writer w = ttlv_write(local_request(&c), KMIP_2_1);
		const struct query_request q = { .n = 1,
			.function = { KMIP_QUERY_FUNCTION_QUERY_OPERATIONS } };
		kmip_put_request_header(
			&w, &(struct kmip_request_header){
				    .version = KMIP_2_1, .batch_count = 1 });
		kmip_put_request_item_begin(
			&w, KMIP_OPERATION_QUERY, (struct slice){ 0 });
		query_put_request(&w, &q);
		kmip_put_request_item_end(&w, NULL);
		e = kmip_put_request_end(&w);
		local_send(&c);
		local_wait(&c);
		if (kf_ok(e))
			e = local_answer(&c, &answer);
		*ret_ms = (double)(clock_monotonic_ns() - start) / 1e6;
		local_end(&c);
	}
	local_free(l);
	return e;
}

/* The agent refuses Query by itself: what that takes is the way there and back. */
static bool check_answer(struct doctor *d, const char *socket, uid_t uid)
{
	const struct doctor_number patience = doctor_number(LOCAL_DEADLINE_MS);
	double best = 0;
	for (int i = 0; i < 5; i++) {
		double ms = 0;
		kf_err e = ask(socket, uid, &ms);
		if (!kf_ok(e)) {
			doctor_tell(d, AGENT_ANSWERS, socket, socket, patience.text);
			return false;
		}
		best = !i || ms < best ? ms : best;
	}
	d->agent_ms = best;
	doctor_fine(d, CHECK_AGENT_ANSWERS, socket);
	return true;
}

static const char *name_of(uid_t uid, char room[64])
{
	const struct passwd *p = getpwuid(uid);
	snprintf(room, 64, "%s", p ? p->pw_name : "a user without a name");
	return room;
}

static void tell_owner(
	struct doctor *d, const char *socket, const struct ucred *peer, int64_t agent_uid)
{
	char name[64];
	const struct doctor_number uid = doctor_number(peer->uid),
				   pid = doctor_number(peer->pid),
				   trusted = doctor_number(agent_uid);
	doctor_tell(d, AGENT_OWNER, socket, socket, uid.text, name_of(peer->uid, name),
		pid.text, agent_uid ? trusted.text : "(none)");
}

/* False: nobody can have a signature there. */
static bool check_socket(struct doctor *d, const char *socket, int64_t agent_uid)
{
	struct ucred peer = { 0 };
	int error = connect_to(socket, &peer);
	if (error == EACCES || error == EPERM)
		doctor_tell(d, AGENT_REACHABLE, socket, "this user", socket);
	else if (error == EAGAIN)
		doctor_tell(d, AGENT_ANSWERS, socket, socket, "2000");
	else if (error)
		doctor_tell(d, AGENT_RUNS, socket, socket, strerror(error));
	else if (peer.uid != 0 && peer.uid != (uid_t)agent_uid)
		tell_owner(d, socket, &peer, agent_uid);
	else {
		doctor_fine(d, CHECK_AGENT_RUNS, socket);
		doctor_fine(d, CHECK_AGENT_OWNER, socket);
		return check_answer(d, socket, (uid_t)agent_uid);
	}
	return false;
}

/* A provider without agent-socket tries two names. */
static const char *usual_socket(void)
{
	struct ucred peer;
	return connect_to(LOCAL_ABSTRACT, &peer) && access(LOCAL_PATH, F_OK) == 0
		       ? LOCAL_PATH
		       : LOCAL_ABSTRACT;
}

static void check_own_socket(struct doctor *d)
{
	char name[256];
	const char *list = doctor_conf_get(&d->agent_conf, "agent", "sockets", "");
	list += !strncmp(list, "unix:", 5) ? 5 : 0;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(list, ", "), list);
	uid_t uid = geteuid();
	gid_t gid;
	if (d->agent_pid)
		proc_worker(d->agent_pid, &uid, &gid);
	check_socket(d, *name ? name : usual_socket(), uid);
}

static void check_sockets(struct doctor *d)
{
	size_t asked = 0;
	for (size_t i = 0; i < d->webs; i++) {
		struct doctor_web *w = &d->web[i];
		if (!w->references || !w->has_provider)
			continue;
		if (!w->agent_socket[0])
			snprintf(w->agent_socket, sizeof(w->agent_socket), "%s",
				usual_socket());
		w->agent_is_away = !check_socket(d, w->agent_socket, w->agent_uid);
		asked++;
	}
	if (!asked)
		check_own_socket(d);
}

/* ---- [allow] ---- */

struct asker {
	uid_t uid;
	gid_t groups[128];
	int n_groups;
	char name[64];
};

static bool lists_user(const struct asker *a, const char *list)
{
	return doctor_conf_lists(list, a->name) ||
	       doctor_conf_lists(list, doctor_number(a->uid).text);
}

static bool lists_group(const struct asker *a, const char *list)
{
	for (int i = 0; i < a->n_groups; i++) {
		const struct group *g = getgrgid(a->groups[i]);
		if (doctor_conf_lists(list, doctor_number(a->groups[i]).text) ||
			(g && doctor_conf_lists(list, g->gr_name)))
			return true;
	}
	return false;
}

/* One [allow] section, which begins at *at; moves it past. */
static bool section_allows(
	const struct doctor_conf *c, size_t *at, const struct asker *a, const char *key)
{
	const char *label = c->item[*at].label;
	bool is_key = !strcmp(label, "*") || !strcmp(label, key), is_who = false,
	     may_sign = true;
	for (; *at < c->n && !strcmp(c->item[*at].section, "allow") &&
		!strcmp(c->item[*at].label, label);
		++*at) {
		const struct doctor_option *o = &c->item[*at];
		if (!strcmp(o->key, "keys"))
			is_key |= doctor_conf_lists(o->value, key);
		else if (!strcmp(o->key, "users"))
			is_who |= lists_user(a, o->value);
		else if (!strcmp(o->key, "groups"))
			is_who |= lists_group(a, o->value);
		else if (!strcmp(o->key, "operations"))
			may_sign = doctor_conf_lists(o->value, "sign");
	}
	return is_key && is_who && may_sign;
}

static bool is_allowed(
	const struct doctor_conf *c, const struct asker *a, const char *key)
{
	for (size_t i = 0; i < c->n;) {
		if (strcmp(c->item[i].section, "allow") != 0)
			i++;
		else if (section_allows(c, &i, a, key))
			return true;
	}
	return false;
}

static struct asker asker_of(const struct doctor_web *w)
{
	struct asker a = { .uid = w->uid, .groups = { w->gid }, .n_groups = 1 };
	const struct passwd *p = getpwuid(w->uid);
	snprintf(a.name, sizeof(a.name), "%s", p ? p->pw_name : "");
	int n = (int)(sizeof(a.groups) / sizeof(*a.groups));
	if (p && getgrouplist(p->pw_name, w->gid, a.groups, &n) >= 0)
		a.n_groups = n;
	if (!a.name[0])
		snprintf(a.name, sizeof(a.name), "%u", w->uid);
	return a;
}

static void check_allowed(struct doctor *d)
{
	for (size_t i = 0; i < d->n_refs; i++) {
		const struct doctor_ref *r = &d->refs[i];
		const struct asker a = asker_of(r->web);
		if (is_allowed(&d->agent_conf, &a, r->id))
			doctor_fine(d, CHECK_AGENT_ALLOWS, d->agent_path);
		else
			doctor_tell(d, AGENT_ALLOWS, d->agent_path, a.name, r->id,
				d->agent_path);
	}
}

/* ---- all of it ---- */

static void read_conf(struct doctor *d)
{
	kf_err e = doctor_conf_read(d->agent_path, &d->agent_conf);
	if (kf_is(e, KF_E_DENIED)) {
		doctor_unseen(d, CHECK_AGENT_CONFIG, d->agent_path, e.site->text);
		return;
	}
	if (!kf_ok(e)) {
		doctor_tell(d, AGENT_CONFIG, d->agent_path, e.site->text, d->agent_path);
		return;
	}
	check_secret(d);
	check_config(d);
	check_allowed(d);
}

void doctor_agent(struct doctor *d)
{
	const struct proc_wish wish = { "keyfleet-agent", d->agent_path, true };
	d->agent_pid = proc_find(&wish);
	read_conf(d);
	check_sockets(d);
	if (d->agent_pid)
		check_process(d);
}
