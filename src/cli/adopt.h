/* SPDX-License-Identifier: Apache-2.0
 *
 * adopt: moving a running web server's keys into the key servers.
 *
 * The work goes in this order, so that whatever stops it leaves a server that runs:
 *   1. read the configuration, make a plan, show it
 *   2. import keys, grant, write references   repeated at will; nothing of the server changes
 *   3. prove each reference: a TLS handshake in this process, through provider, agent and key server
 *   4. record, then change the files           cli/change.h: can be undone from here on
 *   5. the server's own test, reload, and a handshake at each of its addresses
 * A failure in 4 or 5 undoes the files and reloads again.
 */
#pragma once
#include "cli/call.h"
#include "cli/change.h"
#include "crypt/keygen.h"
#include "site/site.h"
#include <sys/types.h>

#define ADOPT_STATE_DIR   "/var/lib/keyfleet/adopt"
#define ADOPT_OPENSSL_CNF "/etc/keyfleet/openssl.cnf"
#define ADOPT_AGENT_CONF  "/etc/keyfleet/agent.conf"

enum { ADOPT_PEM_MAX = 1 << 20 };

/* One pair of the plan. */
struct adopt_item {
	const struct site_pair *pair;
	const char *why_not; /* it stays as it is; NULL: it moves */
	struct keypair key;
	struct buf chain;     /* the certificate's file, without private keys */
	struct buf reference; /* PEM */
	bool is_there;        /* the key servers have the key */
	bool is_in_place;     /* the key's file itself becomes the reference */
	char subject[256];
	char id[KEY_ID_TEXT];
	char ref_path[4096];
};

struct adopt {
	struct cli *cli;
	enum site_kind kind;
	const char *file, *prefix, *only, *client, *state_dir, *openssl_conf;
	bool is_dry, is_sure, has_no_reload;

	struct site site;
	struct adopt_item *items;
	size_t n_items, moving; /* of all; of those that move */
	char client_name[256];
	char openssl_path[4096];
	struct ossl_lib_ctx_st *lib; /* as a server's that starts now */
};

/* pem.c: the text without its private keys, parameters and key references. */
void pem_without_keys(struct slice text, struct buf *ret);
bool pem_has(struct slice text, const char *words);

/* Of a key's public half, hexadecimal: what a record knows it by. */
void adopt_key_id(struct slice spki, char ret[2 * KEY_ID_SIZE + 1]);

/* adopt_plan.c: items with their keys; what cannot move says why. */
kf_err adopt_plan(struct adopt *a);
void adopt_print_plan(const struct adopt *a);
void adopt_clear(struct adopt *a);

/* adopt_key.c: import or find, grant, reference (the PEM and its file). */
kf_err adopt_keys(struct adopt *a);
/* This host's client name: --client, else the agent's certificate. */
kf_err adopt_client_name(struct adopt *a);

/* adopt_openssl.c: every OpenSSL program that starts from now on loads the provider. */
kf_err adopt_find_openssl_conf(struct adopt *a);
kf_err adopt_add_include(struct adopt *a);
/* Takes the line away again. */
kf_err adopt_remove_include(struct cli *c, const char *openssl_conf);

/* adopt_edit.c: the new text of each file, into the record. */
kf_err adopt_edit(const struct adopt *a, struct change *change, const char *loader);

/* adopt_tls.c: handshakes. */
/* Of this process with itself, with certificate and reference, loaded as a server that starts now loads them. */
kf_err adopt_load_openssl(struct adopt *a);
kf_err adopt_prove(const struct adopt *a, const struct adopt_item *item);
/* adopt_served.c: proves each reference that a->file names now; appends the ids of their keys, a line each.
 * adopt_clear() afterwards. */
kf_err adopt_prove_served(struct adopt *a, struct buf *ret_ids);
/* The file of the provider, after adopt_load_openssl(). */
kf_err adopt_provider_path(char *ret, size_t size);
/* With the server, at an address of site_pair.listens: it shows this certificate and can use its key. */
struct tls_question {
	const struct site_value *at;
	struct slice certificate; /* PEM, the first is what must be shown; empty: any */
	const struct alg *alg;    /* of its key */
	unsigned timeout_ms;
};
kf_err tls_ask(const struct tls_question *q);

/* adopt_server.c: the running server. */
struct server {
	struct cli *cli;
	enum site_kind kind;
	const char *file;
	pid_t master; /* 0: it does not run */
	pid_t older;  /* nginx: the master before a binary upgrade, still there */
	char program[4096];
	bool has_provider; /* the process has loaded it */
};
kf_err server_find(
	struct cli *c, enum site_kind kind, const char *file, struct server *ret);
/* Asks the server's program whether it likes its configuration. */
kf_err server_test(const struct server *s);
/* The running server takes up its files without closing its doors. */
kf_err server_reload(struct server *s);
/* Whether reload can bring the provider into this process; says why not. */
kf_err server_can_reload(const struct server *s, const struct site *site);

/* adopt_check.c: all addresses of what was, or will be, moved. */
kf_err adopt_check(const struct adopt *a);
kf_err adopt_check_before(const struct adopt *a);

/* adopt_undo.c */
kf_err adopt_undo(struct cli *c, struct change *change, bool has_no_reload);
/* Undoes what was begun and not done; a rerun begins with it. */
kf_err adopt_undo_begun(struct adopt *a);
/* Takes the provider out of the host's openssl.cnf when no adoption needs it. */
kf_err adopt_release_include(
	struct cli *c, const char *state_dir, const char *openssl_conf);

/* cmd_adopt.c: y or n on the terminal; one at a time on a host: BUSY, or `waits` for its turn. */
kf_err adopt_ask_sure(const struct cli *c, bool is_sure, const char *question);
kf_err adopt_lock(const struct cli *c, const char *state_dir, bool waits, int *ret_fd);
