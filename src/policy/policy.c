/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"
#include "kmip/attrs.h"
#include <string.h>

enum {
	USE = PERM_SIGN | PERM_CSR | PERM_DECRYPT | PERM_DECRYPT_TLS,
	/* Whoever may use a key may find it and read its attributes. */
	USE_ANY = USE | PERM_ENCRYPT | PERM_MAC | PERM_MAC_VERIFY | PERM_CERTIFY,
	READ = PERM_GET | PERM_GET_ATTRIBUTES | PERM_LOCATE,
	KNOW = PERM_GET_ATTRIBUTES | PERM_LOCATE,
	/* More grants than this of one client are searched by key, fewer are walked through. */
	WALK_MAX = 16,
};

static const char all[] = "*", by_name[] = "name:", by_group[] = "group:";

/* --- where a client's grants are --- */

/* The first of [from, to) whose owner is not before `name`, or, `after`, is behind it. */
static uint32_t bound(const struct rights *r, const char *name, bool after)
{
	size_t from = 0, to = r->grants;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(r->grant[middle]->who, name);
		if (order < 0 || (after && order == 0))
			from = middle + 1;
		else
			to = middle;
	}
	return (uint32_t)from;
}

static void find_grants(const struct rights *r, struct who *who)
{
	who->first_grant = bound(r, who->name, false);
	who->grants = bound(r, who->name, true) - who->first_grant;
	who->first_for_all = bound(r, all, false);
	who->grants_for_all = bound(r, all, true) - who->first_for_all;
}

static bool is_enrolled(const struct rights *r, const struct who *who)
{
	const struct client_row *c = rights_certificate(r, who->fingerprint);
	return c && !c->is_revoked && !strcmp(c->name, who->name) &&
	       strcmp(who->name, ADMIN_NAME) != 0;
}

bool policy_bind(const struct rights *r, struct who *who)
{
	find_grants(r, who);
	who->generation = r->generation;
	return who->is_admin || is_enrolled(r, who);
}

/* --- which grants cover an object --- */

/* What the grants that cover the object say together. */
struct tally {
	const struct object *object;
	uint32_t wanted; /* any of these permissions */
	uint32_t kept;   /* constraints that the request keeps */
	const struct grant_row *best, *csr;
	/* for owners: what grants to sign with this key say */
	bool signs, signs_freely;
};

static uint32_t broken(const struct grant_row *g, uint32_t kept)
{
	return g->constraints & ~kept;
}

static uint32_t at_most(uint32_t limit) { return limit ? limit : UINT32_MAX; }

/* The first one stays unless another is better: what it forbids, then how much it allows. */
static bool is_better(
	const struct grant_row *g, const struct grant_row *than, uint32_t kept)
{
	const struct grant_limits *a = &g->limits, *b = &than->limits;
	if (!broken(g, kept) != !broken(than, kept))
		return !broken(g, kept);
	if (a->rate_per_hour != b->rate_per_hour)
		return at_most(a->rate_per_hour) > at_most(b->rate_per_hour);
	if (a->concurrency != b->concurrency)
		return at_most(a->concurrency) > at_most(b->concurrency);
	if (a->burst != b->burst)
		return a->burst > b->burst;
	return g->constraints < than->constraints;
}

static void take(const struct grant_row **best, const struct grant_row *g, uint32_t kept)
{
	if (!*best || is_better(g, *best, kept))
		*best = g;
}

static void count(struct tally *t, const struct grant_row *g)
{
	if (g->permissions & t->wanted)
		take(&t->best, g, t->kept);
	if (g->permissions & PERM_CSR)
		take(&t->csr, g, t->kept | CONSTRAINT_TLS_ONLY);
	if (g->permissions & PERM_SIGN) {
		t->signs = true;
		t->signs_freely |= !g->constraints;
	}
}

