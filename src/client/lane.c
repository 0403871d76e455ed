/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "client/async_inside.h"
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 500, LANE_RETRY_MS = 100, SILENCE_MS = 500, RECORD_GOOD = 4096 };

static void watch(struct lane *l)
{
	int fd = l->conn ? conn_fd(l->conn) : -1, events = 0;
	if (l->conn) {
		short wanted = conn_events(l->conn);
		events = (wanted & POLLIN ? KF_READABLE : 0) |
			 (wanted & POLLOUT ? KF_WRITABLE : 0);
	}
	struct kf_loop *loop = &l->async->loop;
	if (l->watched_fd >= 0 && l->watched_fd != fd)
		loop->watch(loop->arg, l->watched_fd, 0);
	if (fd >= 0 && (fd != l->watched_fd || events != l->watched_events))
		loop->watch(loop->arg, fd, events);
	l->watched_fd = fd;
	l->watched_events = events;
}

static bool is_open(const struct lane *l)
{
	return l->conn && l->conn->state == CONN_OPEN;
}

static bool has_open_sibling(const struct lane *l)
{
	const struct kf_async *a = l->async;
	for (size_t i = 0; i < a->n_lanes; i++)
		if (a->lane[i].node == l->node && &a->lane[i] != l &&
			is_open(&a->lane[i]))
			return true;
	return false;
}

/* ---- beginning and end ---- */

void lanes_init(struct kf_async *a)
{
	size_t each = (size_t)a->fleet.settings.connections;
	/* Row by row, so that the first lane of every server comes before any second one. */
	for (size_t row = 0; row < each; row++)
		for (size_t i = 0; i < a->fleet.route.n && a->n_lanes < LANES_MAX; i++) {
			struct lane *l = &a->lane[a->n_lanes++];
			*l = (struct lane){
				.async = a, .node = &a->fleet.nodes[i], .watched_fd = -1
			};
			list_init(&l->attempts);
			list_init(&l->dirty);
		}
}

static void close_lane(struct lane *l)
{
	struct conn *c = l->conn;
	l->conn = NULL;
	watch(l);
	list_remove(&l->dirty);
	if (c && c->session) {
		tls_session_free(l->node->session);
		l->node->session = c->session;
		c->session = NULL;
	}
	conn_free(c);
}

void lanes_close(struct kf_async *a)
{
	bool is_child = a->owner != getpid();
	for (size_t i = 0; i < a->n_lanes; i++)
		if (is_child)
			conn_drop(a->lane[i].conn);
		else
			close_lane(&a->lane[i]);
}

static void blame(struct lane *l, uint64_t now_ns)
{
	l->retry_ns = now_ns + (uint64_t)LANE_RETRY_MS * NS_PER_MS;
	if (!has_open_sibling(l))
		node_failed(l->node, now_ns, fleet_random(&l->async->fleet));
}

void lane_break(struct lane *l, const char *why, uint64_t now_ns)
{
	char text[160] = "the connection was closed";
	if (why)
		strncpy(text, why, sizeof(text) - 1);
	struct list lost;
	list_move_all(&lost, &l->attempts);
	close_lane(l);
	node_blame(l->node, text);
	blame(l, now_ns);
	async_due(l->async, l->retry_ns);
	async_due(l->async, l->node->failures ? l->node->retry_at_ns : l->retry_ns);
	for (struct list *x; (x = list_take(&lost));)
		attempt_lost(container_of(x, struct attempt, link), text);
}

/* ---- opening ---- */

/* A server that failed gets little time to take the connection.  One that has taken it may need a slow token for its
 * part of the handshake, and would never come back. */
static uint64_t connect_by_ns(const struct lane *l)
{
	int64_t ms = l->async->fleet.settings.connect_timeout_ms;
	bool is_probe = !node_is_healthy(l->node) && l->conn->state == CONN_CONNECTING;
	return l->started_ns +
	       (uint64_t)(is_probe && ms > PROBE_MS ? PROBE_MS : ms) * NS_PER_MS;
}

