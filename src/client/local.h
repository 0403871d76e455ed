/* SPDX-License-Identifier: Apache-2.0
 *
 * local: the half of the client that lives in other people's processes.  One request and one answer
 * at a time over a Unix socket to keyfleet-agent (docs/wire.md, "Between guests and the agent").
 *
 *     struct local_call c;
 *     KF_TRY(local_begin(l, &c));
 *     sign_put_request(local_request(&c), ...);         any KMIP message
 *     local_send(&c);
 *     while (!local_is_done(&c))                        a guest that may not block:
 *             pause until local_fd(&c) is readable      or simply local_wait(&c)
 *     KF_TRY(local_answer(&c, &answer));
 *     ...
 *     local_end(&c);                                    always, also after a failure
 *
 * A call remembers its first failure; local_answer() tells it.
 *
 * A guest owns neither process nor threads nor signals.  So: no thread, no signal, no output, no name
 * service, no file; works in a chroot and with RLIMIT_NPROC 0.  A fork needs no notice: what the
 * parent opened is closed and opened anew.  Before anything is sent, the kernel is asked whose socket
 * it is; only root's and the configured user's are trusted.  An agent that was restarted between two
 * calls, or during one, is met again once without the caller noticing: therefore only requests that may
 * be repeated (Sign, Decrypt, Get, Locate).
 *
 * Threads: a struct local may be shared by all; a struct local_call belongs to one.  The pool of idle
 * connections is a row of atomic slots, so there is no lock that a fork could leave taken.
 */
#pragma once
#include "base/buf.h"
#include <sys/types.h>

#define LOCAL_ABSTRACT "@keyfleet-agent"
#define LOCAL_PATH     "/run/keyfleet/agent.sock"

enum {
	LOCAL_DEADLINE_MS = 2000,
	LOCAL_IDLE_MAX = 64, /* idle connections a process keeps */
	LOCAL_REQUEST_MAX = 8192,
	LOCAL_ANSWER_MAX = 16384,
};

struct local_conf {
	const char *
		socket; /* "@abstract" or "/path"; NULL: LOCAL_ABSTRACT, then LOCAL_PATH */
	uid_t agent_uid;      /* trusted besides root; 0: root only */
	unsigned deadline_ms; /* for a whole call; 0: LOCAL_DEADLINE_MS */
	unsigned idle_max;    /* 0: LOCAL_IDLE_MAX, the most */
};

struct local;
struct local_conn;

/* Opens nothing yet.  INVALID_FIELD when the socket's name is neither form or too long. */
kf_err local_new(const struct local_conf *conf, struct local **ret);
void local_free(struct local *l); /* no call may be in flight; NULL is fine */
/* For error texts: the first name tried. */
const char *local_socket(const struct local *l);
unsigned local_deadline_ms(const struct local *l);

struct local_call {
	struct local *local;
	struct local_conn *conn;
	uint64_t deadline_ns; /* monotonic, counted from local_begin() */
	bool is_done, is_repeated;
	kf_err err;
};

kf_err local_begin(struct local *l, struct local_call *ret); /* NOMEM */
/* Another one than the configured, counted from now; before local_send(). */
void local_set_deadline(struct local_call *c, unsigned ms);
struct buf *local_request(struct local_call *c); /* empty */
void local_send(struct local_call *c);
/* Looks once, without blocking: true when the answer is whole, or the call has failed or is late. */
bool local_is_done(struct local_call *c);
/* May be another after each local_is_done(); -1: not connected, the call has failed. */
int local_fd(const struct local_call *c);
void local_wait(struct local_call *c); /* until local_is_done() */
/* The whole answer, a TTLV item; valid until local_end(). */
kf_err local_answer(const struct local_call *c, struct slice *ret);
/* Wipes request and answer.  The connection is kept, unless an answer may still come over it. */
void local_end(struct local_call *c);
