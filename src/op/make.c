/* SPDX-License-Identifier: Apache-2.0 */
#include "op/make.h"
#include "op/attr_rule.h"
#include "op/dates.h"
#include "op/usage.h"
#include <openssl/sha.h>
#include <string.h>

struct make make_new(const struct op_call *call, enum object_type type)
{
	struct make m = {
		.type = type,
		.attrs = buf_new(call->server->message_max),
		.material = buf_new(call->server->message_max),
	};
	op_new_id(m.id);
	return m;
}

void make_free(struct make *m)
{
	buf_free(&m->attrs);
	buf_free(&m->material);
}

/* --- what the client said --- */

static const char *owner_of(const struct op_call *call, const struct make *m)
{
	const struct object *was = m->replaces ? m->replaces : m->overwrites;
	return was ? was->owner : call->who->name;
}

/* Who has the name now gives it away, or is this very object. */
static bool is_predecessor(const struct make *m, const struct object *o)
{
	const struct object *was = m->replaces ? m->replaces : m->overwrites;
	return was && strcmp(was->id, o->id) == 0;
}

static kf_err check_rights(const struct op_call *call, const struct make *m)
{
	const struct object *was = m->replaces ? m->replaces : m->overwrites;

	if (m->replaces)
		KF_TRY(attr_rule_check_successor(
			call, m->replaces, buf_slice(&m->attrs)));
	return was ? attr_rule_check_rights(call, was, buf_slice(&m->attrs)) : KF_OK;
}

static kf_err check_names(const struct op_call *call, const struct make *m)
{
	const struct slice attrs = buf_slice(&m->attrs);
	struct slice name;

	for (size_t i = 0; attrs_get_name(attrs, i, &name); i++) {
		if (!name.n)
			return kf_fail(INVALID_FIELD, "an empty name");
		const struct object *o =
			catalog_find_name(call->server->catalog, owner_of(call, m), name);
		if (o && !is_predecessor(m, o))
			return kf_fail(NAME_NOT_UNIQUE, "another object has this name");
	}
	return KF_OK;
}

kf_err make_check(const struct op_call *call, struct make *m)
{
	KF_TRY(buf_err(&m->attrs));
	KF_TRY(m->is_import ? attrs_check_import(buf_slice(&m->attrs))
			    : attrs_check_new(buf_slice(&m->attrs)));
	KF_TRY(attr_rule_check_claims(buf_slice(&m->attrs)));
	if (!m->is_import)
		KF_TRY(usage_begin(&m->attrs));
	attr_rule_fill(&m->attrs);
	KF_TRY(buf_err(&m->attrs));
	KF_TRY(dates_check(buf_slice(&m->attrs)));
	KF_TRY(check_rights(call, m));
	return check_names(call, m);
}

kf_err make_choose_format(struct make *m, const uint32_t *formats)
{
	m->format = formats[0];
	(void)attrs_get_enum(buf_slice(&m->attrs), TAG_KEY_FORMAT_TYPE, &m->format);
	for (; *formats; formats++)
		if (*formats == m->format)
			return KF_OK;
	return kf_fail(INVALID_FIELD, "it is not made in this Key Format Type");
}

/* --- what the server adds --- */

static void add_enum_once(struct buf *attrs, uint32_t tag, uint32_t v)
{
	if (v && !attrs_count(buf_slice(attrs), tag))
		attrs_add_enum(attrs, tag, v);
}

static void add_int_once(struct buf *attrs, uint32_t tag, int32_t v)
{
	if (v && !attrs_count(buf_slice(attrs), tag))
		attrs_add_int(attrs, tag, v);
}

static void add_bool_once(struct buf *attrs, uint32_t tag, bool v)
{
	if (!attrs_count(buf_slice(attrs), tag))
		attrs_add_bool(attrs, tag, v);
}

static void hash(struct slice bytes, uint8_t ret[32])
{
	SHA256(bytes.n ? bytes.p : (const uint8_t *)"", bytes.n, ret);
}

void make_digest(struct make *m, struct slice bytes)
{
	hash(bytes, m->digest);
	m->has_digest = true;
}

void make_default_digest(struct make *m, struct slice bytes, uint32_t format)
{
	hash(bytes, m->default_digest);
	m->default_format = format;
}

static void add_digest(struct make *m, const uint8_t digest[32], uint32_t format)
{
	autobuf item = buf_new(256);
	struct ttlv_writer w = ttlv_write(&item, 0);

	ttlv_begin(&w, TAG_DIGEST);
	ttlv_put_enum(&w, TAG_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256);
	ttlv_put_bytes(&w, TAG_DIGEST_VALUE, (struct slice){ digest, 32 });
	if (format)
		ttlv_put_enum(&w, TAG_KEY_FORMAT_TYPE, format);
	ttlv_end(&w);
	attrs_add_item(&m->attrs, buf_slice(&item));
}

static void add_digests(struct make *m)
{
	if (m->has_digest)
		add_digest(m, m->digest, m->format);
	if (m->default_format)
		add_digest(m, m->default_digest, m->default_format);
}