static void start(struct lane *l, uint64_t now_ns)
{
	struct kf_async *a = l->async;
	if (!node_is_healthy(l->node))
		node_probe(l->node);
	struct tls_session *session = l->node->session;
	l->node->session = NULL;
	l->was_open = false;
	l->started_ns = now_ns;
	kf_err err = conn_new(&a->fleet.setup, l->node, session, &l->conn);
	if (!kf_ok(err)) {
		l->conn = NULL;
		lane_break(l, err.site->text, now_ns);
		return;
	}
	async_due(a, connect_by_ns(l));
	conn_set_pad(l->conn, a->pad);
	watch(l);
}

static bool has_lane_under_way(const struct lane *l)
{
	const struct kf_async *a = l->async;
	for (size_t i = 0; i < a->n_lanes; i++)
		if (a->lane[i].node == l->node && a->lane[i].conn &&
			!is_open(&a->lane[i]))
			return true;
	return false;
}

/* A server that failed is tried with one connection at a time, and the further lanes of one that is
 * well only when it has an open one. */
static bool is_to_start(const struct lane *l, uint64_t now_ns)
{
	if (l->conn || has_lane_under_way(l))
		return false;
	if (!node_is_healthy(l->node))
		return node_is_due(l->node, now_ns);
	return now_ns >= l->retry_ns;
}

void lanes_maintain(struct kf_async *a, uint64_t now_ns)
{
	for (size_t i = 0; i < a->n_lanes; i++) {
		struct lane *l = &a->lane[i];
		if (l->conn && !is_open(l) && now_ns >= connect_by_ns(l))
			lane_break(l, "connecting takes too long", now_ns);
		if (is_to_start(l, now_ns))
			start(l, now_ns);
		if (l->conn && !is_open(l))
			async_due(a, connect_by_ns(l));
		if (!l->conn && !has_lane_under_way(l))
			async_due(a, node_is_healthy(l->node) ? l->retry_ns
							      : l->node->retry_at_ns);
	}
}

static void tell_time(struct lane *l, uint64_t now_ns)
{
	if (!l->conn->is_by_id)
		return;
	if (!kf_ok(conn_tell_time(l->conn, (int32_t)(now_ns / NS_PER_MS & INT32_MAX))))
		return; /* no memory: the first request tells it */
	/* A server that greets thousands at once may take its time for this. */
	l->answers_before = UINT64_MAX;
	lane_will_flush(l);
}

static void opened(struct lane *l)
{
	uint64_t now = clock_monotonic_ns();
	l->was_open = true;
	node_answered(l->node, now);
	tell_time(l, now);
	l->node->is_keyfleet = l->conn->is_by_id;
	l->node->version = l->conn->version;
	async_due(l->async, 0); /* further lanes of this server */
	flights_dispatch(l->async, SIZE_MAX);
}

void lane_ready(struct lane *l)
{
	kf_err err = conn_work(l->conn, flight_answered, l->async);
	if (!kf_ok(err)) {
		lane_break(l, l->conn->why, clock_monotonic_ns());
		return;
	}
	if (is_open(l) && !l->was_open)
		opened(l);
	watch(l);
}

/* ---- silence ---- */

/* From the newest answer on, or the first request after it; answers that nobody waits for any more count. */
void lane_asked(struct lane *l, uint64_t now_ns)
{
	if (l->conn->in_flight > 1 && l->conn->answers == l->answers_before)
		return;
	l->answers_before = l->conn->answers;
	l->asked_ns = now_ns;
}

void lane_answered(struct lane *l, uint64_t now_ns)
{
	l->answers_before = l->conn->answers;
	l->asked_ns = now_ns;
}

uint64_t lane_silent_since(const struct lane *l)
{
	if (!is_open(l) || !l->conn->in_flight || l->conn->answers != l->answers_before ||
		l->node->answered_at_ns > l->asked_ns)
		return UINT64_MAX;
	return l->asked_ns;
}

