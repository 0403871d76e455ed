/* SPDX-License-Identifier: Apache-2.0 */
#include "store/object.h"
#include "token/token.h"
#include "ttlv/ttlv.h"
#include <assert.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { ATTRS_MAX = 1 << 20 };

/* What one allocation holds: the object, and its attributes behind it. */
static struct object *allocate(size_t attrs)
{
	return calloc(1, sizeof(struct object) + attrs);
}

/* Every fact of the hot path that an attribute holds; one pass. */
static void decode_item(struct object *o, const struct ttlv_item *it)
{
	/* clang-format off */
	switch (it->tag) {
	case TAG_STATE: o->stored_state = (enum object_state)ttlv_item_int(it); break;
	case TAG_ACTIVATION_DATE: o->activation_date = ttlv_item_long(it); break;
	case TAG_PROCESS_START_DATE: o->process_start_date = ttlv_item_long(it); break;
	case TAG_PROTECT_STOP_DATE: o->protect_stop_date = ttlv_item_long(it); break;
	case TAG_DEACTIVATION_DATE: o->deactivation_date = ttlv_item_long(it); break;
	case TAG_INITIAL_DATE: o->initial_date = ttlv_item_long(it); break;
	case TAG_DESTROY_DATE: o->destroy_date = ttlv_item_long(it); break;
	case TAG_ARCHIVE_DATE: o->is_archived = true; break;
	case TAG_USAGE_LIMITS: o->is_limited = true; break;
	case TAG_FRESH: o->is_fresh = ttlv_item_long(it) != 0; break;
	case TAG_REVOCATION_REASON: o->is_revoked = true; break;
	case TAG_ROTATE_AUTOMATIC: o->is_rotated = ttlv_item_long(it) != 0; break;
	case TAG_ROTATE_LATEST: o->is_superseded = ttlv_item_long(it) == 0; break;
	case TAG_ROTATE_INTERVAL: o->rotate_interval = (uint32_t)ttlv_item_int(it); break;
	case TAG_ROTATE_DATE: o->rotate_date = ttlv_item_long(it); break;
	case TAG_CRYPTOGRAPHIC_USAGE_MASK: o->usage_mask = (uint32_t)ttlv_item_int(it); break;
	case TAG_CRYPTOGRAPHIC_ALGORITHM: o->algorithm = (uint32_t)ttlv_item_int(it); break;
	case TAG_CRYPTOGRAPHIC_LENGTH: o->length = (uint32_t)ttlv_item_int(it); break;
	case TAG_KEY_FORMAT_TYPE: o->is_on_tokens = (uint32_t)ttlv_item_int(it) == KMIP_KEY_FORMAT_TYPE_TOKEN; break;
	case TAG_SENSITIVE: o->is_sensitive = ttlv_item_long(it) != 0; break;
	case TAG_EXTRACTABLE: o->is_extractable = ttlv_item_long(it) != 0; break;
	default: break;
	}
	/* clang-format on */
}

/* ttlv_check() has seen the items; a type that does not fit the tag is refused here, because the
 * values above are read by the length of their type. */
static bool has_its_type(const struct ttlv_item *it)
{
	const struct ttlv_tag_info *info = ttlv_tag(it->tag);
	return !info || info->types & 1 << it->type;
}

static kf_err decode(struct object *o)
{
	o->activation_date = o->process_start_date = o->protect_stop_date = DATE_UNSET;
	o->deactivation_date = o->initial_date = o->destroy_date = DATE_UNSET;
	o->rotate_date = DATE_UNSET;
	o->is_extractable = true;
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (!has_its_type(&it))
			return kf_fail(MALFORMED, "attribute has the wrong type");
		decode_item(o, &it);
	}
	return ttlv_done(&r);
}

int64_t object_rotates_at(const struct object *o)
{
	int64_t since = o->rotate_date != DATE_UNSET ? o->rotate_date : o->initial_date,
		at;
	if (!o->is_rotated || o->is_superseded || !o->rotate_interval || o->is_archived ||
		o->is_revoked || object_is_destroyed(o) || since == DATE_UNSET ||
		__builtin_add_overflow(since, o->rotate_interval, &at))
		return DATE_UNSET;
	return at;
}

