/* SPDX-License-Identifier: Apache-2.0
 *
 * Certify and Re-certify.  What is asked for is read and held against the authority's policy on the loop, so that
 * the record can say what will be issued; a worker looks at the request's signature and makes the authority's.
 */
#include "op/certify.h"
#include "audit/line.h"
#include "op/attr_rule.h"
#include "op/certificate.h"
#include "op/replace.h"
#include "op/token_step.h"
#include <inttypes.h>
#include <string.h>

/* For clocks that are late. */
enum { BACKDATED_S = 3600 };

/* --- decoding --- */

static void wish_role(struct certify_call *c, struct slice wish, kf_err *err)
{
	const struct slice name = token_attribute(wish, CERTIFY_ATTRIBUTE_PROFILE);
	if (name.n && !authority_role(name, &c->role))
		*err = kf_fail(INVALID_FIELD, "the profile is server or client");
}

/* What the certificate was issued for stands, where the request says nothing else. */
static kf_err choose(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const struct slice old =
		c->is_renewal && call->object ? call->object->attrs : (struct slice){ 0 };
	kf_err err = KF_OK;
	KF_TRY(authority_choose(call->server, c->q.attributes, old, &c->by));
	c->role = c->by->role;
	wish_role(c, old, &err);
	wish_role(c, c->q.attributes, &err);
	return err;
}

static kf_err decode(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	if (!call->server->authorities_n)
		return kf_fail(UNSUPPORTED, "no authority [ca NAME] is configured here");
	/* Whoever brings a request need not name a key. */
	c->is_named =
		c->is_renewal || !c->q.request_type || c->q.uid.kind != KMIP_UID_ABSENT;
	if (c->is_named)
		KF_TRY(op_name_object(call, &c->q.uid));
	return choose(call);
}

kf_err op_certify_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	KF_TRY(certify_get_request(&r, &certify_of(call)->q, &call->attrs));
	return decode(call);
}

kf_err op_recertify_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct certify_call *c = certify_of(call);
	KF_TRY(recertify_get_request(&r, &c->q, &call->attrs));
	c->is_renewal = true;
	return decode(call);
}

/* The right to an authority is one to its key; that to what is certified is looked at by start(). */
struct decision op_certify_decide(struct op_call *call)
{
	const struct object *key = authority_key(call->server, certify_of(call)->by);
	if (key)
		memcpy(call->with, key->id, sizeof(call->with));
	return policy_decide(
		catalog_rights(call->server->catalog), call->who, PERM_CERTIFY, key);
}

/* --- dates --- */

static kf_err check_end(struct op_call *call, int64_t end)
{
	const struct certify_call *c = certify_of(call);
	return end > call->now_s + c->by->valid_max_s
		       ? kf_fail(NOT_ISSUED_TIME, "longer than the authority issues for")
		       : KF_OK;
}

/* Activation and Deactivation Date, if the attributes have them; never beyond the authority's own end. */
static kf_err set_dates(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const struct slice attrs = buf_slice(&c->make.attrs);
	const int64_t end = issue_ca_not_after(c->by->ca);
	int64_t begins = call->now_s - BACKDATED_S, ends = call->now_s + c->by->valid_s;
	int64_t asked;
	if (attrs_get_date(attrs, TAG_ACTIVATION_DATE, &asked) && asked > begins)
		begins = asked;
	if (attrs_get_date(attrs, TAG_DEACTIVATION_DATE, &asked)) {
		KF_TRY(check_end(call, asked));
		ends = asked;
	}
	c->not_before = begins;
	c->not_after = ends < end ? ends : end;
	return c->not_after > call->now_s && c->not_after > begins
		       ? KF_OK
		       : kf_fail(INVALID_FIELD,
				 "the certificate would end before it begins");
}

/* --- describing it --- */

/* What the request asks of the certificate is none of the object's attributes: the certificate says it itself. */
static void drop_wishes(struct buf *attrs)
{
	static const uint32_t wishes[] = { TAG_X_509_CERTIFICATE_SUBJECT,
		TAG_X_509_CERTIFICATE_ISSUER, TAG_CERTIFICATE_SUBJECT,
		TAG_CERTIFICATE_ISSUER };
	size_t n;
	const struct certificate_part *parts = certificate_parts(&n);
	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++)
		attrs_remove_all(attrs, wishes[i]);
	for (size_t i = 0; i < n; i++) {
		attrs_remove_all(attrs, parts[i].subject);
		attrs_remove_all(attrs, parts[i].issuer);
	}
}

/* Of an empty value nothing is kept. */
static void set_vendor_text(struct buf *attrs, const char *name, struct slice value)
{
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(name) };
	attrs_take_out_all(attrs, &ref);
	if (value.n)
		attrs_add_vendor_text(attrs, ref.vendor, ref.name, value);
}

