/* SPDX-License-Identifier: Apache-2.0
 *
 * inside: what the files of this folder know of each other.
 *
 * A pool has a watcher thread a source (what is plugged in: watch.c), a keeper thread (what takes too long:
 * keep.c) and a worker thread a token (worker.c).  One lock a pool guards everything here that is
 * not said to be a thread's own.  It is never held while a token or a driver works, nor while
 * done() runs.
 *
 * A card is what is remembered of a serial number; a worker is what is plugged in at a place.  A worker
 * whose token hangs may outlive its place: its card then goes to the next worker.
 */
#pragma once
#include "base/map.h"
#include "crypt/ossl.h"
#include "pool/pool.h"
#include <pthread.h>

enum {
	TRIES_MAX =
		8, /* a job that makes tokens fail shall not go through all of them for ever */
	CARDS_MAX = 4 * POOL_TOKENS_MAX,
	GROUPS_MAX = POOL_TOKENS_MAX * TOKEN_KEYS_MAX,
	RETRY_MS = 250,
	RETRY_DOUBLINGS = 6,
	HUNG_FACTOR = 10,     /* times the expected time */
	HUNG_FLOOR_MS = 2000, /* but never sooner */
	HUNG_START = 4,       /* times the timeout: opening, logging in and listing */
	HOPE_MS =
		10000, /* jobs wait so long for a token that left without having been sent away */
	OUTSIDE_MAX =
		1 << 26,     /* what is signed and has no digest; messages are shorter */
	YIELD_TO = 4,        /* later jobs, for each that waits and yields */
	DEADLINE_FACTOR = 3, /* times the timeout: jobs without a deadline */
};

static inline uint64_t ns_of_ms(uint64_t ms) { return ms * 1000000; }

/* OP_USE: all that a use_job is. */
enum pool_op { OP_SIGN, OP_DECRYPT, OP_USE, OP_COUNT };

struct token_set { /* by worker->slot */
	uint64_t bits[POOL_TOKENS_MAX / 64];
};
static inline void set_put(struct token_set *s, unsigned slot, bool is_in)
{
	uint64_t bit = (uint64_t)1 << slot % 64;
	s->bits[slot / 64] = is_in ? s->bits[slot / 64] | bit : s->bits[slot / 64] & ~bit;
}
static inline bool set_is_empty(const struct token_set *s)
{
	return !(s->bits[0] | s->bits[1]);
}
/* The next one at or behind `slot`; POOL_TOKENS_MAX: none. */
unsigned set_next(const struct token_set *s, unsigned slot);

/* A key, wherever it is held, and the jobs that wait for it. */
struct pool_key_group {
	struct list busy;     /* in pool->busy while jobs wait */
	struct token_key key; /* for proofs; its id is the group's */
	char label[TOKEN_LABEL_SIZE];
	struct pubkey *pubkey; /* immutable, as is the modulus; no lock.  AES: NULL */
	uint8_t modulus[JOB_CIPHER_MAX];
	struct list jobs;           /* oldest first */
	unsigned waiting, yielding; /* of them */
	unsigned refs;              /* by what tokens hold, and by jobs */
	struct token_set held;      /* by tokens, plugged in or not */
	struct token_set serving[OP_COUNT];
	uint64_t hope_ns; /* until then one of its tokens may come back */
	/* A token counts its uses, or did: never forgotten, for no copy may do then what nobody would count */
	bool counts;
};

enum proof { PROOF_DUE, PROOF_DONE, PROOF_FAILED };

/* A key on a token. */
struct held {
	struct pool_key_group *group;
	unsigned handle;
	bool can[OP_COUNT], has_counter;
	enum proof proof;
};

struct card {
	struct list link;
	char serial[TOKEN_SERIAL_SIZE];
	struct worker *worker; /* NULL: not here */
	bool is_drained, is_wrong;
	uint64_t service_ns[ALG_IDS][OP_COUNT]; /* moving average */
	struct {
		uint64_t signatures, decryptions, uses, failures, wrong, ejections,
			busy_ns;
	} count;
	struct pool_token_status last; /* what is said of it once it is gone */
};

struct run { /* of pool_run(), on the caller's stack */
	struct list link;
	const struct pool_task *task;
	kf_err err;
	bool is_done;
	pthread_cond_t done;
};

/* Where tokens are plugged in, and the thread that looks there. */
struct watch {
	struct pool *pool;
	struct token_source_conf conf; /* texts: the pool's */
	struct token_source *source;
	pthread_t thread;
	bool has_thread;
	bool is_looked, is_over;
	struct token_places places; /* the thread's own */
};

