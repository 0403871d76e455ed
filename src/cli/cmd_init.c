/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet init: a complete, private set-up of one key server and its administrator.
 *
 * Nothing is overwritten: if any of the files is there, nothing is made. Whatever fails half-way
 * leaves what was there before untouched.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "cli/authority.h"
#include "cli/cli.h"
#include "cli/cmd_audit.h"
#include "cli/setup_text.h"
#include "crypt/keyring.h"
#include "net/address.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A set-up in /etc keeps what changes where services keep it. */
#define SYSTEM_DIR  "/etc/keyfleet"
#define SYSTEM_DATA "/var/lib/keyfleet"
#define SYSTEM_USER "keyfleet"

struct init {
	struct cli *cli;
	const char *dir, *ca_dir, *join;
	const char *listen, *store, *sans;
	char ca_path[4096]; /* absolute */
	struct authority authority;
	struct cert server, admin;
	struct buf master, audit_key;
	struct setup_text text;
};

static bool is_system(const struct init *in)
{
	size_t n = strlen(SYSTEM_DIR);
	return strncmp(in->dir, SYSTEM_DIR, n) == 0 &&
	       in->dir[n + strspn(in->dir + n, "/")] == 0;
}

/* A set-up in /etc is the service's, whose user comes with the package. */
static const struct passwd *service_user(const struct init *in)
{
	return is_system(in) && geteuid() == 0 ? getpwnam(SYSTEM_USER) : NULL;
}

/* Secrets are not put where others could exchange them. */
static kf_err check_dir(const struct init *in, const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		cli_note(in->cli, "%s: is not a folder", path);
		return kf_fail(IO, "the folder cannot be used");
	}
	const struct passwd *service = service_user(in);
	bool is_trusted = st.st_uid == geteuid() || st.st_uid == 0 ||
			  (service && st.st_uid == service->pw_uid &&
				  strcmp(path, SYSTEM_DATA) == 0);
	if ((st.st_mode & S_IWOTH) || !is_trusted) {
		cli_note(in->cli,
			"%s: others can change files there; name a folder of your own, "
			"mode "
			"0700",
			path);
		return kf_fail(DENIED, "the folder is not private");
	}
	return KF_OK;
}

static kf_err make_dir(const struct init *in, const char *path)
{
	if (mkdir(path, 0700) == 0)
		return KF_OK;
	if (errno == EEXIST)
		return check_dir(in, path);
	cli_note(in->cli, "%s: %s", path, strerror(errno));
	return kf_fail(IO, "the folder cannot be made");
}

/* One address or several, as the configuration takes them. */
static bool is_listen(const char *list)
{
	struct address a;
	char text[1024], *state = NULL;
	size_t n = 0;
	if (!kf_ok(slice_to_text(slice_of(list), text, sizeof(text))))
		return false;
	for (char *one = strtok_r(text, ", ", &state); one;
		one = strtok_r(NULL, ", ", &state), n++)
		if (!kf_ok(address_parse(one, &a)) || address_is_unix(&a))
			return false;
	return n > 0;
}

/* What would make a configuration that keyfleetd refuses, or say more in it than was meant. */
static kf_err check_wishes(const struct init *in)
{
	if (!is_listen(in->listen))
		return kf_fail(INVALID_FIELD, "--listen is ADDRESS:PORT, in numbers");
	if (strcmp(in->store, "sqlite") != 0 &&
		strncmp(in->store, "postgresql:", 11) != 0)
		return kf_fail(INVALID_FIELD, "--store is sqlite or postgresql:CONNINFO");
	if (strpbrk(in->store, "\"\n\r"))
		return kf_fail(INVALID_FIELD, "--store holds a double quote or a line "
					      "break; use single quotes");
	return KF_OK;
}

/* SYSTEM_DIR/address stays the place where everybody looks for it. */
static kf_err make_data_dir(const struct init *in)
{
	if (!is_system(in))
		return KF_OK;
	KF_TRY(make_dir(in, SYSTEM_DATA));
	return symlink(SYSTEM_DATA "/address", SYSTEM_DIR "/address") == 0 ||
			       errno == EEXIST
		       ? KF_OK
		       : kf_fail(IO, SYSTEM_DIR "/address cannot be made");
}

static kf_err refuse_existing(const struct init *in)
{
	for (size_t i = 0; i < setup_files; i++) {
		char path[4096];
		KF_TRY(path_join(in->dir, setup_file[i].name, path, sizeof(path)));
		struct stat st;
		if (lstat(path, &st) == 0) {
			cli_note(in->cli, "%s exists already; nothing was changed", path);
			return kf_fail(
				EXISTS, "init never overwrites; name another folder");
		}
	}
	return KF_OK;
}

