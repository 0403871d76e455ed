/* SPDX-License-Identifier: Apache-2.0 */
#include "op/authority.h"
#include "op/token_step.h"
#include "op/token_use.h"
#include <openssl/evp.h>
#include <string.h>

/* --- which one --- */

static const char *const role_names[] = {
	[CERT_SERVER] = "server", [CERT_CLIENT] = "client"
};

bool authority_role(struct slice text, enum cert_role *ret)
{
	for (enum cert_role r = CERT_SERVER; r <= CERT_CLIENT; r++)
		if (slice_is(text, role_names[r])) {
			*ret = r;
			return true;
		}
	return false;
}

const char *authority_role_name(enum cert_role role) { return role_names[role]; }

static const struct authority *by_name(const struct op_server *s, struct slice name)
{
	for (size_t i = 0; i < s->authorities_n; i++)
		if (slice_is(name, s->authorities[i].name))
			return &s->authorities[i];
	return NULL;
}

static const struct authority *by_issuer(const struct op_server *s, struct slice name)
{
	for (size_t i = 0; i < s->authorities_n; i++)
		if (issue_ca_is_named(s->authorities[i].ca, name))
			return &s->authorities[i];
	return NULL;
}

static struct slice issuer_in(struct slice wish)
{
	struct ttlv_item it = { 0 }, name = { 0 };
	if (attrs_find(wish, TAG_X_509_CERTIFICATE_ISSUER, 0, &it))
		(void)attrs_find(it.value, TAG_ISSUER_DISTINGUISHED_NAME, 0, &name);
	return name.value;
}

kf_err authority_choose(const struct op_server *server, struct slice wish,
	struct slice otherwise, const struct authority **ret)
{
	struct slice name = token_attribute(wish, CERTIFY_ATTRIBUTE_CA);
	const struct slice issuer = issuer_in(wish);
	const struct authority *a = server->authorities;

	if (!name.n && !issuer.n)
		name = token_attribute(otherwise, CERTIFY_ATTRIBUTE_CA);
	if (name.n)
		a = by_name(server, name);
	else if (issuer.n)
		a = by_issuer(server, issuer);
	if (!a)
		return kf_fail(NO_AUTHORITY, "no such authority here");
	*ret = a;
	return KF_OK;
}

/* --- its key --- */

struct search {
	const uint8_t *key_id;
	const struct object *found;
};

static bool is_private(const struct object *o, const uint8_t *key_id)
{
	return o->type == OBJECT_PRIVATE_KEY && !memcmp(o->key_id, key_id, KEY_ID_SIZE);
}

/* Of several objects with the name only the one with the key of the certificate is meant. */
static bool visit(void *arg, const struct object *o)
{
	struct search *s = arg;
	if (is_private(o, s->key_id))
		s->found = o;
	return !s->found;
}

const struct object *authority_key(
	const struct op_server *server, const struct authority *a)
{
	struct search s = { .key_id = issue_ca_key_id(a->ca) };
	const struct object *o = catalog_find(server->catalog, slice_of(a->key));
	/* Import lets clients choose identifiers, also one that is the key's name. */
	if (o && is_private(o, s.key_id))
		return o;
	catalog_each_named(server->catalog, slice_of(a->key), visit, &s);
	return s.found;
}

/* What may sign anything may sign certificates. */
enum {
	SIGNS = KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN |
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
};

static enum authority_state key_state(const struct object *key, int64_t now_s)
{
	if (object_is_destroyed(key))
		return AUTHORITY_KEY_DESTROYED;
	if (!kf_ok(op_check_material(key, now_s)))
		return AUTHORITY_KEY_ARCHIVED;
	if (object_state(key, now_s) != STATE_ACTIVE)
		return AUTHORITY_KEY_INACTIVE;
	return kf_ok(op_check_use_of(key, now_s, OP_PROTECT, SIGNS))
		       ? AUTHORITY_READY
		       : AUTHORITY_KEY_USAGE;
}

