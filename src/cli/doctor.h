/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor: what is wrong on a web host or a key server, where, and what helps.
 *
 * A check is a row of doctor.def and a function that looks.  It tells each thing that is wrong with
 * doctor_tell(), what it looked at in vain with doctor_unseen(), and what is well with doctor_fine().
 * Nothing is changed, no secret is read that is not needed to test it, and none is printed.
 */
#pragma once
#include "base/map.h"
#include "cli/cli.h"
#include "cli/doctor_conf.h"
#include "cli/doctor_openssl.h"
#include "client/settings.h"
#include "site/site.h"
#include <sys/types.h>

enum doctor_part {
	DOCTOR_HOST,
	DOCTOR_PROVIDER,
	DOCTOR_WEB,
	DOCTOR_AGENT,
	DOCTOR_NETWORK,
	DOCTOR_SERVER,
	DOCTOR_HANDSHAKE,
};
enum doctor_state { DOCTOR_OK, DOCTOR_UNSEEN, DOCTOR_WARN, DOCTOR_FAIL };

enum doctor_check {
#define X(id, state, part, looks_at, text, remedy) CHECK_##id,
#include "cli/doctor.def"
#undef X
	DOCTOR_CHECKS
};

struct finding {
	enum doctor_check check;
	enum doctor_state state;
	char *where, *what, *remedy;
	char *key; /* of d->known */
};

/* A stage of a handshake: what took how long, and how that is known. */
struct stage {
	char *of;         /* the reference or listener */
	const char *name; /* "key operation" */
	double ms;
	const char *how; /* "measured: ..." */
};

/* A trial that takes longer is late: after three of them the others are left out. */
#define DOCTOR_LATE_NS UINT64_C(1000000000)
enum { DOCTOR_PATH = 4096, DOCTOR_WEBS = 16, DOCTOR_ID = 65 };

/* A web server's configuration and, if one runs with it, its master process. */
struct doctor_web {
	struct site site;
	bool is_read;
	pid_t pid;                      /* 0: none was found */
	char openssl_path[DOCTOR_PATH]; /* what its libssl reads */
	bool is_default_conf;           /* that is the one of all programs */
	bool is_conf_known;             /* the process's own environment says which */
	bool has_provider; /* by that file or by its own keywords: what follows is known */
	bool may_load;     /* root alone can change that file and the module */
	struct openssl_conf openssl;    /* empty when it cannot be read */
	char agent_socket[DOCTOR_PATH]; /* "": the usual ones */
	int64_t agent_uid, deadline_ms;
	bool agent_is_away; /* told already: handshakes would say it again */
	size_t references;
	uid_t uid; /* of its workers */
	gid_t gid;
};

/* A key reference that a web server is configured with, and that can be read. */
struct doctor_ref {
	char id[DOCTOR_ID];
	struct doctor_web *web;
	const struct site_pair *pair;
};

/* What the checks share.  One thread. */
struct doctor {
	struct cli *cli;
	const char *agent_path, *server_path, *openssl_path, *units_path;
	bool looks_at_agent, looks_at_server, has_no_handshakes;
	struct doctor_web web[DOCTOR_WEBS];
	size_t webs;
	struct doctor_ref *refs;
	size_t n_refs;
	struct doctor_conf agent_conf, server_conf;
	struct settings servers; /* [client] of agent.conf */
	bool has_servers;
	pid_t agent_pid, keyserver_pid;
	struct finding *findings;
	size_t n_findings;
	struct map
		known; /* what was found already: thousands of references say the same */
	struct stage *stages;
	size_t n_stages;
	double network_ms; /* of the nearest key server's Query, 0: not measured */
	double agent_ms;   /* of what the agent answers by itself, 0: not measured */
};

/* ---- doctor_report.c ---- */
/* Facts are texts, NULL at the end. */
void doctor_add(struct doctor *d, enum doctor_check check, const char *where,
	const char *const *facts);
