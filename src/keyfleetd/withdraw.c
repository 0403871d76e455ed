/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/withdraw.h"
#include "keyfleetd/act.h"
#include "keyfleetd/peer.h"

struct req *withdraw_find(const struct req *r, struct slice batch_id)
{
	list_each(l, &r->peer->reqs)
	{
		struct req *other = container_of(l, struct req, link);
		if (other != r && slice_eq(other->item.batch_id, batch_id))
			return other;
	}
	return NULL;
}

/* An answer may have left while this was on its way.  Not by items of batches: what is withdrawn goes on at once, to its
 * next item, which could withdraw another one, each on the other's stack. */
bool withdraw_named(const struct req *r)
{
	struct slice id = r->item.extension.abandoned;
	if (!id.n || !r->peer->answers_out_of_order || r->header.batch_count != 1)
		return false;
	struct req *other = withdraw_find(r, id);
	if (!other || other->is_ready)
		return false;
	const bool is_new =
		!atomic_load_explicit(&other->is_withdrawn, memory_order_relaxed);
	atomic_store_explicit(&other->is_withdrawn, true, memory_order_relaxed);
	act_abandon(other);
	return is_new;
}