static kf_err check_type(struct slice attrs)
{
	uint32_t type = KMIP_CERTIFICATE_TYPE_X_509;
	(void)attrs_get_enum(attrs, TAG_CERTIFICATE_TYPE, &type);
	return type == KMIP_CERTIFICATE_TYPE_X_509
		       ? KF_OK
		       : kf_fail(FEATURE, "the authority issues X.509 certificates");
}

static kf_err take_attributes(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	struct buf *attrs = &c->make.attrs;
	autobuf said = buf_new(call->server->message_max);
	KF_TRY(attr_rule_check_wishes(c->q.attributes, attr_certificate_wishes));
	buf_add_slice(&said, c->q.attributes);
	drop_wishes(&said);
	KF_TRY(buf_err(&said));
	const struct replace_wish wish = { c->q.has_offset, c->q.offset_s,
		buf_slice(&said) };
	if (c->is_renewal) {
		KF_TRY(replace_attributes(call->object, &wish, call->now_s, attrs));
		c->make.replaces = call->object;
	} else {
		buf_add_slice(attrs, wish.attributes);
	}
	KF_TRY(check_type(buf_slice(attrs)));
	set_vendor_text(attrs, CERTIFY_ATTRIBUTE_CA, slice_of(c->by->name));
	set_vendor_text(
		attrs, CERTIFY_ATTRIBUTE_PROFILE, slice_of(authority_role_name(c->role)));
	set_vendor_text(attrs, CERTIFY_ATTRIBUTE_CHAIN, issue_ca_chain(c->by->ca));
	return make_check(call, &c->make);
}

static void link_all(struct certify_call *c)
{
	struct buf *attrs = &c->make.attrs;
	if (c->public_key)
		replace_link(attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, c->public_key->id);
	if (c->parent)
		replace_link(attrs, KMIP_LINK_TYPE_CERTIFICATE_LINK, c->parent->id);
}

/* --- the record --- */

/* Serial number and identifier stay when the call is begun anew: they are in the record. */
static kf_err choose_serial(struct certify_call *c)
{
	if (!c->has_serial)
		KF_TRY(issue_serial(c->serial));
	c->has_serial = true;
	return KF_OK;
}

static struct make make_anew(const struct op_call *call, const struct certify_call *c)
{
	struct make m = make_new(call, OBJECT_CERTIFICATE);
	if (c->has_serial)
		memcpy(m.id, c->make.id, sizeof(m.id));
	return m;
}

static kf_err describe_for_record(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	c->text = buf_new(ISSUE_REQUEST_MAX);
	buf_printf(&c->text, "certificate=%s ca=%s serial=", c->make.id, c->by->name);
	for (size_t i = 0; i < sizeof(c->serial); i++)
		buf_printf(&c->text, "%02x", c->serial[i]);
	buf_add_text(&c->text, " ");
	issue_request_print(c->request, c->by->policy.takes_whole_subject, &c->text);
	KF_TRY(buf_err(&c->text));
	if (c->text.n > LINE_MESSAGE_MAX)
		return kf_fail(NOT_ISSUED_NAME,
			"more names than fit into a record of the audit log");
	call->message = buf_slice(&c->text);
	return KF_OK;
}

/* What does not fit is cut, at the end: the refused name comes first. */
static void describe_refusal(struct op_call *call, struct slice refused)
{
	struct certify_call *c = certify_of(call);
	c->text = buf_new(2 * ISSUE_REQUEST_MAX);
	buf_printf(
		&c->text, "ca=%s profile=%s ", c->by->name, authority_role_name(c->role));
	if (refused.n) {
		buf_add_text(&c->text, "refused=");
		buf_add_slice(&c->text, refused);
		buf_add_text(&c->text, " ");
	}
	issue_request_print(c->request, c->by->policy.takes_whole_subject, &c->text);
	call->message = buf_slice(&c->text);
}

/* --- beginning --- */

static void release(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	struct object **const held[] = { &c->signer, &c->public_key, &c->private_key,
		&c->parent };
	for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++) {
		object_unref(*held[i]);
		*held[i] = NULL;
	}
	issue_request_free(c->request);
	c->request = NULL;
	make_free(&c->make);
	call->message = (struct slice){ 0 };
	buf_free(&c->text);
}

static kf_err check_named(struct op_call *call)
{
	const struct certify_call *c = certify_of(call);
	if (!c->is_named)
		return KF_OK;
	if (!call->object || !certify_is_allowed(call, call->object))
		return kf_fail(NOT_FOUND,
			"no such object, or none that this client may certify");
	return c->is_renewal ? replace_check(call, call->object) : KF_OK;
}

