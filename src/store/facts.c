/* SPDX-License-Identifier: Apache-2.0 */
#include "store/facts.h"
#include <stdlib.h>
#include <string.h>

static const char letters[TABLES] = { 'o', 'c', 'g' };

void facts_init(struct facts *f) { *f = (struct facts){ .known = map_new() }; }

void facts_free(struct facts *f)
{
	void *fact;
	for (size_t at = 0; (fact = map_next(&f->known, &at));)
		free(fact);
	map_free(&f->known);
	free(f->tentative);
}

static kf_err key_of(enum table_id table, struct slice id, char ret[FACT_KEY_SIZE])
{
	ret[0] = letters[table];
	return slice_to_text(id, ret + 1, FACT_KEY_SIZE - 1);
}

static const struct fact *find(const struct facts *f, const char *key)
{
	for (size_t i = f->n; i-- > 0;)
		if (strcmp(f->tentative[i].key, key) == 0)
			return &f->tentative[i];
	return map_get(&f->known, slice_of(key));
}

const struct fact *facts_find(const struct facts *f, enum table_id table, struct slice id)
{
	char key[FACT_KEY_SIZE];
	return kf_ok(key_of(table, id, key)) ? find(f, key) : NULL;
}

static kf_err make_room(struct facts *f)
{
	if (f->n < f->cap)
		return KF_OK;
	size_t cap = f->cap ? 2 * f->cap : 64;
	struct fact *p = reallocarray(f->tentative, cap, sizeof(*p));
	if (!p)
		return kf_fail(NOMEM, "growing a group");
	f->tentative = p;
	f->cap = cap;
	return KF_OK;
}

kf_err fact_of(const struct keyring *k, const struct record *r, struct fact *ret)
{
	*ret = (struct fact){
		.version = (uint64_t)r->v[COL_VERSION].i,
		.created = (uint64_t)r->v[COL_CREATED].i,
	};
	KF_TRY(key_of(r->table, r->v[COL_ID].s, ret->key));
	return record_term(k, r, ret->term);
}

static void replace(struct facts *f, const struct fact *old, const struct fact *fact)
{
	if (old)
		head_drop(&f->next, old->term);
	head_add(&f->next, fact->term);
	f->tentative[f->n++] = *fact;
}

kf_err facts_put(struct facts *f, const struct keyring *k, const struct record *r)
{
	struct fact fact;
	KF_TRY(fact_of(k, r, &fact));
	KF_TRY(make_room(f));
	replace(f, find(f, fact.key), &fact);
	return KF_OK;
}

/* One that came twice would be taken off the sum twice, which then does not fit. */
kf_err facts_load(struct facts *f, const struct fact *fact)
{
	KF_TRY(make_room(f));
	replace(f, map_get(&f->known, slice_of(fact->key)), fact);
	return KF_OK;
}

/* Not to know what was committed would be worse than to die and to load again. */
static void keep(struct facts *f, const struct fact *fact)
{
	struct fact *have = map_get(&f->known, slice_of(fact->key));
	if (have) {
		*have = *fact;
		return;
	}
	have = malloc(sizeof(*have));
	if (!have)
		abort();
	*have = *fact;
	if (!kf_ok(map_put(&f->known, slice_of(have->key), have)))
		abort();
}

void facts_keep(struct facts *f)
{
	for (size_t i = 0; i < f->n; i++)
		keep(f, &f->tentative[i]);
	f->n = 0;
	f->head = f->next;
}

struct facts_mark facts_mark(const struct facts *f)
{
	return (struct facts_mark){ f->n, f->next };
}

void facts_back(struct facts *f, struct facts_mark mark)
{
	f->n = mark.n;
	f->next = mark.next;
}
