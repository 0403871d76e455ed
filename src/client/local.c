/* SPDX-License-Identifier: Apache-2.0 */
#include "client/local.h"
#include "base/clock.h"
#include "base/mem.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HEADER_SIZE = 8, /* TTLV: tag 3, type 1, length 4 */
	FULL_MS = 1000,
};

struct address {
	struct sockaddr_un sun;
	socklen_t size; /* 0: none */
};

struct local_conn {
	int fd;     /* -1: not connected */
	pid_t pid;  /* who opened fd */
	size_t got; /* bytes of the answer so far */
	struct buf request;
	uint8_t answer[LOCAL_ANSWER_MAX];
};

struct local {
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	struct address address[2]; /* tried in this order */
	uid_t agent_uid;
	unsigned deadline_ms, idle_max;
	_Atomic(pid_t) pid; /* who filled the slots */
	_Atomic(uint64_t)
		full_ns; /* when the wait for room at the agent was in vain; 0: never */
	_Atomic(struct local_conn *) idle[LOCAL_IDLE_MAX];
};

/* ---- connections ---- */

/* Only our descriptor is closed: after a fork the connection itself may still be our parent's. */
static void hang_up(struct local_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void conn_free(struct local_conn *c)
{
	if (!c)
		return;
	hang_up(c);
	buf_free(&c->request);
	explicit_bzero(c->answer, sizeof(c->answer));
	free(c);
}

/* Room for every request is taken once, so that a call allocates nothing later on. */
static kf_err conn_new(struct local_conn **ret)
{
	struct local_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "connection to the key agent");
	c->fd = -1;
	c->request = buf_new(LOCAL_REQUEST_MAX);
	buf_reserve(&c->request, LOCAL_REQUEST_MAX);
	if (!kf_ok(buf_err(&c->request))) {
		conn_free(c);
		return kf_fail(NOMEM, "request to the key agent");
	}
	*ret = c;
	return KF_OK;
}

static void put_idle(struct local *l, struct local_conn *c)
{
	for (unsigned i = 0; i < l->idle_max; i++) {
		struct local_conn *none = NULL;
		if (atomic_compare_exchange_strong(&l->idle[i], &none, c))
			return;
	}
	conn_free(c);
}

/* After a fork the slots hold our parent's connections.  Two threads may sweep at once: each slot is
 * emptied by one of them, and what either has opened by then is recognised and kept. */
static void sweep_after_fork(struct local *l, pid_t me)
{
	for (unsigned i = 0; i < l->idle_max; i++) {
		struct local_conn *c = atomic_exchange(&l->idle[i], NULL);
		if (c && c->pid == me)
			put_idle(l, c);
		else
			conn_free(c);
	}
	atomic_store(&l->pid, me);
}

/* The first slot is the warmest. */
static struct local_conn *take_idle(struct local *l)
{
	pid_t me = getpid();
	if (atomic_load(&l->pid) != me)
		sweep_after_fork(l, me);
	for (unsigned i = 0; i < l->idle_max; i++) {
		struct local_conn *c = NULL;
		if (atomic_load_explicit(&l->idle[i], memory_order_relaxed))
			c = atomic_exchange(&l->idle[i], NULL);
		if (c)
			return c;
	}
	return NULL;
}

/* ---- connecting ---- */

static int64_t left_ms(const struct local_call *c)
{
	uint64_t now = clock_monotonic_ns();
	return now >= c->deadline_ns ? 0
				     : (int64_t)((c->deadline_ns - now) / 1000000 + 1);
}

