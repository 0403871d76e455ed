/* SPDX-License-Identifier: Apache-2.0
 *
 * io: one thread that serves connections: a loop and everything that belongs to it.
 *
 * A round: read and decode what has come, answer what needs nothing; then, at its end:
 *   the audit records of the round go to the audit worker, the changes to the store (one wake each),
 *   answers that are ready leave, Gets first,
 *   the batch of signatures is computed while the audit worker syncs,
 *   what is signed and whose record is on disk leaves; the rest waits for the audit's wake.
 */
#pragma once
#include "audit/audit.h"
#include "base/epoch.h"
#include "keyfleetd/admit.h"
#include "keyfleetd/batch.h"
#include "keyfleetd/conf.h"
#include "keyfleetd/hasher.h"
#include "keyfleetd/turns.h"
#include "net/loop.h"
#include "net/stream.h"
#include <pthread.h>
#include <stdatomic.h>

struct server;
struct metrics;

struct io {
	struct server *server;
	unsigned number;
	pthread_t thread;
	bool is_running;
	struct loop *loop;
	struct stream_pad *pad;
	struct epoch_reader *reader;
	struct loop_hook hook;
	struct loop_timer housekeeping; /* once a second */
	_Atomic uint64_t alive_ns;      /* then: for the supervisor's watchdog */
	bool was_audit_healthy;         /* then */
	struct settings settings;       /* a copy: see io_settings() */
	uint64_t settings_of_ns;        /* round in which they were compared */

	struct list peers;
	struct sweep sweep;
	struct verified verified[VERIFIED_MAX]; /* by the first byte of the fingerprint */
	struct list touched; /* peers with something to send, or to be closed */
	struct turns turns;  /* peers whose handshake can go on */
	_Atomic unsigned connections;
	bool is_draining;
	struct loop_message drain, close; /* from the main thread, once each */
	struct loop_message drained;      /* to the main thread, once */
	bool has_reported;

	uint64_t named; /* requests that were given a Server Correlation Value */
	struct list free_reqs;
	size_t free_n;
	unsigned in_flight;
	struct list
		refusing; /* parts of meters with refusals that are not recorded yet */
	struct batch batch;
	struct hasher hasher;
	struct list
		waiting; /* requests whose audit record is not on disk, oldest ticket first */
	size_t waiting_n;
	struct list
		storing; /* requests whose change goes to the store at the end of the round */
	uint64_t stored_ticket; /* the newest record of those that went there */
	struct loop_message audit_home;
	_Atomic bool is_audit_home_posted;

	struct metrics *metrics; /* this thread's */
	uint64_t latest_ns;      /* see io_latest_ns() */

	uint64_t wall_of_ns; /* round that now_s was taken in */
	int64_t now_s;

	/* how busy */
	uint64_t window_ns, busy_ns;
	_Atomic uint32_t load; /* 0..10000 of its processor */
};

kf_err io_new(struct server *s, unsigned number, struct io **ret);
kf_err io_start(struct io *io);
/* Main thread.  Drain: answers what is in flight, closes what is idle; close: closes all the same.
 * When nothing is left, server_drained() is called on the main thread. */
void io_drain(struct io *io);
void io_close(struct io *io);
void io_stop(struct io *io); /* waits for the thread's end */
void io_free(struct io *io); /* NULL is fine; the thread has ended or never begun */

/* Main thread.  False: the loop has not come round for seconds. */
bool io_is_alive(const struct io *io, uint64_t now_ns);
int64_t io_now_s(struct io *io); /* wall clock, once a round */
/* The newest that anybody has read the clock: the beginning of the round, or the end of the last piece of
 * the batch.  What is measured costs no clock read of its own. */
uint64_t io_latest_ns(const struct io *io);
/* The newest, looked after once a round: a reload is in force before the next request. */
const struct settings *io_settings(struct io *io);

struct req;
void io_wait_for_audit(struct io *io, struct req *r);
void io_store_later(struct io *io, struct req *r);
/* See audit_wake. */
void io_audit_woke(void *server, unsigned number);
