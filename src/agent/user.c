/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/user.h"
#include <stdlib.h>

enum { TOKEN = 1000000 };

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

bool user_connect(struct user *u, const struct agent_conf *conf, bool is_stranger)
{
	int64_t most = conf->user_connections;
	if (is_stranger && most > USER_STRANGER_CONNECTIONS)
		most = USER_STRANGER_CONNECTIONS;
	if (u->connections >= most)
		return false;
	u->connections++;
	return true;
}

void user_disconnect(struct user *u) { u->connections--; }

/* A bucket that holds what a second allows. */
static bool take_token(struct user *u, int64_t rate, uint64_t now_ns)
{
	int64_t full = rate * TOKEN;
	uint64_t passed_us = (now_ns - u->filled_ns) / 1000;
	if (!u->filled_ns || passed_us >= 1000000)
		u->tokens_u = full;
	else
		u->tokens_u += (int64_t)passed_us * rate;
	if (u->tokens_u > full)
		u->tokens_u = full;
	u->filled_ns = now_ns;
	if (u->tokens_u < TOKEN)
		return false;
	u->tokens_u -= TOKEN;
	return true;
}

bool user_begin(struct user *u, const struct agent_conf *conf, uint64_t now_ns)
{
	if (u->in_flight >= conf->user_in_flight)
		return false;
	if (conf->user_rate && !take_token(u, conf->user_rate, now_ns))
		return false;
	u->in_flight++;
	return true;
}

void user_end(struct user *u) { u->in_flight--; }
