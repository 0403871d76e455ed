/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that are late: a second copy to another server, within a budget; the first good answer counts.
 *
 * Only signatures: a signature more harms nobody, and its servers are those of keyfleet, which limit no
 * key by a number of uses.  Both copies carry one Request Id, so that they are one operation for the
 * audit.  All looking is done at the end of a round, when everything that has arrived was read: if we
 * were held up ourselves, nobody else is late.
 */
#include "client/async_inside.h"
#include <string.h>

enum {
	SUSPECT_MS = 50,    /* without a word, and ... */
	SUSPECT_TIMES = 10, /* ... so many times what makes a signature late */
};

static void copy_if_late(struct kf_async *a, struct attempt *t, uint64_t now)
{
	struct flight *f = t->flight;
	t->is_judged = true;
	if (t->is_copy || f->copy || f->is_abandoned || now >= f->deadline_ns)
		return;
	uint64_t tried = f->tried | route_bit(&a->fleet.route, t->lane->node);
	struct lane *l = lane_pick_second(a, tried, now);
	if (!l)
		return;
	if (!hedge_may(&a->hedge)) {
		a->stats.copies_denied++;
	} else if (flight_send_copy(f, l, now)) {
		hedge_pay(&a->hedge);
		a->stats.copies++;
	}
}

/* In the order of sending: the first that is in time ends the look. */
static void look_at_signatures(struct lane *l, uint64_t now)
{
	uint64_t late_ns = l->node->late_ns;
	list_each(x, &l->attempts)
	{
		struct attempt *t = container_of(x, struct attempt, link);
		if (!t->flight || !t->is_signature || t->is_judged)
			continue;
		if (now < t->sent_ns + late_ns) {
			async_late(l->async, t->sent_ns + late_ns);
			return;
		}
		copy_if_late(l->async, t, now);
	}
}

/* ---- silent servers ---- */

static const struct attempt *oldest_signature(const struct lane *l)
{
	list_each(x, &l->attempts)
	{
		const struct attempt *t = container_of(x, struct attempt, link);
		if (t->is_signature)
			return t;
	}
	return NULL;
}

/* When a signature has waited for so long, and nothing else came, that the server is suspect. */
static uint64_t suspect_at(const struct lane *l)
{
	const struct attempt *oldest = oldest_signature(l);
	uint64_t since = lane_silent_since(l), after = l->node->late_ns * SUSPECT_TIMES;
	if (since == UINT64_MAX || !oldest)
		return UINT64_MAX;
	if (after < (uint64_t)SUSPECT_MS * NS_PER_MS)
		after = (uint64_t)SUSPECT_MS * NS_PER_MS;
	return (since < oldest->sent_ns ? oldest->sent_ns : since) + after;
}

/* One that is well, else one that is slow at least. */
static bool has_refuge(struct kf_async *a, uint64_t tried, uint64_t now)
{
	struct lane *l = lane_pick_second(a, tried, now);
	if (!l)
		l = lane_pick(a, tried, now);
	return l && now < suspect_at(l);
}

/* No copies, which somebody would have to pay: they leave the one for the other. */
static void take_away_signatures(struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	uint64_t bit = route_bit(&a->fleet.route, l->node);
	list_each_safe(x, &l->attempts)
	{
		struct attempt *t = container_of(x, struct attempt, link);
		struct flight *f = t->flight;
		if (f && t->is_signature && f->first == t && !f->copy &&
			has_refuge(a, f->tried | bit, now))
			flight_move(a, f);
	}
}

static void look_at_silence(struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	struct node *n = l->node;
	uint64_t at = suspect_at(l);
	if (now < at) {
		async_late(a, at);
		return;
	}
	async_late(a, now + (uint64_t)SUSPECT_MS * NS_PER_MS);
	if (!has_refuge(a, route_bit(&a->fleet.route, n), now))
		return;
	if (!n->is_slow)
		node_blame(n, "says nothing");
	node_slowed(n, now, fleet_random(&a->fleet));
	take_away_signatures(l, now);
}

/* ---- looking ---- */

void late_look(struct kf_async *a, uint64_t now)
{
	a->late_at_ns = UINT64_MAX;
	for (size_t i = 0; i < a->n_lanes; i++) {
		struct lane *l = &a->lane[i];
		if (!l->node->late_ns || list_is_empty(&l->attempts))
			continue;
		look_at_signatures(l, now);
		look_at_silence(l, now);
	}
}

/* ---- slow servers ---- */

static struct lane *slow_lane(struct kf_async *a, const struct flight *f, uint64_t now)
{
	if (f->request.operation != KMIP_OPERATION_SIGN || f->tried || f->is_token)
		return NULL;
	struct node *n = route_slow_due(&a->fleet.route, now);
	return n ? lane_of(a, n) : NULL;
}

struct lane *late_probe_instead(struct kf_async *a, const struct flight *f, uint64_t now)
{
	return a->hedge.percent ? NULL : slow_lane(a, f, now);
}

void late_probe_too(struct kf_async *a, struct flight *f, uint64_t now)
{
	struct lane *l = slow_lane(a, f, now);
	if (!l)
		return;
	struct attempt *t = f->first;
	if (l->node != t->lane->node) {
		if (!hedge_may(&a->hedge) || !(t = flight_send_copy(f, l, now)))
			return;
		hedge_pay(&a->hedge);
		a->stats.probes++;
	}
	t->is_probe = true;
	node_slow_probe(l->node);
}

void late_measure(struct attempt *t, bool is_good, uint64_t now)
{
	struct kf_async *a = t->lane->async;
	struct node *n = t->lane->node;
	if (!t->is_signature)
		return;
	uint64_t took = now - t->sent_ns;
	if (t->is_probe)
		node_slow_probed(n, is_good && route_is_quick(&a->fleet.route, n, took),
			now, fleet_random(&a->fleet));
	bool is_new = is_good && latency_add(&n->latency, took);
	a->is_measured |= is_new || (is_good && took > n->late_ns);
}

void late_judge(struct kf_async *a, uint64_t now)
{
	if (!a->is_measured)
		return;
	a->is_measured = false;
	route_measured(&a->fleet.route, &a->hedge, now, fleet_random(&a->fleet));
}
