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
	if (t->is_copy || f->copy || now >= f->deadline_ns)
		return;
	uint64_t tried = f->tried | route_bit(&a->fleet.route, t->lane->node);
	struct lane *l = lane_pick_second(a, tried, now);
	if (!l)
		return;
	if (!hedge_take(&a->hedge))
		a->stats.copies_denied++;
	else if (flight_send_copy(f, l, now))
		a->stats.copies++;
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

/* No copies, which nobody would have to pay: they leave the one for the other. */
static void take_from_lane(struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	list_each_safe(x, &l->attempts)
	{
		struct attempt *t = container_of(x, struct attempt, link);
		struct flight *f = t->flight;
		if (f && t->is_signature && f->first == t && !f->copy &&
			lane_pick_second(
				a, f->tried | route_bit(&a->fleet.route, l->node), now))
			flight_move(a, f);
	}
}

static void take_away_signatures(struct kf_async *a, const struct node *n, uint64_t now)
{
	for (size_t i = 0; i < a->n_lanes; i++)
		if (a->lane[i].node == n)
			take_from_lane(&a->lane[i], now);
}

static void look_at_silence(struct lane *l, uint64_t now)
{
	struct kf_async *a = l->async;
	struct node *n = l->node;
	uint64_t since = lane_silent_since(l), after = n->late_ns * SUSPECT_TIMES;
	if (since == UINT64_MAX || n->is_slow)
		return;
	if (after < (uint64_t)SUSPECT_MS * NS_PER_MS)
		after = (uint64_t)SUSPECT_MS * NS_PER_MS;
	if (now < since + after) {
		async_late(a, since + after);
		return;
	}
	if (!lane_pick_second(a, route_bit(&a->fleet.route, n), now))
		return;
	node_blame(n, "says nothing");
	node_slowed(n, now, fleet_random(&a->fleet));
	take_away_signatures(a, n, now);
}

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
	if (f->request.operation != KMIP_OPERATION_SIGN || f->tried)
		return NULL;
	struct node *n = route_slow_due(&a->fleet.route, now);
	return n ? lane_of(a, n) : NULL;
}

struct lane *late_probe_instead(struct kf_async *a, const struct flight *f, uint64_t now)
{
	struct lane *l = a->hedge.percent ? NULL : slow_lane(a, f, now);
	if (l)
		node_slow_probe(l->node);
	return l;
}

void late_probe_too(struct kf_async *a, struct flight *f, uint64_t now)
{
	struct lane *l = a->hedge.percent ? slow_lane(a, f, now) : NULL;
	if (!l || l->node == f->first->lane->node || !hedge_take(&a->hedge))
		return;
	struct attempt *t = flight_send_copy(f, l, now);
	if (!t)
		return;
	t->is_probe = true;
	a->stats.probes++;
	node_slow_probe(l->node);
}

void late_measure(struct attempt *t, bool is_good, uint64_t now)
{
	struct kf_async *a = t->lane->async;
	struct node *n = t->lane->node;
	if (!t->is_signature)
		return;
	uint64_t took = now - t->sent_ns;
	bool is_probe = t->is_probe || (n->is_slow_probing && !a->hedge.percent);
	if (is_probe)
		node_slow_probed(n, is_good && route_is_quick(&a->fleet.route, n, took),
			now, fleet_random(&a->fleet));
	if (is_good && latency_add(&n->latency, took))
		route_measured(&a->fleet.route, &a->hedge, now, fleet_random(&a->fleet));
}