static kf_err find_authority(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const struct object *key = authority_key(call->server, c->by);
	KF_TRY(authority_check(c->by, key, call->now_s));
	if (!c->by->may_issue[c->role])
		return kf_fail(
			NOT_ISSUED, "the authority does not issue for this profile");
	c->signer = object_ref(key);
	const struct object *parent = authority_certificate(call->server, c->by, key);
	c->parent = parent ? object_ref(parent) : NULL;
	return KF_OK;
}

/* Who asks is told that a name is not issued to; which one of them, the record says. */
static kf_err check_policy(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	const bool is_whole = c->by->policy.takes_whole_subject;
	autobuf refused = buf_new(ISSUE_REQUEST_MAX);
	kf_err err = issue_check(&c->by->policy, c->role, c->request, &refused);
	if (kf_ok(err))
		err = issue_check_constraints(c->by->ca, is_whole, c->request, &refused);
	if (!kf_ok(err))
		describe_refusal(call, buf_slice(&refused));
	return err;
}

static kf_err prepare(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	KF_TRY(check_named(call));
	KF_TRY(find_authority(call));
	KF_TRY(certify_find_request(call));
	KF_TRY(check_policy(call));
	KF_TRY(take_attributes(call));
	KF_TRY(set_dates(call));
	if (c->is_renewal)
		replace_describe(call, &c->make);
	link_all(c);
	KF_TRY(choose_serial(c));
	if (!c->is_named)
		memcpy(call->object_id, c->make.id, OBJECT_ID_SIZE);
	return describe_for_record(call);
}

/* --- the worker's part --- */

static kf_err issue(struct op_call *call, struct buf *der)
{
	struct certify_call *c = certify_of(call);
	struct authority_signer signer = { call, c->signer->key };
	struct issue i = {
		.ca = c->by->ca,
		.role = c->role,
		.hash = c->by->hash,
		.takes_whole_subject = c->by->policy.takes_whole_subject,
		.not_before = c->not_before,
		.not_after = c->not_after,
		.sign = authority_sign,
		.arg = &signer,
	};
	memcpy(i.serial, c->serial, sizeof(i.serial));
	KF_TRY(issue_request_verify(c->request, c->by->ca));
	return issue_certificate(&i, c->request, der);
}

/* Its newest certificate is the one it leads to. */
static kf_err link_key(struct op_call *call, const struct object *key)
{
	autobuf attrs = buf_new(call->server->message_max);
	if (!key)
		return KF_OK;
	buf_add_slice(&attrs, key->attrs);
	replace_link(&attrs, KMIP_LINK_TYPE_CERTIFICATE_LINK, certify_of(call)->make.id);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_other(call, key, &attrs, true);
}

static kf_err make_certificate(struct op_call *call, struct slice der)
{
	struct make *m = &certify_of(call)->make;
	struct ttlv_writer w = ttlv_write(&m->material, 0);
	const struct kmip_object o = { .type = KMIP_OBJECT_TYPE_CERTIFICATE,
		.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
		.value = der };
	kmip_object_put(&w, &o);
	KF_TRY(ttlv_written(&w));
	KF_TRY(certificate_describe(&o, m));
	return make_object(call, m);
}

static kf_err certify(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	autobuf der = buf_new(ISSUE_REQUEST_MAX);
	KF_TRY(issue(call, &der));
	if (c->is_renewal)
		KF_TRY(replace_old(call, call->object, c->make.id));
	KF_TRY(make_certificate(call, buf_slice(&der)));
	KF_TRY(link_key(call, c->public_key));
	return link_key(call, c->private_key);
}

static enum op_next work(struct op_call *call)
{
	const kf_err err = certify(call);
	memcpy(call->placeholder, certify_of(call)->make.id, OBJECT_ID_SIZE);
	return op_then(call, err, OP_COMMIT);
}

static enum op_next start(struct op_call *call)
{
	struct certify_call *c = certify_of(call);
	c->make = make_anew(call, c);
	call->release = release;
	call->work = work;
	const kf_err err = prepare(call);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->is_long = true;
	return pool_key_is(c->signer->key) ? op_token_work(call, work) : OP_WORK;
}

enum op_next op_certify_start(struct op_call *call) { return start(call); }
enum op_next op_recertify_start(struct op_call *call) { return start(call); }

void op_certify_answer(struct op_call *call, struct ttlv_writer *w)
{
	certify_put_response(w, &(struct certify_response){ kmip_uid_text(
					slice_of(certify_of(call)->make.id)) });
}

void op_recertify_answer(struct op_call *call, struct ttlv_writer *w)
{
	op_certify_answer(call, w);
}
