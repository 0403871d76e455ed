/* SPDX-License-Identifier: Apache-2.0 */
#include "http/visitor.h"
#include <stdlib.h>
#include <sys/socket.h>

void visitors_init(struct visitors *v, unsigned most)
{
	list_init(&v->all);
	v->n = 0;
	v->most = most;
}

static struct visitor *of(struct list *l)
{
	return container_of(l, struct visitor, link);
}

/* Over TCP the kernel says -1, or nothing. */
static uid_t user_of(int fd)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) ? (uid_t)-1 : who.uid;
}

static unsigned count(struct visitors *v, uid_t user)
{
	unsigned n = 0;
	list_each(l, &v->all) n += of(l)->user == user;
	return n;
}

/* The oldest of whoever has most: a few dozen are looked at, and only when all places are taken. */
static struct visitor *pick(struct visitors *v)
{
	struct visitor *found = of(v->all.next);
	unsigned most = 0;
	list_each(l, &v->all)
	{
		unsigned n = count(v, of(l)->user);
		if (n > most) {
			most = n;
			found = of(l);
		}
	}
	return found;
}

/* The daemon sees the end of it in its next round, and closes. */
static void show_out(struct visitors *v, struct visitor *who)
{
	shutdown(who->fd, SHUT_RDWR);
	list_remove(&who->link);
	v->n--;
}

struct visitor *visitor_enter(struct visitors *v, int fd)
{
	struct visitor *new = malloc(sizeof(*new));
	if (!new)
		return NULL;
	*new = (struct visitor){ .user = user_of(fd), .fd = fd };
	if (v->n == v->most)
		show_out(v, pick(v));
	list_add_tail(&v->all, &new->link);
	v->n++;
	return new;
}

void visitor_leave(struct visitors *v, struct visitor *who)
{
	if (who && !list_is_empty(&who->link)) {
		list_remove(&who->link);
		v->n--;
	}
	free(who);
}
