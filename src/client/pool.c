/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pool.h"
#include "base/clock.h"
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { RESOLVE_NS = 1000000000 };

/* ---- the lock, and what a fork does to it ---- */

static void take_lock(struct pool *p)
{
	pid_t self = getpid(), held = 0;
	while (!atomic_compare_exchange_weak_explicit(
		&p->lock, &held, self, memory_order_acquire, memory_order_relaxed)) {
		if (held == self)
			sched_yield();
		/* `held` may be a parent's: then the next exchange takes it over. */
		if (held == self)
			held = 0;
	}
}

static void give_lock(struct pool *p)
{
	atomic_store_explicit(&p->lock, 0, memory_order_release);
}

static void forget_fd(struct pool *p, int fd)
{
	for (size_t i = 0; i < POOL_FDS_MAX; i++)
		if (atomic_load_explicit(&p->fd[i], memory_order_relaxed) == fd)
			atomic_store_explicit(&p->fd[i], 0, memory_order_relaxed);
}

/* The count may be ahead of what was written, and while entries are moved one may be there twice. */
static void drop_idle(struct pool *p)
{
	struct stream_pad *pad = NULL;
	if (!kf_ok(stream_pad_new(&pad)))
		return; /* close_busy() closes the descriptors */
	struct conn *last = NULL;
	for (size_t i = 0; i < POOL_IDLE_MAX; i++) {
		struct conn *c = p->idle[i].conn;
		p->idle[i].conn = NULL;
		if (!c || c == last)
			continue;
		last = c;
		forget_fd(p, conn_fd(c));
		conn_set_pad(c, pad);
		conn_drop(c);
	}
	stream_pad_free(pad);
	p->n_idle = 0;
}

/* Connections that other threads of the parent were using: only their descriptors are known. */
static void close_busy(struct pool *p)
{
	for (size_t i = 0; i < POOL_FDS_MAX; i++) {
		int fd = atomic_exchange_explicit(&p->fd[i], 0, memory_order_relaxed);
		if (fd > 0)
			close(fd);
	}
}

static void begin_anew(struct pool *p)
{
	drop_idle(p);
	close_busy(p);
	p->n_pads = 0; /* whose they are is not certain: a few KiB stay behind */
	for (size_t i = 0; i < p->fleet->route.n; i++) {
		struct node *n = &p->fleet->nodes[i];
		n->outstanding = n->failures = 0;
		n->is_probing = false;
	}
	atomic_store_explicit(&p->owner, getpid(), memory_order_relaxed);
}

static void enter(struct pool *p)
{
	take_lock(p);
	if (atomic_load_explicit(&p->owner, memory_order_relaxed) != getpid())
		begin_anew(p);
}

static void leave(struct pool *p) { give_lock(p); }

/* ---- beginning and end ---- */

void pool_init(struct pool *p, struct fleet *f)
{
	memset(p, 0, sizeof(*p));
	atomic_init(&p->owner, getpid());
	p->fleet = f;
}

static void close_idle(struct pool *p)
{
	while (p->n_idle) {
		struct pool_idle *i = &p->idle[--p->n_idle];
		forget_fd(p, conn_fd(i->conn));
		conn_free(i->conn);
		i->conn = NULL;
	}
}

void pool_clear(struct pool *p)
{
	if (!p->fleet)
		return;
	enter(p);
	struct stream_pad *pad = p->n_pads ? p->pad[0] : NULL;
	for (size_t i = 0; pad && i < p->n_idle; i++)
		conn_set_pad(p->idle[i].conn, pad);
	close_idle(p);
	while (p->n_pads)
		stream_pad_free(p->pad[--p->n_pads]);
	leave(p);
}

/* ---- connections ---- */

static struct conn *remove_idle(struct pool *p, size_t i)
{
	struct conn *c = p->idle[i].conn;
	p->idle[i].conn = NULL;
	memmove(&p->idle[i], &p->idle[i + 1], (p->n_idle - i - 1) * sizeof(p->idle[0]));
	p->n_idle--;
	p->idle[p->n_idle].conn = NULL;
	return c;
}

/* The one that was used last: it is the warmest, and the others get to be idle long enough. */
static struct conn *take_idle(struct pool *p, uint32_t node)
{
	for (size_t i = p->n_idle; i-- > 0;)
		if (p->idle[i].node == node)
			return remove_idle(p, i);
	return NULL;
}

/* One that was idle for too long, to be closed without the lock. */
static struct conn *take_old(struct pool *p, uint64_t now_ns)
{
	uint64_t idle_ns = (uint64_t)p->fleet->settings.idle_ms * 1000000;
	for (size_t i = 0; i < p->n_idle; i++)
		if (now_ns - p->idle[i].since_ns >= idle_ns)
			return remove_idle(p, i);
	return NULL;
}

static size_t count_idle(const struct pool *p, uint32_t node)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_idle; i++)
		n += p->idle[i].node == node;
	return n;
}

static bool put_idle(struct pool *p, const struct pool_turn *t, uint64_t now_ns)
{
	if (t->epoch != p->epoch || p->n_idle == POOL_IDLE_MAX ||
		count_idle(p, t->index) >= (size_t)p->fleet->settings.pool_size)
		return false;
	p->idle[p->n_idle++] = (struct pool_idle){ t->conn, t->index, now_ns };
	return true;
}

/* A server that closed the connection, or speaks unasked, makes its descriptor readable. */
static bool is_alive(struct conn *c)
{
	struct pollfd p = { .fd = conn_fd(c), .events = POLLIN };
	if (poll(&p, 1, 0) == 0)
		return true;
	return kf_ok(conn_work(c, NULL, NULL)) && c->in_flight == 0;
}

