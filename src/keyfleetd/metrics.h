/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: what keyfleetd counts, by the table metric.def.
 *
 * Each loop counts in its own block (io->metrics), the main thread in another (server->metrics): plain
 * stores, no lock, no shared cache line.  Times come from clock reads that the loop makes anyway.
 */
#pragma once
#include "crypt/alg.h"
#include "metric/metric.h"
#include <assert.h>
#include <stdalign.h>

struct op;
struct req;
struct server;

enum {
#define X(...) +1
	OPERATIONS = 0
#include "op/op.def"
#undef X
};

/* By which right: the rule of policy/policy.h, in as many words as metrics can take. */
enum metric_class {
	CLASS_ADMIN,
	CLASS_OWNER,
	CLASS_GRANTED,
	CLASS_EVERYBODY,
	CLASS_DENIED,
	CLASSES
};

enum metric_stage {
	STAGE_QUEUE, /* read, until something is computed for it: in its loop's round, or for a worker */
	STAGE_TOKEN, /* computing */
	STAGE_AUDIT, /* its record is on the way to disk */
	STAGE_STORE, /* its change is being committed, its record before it */
	STAGE_SEND,  /* the client does not take the answer */
	STAGES
};

enum { RECENT_S = 10 };
enum metric_token { TOKEN_SOFT, TOKEN_POOL, TOKENS };
/* Why software does what tokens should. */
enum metric_overflow {
	OVERFLOW_WAIT,   /* it would have waited too long for a token, or did */
	OVERFLOW_TOKENS, /* no token has the key in use */
	OVERFLOW_FAILED, /* the tokens that tried failed */
	OVERFLOWS
};

enum metric_direction { DIRECTION_IN, DIRECTION_OUT, DIRECTIONS };

enum metric_handshake {
	HANDSHAKE_FULL,
	HANDSHAKE_RESUMED,
	HANDSHAKE_TIMEOUT,     /* not done in time */
	HANDSHAKE_GONE,        /* the peer went away */
	HANDSHAKE_CERTIFICATE, /* the peer's is not believed, or there is none */
	HANDSHAKE_REFUSED,     /* the peer does not believe ours */
	HANDSHAKE_PROTOCOL,    /* no TLS, or nothing in common */
	HANDSHAKE_STRANGER, /* the certificate belongs to no client, or to a revoked one */
	HANDSHAKE_LIMIT,    /* the client has too many connections */
	HANDSHAKE_KEY,      /* our own key, on tokens, could not sign */
	HANDSHAKES
};

enum metric_limit {
	LIMIT_CLIENT_RATE,
	LIMIT_CLIENT_REQUESTS,
	LIMIT_GRANT_RATE,
	LIMIT_GRANT_REQUESTS,
	LIMITS
};

enum metric_refusal {
	REFUSAL_DRAINING,
	REFUSAL_FULL,
	REFUSAL_UNTRUSTED, /* not a trusted load balancer, or no PROXY header */
	REFUSAL_MEMORY,
	REFUSALS
};

enum {
#define LABEL(id, name, n, value) LABEL_##id = (n),
#include "keyfleetd/metric.def"
};

/* clang-format off */
struct metrics {
	alignas(64)
#include "metric/block.def"
#include "keyfleetd/metric.def"
	/* the owner's: answered in the round that is running, before anybody read the clock */
	uint64_t quick_mask;
	uint32_t quick[OPERATIONS + 1];
	/* once a second, for people who look now */
	struct count per_second;
	struct histogram sign_before[2]; /* signatures until ten and twenty seconds ago */
	uint64_t until_now, seconds;     /* the owner's */
};
/* clang-format on */
static_assert(OPERATIONS < 64, "a bit each");

kf_err metrics_new(struct metrics **ret);
void metrics_free(struct metrics *m); /* NULL is fine */

/* An item of a request was answered. */
void metrics_count_answer(const struct req *r);
/* It is so late now: for what was answered since the round began. */
void metrics_count_quick(struct metrics *m, uint64_t took_ns);
/* A request is back from a worker. */
void metrics_count_work(struct req *r);

/* ... from a token. */
void metrics_count_pool_job(struct req *r);
void metrics_count_overflow(struct req *r, kf_err why); /* of the tokens */

/* By each loop once a second. */
void metrics_count_second(struct metrics *m);

/* How quick it is at the moment; any thread. */
struct server_pace {
	uint64_t requests_per_s;    /* in the last second */
	struct metric_summary sign; /* in the last ten to twenty */
};
void server_pace(const struct server *s, struct server_pace *ret);
/* What copies in software did instead of tokens. */
uint64_t server_overflows(const struct server *s);

void metrics_manual(struct buf *to);
/* Everything, in the format asked for.  On the health thread. */
void server_metrics(struct server *s, enum metric_format f, struct buf *ret);
