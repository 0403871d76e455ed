/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/peer.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/admit.h"
#include "keyfleetd/identity.h"
#include "keyfleetd/limit.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/req.h"
#include "keyfleetd/server.h"
#include "net/frame.h"
#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PEER_MAGIC = 0x70656572, READS_A_ROUND = 4, OUT_MAX = 64 << 20 };

/* A connection without traffic gives its buffers back after so long. */
static const uint64_t release_ns = 2000000000;

static uint64_t now(const struct peer *p) { return loop_now_ns(p->io->loop); }
static const struct settings *settings(const struct peer *p)
{
	return io_settings(p->io);
}

/* A site for strangers, one for clients: the flood of the first hides nothing of the second. */
static void log_peer(const struct peer *p, const char *event, const char *why)
{
	char address[ADDRESS_TEXT_MAX];
	address_print(&p->address, address);
	if (p->who.name[0])
		log_notice(event, LOG_NUM("connection", p->number),
			LOG_TEXT("peer", address), LOG_TEXT("client", p->who.name),
			LOG_TEXT("why", why));
	else
		log_notice(event, LOG_NUM("connection", p->number),
			LOG_TEXT("peer", address), LOG_TEXT("why", why));
}

void peer_touch(struct peer *p)
{
	if (list_is_empty(&p->touched))
		list_add_tail(&p->io->touched, &p->touched);
}

static void close_peer(struct peer *p, const char *event, const char *why)
{
	if (p->state == PEER_CLOSED)
		return;
	if (event)
		log_peer(p, event, why);
	p->state = PEER_CLOSED;
	list_remove(&p->turn);
	peer_touch(p);
}

void peer_end(struct peer *p)
{
	if (p->state == PEER_OPEN)
		p->state = PEER_ENDING;
	peer_touch(p);
}

/* ---- time ---- */

static void ensure_timer(struct peer *p, uint64_t at_ns)
{
	if (p->timer.place && p->timer.at_ns <= at_ns)
		return;
	if (!kf_ok(loop_arm(p->io->loop, &p->timer, at_ns)))
		close_peer(p, "connection closed", "no memory for a timer");
}

static bool is_over(const struct peer *p, uint64_t since_ns, uint64_t most_ns)
{
	return since_ns && now(p) - since_ns >= most_ns;
}

/* Why this connection's time is up; NULL: it is not. */
static const char *find_overdue(const struct peer *p)
{
	if (is_over(p, p->partial_ns, settings(p)->message_timeout_ns))
		return "request takes too long";
	if (is_over(p, p->stuck_ns, settings(p)->message_timeout_ns))
		return "answers are not taken";
	if (p->in_flight == 0 && is_over(p, p->active_ns, settings(p)->idle_timeout_ns))
		return "idle";
	if (io_now_s(p->io) > p->who.not_after)
		return "certificate has expired";
	return NULL;
}

static uint64_t sooner(uint64_t at_ns, uint64_t since_ns, uint64_t most_ns)
{
	return since_ns && since_ns + most_ns < at_ns ? since_ns + most_ns : at_ns;
}

static void release(struct buf *b)
{
	size_t limit = b->limit;
	if (b->n)
		return;
	buf_free(b);
	*b = buf_new(limit);
}

static void count_handshake(struct peer *p, enum metric_handshake how)
{
	count_add(&p->io->metrics->handshakes[how], 1);
}

/* Whoever waits for its turn has done its part. */
static void expect_handshake(struct peer *p)
{
	if (!list_is_empty(&p->turn)) {
		ensure_timer(p, now(p) + settings(p)->handshake_timeout_ns);
	} else if (now(p) < p->handshake_by_ns) {
		ensure_timer(p, p->handshake_by_ns);
	} else {
		count_handshake(p, HANDSHAKE_TIMEOUT);
		close_peer(p, "connection closed", "handshake takes too long");
	}
}

