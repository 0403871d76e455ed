/* SPDX-License-Identifier: Apache-2.0 */
/* allow: which user of this host may do what with which key.  Deny by default.
 *
 * Made from the [allow] sections; immutable.  What applies to a user is found once a connection, so a
 * request costs a comparison a section that applies.
 */
#pragma once
#include "agent/conf.h"
#include <sys/types.h>

enum allow_operation {
	ALLOW_SIGN = 1,
	ALLOW_DECRYPT = 2,
	ALLOW_GET = 4,
	ALLOW_GET_ATTRIBUTES = 8,
	ALLOW_LOCATE = 16,
};

enum { ALLOW_RULES_MAX = 1024, ALLOW_GROUPS_MAX = 128 };

struct allow;

struct allow_who {
	uid_t uid;
	size_t n_groups;
	gid_t groups[ALLOW_GROUPS_MAX];
};

/* The sections that apply to a user, a bit each. */
struct allow_set {
	uint64_t bits[ALLOW_RULES_MAX / 64];
	bool is_empty;
};

/* Names of users and groups that this host does not have go to `notes`, a line each: a list may be
 * written for many hosts.  CONFIG for anything else, with lines in `why`. */
kf_err allow_new(const char *path, const struct agent_conf *conf, struct buf *why,
	struct buf *notes, struct allow **ret);
void allow_free(struct allow *a);

void allow_find(
	const struct allow *a, const struct allow_who *who, struct allow_set *ret);
/* key is empty for operations without one (Locate): then only sections for every key count. */
bool allow_may(const struct allow *a, const struct allow_set *set, struct slice key,
	enum allow_operation op);
/* A user's name or number; false: this host has no such user. */
bool allow_find_user(const char *name, uint32_t *ret);
/* 0: an operation that is not served. */
enum allow_operation allow_operation_of(uint32_t kmip_operation);
