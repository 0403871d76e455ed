/* SPDX-License-Identifier: Apache-2.0 */
#include "op/find.h"
#include "kmip/attrs.h"
#include <stdlib.h>
#include <string.h>

/* A plan is made on a loop: so many look-ups for ranges of dates and parts of masks, and no more. */
enum { PERIODS_MAX = 4096, LOOKUPS_MAX = 8192, SORT_MAX = 4096 };

/* --- one way to look: a union of terms, and how many places that are --- */

struct way {
	struct terms terms;
	size_t most;
};

static void way_init(struct way *w)
{
	terms_init(&w->terms);
	w->most = 0;
}

static void way_free(struct way *w) { terms_free(&w->terms); }

static void way_add(const struct catalog *c, struct way *w, uint64_t term)
{
	struct posting p;
	catalog_having(c, term, &p);
	w->most += p.n;
	if (p.n)
		terms_add(&w->terms, term);
}

/* The better one stays in the plan. */
static void consider(struct find_plan *plan, struct way *w)
{
	if (!kf_ok(w->terms.err) || w->most >= plan->most)
		return;
	terms_free(&plan->terms);
	terms_init(&plan->terms);
	for (size_t i = 0; i < w->terms.n; i++)
		terms_add(&plan->terms, w->terms.p[i]);
	plan->most = w->most;
	plan->is_all = false;
}

struct planning {
	const struct find_question *q;
	struct term_space space[2];
	size_t spaces;
	uint64_t left; /* look-ups */
	struct find_plan *plan;
};

/* What is too much to be looked up narrows nothing; the rest of the question may. */
static bool may_look_up(struct planning *p, uint64_t values)
{
	const uint64_t times = values * p->spaces;
	if (times > p->left)
		return false;
	p->left -= times;
	return true;
}

static void plan_spaces(struct planning *p)
{
	if (p->q->spaces & FIND_LIVE)
		p->space[p->spaces++] = catalog_terms(p->q->catalog, false);
	if (p->q->spaces & FIND_GONE)
		p->space[p->spaces++] = catalog_terms(p->q->catalog, true);
}

/* --- attributes of which many values may match --- */

/* A state that dates have brought about is not the one that is stored. */
static void plan_state(struct planning *p, enum object_state wanted)
{
	CLEANUP(way_free) struct way w;
	const bool is_by_date = wanted == STATE_ACTIVE || wanted == STATE_DEACTIVATED;
	const enum object_state from = is_by_date ? STATE_PRE_ACTIVE : wanted;

	way_init(&w);
	for (size_t i = 0; i < p->spaces; i++)
		for (enum object_state s = from; s <= wanted; s++)
			way_add(p->q->catalog, &w, term_of_state(&p->space[i], s));
	consider(p->plan, &w);
}

static void plan_mask(struct planning *p, uint32_t wanted)
{
	CLEANUP(way_free) struct way w;
	uint32_t mask[CATALOG_MASKS];
	size_t n;

	way_init(&w);
	if (!catalog_masks(p->q->catalog, mask, &n) || !wanted || !may_look_up(p, n))
		return; /* objects without a mask have none of its bits, too */
	for (size_t i = 0; i < p->spaces; i++)
		for (size_t k = 0; k < n; k++)
			if ((mask[k] & wanted) == wanted)
				way_add(p->q->catalog, &w,
					term_of_mask(&p->space[i], mask[k]));
	consider(p->plan, &w);
}

/* What is asked for, as far as there are such dates. */
static bool find_periods(
	const struct planning *p, uint32_t tag, int64_t *ret_first, int64_t *ret_last)
{
	struct ttlv_item from, to;
	int64_t first, last;

	if (!attrs_find(p->q->wanted, tag, 0, &from))
		return false;
	if (!attrs_find(p->q->wanted, tag, 1, &to))
		to = from;
	int64_t a = term_period(ttlv_item_long(&from)),
		b = term_period(ttlv_item_long(&to));
	if (!catalog_periods(p->q->catalog, tag, &first, &last))
		return false;
	*ret_first = a < b ? a : b;
	*ret_last = a < b ? b : a;
	if (*ret_first < first)
		*ret_first = first;
	if (*ret_last > last)
		*ret_last = last;
	return *ret_last - *ret_first < PERIODS_MAX;
}

static void plan_date(struct planning *p, uint32_t tag)
{
	CLEANUP(way_free) struct way w;
	int64_t first, last;

	way_init(&w);
	if (!find_periods(p, tag, &first, &last) ||
		!may_look_up(p, first <= last ? (uint64_t)(last - first) + 1 : 0))
		return;
	for (size_t i = 0; i < p->spaces; i++)
		for (int64_t at = first; at <= last; at++)
			way_add(p->q->catalog, &w, term_of_period(&p->space[i], tag, at));
	consider(p->plan, &w);
}

