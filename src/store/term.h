/* SPDX-License-Identifier: Apache-2.0
 *
 * term: what the catalog's index knows objects by: a hash of an attribute and its value.
 *
 * Two values may have one term, so what is found by a term is looked at once more.  Objects that are
 * destroyed have terms of their own: whoever looks for those that are there does not meet them.
 * Of a structure each text in it is a term, of a date the period of a day and a half that it is in.
 */
#pragma once
#include "store/object.h"
#include "ttlv/ttlv.h"

/* The index's random numbers, and which objects are meant. */
struct term_space {
	uint64_t seed[2];
	bool is_gone;
};

/* Sticky: ask terms_err() once. */
struct terms {
	uint64_t *p, room[48];
	size_t n, cap;
	kf_err err;
};
void terms_init(struct terms *t);
void terms_free(struct terms *t);
void terms_add(struct terms *t, uint64_t term);

/* All that an object has, ascending, each once. */
void terms_of_object(const uint64_t seed[2], const struct object *o, struct terms *ret);
/* Those of a value that is looked for: an object that has the value has each of them.  None: the
 * index does not help. */
void terms_of_item(
	const struct term_space *s, const struct ttlv_item *it, struct terms *ret);

uint64_t term_of_owner(const struct term_space *s, const char *owner);
uint64_t term_of_name(const struct term_space *s, struct slice name);
uint64_t term_of_group(const struct term_space *s, struct slice group);
uint64_t term_of_key(const struct term_space *s, const uint8_t key_id[32]);
uint64_t term_of_link(const struct term_space *s, struct slice id); /* to this object */
uint64_t term_of_type(const struct term_space *s, enum object_type type);
uint64_t term_of_state(const struct term_space *s, enum object_state stored);
uint64_t term_of_mask(const struct term_space *s, uint32_t mask);
uint64_t term_of_period(const struct term_space *s, uint32_t tag, int64_t period);

/* The period that a date is in. */
int64_t term_period(int64_t date);

/* Dates that have terms, numbered from 0; -1: it has none. */
enum { TERM_DATES = 16 };
int term_date_number(uint32_t tag);
