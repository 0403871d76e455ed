/* SPDX-License-Identifier: Apache-2.0 */
/* Calls in flight: sent, answered, lost, moved, out of time. */
#include "base/clock.h"
#include "client/async_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPT_MIN_MS = 200, AGAIN_MS = 50, TURNS = 16 };

static uint64_t min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- life ---- */

struct flight *flight_new(struct kf_async *a, size_t payload)
{
	struct list *l = list_take(&a->spare);
	struct flight *f = l ? container_of(l, struct flight, link) : malloc(sizeof(*f));
	if (!f)
		return NULL;
	a->n_spare -= l != NULL;
	memset(f, 0, offsetof(struct flight, inside));
	list_init(&f->link);
	f->async = a;
	if (payload > FLIGHT_INLINE && !(f->outside = malloc(payload))) {
		free(f);
		return NULL;
	}
	a->n_flights++;
	return f;
}

void flight_free(struct kf_async *a, struct flight *f)
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

static void attempt_end(struct attempt *t)
{
	struct node *n = t->lane->node;
	struct flight *f = t->flight;
	n->outstanding -= n->outstanding > 0;
	n->token_calls -= t->is_token && n->token_calls > 0;
	if (f)
		*(f->first == t ? &f->first : &f->copy) = NULL;
	list_remove(&t->link);
	list_add_head(&t->lane->async->spare_attempts, &t->link);
}

/* What is under way goes on without it. */
static void let_go(struct flight *f)
{
	if (f->first)
		f->first->flight = NULL;
	if (f->copy)
		f->copy->flight = NULL;
	f->first = f->copy = NULL;
}

