/* SPDX-License-Identifier: Apache-2.0
 *
 * Validate.  A chain is valid when it is whole, in date, signed by algorithms that are no weaker than 80 bits,
 * and ends at an authority that the client names by its identifier: what is an authority is a matter of
 * who put it here, not of what a request brings along.  It is invalid when something in it is wrong, also
 * when one of its certificates was revoked here; else nobody knows.
 */
#include "kmip/validate.h"
#include "op/step.h"
#include "policy/policy.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { AUTH_LEVEL = 1 };

struct validate_call {
	struct validate_request q;
	struct object *known[VALIDATE_MAX]; /* by identifier; references */
	size_t known_n;
	uint32_t indicator;
};

struct chain {
	X509 *x[VALIDATE_MAX];
	bool is_known[VALIDATE_MAX];
	size_t n;
};

static struct validate_call *validate_of(struct op_call *call)
{
	return OP_REQUEST(call, struct validate_call);
}

kf_err op_validate_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct validate_request *q = &validate_of(call)->q;
	KF_TRY(validate_get_request(&r, q));
	return q->certificates.n + q->uids.n
		       ? KF_OK
		       : kf_fail(MALFORMED, "no certificates to validate");
}

/* --- which ones --- */

static void release(struct op_call *call)
{
	struct validate_call *v = validate_of(call);
	for (size_t i = 0; i < v->known_n; i++)
		object_unref(v->known[i]);
	v->known_n = 0;
}

static kf_err check_known(struct op_call *call, const struct object *o)
{
	if (!o || !policy_decide_linked(
			  call->server->catalog, call->who, PERM_GET_ATTRIBUTES, o)
			   .is_allowed)
		return kf_fail(NOT_FOUND, "no such certificate");
	if (o->type != OBJECT_CERTIFICATE)
		return kf_fail(OBJECT_TYPE, "only certificates are validated");
	return op_check_material(o, call->now_s);
}

static kf_err find_known(struct op_call *call)
{
	struct validate_call *v = validate_of(call);
	struct ttlv_reader r = ttlv_read_as(v->q.uids, call->version, call->is_lenient);
	struct kmip_uid uid;
	while (validate_next_uid(&r, &uid)) {
		if (uid.kind != KMIP_UID_TEXT)
			return kf_fail(FEATURE, "certificates are named by text");
		if (v->known_n == VALIDATE_MAX)
			return kf_fail(LIMIT, "a chain is not so long");
		const struct object *o = catalog_find(call->server->catalog, uid.text);
		KF_TRY(check_known(call, o));
		v->known[v->known_n++] = object_ref(o);
	}
	return KF_OK;
}

/* --- reading them --- */

static void chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->x[i]);
}

/* False: it is none that we can read. */
static bool add(struct chain *c, const struct kmip_object *o, bool is_known)
{
	const unsigned char *p = o->value.p;
	if (o->certificate_type != KMIP_CERTIFICATE_TYPE_X_509 || c->n == VALIDATE_MAX)
		return false;
	c->x[c->n] = d2i_X509(NULL, &p, (long)o->value.n);
	c->is_known[c->n] = is_known;
	return c->x[c->n] && ++c->n && p == o->value.p + o->value.n;
}

static bool add_all(struct op_call *call, struct chain *c)
{
	const struct validate_call *v = validate_of(call);
	struct ttlv_reader r =
		ttlv_read_as(v->q.certificates, call->version, call->is_lenient);
	autobuf bytes = buf_new(call->server->message_max);
	struct kmip_object o;
	for (size_t i = 0; i < v->known_n; i++) {
		buf_clear(&bytes);
		if (!kf_ok(store_unseal(call->server->store, v->known[i], &bytes)) ||
			!kf_ok(kmip_object_parse(buf_slice(&bytes), &o)) ||
			!add(c, &o, true))
			return false;
	}
	while (validate_next_certificate(&r, &o))
		if (!add(c, &o, false))
			return false;
	return true;
}

/* --- what they are worth --- */

