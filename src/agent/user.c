/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/user.h"
#include "agent/allow.h"
#include <stdlib.h>

/* ---- limits ---- */

static struct rate a_second(int64_t rate, int64_t burst)
{
	return rate_of((uint64_t)rate * 3600, (uint64_t)burst);
}

static int64_t number(const char *text, int64_t otherwise)
{
	return text ? strtol(text, NULL, 10) : otherwise;
}

static struct user_limits limits_of(
	const struct agent_conf *c, const struct agent_user *u, uid_t uid)
{
	return (struct user_limits){
		.uid = uid,
		.connections = number(u->connections, c->user_connections),
		.in_flight = number(u->in_flight, c->user_in_flight),
		.rate = a_second(
			number(u->rate, c->user_rate), number(u->burst, c->user_burst)),
	};
}

kf_err user_table_new(
	const struct agent_conf *c, struct buf *notes, struct user_table **ret)
{
	static const struct agent_user none;
	const struct agent_user *from = c->users.items;
	struct user_table *t = calloc(1, sizeof(*t) + c->users.n * sizeof(t->row[0]));
	if (!t)
		return kf_fail(NOMEM, "reading the limits of users");
	t->others = limits_of(c, &none, 0);
	for (size_t i = 0; i < c->users.n; i++) {
		uint32_t uid;
		if (allow_find_user(from[i].label, &uid))
			t->row[t->n++] = limits_of(c, &from[i], uid);
		else
			buf_printf(notes, "%s\n", from[i].label);
	}
	*ret = t;
	return KF_OK;
}

const struct user_limits *user_limits(const struct user_table *t, uid_t uid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->row[i].uid == uid)
			return &t->row[i];
	return &t->others;
}

/* ---- users ---- */

kf_err user_find(struct user **all, uid_t uid, struct user **ret)
{
	for (struct user *u = *all; u; u = u->next)
		if (u->uid == uid) {
			*ret = u;
			return KF_OK;
		}
	struct user *u = calloc(1, sizeof(*u));
	if (!u)
		return kf_fail(NOMEM, "knowing a user");
	u->uid = uid;
	u->next = *all;
	*all = *ret = u;
	return KF_OK;
}

void user_adopt(struct user *u, const struct user_table *t, uint64_t generation)
{
	if (u->generation == generation && u->limits)
		return;
	u->limits = user_limits(t, u->uid);
	u->generation = generation;
}

bool user_connect(struct user *u, bool is_stranger)
{
	int64_t most = u->limits->connections;
	if (is_stranger && most > USER_STRANGER_CONNECTIONS)
		most = USER_STRANGER_CONNECTIONS;
	if (u->connections >= most)
		return false;
	u->connections++;
	return true;
}

void user_disconnect(struct user *u) { u->connections--; }

static kf_err refuse(struct user *u, kf_err e)
{
	u->untold++;
	return e;
}

kf_err user_begin(struct user *u, uint64_t now_ns)
{
	if (u->in_flight >= u->limits->in_flight)
		return refuse(u, kf_fail(USER_REQUESTS, "too many requests of a user"));
	if (!bucket_take(&u->bucket, &u->limits->rate, now_ns, 1))
		return refuse(u, kf_fail(USER_RATE, "over the user's rate"));
	u->in_flight++;
	return KF_OK;
}

void user_end(struct user *u) { u->in_flight--; }

uint64_t user_refused(struct user *u, uint64_t now_ns)
{
	uint64_t n = u->untold;
	if (!n || (u->told_ns && now_ns - u->told_ns < 1000000000))
		return 0;
	u->told_ns = now_ns;
	u->untold = 0;
	return n;
}