/* --- any other attribute: each of its terms is a way --- */

static bool nth_term(
	const struct term_space *s, const struct ttlv_item *it, size_t n, uint64_t *ret)
{
	CLEANUP(terms_free) struct terms t;
	terms_init(&t);
	terms_of_item(s, it, &t);
	if (n >= t.n)
		return false;
	*ret = t.p[n];
	return true;
}

static void plan_item(struct planning *p, const struct ttlv_item *it)
{
	uint64_t term;
	for (size_t n = 0; nth_term(&p->space[0], it, n, &term); n++) {
		CLEANUP(way_free) struct way w;
		way_init(&w);
		for (size_t i = 0; i < p->spaces; i++)
			if (nth_term(&p->space[i], it, n, &term))
				way_add(p->q->catalog, &w, term);
		consider(p->plan, &w);
	}
}

/* Two dates of a kind are one range. */
static bool is_first(const struct planning *p, const struct ttlv_item *it)
{
	struct ttlv_item first;
	return attrs_find(p->q->wanted, it->tag, 0, &first) &&
	       first.whole.p == it->whole.p;
}

static void plan_attribute(struct planning *p, const struct ttlv_item *it)
{
	if (it->tag == TAG_STATE)
		plan_state(p, (enum object_state)ttlv_item_int(it));
	else if (it->tag == TAG_CRYPTOGRAPHIC_USAGE_MASK)
		plan_mask(p, (uint32_t)ttlv_item_int(it));
	else if (it->type == TTLV_DATE && term_date_number(it->tag) >= 0) {
		if (is_first(p, it))
			plan_date(p, it->tag);
	} else
		plan_item(p, it);
}

kf_err find_plan(const struct find_question *q, struct find_plan *ret)
{
	struct planning p = { .q = q, .left = LOOKUPS_MAX, .plan = ret };
	struct ttlv_reader r = ttlv_read(q->wanted);
	struct ttlv_item it;

	*ret = (struct find_plan){
		.catalog = q->catalog, .is_all = true, .most = catalog_count(q->catalog)
	};
	terms_init(&ret->terms);
	plan_spaces(&p);
	while (ttlv_next(&r, &it))
		plan_attribute(&p, &it);
	KF_TRY(ret->terms.err);
	return ttlv_done(&r);
}

void find_plan_free(struct find_plan *p) { terms_free(&p->terms); }

/* --- places --- */

void find_places_free(struct find_places *p)
{
	free(p->at);
	*p = (struct find_places){ 0 };
}

static bool make_room(struct find_places *p, size_t more)
{
	size_t cap = p->cap ? p->cap : 64;
	while (cap < p->n + more)
		cap *= 2;
	if (cap == p->cap)
		return true;
	uint32_t *at = reallocarray(p->at, cap, sizeof(*at));
	if (!at) {
		p->err = kf_fail(NOMEM, "looking for objects");
		return false;
	}
	p->at = at;
	p->cap = cap;
	return true;
}

static void add_place(struct find_places *p, uint32_t place)
{
	if (kf_ok(p->err) && make_room(p, 1))
		p->at[p->n++] = place;
}

static void add_posting(const struct catalog *c, uint64_t term, struct find_places *ret)
{
	struct posting p;
	catalog_having(c, term, &p);
	if (!kf_ok(ret->err) || !make_room(ret, p.n))
		return;
	for (size_t i = 0; i < p.n; i++)
		ret->at[ret->n++] = posting_at(&p, i);
}

static int newest_first(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x < y) - (x > y);
}

static void sort_few(struct find_places *p)
{
	size_t n = 0;
	qsort(p->at, p->n, sizeof(*p->at), newest_first);
	for (size_t i = 0; i < p->n; i++)
		if (!n || p->at[n - 1] != p->at[i])
			p->at[n++] = p->at[i];
	p->n = n;
}

/* A bit for each object there is. */
static void sort_many(struct find_places *p, size_t count)
{
	const size_t words = count / 64 + 1;
	uint64_t *bits = calloc(words, sizeof(*bits));
	size_t n = 0;

	if (!bits) {
		p->err = kf_fail(NOMEM, "looking for objects");
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i] < count)
			bits[p->at[i] / 64] |= UINT64_C(1) << p->at[i] % 64;
	for (size_t w = words; w-- > 0;)
		for (uint64_t left = bits[w]; left;) {
			const unsigned bit = 63 - (unsigned)__builtin_clzll(left);
			p->at[n++] = (uint32_t)(w * 64 + bit);
			left ^= UINT64_C(1) << bit;
		}
	p->n = n;
	free(bits);
}