/* The one that has issued none of the others; false: none, or several. */
static bool find_leaf(const struct chain *c, size_t *ret)
{
	size_t leaves = 0;
	for (size_t i = 0; i < c->n; i++) {
		bool is_leaf = true;
		for (size_t k = 0; k < c->n; k++)
			is_leaf &= k == i ||
				   X509_check_issued(c->x[i], c->x[k]) != X509_V_OK;
		if (is_leaf)
			*ret = i;
		leaves += is_leaf;
	}
	return leaves == 1;
}

static bool is_anchor(const struct chain *c, size_t i, size_t leaf)
{
	bool is_root = X509_check_issued(c->x[i], c->x[i]) == X509_V_OK;
	return c->is_known[i] && (is_root || (i != leaf && X509_check_ca(c->x[i]) > 0));
}

static uint32_t indicator_of(int result)
{
	switch (result) {
	case X509_V_OK: return KMIP_VALIDITY_INDICATOR_VALID;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_UNSPECIFIED: return KMIP_VALIDITY_INDICATOR_UNKNOWN;
	default: return KMIP_VALIDITY_INDICATOR_INVALID;
	}
}

static int verify(X509_STORE *store, STACK_OF(X509) * others, X509 *leaf, int64_t date_s)
{
	X509_STORE_CTX *v = X509_STORE_CTX_new();
	int result = X509_V_ERR_OUT_OF_MEM;
	if (v && X509_STORE_CTX_init(v, store, leaf, others) == 1) {
		X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(v);
		X509_VERIFY_PARAM_set_time(p, (time_t)date_s);
		X509_VERIFY_PARAM_set_auth_level(p, AUTH_LEVEL);
		X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
		result = X509_verify_cert(v) == 1 ? X509_V_OK
						  : X509_STORE_CTX_get_error(v);
	}
	X509_STORE_CTX_free(v);
	ERR_clear_error();
	return result;
}

static uint32_t judge(const struct chain *c, size_t leaf, int64_t date_s)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *others = sk_X509_new_null();
	bool is_whole = store && others;
	for (size_t i = 0; is_whole && i < c->n; i++)
		is_whole = sk_X509_push(others, c->x[i]) > 0 &&
			   (!is_anchor(c, i, leaf) ||
				   X509_STORE_add_cert(store, c->x[i]) == 1);
	int result = is_whole ? verify(store, others, c->x[leaf], date_s)
			      : X509_V_ERR_OUT_OF_MEM;
	sk_X509_free(others);
	X509_STORE_free(store);
	return indicator_of(result);
}

static bool is_revoked(const struct object *o, int64_t now_s)
{
	enum object_state s = object_state(o, now_s);
	return s == STATE_DEACTIVATED || s == STATE_COMPROMISED;
}

static kf_err validate(struct op_call *call)
{
	struct validate_call *v = validate_of(call);
	CLEANUP(chain_free) struct chain c = { 0 };
	size_t leaf = 0;
	v->indicator = KMIP_VALIDITY_INDICATOR_UNKNOWN;
	bool is_read = add_all(call, &c);
	ERR_clear_error();
	if (!is_read)
		return KF_OK;
	if (!find_leaf(&c, &leaf))
		return kf_fail(MALFORMED, "the certificates are not one chain");
	for (size_t i = 0; i < v->known_n; i++)
		if (is_revoked(v->known[i], call->now_s))
			v->indicator = KMIP_VALIDITY_INDICATOR_INVALID;
	if (v->indicator != KMIP_VALIDITY_INDICATOR_INVALID)
		v->indicator = judge(&c, leaf, v->q.has_date ? v->q.date_s : call->now_s);
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	return op_then(call, validate(call), OP_ANSWER);
}

enum op_next op_validate_start(struct op_call *call)
{
	call->work = work;
	call->release = release;
	return op_then(call, find_known(call), OP_WORK);
}

void op_validate_answer(struct op_call *call, struct ttlv_writer *w)
{
	validate_put_response(
		w, &(struct validate_response){ validate_of(call)->indicator });
}
