/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "client/async_inside.h"
#include "client/sign.h"
#include "client/status.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { ATTEMPT_MIN_MS = 200 };

static uint64_t min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- time ---- */

/* `due_ns` may be too early, never too late: calls that end do not take their moment back, so that a
 * call costs no work on timers. */
void async_due(struct kf_async *a, uint64_t at_ns)
{
	a->due_ns = min64(a->due_ns, at_ns);
}

static void ask_for_timer(struct kf_async *a)
{
	bool is_now = a->wants_flush || a->due_ns == 0;
	uint64_t at = is_now ? 0 : a->due_ns;
	if (a->is_closing || at >= a->armed_ns)
		return;
	a->armed_ns = at;
	uint64_t now = at ? clock_monotonic_ns() : 0;
	a->loop.timer(a->loop.arg,
		at <= now ? 0 : (int64_t)((at - now + NS_PER_MS - 1) / NS_PER_MS));
}

/* ---- flights ---- */

static struct flight *flight_new(struct kf_async *a, size_t payload)
{
	struct list *l = list_take(&a->spare);
	struct flight *f = l ? container_of(l, struct flight, link) : malloc(sizeof(*f));
	if (!f)
		return NULL;
	a->n_spare -= l != NULL;
	memset(f, 0, offsetof(struct flight, inside));
	list_init(&f->link);
	if (payload > FLIGHT_INLINE && !(f->outside = malloc(payload))) {
		free(f);
		return NULL;
	}
	a->n_flights++;
	return f;
}

static void flight_free(struct kf_async *a, struct flight *f)
{
	uint8_t *bytes = f->outside ? f->outside : f->inside;
	explicit_bzero(bytes, f->request.payload.n);
	free(f->outside);
	list_remove(&f->link);
	a->n_flights--;
	if (a->n_spare == FLIGHT_SPARE_MAX) {
		free(f);
		return;
	}
	a->n_spare++;
	list_add_head(&a->spare, &f->link);
}

static void finish(struct kf_async *a, struct flight *f, struct async_outcome *outcome)
{
	list_remove(&f->link);
	outcome->hook = f->hook;
	f->done(f->arg, outcome);
	flight_free(a, f);
}

/* Not from within the function that started it: done() is called at the next occasion. */
static void end_later(struct kf_async *a, struct flight *f, kf_err err)
{
	if (f->is_sent && f->repeat != REPEAT_FREELY)
		err = kf_fail(OUTCOME_UNKNOWN, "sent, but no answer came");
	f->err = err;
	list_remove(&f->link);
	list_add_tail(&a->ended, &f->link);
	a->wants_flush = true;
}

static void finish_ended(struct kf_async *a)
{
	struct list ended;
	list_move_all(&ended, &a->ended);
	for (struct list *l; (l = list_take(&ended));) {
		struct flight *f = container_of(l, struct flight, link);
		finish(a, f,
			&(struct async_outcome){ .err = f->err, .report = &f->report });
	}
}

/* ---- sending ---- */

static bool may_go_to(const struct flight *f, const struct conn *c)
{
	return !f->is_sent || f->repeat == REPEAT_FREELY || c->is_by_id;
}

static bool may_repeat(const struct flight *f, const struct conn *c)
{
	return f->repeat == REPEAT_FREELY || (f->repeat == REPEAT_WITH_ID && c->is_by_id);
}

static kf_err put(struct flight *f, struct lane *l, uint64_t now)
{
	if (l->conn->version != KMIP_2_1 &&
		!ttlv_fits(f->request.payload, l->conn->version))
		return kf_fail(FEATURE, "the server's protocol version cannot say this");
	uint64_t left_ms = f->deadline_ns > now ? (f->deadline_ns - now) / NS_PER_MS : 1;
	f->request.extension.deadline_ms = (int32_t)min64(left_ms + 1, INT32_MAX);
	f->request.extension.has_sent_at = true;
	f->request.extension.sent_at_ms = (int32_t)(now / NS_PER_MS & INT32_MAX);
	KF_TRY(conn_put(l->conn, &f->request, f, &f->slot));
	f->lane = l;
	f->sent_ns = now;
	uint64_t left = f->deadline_ns > now ? f->deadline_ns - now : 0;
	bool is_short = left < (uint64_t)ATTEMPT_MIN_MS * NS_PER_MS;
	f->attempt_ns = is_short ? f->deadline_ns : now + left / 2;
	f->report.attempts++;
	lane_asked(l, now);
	l->node->outstanding++;
	list_remove(&f->link);
	list_add_tail(&l->flights, &f->link);
	if (list_is_empty(&l->dirty))
		list_add_tail(&l->async->dirty, &l->dirty);
	async_due(l->async, f->attempt_ns);
	return KF_OK;
}