static bool is_in_group(const struct object *o, struct slice group)
{
	struct ttlv_item have;
	for (size_t i = 0; attrs_find(o->attrs, TAG_OBJECT_GROUP, i, &have); i++)
		if (slice_eq(have.value, group))
			return true;
	return false;
}

static bool covers(const struct grant_row *g, const struct object *o)
{
	if (!strcmp(g->key, all))
		return true;
	if (!o)
		return false;
	if (!strncmp(g->key, by_name, sizeof(by_name) - 1))
		return attrs_has_name(o->attrs, slice_of(g->key + sizeof(by_name) - 1));
	if (!strncmp(g->key, by_group, sizeof(by_group) - 1))
		return is_in_group(o, slice_of(g->key + sizeof(by_group) - 1));
	return !strcmp(g->key, o->id);
}

/* strcmp() of a grant's key with prefix and text, without putting these together. */
static int order_of(const struct grant_row *g, const char *prefix, struct slice text)
{
	size_t n = strlen(prefix);
	int order = strncmp(g->key, prefix, n);
	if (order)
		return order;
	const char *rest = g->key + n;
	size_t have = strnlen(rest, sizeof(g->key) - n);
	order = memcmp(rest, text.p, have < text.n ? have : text.n);
	return order ? order : (have > text.n) - (have < text.n);
}

