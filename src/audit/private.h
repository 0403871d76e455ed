/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit from the inside: audit.c is the loops' side, worker.c the worker, recover.c the start.  Tests
 * open it on system calls of their own.
 */
#pragma once
#include "audit/export.h"
#include "audit/journal.h"
#include "audit/line.h"
#include "audit/ring.h"
#include "audit/seal.h"
#include <pthread.h>

kf_err audit_open_on(const struct audit_conf *conf, const struct journal_ops *ops,
	const struct audit_waker *waker, struct audit **ret);

enum { EVENTS_MAX = 16, EVENT_FIELDS_MAX = 1500, EVENT_NAME_MAX = 16, FINDING_MAX = 300 };

/* What belongs to one loop. */
struct lane {
	struct ring ring;
	/* the loop's */
	alignas(64) struct line_clock clock;
	uint64_t ticket, flushed;
	uint64_t base; /* sequence of its last record of earlier runs */
	uint64_t roused,
		roused_ns; /* up to which ticket the worker was told, and when last */
	/* the worker's */
	alignas(64) _Atomic uint64_t durable;
	size_t gathered, lines; /* of this lane in the group being written */
	/* both: what the loop waits for, 0 = nothing */
	alignas(64) _Atomic uint64_t wanted;
};

struct event {
	char name[EVENT_NAME_MAX], fields[EVENT_FIELDS_MAX];
	size_t n;
};

/* Lines that wait for the worker. */
struct events {
	pthread_mutex_t lock;   /* guards what follows */
	pthread_cond_t written; /* of a monotonic clock */
	struct event waiting[EVENTS_MAX];
	size_t n;
	uint64_t durable; /* how many have reached the disk */
};

struct audit {
	struct lane *lane;
	unsigned lanes;
	struct audit_waker waker;
	pthread_t worker;
	_Atomic bool is_stopping, is_failing, is_alarmed;
	_Atomic uint32_t asleep; /* the worker's futex: 1 while it sleeps */
	_Atomic uint32_t calls;  /* how often it was told that there is something */
	_Atomic uint64_t records, syncs, checkpoints, retired, synced_ns;
	_Atomic size_t reserve;
	struct events events;
	pthread_mutex_t head_lock; /* guards: */
	struct audit_head head;
	char finding[FINDING_MAX]; /* written before there are threads */
	struct exporter *exporter; /* NULL: none */

	/* the worker's */
	struct audit_conf conf;
	struct journal journal;
	struct seal seal;
	int seen;                        /* -1: none */
	uint64_t written;                /* the newest segment with lines */
	uint64_t checked_ns, expired_ns; /* last checkpoint, last look for what may go */
	unsigned first;                  /* lane that is gathered first, in turn */
	struct buf text; /* lines of the journal, on their way into the group */
	size_t n, taken; /* bytes of the group; events in it */
	bool has_header, has_checkpoint; /* in the group */
	uint8_t group[JOURNAL_GROUP_MAX];
};

/* --- worker.c --- */

void *audit_work(void *audit);
void audit_rouse(struct audit *a);
/* Writes what is queued, with a checkpoint of this kind. */
kf_err audit_write_sealed(struct audit *a, enum seal_kind kind);

/* --- expire.c --- */

/* Now and then: deletes the oldest segment if it is to go. */
void audit_expire(struct audit *a);

/* --- recover.c --- */

/* Where the chains of earlier runs ended; what does not fit there is a finding, no failure. */
kf_err audit_recover(struct audit *a);
/* The file beside the directory; not synced: after a power cut it is a little too old, never too new. */
void audit_note_seen(struct audit *a);