static void wait_or_end(struct kf_async *a, struct flight *f)
{
	uint64_t tried = f->tried;
	if (!lane_is_hoped_for(a, tried)) {
		/* All have had their turn: whoever comes back first may have another one, unless they
		 * answered that they are busy. */
		if (kf_is(f->err, KF_E_BUSY) || !lane_is_hoped_for(a, 0)) {
			end_later(a, f,
				kf_ok(f->err)
					? kf_fail(UNAVAILABLE, "no server can be reached")
					: f->err);
			return;
		}
		f->tried = 0;
	}
	list_remove(&f->link);
	list_add_tail(&a->waiting, &f->link);
	async_due(a, f->deadline_ns);
}

static void dispatch(struct kf_async *a, struct flight *f)
{
	uint64_t now = clock_monotonic_ns();
	struct lane *l = lane_pick(a, f->tried, now);
	if (!l) {
		wait_or_end(a, f);
		return;
	}
	kf_err err = may_go_to(f, l->conn) ? put(f, l, now)
					   : kf_fail(OUTCOME_UNKNOWN,
						     "this server knows no request ids");
	if (!kf_ok(err))
		end_later(a, f, err);
}

void flights_dispatch(struct kf_async *a)
{
	struct list waiting;
	list_move_all(&waiting, &a->waiting);
	for (struct list *l; (l = list_take(&waiting));)
		dispatch(a, container_of(l, struct flight, link));
}

/* ---- receiving ---- */

static void leave_lane(struct flight *f)
{
	struct node *n = f->lane->node;
	n->outstanding -= n->outstanding > 0;
	list_remove(&f->link);
	f->lane = NULL;
}

static void set_message(struct call_report *r, struct slice text)
{
	size_t n = min64(text.n, sizeof(r->message) - 1);
	if (n)
		memcpy(r->message, text.p, n);
	r->message[n] = 0;
}

static void note_node(struct lane *l, const struct kmip_response_item *item, kf_err err)
{
	uint64_t now = clock_monotonic_ns();
	node_answered(l->node, now);
	if (item->extension.has_load)
		node_reported(l->node, (uint32_t)item->extension.load, now);
	if (kf_is(err, KF_E_BUSY))
		node_reported(l->node, NODE_LOAD_MAX, now);
}

/* Another server may answer differently. */
static bool goes_on(struct kf_async *a, struct flight *f, struct lane *l, kf_err err)
{
	bool is_unknown = kf_is(err, KF_E_OUTCOME_UNKNOWN);
	if (!is_unknown && !kf_is(err, KF_E_BUSY) && !kf_is(err, KF_E_UNAVAILABLE))
		return false;
	f->is_sent |= is_unknown;
	if (is_unknown && !may_repeat(f, l->conn))
		return false;
	f->tried |= route_bit(&a->fleet.route, l->node);
	f->err = err;
	dispatch(a, f);
	return true;
}

void flight_answered(void *arg, void *waiter, const struct kmip_response_item *item)
{
	struct kf_async *a = arg;
	struct flight *f = waiter;
	struct lane *l = f->lane;
	kf_err err = kmip_result(item);
	note_node(l, item, err);
	leave_lane(f);
	f->report.version = l->conn->version;
	f->report.reason = kf_ok(err) ? 0 : item->reason;
	set_message(&f->report, kf_ok(err) ? (struct slice){ 0 } : item->message);
	if (!kf_ok(err) && goes_on(a, f, l, err))
		return;
	struct slice payload = kf_ok(err) ? item->payload : (struct slice){ 0 };
	finish(a, f, &(struct async_outcome){ err, &f->report, payload, NULL });
	/* A lane that takes one call at a time has room again. */
	if (!l->conn->is_by_id)
		flights_dispatch(a);
}

void flight_lost(struct flight *f, const char *why)
{
	struct lane *l = f->lane;
	struct kf_async *a = l->async;
	bool is_harmless = f->repeat == REPEAT_FREELY ||
			   (f->repeat == REPEAT_WITH_ID && l->node->is_keyfleet);
	leave_lane(f);
	f->is_sent = true;
	f->tried |= route_bit(&a->fleet.route, l->node);
	f->err = KF_OK;
	snprintf(f->report.message, sizeof(f->report.message), "%.100s: %.120s",
		l->node->name, why);
	if (is_harmless)
		dispatch(a, f);
	else
		end_later(a, f, kf_fail(OUTCOME_UNKNOWN, "sent, but no answer came"));
}