static void count_key(struct tally *t, const struct grant_row *const *grant, size_t n,
	const char *prefix, struct slice text)
{
	size_t from = 0, to = n;
	if (!text.n)
		return;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (order_of(grant[middle], prefix, text) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (; from < n && !order_of(grant[from], prefix, text); from++)
		count(t, grant[from]);
}

static void search(struct tally *t, const struct grant_row *const *grant, size_t n)
{
	struct slice name;
	struct ttlv_item group;

	count_key(t, grant, n, "", slice_of(all));
	if (!t->object)
		return;
	count_key(t, grant, n, "", slice_of(t->object->id));
	for (size_t i = 0; attrs_get_name(t->object->attrs, i, &name); i++)
		count_key(t, grant, n, by_name, name);
	for (size_t i = 0; attrs_find(t->object->attrs, TAG_OBJECT_GROUP, i, &group); i++)
		count_key(t, grant, n, by_group, group.value);
}

static void walk(struct tally *t, const struct grant_row *const *grant, size_t n)
{
	const uint32_t interesting = t->wanted | PERM_SIGN | PERM_CSR;
	for (size_t i = 0; i < n; i++)
		if ((grant[i]->permissions & interesting) && covers(grant[i], t->object))
			count(t, grant[i]);
}

static void look(struct tally *t, const struct grant_row *const *grant, size_t n)
{
	if (n > WALK_MAX)
		search(t, grant, n);
	else
		walk(t, grant, n);
}

static void tally_grants(const struct rights *r, const struct who *who, struct tally *t)
{
	struct who found;

	if (who->generation != r->generation || !r->generation) {
		found = *who;
		find_grants(r, &found);
		who = &found;
	}
	look(t, r->grant + who->first_grant, who->grants);
	look(t, r->grant + who->first_for_all, who->grants_for_all);
}

/* --- decisions --- */

static struct decision by_grant(const struct tally *t)
{
	struct decision d = { .grant = t->best, .csr_grant = t->csr };
	if (t->best) {
		d.is_allowed = true;
		d.constraints = t->best->constraints;
		d.unkept = broken(t->best, t->kept);
		d.rule = t->best->id;
	}
	if (t->csr) {
		d.may_sign_csr = true;
		d.csr_unkept = broken(t->csr, t->kept | CONSTRAINT_TLS_ONLY);
	}
	return d;
}

/* What a grant narrows, it narrows for the owner too: whoever may only sign TLS structures can
 * neither take the key away nor use it as an oracle, unless a grant says so. */
static struct decision by_ownership(const struct tally *t)
{
	const bool is_narrowed = t->signs && !t->signs_freely;
	const uint32_t takes_away = PERM_GET | PERM_DECRYPT | PERM_DECRYPT_TLS |
				    PERM_UNWRAP | PERM_DERIVE | PERM_CERTIFY;

	if (is_narrowed && t->object->type == OBJECT_PRIVATE_KEY &&
		(t->wanted & (takes_away | PERM_SIGN)))
		return by_grant(t);
	return (struct decision){
		.is_allowed = true,
		.may_sign_csr = true,
		.grant = t->best,
		.csr_grant = t->csr,
		.rule = "owner",
	};
}

static struct decision decide(const struct rights *r, const struct who *who,
	uint32_t wanted, const struct object *o, uint32_t kept)
{
	if (who->is_admin)
		return (struct decision){
			.is_allowed = true, .may_sign_csr = true, .rule = "admin"
		};
	if (wanted == PERM_QUERY)
		return (struct decision){ .is_allowed = true, .rule = "everybody" };
	if (wanted == PERM_ADMINISTER)
		return (struct decision){ 0 };

	struct tally t = { .object = o, .wanted = wanted, .kept = kept };
	tally_grants(r, who, &t);
	if (o && !strcmp(o->owner, who->name))
		return by_ownership(&t);
	return by_grant(&t);
}

struct decision policy_decide(const struct rights *r, const struct who *who,
	enum permission wanted, const struct object *o)
{
	struct decision d =
		decide(r, who, wanted & KNOW ? wanted | USE_ANY : wanted, o, UINT32_MAX);
	/* What a grant implies is not what it counts. */
	if (d.grant && !(d.grant->permissions & wanted))
		d.grant = NULL;
	return d;
}

struct decision policy_decide_sign(const struct rights *r, const struct who *who,
	const struct object *o, uint32_t kept)
{
	return decide(r, who, PERM_SIGN, o, kept);
}

/* --- what other names and groups would bring --- */

static bool is_wider(const struct grant_limits *than, const struct grant_limits *l)
{
	return at_most(l->rate_per_hour) > at_most(than->rate_per_hour) ||
	       at_most(l->concurrency) > at_most(than->concurrency) ||
	       (than->rate_per_hour && l->burst > than->burst);
}

static bool is_more(const struct decision *was, const struct decision *is)
{
	static const struct grant_limits none = { 0 };
	const struct grant_limits *before = was->grant ? &was->grant->limits : &none;
	const struct grant_limits *after = is->grant ? &is->grant->limits : &none;

	if (is->may_sign_csr &&
		(!was->may_sign_csr || (was->csr_unkept & ~is->csr_unkept)))
		return true;
	return is->is_allowed && (!was->is_allowed || (was->unkept & ~is->unkept) ||
					 is_wider(before, after));
}

/* Of constraints, the first look has all kept, the second none. */
static bool gets_more(const struct rights *r, const char *name, uint32_t wanted,
	const struct object *before, const struct object *after)
{
	struct who who = { 0 };
	memcpy(who.name, name, sizeof(who.name));
	for (uint32_t kept = UINT32_MAX;; kept = 0) {
		const struct decision was = decide(r, &who, wanted, before, kept);
		const struct decision is = decide(r, &who, wanted, after, kept);
		if (is_more(&was, &is))
			return true;
		if (!kept)
			return false;
	}
}

/* A grant may give a right, or narrow the owner's. */
static bool brings_more(const struct rights *r, const struct grant_row *g,
	const struct object *before, const struct object *after)
{
	for (uint32_t bits = g->permissions | USE | PERM_GET | PERM_UNWRAP | PERM_DERIVE;
		bits; bits &= bits - 1) {
		const uint32_t one = bits & -bits;
		const uint32_t wanted = one & KNOW ? one | USE_ANY : one;
		if (gets_more(r, g->who, wanted, before, after) ||
			gets_more(r, before->owner, wanted, before, after))
			return true;
	}
	return false;
}

bool policy_widens(
	const struct rights *r, const struct object *before, const struct object *after)
{
	for (size_t i = 0; i < r->grants; i++)
		if (covers(r->grant[i], before) != covers(r->grant[i], after) &&
			brings_more(r, r->grant[i], before, after))
			return true;
	return false;
}

bool policy_shows(const struct grant_row *g)
{
	return g->permissions & (PERM_LOCATE | USE_ANY);
}

bool policy_fall_back_to_csr(struct decision *d)
{
	if (!d->may_sign_csr || (d->is_allowed && !d->unkept))
		return false;
	d->is_allowed = true;
	d->grant = d->csr_grant;
	d->rule = d->grant ? d->grant->id : "csr";
	d->constraints = d->grant ? d->grant->constraints : 0;
	d->unkept = d->csr_unkept;
	return true;
}

static void look_why(const struct rights *r, const char *name, enum permission wanted,
	const struct object *o, unsigned *ret_found)
{
	for (size_t i = 0; i < r->grants; i++) {
		const struct grant_row *g = r->grant[i];
		if (strcmp(g->who, name) != 0)
			continue;
		*ret_found |= 1;
		if (covers(g, o))
			*ret_found |= 2;
		if (g->permissions & wanted)
			*ret_found |= 4;
	}
}

const char *policy_why_not(const struct rights *r, const struct who *who,
	enum permission wanted, const struct object *o)
{
	unsigned found = 0;
	look_why(r, who->name, wanted, o, &found);
	look_why(r, all, wanted, o, &found);
	if (wanted == PERM_ADMINISTER)
		return "administration is the administrator's alone";
	if (found & 2)
		return "no grant for this key names the operation";
	if (found & 4)
		return "a grant names the operation, but for another key";
	return found ? "its grants are for other keys and operations"
		     : "the client has no grant";
}

const struct grant_limits *policy_limits(const struct decision *d)
{
	if (!d->grant)
		return NULL;
	const struct grant_limits *l = &d->grant->limits;
	return l->rate_per_hour || l->concurrency ? l : NULL;
}

/* --- what belongs to a private key --- */

static const struct object *linked(
	const struct catalog *c, const struct object *o, uint32_t link_type)
{
	struct slice id;
	return o && attrs_get_link(o->attrs, link_type, &id) ? catalog_find(c, id) : NULL;
}

static const struct object *private_key_of(
	const struct catalog *c, const struct object *o)
{
	const struct object *public_key = o;
	if (o->type == OBJECT_CERTIFICATE)
		public_key = linked(c, o, KMIP_LINK_TYPE_PUBLIC_KEY_LINK);
	const struct object *key = linked(c, public_key, KMIP_LINK_TYPE_PRIVATE_KEY_LINK);
	return key && key->type == OBJECT_PRIVATE_KEY ? key : NULL;
}

static bool links_to(
	const struct object *from, uint32_t link_type, const struct object *to)
{
	struct slice id;
	return attrs_get_link(from->attrs, link_type, &id) && slice_is(id, to->id);
}

/* Anybody can make a certificate that claims to belong to a key. */
static bool belongs_to(const struct object *o, const struct object *key)
{
	return !strcmp(o->owner, key->owner) ||
	       links_to(key, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, o) ||
	       links_to(key, KMIP_LINK_TYPE_CERTIFICATE_LINK, o);
}

struct decision policy_decide_linked(const struct catalog *c, const struct who *who,
	enum permission wanted, const struct object *o)
{
	const struct rights *r = catalog_rights(c);
	const struct decision direct = policy_decide(r, who, wanted, o);

	if (direct.is_allowed || !o || !(wanted & READ) ||
		(o->type != OBJECT_PUBLIC_KEY && o->type != OBJECT_CERTIFICATE))
		return direct;
	const struct object *key = private_key_of(c, o);
	if (!key || !belongs_to(o, key))
		return direct;
	struct decision implied = decide(r, who, USE, key, UINT32_MAX);
	implied.grant = NULL;
	return implied.is_allowed ? implied : direct;
}