static void finish(struct kf_async *a, struct flight *f, struct async_outcome *outcome)
{
	let_go(f);
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

void flights_finish_ended(struct kf_async *a)
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

static bool may_repeat(const struct flight *f)
{
	const struct lane *l = f->first ? f->first->lane : f->copy->lane;
	return f->repeat == REPEAT_FREELY ||
	       (f->repeat == REPEAT_WITH_ID && l->conn->is_by_id);
}

static struct attempt *attempt_new(struct flight *f, struct lane *l, uint64_t now)
{
	struct list *x = list_take(&l->async->spare_attempts);
	struct attempt *t =
		x ? container_of(x, struct attempt, link) : malloc(sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct attempt){ .flight = f,
		.lane = l,
		.sent_ns = now,
		.is_signature =
			f->request.operation == KMIP_OPERATION_SIGN && !f->is_token,
		.is_token = f->is_token };
	list_init(&t->link);
	return t;
}

static kf_err put(struct flight *f, struct lane *l, uint64_t now, struct attempt **ret)
{
	if (l->conn->version != KMIP_2_1 &&
		!ttlv_fits(f->request.payload, l->conn->version))
		return kf_fail(FEATURE, "the server's protocol version cannot say this");
	uint64_t left_ms = f->deadline_ns > now ? (f->deadline_ns - now) / NS_PER_MS : 0;
	f->request.extension.deadline_ms = (int32_t)min64(left_ms + 1, INT32_MAX);
	f->request.extension.has_sent_at = true;
	f->request.extension.sent_at_ms = (int32_t)(now / NS_PER_MS & INT32_MAX);
	struct attempt *t = attempt_new(f, l, now);
	if (!t)
		return kf_fail(NOMEM, "sending a request");
	kf_err err = conn_put(l->conn, &f->request, t);
	if (!kf_ok(err)) {
		list_add_head(&l->async->spare_attempts, &t->link);
		return err;
	}
	lane_asked(l, now);
	l->node->outstanding++;
	l->node->token_calls += t->is_token;
	l->node->calls++;
	list_add_tail(&l->attempts, &t->link);
	lane_will_flush(l);
	*ret = t;
	return KF_OK;
}

/* How long this server may take before another one is asked: half of the time, so that as much is left; what
 * waits for a token is given what that takes there. */
static uint64_t patience_of(const struct flight *f, const struct node *n, uint64_t left)
{
	uint64_t half = left / 2, token = n->token_wait_ns + 4 * n->token_took_ns;
	if (left < (uint64_t)ATTEMPT_MIN_MS * NS_PER_MS)
		return left;
	return f->is_token && token > half ? min64(token, left) : half;
}

kf_err flight_send(struct flight *f, struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	KF_TRY(put(f, l, now, &f->first));
	uint64_t left = f->deadline_ns > now ? f->deadline_ns - now : 0;
	f->attempt_ns = now + patience_of(f, l->node, left);
	a->stats.retries += f->report.attempts++ > 0;
	list_remove(&f->link);
	async_due(a, f->attempt_ns);
	if (f->first->is_signature && l->node->late_ns)
		async_late(a, now + l->node->late_ns);
	return KF_OK;
}

struct attempt *flight_send_copy(struct flight *f, struct lane *l, uint64_t now)
{
	if (f->is_abandoned || !kf_ok(put(f, l, now, &f->copy)))
		return NULL;
	f->copy->is_copy = true;
	f->report.attempts++;
	return f->copy;
}

static void wait_or_end(struct kf_async *a, struct flight *f)
{
	uint64_t tried = f->tried;
	/* Nobody waits, or comes back, to be over a limit once more. */
	if (kmip_limit_of(f->err.code)) {
		end_later(a, f, f->err);
		return;
	}
	if (!lane_is_hoped_for(a, tried)) {
		/* All have had their turn: whoever comes back first may have another one, unless they
		 * answered that they are busy, or have no token for this. */
		bool is_final = kf_is(f->err, KF_E_BUSY) || kf_is(f->err, KF_E_TIMEOUT) ||
				kf_is(f->err, KF_E_UNAVAILABLE);
		if (is_final || !lane_is_hoped_for(a, 0)) {
			if (kf_ok(f->err))
				fleet_say_why(&a->fleet, f->report.message,
					sizeof(f->report.message));
			end_later(a, f,
				kf_ok(f->err)
					? kf_fail(UNAVAILABLE, "no server can be reached")
					: f->err);
			return;
		}
		f->tried = 0;
		/* Whoever it is may be there already: then no connection that opens would end the waiting. */
		async_due(a, clock_monotonic_ns() + (uint64_t)AGAIN_MS * NS_PER_MS);
	}
	list_remove(&f->link);
	list_add_tail(&a->waiting, &f->link);
	async_due(a, f->deadline_ns);
}

void flight_dispatch(struct kf_async *a, struct flight *f)
{
	if (f->is_abandoned) {
		end_later(a, f, kf_fail(CLOSED, "nobody waits for it any more"));
		return;
	}
	uint64_t now = clock_monotonic_ns();
	struct lane *l = f->is_token ? lane_pick_token(a, f->tried, now)
				     : late_probe_instead(a, f, now);
	if (!l)
		l = lane_pick(a, f->tried, now);
	if (!l) {
		wait_or_end(a, f);
		return;
	}
	kf_err err = may_go_to(f, l->conn) ? flight_send(f, l, now)
					   : kf_fail(OUTCOME_UNKNOWN,
						     "this server knows no request ids");
	if (!kf_ok(err))
		end_later(a, f, err);
	else
		late_probe_too(a, f, now);
}

/* Where that cannot be said, it is done in vain. */
static void abandon_attempt(struct attempt *t)
{
	struct lane *l = t->lane;
	if (!l->conn || !kf_ok(conn_abandon(l->conn, t)))
		return;
	lane_will_flush(l);
	l->async->wants_flush = true;
}

static void abandon_attempts(const struct flight *f)
{
	if (f->first)
		abandon_attempt(f->first);
	if (f->copy)
		abandon_attempt(f->copy);
}

void flight_abandon(struct flight *f)
{
	if (f->is_abandoned)
		return;
	f->is_abandoned = true;
	if (is_under_way(f))
		abandon_attempts(f);
	else
		flight_dispatch(f->async, f);
}

/* Who cannot be sent yet goes to the end; so each has a turn, however few these are. */
void flights_dispatch(struct kf_async *a, size_t most)
{
	struct list *last = a->waiting.prev, *x = a->waiting.next, *next;
	for (bool is_last = list_is_empty(&a->waiting); !is_last && most-- > 0;
		x = next) {
		if (!lane_is_any_free(a))
			return;
		next = x->next;
		is_last = x == last;
		flight_dispatch(a, container_of(x, struct flight, link));
	}
}

/* ---- receiving ---- */

static void set_message(struct call_report *r, struct slice text)
{
	size_t n = min64(text.n, sizeof(r->message) - 1);
	if (n)
		memcpy(r->message, text.p, n);
	r->message[n] = 0;
}

static void note_node(
	struct lane *l, const struct kmip_response_item *item, kf_err err, uint64_t now)
{
	node_answered(l->node, now);
	if (item->extension.has_load)
		node_reported(l->node, (uint32_t)item->extension.load, now);
	/* Tokens that are busy say nothing about their server. */
	bool is_busy = kf_is(err, KF_E_BUSY) && !item->extension.has_expected_wait;
	if (is_busy || kf_is(err, KF_E_CLIENT_RATE) || kf_is(err, KF_E_CLIENT_REQUESTS))
		node_reported(l->node, NODE_LOAD_MAX, now);
}

/* A queue of which nothing is known is asked again soon.  A refusal is quick, and no measure of tokens. */
static void note_token(struct attempt *t, const struct kmip_response_item *item,
	bool is_good, uint64_t now)
{
	enum { WAIT_MAX_US = 2000000 };
	const struct kmip_extension *x = &item->extension;
	uint64_t us = min64((uint64_t)x->expected_wait_us, WAIT_MAX_US);
	if (!x->has_expected_wait)
		return;
	if (t->is_probe && t->is_signature)
		node_slow_probed(
			t->lane->node, true, now, fleet_random(&t->lane->async->fleet));
	t->is_signature = false;
	node_token_answered(
		t->lane->node, us * 1000, is_good ? now - t->sent_ns : 0, now);
	if (t->flight && !t->is_token)
		waits_learn(
			&t->lane->async->waits, waits_key(t->flight->request.payload));
}

static void note_report(struct flight *f, const struct lane *l,
	const struct kmip_response_item *item, kf_err err)
{
	f->report.version = l->conn->version;
	f->report.reason = kf_ok(err) ? 0 : item->reason;
	set_message(&f->report, kf_ok(err) ? (struct slice){ 0 } : item->message);
}

static bool is_passing(kf_err err)
{
	return kf_is(err, KF_E_OUTCOME_UNKNOWN) || kf_is(err, KF_E_BUSY) ||
	       kf_is(err, KF_E_UNAVAILABLE) || kf_is(err, KF_E_TIMEOUT);
}

/* Another server may answer differently, or is about to.  What the first says is what the call would get
 * without a copy, whose server may not know the newest keys yet. */
static bool goes_on(
	struct kf_async *a, struct flight *f, const struct attempt *t, kf_err err)
{
	const struct lane *l = t->lane;
	bool is_unknown = kf_is(err, KF_E_OUTCOME_UNKNOWN);
	bool is_over_limit = kmip_limit_of(err.code) != KMIP_LIMIT_NONE;
	bool may_ask_another = is_over_limit && !f->was_over_limit;
	bool is_final = !is_passing(err) && !may_ask_another;
	f->was_over_limit |= is_over_limit;
	f->is_sent |= is_unknown;
	f->tried |= route_bit(&a->fleet.route, l->node);
	f->err = err;
	if (is_under_way(f))
		return t->is_copy || !is_final;
	bool is_by_id = f->repeat == REPEAT_WITH_ID && l->conn->is_by_id;
	if (is_final || (is_unknown && f->repeat != REPEAT_FREELY && !is_by_id))
		return false;
	flight_dispatch(a, f);
	return true;
}

/* The attempt is over, its memory not yet used again. */
static void conclude(struct kf_async *a, struct attempt *t, struct flight *f,
	const struct kmip_response_item *item)
{
	kf_err err = kmip_result(item);
	note_report(f, t->lane, item, err);
	if (!kf_ok(err) && goes_on(a, f, t, err))
		return;
	a->stats.copies_won += kf_ok(err) && t->is_copy && !t->is_probe;
	struct slice payload = kf_ok(err) ? item->payload : (struct slice){ 0 };
	finish(a, f, &(struct async_outcome){ err, &f->report, payload, NULL });
}

void flight_answered(void *arg, void *waiter, const struct kmip_response_item *item)
{
	struct kf_async *a = arg;
	struct attempt *t = waiter;
	struct flight *f = t->flight;
	struct lane *l = t->lane;
	uint64_t now = clock_monotonic_ns();
	kf_err err = kmip_result(item);
	note_node(l, item, err, now);
	note_token(t, item, kf_ok(err), now);
	lane_answered(l, now);
	late_measure(t, kf_ok(err), now);
	attempt_end(t);
	if (f)
		conclude(a, t, f, item);
	/* There is room for one again. */
	if (!list_is_empty(&a->waiting))
		flights_dispatch(a, TURNS);
}

void attempt_lost(struct attempt *t, const char *why)
{
	struct lane *l = t->lane;
	struct kf_async *a = l->async;
	struct flight *f = t->flight;
	late_measure(t, false, clock_monotonic_ns());
	attempt_end(t);
	if (!f)
		return;
	bool is_harmless = f->repeat == REPEAT_FREELY ||
			   (f->repeat == REPEAT_WITH_ID && l->node->is_keyfleet);
	f->is_sent = true;
	f->tried |= route_bit(&a->fleet.route, l->node);
	f->err = KF_OK;
	snprintf(f->report.message, sizeof(f->report.message), "%.100s: %.120s",
		l->node->name, why);
	if (is_under_way(f))
		return;
	if (is_harmless)
		flight_dispatch(a, f);
	else
		end_later(a, f, kf_fail(OUTCOME_UNKNOWN, "sent, but no answer came"));
}

/* ---- what time does ---- */

static uint64_t tried_by(struct kf_async *a, const struct flight *f)
{
	uint64_t tried = f->tried;
	if (f->first)
		tried |= route_bit(&a->fleet.route, f->first->lane->node);
	if (f->copy)
		tried |= route_bit(&a->fleet.route, f->copy->lane->node);
	return tried;
}

static void expire_waiting(struct kf_async *a, uint64_t now)
{
	list_each_safe(x, &a->waiting)
	{
		struct flight *f = container_of(x, struct flight, link);
		bool is_vain = !lane_is_hoped_for(a, 0);
		a->stats.expired += now >= f->deadline_ns;
		if (now >= f->deadline_ns || is_vain)
			fleet_say_why(
				&a->fleet, f->report.message, sizeof(f->report.message));
		if (now >= f->deadline_ns)
			end_later(a, f, kf_fail(TIMEOUT, "deadline has passed"));
		else if (is_vain)
			end_later(a, f, kf_fail(UNAVAILABLE, "no server can be reached"));
		else
			async_due(a, f->deadline_ns);
	}
}

static void leave(struct kf_async *a, struct flight *f)
{
	f->tried = tried_by(a, f);
	f->is_sent = true;
	let_go(f);
}

/* A token would do for nobody what another server's does meanwhile. */
void flight_move(struct kf_async *a, struct flight *f)
{
	if (f->is_token)
		abandon_attempts(f);
	leave(a, f);
	flight_dispatch(a, f);
}

/* The server answers others: this call alone moves on, if there is somebody else. */
static void move_on(struct kf_async *a, struct flight *f, uint64_t now)
{
	if (now >= f->deadline_ns) {
		a->stats.expired++;
		leave(a, f);
		end_later(a, f, kf_fail(TIMEOUT, "no answer in time"));
	} else if (!f->is_abandoned && may_repeat(f) &&
		   lane_pick(a, tried_by(a, f), now)) {
		flight_move(a, f);
	} else {
		f->attempt_ns = f->deadline_ns;
		async_due(a, f->attempt_ns);
	}
}

/* Not a word for too long: it is the connection, not the call. */
static bool break_if_silent(struct lane *l, uint64_t now)
{
	if (now < lane_silent_at(l))
		return false;
	lane_break(l, "no answer in time", now);
	return true;
}

/* False: the lane is gone. */
static bool expire_attempt(struct attempt *t, uint64_t now)
{
	struct flight *f = t->flight;
	if (now < f->attempt_ns) {
		async_due(t->lane->async, f->attempt_ns);
		return true;
	}
	if (!t->is_token && break_if_silent(t->lane, now))
		return false;
	move_on(t->lane->async, f, now);
	return true;
}

static void expire_lane(struct lane *l, uint64_t now)
{
	bool has_calls = false;
	list_each_safe(x, &l->attempts)
	{
		struct attempt *t = container_of(x, struct attempt, link);
		if (t->flight && !expire_attempt(t, now))
			return;
		has_calls |= t->flight != NULL;
	}
	/* Requests that nobody waits for any more take room; somebody has to notice that they are lost. */
	if (!has_calls && !break_if_silent(l, now))
		async_due(l->async, lane_silent_at(l));
}

void flights_expire(struct kf_async *a, uint64_t now)
{
	for (size_t i = 0; i < a->n_lanes; i++)
		expire_lane(&a->lane[i], now);
	expire_waiting(a, now);
	flights_dispatch(a, SIZE_MAX);
}

void flights_end_all(struct kf_async *a)
{
	static const char why[] = "the client was closed";
	for (size_t i = 0; i < a->n_lanes; i++)
		list_each_safe(x, &a->lane[i].attempts)
		{
			struct attempt *t = container_of(x, struct attempt, link);
			struct flight *f = t->flight;
			attempt_end(t);
			if (!f || is_under_way(f))
				continue;
			f->is_sent = true;
			end_later(a, f, kf_fail(UNAVAILABLE, why));
		}
	list_each_safe(x, &a->waiting) end_later(
		a, container_of(x, struct flight, link), kf_fail(UNAVAILABLE, why));
}
