/* SPDX-License-Identifier: Apache-2.0
 *
 * certify_request: who is to be certified, and for which key.
 */
#include "kmip/key_block.h"
#include "op/certificate.h"
#include "op/certify.h"
#include "op/public.h"
#include <string.h>

bool certify_is_allowed(const struct op_call *call, const struct object *o)
{
	return policy_decide_linked(call->server->catalog, call->who, PERM_CERTIFY, o)
		.is_allowed;
}

/* --- a request --- */

static kf_err read_request(uint32_t type, struct slice bytes, struct issue_request **ret)
{
	switch (type) {
	case KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10:
		return issue_request_read(bytes, false, ret);
	case KMIP_CERTIFICATE_REQUEST_TYPE_PEM:
		return issue_request_read(bytes, true, ret);
	default:
		return kf_fail(
			FEATURE, "certificate requests are PKCS#10, in DER or PEM");
	}
}

static kf_err read_value(
	struct op_call *call, const struct object *o, struct kmip_object *ret)
{
	struct slice material;
	KF_TRY(store_material(call->server->store, o, &call->scratch, &material));
	return kmip_object_parse(material, ret);
}

/* One that is registered (2.x). */
static kf_err read_registered(
	struct op_call *call, const struct object *o, struct issue_request **ret)
{
	struct kmip_object k;
	if (!o || !certify_is_allowed(call, o))
		return kf_fail(NOT_FOUND, "no such certificate request");
	if (o->type != OBJECT_CERTIFICATE_REQUEST)
		return kf_fail(OBJECT_TYPE, "the object is no certificate request");
	KF_TRY(op_check_material(o, call->now_s));
	KF_TRY(read_value(call, o, &k));
	return read_request(k.certificate_type, k.value, ret);
}

/* --- the objects of its key --- */

static const struct object *linked(
	const struct op_call *call, const struct object *o, uint32_t link_type)
{
	struct slice id;
	return o && attrs_get_link(o->attrs, link_type, &id)
		       ? catalog_find(call->server->catalog, id)
		       : NULL;
}

static bool is_compromised(const struct op_call *call, const struct object *o)
{
	const uint32_t state = object_state(o, call->now_s);
	return state == STATE_COMPROMISED || state == STATE_DESTROYED_COMPROMISED;
}

static bool is_usable(const struct object *o, const struct op_call *call)
{
	return kf_ok(op_check_material(o, call->now_s)) && !is_compromised(call, o);
}

/* The private key, if both halves say so and belong to the same client. */
static void find_private(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const struct object *o =
		linked(call, c->public_key, KMIP_LINK_TYPE_PRIVATE_KEY_LINK);
	uint8_t key_id[KEY_ID_SIZE];
	pubkey_id(issue_request_key(c->request), key_id);
	if (o && o->type == OBJECT_PRIVATE_KEY &&
		!strcmp(o->owner, c->public_key->owner) &&
		!memcmp(o->key_id, key_id, KEY_ID_SIZE) && is_usable(o, call))
		c->private_key = object_ref(o);
}

/* The named public key has the key of the request? */
static kf_err check_same(struct op_call *call, const struct object *o)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(op_public_key_of(call, o, &key));
	return slice_eq(pubkey_spki(key),
		       pubkey_spki(issue_request_key(certify_of(call)->request)))
		       ? KF_OK
		       : kf_fail(INVALID_CSR, "the request is for another public key");
}

static kf_err check_certifiable(const struct op_call *call, const struct object *o)
{
	if (o->type != OBJECT_PUBLIC_KEY)
		return kf_fail(OBJECT_TYPE, "certificates are made for public keys");
	KF_TRY(op_check_material(o, call->now_s));
	return is_usable(o, call) ? KF_OK : kf_fail(STATE, "the key is compromised");
}

/* One key may be registered any number of times, and each look reads a public key from the store. */
enum { LOOKS_MAX = 16 };

struct search {
	struct op_call *call;
	uint8_t key_id[KEY_ID_SIZE];
	const struct object *found;
	unsigned looks;
};

