/* SPDX-License-Identifier: Apache-2.0 */
#include "store/term.h"
#include "base/map.h"
#include "kmip/attrs.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What is no attribute stands where tags would. */
enum { PERIOD_BITS = 17, OWNER = 0, KEY_ID = 1 };

/* --- a list of them --- */

void terms_init(struct terms *t)
{
	*t = (struct terms){ .cap = sizeof(t->room) / sizeof(t->room[0]) };
	t->p = t->room;
}

void terms_free(struct terms *t)
{
	if (t->p != t->room)
		free(t->p);
	t->p = NULL;
}

static bool make_room(struct terms *t)
{
	if (t->n < t->cap)
		return true;
	uint64_t *p =
		reallocarray(t->p == t->room ? NULL : t->p, 2 * t->cap, sizeof(t->p[0]));
	if (!p) {
		t->err = kf_fail(NOMEM, "terms of an object");
		return false;
	}
	if (t->p == t->room)
		memcpy(p, t->room, sizeof(t->room));
	t->p = p;
	t->cap *= 2;
	return true;
}

void terms_add(struct terms *t, uint64_t term)
{
	if (kf_ok(t->err) && make_room(t))
		t->p[t->n++] = term;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void sort(struct terms *t)
{
	size_t n = 0;
	qsort(t->p, t->n, sizeof(t->p[0]), ascending);
	for (size_t i = 0; i < t->n; i++)
		if (!n || t->p[n - 1] != t->p[i])
			t->p[n++] = t->p[i];
	t->n = n;
}

/* --- one --- */

/* `field` is the tag within a structure, or 0. */
static uint64_t term_of(
	const struct term_space *s, uint32_t tag, uint32_t field, struct slice value)
{
	const uint64_t all[] = { (uint64_t)tag << 32 | field | (uint64_t)s->is_gone << 63,
		map_siphash(s->seed, value) };
	return map_siphash(s->seed, (struct slice){ (const uint8_t *)all, sizeof(all) });
}

static uint64_t term_of_number(
	const struct term_space *s, uint32_t tag, uint32_t field, uint64_t number)
{
	return term_of(s, tag, field,
		(struct slice){ (const uint8_t *)&number, sizeof(number) });
}

uint64_t term_of_owner(const struct term_space *s, const char *owner)
{
	return term_of(s, OWNER, 0, slice_of(owner));
}

uint64_t term_of_name(const struct term_space *s, struct slice name)
{
	return term_of(s, TAG_NAME, TAG_NAME_VALUE, name);
}

uint64_t term_of_group(const struct term_space *s, struct slice group)
{
	return term_of(s, TAG_OBJECT_GROUP, 0, group);
}

uint64_t term_of_key(const struct term_space *s, const uint8_t key_id[32])
{
	return term_of(s, KEY_ID, 0, (struct slice){ key_id, 32 });
}

uint64_t term_of_link(const struct term_space *s, struct slice id)
{
	return term_of(s, TAG_LINK, TAG_LINKED_OBJECT_IDENTIFIER, id);
}

uint64_t term_of_type(const struct term_space *s, enum object_type type)
{
	return term_of_number(s, TAG_OBJECT_TYPE, 0, type);
}

uint64_t term_of_state(const struct term_space *s, enum object_state stored)
{
	return term_of_number(s, TAG_STATE, 0, stored);
}

uint64_t term_of_mask(const struct term_space *s, uint32_t mask)
{
	return term_of_number(s, TAG_CRYPTOGRAPHIC_USAGE_MASK, 0, mask);
}

uint64_t term_of_period(const struct term_space *s, uint32_t tag, int64_t period)
{
	return term_of_number(s, tag, 0, (uint64_t)period);
}

int64_t term_period(int64_t date) { return date >> PERIOD_BITS; }

int term_date_number(uint32_t tag)
{
	static const uint32_t dates[] = { TAG_INITIAL_DATE, TAG_ACTIVATION_DATE,
		TAG_PROCESS_START_DATE, TAG_PROTECT_STOP_DATE, TAG_DEACTIVATION_DATE,
		TAG_DESTROY_DATE, TAG_LAST_CHANGE_DATE, TAG_ORIGINAL_CREATION_DATE };
	static_assert(sizeof(dates) / sizeof(dates[0]) <= TERM_DATES, "dates");
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		if (dates[i] == tag)
			return (int)i;
	return -1;
}

/* --- of attributes --- */

static bool is_text(const struct ttlv_item *it)
{
	return it->type == TTLV_TEXT || it->type == TTLV_BYTES;
}

static void add_fields(
	const struct term_space *s, const struct ttlv_item *it, struct terms *ret)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct ttlv_item field;
	while (ttlv_next(&r, &field))
		if (is_text(&field))
			terms_add(ret, term_of(s, it->tag, field.tag, field.value));
}

/* A vendor's attribute is found by its whole value, or, if that is a structure, by being there. */
static void add_vendor(
	const struct term_space *s, const struct ttlv_item *it, struct terms *ret)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct slice vendor = { 0 }, name = { 0 };
	struct ttlv_item value = { 0 };
	ttlv_get_text(&r, TAG_VENDOR_IDENTIFICATION, &vendor);
	ttlv_get_text(&r, TAG_ATTRIBUTE_NAME, &name);
	if (!ttlv_ok(&r) || !ttlv_next(&r, &value))
		return;
	const uint64_t of_name =
		map_siphash(s->seed, vendor) ^ term_of(s, it->tag, 0, name);
	if (value.type == TTLV_STRUCT)
		terms_add(ret, of_name);
	else
		terms_add(ret, of_name ^ term_of(s, it->tag, value.tag, value.value));
}

static void add_date(
	const struct term_space *s, const struct ttlv_item *it, struct terms *ret)
{
	if (term_date_number(it->tag) >= 0)
		terms_add(
			ret, term_of_period(s, it->tag, term_period(ttlv_item_long(it))));
}

void terms_of_item(
	const struct term_space *s, const struct ttlv_item *it, struct terms *ret)
{
	const struct attr_info *info = attr_info(it->tag);
	if (!info || !info->is_indexed || it->tag == TAG_UNIQUE_IDENTIFIER)
		return;
	if (it->tag == TAG_ATTRIBUTE)
		add_vendor(s, it, ret);
	else if (it->type == TTLV_STRUCT)
		add_fields(s, it, ret);
	else if (it->type == TTLV_DATE)
		add_date(s, it, ret);
	else if (it->type == TTLV_INT || it->type == TTLV_ENUM)
		terms_add(
			ret, term_of_number(s, it->tag, 0, (uint32_t)ttlv_item_int(it)));
	else
		terms_add(ret, term_of(s, it->tag, 0, it->value));
}

void terms_of_object(const uint64_t seed[2], const struct object *o, struct terms *ret)
{
	const struct term_space s = { { seed[0], seed[1] }, object_is_destroyed(o) };
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	if (object_is_void(o))
		return;
	terms_add(ret, term_of_owner(&s, o->owner));
	terms_add(ret, term_of_type(&s, o->type));
	if (o->key)
		terms_add(ret, term_of_key(&s, o->key_id));
	while (ttlv_next(&r, &it))
		if (it.tag != TAG_OBJECT_TYPE)
			terms_of_item(&s, &it, ret);
	sort(ret);
}
