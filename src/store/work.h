/* SPDX-License-Identifier: Apache-2.0
 *
 * work: the store from the inside.  Everything but the queue and the counters belongs to the store
 * worker once it runs; before that, to the thread that opens.
 */
#pragma once
#include "store/facts.h"
#include "store/rows.h"
#include "store/seen.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { GROUP_MAX = 256, ROTATE_MAX = 64 };

/* What was committed must be shown: better to die and to load again. */
static inline void must(kf_err err)
{
	if (!kf_ok(err))
		abort();
}

/* A change in the group that is being committed. */
struct item {
	struct change *change; /* NULL: answered already, "outcome unknown" */
	kf_err err;
	bool is_replay;
	bool is_counted; /* among its client's request ids */
	struct buf recorded;
};

/* First come, first served. */
struct changes {
	struct change *first, *last;
};

struct store {
	struct store_conf conf;
	const struct store_driver *driver;
	char *where;
	struct catalog *catalog;

	/* anyone's */
	_Atomic(struct change *) queue; /* newest first */
	_Atomic size_t queued;          /* submitted and not yet answered */
	int wake;                       /* eventfd */
	_Atomic uint32_t
		secret_full; /* 0: there was room for the last one; see opened.c */
	atomic_bool is_stopping, is_rotating, has_gated;
	struct {
		atomic_bool is_reachable, is_writable, is_rolled_back;
		_Atomic uint64_t sequence, tampered, unloaded, commits, changes,
			old_master_keys;
		_Atomic int64_t incarnation_us;
	} status;

	struct {
		pthread_t thread;
		bool has_thread;
		int wake; /* eventfd */
		atomic_bool is_wanted;
	} snapshot;

	/* the worker's */
	pthread_t thread;
	bool has_thread;
	struct db *db;                  /* NULL: not connected */
	char complaint[DB_DETAIL_SIZE]; /* the last, not to be repeated */
	struct facts facts;
	struct seen seen;
	struct map quota; /* client -> struct quota */
	uint8_t writer[WRITER_SIZE], nonce[WRITER_SIZE];
	struct changes gated; /* may not be committed yet */
	uint64_t
		careful_ns; /* until then none of those is taken before its record is there */
	struct changes waiting;
	struct item group[GROUP_MAX];
	size_t grouped;
	const char *master; /* id of the newest master key that the database knows of */
	const char *new_master; /* the same, once this transaction is committed */
	struct rotation {
		const char *master; /* id of the master key it goes to; NULL: not begun */
		enum table_id table; /* TABLES: all are done */
		uint64_t created;    /* what was made up to here is done */
		struct object *object[ROTATE_MAX];
		size_t n;
	} rotation;
	bool is_in_doubt; /* group may be committed or not */
	uint64_t retry_ns, probe_ns, poll_ns, forget_ns,
		rotate_ns; /* when to do it next */
};

void store_event(struct store *s, kf_err why, const char *what);

/* --- changes.c --- */

void changes_append(struct changes *l, struct change *c);
struct change *changes_take(struct changes *l); /* the first; NULL: none */
/* The submitted ones, which are linked newest first. */
struct change *changes_reversed(struct change *c);

/* --- gate.c --- */

bool gate_is_open(const struct change *c);
void gate_queue(struct store *s, struct change *c); /* a new one */
void gate_open_all(
	struct store *s); /* those whose records are there wait for the next group */
/* Are there changes to be taken into a group before their records are there? */
bool gate_runs_ahead(const struct store *s);
/* Before the commit of such a group.  AUDIT: they do not come in time, or not at all. */
kf_err gate_wait(struct store *s);

/* --- load.c --- */

/* A fresh catalog from everything; the connection is in no transaction. */
kf_err load_all(struct store *s);
/* Inside a transaction whose head is `h`: other servers' changes, verified, then published. */
kf_err load_since(struct store *s, const struct head *h);

struct backup_reader;
/* A fresh catalog from a backup instead. */
kf_err load_backup(struct store *s, struct backup_reader *r);

/* --- snapshot.c --- */

kf_err snapshot_start(struct store *s);
void snapshot_stop(struct store *s);
void snapshot_want(struct store *s); /* something has changed */
kf_err snapshot_load(struct store *s);

/* --- apply.c --- */

/* Seals the material and makes the key, once, outside any transaction. */
kf_err change_prepare(struct store *s, struct change *c);
/* Inside the group's transaction; a failure of the function is the group's, item->err the item's: then the
 * transaction is of no use any more. */
kf_err change_apply(struct store *s, struct item *item);
/* The same under a savepoint: a refused one spoils nothing. */
kf_err change_apply_apart(struct store *s, struct item *item);
/* The change's own fault, or the database's? */
bool change_is_refusal(kf_err err);
/* As if it had never been applied; its transaction is rolled back. */
void change_take_back(struct store *s, struct item *item);
/* After the commit. */
void change_publish(struct store *s, struct change *c);
void change_release(struct change *c); /* what is left of what it held */
kf_err quota_load(struct store *s);
void quota_free(struct store *s);

/* --- group.c --- */

void store_answer(struct store *s, struct change *c, kf_err err);
void group_take(struct store *s); /* of those that wait */
void group_put_back(struct store *s);
void group_answer(struct store *s);
void group_fail(struct store *s, kf_err err);
void group_publish(struct store *s);
/* Inside a transaction with the head locked, which may be another one afterwards. */
kf_err group_apply(struct store *s);

/* --- rotate.c --- */

/* Inside a transaction with the head locked: the next batch under the newest master key. */
kf_err rotate_batch(struct store *s);
/* Inside a transaction: counts what is not under it. */
kf_err rotate_count(struct store *s);
/* After the commit, or (false) after its failure. */
void rotate_publish(struct store *s, bool is_committed);

/* --- commit.c --- */
/* Begins a transaction.  From here on until its end no other server commits. */
kf_err store_lock_head(struct store *s);
void store_take_queue(struct store *s); /* makes ready what was submitted */
void *store_work(void *store);
