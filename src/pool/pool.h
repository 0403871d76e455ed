/* SPDX-License-Identifier: Apache-2.0
 *
 * pool: tokens in use.  Keys are found on them by public key; a job waits in one queue for whichever
 * token that holds its key is free first; what fails goes to another token and the caller sees nothing.
 *
 * A pool has one kind of token, and one source or several.  Each token has a thread of its own: no lock is held
 * while a token works.  A token serves a key only after it has signed a challenge with it; every
 * signature is verified with the public key before it leaves; a token that signs wrongly, hangs or
 * fails is put aside, probed, and taken back.  (Keys that count their uses are not asked to prove
 * themselves: that would be a use.  Their first signature does it.)
 *
 * Used by the key server, and by `keyfleet --local` on a workstation without one.
 */
#pragma once
#include "base/list.h"
#include "token/driver.h"

struct pools;

/* A token refused a PIN: it is not tried again before pool_resume().  Or it was sent, and what the token says to it
 * is not known: it is not tried again either, unless as many tries are left as were then. */
struct pool_refusal {
	char serial[TOKEN_SERIAL_SIZE];
	const struct token_pin *pin;
	int asked; /* tries that were left when it was sent; 0: it was refused */
};

enum {
	POOL_NAME_SIZE = 65,
	POOL_TOKENS_MAX = 128,
	POOLS_MAX = 16,
	POOL_SOURCES_MAX = 8,
	POOL_REFUSALS_MAX = 4 * POOL_TOKENS_MAX
};

struct pool_conf {
	const char *name;
	const struct token_driver *driver;
	struct token_source_conf source;
	/* smartcard-hsm: several pcscds, each a source of tokens (one has 16 readers at most); none: source.socket */
	const char *const *sockets;
	size_t sockets_n;
	/* Serial numbers, or labels if unique; none: every token that is plugged in.  What is not selected
	 * is not opened for more than to read its serial number.  A label that fits two is an error of both. */
	const char *const *tokens;
	size_t tokens_n;
	/* Lives as long as the pool.  NULL: nobody logs in; listing and initialising only */
	const struct token_pin *pin;
	/* What pools_refusals() said of this PIN in an earlier life; their `pin` is of no meaning. */
	const struct pool_refusal *refused;
	size_t refused_n;
	/* Before a PIN is sent, and when an answer to one was lost: pools_refusals() has something that the next life
	 * must know.  On a thread of the pool's, perhaps several at a time; may write a file.  NULL is fine */
	void (*remember)(void *arg, struct pools *p);
	void *remember_arg;
	unsigned queue; /* jobs that may wait; more are BUSY */
	unsigned
		timeout_ms; /* of one operation on one token, after which it counts as hung */
	/* A token that failed is opened anew at once, then after this time, then after twice as long, up
	 * to 64 times as long; 0: 250 */
	unsigned retry_ms;
	bool is_read_only; /* nothing that writes to a token is done */
	/* Keys that have a copy in software (struct pool_key) need not wait for longer than this, nor at all
	 * while no token serves them; 0: they wait as all others do */
	unsigned overflow_ms;
};

/* NOMEM and the like.  Tokens that are away, have another PIN or fail are no error: they are in the
 * status.  Threads start here. */
kf_err pools_open(const struct pool_conf *conf, size_t n, struct pools **ret);
/* Jobs that wait fail with CLOSED, those at work are finished.  A token that hangs and cannot be
 * interrupted keeps its memory.  NULL is fine. */
void pools_close(struct pools *p);
/* Before that, for whoever has threads in pool_run(): tasks that wait are refused, those at work cut off where the
 * driver can.  NULL is fine. */
void pools_interrupt(struct pools *p);

/* Until every token that is plugged in has been looked at, after a task that changed it once more; TIMEOUT. */
kf_err pools_wait(struct pools *p, unsigned timeout_ms);

/* ---- keys ---- */

/* A handle for objects whose key lives on tokens: its ops are &pool_token, the jobs of which go to
 * pool_submit().  `reject` is the secret of implicit rejection (token/unpad.h), which must be the same at every key
 * server.  The pool need not hold the key (yet): that is found out per job. */