/* OpenSSL's: CTR_DRBG with AES-256, one for each thread. */
void make_put_rng(struct ttlv_writer *w, enum ttlv_tag tag)
{
	ttlv_begin(w, tag);
	ttlv_put_enum(w, TAG_RNG_ALGORITHM, KMIP_RNG_ALGORITHM_DRBG);
	ttlv_put_enum(w, TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
	ttlv_put_int(w, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	ttlv_put_enum(w, TAG_DRBG_ALGORITHM, KMIP_DRBG_ALGORITHM_CTR);
	ttlv_end(w);
}

static void add_rng(struct make *m)
{
	struct ttlv_writer w = ttlv_write(&m->attrs, 0);

	if (m->is_foreign) /* the client may know */
		return;
	attrs_remove_all(&m->attrs, TAG_RANDOM_NUMBER_GENERATOR);
	if (m->is_generated)
		make_put_rng(&w, TAG_RANDOM_NUMBER_GENERATOR);
}

static bool claim(struct slice attrs, uint32_t tag)
{
	bool v = false;
	return attrs_get_bool(attrs, tag, &v) && v;
}

static void add_secrecy(struct make *m)
{
	struct buf *a = &m->attrs;

	if (m->type == OBJECT_TEMPLATE)
		return;
	add_bool_once(a, TAG_SENSITIVE, m->is_secret_by_default);
	add_bool_once(a, TAG_EXTRACTABLE, !m->is_secret_by_default);
	attrs_set_bool(a, TAG_ALWAYS_SENSITIVE, claim(buf_slice(a), TAG_SENSITIVE));
	attrs_set_bool(a, TAG_NEVER_EXTRACTABLE, !claim(buf_slice(a), TAG_EXTRACTABLE));
}

static void add_domain(struct buf *attrs, const struct alg *alg)
{
	autobuf item = buf_new(256);
	struct ttlv_writer w = ttlv_write(&item, 0);

	if (!alg || !alg->kmip_curve ||
		attrs_count(buf_slice(attrs), TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS))
		return;
	ttlv_begin(&w, TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
	ttlv_put_int(&w, TAG_QLENGTH, (int32_t)alg->bits);
	ttlv_put_enum(&w, TAG_RECOMMENDED_CURVE, alg->kmip_curve);
	ttlv_end(&w);
	attrs_add_item(attrs, buf_slice(&item));
}

static void add_facts(struct make *m)
{
	struct buf *a = &m->attrs;

	add_enum_once(a, TAG_CRYPTOGRAPHIC_ALGORITHM, m->algorithm);
	add_int_once(a, TAG_CRYPTOGRAPHIC_LENGTH, m->length);
	add_int_once(a, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)m->usage);
	add_enum_once(a, TAG_KEY_FORMAT_TYPE, m->format);
	add_domain(a, m->curve);
	add_digests(m);
	add_rng(m);
	add_secrecy(m);
}

static void add_server_attributes(const struct op_call *call, struct make *m)
{
	struct buf *a = &m->attrs;

	attrs_add_text(a, TAG_UNIQUE_IDENTIFIER, slice_of(m->id));
	attrs_add_enum(a, TAG_OBJECT_TYPE, m->type);
	add_facts(m);
	/* Dates that have passed already count at once (KMIP 2.1, Create). */
	attrs_set_enum(
		a, TAG_STATE, dates_state(buf_slice(a), STATE_PRE_ACTIVE, call->now_s));
	attrs_set_date(a, TAG_INITIAL_DATE, call->now_s);
	attrs_set_date(a, TAG_LAST_CHANGE_DATE, call->now_s);
	if (!m->is_foreign && !attrs_count(buf_slice(a), TAG_ORIGINAL_CREATION_DATE))
		attrs_add_date(a, TAG_ORIGINAL_CREATION_DATE, call->now_s);
	if (!attrs_count(buf_slice(a), TAG_FRESH))
		attrs_add_bool(a, TAG_FRESH, true);
}

static void add_missing_attributes(const struct op_call *call, struct make *m)
{
	static const uint32_t theirs[] = { TAG_STATE, TAG_INITIAL_DATE,
		TAG_LAST_CHANGE_DATE, TAG_ALWAYS_SENSITIVE, TAG_NEVER_EXTRACTABLE,
		TAG_FRESH, TAG_RANDOM_NUMBER_GENERATOR };
	autobuf given = buf_new(m->attrs.limit);
	struct ttlv_item it;

	buf_add_slice(&given, buf_slice(&m->attrs));
	add_server_attributes(call, m);
	for (size_t i = 0; i < sizeof(theirs) / sizeof(*theirs); i++)
		if (attrs_find(buf_slice(&given), theirs[i], 0, &it))
			attrs_set_item(&m->attrs, it.whole);
}

kf_err make_object(struct op_call *call, struct make *m)
{
	const uint64_t was = m->overwrites ? m->overwrites->version : 0;
	struct object *o = NULL;

	if (m->is_import)
		add_missing_attributes(call, m);
	else
		add_server_attributes(call, m);
	KF_TRY(buf_err(&m->attrs));
	KF_TRY(buf_err(&m->material));
	const struct object_parts parts = {
		.id = slice_of(m->id),
		.owner = slice_of(owner_of(call, m)),
		.attrs = buf_slice(&m->attrs),
		.type = m->type,
		.version = was + 1,
	};
	KF_TRY(object_new(&parts, &o));
	struct mutation *mutation = op_mutate(call, PUT_OBJECT);
	mutation->expected_version = was;
	mutation->object.object = o;
	mutation->object.material = m->material;
	m->material = buf_new(m->material.limit);
	return KF_OK;
}