/* ---- what time does ---- */

static void expire_waiting(struct kf_async *a, uint64_t now)
{
	list_each_safe(x, &a->waiting)
	{
		struct flight *f = container_of(x, struct flight, link);
		bool is_vain = !lane_is_hoped_for(a, 0);
		if (now >= f->deadline_ns)
			end_later(a, f, kf_fail(TIMEOUT, "deadline has passed"));
		else if (is_vain)
			end_later(a, f, kf_fail(UNAVAILABLE, "no server can be reached"));
		else
			async_due(a, f->deadline_ns);
	}
}

/* The server answers others: this call alone moves on, if there is somebody else. */
static void move_on(struct kf_async *a, struct flight *f, uint64_t now)
{
	struct lane *l = f->lane;
	uint64_t tried = f->tried | route_bit(&a->fleet.route, l->node);
	bool is_over = now >= f->deadline_ns;
	if (!is_over && (!may_repeat(f, l->conn) || !lane_pick(a, tried, now))) {
		f->attempt_ns = f->deadline_ns;
		async_due(a, f->attempt_ns);
		return;
	}
	conn_forget(l->conn, f->slot);
	leave_lane(f);
	f->is_sent = true;
	f->tried = tried;
	if (is_over)
		end_later(a, f, kf_fail(TIMEOUT, "no answer in time"));
	else
		dispatch(a, f);
}

/* Not a word for too long: it is the connection, not the call. */
static bool break_if_silent(struct lane *l, uint64_t now)
{
	if (now < lane_silent_at(l))
		return false;
	lane_break(l, "no answer in time", now);
	return true;
}

static void expire_lane(struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	list_each_safe(x, &l->flights)
	{
		struct flight *f = container_of(x, struct flight, link);
		if (now < f->attempt_ns) {
			async_due(a, f->attempt_ns);
			continue;
		}
		if (break_if_silent(l, now))
			return;
		move_on(a, f, now);
	}
	/* Requests that nobody waits for any more take room; somebody has to notice that they are lost. */
	if (list_is_empty(&l->flights) && !break_if_silent(l, now))
		async_due(a, lane_silent_at(l));
}

static void tick(struct kf_async *a)
{
	uint64_t now = clock_monotonic_ns();
	a->due_ns = UINT64_MAX;
	lanes_maintain(a, now);
	for (size_t i = 0; i < a->n_lanes; i++)
		expire_lane(&a->lane[i], now);
	expire_waiting(a, now);
}

void kf_async_flush(struct kf_async *a)
{
	if (clock_monotonic_ns() >= a->due_ns)
		tick(a);
	finish_ended(a);
	for (struct list *l; (l = list_take(&a->dirty));)
		lane_flush(container_of(l, struct lane, dirty));
	a->wants_flush = !list_is_empty(&a->ended);
	ask_for_timer(a);
}

void kf_async_timer(struct kf_async *a)
{
	a->armed_ns = UINT64_MAX;
	kf_async_flush(a);
}

void kf_async_ready(struct kf_async *a, int fd, int events)
{
	(void)events;
	for (size_t i = 0; i < a->n_lanes; i++)
		if (a->lane[i].conn && a->lane[i].watched_fd == fd) {
			lane_ready(&a->lane[i]);
			break;
		}
	if (!a->options.is_flushed)
		kf_async_flush(a);
}

/* ---- starting a call ---- */

/* What changes nothing needs an id for the audit only: a random number and a counter, without a system
 * call for each. */
static kf_err set_request_id(struct kf_async *a, struct flight *f, const uint8_t *given)
{
	f->request.extension.request_id =
		(struct slice){ f->request_id, sizeof(f->request_id) };
	if (given) {
		memcpy(f->request_id, given, sizeof(f->request_id));
		return KF_OK;
	}
	if (f->repeat != REPEAT_WITH_ID) {
		uint64_t n = htobe64(++a->ids);
		memcpy(f->request_id, &a->id_base, sizeof(a->id_base));
		memcpy(f->request_id + sizeof(a->id_base), &n, sizeof(n));
		return KF_OK;
	}
	if (getrandom(f->request_id, sizeof(f->request_id), 0) != sizeof(f->request_id))
		return kf_fail(INTERNAL, "no random numbers");
	return KF_OK;
}

