/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/limit.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/client.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/req.h"
#include "keyfleetd/server.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t pause_ns = 50000000;

static struct client_part *part_of(const struct peer *p)
{
	return &p->slot->part[p->io->number];
}

static uint64_t now(const struct io *io) { return loop_now_ns(io->loop); }

/* ---- pauses ---- */

bool limit_is_paused(const struct peer *p)
{
	return p->slot && part_of(p)->paused_until_ns > now(p->io);
}

/* Those that cannot go on yet come back.  The first may have used up all that the others came for, so it is
 * the last this time. */
static void resume(struct loop_timer *t)
{
	struct client_part *part = container_of(t, struct client_part, resume);
	struct list waiting, *first = list_take(&part->paused);
	list_move_all(&waiting, &part->paused);
	if (first)
		list_add_tail(&waiting, first);
	for (struct list *l = list_take(&waiting); l; l = list_take(&waiting))
		peer_touch(container_of(l, struct peer, paused));
}

void limit_wait(struct peer *p)
{
	struct client_part *part = part_of(p);
	if (!list_is_empty(&p->paused))
		return;
	part->resume.expired = resume;
	if (kf_ok(loop_arm(p->io->loop, &part->resume, part->paused_until_ns)))
		list_add_tail(&part->paused, &p->paused);
	else
		peer_touch(p);
}

void limit_leave(struct peer *p)
{
	list_remove(&p->paused);
	if (p->slot && list_is_empty(&part_of(p)->paused))
		loop_disarm(p->io->loop, &part_of(p)->resume);
	free(p->meters);
	p->meters = NULL;
}

/* The clock is read now and then; a round of signatures, which are only begun here, is never so long. */
enum { MESSAGES_A_LOOK = 16, TURN_ROUNDS = 4 };

bool limit_turn_is_over(struct peer *p, unsigned begun)
{
	const uint64_t most_ns = TURN_ROUNDS * io_settings(p->io)->round_cost_ns;
	if (!begun || begun % MESSAGES_A_LOOK ||
		clock_monotonic_ns() - now(p->io) < most_ns)
		return false;
	peer_touch(p);
	return true;
}

/* ---- refusals ---- */

/* Answering costs more than not reading. */
static void pause_if_flooded(struct req *r)
{
	const struct settings *set = io_settings(r->io);
	struct client_part *part = part_of(r->peer);
	if (!bucket_take(&part->refusals, &set->client_refusals, now(r->io), 1))
		part->paused_until_ns = now(r->io) + pause_ns;
	count_add(&r->io->metrics->pauses, limit_is_paused(r->peer));
}

static enum metric_limit limit_of(const struct meter *m, enum meter_refusal which)
{
	const bool is_own = m == m->slot->own;
	if (which == OVER_RATE)
		return is_own ? LIMIT_CLIENT_RATE : LIMIT_GRANT_RATE;
	return is_own ? LIMIT_CLIENT_REQUESTS : LIMIT_GRANT_REQUESTS;
}

static kf_err refuse(struct req *r, struct meter *m, enum meter_refusal which, kf_err e)
{
	struct meter_part *part = &m->part[r->io->number];
	if (list_is_empty(&part->link)) {
		list_add_tail(&r->io->refusing, &part->link);
		atomic_fetch_add(&m->slot->refs, 1);
	}
	part->refused[which]++;
	count_add(&r->io->metrics->limited[limit_of(m, which)], 1);
	pause_if_flooded(r);
	return e;
}

static void record(struct io *io, const struct meter_part *part, enum meter_refusal which)
{
	char why[96];
	uint64_t n = part->refused[which], ticket;
	if (!n)
		return;
	snprintf(why, sizeof(why), "%s: %" PRIu64 " requests refused in a second",
		which == OVER_RATE ? "over the rate" : "too many at a time", n);
	struct audit_record a = {
		.phase = AUDIT_DENIED,
		.client = part->meter->slot->name,
		.operation = "Limit",
		.rule = part->meter->rule,
		.why = why,
	};
	/* As with every refusal: it is none the less true when the audit cannot take it. */
	kf_err ignored = audit_add(io->server->audit, io->number, &a, &ticket);
	(void)ignored;
}

void limit_report(struct io *io)
{
	for (struct list *l = list_take(&io->refusing); l; l = list_take(&io->refusing)) {
		struct meter_part *part = container_of(l, struct meter_part, link);
		for (int i = 0; i < METER_REFUSALS; i++) {
			record(io, part, (enum meter_refusal)i);
			part->refused[i] = 0;
		}
		atomic_fetch_sub(&part->meter->slot->refs, 1);
	}
}

/* ---- the client's own ---- */

static void count(_Atomic uint32_t *own, uint32_t change)
{
	uint32_t n = atomic_load_explicit(own, memory_order_relaxed);
	atomic_store_explicit(own, n + change, memory_order_release);
}