static bool visit(void *arg, const struct object *o)
{
	struct search *s = arg;
	const struct object *public_key =
		memcmp(o->key_id, s->key_id, KEY_ID_SIZE)
			? NULL
			: linked(s->call, o, KMIP_LINK_TYPE_PUBLIC_KEY_LINK);
	if (!public_key || !kf_ok(check_certifiable(s->call, public_key)) ||
		!certify_is_allowed(s->call, public_key))
		return true;
	if (kf_ok(check_same(s->call, public_key)))
		s->found = public_key;
	return !s->found && ++s->looks < LOOKS_MAX;
}

/* Nobody named the public key: perhaps it is here all the same. */
static void find_public(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	struct search s = { .call = call };
	pubkey_id(issue_request_key(c->request), s.key_id);
	catalog_each_key(call->server->catalog, s.key_id, visit, &s);
	if (s.found)
		c->public_key = object_ref(s.found);
}

/* Whoever registers a private key has it: what he says of it is true of all that have it. */
static bool visit_compromised(void *arg, const struct object *o)
{
	struct search *s = arg;
	if (o->type != OBJECT_PRIVATE_KEY || memcmp(o->key_id, s->key_id, KEY_ID_SIZE))
		return true;
	const struct object *other = linked(s->call, o, KMIP_LINK_TYPE_PUBLIC_KEY_LINK);
	if (is_compromised(s->call, o) || (other && !strcmp(other->owner, o->owner) &&
						  is_compromised(s->call, other)))
		s->found = o;
	return !s->found;
}

/* Whatever object names the key, or none: nobody else's word for it counts. */
static kf_err check_not_compromised(struct op_call *call)
{
	struct search s = { .call = call };
	pubkey_id(issue_request_key(certify_of(call)->request), s.key_id);
	catalog_each_key(call->server->catalog, s.key_id, visit_compromised, &s);
	return s.found ? kf_fail(NOT_ISSUED_KEY, "the key is compromised") : KF_OK;
}

/* --- from what is here --- */

struct wish {
	struct issue_names names;
	struct slice alternative[ISSUE_NAMES_MAX + 1];
	struct issue_part parts[ISSUE_PARTS_MAX];
};

/* Subject Distinguished Name and Subject Alternative Names of the attribute X.509 Certificate Subject. */
static bool take_x509(struct slice attrs, struct wish *w)
{
	struct ttlv_item subject, it;
	if (!attrs_find(attrs, TAG_X_509_CERTIFICATE_SUBJECT, 0, &subject))
		return false;
	struct ttlv_reader r = ttlv_read(subject.value);
	w->names.names = w->alternative;
	while (ttlv_next(&r, &it)) {
		if (it.tag == TAG_SUBJECT_DISTINGUISHED_NAME)
			w->names.subject = it.value;
		if (it.tag == TAG_SUBJECT_ALTERNATIVE_NAME &&
			w->names.n <= ISSUE_NAMES_MAX)
			w->alternative[w->names.n++] = it.value;
	}
	return true;
}

static kf_err take_part(
	struct slice attrs, const struct certificate_part *p, struct wish *w)
{
	struct ttlv_item it;
	for (size_t i = 0; attrs_find(attrs, p->subject, i, &it); i++) {
		if (w->names.parts_n == ISSUE_PARTS_MAX)
			return kf_fail(INVALID_FIELD, "too many parts of a subject");
		if (it.type != TTLV_TEXT || !it.value.n)
			return kf_fail(INVALID_FIELD, "part of a subject is no text");
		w->parts[w->names.parts_n++] = (struct issue_part){ p->nid, it.value };
	}
	return KF_OK;
}

/* Certificate Subject CN, O, ... of 2.x, in the order of the standard's table. */
static kf_err take_parts(struct slice attrs, struct wish *w)
{
	size_t n;
	const struct certificate_part *parts = certificate_parts(&n);
	w->names.parts = w->parts;
	for (size_t i = 0; i < n; i++)
		KF_TRY(take_part(attrs, &parts[i], w));
	return KF_OK;
}