struct worker {
	struct list link;
	struct pool *pool;
	const struct watch *watch;
	unsigned slot;
	struct token_place place;
	pthread_t thread;
	pthread_cond_t wake;
	struct card *card; /* NULL: not yet known, or not ours */
	struct token_facts facts;
	enum pool_token_state state;
	uint64_t since_ns, begun_ns, admitted_ns;
	char why[160];
	unsigned problems; /* keys that cannot be used */
	unsigned failures; /* of the token, in a row: the next rest is longer */
	unsigned refusals; /* of operations, in a row, by a token that seems well */
	bool has_facts, is_plugged, is_idle, is_looked, is_over;
	bool is_unselected, is_ambiguous, is_twin, is_taken, is_open, is_listed,
		is_pin_bad, is_hung;
	bool is_released; /* open, but let go: nobody needs it now */
	bool must_restart, must_interrupt, was_late;
	bool prove_next; /* jobs and proofs take turns */
	struct held *held;
	size_t held_n;
	struct list runs; /* struct run */
	const char *task; /* at work */

	struct pool_job *job; /* at work; NULL: none, or it was given to another */
	uint64_t
		suspect_ns; /* what is under way hangs from then on; 0: nothing is under way */

	pthread_mutex_t
		token_lock; /* keeps the token from being closed while it is interrupted */
	struct token *token;

	/* The thread's own, so that a late answer meets nobody else's memory. */
	struct sign_job sign;
	struct decrypt_job decrypt;
	struct use_job use;
	struct buf outside; /* what sign.outside or use.in points to */
	struct buf used;    /* what use.out is */
	uint8_t em[JOB_CIPHER_MAX];
	EVP_MD *md[HASH_COUNT];
	EVP_MD_CTX *md_ctx;
};

/* refusal.c: of all pools; its lock is taken last. */
struct refusals {
	pthread_mutex_t lock;
	size_t n; /* the oldest first */
	struct pool_refusal of[POOL_REFUSALS_MAX];
};
/* `tries` are left now. */
bool refusal_is_known(
	struct refusals *r, const char *serial, const struct token_pin *pin, int tries);
/* As struct pool_refusal has it; where there is no room the oldest goes. */
void refusal_note(
	struct refusals *r, const char *serial, const struct token_pin *pin, int asked);
void refusal_accepted(
	struct refusals *r, const char *serial, const struct token_pin *pin);
void refusal_forget(struct refusals *r, const char *serial);

struct pool {
	struct refusals *refusals;
	char name[POOL_NAME_SIZE];
	const struct token_driver *driver;
	char *module, **tokens, **sockets;
	size_t tokens_n, sockets_n;
	const struct token_pin *pin;
	void (*remember)(void *arg, struct pools *p);
	void *remember_arg;
	unsigned queue, timeout_ms, retry_ms, overflow_ms;
	bool is_read_only;

	struct watch *watch;
	size_t watches_n;
	pthread_t keeper;
	bool has_keeper;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* looked at, idle, over: what somebody may wait for */
	pthread_cond_t keep;
	uint64_t keep_ns; /* when the keeper looks next */
	bool is_closing, is_over;
	struct worker *slot[POOL_TOKENS_MAX];
	struct list workers, cards;
	size_t cards_n;
	struct map groups; /* struct pool_key_group by id */
	struct list busy;
	unsigned waiting, yielding; /* jobs in all groups; of them */
	uint64_t order;
};

struct pools {
	size_t n;
	struct pool *pool[POOLS_MAX];
	struct refusals refusals;
};

/* key.c */
struct pool_key_handle {
	struct token_key base;
	char pool[POOL_NAME_SIZE];
	uint8_t reject[32];
	struct pubkey *pub;
	struct token_key *overflow; /* a reference, or NULL */
};
static inline const struct pool_key_handle *handle_of(const struct token_key *key)
{
	return (const struct pool_key_handle *)(const void *)key;
}

/* Waits on a condition of a monotonic clock until then (clock_monotonic_ns()); UINT64_MAX: for ever. */
void pool_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns);
void pool_cond_init(pthread_cond_t *cond);
kf_err pool_thread(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg);

/* group.c; all with the lock held */
struct pool_key_group *group_find(struct pool *p, const uint8_t id[KEY_ID_SIZE]);
/* One reference more.  KEY_FORMAT: what the token says of its key does not fit together; FULL: too many keys are
 * remembered. */