static void expired(struct loop_timer *t)
{
	struct peer *p = container_of(t, struct peer, timer);
	if (p->state == PEER_PROXY || p->state == PEER_HANDSHAKE) {
		expect_handshake(p);
		return;
	}
	const char *why = find_overdue(p);
	if (why) {
		close_peer(p, "connection closed", why);
		return;
	}
	uint64_t rest = settings(p)->idle_timeout_ns;
	if (!is_over(p, p->active_ns, release_ns)) {
		rest = release_ns;
	} else {
		release(&p->in);
		release(&p->out);
		if (p->stream)
			stream_relax(p->stream);
	}
	uint64_t at = (p->in_flight ? now(p) : p->active_ns) + rest;
	at = sooner(at, p->partial_ns, settings(p)->message_timeout_ns);
	ensure_timer(p, sooner(at, p->stuck_ns, settings(p)->message_timeout_ns));
}

/* ---- who is it ---- */

static kf_err identify(struct peer *p, bool *ret_is_resumed)
{
	struct tls_peer tls;
	KF_TRY(tls_get_peer(p->stream, &tls));
	memcpy(p->who.fingerprint, tls.fingerprint, sizeof(tls.fingerprint));
	p->who.not_after = tls.not_after_s;
	*ret_is_resumed = tls.is_resumed;
	kf_err e = admit(p);
	if (kf_ok(e))
		e = gate_admit(p->gate, p->who.name);
	if (kf_ok(e))
		e = clients_enter(p->io->server->clients, p->who.name,
			settings(p)->client_connections, &p->slot);
	if (kf_ok(e))
		return e;
	char address[ADDRESS_TEXT_MAX];
	address_print(&p->address, address);
	log_warn("client refused", LOG_TEXT("peer", address),
		LOG_TEXT("subject", tls.subject),
		LOG_HEX("fingerprint", ((struct slice){ tls.fingerprint, 32 })),
		LOG_ERR(e));
	return e;
}

/* ---- reading ---- */

static bool is_full(struct peer *p, unsigned cut)
{
	return p->in_flight >= settings(p)->connection_requests ||
	       p->out.n >= settings(p)->output || limit_is_paused(p) ||
	       limit_turn_is_over(p, cut);
}

static bool is_server_full(const struct peer *p)
{
	return p->io->in_flight >= settings(p)->requests / p->io->server->ios + 1;
}

static void begin_request(struct peer *p, struct slice message)
{
	if (!kf_ok(req_begin(p, message, is_server_full(p))))
		close_peer(p, "connection closed", "no memory for a request");
}

/* The stream cannot be understood any further: one last answer. */
static void refuse(struct peer *p, enum kf_code code)
{
	log_peer(p, "message refused", kf_code_name(code));
	if (!kf_ok(req_refuse(p, code)))
		close_peer(p, NULL, NULL);
	peer_end(p);
}

static void note_partial(struct peer *p)
{
	bool is_partial = p->in.n > 0 && !p->is_full;
	if (!is_partial) {
		p->partial_ns = 0;
	} else if (p->partial_ns == 0) {
		p->partial_ns = now(p);
		ensure_timer(p, now(p) + settings(p)->message_timeout_ns);
	}
}

static void cut_messages(struct peer *p)
{
	enum frame_result found = FRAME_MORE;
	struct slice rest = buf_slice(&p->in), message;
	unsigned cut = 0;
	while (p->state == PEER_OPEN && !(p->is_full = is_full(p, cut++))) {
		found = frame_next(&rest, settings(p)->message_size, &message);
		if (found != FRAME_READY)
			break;
		p->partial_ns = 0;
		begin_request(p, message);
	}
	buf_consume(&p->in, p->in.n - rest.n);
	if (p->is_full && limit_is_paused(p))
		limit_wait(p);
	if (found == FRAME_TOO_BIG)
		refuse(p, KF_E_TOO_BIG);
	if (found == FRAME_MALFORMED)
		refuse(p, KF_E_MALFORMED);
	note_partial(p);
}

