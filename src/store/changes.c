/* SPDX-License-Identifier: Apache-2.0 */
#include "store/work.h"

void changes_append(struct changes *l, struct change *c)
{
	c->next = NULL;
	if (l->last)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
}

struct change *changes_take(struct changes *l)
{
	struct change *c = l->first;
	if (!c)
		return NULL;
	l->first = c->next;
	if (!l->first)
		l->last = NULL;
	c->next = NULL;
	return c;
}

struct change *changes_reversed(struct change *c)
{
	struct change *out = NULL;
	while (c) {
		struct change *next = c->next;
		c->next = out;
		out = c;
		c = next;
	}
	return out;
}