/* X.509's own structure has all; by their parts come subjects alone. */
static kf_err read_wish(struct slice attrs, struct wish *w)
{
	const bool has_x509 = take_x509(attrs, w);
	if (!w->names.subject.n)
		KF_TRY(take_parts(attrs, w));
	if (!has_x509 && attrs_count(attrs, TAG_CERTIFICATE_SUBJECT))
		return kf_fail(INVALID_FIELD,
			"a subject in words (Certificate Subject, deprecated): X.509 "
			"Certificate Subject has it in DER");
	return KF_OK;
}

static kf_err from_key(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	struct wish wish = { 0 };
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(op_public_key_of(call, call->object, &key));
	KF_TRY(read_wish(c->q.attributes, &wish));
	KF_TRY(issue_request_new(pubkey_spki(key), &wish.names, &c->request));
	c->public_key = object_ref(call->object);
	find_private(call);
	/* Nothing else proves that whoever asks has the key. */
	return c->private_key
		       ? KF_OK
		       : kf_fail(NOT_ISSUED, "without a request the private key must "
					     "be here");
}

static kf_err from_certificate(struct op_call *call)
{
	struct kmip_object k;
	KF_TRY(read_value(call, call->object, &k));
	return issue_request_renew(k.value, &certify_of(call)->request);
}

/* --- which of them --- */

static kf_err read_given(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const struct object *o = NULL;
	if (c->is_renewal && c->q.request_uid.kind != KMIP_UID_ABSENT) {
		if (c->q.request_type)
			return kf_fail(INVALID_FIELD, "two certificate requests");
		KF_TRY(op_find_named(call, &c->q.request_uid, &o));
		return read_registered(call, o, &c->request);
	}
	const bool is_request_named = !c->is_renewal && c->is_named &&
				      call->object->type == OBJECT_CERTIFICATE_REQUEST;
	if (c->q.request_type && is_request_named)
		return kf_fail(INVALID_FIELD, "two certificate requests");
	if (c->q.request_type)
		return read_request(c->q.request_type, c->q.request, &c->request);
	if (is_request_named)
		return read_registered(call, call->object, &c->request);
	return KF_OK;
}

static kf_err find_for_certificate(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	if (call->object->type != OBJECT_CERTIFICATE)
		return kf_fail(OBJECT_TYPE, "only certificates are re-certified");
	if (attrs_count(call->object->attrs, TAG_REVOCATION_REASON))
		return kf_fail(NOT_ISSUED, "the certificate was revoked");
	if (!c->request)
		KF_TRY(from_certificate(call));
	KF_TRY(check_same(call, call->object));
	const struct object *o =
		linked(call, call->object, KMIP_LINK_TYPE_PUBLIC_KEY_LINK);
	if (!o || !certify_is_allowed(call, o) || o->type != OBJECT_PUBLIC_KEY)
		return KF_OK;
	if (is_compromised(call, o))
		return kf_fail(NOT_ISSUED_KEY, "the key is compromised");
	if (kf_ok(check_certifiable(call, o)) && kf_ok(check_same(call, o)))
		c->public_key = object_ref(o);
	return KF_OK;
}

static kf_err find_for_key(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	if (!c->is_named || call->object->type == OBJECT_CERTIFICATE_REQUEST) {
		find_public(call);
		return KF_OK;
	}
	KF_TRY(check_certifiable(call, call->object));
	if (!c->request)
		return from_key(call);
	KF_TRY(check_same(call, call->object));
	c->public_key = object_ref(call->object);
	return KF_OK;
}

kf_err certify_find_request(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	KF_TRY(read_given(call));
	KF_TRY(c->is_renewal ? find_for_certificate(call) : find_for_key(call));
	KF_TRY(check_not_compromised(call));
	if (c->public_key && !c->private_key)
		find_private(call);
	return KF_OK;
}