/* Callers choose their deadlines: one in a hurry must not take the connection from the others. */
uint64_t lane_silent_at(const struct lane *l)
{
	uint64_t since = lane_silent_since(l);
	return since == UINT64_MAX ? since : since + (uint64_t)SILENCE_MS * NS_PER_MS;
}

void lane_will_flush(struct lane *l)
{
	if (list_is_empty(&l->dirty))
		list_add_tail(&l->async->dirty, &l->dirty);
}

void lane_flush(struct lane *l)
{
	list_remove(&l->dirty);
	if (!l->conn)
		return;
	kf_err err = conn_flush(l->conn);
	if (kf_ok(err))
		watch(l);
	else
		lane_break(l, l->conn->why, clock_monotonic_ns());
}

/* ---- choosing ---- */

/* What is begun in one round shares a record up to about sixteen signatures: a record of its own would
 * cost ten times a request in it.  Beyond that another lane, and so another loop of the server, helps. */
static bool has_begun_record(const struct lane *l)
{
	return l->conn->out.n > 0 && l->conn->out.n < RECORD_GOOD;
}

static struct lane *best_of(struct kf_async *a, const struct node *n)
{
	struct lane *best = NULL;
	for (size_t i = 0; i < a->n_lanes; i++) {
		struct lane *l = &a->lane[i];
		if (l->node != n || !is_open(l) || !conn_has_room(l->conn))
			continue;
		if (has_begun_record(l))
			return l;
		if (!best || l->conn->in_flight < best->conn->in_flight)
			best = l;
	}
	return best;
}

static uint64_t mask_of_open(struct kf_async *a)
{
	uint64_t open = 0;
	for (size_t i = 0; i < a->n_lanes; i++) {
		struct lane *l = &a->lane[i];
		if (is_open(l) && conn_has_room(l->conn))
			open |= route_bit(&a->fleet.route, l->node);
	}
	return open;
}

bool lane_is_any_free(struct kf_async *a) { return mask_of_open(a) != 0; }

typedef struct node *pick_fn(struct route *r, uint64_t now_ns, uint64_t tried);

static struct lane *pick_by(
	pick_fn *pick, struct kf_async *a, uint64_t tried, uint64_t now_ns)
{
	uint64_t open = mask_of_open(a);
	if (!(open & ~tried))
		return NULL;
	struct node *n = pick(&a->fleet.route, now_ns, tried | ~open);
	return n ? best_of(a, n) : NULL;
}

struct lane *lane_pick(struct kf_async *a, uint64_t tried, uint64_t now_ns)
{
	return pick_by(route_pick, a, tried, now_ns);
}

struct lane *lane_pick_token(struct kf_async *a, uint64_t tried, uint64_t now_ns)
{
	return pick_by(route_pick_token, a, tried, now_ns);
}

/* An id of their own keeps the answers to both apart. */
struct lane *lane_of(struct kf_async *a, const struct node *n)
{
	struct lane *l = best_of(a, n);
	return l && l->conn->is_by_id ? l : NULL;
}

struct lane *lane_pick_second(struct kf_async *a, uint64_t tried, uint64_t now_ns)
{
	uint64_t open = mask_of_open(a);
	struct node *n = open & ~tried
				 ? route_second(&a->fleet.route, now_ns, tried | ~open)
				 : NULL;
	return n ? lane_of(a, n) : NULL;
}

static bool is_patient(struct kf_async *a)
{
	if (!a->patient_until_ns)
		return false;
	if (clock_monotonic_ns() < a->patient_until_ns) {
		async_due(a, a->patient_until_ns);
		return true;
	}
	a->patient_until_ns = 0;
	return false;
}

bool lane_is_hoped_for(struct kf_async *a, uint64_t tried)
{
	if (!tried && is_patient(a))
		return true;
	for (size_t i = 0; i < a->fleet.route.n; i++) {
		const struct node *n = &a->fleet.nodes[i];
		if (!(tried & route_bit(&a->fleet.route, n)) && !node_is_hopeless(n))
			return true;
	}
	return false;
}