void pool_note(struct pool *p, const struct conn *c)
{
	enter(p);
	for (size_t i = 0; i < POOL_FDS_MAX; i++)
		if (atomic_load_explicit(&p->fd[i], memory_order_relaxed) == 0) {
			atomic_store_explicit(
				&p->fd[i], conn_fd(c), memory_order_relaxed);
			break;
		}
	leave(p);
}

static void close_conn(struct pool *p, struct conn *c, struct stream_pad *pad)
{
	if (!c)
		return;
	enter(p);
	forget_fd(p, conn_fd(c));
	leave(p);
	if (pad)
		conn_set_pad(c, pad);
	conn_free(c);
}

/* ---- turns ---- */

static bool begin(struct pool *p, uint64_t tried, struct pool_turn *ret,
	struct pool_outlook *outlook, struct conn **ret_old)
{
	uint64_t now = clock_monotonic_ns();
	struct node *n = route_pick(&p->fleet->route, now, tried);
	*outlook = (struct pool_outlook){ .retry_at_ns = route_retry_at(&p->fleet->route),
		.is_hopeless = route_is_hopeless(&p->fleet->route),
		.has_nodes = p->fleet->route.n > 0 };
	if (!n)
		return false;
	n->outstanding++;
	*ret = (struct pool_turn){
		.node = *n, .index = (uint32_t)(n - p->fleet->nodes), .epoch = p->epoch
	};
	ret->conn = take_idle(p, ret->index);
	ret->session = ret->conn ? NULL : n->session;
	if (ret->session)
		n->session = NULL;
	if (p->n_pads)
		ret->pad = p->pad[--p->n_pads];
	*ret_old = take_old(p, now);
	return true;
}

bool pool_begin(struct pool *p, uint64_t tried, struct pool_turn *ret,
	struct pool_outlook *outlook)
{
	struct conn *old = NULL;
	enter(p);
	bool has_node = begin(p, tried, ret, outlook, &old);
	leave(p);
	if (!has_node)
		return false;
	if (!ret->pad && !kf_ok(stream_pad_new(&ret->pad)))
		ret->pad = NULL;
	close_conn(p, old, ret->pad);
	if (!ret->conn || !ret->pad)
		return true;
	conn_set_pad(ret->conn, ret->pad);
	if (!is_alive(ret->conn)) {
		close_conn(p, ret->conn, ret->pad);
		ret->conn = NULL;
	}
	return true;
}

static void judge(
	struct pool *p, struct pool_turn *t, enum pool_verdict verdict, int32_t load)
{
	if (t->epoch != p->epoch)
		return;
	struct node *n = &p->fleet->nodes[t->index];
	uint64_t now = clock_monotonic_ns();
	if (n->outstanding)
		n->outstanding--;
	if (verdict == POOL_ANSWERED)
		node_answered(n, now);
	if (verdict == POOL_FAILED) {
		node_blame(n, t->node.why);
		node_failed(n, now, fleet_random(p->fleet));
	}
	if (verdict == POOL_NOTHING)
		n->is_probing = false;
	if (load >= 0)
		node_reported(n, (uint32_t)load, now);
	if (verdict == POOL_ANSWERED && t->conn) {
		n->is_keyfleet = t->conn->is_by_id;
		n->version = t->conn->version;
	}
}

/* Leaves in the turn what has to be freed without the lock. */
static void give_back(struct pool *p, struct pool_turn *t)
{
	struct node *n = t->epoch == p->epoch ? &p->fleet->nodes[t->index] : NULL;
	if (t->conn && t->conn->session && n) {
		struct tls_session *older = n->session;
		n->session = t->conn->session;
		t->conn->session = older;
	}
	bool is_fit = t->conn && t->conn->state == CONN_OPEN && !t->conn->in_flight;
	if (is_fit && put_idle(p, t, clock_monotonic_ns()))
		t->conn = NULL;
}

static void give_pad(struct pool *p, struct stream_pad *pad)
{
	if (pad && p->n_pads < POOL_PADS_MAX)
		p->pad[p->n_pads++] = pad;
	else
		stream_pad_free(pad);
}

void pool_end(
	struct pool *p, struct pool_turn *t, enum pool_verdict verdict, int32_t load)
{
	enter(p);
	judge(p, t, verdict, load);
	give_back(p, t);
	leave(p);
	close_conn(p, t->conn, t->pad);
	tls_session_free(t->session);
	enter(p);
	give_pad(p, t->pad);
	leave(p);
	*t = (struct pool_turn){ 0 };
}

void pool_say_why(struct pool *p, char *text, size_t size)
{
	enter(p);
	if (route_is_troubled(&p->fleet->route))
		fleet_say_why(p->fleet, text, size);
	leave(p);
}

kf_err pool_resolve(struct pool *p)
{
	uint64_t now = clock_monotonic_ns();
	enter(p);
	bool is_early = p->resolved_at_ns && now - p->resolved_at_ns < RESOLVE_NS;
	if (!is_early)
		p->resolved_at_ns = now;
	leave(p);
	if (is_early)
		return kf_fail(BUSY, "names were looked up a moment ago");
	struct fleet_nodes found;
	KF_TRY(fleet_look_up(&p->fleet->settings, &found));
	enter(p);
	fleet_add_known(p->fleet, &found);
	fleet_adopt(p->fleet, &found);
	for (size_t i = 0; i < p->n_idle; i++)
		p->idle[i].node = UINT32_MAX; /* nobody's; closed when they get old */
	p->epoch++;
	leave(p);
	return KF_OK;
}