static void read_requests(struct peer *p)
{
	if (p->in.limit < settings(p)->message_size)
		p->in.limit = settings(p)->message_size;
	for (int i = 0; i < READS_A_ROUND && p->state == PEER_OPEN && !p->is_full; i++) {
		size_t before = p->in.n;
		kf_err e = stream_read(p->stream, &p->in);
		count_add(&p->io->metrics->bytes[DIRECTION_IN], p->in.n - before);
		p->active_ns = now(p);
		cut_messages(p);
		p->has_ended = kf_is(e, KF_E_CLOSED);
		if (p->has_ended && !p->is_full)
			peer_end(p);
		else if (!kf_ok(e) && !p->has_ended)
			close_peer(p, "connection lost", stream_why(p->stream));
		if (!stream_has_more(p->stream))
			break;
	}
	ensure_timer(p, now(p) + release_ns);
	if (p->state == PEER_OPEN && !p->is_full && stream_has_more(p->stream))
		peer_touch(p);
}

/* ---- beginning ---- */

static void set_events(struct peer *p)
{
	uint32_t events = 0;
	bool is_waiting = p->stream && stream_is_waiting(p->stream);
	if (is_waiting)
		events |= EPOLLRDHUP;
	else if (p->state != PEER_ENDING && !p->is_full)
		events |= EPOLLIN;
	if (p->stream && !is_waiting && (stream_wants_write(p->stream) || p->out.n))
		events |= EPOLLOUT;
	if (!kf_ok(loop_change(p->io->loop, &p->watch, events)))
		close_peer(p, "connection closed", "cannot be watched");
}

static enum metric_handshake failure_of(const struct stream *s)
{
	switch (stream_fault(s)) {
	case STREAM_PEER_GONE: return HANDSHAKE_GONE;
	case STREAM_PEER_DISTRUSTED: return HANDSHAKE_CERTIFICATE;
	case STREAM_PEER_DISTRUSTS: return HANDSHAKE_REFUSED;
	case STREAM_KEY_AWAY: return HANDSHAKE_KEY;
	case STREAM_BROKEN: break;
	}
	return HANDSHAKE_PROTOCOL;
}

/* A clock read is nothing beside a handshake. */
static void handshake_done(struct peer *p, bool is_resumed)
{
	count_handshake(p, is_resumed ? HANDSHAKE_RESUMED : HANDSHAKE_FULL);
	histogram_add(&p->io->metrics->handshake, clock_monotonic_ns() - p->active_ns, 1);
}

/* A site of its own: it is we who are ill, and strangers must not be able to hide that. */
static void own_key_failed(struct peer *p)
{
	log_warn("handshake failed: our own key", LOG_NUM("connection", p->number),
		LOG_TEXT("why", stream_why(p->stream)));
	close_peer(p, NULL, NULL);
}

/* Its greeting would be answered all the same, which is dear. */
static void let_go(struct peer *p)
{
	count_handshake(p, HANDSHAKE_GONE);
	close_peer(p, "connection closed", "client gave up before the handshake");
}

/* What it greeted with has come, and what it is answered is at a token: only its end is of interest. */
static void mind_end(struct peer *p, uint32_t events)
{
	if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		return;
	count_handshake(p, HANDSHAKE_GONE);
	close_peer(p, "connection closed", "client gave up during the handshake");
}

/* Our own key has signed, or could not. */
static void handshake_can_go_on(void *arg)
{
	struct peer *p = arg;
	if (p->state != PEER_HANDSHAKE)
		return;
	p->turn_ns = now(p);
	turns_add(&p->io->turns, &p->turn, true);
}

/* Not at once: after a restart they all come together.  Of who waits longer than a round only the end is
 * watched, or thousands would be reported each round before those who ask for something. */
static void wait_for_turn(struct peer *p, uint32_t events)
{
	if (list_is_empty(&p->turn)) {
		p->turn_ns = now(p);
		turns_add(&p->io->turns, &p->turn, p->has_greeted);
	} else if (!p->has_greeted && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		let_go(p);
	} else if (!kf_ok(loop_change(
			   p->io->loop, &p->watch, p->has_greeted ? 0 : EPOLLRDHUP))) {
		close_peer(p, "connection closed", "cannot be watched");
	}
}

static bool is_gone(const struct peer *p)
{
	struct pollfd f = { p->watch.fd, POLLRDHUP, 0 };
	return poll(&f, 1, 0) > 0;
}

