/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/turns.h"

enum { FRESH_EVERY = 4 };

void turns_init(struct turns *t)
{
	list_init(&t->begun);
	list_init(&t->fresh);
	t->taken = 0;
}

void turns_add(struct turns *t, struct list *link, bool has_begun)
{
	if (list_is_empty(link))
		list_add_tail(has_begun ? &t->begun : &t->fresh, link);
}

struct list *turns_take(struct turns *t)
{
	bool is_fresh_first = ++t->taken % FRESH_EVERY == 0;
	struct list *l = list_take(is_fresh_first ? &t->fresh : &t->begun);
	return l ? l : list_take(is_fresh_first ? &t->begun : &t->fresh);
}

bool turns_wait(const struct turns *t)
{
	return !list_is_empty(&t->begun) || !list_is_empty(&t->fresh);
}