/* A message counts once, however many items it has. */
static bool enter(struct req *r, const struct settings *set)
{
	struct client_part *part = part_of(r->peer);
	uint32_t most = set->client_requests / r->io->server->ios + 1;
	if (r->slot)
		return true;
	if (atomic_load_explicit(&part->under_way, memory_order_relaxed) >= most)
		return false;
	count(&part->under_way, 1);
	r->slot = r->peer->slot;
	return true;
}

kf_err limit_client(struct req *r, bool is_paid)
{
	const struct settings *set = io_settings(r->io);
	struct meter *m = r->peer->slot->own;
	if (r->peer->who.is_admin)
		return KF_OK;
	if (!enter(r, set))
		return refuse(r, m, OVER_NUMBER,
			kf_fail(CLIENT_REQUESTS, "too many requests of the client"));
	if (!is_paid && !bucket_pay(&m->bucket, &m->part[r->io->number].purse,
				&set->client_rate, now(r->io)))
		return refuse(
			r, m, OVER_RATE, kf_fail(CLIENT_RATE, "over the client's rate"));
	return KF_OK;
}

void limit_end(struct req *r)
{
	limit_end_item(r);
	if (r->slot)
		count(&r->slot->part[r->io->number].under_way, UINT32_MAX);
	r->slot = NULL;
}

/* ---- grants ---- */

enum { METERS = 16 };

/* By the place of the grant's row, which another one may have after a change of the rights. */
struct meters {
	struct known {
		struct meter *meter; /* NULL: free */
		struct rate rate;
	} known[METERS];
};

static struct known *place_of(struct meters *m, const struct grant_row *g)
{
	return &m->known[((uintptr_t)g / sizeof(*g)) % METERS];
}

static kf_err learn(struct req *r, const struct grant_row *g, struct known *ret)
{
	struct known k = { .rate = rate_of(g->limits.rate_per_hour, g->limits.burst) };
	KF_TRY(clients_meter(r->io->server->clients, r->peer->slot, g->id, &k.meter));
	*ret = k;
	return KF_OK;
}

static kf_err find_meter(
	struct req *r, const struct grant_row *g, const struct known **ret)
{
	struct peer *p = r->peer;
	if (!p->meters)
		p->meters = calloc(1, sizeof(*p->meters));
	if (!p->meters)
		return kf_fail(NOMEM, "limits of a grant");
	struct known *k = place_of(p->meters, g);
	if (!k->meter || strcmp(k->meter->rule, g->id) != 0)
		KF_TRY(learn(r, g, k));
	*ret = k;
	return KF_OK;
}

static bool enter_grant(struct req *r, struct meter *m, uint32_t most)
{
	if (most && atomic_fetch_add(&m->under_way, 1) >= most) {
		atomic_fetch_sub(&m->under_way, 1);
		return false;
	}
	r->charge[r->charges++] = (struct charge){ m, most != 0 };
	return true;
}

/* An item counts once, however many of its keys the grant is for. */
static bool is_charged(const struct req *r, const struct meter *m)
{
	for (unsigned i = 0; i < r->charges; i++)
		if (r->charge[i].meter == m)
			return true;
	return false;
}

static kf_err check_grant(struct req *r, const struct grant_row *g)
{
	const struct known *k = NULL;
	KF_TRY(find_meter(r, g, &k));
	struct meter *m = k->meter;
	if (is_charged(r, m))
		return KF_OK;
	if (r->charges == REQ_CHARGES || !enter_grant(r, m, g->limits.concurrency))
		return refuse(r, m, OVER_NUMBER,
			kf_fail(GRANT_REQUESTS, "too many requests under the grant"));
	if (!bucket_pay(&m->bucket, &m->part[r->io->number].purse, &k->rate, now(r->io)))
		return refuse(
			r, m, OVER_RATE, kf_fail(GRANT_RATE, "over the grant's rate"));
	return KF_OK;
}

kf_err limit_grant(struct req *r)
{
	struct decision *d = &r->call.decision;
	kf_err e = policy_limits(d) ? check_grant(r, d->grant) : KF_OK;
	d->grant = d->csr_grant =
		NULL; /* the rights may change while the request waits */
	return e;
}

/* What begins anew because somebody else changed the object has been counted; its connection may be gone. */
kf_err limit_charge(struct op_call *call, const struct grant_row *g)
{
	struct req *r = container_of(call, struct req, call);
	return r->peer ? check_grant(r, g) : KF_OK;
}

void limit_end_item(struct req *r)
{
	for (; r->charges; r->charges--)
		if (r->charge[r->charges - 1].holds)
			atomic_fetch_sub(&r->charge[r->charges - 1].meter->under_way, 1);
}