void peer_shake_hands(struct peer *p)
{
	if (!p->has_greeted && is_gone(p)) {
		let_go(p);
		return;
	}
	p->has_greeted = true;
	p->handshake_by_ns += now(p) - p->turn_ns;
	bool is_resumed = false;
	kf_err e = stream_handshake(p->stream);
	if (!kf_ok(e)) {
		count_handshake(p, failure_of(p->stream));
		if (stream_fault(p->stream) == STREAM_KEY_AWAY)
			own_key_failed(p);
		else
			close_peer(p, "handshake refused", stream_why(p->stream));
		return;
	}
	if (!stream_is_open(p->stream)) {
		ensure_timer(p, p->handshake_by_ns);
		set_events(p);
		return;
	}
	e = identify(p, &is_resumed);
	if (!kf_ok(e)) {
		count_handshake(
			p, kf_is(e, KF_E_LIMIT) ? HANDSHAKE_LIMIT : HANDSHAKE_STRANGER);
		close_peer(p, NULL, NULL);
		return;
	}
	handshake_done(p, is_resumed);
	p->state = PEER_OPEN;
	p->answers_out_of_order = strcmp(tls_alpn(p->stream), "keyfleet/1") == 0;
	read_requests(p);
	peer_touch(p);
}

static void begin_tls(struct peer *p)
{
	int fd = p->watch.fd;
	p->state = PEER_HANDSHAKE;
	p->tls_generation =
		settings(p)->generation; /* or older than what it verifies with */
	kf_err e = tls_accept(p->gate->tls, fd, p->io->pad, &p->stream);
	if (kf_ok(e)) {
		tls_wake_on(p->stream, &(struct tls_waker){ loop_post, p->io->loop,
					       handshake_can_go_on, p });
		return;
	}
	loop_remove(p->io->loop, &p->watch);
	p->watch.fd = -1; /* tls_accept() has closed it */
	close_peer(p, "connection closed", "no memory for TLS");
}

static void read_proxy(struct peer *p)
{
	struct proxy2 header;
	bool is_done = false;
	kf_err e = proxy2_read(p->proxy, p->watch.fd, &header, &is_done);
	if (!kf_ok(e)) {
		count_add(&p->io->metrics->refused[REFUSAL_UNTRUSTED], 1);
		close_peer(p, "connection closed", "no PROXY header");
		return;
	}
	if (!is_done)
		return;
	if (header.client.n)
		p->address = header.client;
	free(p->proxy);
	p->proxy = NULL;
	begin_tls(p);
}

static void ready(struct loop_watch *w, uint32_t events)
{
	struct peer *p = container_of(w, struct peer, watch);
	assert(p->magic == PEER_MAGIC);
	switch (p->state) {
	case PEER_PROXY: read_proxy(p); break;
	case PEER_HANDSHAKE:
		if (stream_is_waiting(p->stream))
			mind_end(p, events);
		else
			wait_for_turn(p, events);
		break;
	case PEER_OPEN:
		/* Nobody reads a full connection, so its end would be reported for ever. */
		if (p->is_full && events & (EPOLLHUP | EPOLLERR))
			close_peer(p, "connection lost", "while requests waited");
		if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			read_requests(p);
		if (events & EPOLLOUT)
			peer_touch(p);
		break;
	case PEER_ENDING:
		if (events & (EPOLLHUP | EPOLLERR))
			close_peer(p, NULL, NULL);
		peer_touch(p);
		break;
	case PEER_CLOSED: break;
	}
}

static void arrived(struct loop_message *m)
{
	struct peer *p = container_of(m, struct peer, arrival);
	list_add_tail(&p->io->peers, &p->link);
	p->watch.ready = ready;
	p->timer.expired = expired;
	p->active_ns = now(p);
	p->in = buf_new(settings(p)->message_size);
	p->out = buf_new(OUT_MAX);
	if (p->io->is_draining || !kf_ok(loop_add(p->io->loop, &p->watch, EPOLLIN))) {
		close_peer(p, NULL, NULL);
		return;
	}
	p->handshake_by_ns = now(p) + settings(p)->handshake_timeout_ns;
	ensure_timer(p, p->handshake_by_ns);
	if (p->state == PEER_HANDSHAKE)
		begin_tls(p);
}

