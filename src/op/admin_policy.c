/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy Test: might a client do something with a key, by which rule, and if not, why?  For the
 * administrator.  The functions that are asked are those that decide.
 */
#include "op/page.h"
#include <string.h>

enum {
#define X(name, bit, text, manual) +bit
	ALL_PERMISSIONS = 0
#include "policy/permission.def"
#undef X
	,
	WORDS_MAX = 1024,
};

struct policy_call {
	struct page_call
		page; /* of the answer's facts; first: page_answer() looks here */
	struct policy_test_request q;
	struct who who;
	struct decision d;
	const char *why_not; /* NULL: it may */
};

kf_err op_policy_test_decode(struct op_call *call)
{
	struct ttlv_reader r;
	op_start_payload(call, &r);
	return policy_test_get_request(&r, &OP_REQUEST(call, struct policy_call)->q);
}

/* --- which key --- */

struct named {
	const struct object *first, *key;
	size_t keys;
};

static bool note(void *arg, const struct object *o)
{
	struct named *n = arg;
	if (object_is_destroyed(o))
		return true;
	n->first = n->first ? n->first : o;
	if (o->type == OBJECT_PRIVATE_KEY || o->type == OBJECT_SYMMETRIC_KEY) {
		n->key = o;
		n->keys++;
	}
	return true;
}

struct naming {
	struct slice name;
	struct named found;
};

static bool note_if_named(void *arg, const struct object *o)
{
	struct naming *n = arg;
	return attrs_has_name(o->attrs, n->name) ? note(&n->found, o) : true;
}

static void find_named(const struct catalog *c, struct naming *n)
{
	catalog_each_named(c, n->name, note_if_named, n);
}

/* An id, or a name that one key has. */
static kf_err find_object(struct op_call *call, struct slice text)
{
	const struct catalog *c = call->server->catalog;
	const struct object *o = catalog_find(c, text);
	struct naming n = { .name = text };

	if (!o) {
		find_named(c, &n);
		o = n.found.key ? n.found.key : n.found.first;
	}
	if (n.found.keys > 1)
		return kf_fail(CONFLICT, "several keys have this name: say the id");
	if (!o)
		return kf_fail(NOT_FOUND, "no such key");
	call->object = object_ref(o);
	memcpy(call->object_id, o->id, sizeof(call->object_id));
	return KF_OK;
}

/* --- who, and may he --- */

static const char *check_client(const struct op_call *call, const struct who *who)
{
	const struct client_row *row =
		rights_client(catalog_rights(call->server->catalog), who->name);
	bool is_valid = who->is_admin;

	if (!row && !who->is_admin)
		return "no such client";
	if (row && row->is_revoked)
		return "the client is revoked";
	for (size_t i = 0; row && i < row->certificates; i++)
		is_valid |= row->certificate[i].not_after >= call->now_s;
	return is_valid ? NULL : "all certificates of the client have expired";
}

/* What is made is decided upon before it is there: only grants for every key count. */
static const struct object *object_of(
	const struct op_call *call, const struct policy_call *p)
{
	return p->q.permission & (PERM_CREATE | PERM_REGISTER) ? NULL : call->object;
}

static struct decision decide(const struct op_call *call, const struct policy_call *p)
{
	const struct catalog *c = call->server->catalog;
	struct decision d;

	if (p->q.permission == PERM_CSR) {
		/* A request that keeps all but what a certification request cannot keep. */
		d = policy_decide_sign(catalog_rights(c), &p->who, call->object,
			~(uint32_t)CONSTRAINT_TLS_ONLY);
		policy_fall_back_to_csr(&d);
		return d;
	}
	return policy_decide_linked(
		c, &p->who, (enum permission)p->q.permission, object_of(call, p));
}

static kf_err check_object(const struct op_call *call, uint32_t permission)
{
	switch (permission) {
	case PERM_SIGN:
	case PERM_CSR:
		if (call->object->type != OBJECT_PRIVATE_KEY)
			return kf_fail(USAGE, "only private keys sign");
		return op_check_use(call, OP_PROTECT, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
	case PERM_VERIFY:
		return op_check_use(
			call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
	case PERM_DECRYPT:
	case PERM_DECRYPT_TLS:
		return op_check_use(
			call, OP_PROCESS, KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
	case PERM_GET:
		KF_TRY(op_check_material(call->object, call->now_s));
		return op_check_secrecy(call->object);
	default: return KF_OK;
	}
}

static const char *find_why_not(const struct op_call *call, struct policy_call *p)
{
	const struct rights *rights = catalog_rights(call->server->catalog);
	const char *why = check_client(call, &p->who);
	if (why)
		return why;
	p->d = decide(call, p);
	if (!p->d.is_allowed)
		return policy_why_not(rights, &p->who, (enum permission)p->q.permission,
			object_of(call, p));
	if (p->d.unkept)
		return "the grant's constraints do not allow it";
	kf_err e = check_object(call, p->q.permission);
	return kf_ok(e) ? NULL : e.site->text;
}

/* --- the answer: facts as pairs --- */

static void tell(struct op_call *call, const char *name, struct slice value)
{
	OP_REQUEST(call, struct policy_call)->page.total++;
	status_pair_add(&call->scratch, &(struct status_pair){ slice_of(name), value });
}

static void tell_limits(struct op_call *call, const struct policy_call *p)
{
	autobuf words = buf_new(WORDS_MAX);
	const struct grant_limits *limits = policy_limits(&p->d);

	if (p->d.constraints) {
		constraints_print(p->d.constraints, &words);
		tell(call, "constraints", buf_slice(&words));
	}
	buf_clear(&words);
	if (limits) {
		limits_print(limits, &words);
		tell(call, "limits", buf_slice(&words));
	}
	buf_clear(&words);
	if (call->server->limits && !p->who.is_admin) {
		call->server->limits(call->server->arg, &words);
		tell(call, "client-limits", buf_slice(&words));
	}
}

static void tell_all(struct op_call *call, const struct policy_call *p)
{
	tell(call, "allowed", slice_of(p->why_not ? "no" : "yes"));
	if (p->d.rule)
		tell(call, "rule", slice_of(p->d.rule));
	if (p->why_not)
		tell(call, "why", slice_of(p->why_not));
	tell(call, "key", slice_of(call->object_id));
	if (p->d.is_allowed)
		tell_limits(call, p);
}

static kf_err test(struct op_call *call)
{
	struct policy_call *p = OP_REQUEST(call, struct policy_call);
	const uint32_t one = p->q.permission;

	if (!one || (one & (one - 1)) || (one & ~(uint32_t)ALL_PERMISSIONS))
		return kf_fail(INVALID_FIELD, "one operation at a time");
	KF_TRY(slice_to_text(p->q.who, p->who.name, sizeof(p->who.name)));
	p->who.is_admin = !strcmp(p->who.name, ADMIN_NAME);
	KF_TRY(find_object(call, p->q.key));
	p->why_not = find_why_not(call, p);
	tell_all(call, p);
	return buf_err(&call->scratch);
}

enum op_next op_policy_test_start(struct op_call *call)
{
	return op_then(call, test(call), OP_ANSWER);
}

void op_policy_test_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
