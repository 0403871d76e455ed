/* SPDX-License-Identifier: Apache-2.0
 *
 * server: everything that lives as long as the daemon, and what its threads share.
 *
 * Threads: main (signals, accepting, health of the supervisor's watchdog), one a struct io, workers,
 * the audit's and the store's own.  Shared and changing: settings (epoch), atomics, clients.
 */
#pragma once
#include "audit/audit.h"
#include "keyfleetd/client.h"
#include "keyfleetd/conf.h"
#include "keyfleetd/gate.h"
#include "keyfleetd/io.h"
#include "keyfleetd/own_key.h"
#include "keyfleetd/worker.h"
#include "net/listen.h"
#include "net/tls.h"
#include "op/op.h"

struct keyring;
struct http;
struct guard;
struct metrics;
struct passwords;

struct entrance {
	struct listener listener;
	const struct gate *gate;
};

struct server {
	const char *conf_path;
	struct conf conf; /* the main thread's */
	/* After a reload: what the daemon was started with, whose texts the store still uses. */
	struct conf first;
	bool is_reloaded;
	_Atomic(struct settings *) settings;

	struct epoch *epoch;
	struct keyring *keyring;
	struct store *store;
	struct audit *audit;
	struct heads *heads;
	struct rotation *rotation;
	struct op_backup *backup;
	struct gate *gate; /* the first is for everybody */
	size_t gates;
	struct own_key own_key;
	struct workers *workers;
	struct workers *slow_workers; /* for what waits for tokens, perhaps for minutes */
	struct workers *searcher;     /* one thread, for Locate */
	struct op_search search;
	struct op_slow *slow;
	struct op_later *later;
	struct op_cryptoki *cryptoki;
	struct op_parts *parts;
	_Atomic(struct passwords *) passwords; /* of an epoch; NULL: nobody has one */
	_Atomic uint64_t passwords_generation;
	struct guard *guard;
	struct tokens *tokens; /* NULL: no pool is configured */
	struct pools *pools;   /* the same */
	struct authorities *authorities;
	struct clients *clients;
	struct http *health;
	struct eraser *eraser;              /* NULL: no pools */
	struct epoch_reader *health_reader; /* the health thread's */
	struct metrics *metrics;            /* the main thread's */
	struct op_server op;
	char name[65];
	char *store_location, *audit_seen;

	struct io **io;
	unsigned ios;
	_Atomic unsigned connections;
	_Atomic bool is_draining;
	uint64_t last_connection; /* number; the main thread's */
	uint32_t run; /* a number that tells this run of the server from others */
	uint64_t started_ns, commit_timeout_ns;
	size_t audit_segment; /* bytes */

	/* the main thread's */
	struct loop *loop;
	struct entrance *entrance;
	size_t entrances;
	struct loop_watch signals;
	struct loop_timer watchdog, deadline;
	unsigned drained; /* ios that have nothing left */
	bool is_given_up; /* the drain's deadline has passed */
};

kf_err server_open(struct server *s, struct buf *why);
/* Accepts until a signal says stop; drains. */
kf_err server_run(struct server *s);
/* Stops what the server does by itself.  False: a token hangs, and server_close() would free what it may touch. */
bool server_settle(struct server *s);
void server_close(struct server *s); /* after that */

/* Everything that --check can say without opening the store: one line a problem. */
void server_check(struct server *s, struct buf *problems);

/* Files and limits of the configuration once more; on failure nothing changes. */
kf_err server_reload(struct server *s, struct buf *why);

/* By an io on its way out, on the main thread. */
void server_drained(struct loop_message *m);

kf_err server_backup(
	void *server, struct buf *ret); /* see struct op_server; on a worker */

/* Facts, any thread. */
bool server_is_writable(struct server *s);
uint32_t server_load(struct server *s); /* 0..10000 */
bool server_is_up(struct server *s);    /* it can answer */
/* "name=value" lines: what Status adds to the store's facts; and all for the health endpoint. */
void server_status(struct server *s, struct buf *ret);
void server_health(struct server *s, struct buf *ret);