static void set_send_timeout(int fd, int64_t ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static bool was_full(struct local *l)
{
	uint64_t at = atomic_load_explicit(&l->full_ns, memory_order_relaxed);
	return at && clock_monotonic_ns() - at < FULL_MS * UINT64_C(1000000);
}

static void note_full(struct local *l, bool is_full)
{
	uint64_t at = is_full ? clock_monotonic_ns() : 0;
	atomic_store_explicit(&l->full_ns, at, memory_order_relaxed);
}

/* It blocks while the agent's queue is full, even a guest that pauses otherwise; so after one wait in vain
 * the next ones are short for a second.  A signal interrupts it; then nothing has begun yet, and what
 * is left of the time counts: timers of the guest may strike more often than we would give up. */
static int connect_to(const struct local_call *c, int fd, const struct address *to)
{
	bool is_short = was_full(c->local);
	int64_t ms;
	while ((ms = left_ms(c)) > 0) {
		set_send_timeout(fd, is_short ? 1 : ms);
		if (connect(fd, (const struct sockaddr *)&to->sun, to->size) == 0) {
			note_full(c->local, false);
			return 0;
		}
		if (errno == EAGAIN)
			break;
		if (errno != EINTR)
			return -1;
	}
	if (!is_short)
		note_full(c->local, true);
	errno = EAGAIN;
	return -1;
}

static kf_err connect_failed(int error)
{
	switch (error) {
	case EAGAIN: return kf_fail(TIMEOUT, "key agent accepts no connections");
	case EACCES:
	case EPERM: return kf_fail(DENIED, "no permission to connect to the key agent");
	default:
		return kf_fail(UNAVAILABLE,
			"key agent is not reachable; is keyfleet-agent running?");
	}
}

/* A squatter on the agent's name must not learn even what would be signed.  What the kernel shows is
 * who called listen(): root under socket activation, else the agent's own user. */
static kf_err check_peer(const struct local *l, int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return kf_fail(IO, "credentials of the key agent are not readable");
	if (peer.uid != 0 && peer.uid != l->agent_uid)
		return kf_fail(AUTH, "socket of the key agent belongs to a user who is "
				     "neither root nor agent-uid");
	return KF_OK;
}

static kf_err dial(struct local_call *call, const struct address *to, int *ret)
{
	CLEANUP(mem_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kf_fail(IO, "no socket can be made; out of file descriptors?");
	if (connect_to(call, fd, to))
		return connect_failed(errno);
	KF_TRY(check_peer(call->local, fd));
	*ret = fd;
	fd = -1;
	return KF_OK;
}

/* The second name is for containers; when nobody is there either, the first failure is told. */
static kf_err connect_any(struct local_call *call)
{
	const struct local *l = call->local;
	struct local_conn *conn = call->conn;
	kf_err first = dial(call, &l->address[0], &conn->fd);
	if (!kf_ok(first) && l->address[1].size) {
		kf_err second = dial(call, &l->address[1], &conn->fd);
		if (!kf_ok(second) && !kf_is(first, KF_E_UNAVAILABLE))
			second = first;
		KF_TRY(second);
	} else {
		KF_TRY(first);
	}
	conn->pid = getpid();
	return KF_OK;
}

/* ---- one call ---- */

static void finish(struct local_call *c, kf_err e)
{
	c->is_done = true;
	c->err = e;
	if (!kf_ok(e))
		hang_up(c->conn);
}

static bool is_gone(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

static kf_err wait_for(struct local_call *c, short events)
{
	struct pollfd p = { .fd = c->conn->fd, .events = events };
	int64_t ms = left_ms(c);
	if (ms == 0)
		return kf_fail(TIMEOUT, "key agent did not answer in time");
	if (poll(&p, 1, (int)ms) < 0 && errno != EINTR)
		return kf_fail(IO, "waiting for the key agent");
	return KF_OK;
}

/* CLOSED: the agent has gone away, nothing was answered. */
static kf_err send_all(struct local_call *c)
{
	struct slice left = buf_slice(&c->conn->request);
	while (left.n) {
		ssize_t n =
			send(c->conn->fd, left.p, left.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			KF_TRY(wait_for(c, POLLOUT));
		else if (n < 0 && errno != EINTR)
			return is_gone(errno) ? kf_fail(CLOSED, "key agent has gone away")
					      : kf_fail(IO, "sending to the key agent");
		left.p += n > 0 ? n : 0;
		left.n -= n > 0 ? (size_t)n : 0;
	}
	return KF_OK;
}

static kf_err connect_and_send(struct local_call *c)
{
	c->conn->got = 0;
	if (c->conn->fd < 0)
		KF_TRY(connect_any(c));
	return send_all(c);
}

/* The agent was restarted: what we ask may be repeated, and is, once, over a new connection. */
static kf_err repeat(struct local_call *c, kf_err why)
{
	if (!kf_is(why, KF_E_CLOSED) || c->is_repeated || c->conn->got)
		return why;
	c->is_repeated = true;
	hang_up(c->conn);
	return connect_and_send(c);
}

static size_t answer_size(const struct local_conn *c)
{
	const uint8_t *p = c->answer + 4;
	uint32_t n =
		(uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return (size_t)n + HEADER_SIZE;
}

/* Nothing may follow the one answer: we would take it for the next one. */
static kf_err check_answer(const struct local_conn *c, bool *ret_whole)
{
	if (c->got < HEADER_SIZE) {
		*ret_whole = false;
		return KF_OK;
	}
	size_t size = answer_size(c);
	if (size > sizeof(c->answer))
		return kf_fail(TOO_BIG, "answer of the key agent is too big");
	if (c->got > size)
		return kf_fail(MALFORMED, "key agent answered more than was asked");
	*ret_whole = c->got == size;
	return KF_OK;
}

static kf_err receive(struct local_call *c, bool *ret_whole)
{
	struct local_conn *conn = c->conn;
	ssize_t n = recv(conn->fd, conn->answer + conn->got,
		sizeof(conn->answer) - conn->got, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return left_ms(c) ? KF_OK
				  : kf_fail(TIMEOUT, "key agent did not answer in time");
	if (n == 0 || (n < 0 && is_gone(errno)))
		return repeat(c, kf_fail(CLOSED, "key agent closed the connection"));
	if (n < 0)
		return kf_fail(IO, "receiving from the key agent");
	conn->got += (size_t)n;
	return check_answer(conn, ret_whole);
}

kf_err local_begin(struct local *l, struct local_call *ret)
{
	struct local_conn *conn = take_idle(l);
	if (!conn)
		KF_TRY(conn_new(&conn));
	*ret = (struct local_call){ .local = l,
		.conn = conn,
		.deadline_ns =
			clock_monotonic_ns() + l->deadline_ms * UINT64_C(1000000) };
	return KF_OK;
}

void local_set_deadline(struct local_call *c, unsigned ms)
{
	c->deadline_ns = clock_monotonic_ns() + ms * UINT64_C(1000000);
}

struct buf *local_request(struct local_call *c) { return &c->conn->request; }

void local_send(struct local_call *c)
{
	kf_err e = buf_err(&c->conn->request);
	if (kf_ok(e))
		e = connect_and_send(c);
	if (!kf_ok(e))
		e = repeat(c, e);
	if (!kf_ok(e))
		finish(c, e);
}

bool local_is_done(struct local_call *c)
{
	bool is_whole = false;
	if (c->is_done)
		return true;
	kf_err e = receive(c, &is_whole);
	if (is_whole || !kf_ok(e))
		finish(c, e);
	return c->is_done;
}

int local_fd(const struct local_call *c) { return c->conn->fd; }

/* One send(), one poll(), one recv().  A recv() that blocks would be a call less and cost three times as
 * much: Linux wakes it as soon as the agent has read the request, because the sender may send again, and
 * it goes back to sleep with nothing. */
void local_wait(struct local_call *c)
{
	while (!c->is_done) {
		kf_err e = wait_for(c, POLLIN);
		if (!kf_ok(e))
			finish(c, e);
		else
			local_is_done(c);
	}
}

kf_err local_answer(const struct local_call *c, struct slice *ret)
{
	KF_TRY(c->err);
	if (!c->is_done)
		return kf_fail(INTERNAL, "call to the key agent is not finished");
	*ret = (struct slice){ c->conn->answer, c->conn->got };
	return KF_OK;
}

void local_end(struct local_call *c)
{
	struct local_conn *conn = c->conn;
	if (!c->is_done)
		hang_up(conn);
	explicit_bzero(conn->answer, conn->got);
	conn->got = 0;
	buf_clear(&conn->request);
	put_idle(c->local, conn);
	c->conn = NULL;
}

/* ---- the pool ---- */

static kf_err set_address(struct address *a, const char *name)
{
	size_t n = strlen(name);
	if ((name[0] != '@' && name[0] != '/') || n < 2)
		return kf_fail(INVALID_FIELD,
			"agent socket is neither /path nor @abstract name");
	if (n >= sizeof(a->sun.sun_path))
		return kf_fail(INVALID_FIELD, "name of the agent socket is too long");
	a->sun.sun_family = AF_UNIX;
	memcpy(a->sun.sun_path, name, n);
	if (name[0] == '@')
		a->sun.sun_path[0] = 0;
	/* An abstract name is as long as it is; a path ends with NUL. */
	a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
			      (name[0] == '/'));
	return KF_OK;
}

static kf_err set_addresses(struct local *l, const char *name)
{
	const char *first = name ? name : LOCAL_ABSTRACT;
	KF_TRY(set_address(&l->address[0], first));
	if (!name)
		KF_TRY(set_address(&l->address[1], LOCAL_PATH));
	return slice_to_text(slice_of(first), l->name, sizeof(l->name));
}

kf_err local_new(const struct local_conf *conf, struct local **ret)
{
	struct local *l = calloc(1, sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "pool of connections to the key agent");
	l->agent_uid = conf->agent_uid;
	l->deadline_ms = conf->deadline_ms ? conf->deadline_ms : LOCAL_DEADLINE_MS;
	bool is_usual = conf->idle_max == 0 || conf->idle_max > LOCAL_IDLE_MAX;
	l->idle_max = is_usual ? LOCAL_IDLE_MAX : conf->idle_max;
	atomic_store(&l->pid, getpid());
	kf_err e = set_addresses(l, conf->socket);
	if (!kf_ok(e)) {
		local_free(l);
		return e;
	}
	*ret = l;
	return KF_OK;
}

void local_free(struct local *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < LOCAL_IDLE_MAX; i++)
		conn_free(atomic_exchange(&l->idle[i], NULL));
	free(l);
}

const char *local_socket(const struct local *l) { return l->name; }
unsigned local_deadline_ms(const struct local *l) { return l->deadline_ms; }