kf_err peer_new(struct io *io, int fd, const struct address *a, struct peer **ret)
{
	struct peer *p = calloc(1, sizeof(*p));
	if (!p)
		return kf_fail(NOMEM, "connection");
	p->magic = PEER_MAGIC;
	p->io = io;
	p->watch.fd = fd;
	p->address = *a;
	p->state = PEER_HANDSHAKE;
	list_init(&p->link);
	list_init(&p->touched);
	list_init(&p->paused);
	list_init(&p->turn);
	list_init(&p->reqs);
	*ret = p;
	return KF_OK;
}

void peer_begin(struct peer *p)
{
	p->arrival.deliver = arrived;
	loop_post(p->io->loop, &p->arrival);
}

kf_err peer_expect_proxy(struct peer *p)
{
	p->proxy = calloc(1, sizeof(*p->proxy));
	p->state = PEER_PROXY;
	return p->proxy ? KF_OK : kf_fail(NOMEM, "PROXY header");
}

/* ---- the end of a round ---- */

static void send_answers(struct peer *p)
{
	size_t before = p->out.n;
	bool had = before || stream_wants_write(p->stream);
	if (!had)
		return;
	kf_err e = buf_err(&p->out);
	if (kf_ok(e))
		e = stream_write(p->stream, &p->out);
	p->has_told_load = false;
	count_add(&p->io->metrics->bytes[DIRECTION_OUT], before - p->out.n);
	if (!kf_ok(e)) {
		close_peer(p, "connection lost", "answers cannot be sent");
		return;
	}
	bool is_stuck = p->out.n || stream_wants_write(p->stream);
	if (!is_stuck) {
		if (p->stuck_ns)
			histogram_add(&p->io->metrics->stage[STAGE_SEND],
				now(p) - p->stuck_ns, 1);
		p->stuck_ns = 0;
	} else if (p->stuck_ns == 0 || p->out.n < before) {
		p->stuck_ns = now(p);
		ensure_timer(p, now(p) + settings(p)->message_timeout_ns);
	}
	p->active_ns = now(p);
}

static bool is_at_end(const struct peer *p)
{
	return p->state == PEER_ENDING && p->in_flight == 0 && p->out.n == 0 &&
	       !stream_wants_write(p->stream);
}

void peer_settle(struct peer *p)
{
	assert(p->magic == PEER_MAGIC);
	if (p->stream && (p->state == PEER_OPEN || p->state == PEER_ENDING)) {
		send_answers(p);
		if (p->state == PEER_OPEN && p->is_full)
			cut_messages(p);
		if (p->state == PEER_OPEN && !p->is_full && p->has_ended)
			peer_end(p);
		if (p->state == PEER_OPEN && !p->is_full && stream_has_more(p->stream))
			read_requests(p);
	}
	if (p->state == PEER_CLOSED || is_at_end(p))
		peer_free(p);
	else
		set_events(p);
}

void peer_drain(struct peer *p)
{
	if (p->state == PEER_OPEN || p->state == PEER_ENDING)
		peer_end(p);
	else
		close_peer(p, NULL, NULL);
}

void peer_free(struct peer *p)
{
	struct server *s = p->io->server;
	while (!list_is_empty(&p->reqs))
		req_abandon(container_of(p->reqs.next, struct req, link));
	loop_remove(p->io->loop, &p->watch);
	loop_disarm(p->io->loop, &p->timer);
	if (!p->stream && p->watch.fd >= 0)
		close(p->watch.fd);
	identity_free(p->identity);
	stream_free(p->stream);
	limit_leave(p);
	clients_leave(s->clients, p->slot);
	list_remove(&p->link);
	list_remove(&p->touched);
	list_remove(&p->turn);
	atomic_fetch_sub(&p->io->connections, 1);
	atomic_fetch_sub(&s->connections, 1);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p->proxy);
	p->magic = 0;
	free(p);
}
