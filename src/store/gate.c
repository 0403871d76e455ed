/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: changes that may not be committed before their audit record is on disk.
 *
 *     submitted --> gated --the record is there--> waiting --> group
 *                     `-- taken ahead of its record --> group, whose commit waits for it
 *
 * While the records of the newest changes travel to the disk, the transaction is filled with them already: the disk
 * and the processor work at the same time.  Only where nobody else waits for the transaction, and not for long.
 */
#include "base/clock.h"
#include "store/work.h"
#include <poll.h>
#include <unistd.h>

enum { PATIENCE_MS = 5 };

bool gate_is_open(const struct change *c) { return !c->gate || c->gate(c) == GATE_OPEN; }

/* Says first that it looks: what opens a gate afterwards rouses us.  So whoever opens one, and each gate, order what
 * they write and read as this does (sequentially consistent). */
static void announce_look(struct store *s) { atomic_store(&s->has_gated, true); }

void gate_queue(struct store *s, struct change *c)
{
	changes_append(c->gate ? &s->gated : &s->waiting, c);
}

static void ask(struct store *s, struct change *c)
{
	switch (c->gate(c)) {
	case GATE_OPEN: changes_append(&s->waiting, c); return;
	case GATE_SHUT: changes_append(&s->gated, c); return;
	case GATE_BARRED: break;
	}
	store_answer(s, c, kf_fail(AUDIT, "audit record did not reach the disk"));
}

void gate_open_all(struct store *s)
{
	struct changes all = s->gated;
	struct change *c;
	if (!all.first) {
		atomic_store(&s->has_gated, false);
		return;
	}
	announce_look(s);
	s->gated = (struct changes){ 0 };
	while ((c = changes_take(&all)))
		ask(s, c);
}

/* Others wait for a shared store's transactions. */
bool gate_runs_ahead(const struct store *s)
{
	return s->gated.first && !s->driver->is_shared &&
	       clock_monotonic_ns() >= s->careful_ns;
}

/* What comes meanwhile is made ready. */
static void wait_until_roused(struct store *s, uint64_t until_ns)
{
	const uint64_t now = clock_monotonic_ns();
	struct pollfd fd = { .fd = s->wake, .events = POLLIN };
	const int ms = now < until_ns ? (int)((until_ns - now) / 1000000) + 1 : 0;
	uint64_t n;
	if (poll(&fd, 1, ms) > 0 && read(s->wake, &n, sizeof(n)) == sizeof(n))
		store_take_queue(s);
}

/* Until it is not shut. */
static enum change_gate wait_for(
	struct store *s, const struct change *c, uint64_t until_ns)
{
	enum change_gate gate = c->gate(c);
	while (gate == GATE_SHUT && clock_monotonic_ns() < until_ns) {
		wait_until_roused(s, until_ns);
		gate = c->gate(c);
	}
	return gate;
}

kf_err gate_wait(struct store *s)
{
	const uint64_t until = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
	announce_look(s);
	for (size_t i = 0; i < s->grouped; i++) {
		const struct change *c = s->group[i].change;
		if (c->gate && wait_for(s, c, until) != GATE_OPEN)
			return kf_fail(AUDIT, "audit record is late");
	}
	return KF_OK;
}