bool object_name(const struct object *o, size_t n, struct slice *ret)
{
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (it.tag != TAG_NAME || it.type != TTLV_STRUCT || n--)
			continue;
		struct ttlv_reader name = ttlv_read(it.value);
		ttlv_get_text(&name, TAG_NAME_VALUE, ret);
		return ttlv_ok(&name);
	}
	return false;
}

static kf_err fill(struct object *o, const struct object_parts *parts)
{
	KF_TRY(slice_to_text(parts->id, o->id, sizeof(o->id)));
	KF_TRY(slice_to_text(parts->owner, o->owner, sizeof(o->owner)));
	if (!o->id[0])
		return kf_fail(MALFORMED, "object has no id");
	if (parts->type < OBJECT_CERTIFICATE || parts->type > OBJECT_CERTIFICATE_REQUEST)
		return kf_fail(MALFORMED, "object type is unknown");
	autobuf sealed = buf_new(parts->sealed.n);
	buf_add_slice(&sealed, parts->sealed);
	KF_TRY(buf_err(&sealed));
	object_set_sealed(o, &sealed);
	return decode(o);
}

kf_err object_new(const struct object_parts *parts, struct object **ret)
{
	if (parts->attrs.n > ATTRS_MAX)
		return kf_fail(TOO_BIG, "attributes of an object");
	KF_TRY(ttlv_check(parts->attrs));
	CLEANUP(object_unrefp) struct object *o = allocate(parts->attrs.n);
	if (!o)
		return kf_fail(NOMEM, "making an object");
	atomic_init(&o->refs, 1);
	o->type = parts->type;
	o->version = parts->version;
	uint8_t *attrs = (uint8_t *)(o + 1);
	if (parts->attrs.n)
		memcpy(attrs, parts->attrs.p, parts->attrs.n);
	o->attrs = (struct slice){ attrs, parts->attrs.n };
	KF_TRY(fill(o, parts));
	*ret = o;
	o = NULL;
	return KF_OK;
}

/* Counting is all that a reader changes, so a reference may be taken of a const object. */
static struct object *countable(const struct object *o)
{
	return (struct object *)(uintptr_t)o;
}

struct object *object_ref(const struct object *o)
{
	struct object *own = countable(o);
	atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
	return own;
}

static void wipe(struct slice *s)
{
	void *p = (void *)(uintptr_t)s->p;
	if (p)
		explicit_bzero(p, s->n);
	free(p);
	*s = (struct slice){ 0 };
}

void object_unref(struct object *o)
{
	if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	wipe(&o->sealed);
	token_key_put(o->key);
	object_opened_free(atomic_load_explicit(&o->opened, memory_order_acquire));
	free(o);
}

void object_unrefp(struct object **o) { object_unref(*o); }

void object_set_sealed(struct object *o, struct buf *take)
{
	wipe(&o->sealed);
	if (take->n) {
		o->sealed = buf_slice(take);
		*take = buf_new(take->limit);
	}
}

void object_set_key(struct object *o, struct token_key *take)
{
	token_key_put(o->key);
	o->key = take;
	if (take)
		memcpy(o->key_id, take->id, sizeof(o->key_id));
}

static bool has_passed(int64_t date, int64_t now)
{
	return date != DATE_UNSET && date <= now;
}

enum object_state object_state(const struct object *o, int64_t now_s)
{
	enum object_state state = o->stored_state;
	if (state == STATE_PRE_ACTIVE && has_passed(o->activation_date, now_s))
		state = STATE_ACTIVE;
	if (state == STATE_ACTIVE && has_passed(o->deactivation_date, now_s))
		state = STATE_DEACTIVATED;
	return state;
}

static void add_text(struct buf *ret, const char *text)
{
	buf_add_u32(ret, (uint32_t)strlen(text));
	buf_add_text(ret, text);
}

kf_err object_binding(const struct object *o, struct buf *ret)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA256(o->attrs.n ? o->attrs.p : (const uint8_t *)"", o->attrs.n, hash);
	add_text(ret, "keyfleet object 1");
	add_text(ret, o->id);
	buf_add_u32(ret, o->type);
	add_text(ret, o->owner);
	buf_add_u64(ret, o->version);
	buf_add(ret, hash, sizeof(hash));
	return buf_err(ret);
}