static void sort(const struct catalog *c, struct find_places *p)
{
	if (p->n > SORT_MAX)
		sort_many(p, catalog_count(c));
	else if (p->n)
		sort_few(p);
}

kf_err find_gather(const struct find_plan *plan, struct find_places *ret)
{
	const size_t count = plan->is_all ? catalog_count(plan->catalog) : 0;

	for (size_t i = 0; i < plan->terms.n && !plan->is_all; i++)
		add_posting(plan->catalog, plan->terms.p[i], ret);
	if (count && make_room(ret, count))
		for (size_t i = count; i-- > 0;)
			ret->at[ret->n++] = (uint32_t)i;
	else
		sort(plan->catalog, ret);
	return ret->err;
}

/* --- what a client may see --- */

struct seeing {
	const struct planning *p;
	struct find_places *places;
	size_t most; /* more than this is no gain */
	bool is_everything;
};

static void see_term(struct seeing *s,
	uint64_t (*term)(const struct term_space *s, struct slice text),
	struct slice text)
{
	for (size_t i = 0; i < s->p->spaces; i++)
		add_posting(s->p->q->catalog, term(&s->p->space[i], text), s->places);
	s->is_everything |= s->places->n > s->most;
}

static void see_id(struct seeing *s, struct slice id)
{
	uint32_t place;
	if (catalog_place(s->p->q->catalog, id, &place))
		add_place(s->places, place);
}

static void see_grant(struct seeing *s, const struct grant_row *g)
{
	static const char by_name[] = "name:", by_group[] = "group:";

	if (!policy_shows(g))
		return;
	if (!strcmp(g->key, "*"))
		s->is_everything = true;
	else if (!strncmp(g->key, by_name, sizeof(by_name) - 1))
		see_term(s, term_of_name, slice_of(g->key + sizeof(by_name) - 1));
	else if (!strncmp(g->key, by_group, sizeof(by_group) - 1))
		see_term(s, term_of_group, slice_of(g->key + sizeof(by_group) - 1));
	else
		see_id(s, slice_of(g->key));
}

static void see_grants(struct seeing *s, const struct rights *r, const struct who *who)
{
	for (size_t i = 0; i < who->grants && !s->is_everything; i++)
		see_grant(s, r->grant[who->first_grant + i]);
	for (size_t i = 0; i < who->grants_for_all && !s->is_everything; i++)
		see_grant(s, r->grant[who->first_for_all + i]);
}

static void see_own(struct seeing *s, const struct who *who)
{
	for (size_t i = 0; i < s->p->spaces; i++)
		add_posting(s->p->q->catalog, term_of_owner(&s->p->space[i], who->name),
			s->places);
	s->is_everything |= s->places->n > s->most;
}

/* Public keys that belong to private keys, and certificates that belong to those, link to them. */
static void see_linked(struct seeing *s)
{
	for (int step = 0; step < 2; step++) {
		const enum object_type type =
			step ? OBJECT_PUBLIC_KEY : OBJECT_PRIVATE_KEY;
		for (size_t i = 0, n = s->places->n; i < n && !s->is_everything; i++) {
			const struct object *o =
				catalog_at(s->p->q->catalog, s->places->at[i]);
			if (o && o->type == type)
				see_term(s, term_of_link, slice_of(o->id));
		}
	}
}

bool find_visible(const struct find_question *q, const struct who *who,
	const struct find_plan *plan, struct find_places *ret)
{
	const struct rights *r = catalog_rights(q->catalog);
	struct who bound = *who;
	/* A key that is gone still shows what belongs to it. */
	const struct find_question both = { .catalog = q->catalog,
		.spaces = FIND_LIVE | FIND_GONE };
	struct planning p = { .q = &both };
	struct seeing s = { .p = &p, .places = ret, .most = plan->most / 2 };

	if (who->is_admin)
		return false;
	if (who->generation != r->generation || !r->generation)
		(void)policy_bind(r, &bound);
	plan_spaces(&p);
	see_grants(&s, r, &bound);
	if (!s.is_everything)
		see_own(&s, who);
	if (!s.is_everything)
		see_linked(&s);
	if (s.is_everything || !kf_ok(ret->err)) {
		find_places_free(ret);
		return false;
	}
	sort(q->catalog, ret);
	return kf_ok(ret->err);
}