/* The master key of a set-up that this server joins, or a new one. */
static kf_err get_master(struct init *in)
{
	if (!in->join) {
		char id[32];
		time_t now = time(NULL);
		struct tm day;
		strftime(id, sizeof(id), "%Y-%m-%d", gmtime_r(&now, &day));
		buf_add_text(&in->master,
			"# Master keys, newest first.  Without them the store "
			"cannot be read: keep a copy apart from it.\n");
		KF_TRY(keyring_new_line(id, &in->master));
		return buf_err(&in->master);
	}
	char path[4096];
	KF_TRY(path_join(in->join, "master.key", path, sizeof(path)));
	autobuf why = buf_new(4096);
	kf_err e = conf_read_secret(path, &in->master, &why);
	if (!kf_ok(e))
		cli_note_lines(in->cli, &why);
	return e;
}

/* By which audit logs are verified; it is no secret. */
static kf_err get_audit_key(struct init *in)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	unsigned line = 0;
	KF_TRY(keyring_parse(buf_slice(&in->master), &line, &k));
	return audit_key_lines(k, &in->audit_key);
}

/* Of the set-up that this server joins: the same administrator. */
static kf_err copy_admin(struct init *in)
{
	in->admin = (struct cert){ .pem = buf_new(CERT_PEM_MAX),
		.key_pem = buf_new(CERT_PEM_MAX) };
	char path[4096];
	autobuf why = buf_new(4096);
	KF_TRY(path_join(in->join, "admin.pem", path, sizeof(path)));
	kf_err e = conf_read_file(path, &in->admin.pem, &why);
	if (kf_ok(e))
		e = path_join(in->join, "admin.key", path, sizeof(path));
	if (kf_ok(e))
		e = conf_read_secret(path, &in->admin.key_pem, &why);
	if (!kf_ok(e))
		cli_note_lines(in->cli, &why);
	return e;
}

enum { SANS = 28 };

/* The names by which clients may know this server: what the user said, else this host. */
static size_t server_names(
	const struct init *in, char *text, size_t size, const char **ret)
{
	char host[256] = "localhost";
	if (gethostname(host, sizeof(host) - 1))
		strcpy(host, "localhost");
	snprintf(text, size, "%s", in->sans ? in->sans : host);
	size_t n = 0;
	char *state = NULL;
	for (char *name = strtok_r(text, ", ", &state); name && n < SANS;
		name = strtok_r(NULL, ", ", &state))
		ret[n++] = name;
	/* What clients ask a key server to show, whatever address they reach it by. */
	ret[n++] = "dns:keyfleetd";
	ret[n++] = "dns:localhost";
	ret[n++] = "ip:127.0.0.1";
	ret[n] = NULL;
	return n;
}

static kf_err make_certificates(struct init *in)
{
	char text[1024];
	const char *sans[SANS + 4];
	server_names(in, text, sizeof(text), sans);
	struct cert_wish server = {
		.role = CERT_SERVER, .common_name = "keyfleetd", .sans = sans
	};
	struct cert_wish admin = { .role = CERT_CLIENT, .common_name = "admin" };
	KF_TRY(authority_issue(&in->authority, &server, &in->server));
	if (in->join)
		return copy_admin(in);
	return authority_issue(&in->authority, &admin, &in->admin);
}

static struct slice content_of(const struct init *in, enum setup_content content)
{
	switch (content) {
	case SETUP_CA: return buf_slice(&in->authority.ca_pem);
	case SETUP_SERVER_CERT: return buf_slice(&in->server.pem);
	case SETUP_SERVER_KEY: return buf_slice(&in->server.key_pem);
	case SETUP_ADMIN_CERT: return buf_slice(&in->admin.pem);
	case SETUP_ADMIN_KEY: return buf_slice(&in->admin.key_pem);
	case SETUP_MASTER: return buf_slice(&in->master);
	case SETUP_AUDIT_KEY: return buf_slice(&in->audit_key);
	case SETUP_SERVER_CONF: return buf_slice(&in->text.server);
	case SETUP_CLIENT_CONF: return buf_slice(&in->text.client);
	case SETUP_AGENT_CONF: return buf_slice(&in->text.agent);
	}
	return (struct slice){ 0 };
}

static kf_err write_files(const struct init *in)
{
	for (size_t i = 0; i < setup_files; i++) {
		char path[4096];
		KF_TRY(path_join(in->dir, setup_file[i].name, path, sizeof(path)));
		KF_TRY(cli_file_error(in->cli, path,
			file_create(path, content_of(in, setup_file[i].content),
				setup_file[i].is_secret ? 0600 : 0644)));
	}
	return KF_OK;
}

/* What the service reads or changes becomes its user's, if the host has it. */
static kf_err hand_over(const struct init *in)
{
	if (!service_user(in))
		return KF_OK;
	for (size_t i = 0; i < setup_files; i++) {
		char path[4096];
		KF_TRY(path_join(in->dir, setup_file[i].name, path, sizeof(path)));
		if (setup_file[i].is_daemons)
			KF_TRY(cli_file_error(
				in->cli, path, file_give(path, SYSTEM_USER)));
	}
	return cli_file_error(in->cli, SYSTEM_DATA, file_give(SYSTEM_DATA, SYSTEM_USER));
}

/* How an agent of this host reaches the server.  As a service it is another user, to whom the server's
 * folder, with the address in it, is closed. */