struct pool_key {
	char pool[POOL_NAME_SIZE];
	struct slice spki;
	/* AES: there is no public half; what it is known by (token/use.h), and its length */
	const uint8_t *key_id;
	const struct alg *alg;
	uint8_t reject[32];
	/* The same key in software, which the handle keeps a reference to; NULL: tokens alone have it */
	struct token_key *overflow;
};
kf_err pool_key_new(const struct pool_key *k, struct token_key **ret);
extern const struct token_ops pool_token; /* its sign and decrypt are never called */
bool pool_key_is(const struct token_key *key);
/* Of a pool's handle only; they live as long as it. */
struct slice pool_key_spki(const struct token_key *key); /* AES: empty */
const char *pool_key_pool(const struct token_key *key);  /* name of its pool */
/* Its copy in software, or NULL. */
struct token_key *pool_key_overflow(const struct token_key *key);

/* ---- jobs ---- */

struct pool_key_group;

/* Zeroed but for what the caller fills. */
struct pool_job {
	struct { /* the pool's */
		struct list link;
		struct pool_key_group *group;
		uint64_t order, submitted_ns, begun_ns;
		/* by tokens that refused it, and by those that failed at it */
		uint64_t refused[POOL_TOKENS_MAX / 64], failed[POOL_TOKENS_MAX / 64];
		bool is_waiting, is_unwanted;
		kf_err verdict;
	} own;
	/* One of them; the caller's, and untouched by it until done() is called. */
	struct sign_job *sign;
	struct decrypt_job *decrypt;
	struct use_job *use;
	uint64_t deadline_ns; /* monotonic; 0: the pool's default */
	/* The key has a use counter: after an outcome that is not known, no other token.  The pool says so
	 * itself of keys that a token counted the uses of, before any token is asked. */
	bool is_once;
	/* Strangers asked for it: what clients ask for later goes before, four for each that waits so, and does not
	 * count it when it looks for room or time. */
	bool yields;
	/* Any thread may set it: no token begins the job from then on, and it ends as TIMEOUT sooner or later.  NULL: nobody
	 * does.  pool_cancel() is quicker, for whoever does not wait himself. */
	const _Atomic bool *is_given_up;
	void (*done)(struct pool_job *j); /* on a thread of the pool's; must be quick */

	/* Said by the pool: the key's copy in software may do what no token does in time, for the pool is told so, and
	 * no token was ever seen to count the key's uses.
	 * That is what BUSY, UNAVAILABLE, TIMEOUT and TOKEN mean then, be it of pool_submit() or done(). */
	bool overflows;

	/* for done(); the result itself is in sign->err, decrypt->err or use->err */
	char token[TOKEN_SERIAL_SIZE]; /* that made it; "" if none */
	unsigned tries;
	uint64_t waited_ns, worked_ns;
};

/* Any thread; does not block; without pools (NULL) nothing is there.  BUSY: the queue is full, or the deadline would pass before its turn; UNAVAILABLE:
 * no token that holds the key is in use, nor was a moment ago.  Both: another key server may do it.  Whatever
 * this returns but KF_OK, done() is not called. */
kf_err pool_submit(struct pools *p, struct pool_job *j);
/* The same for threads that may wait: comes back when the job is done (the result is where done() finds it), or with
 * what pool_submit() says.  `done` is overwritten.  It waits for tokens alone: nothing overflows.  Not for loops. */
kf_err pool_submit_and_wait(struct pools *p, struct pool_job *j);
/* Takes back what has not begun: false, it is too late (done() comes or has come).  What a token fails at then no
 * other token tries. */
bool pool_cancel(struct pools *p, struct pool_job *j);

/* What a job for this key would wait now, without its own time; UINT64_MAX: nobody here has the key.  No longer
 * than until it overflows. */
uint64_t pool_expected_wait_ns(struct pools *p, const struct token_key *key);

/* ---- tokens ---- */

