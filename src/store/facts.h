/* SPDX-License-Identifier: Apache-2.0
 *
 * facts: what the store worker knows of every record, beside the catalog: its version, and its term
 * in the head's sum.  With the head locked and equal to ours, this is what the database holds; so
 * a change is checked and summed without asking it, and whatever was changed behind our back
 * does not fit the sum.
 *
 * A group of changes is tentative until facts_keep(); facts_back() forgets what came after a mark.
 */
#pragma once
#include "base/map.h"
#include "store/record.h"

enum { FACT_KEY_SIZE = 1 + CLIENT_NAME_SIZE };

struct fact {
	char key[FACT_KEY_SIZE]; /* a letter for the table, then the id */
	uint64_t version, created;
	uint8_t term[MAC_SIZE];
};

struct facts {
	struct map known; /* of struct fact, owned */
	struct head head; /* of what is known */

	struct fact *tentative;
	size_t n, cap;
	struct head next; /* with what is tentative */
};

/* On any thread. */
kf_err fact_of(const struct keyring *k, const struct record *r, struct fact *ret);

void facts_init(struct facts *f);
void facts_free(struct facts *f);

/* The newest, tentative or known; NULL: there is no such record. */
const struct fact *facts_find(
	const struct facts *f, enum table_id table, struct slice id);
/* Replaces what was known of the record, in `next` too. */
kf_err facts_put(struct facts *f, const struct keyring *k, const struct record *r);
/* The same while rows are read, each once: does not look through what is tentative. */
kf_err facts_load(struct facts *f, const struct fact *fact);
void facts_keep(struct facts *f);

struct facts_mark {
	size_t n;
	struct head next;
};
struct facts_mark facts_mark(const struct facts *f);
void facts_back(struct facts *f, struct facts_mark mark);
