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
	/* More than this is not looked at to find out whether other names would give somebody more: grants of a
	 * client that cover the object, and bytes of attributes, for each client anew. */
	COVER_MAX = 64,
	COMPARED_MAX = 2 << 20,
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

/* The grants of one client that cover an object. */
struct cover {
	const struct grant_row *grant[COVER_MAX];
	size_t n; /* more than fit: they are not all there */
};

/* What the grants that cover the object say together. */
struct tally {
	const struct object *object;
	uint32_t wanted; /* any of these permissions */
	uint32_t kept;   /* constraints that the request keeps */
	const struct grant_row *best, *csr;
	/* for owners: what grants to sign with this key say */
	bool signs, signs_freely;
	struct cover *into; /* gathers them there and counts nothing; NULL: counts them */
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

static void gather(struct cover *into, const struct grant_row *g)
{
	if (into->n < COVER_MAX)
		into->grant[into->n] = g;
	into->n++;
}

static void count(struct tally *t, const struct grant_row *g)
{
	if (t->into) {
		gather(t->into, g);
		return;
	}
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

/* The first that is not before them; the grants are sorted by key. */
static size_t first_of(const struct grant_row *const *grant, size_t n, const char *prefix,
	struct slice text)
{
	size_t from = 0, to = n;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (order_of(grant[middle], prefix, text) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static void count_key(struct tally *t, const struct grant_row *const *grant, size_t n,
	const char *prefix, struct slice text)
{
	if (!text.n)
		return;
	for (size_t from = first_of(grant, n, prefix, text);
		from < n && !order_of(grant[from], prefix, text); from++)
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

static struct decision conclude(const struct tally *t, const char *who)
{
	return t->object && !strcmp(t->object->owner, who) ? by_ownership(t)
							   : by_grant(t);
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
	return conclude(&t, who->name);
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

struct widening {
	const struct rights *rights;
	const struct object *before, *after;
	uint32_t bits;   /* of all grants that go by what is new or gone */
	size_t compared; /* bytes of attributes */
};

/* A grant may give a right, or narrow the owner's. */
enum { NARROWED = USE | PERM_GET | PERM_UNWRAP | PERM_DERIVE };

static bool find_cover(const struct rights *r, const struct who *who,
	const struct object *o, struct cover *ret)
{
	struct tally t = { .object = o, .wanted = UINT32_MAX, .into = ret };
	ret->n = 0;
	tally_grants(r, who, &t);
	return ret->n <= COVER_MAX;
}

static struct decision decide_covered(
	const struct cover *c, const char *who, const struct tally *asked)
{
	struct tally t = *asked;
	for (size_t i = 0; i < c->n; i++)
		count(&t, c->grant[i]);
	return conclude(&t, who);
}

/* Of constraints, the first look has all kept, the second none. */
static bool has_more(const struct widening *w, const char *name, uint32_t wanted,
	const struct cover covers[2])
{
	for (uint32_t kept = UINT32_MAX;; kept = 0) {
		const struct tally before = { w->before, wanted, kept },
				   after = { w->after, wanted, kept };
		const struct decision was = decide_covered(&covers[0], name, &before);
		const struct decision is = decide_covered(&covers[1], name, &after);
		if (is_more(&was, &is))
			return true;
		if (!kept)
			return false;
	}
}

static bool is_too_much(struct widening *w)
{
	w->compared += w->before->attrs.n + w->after->attrs.n;
	return w->compared > COMPARED_MAX;
}

static bool gets_more(struct widening *w, const char *name, uint32_t bits)
{
	struct who who = { .generation = w->rights->generation };
	struct cover covers[2];
	if (is_too_much(w))
		return true;
	memcpy(who.name, name, sizeof(who.name));
	find_grants(w->rights, &who);
	if (!find_cover(w->rights, &who, w->before, &covers[0]) ||
		!find_cover(w->rights, &who, w->after, &covers[1]))
		return true;
	for (bits |= NARROWED; bits; bits &= bits - 1) {
		const uint32_t one = bits & -bits;
		if (has_more(w, name, one & KNOW ? one | USE_ANY : one, covers))
			return true;
	}
	return false;
}

/* All grants that go by it, a client's one behind the other. */
static bool key_brings_more(struct widening *w, const char *prefix, struct slice text)
{
	const struct rights *r = w->rights;
	size_t at = first_of(r->by_key, r->grants, prefix, text);
	while (at < r->grants && !order_of(r->by_key[at], prefix, text)) {
		const struct grant_row *g = r->by_key[at];
		uint32_t bits = 0;
		if (covers(g, w->before) == covers(g, w->after))
			return false; /* and so do all of them */
		for (; at < r->grants && !strcmp(r->by_key[at]->key, g->key) &&
			!strcmp(r->by_key[at]->who, g->who);
			at++)
			bits |= r->by_key[at]->permissions;
		if (gets_more(w, g->who, bits))
			return true;
		w->bits |= bits;
	}
	return false;
}

static bool keys_bring_more(struct widening *w, const struct object *o)
{
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	struct slice name;
	while (ttlv_next(&r, &it)) {
		if (it.tag == TAG_OBJECT_GROUP && key_brings_more(w, by_group, it.value))
			return true;
		if (it.tag == TAG_NAME && attrs_get_name(it.whole, 0, &name) &&
			key_brings_more(w, by_name, name))
			return true;
	}
	return false;
}

bool policy_widens(
	const struct rights *r, const struct object *before, const struct object *after)
{
	struct widening w = { .rights = r, .before = before, .after = after };
	return keys_bring_more(&w, before) || keys_bring_more(&w, after) ||
	       (w.bits && gets_more(&w, before->owner, w.bits));
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

static void look_why(const struct grant_row *const *grant, size_t n,
	enum permission wanted, const struct object *o, unsigned *ret_found)
{
	for (size_t i = 0; i < n; i++) {
		*ret_found |= 1;
		if (covers(grant[i], o))
			*ret_found |= 2;
		if (grant[i]->permissions & wanted)
			*ret_found |= 4;
	}
}

const char *policy_why_not(const struct rights *r, const struct who *who,
	enum permission wanted, const struct object *o)
{
	unsigned found = 0;
	struct who bound = *who;
	find_grants(r, &bound);
	look_why(r->grant + bound.first_grant, bound.grants, wanted, o, &found);
	look_why(r->grant + bound.first_for_all, bound.grants_for_all, wanted, o, &found);
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