kf_err group_get(
	struct pool *p, const struct token_key_facts *f, struct pool_key_group **ret);
void group_put(struct pool *p, struct pool_key_group *g);
void groups_sweep(
	struct pool *p, bool all); /* drops those that nobody has; all: at the end */
/* One of its tokens counts its uses: no job for it overflows from now on. */
void group_count(struct pool_key_group *g);
/* What the group knows is the job's. */
void group_heed(const struct pool_key_group *g, struct pool_job *j);
/* One of its tokens serves it, or may again soon. */
bool group_has_hope(const struct pool_key_group *g, enum pool_op op, uint64_t now);
/* What is done with it, as far as rates are told. */
enum pool_op group_main_op(const struct pool_key_group *g);
/* `yields`: of a job that yields to all that waits. */
uint64_t group_wait_ns(
	struct pool *p, const struct pool_key_group *g, enum pool_op op, bool yields);
uint64_t service_of(const struct worker *w, const struct alg *alg, enum pool_op op);

/* queue.c; all with the lock held, but for job_finish() */
static inline enum pool_op op_of(const struct pool_job *j)
{
	return j->sign ? OP_SIGN : j->decrypt ? OP_DECRYPT : OP_USE;
}
/* Nobody waits for it any more. */
static inline bool job_is_unwanted(const struct pool_job *j)
{
	return j->own.is_unwanted || (j->is_given_up && atomic_load(j->is_given_up));
}
/* It waits until then, and no longer. */
uint64_t queue_patience_ns(const struct pool *p, const struct pool_job *j);
/* The oldest job that the token may do, taken off its queue; NULL: none. */
struct pool_job *queue_pull(struct worker *w, struct held **ret);
/* Some token serves its key and has not refused it. */
bool queue_has_taker(const struct pool_job *j);
/* Back to the front, for another token; false: nobody may do it any more, the job is the caller's. */
bool queue_retry(struct pool *p, struct pool_job *j, kf_err why);
/* Somebody who was woken does something else. */
void queue_wake(struct pool *p);
void queue_take_off(struct pool *p, struct pool_job *j);
/* Drops its group. */
void queue_forget(struct pool *p, struct pool_job *j);
void job_finish(struct pool_job *j, kf_err err);
struct pool *pools_find(struct pools *p, const char *name);

/* keep.c; lock held */
void keeper_arm(struct pool *p, uint64_t ns);

/* token.c: what a worker's token is; with the lock held */
void worker_settle(
	struct worker *w); /* state and who serves what follow from the flags */
void worker_why(struct worker *w, kf_err e);
void worker_fail(struct worker *w); /* it must be opened anew */
bool worker_is_taking(const struct worker *w);
bool worker_serves(const struct worker *w, const struct held *h);
/* Selection, and the card of this serial number; the flags say why it is not ours. */
bool worker_claim(struct worker *w);
void worker_release(struct worker *w); /* leaves the card to the next */
void pool_select_anew(struct pool *p);
void pool_meet_twins(struct pool *p); /* one of two with the same serial number left */
struct card *card_find(struct pool *p, const char *serial);
void worker_refuse_pin(struct worker *w, kf_err e);
void worker_row(const struct worker *w, struct pool_token_status *ret);

/* work.c: the worker's thread, lock held on entry and exit.  An error: the token must be opened anew. */
kf_err worker_attempt(struct worker *w, struct pool_job *j, struct held *h);
kf_err worker_prove(struct worker *w, struct held *h);
/* Around calls to the driver: drops the lock, takes it again. */
void worker_begin(struct worker *w, uint64_t limit_ns);
uint64_t worker_end(struct worker *w); /* how long it took */
void worker_forgive(
	struct worker *w); /* it was late with what is no job: it is well again */

/* open.c; the same */
kf_err worker_open(struct worker *w);
kf_err worker_enter(struct worker *w); /* from an open token on */
kf_err worker_list(struct worker *w);
void worker_close(struct worker *w);
/* What takes no jobs is let go, for other programs, and taken again for a task.  DENIED: another has it. */
void worker_let_go(struct worker *w);
kf_err worker_take_again(struct worker *w);
bool fails_token(kf_err e); /* it must be closed and opened anew */

void *worker_run(void *arg);
void worker_refuse_tasks(struct worker *w); /* those that wait; with the lock held */
void *watcher_run(void *arg);
void *keeper_run(void *arg);
void worker_free(struct worker *w);
