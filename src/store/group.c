/* SPDX-License-Identifier: Apache-2.0
 *
 * group: the changes that one transaction commits.
 */
#include "base/epoch.h"
#include "store/work.h"

void store_answer(struct store *s, struct change *c, kf_err err)
{
	change_release(c);
	c->err = err;
	atomic_fetch_sub(&s->queued, 1);
	c->done(c);
}

/* --- coming and going --- */

static void take_from(struct store *s, struct changes *queue)
{
	while (s->grouped < GROUP_MAX && queue->first)
		s->group[s->grouped++] = (struct item){ .change = changes_take(queue) };
}

void group_take(struct store *s)
{
	take_from(s, &s->waiting);
	if (gate_runs_ahead(s))
		take_from(s, &s->gated);
}

/* Its transaction is rolled back. */
static void take_back(struct store *s)
{
	for (size_t i = 0; i < s->grouped; i++)
		change_take_back(s, &s->group[i]);
}

/* To the front. */
static void put_back(struct changes *queue, struct changes *before)
{
	struct change *c;
	while ((c = changes_take(queue)))
		changes_append(before, c);
	*queue = *before;
}

void group_put_back(struct store *s)
{
	struct changes waiting = { 0 }, gated = { 0 };
	take_back(s);
	for (size_t i = 0; i < s->grouped; i++) {
		struct change *c = s->group[i].change;
		if (c)
			changes_append(gate_is_open(c) ? &waiting : &gated, c);
	}
	s->grouped = 0;
	put_back(&s->waiting, &waiting);
	put_back(&s->gated, &gated);
}

static void give_replay(struct item *item)
{
	struct change *c = item->change;
	c->is_replay = true;
	buf_free(&c->answer);
	c->answer = item->recorded;
	item->recorded = (struct buf){ 0 };
}

void group_answer(struct store *s)
{
	for (size_t i = 0; i < s->grouped; i++) {
		struct item *item = &s->group[i];
		if (item->change && item->is_replay)
			give_replay(item);
		buf_free(&item->recorded);
		if (item->change)
			store_answer(s, item->change, item->err);
	}
	atomic_fetch_add(&s->status.changes, s->grouped);
	s->grouped = 0;
}

void group_fail(struct store *s, kf_err err)
{
	take_back(s);
	for (size_t i = 0; i < s->grouped; i++)
		s->group[i].err = err;
	group_answer(s);
}

void group_publish(struct store *s)
{
	catalog_hold(s->catalog);
	for (size_t i = 0; i < s->grouped; i++)
		if (kf_ok(s->group[i].err) && !s->group[i].is_replay)
			change_publish(s, s->group[i].change);
	must(catalog_release(s->catalog));
	epoch_reclaim(s->conf.epoch);
}

/* --- into the database --- */

static kf_err apply_all(struct store *s, bool *ret_is_refused)
{
	for (size_t i = 0; i < s->grouped && !*ret_is_refused; i++) {
		KF_TRY(change_apply(s, &s->group[i]));
		*ret_is_refused = !kf_ok(s->group[i].err);
	}
	return *ret_is_refused || !s->driver->settle ? KF_OK : s->driver->settle(s->db);
}

/* Without waiting for the answer to each statement: whose a refusal is nobody knows then. */
static kf_err apply_together(struct store *s, bool *ret_is_refused)
{
	s->db->defers = true;
	kf_err err = apply_all(s, ret_is_refused);
	s->db->defers = false;
	if (s->db->is_broken || !change_is_refusal(err))
		return err;
	*ret_is_refused = true;
	return KF_OK;
}

static kf_err begin_anew(struct store *s)
{
	take_back(s);
	s->driver->rollback(s->db);
	if (s->db->is_broken)
		return kf_fail(CLOSED, "database has closed the connection");
	return store_lock_head(s);
}

/* Nearly no change is refused, and a savepoint costs more than a row.  So the group goes without them; one with a
 * refusal is done once more, with them. */
kf_err group_apply(struct store *s)
{
	bool is_refused = false;
	struct facts_mark mark = facts_mark(&s->facts);
	KF_TRY(apply_together(s, &is_refused));
	if (!is_refused)
		return KF_OK;
	facts_back(&s->facts, mark);
	KF_TRY(begin_anew(s));
	for (size_t i = 0; i < s->grouped; i++)
		KF_TRY(change_apply_apart(s, &s->group[i]));
	return KF_OK;
}