enum authority_state authority_state(
	const struct authority *a, const struct object *key, int64_t now_s)
{
	if (!key || key->type != OBJECT_PRIVATE_KEY)
		return AUTHORITY_KEY_MISSING;
	const enum authority_state s = key_state(key, now_s);
	if (s != AUTHORITY_READY)
		return s;
	if (!key->key || !is_private(key, issue_ca_key_id(a->ca)))
		return AUTHORITY_KEY_OTHER;
	if (key->is_limited)
		return AUTHORITY_KEY_LIMITED;
	if (now_s < issue_ca_not_before(a->ca))
		return AUTHORITY_TOO_EARLY;
	return now_s < issue_ca_not_after(a->ca) ? AUTHORITY_READY : AUTHORITY_EXPIRED;
}

const char *authority_state_word(enum authority_state s)
{
	static const char *const words[] = {
		[AUTHORITY_READY] = "ready",
#define X(id, word, text) [AUTHORITY_##id] = word,
#include "op/authority.def"
#undef X
	};
	return words[s];
}

kf_err authority_check(const struct authority *a, const struct object *key, int64_t now_s)
{
	switch (authority_state(a, key, now_s)) {
#define X(id, word, text)                                                                \
	case AUTHORITY_##id:                                                             \
		return kf_fail(AUTHORITY, text);
#include "op/authority.def"
#undef X
	case AUTHORITY_READY: break;
	}
	return KF_OK;
}

/* --- its certificate's object --- */

static bool has_digest(const struct object *o, const uint8_t *digest)
{
	struct ttlv_item it, value;
	return attrs_find(o->attrs, TAG_DIGEST, 0, &it) &&
	       attrs_find(it.value, TAG_DIGEST_VALUE, 0, &value) &&
	       slice_eq(value.value, (struct slice){ digest, FINGERPRINT_SIZE });
}

static const struct object *follow(
	const struct op_server *s, const struct object *o, uint32_t link_type)
{
	struct slice id;
	return o && attrs_get_link(o->attrs, link_type, &id)
		       ? catalog_find(s->catalog, id)
		       : NULL;
}

const struct object *authority_certificate(const struct op_server *server,
	const struct authority *a, const struct object *key)
{
	const struct object *o = follow(server, key, KMIP_LINK_TYPE_CERTIFICATE_LINK);
	if (!o)
		o = follow(server, follow(server, key, KMIP_LINK_TYPE_PUBLIC_KEY_LINK),
			KMIP_LINK_TYPE_CERTIFICATE_LINK);
	return o && o->type == OBJECT_CERTIFICATE && !object_is_destroyed(o) &&
			       has_digest(o, issue_ca_digest(a->ca))
		       ? o
		       : NULL;
}

/* --- signing --- */

static kf_err sign_here(struct sign_job *job)
{
	struct token_session *session = NULL;
	KF_TRY(soft_open(&session));
	soft_sign(session, &job, 1);
	soft_close(session);
	return job->err;
}

static kf_err fill(struct sign_job *job, const struct mech *mech, struct slice data)
{
	const struct hash *hash = hash_get(mech->hash);
	job->mech = mech;
	job->salt = SALT_AS_DIGEST;
	if (!hash) {
		job->outside = data;
		return KF_OK;
	}
	job->is_digest = true;
	return EVP_Q_digest(NULL, hash->openssl_name, NULL, data.p, data.n, job->data,
		       &job->n) == 1
		       ? KF_OK
		       : kf_fail(CRYPTO, "hashing a certificate");
}

kf_err authority_sign(
	void *signer, const struct mech *mech, struct slice data, struct buf *sig)
{
	struct authority_signer *s = signer;
	struct sign_job job = { .key = s->key };
	KF_TRY(fill(&job, mech, data));
	const kf_err err =
		pool_key_is(s->key)
			? token_wait(s->call, &(struct pool_job){ .sign = &job })
			: sign_here(&job);
	if (kf_ok(err))
		buf_add(sig, job.sig, job.sig_n);
	job.key = NULL; /* the caller's */
	sign_job_clear(&job);
	KF_TRY(err);
	return buf_err(sig);
}