enum pool_token_state {
#define X(id, text, manual) POOL_TOKEN_##id,
#include "pool/state.def"
#undef X
	POOL_TOKEN_STATES
};
const char *pool_token_state_text(enum pool_token_state s);

struct pool_token_status {
	char pool[POOL_NAME_SIZE], place[TOKEN_PLACE_SIZE];
	struct token_facts facts;
	enum pool_token_state state;
	char why[160]; /* the last error, for people */
	unsigned keys, keys_with_problems;
	uint64_t signatures, decryptions, uses, failures, wrong_signatures, ejections;
	uint64_t busy_ns, since_ns; /* at work in all; in this state */
	uint64_t
		service_ns; /* expected time of a signature, the slowest kind it has done */
	char task[64];      /* "generating rsa:2048", or "" */
};
/* One row a token, also of those that were here and are gone; at most n; returns how many there are. */
size_t pool_tokens(struct pools *p, struct pool_token_status *ret, size_t n);

/* Which tokens refused which PIN (a pool's), or have not answered it: what an owner keeps for the next start.  Returns
 * how many there are, POOL_REFUSALS_MAX at most: then the oldest are forgotten for new ones. */
size_t pools_refusals(struct pools *p, struct pool_refusal *ret, size_t n);

/* The public keys that tokens of a pool hold, and who holds them. */
struct pool_key_status {
	char pool[POOL_NAME_SIZE];
	const struct alg *alg;
	uint8_t key_id[KEY_ID_SIZE];
	char label[TOKEN_LABEL_SIZE];
	unsigned holders, serving; /* tokens that have it; that may sign with it now */
	unsigned waiting;          /* jobs */
};
size_t pool_keys(
	struct pools *p, const char *pool, struct pool_key_status *ret, size_t n);
/* Of one of them: how many tokens may sign with it now. */
unsigned pool_key_serving(
	struct pools *p, const char *pool, const uint8_t key_id[KEY_ID_SIZE]);
unsigned pool_waiting(struct pools *p, const char *pool); /* jobs, of all its keys */
/* NOT_FOUND: no pool of this name; READ_ONLY: it is, and `changes` tokens. */
kf_err pool_check(struct pools *p, const char *pool, bool changes);
/* Keys of this pool may have a copy in software that is used; false: there is no such pool here, either. */
bool pool_overflows(struct pools *p, const char *pool);
/* The SubjectPublicKeyInfo of a key that tokens of the pool hold, appended; NOT_FOUND, also for one of AES. */
kf_err pool_find_spki(struct pools *p, const char *pool,
	const uint8_t key_id[KEY_ID_SIZE], struct buf *ret);
/* A token of the pool counts the uses of this key, or did when it was here last. */
bool pool_key_counts(
	struct pools *p, const char *pool, const uint8_t key_id[KEY_ID_SIZE]);
/* The serial numbers of its holders; returns how many. */
size_t pool_key_holders(struct pools *p, const char *pool,
	const uint8_t key_id[KEY_ID_SIZE], char (*ret)[TOKEN_SERIAL_SIZE], size_t n);

/* No new work; returns at once, the status says when it is idle.  Kept until resume, over replugs.  A drained
 * token is let go, so that other programs can use it, and taken for tasks only. */
kf_err pool_drain(struct pools *p, const char *serial);
/* Also: forgives what put it aside, a refused PIN too, which is then tried once more if three or more tries are left. */
kf_err pool_resume(struct pools *p, const char *serial);

/* Runs `run` on the token's own thread between two jobs and waits for it; half an hour at most, where the driver
 * can interrupt a token.  Afterwards its
 * keys are listed anew if `changes`.  `task` is shown in the status.  NOT_FOUND, UNAVAILABLE, or what run says;
 * READ_ONLY if it changes and the pool is read only. */
struct pool_task {
	const char *serial, *task;
	bool changes;
	bool gives_pin; /* if it succeeds, the pool's PIN may be tried again */
	kf_err (*run)(const struct token_driver *driver, struct token *t, void *arg);
	void *arg;
};
kf_err pool_run(struct pools *p, const struct pool_task *task);