static void agents_way(const struct init *in, char ret[ADDRESS_TEXT_MAX])
{
	char first[ADDRESS_TEXT_MAX - 16], wild[] = "0.0.0.0:", wild6[] = "[::]:";
	snprintf(
		first, sizeof(first), "%.*s", (int)strcspn(in->listen, ", "), in->listen);
	const char *port = strrchr(first, ':');
	bool is_any = strncmp(first, wild, strlen(wild)) == 0 ||
		      strncmp(first, wild6, strlen(wild6)) == 0;
	if (!is_system(in) || !port || strcmp(port, ":0") == 0)
		strcpy(ret, "file:address");
	else
		snprintf(ret, ADDRESS_TEXT_MAX, "%s%s", is_any ? "127.0.0.1" : "",
			is_any ? port : first);
}

static kf_err make_texts(struct init *in)
{
	char reach[ADDRESS_TEXT_MAX];
	agents_way(in, reach);
	struct setup_facts facts = {
		.reach = reach,
		.listen = in->listen,
		.store = in->store,
		.ca_dir = in->ca_path,
		.data = is_system(in) ? SYSTEM_DATA "/" : "",
	};
	KF_TRY(cert_fingerprint(buf_slice(&in->admin.pem), facts.admin));
	return setup_text_make(&facts, &in->text);
}

static kf_err set_up(struct init *in)
{
	KF_TRY(make_dir(in, in->dir));
	KF_TRY(refuse_existing(in));
	KF_TRY(make_data_dir(in));
	KF_TRY(make_dir(in, in->ca_dir));
	if (!realpath(in->ca_dir, in->ca_path))
		return kf_fail(IO, "the authority's folder cannot be found");
	KF_TRY(authority_open_or_make(in->cli, in->ca_path, &in->authority));
	KF_TRY(get_master(in));
	KF_TRY(get_audit_key(in));
	KF_TRY(make_certificates(in));
	KF_TRY(make_texts(in));
	KF_TRY(write_files(in));
	return hand_over(in);
}

static void say_what_is_next(const struct init *in)
{
	if (in->cli->is_quiet || in->cli->is_json)
		return;
	if (service_user(in))
		printf("made %s.  Next:\n"
		       "  systemctl start keyfleetd\n"
		       "  keyfleet key create www --type ec:P-256\n",
			in->dir);
	else
		printf("made %s.  Next:\n"
		       "  keyfleetd --config %s/keyfleetd.conf\n"
		       "  keyfleet --config %s/client.conf key create www --type "
		       "ec:P-256\n",
			in->dir, in->dir, in->dir);
	printf("The authority's key is %s/ca.key: move it off this server, it is needed "
	       "to add\n"
	       "clients and servers only.  Keep copies of master.key and of backups "
	       "apart from each\n"
	       "other: together they are the keys.\n",
		in->ca_path);
}

static void clear(struct init *in)
{
	authority_close(&in->authority);
	cert_free(&in->server);
	cert_free(&in->admin);
	buf_free(&in->master);
	buf_free(&in->audit_key);
	setup_text_free(&in->text);
}

static kf_err run(struct cli *c)
{
	struct init in = { .cli = c, .listen = "127.0.0.1:5696", .store = "sqlite" };
	const struct cli_option options[] = {
		{ "listen", &in.listen, NULL },
		{ "store", &in.store, NULL },
		{ "ca-dir", &in.ca_dir, NULL },
		{ "join", &in.join, NULL },
		{ "names", &in.sans, NULL },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(check_wishes(&in));
	in.dir = c->argv[0];
	in.master = buf_new(KEYRING_FILE_MAX);
	in.audit_key = buf_new(KEYRING_FILE_MAX);
	char ca_dir[4096];
	KF_TRY(path_join(in.join ? in.join : in.dir, "ca", ca_dir, sizeof(ca_dir)));
	if (!in.ca_dir)
		in.ca_dir = ca_dir;

	kf_err e = set_up(&in);
	if (kf_ok(e))
		say_what_is_next(&in);
	clear(&in);
	return e;
}

const struct command command_init = {
	.words = "init",
	.args = "DIR [--listen ADDR:PORT] [--store sqlite|postgresql:CONNINFO] [--ca-dir "
		"CADIR]\n"
		"                     [--join DIR2] [--names NAME,...]",
	.summary = "make a key server's complete set-up in DIR",
	.help = "  --listen ADDR:PORT  where the server listens; port 0 picks one "
		"[127.0.0.1:5696]\n"
		"  --store KIND        sqlite: DIR/keyfleet.db, for one server [sqlite]\n"
		"                      postgresql:CONNINFO: libpq's connection string, "
		"many servers\n"
		"  --ca-dir CADIR      where the authority's key is or will be [DIR/ca]\n"
		"  --join DIR2         another server of the same store: takes its "
		"master key,\n"
		"                      administrator and authority\n"
		"  --names NAME,...    DNS names and addresses of this server, for its "
		"certificate\n"
		"\nNothing is ever overwritten.  When DIR is " SYSTEM_DIR
		", store and audit log go to\n" SYSTEM_DATA
		", and what the service reads is given to the user " SYSTEM_USER ".\n",
	.run = run,
};