#define doctor_tell(d, check, where, ...)                                                \
	doctor_add(                                                                      \
		(d), CHECK_##check, (where), (const char *const[]){ __VA_ARGS__, NULL })
void doctor_fine(struct doctor *d, enum doctor_check check, const char *where);
void doctor_unseen(
	struct doctor *d, enum doctor_check check, const char *where, const char *why);
void doctor_stage(struct doctor *d, const struct stage *s);
/* Prints all of it; returns what the program's exit status should be: 0, 1 (warnings) or 2 (failures). */
int doctor_print(const struct doctor *d);
void doctor_forget(struct doctor *d);
void doctor_list_checks(void);

/* "file:line", or the file alone for line 0. */
struct doctor_place {
	char text[DOCTOR_PATH + 32];
};
struct doctor_place doctor_at(const char *file, size_t line);
struct doctor_place doctor_at_pid(pid_t pid, const char *file);
/* A number as a text, for facts. */
struct doctor_number {
	char text[32];
};
struct doctor_number doctor_number(int64_t v);

/* The first line of what a program or a reader complains about; `otherwise` when there is none. */
struct doctor_line {
	char text[1024];
};
struct doctor_line doctor_first_line(const struct buf *complaints, const char *otherwise);

/* ---- doctor_proc.c ---- */
/* The process whose program and arguments look like this; of a family the oldest; who names the file before who names
 * none.  0: none, or none that can be seen. */
struct proc_wish {
	const char *comm;     /* "nginx" */
	const char *argument; /* must be among its arguments; NULL: any */
	bool takes_any; /* without such an argument too, if it names no other file */
};
pid_t proc_find(const struct proc_wish *wish);
/* DENIED for another user's process; NOT_FOUND when the variable is not set; UNAVAILABLE when the process
 * has overwritten its environment, as nginx does. */
kf_err proc_getenv(pid_t pid, const char *name, char *ret, size_t size);
/* "Max open files" and the like; UINT64_MAX: unlimited. */
kf_err proc_limit(pid_t pid, const char *name, uint64_t *ret);
enum proc_mapped { PROC_UNSEEN, PROC_ABSENT, PROC_MAPPED, PROC_REPLACED };
enum proc_mapped proc_maps(pid_t pid, const char *file_name);
bool proc_has_own_mounts(pid_t pid); /* another mount namespace than ours */
/* Who the children of the process are, or it is itself without any. */
bool proc_worker(pid_t pid, uid_t *ret_uid, gid_t *ret_gid);
/* Runs a program of ours and takes what it prints on standard error; NOT_FOUND when it is not installed. */
kf_err proc_run(const char *const argv[], struct buf *ret_errors, int *ret_status);

/* ---- doctor_trust.c ---- */
/* False for root when somebody else could change the file, or lead to another one.  Writes its path without
 * symbolic links: that, not the first one, is to be loaded. */
bool doctor_may_load(const char *path, char ret[DOCTOR_PATH]);

/* ---- the checks, in the order of their calls ---- */
void doctor_host(struct doctor *d);
/* References found are kept in d->refs and counted. */
void doctor_pairs(struct doctor *d, struct doctor_web *w);
/* The unit of Debian: "apache2". */
const char *doctor_service(enum site_kind kind);
/* Finds openssl.cnf, the agent's socket and the deadline, for those that follow. */
void doctor_provider(struct doctor *d, struct doctor_web *w);
void doctor_agent(struct doctor *d);
void doctor_network(struct doctor *d);
void doctor_web(struct doctor *d, struct doctor_web *w);
/* Why the client may not sign with the key, as an administrator is told; "" when it may. */
kf_err doctor_policy(
	struct cli *c, const char *who, const char *key, char *ret, size_t size);
void doctor_handshakes(struct doctor *d, struct doctor_web *w);
void doctor_listeners(struct doctor *d, struct doctor_web *w);
void doctor_keyserver(struct doctor *d);
void doctor_sqlite(struct doctor *d, const char *path);
void doctor_postgresql(struct doctor *d, const char *conninfo, const char *where);
void doctor_backup_age(struct doctor *d, const char *audit);
void doctor_pools(struct doctor *d);
/* Metrics of the key server, by its health endpoint: no right is needed for that. */
kf_err doctor_page(const struct doctor *d, struct buf *ret);
void doctor_authorities(struct doctor *d);
void doctor_units(struct doctor *d);
