/* SPDX-License-Identifier: Apache-2.0
 *
 * stall: visits to a web server, many at once, each with the times that its visitor would feel.  A failed
 * one counts as failed, never as quick.
 */
#include "base/clock.h"
#include "bench/bench.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESTS = 5, REQUEST_SIZE = 512, VISITS_MAX = 3 * STALL_AT_ONCE_MAX };

enum phase {
	VISIT_NONE,
	VISIT_CONNECTS,
	VISIT_SHAKES,
	VISIT_OPEN,
	VISIT_ASKS,
	VISIT_DONE,
	VISIT_FAILED
};

struct visit {
	enum phase phase;
	bool stays; /* open after its handshake, for a request */
	int fd;
	short wants;
	SSL *ssl;
	uint64_t began_ns, took_ns;
};

struct target {
	struct sockaddr_storage address;
	socklen_t n;
	const char *name;
};

struct stall {
	const struct bench_stall *in;
	SSL_CTX *ctx;
	struct target slow, fast;
	struct bench_stall_result *out;
	struct visit visit[VISITS_MAX];
};

/* ---- where to ---- */

static kf_err resolve(const struct bench_site *site, struct target *ret)
{
	char host[256];
	const char *colon = strrchr(site->address, ':');
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	size_t n = colon ? (size_t)(colon - site->address) : 0;
	if (!colon || n >= sizeof(host))
		return kf_fail(INVALID_FIELD, "a web server is given as HOST:PORT");
	memcpy(host, site->address, n);
	host[n] = 0;
	size_t inside = strlen(host);
	bool is_bracketed = inside > 2 && host[0] == '[' && host[inside - 1] == ']';
	if (is_bracketed)
		host[inside - 1] = 0;
	if (getaddrinfo(host + is_bracketed, colon + 1, &hints, &found) || !found)
		return kf_fail(UNAVAILABLE, "the web server's name has no address");
	memcpy(&ret->address, found->ai_addr, found->ai_addrlen);
	ret->n = found->ai_addrlen;
	ret->name = site->name;
	freeaddrinfo(found);
	return KF_OK;
}

/* ---- one visit ---- */

static void end(struct visit *v, enum phase phase)
{
	v->phase = phase;
	v->took_ns = clock_monotonic_ns() - v->began_ns;
	SSL_free(v->ssl);
	v->ssl = NULL;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

static void fail(struct stall *s, struct visit *v, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	if (!s->out->why[0])
		snprintf(s->out->why, sizeof(s->out->why), "%s: %s", what,
			reason  ? reason
			: errno ? strerror(errno)
				: "the server closed the connection");
	ERR_clear_error();
	end(v, VISIT_FAILED);
}

/* OpenSSL's macro takes the name as writable, and only reads it. */
static bool set_name(SSL *ssl, const char *name)
{
	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		       (void *)(uintptr_t)name) == 1;
}

