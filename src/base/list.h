/* SPDX-License-Identifier: Apache-2.0 */
/* list: a ring of links that live inside the things they link.  No allocation, O(1) everywhere.
 *
 *     struct peer { struct list link; ... };
 *     struct list peers = LIST_INIT(peers);
 *     list_add_tail(&peers, &p->link);
 *     list_each (l, &peers)
 *             use(container_of(l, struct peer, link));
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member)                                                  \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(l)                                                                     \
	{                                                                                \
		&(l), &(l)                                                               \
	}

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }

static inline void list_insert(struct list *prev, struct list *l)
{
	l->prev = prev;
	l->next = prev->next;
	prev->next->prev = l;
	prev->next = l;
}

static inline void list_add_head(struct list *head, struct list *l)
{
	list_insert(head, l);
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	list_insert(head->prev, l);
}

/* The link is left as a ring of its own, so removing it twice is harmless. */
static inline void list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Takes the first link off; NULL when there is none. */
static inline struct list *list_take(struct list *head)
{
	if (list_is_empty(head))
		return NULL;
	struct list *l = head->next;
	list_remove(l);
	return l;
}

/* Moves everything to `to`, which is overwritten. */
static inline void list_move_all(struct list *to, struct list *from)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	*to = *from;
	to->next->prev = to->prev->next = to;
	list_init(from);
}

#define list_each(l, head) for (struct list *l = (head)->next; l != (head); l = l->next)

/* The body may remove the current link, and no other. */
#define list_each_safe(l, head)                                                          \
	for (struct list *l = (head)->next, *l##_next = l->next; l != (head);            \
		l = l##_next, l##_next = l->next)
