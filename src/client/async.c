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

static uint64_t min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- time ---- */

/* `due_ns` may be too early, never too late: calls that end do not take their moment back, so that a
 * call costs no work on timers. */
void async_due(struct kf_async *a, uint64_t at_ns)
{
	a->due_ns = min64(a->due_ns, at_ns);
}

void async_late(struct kf_async *a, uint64_t at_ns)
{
	a->late_at_ns = min64(a->late_at_ns, at_ns);
}

static void ask_for_timer(struct kf_async *a)
{
	bool is_now = a->wants_flush || a->due_ns == 0;
	uint64_t at = is_now ? 0 : min64(a->due_ns, a->late_at_ns);
	if (a->is_closing || at >= a->armed_ns)
		return;
	a->armed_ns = at;
	uint64_t now = at ? clock_monotonic_ns() : 0;
	a->loop.timer(a->loop.arg,
		at <= now ? 0 : (int64_t)((at - now + NS_PER_MS - 1) / NS_PER_MS));
}

/* ---- rounds ---- */

static void tick(struct kf_async *a, uint64_t now)
{
	a->due_ns = UINT64_MAX;
	lanes_maintain(a, now);
	flights_expire(a, now);
}

void kf_async_flush(struct kf_async *a)
{
	uint64_t now = clock_monotonic_ns();
	if (now >= a->due_ns)
		tick(a, now);
	if (now >= a->late_at_ns)
		late_look(a, now);
	late_judge(a, now);
	flights_finish_ended(a);
	for (struct list *l; (l = list_take(&a->dirty));)
		lane_flush(container_of(l, struct lane, dirty));
	a->wants_flush = !list_is_empty(&a->ended);
	ask_for_timer(a);
}

void kf_async_timer(struct kf_async *a)
{
	a->armed_ns = UINT64_MAX;
	/* At the end of the round, answers that are here already have been read. */
	if (!a->options.is_flushed)
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
			.tls_negotiated_version = q->options.tls_negotiated_version,
			.has_user = q->options.has_user,
			.user = q->options.user } };
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
	a->stats.calls++;
	if (q->operation == KMIP_OPERATION_SIGN)
		hedge_earn(&a->hedge);
	if (a->waits.n)
		f->is_token = waits_has(&a->waits, waits_key(f->request.payload));
	if (q->held)
		*q->held = f;
	flight_dispatch(a, f);
	if (!a->options.is_flushed) {
		a->wants_flush = true;
		ask_for_timer(a);
	}
	return KF_OK;
}

void async_abandon(struct flight *f)
{
	struct kf_async *a = f->async;
	flight_abandon(f);
	if (!a->options.is_flushed)
		ask_for_timer(a);
}

/* ---- beginning and end ---- */

static kf_err open_all(struct kf_async *a, struct settings *take, struct buf *why)
{
	KF_TRY(fleet_init(&a->fleet, take, a->options.found, why));
	if (getrandom(&a->id_base, sizeof(a->id_base), 0) != sizeof(a->id_base))
		return kf_fail(INTERNAL, "no random numbers");
	if (a->fleet.settings.agent)
		return kf_fail(CONFIG, "event loops go to key servers, not to an agent");
	KF_TRY(stream_pad_new(&a->pad));
	hedge_init(&a->hedge, a->fleet.settings.hedge_percent,
		a->fleet.settings.hedge_after_ms);
	lanes_init(a);
	if (a->options.is_patient)
		a->patient_until_ns = clock_monotonic_ns() +
				      (uint64_t)a->fleet.settings.patience_ms * NS_PER_MS;
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
	list_init(&a->spare_attempts);
	a->late_at_ns = UINT64_MAX;
	kf_err err = open_all(a, take, why);
	a->options.found = NULL; /* lent for as long as this takes */
	if (!kf_ok(err)) {
		kf_async_free(a);
		return err;
	}
	ask_for_timer(a); /* due_ns is 0: connect in the first round */
	*ret = a;
	return KF_OK;
}

void kf_async_free(struct kf_async *a)
{
	if (!a)
		return;
	a->is_closing = true;
	if (a->armed_ns != UINT64_MAX && a->owner == getpid())
		a->loop.timer(a->loop.arg, -1);
	flights_end_all(a);
	if (a->owner == getpid())
		flights_finish_ended(a);
	lanes_close(a);
	for (struct list *l; (l = list_take(&a->spare));)
		free(container_of(l, struct flight, link));
	for (struct list *l; (l = list_take(&a->spare_attempts));)
		free(container_of(l, struct attempt, link));
	stream_pad_free(a->pad);
	fleet_clear(&a->fleet);
	free(a);
}

void async_hand_over(struct kf_async *from, struct kf_async *to)
{
	for (struct list *l; (l = list_take(&from->waiting));) {
		struct flight *f = container_of(l, struct flight, link);
		from->n_flights--;
		to->n_flights++;
		f->async = to;
		f->tried = 0;
		list_add_tail(&to->waiting, &f->link);
		async_due(to, f->deadline_ns);
	}
}

size_t async_in_flight(const struct kf_async *a) { return a->n_flights; }

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

const struct settings *async_settings(const struct kf_async *a)
{
	return &a->fleet.settings;
}

void async_add_known(const struct kf_async *a, struct fleet_nodes *found)
{
	fleet_add_known(&a->fleet, found);
}

bool async_is_at(const struct kf_async *a, const struct fleet_nodes *found)
{
	return fleet_is_same(&a->fleet, found);
}

/* ---- for metrics ---- */

void async_stats(const struct kf_async *a, struct async_stats *ret)
{
	*ret = a->stats;
	ret->in_flight = a->n_flights;
	ret->servers = a->fleet.route.n;
	ret->waiting = 0;
	list_each(l, &a->waiting) ret->waiting++;
}

static uint32_t connections_to(const struct kf_async *a, const struct node *n)
{
	uint32_t open = 0;
	for (size_t i = 0; i < a->n_lanes; i++)
		open += a->lane[i].node == n && a->lane[i].conn &&
			a->lane[i].conn->state == CONN_OPEN;
	return open;
}

void async_server(const struct kf_async *a, size_t i, struct async_server *ret)
{
	const struct node *n = &a->fleet.nodes[i];
	*ret = (struct async_server){ .name = n->name,
		.address = &n->address,
		.why = n->why,
		.breaker = node_breaker(n),
		.is_slow = n->is_slow,
		.connections = connections_to(a, n),
		.outstanding = n->outstanding,
		.calls = n->calls,
		.failures = n->failed,
		.p50_ns = n->latency.p50_ns,
		.p99_ns = n->latency.p99_ns };
}

void async_say_why(const struct kf_async *a, char *text, size_t size)
{
	fleet_say_why(&a->fleet, text, size);
}