static void begin(struct stall *s, const struct target *to, struct visit *v)
{
	int on = 1;
	*v = (struct visit){ .phase = VISIT_CONNECTS,
		.stays = v->stays,
		.wants = POLLOUT,
		.began_ns = clock_monotonic_ns() };
	v->fd = socket(
		to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	v->ssl = SSL_new(s->ctx);
	if (v->fd < 0 || !v->ssl || !SSL_set_fd(v->ssl, v->fd) ||
		!set_name(v->ssl, to->name)) {
		fail(s, v, "socket");
		return;
	}
	setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SSL_set_connect_state(v->ssl);
	if (connect(v->fd, (const struct sockaddr *)&to->address, to->n) < 0 &&
		errno != EINPROGRESS)
		fail(s, v, "connect");
}

/* True: wait for the network. */
static bool must_wait(struct visit *v, int result)
{
	int error = SSL_get_error(v->ssl, result);
	v->wants = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void shake(struct stall *s, struct visit *v)
{
	int result = SSL_do_handshake(v->ssl);
	if (result != 1) {
		if (!must_wait(v, result))
			fail(s, v, "handshake");
		return;
	}
	if (v->stays) {
		v->phase = VISIT_OPEN;
		v->wants = 0;
	} else {
		end(v, VISIT_DONE);
	}
}

static void ask(struct stall *s, const char *name, struct visit *v)
{
	char request[REQUEST_SIZE];
	if (v->phase != VISIT_OPEN)
		return;
	int n = snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: %.255s\r\nUser-Agent: keyfleet-bench\r\n\r\n",
		name);
	v->began_ns = clock_monotonic_ns();
	v->phase = VISIT_ASKS;
	v->wants = POLLIN;
	if (SSL_write(v->ssl, request, n) != n) /* less than any buffer on the way */
		fail(s, v, "request");
}

static void take_answer(struct stall *s, struct visit *v)
{
	char first;
	int result = SSL_read(v->ssl, &first, 1);
	if (result == 1)
		end(v, VISIT_DONE);
	else if (!must_wait(v, result))
		fail(s, v, "page");
}

static void finish_connect(struct stall *s, struct visit *v)
{
	int error = 0;
	socklen_t n = sizeof(error);
	getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	errno = error;
	if (error) {
		fail(s, v, "connect");
		return;
	}
	v->phase = VISIT_SHAKES;
	shake(s, v);
}

static void go_on(struct stall *s, struct visit *v)
{
	errno = 0;
	if (v->phase == VISIT_CONNECTS)
		finish_connect(s, v);
	else if (v->phase == VISIT_SHAKES)
		shake(s, v);
	else if (v->phase == VISIT_ASKS)
		take_answer(s, v);
}

/* ---- many ---- */

static bool is_under_way(const struct visit *v)
{
	return v->phase == VISIT_CONNECTS || v->phase == VISIT_SHAKES ||
	       v->phase == VISIT_ASKS;
}

static size_t collect(struct stall *s, struct pollfd *polls, struct visit **who)
{
	size_t n = 0;
	uint64_t late = clock_monotonic_ns() - s->in->timeout_ms * UINT64_C(1000000);
	for (size_t i = 0; i < VISITS_MAX; i++) {
		struct visit *v = &s->visit[i];
		if (is_under_way(v) && v->began_ns < late) {
			errno = ETIMEDOUT;
			fail(s, v, "visit");
		}
		if (!is_under_way(v))
			continue;
		polls[n] = (struct pollfd){ v->fd, v->wants, 0 };
		who[n++] = v;
	}
	return n;
}

/* Until all that are under way have come to an end, or until then. */
static void run_until(struct stall *s, uint64_t until_ns)
{
	static struct pollfd polls[VISITS_MAX];
	static struct visit *who[VISITS_MAX];
	for (;;) {
		size_t n = collect(s, polls, who);
		uint64_t now = clock_monotonic_ns();
		if (n == 0 || now >= until_ns)
			return;
		uint64_t left_ms = (until_ns - now + 999999) / 1000000;
		poll(polls, n, left_ms < 100 ? (int)left_ms : 100);
		for (size_t i = 0; i < n; i++)
			if (polls[i].revents)
				go_on(s, who[i]);
	}
}

static void run_all(struct stall *s) { run_until(s, UINT64_MAX); }

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static struct bench_times times_of(const struct visit *v, size_t n)
{
	struct bench_times t = { 0 };
	uint64_t took[STALL_AT_ONCE_MAX];
	for (size_t i = 0; i < n; i++) {
		if (v[i].phase == VISIT_DONE)
			took[t.done++] = v[i].took_ns;
		t.failed += v[i].phase == VISIT_FAILED;
	}
	if (!t.done)
		return t;
	qsort(took, t.done, sizeof(*took), order);
	t.median_ms = (double)took[(t.done - 1) / 2] / 1e6;
	t.max_ms = (double)took[t.done - 1] / 1e6;
	return t;
}

/* ---- the measurement ---- */

static struct bench_times at_rest(struct stall *s, const struct target *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin(s, to, &s->visit[i]);
		run_all(s);
	}
	struct bench_times t = times_of(s->visit, n);
	memset(s->visit, 0, sizeof(s->visit));
	return t;
}

/* The slow ones first, so that the server's workers have begun with them; then everything else at once. */
static void stall_it(struct stall *s)
{
	struct visit *slow = s->visit, *fast = slow + s->in->slow_n,
		     *page = fast + s->in->fast_n;
	for (unsigned i = 0; i < s->in->fast_n; i++) {
		page[i].stays = true;
		begin(s, &s->fast, &page[i]);
		run_all(s);
	}
	uint64_t start = clock_monotonic_ns();
	for (unsigned i = 0; i < s->in->slow_n; i++)
		begin(s, &s->slow, &slow[i]);
	run_until(s, start + s->in->lead_ms * UINT64_C(1000000));
	for (unsigned i = 0; i < s->in->fast_n; i++) {
		begin(s, &s->fast, &fast[i]);
		ask(s, s->fast.name, &page[i]);
	}
	run_all(s);
	s->out->wall_ms = (double)(clock_monotonic_ns() - start) / 1e6;
	s->out->slow = times_of(slow, s->in->slow_n);
	s->out->fast = times_of(fast, s->in->fast_n);
	s->out->page = times_of(page, s->in->fast_n);
}

static kf_err run(struct stall *s)
{
	KF_TRY(resolve(&s->in->slow, &s->slow));
	KF_TRY(resolve(&s->in->fast, &s->fast));
	s->ctx = SSL_CTX_new(TLS_client_method());
	if (!s->ctx)
		return kf_fail(NOMEM, "TLS");
	SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(s->ctx, SSL_OP_NO_TICKET);
	s->out->rest = at_rest(s, &s->fast, RESTS);
	if (!s->out->rest.done)
		return kf_fail(UNAVAILABLE, "no handshake with the fast key succeeds");
	s->out->slow_alone = at_rest(s, &s->slow, 1);
	if (!s->out->slow_alone.done)
		return kf_fail(UNAVAILABLE, "no handshake with the slow key succeeds");
	stall_it(s);
	return KF_OK;
}

kf_err bench_stall(const struct bench_stall *in, struct bench_stall_result *ret)
{
	struct stall *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "visits");
	*ret = (struct bench_stall_result){ 0 };
	s->in = in;
	s->out = ret;
	kf_err err = run(s);
	for (size_t i = 0; i < VISITS_MAX; i++)
		if (s->visit[i].ssl)
			end(&s->visit[i], VISIT_FAILED);
	SSL_CTX_free(s->ctx);
	free(s);
	return err;
}
