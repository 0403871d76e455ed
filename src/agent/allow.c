/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/allow.h"
#include "ttlv/ttlv.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	bool is_every_key;
	char **keys; /* owned */
	size_t n_keys;
	uint32_t *uids, *gids;
	size_t n_uids, n_gids;
	uint32_t operations;
};

struct allow {
	size_t n;
	struct rule rule[];
};

static const struct {
	const char *word;
	enum allow_operation bit;
	uint32_t kmip;
} operations[] = {
	{ "sign", ALLOW_SIGN, KMIP_OPERATION_SIGN },
	{ "decrypt", ALLOW_DECRYPT, KMIP_OPERATION_DECRYPT },
	/* the grants' word; which of both it is, the key server tells apart */
	{ "decrypt-tls", ALLOW_DECRYPT, KMIP_OPERATION_DECRYPT },
	{ "get", ALLOW_GET, KMIP_OPERATION_GET },
	{ "get-attributes", ALLOW_GET_ATTRIBUTES, KMIP_OPERATION_GET_ATTRIBUTES },
	{ "locate", ALLOW_LOCATE, KMIP_OPERATION_LOCATE },
};

enum { N_OPERATIONS = sizeof(operations) / sizeof(*operations) };

enum allow_operation allow_operation_of(uint32_t kmip_operation)
{
	for (size_t i = 0; i < N_OPERATIONS; i++)
		if (operations[i].kmip == kmip_operation)
			return operations[i].bit;
	return 0;
}

/* ---- making ---- */

/* False: no such user (group). */
typedef bool find_id(const char *name, uint32_t *ret);

static bool find_number(const char *text, uint32_t *ret)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (errno || end == text || *end || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool allow_find_user(const char *name, uint32_t *ret)
{
	const struct passwd *p = getpwnam(name);
	if (p)
		*ret = p->pw_uid;
	return p || find_number(name, ret);
}

static bool find_group(const char *name, uint32_t *ret)
{
	const struct group *g = getgrnam(name);
	if (g)
		*ret = g->gr_gid;
	return g || find_number(name, ret);
}

static kf_err make_ids(
	const struct conf_list *names, find_id *find, struct buf *notes, uint32_t **ret)
{
	uint32_t *ids = calloc(names->n + 1, sizeof(*ids));
	if (!ids)
		return kf_fail(NOMEM, "reading who is allowed");
	/* The first entry is their number. */
	for (size_t i = 0; i < names->n; i++) {
		if (find(names->item[i], &ids[1 + ids[0]]))
			ids[0]++;
		else
			buf_printf(notes, "%s\n", names->item[i]);
	}
	*ret = ids;
	return KF_OK;
}

static kf_err add_key(struct rule *r, const char *key)
{
	if (strcmp(key, "*") == 0) {
		r->is_every_key = true;
		return KF_OK;
	}
	r->keys[r->n_keys] = strdup(key);
	if (!r->keys[r->n_keys])
		return kf_fail(NOMEM, "reading who is allowed");
	r->n_keys++;
	return KF_OK;
}

static kf_err make_keys(struct rule *r, const struct agent_rule *from)
{
	r->keys = calloc(from->keys.n + 1, sizeof(*r->keys));
	if (!r->keys)
		return kf_fail(NOMEM, "reading who is allowed");
	KF_TRY(add_key(r, from->label));
	for (size_t i = 0; i < from->keys.n; i++)
		KF_TRY(add_key(r, from->keys.item[i]));
	return KF_OK;
}

static kf_err make_operations(
	const char *path, struct rule *r, const struct agent_rule *from, struct buf *why)
{
	for (size_t i = 0; i < from->operations.n; i++) {
		size_t k = 0;
		while (k < N_OPERATIONS &&
			strcmp(operations[k].word, from->operations.item[i]) != 0)
			k++;
		if (k == N_OPERATIONS) {
			conf_complain(why, path, "allow", "operations",
				"knows sign, decrypt (or decrypt-tls), get, "
				"get-attributes and locate only");
			return kf_fail(CONFIG, "an operation is not known");
		}
		r->operations |= operations[k].bit;
	}
	return KF_OK;
}

static kf_err make_rule(const char *path, struct rule *r, const struct agent_rule *from,
	struct buf *why, struct buf *notes)
{
	KF_TRY(make_keys(r, from));
	KF_TRY(make_ids(&from->users, allow_find_user, notes, &r->uids));
	r->n_uids = r->uids[0];
	KF_TRY(make_ids(&from->groups, find_group, notes, &r->gids));
	r->n_gids = r->gids[0];
	return make_operations(path, r, from, why);
}

kf_err allow_new(const char *path, const struct agent_conf *conf, struct buf *why,
	struct buf *notes, struct allow **ret)
{
	if (conf->rules.n > ALLOW_RULES_MAX) {
		buf_printf(why, "%s: more than %d sections [allow]\n", path,
			ALLOW_RULES_MAX);
		return kf_fail(CONFIG, "too many sections");
	}
	struct allow *a = calloc(1, sizeof(*a) + conf->rules.n * sizeof(a->rule[0]));
	if (!a)
		return kf_fail(NOMEM, "reading who is allowed");
	const struct agent_rule *from = conf->rules.items;
	kf_err err = KF_OK;
	for (; kf_ok(err) && a->n < conf->rules.n; a->n++)
		err = make_rule(path, &a->rule[a->n], &from[a->n], why, notes);
	if (!kf_ok(err)) {
		allow_free(a);
		return err;
	}
	*ret = a;
	return KF_OK;
}

static void free_rule(struct rule *r)
{
	for (size_t i = 0; i < r->n_keys; i++)
		free(r->keys[i]);
	free(r->keys);
	free(r->uids);
	free(r->gids);
}

void allow_free(struct allow *a)
{
	for (size_t i = 0; a && i < a->n; i++)
		free_rule(&a->rule[i]);
	free(a);
}

/* ---- asking ---- */

static bool has(const uint32_t *ids, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[1 + i] == id)
			return true;
	return false;
}

static bool applies(const struct rule *r, const struct allow_who *who)
{
	if (has(r->uids, r->n_uids, who->uid))
		return true;
	for (size_t i = 0; i < who->n_groups; i++)
		if (has(r->gids, r->n_gids, who->groups[i]))
			return true;
	return false;
}

void allow_find(const struct allow *a, const struct allow_who *who, struct allow_set *ret)
{
	*ret = (struct allow_set){ .is_empty = true };
	for (size_t i = 0; i < a->n; i++)
		if (applies(&a->rule[i], who)) {
			ret->bits[i / 64] |= 1ULL << (i % 64);
			ret->is_empty = false;
		}
}

static bool is_about(const struct rule *r, struct slice key)
{
	if (r->is_every_key)
		return true;
	for (size_t i = 0; key.n && i < r->n_keys; i++)
		if (slice_is(key, r->keys[i]))
			return true;
	return false;
}

bool allow_may(const struct allow *a, const struct allow_set *set, struct slice key,
	enum allow_operation op)
{
	for (size_t i = 0; !set->is_empty && i < a->n; i++)
		if (set->bits[i / 64] >> (i % 64) & 1 && a->rule[i].operations & op &&
			is_about(&a->rule[i], key))
			return true;
	return false;
}