static void fill(struct kf_async *a, struct flight *f, const struct async_request *q)
{
	uint8_t *bytes = f->outside ? f->outside : f->inside;
	if (q->payload.n)
		memcpy(bytes, q->payload.p, q->payload.n);
	f->request = (struct conn_request){ .operation = q->operation,
		.payload = { bytes, q->payload.n },
		.extension = { .tls_client_version = q->options.tls_client_version,
			.tls_negotiated_version = q->options.tls_negotiated_version } };
	f->repeat = repeat_of(q->operation);
	f->done = q->done;
	f->arg = q->arg;
	f->hook = q->hook;
	uint64_t ms = q->options.timeout_ms ? q->options.timeout_ms
					    : (uint64_t)a->fleet.settings.timeout_ms;
	f->deadline_ns = clock_monotonic_ns() + ms * NS_PER_MS;
}

kf_err async_call(struct kf_async *a, const struct async_request *q)
{
	if (q->payload.n > a->fleet.setup.message_max)
		return kf_fail(TOO_BIG, "the request is above the limit");
	struct flight *f = flight_new(a, q->payload.n);
	if (!f)
		return kf_fail(NOMEM, "starting a call");
	fill(a, f, q);
	kf_err err = set_request_id(a, f, q->options.request_id);
	if (!kf_ok(err)) {
		flight_free(a, f);
		return err;
	}
	dispatch(a, f);
	if (!a->options.is_flushed) {
		a->wants_flush = true;
		ask_for_timer(a);
	}
	return KF_OK;
}

/* ---- beginning and end ---- */

static kf_err open_all(struct kf_async *a, struct settings *take, struct buf *why)
{
	KF_TRY(fleet_init(&a->fleet, take, why));
	if (getrandom(&a->id_base, sizeof(a->id_base), 0) != sizeof(a->id_base))
		return kf_fail(INTERNAL, "no random numbers");
	if (a->fleet.settings.agent)
		return kf_fail(CONFIG, "event loops go to key servers, not to an agent");
	KF_TRY(stream_pad_new(&a->pad));
	lanes_init(a);
	return KF_OK;
}

kf_err async_new(struct settings *take, const kf_loop *loop,
	const struct async_options *options, struct buf *why, struct kf_async **ret)
{
	struct kf_async *a = calloc(1, sizeof(*a));
	if (!a) {
		settings_free(take);
		return kf_fail(NOMEM, "making a client");
	}
	a->loop = *loop;
	a->options = *options;
	a->owner = getpid();
	a->armed_ns = UINT64_MAX;
	list_init(&a->waiting);
	list_init(&a->ended);
	list_init(&a->dirty);
	list_init(&a->spare);
	kf_err err = open_all(a, take, why);
	if (!kf_ok(err)) {
		kf_async_free(a);
		return err;
	}
	ask_for_timer(a); /* due_ns is 0: connect in the first round */
	*ret = a;
	return KF_OK;
}

static void end_all(struct kf_async *a)
{
	for (size_t i = 0; i < a->n_lanes; i++)
		list_each_safe(x, &a->lane[i].flights)
		{
			struct flight *f = container_of(x, struct flight, link);
			leave_lane(f);
			f->is_sent = true;
			end_later(a, f, kf_fail(UNAVAILABLE, "the client was closed"));
		}
	list_each_safe(x, &a->waiting) end_later(a, container_of(x, struct flight, link),
		kf_fail(UNAVAILABLE, "the client was closed"));
	if (a->owner == getpid())
		finish_ended(a);
}

void kf_async_free(struct kf_async *a)
{
	if (!a)
		return;
	a->is_closing = true;
	if (a->armed_ns != UINT64_MAX && a->owner == getpid())
		a->loop.timer(a->loop.arg, -1);
	end_all(a);
	lanes_close(a);
	for (struct list *l; (l = list_take(&a->spare));)
		free(container_of(l, struct flight, link));
	stream_pad_free(a->pad);
	fleet_clear(&a->fleet);
	free(a);
}

size_t async_in_flight(const struct kf_async *a) { return a->n_flights; }
bool async_is_hopeless(const struct kf_async *a) { return !lane_is_hoped_for(a, 0); }

size_t async_servers_up(const struct kf_async *a, size_t *ret_all)
{
	uint64_t up = 0;
	for (size_t i = 0; i < a->n_lanes; i++)
		if (a->lane[i].conn && a->lane[i].conn->state == CONN_OPEN)
			up |= route_bit(&a->fleet.route, a->lane[i].node);
	*ret_all = a->fleet.route.n;
	return (size_t)__builtin_popcountll(up);
}

void async_expiry(struct kf_async *a, struct tls_expiry *ret)
{
	tls_context_expiry(a->fleet.tls, ret);
}
