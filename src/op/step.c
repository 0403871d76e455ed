/* SPDX-License-Identifier: Apache-2.0 */
#include "op/step.h"
#include "base/clock.h"
#include "crypt/uuid.h"
#include "op/ids.h"
#include "op/lease.h"
#include "op/served.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

void op_start_payload(const struct op_call *call, struct ttlv_reader *ret)
{
	ttlv_start(ret, call->payload, call->version, call->is_lenient);
}

struct ttlv_reader op_payload(const struct op_call *call)
{
	return ttlv_read_as(call->payload, call->version, call->is_lenient);
}

enum op_next op_then(struct op_call *call, kf_err err, enum op_next next)
{
	call->err = err;
	return kf_ok(err) ? next : OP_FAIL;
}

/* --- objects --- */

static kf_err take_placeholder(struct op_call *call)
{
	if (!call->placeholder[0])
		return kf_fail(
			NO_IDENTIFIER, "no Unique Identifier and no ID Placeholder");
	memcpy(call->object_id, call->placeholder, sizeof(call->object_id));
	memcpy(call->asked_id, call->placeholder, sizeof(call->asked_id));
	return KF_OK;
}

/* What a repeated request must mean again. */
static kf_err asked_for(struct op_call *call, kf_err err)
{
	if (kf_ok(err))
		memcpy(call->asked_id, call->object_id, sizeof(call->asked_id));
	return err;
}

static kf_err take_id(struct op_call *call, const struct kmip_uid *uid)
{
	switch (uid->kind) {
	case KMIP_UID_ABSENT: return take_placeholder(call);
	case KMIP_UID_ENUM:
		if (uid->number == KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER)
			return take_placeholder(call);
		return asked_for(call,
			op_ids_last(call->ids, (uint32_t)uid->number, call->object_id));
	case KMIP_UID_INT:
		return asked_for(
			call, op_ids_nth(call->ids, uid->number, call->object_id));
	case KMIP_UID_TEXT: break;
	}
	/* What does not fit is no identifier of ours: not found, like any other. */
	if (!kf_ok(slice_to_text(uid->text, call->object_id, sizeof(call->object_id))))
		memcpy(call->object_id, "-", sizeof("-"));
	return KF_OK;
}

kf_err op_find_named(
	const struct op_call *call, const struct kmip_uid *uid, const struct object **ret)
{
	char id[OBJECT_ID_SIZE] = "-";

	switch (uid->kind) {
	case KMIP_UID_ABSENT: return kf_fail(NO_IDENTIFIER, "no Unique Identifier");
	case KMIP_UID_ENUM:
		if (uid->number == KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER)
			memcpy(id, call->placeholder, sizeof(id));
		else
			KF_TRY(op_ids_last(call->ids, (uint32_t)uid->number, id));
		break;
	case KMIP_UID_INT: KF_TRY(op_ids_nth(call->ids, uid->number, id)); break;
	case KMIP_UID_TEXT:
		*ret = catalog_find(call->server->catalog, uid->text);
		return KF_OK;
	}
	*ret = catalog_find(call->server->catalog, slice_of(id));
	return KF_OK;
}

kf_err op_use_other(struct op_call *call, const struct object *o, enum permission wanted)
{
	const struct decision d =
		policy_decide_linked(call->server->catalog, call->who, wanted, o);
	if (!o || !d.is_allowed)
		return kf_fail(
			NOT_FOUND, "no such object, or none that this client may know");
	return call->charge && policy_limits(&d) ? call->charge(call, d.grant) : KF_OK;
}

kf_err op_name_object(struct op_call *call, const struct kmip_uid *uid)
{
	KF_TRY(take_id(call, uid));
	const struct object *o =
		catalog_find(call->server->catalog, slice_of(call->object_id));
	call->object = o ? object_ref(o) : NULL;
	return KF_OK;
}

struct kmip_uid op_uid(const struct op_call *call)
{
	return kmip_uid_text(slice_of(call->object_id));
}

kf_err op_check_material(const struct object *o, int64_t now_s)
{
	const enum object_state state = object_state(o, now_s);
	if (state == STATE_DESTROYED || state == STATE_DESTROYED_COMPROMISED)
		return kf_fail(DESTROYED, "the object is destroyed");
	return op_check_present(o);
}

kf_err op_check_present(const struct object *o)
{
	return o->is_archived ? kf_fail(ARCHIVED, "the object is archived") : KF_OK;
}

kf_err op_check_secrecy(const struct object *o)
{
	if (o->is_sensitive)
		return kf_fail(SENSITIVE, "the object is sensitive");
	return op_check_secrecy_wrapped(o);
}

kf_err op_check_secrecy_wrapped(const struct object *o)
{
	if (!o->is_extractable)
		return kf_fail(NOT_EXTRACTABLE, "the object is not extractable");
	return KF_OK;
}

static kf_err check_state(const struct object *o, int64_t now_s, enum op_use use)
{
	const enum object_state state = object_state(o, now_s);
	if (state == STATE_PRE_ACTIVE)
		return kf_fail(STATE, "the key is not active yet");
	if (state != STATE_ACTIVE && use == OP_PROTECT)
		return kf_fail(STATE, "the key is not active any more");
	if (use == OP_PROTECT && o->protect_stop_date != DATE_UNSET &&
		o->protect_stop_date <= now_s)
		return kf_fail(STATE, "Protect Stop Date has passed");
	if (use == OP_PROCESS && o->process_start_date != DATE_UNSET &&
		o->process_start_date > now_s)
		return kf_fail(STATE, "Process Start Date has not come");
	return KF_OK;
}

kf_err op_check_use(const struct op_call *call, enum op_use use, uint32_t usage)
{
	return op_check_use_of(call->object, call->now_s, use, usage);
}

kf_err op_check_use_of(
	const struct object *o, int64_t now_s, enum op_use use, uint32_t usage)
{
	KF_TRY(op_check_material(o, now_s));
	KF_TRY(check_state(o, now_s, use));
	if (!(o->usage_mask & usage))
		return kf_fail(USAGE, "Cryptographic Usage Mask does not allow this");
	return KF_OK;
}

kf_err op_check_legacy(const struct op_call *call, const struct alg *alg)
{
	if (alg->is_legacy && !call->server->allows_legacy)
		return kf_fail(INVALID_FIELD,
			"RSA with 1024 bits is too weak; see `legacy_rsa_1024`");
	return KF_OK;
}

bool op_short_id(const char *id, uint8_t ret[SHORT_ID_SIZE])
{
	char digits[2 * SHORT_ID_SIZE + 1];
	size_t n = 0;

	for (; *id && n < 2 * SHORT_ID_SIZE; id++)
		if (*id != '-')
			digits[n++] = *id;
	digits[n] = '\0';
	return !*id && n == 2 * SHORT_ID_SIZE &&
	       OPENSSL_hexstr2buf_ex(ret, SHORT_ID_SIZE, NULL, digits, '\0') == 1;
}

static void add_short_id(const struct object *o, struct buf *ret)
{
	uint8_t id[SHORT_ID_SIZE];
	struct ttlv_writer w = ttlv_write(ret, 0);
	if (op_short_id(o->id, id))
		ttlv_put_bytes(&w, TAG_SHORT_UNIQUE_IDENTIFIER,
			(struct slice){ id, sizeof(id) });
}

static void add_lease(const struct op_call *call, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, 0);
	ttlv_put_interval(&w, TAG_LEASE_TIME, lease_of(call));
}

static void add_storage(const struct object *o, struct buf *ret)
{
	const bool is_on_token = o->key && pool_key_is(o->key);
	if (!attrs_count(o->attrs, TAG_PROTECTION_STORAGE_MASK))
		attrs_add_int(ret, TAG_PROTECTION_STORAGE_MASK,
			is_on_token ? KMIP_PROTECTION_STORAGE_MASK_HARDWARE
				    : KMIP_PROTECTION_STORAGE_MASK_SOFTWARE);
}

kf_err op_check_tells(const struct op_call *call)
{
	return policy_decide_linked(call->server->catalog, call->who, PERM_GET_ATTRIBUTES,
		       call->object)
			       .is_allowed
		       ? KF_OK
		       : kf_fail(DENIED, "no grant allows to read the attributes");
}

void op_attrs_now(const struct op_call *call, struct buf *ret)
{
	const struct object *o = call->object;
	const enum object_state state = object_state(o, call->now_s);

	buf_add_slice(ret, o->attrs);
	if (state != o->stored_state)
		attrs_set_enum(ret, TAG_STATE, state);
	if (o->is_fresh && !object_is_fresh(o))
		attrs_set_bool(ret, TAG_FRESH, false);
	add_short_id(o, ret);
	add_lease(call, ret);
	add_storage(o, ret);
}

/* By time: what is made one after the other lies side by side in the database's indexes. */
void op_new_id(char ret[OBJECT_ID_SIZE])
{
	static_assert((int)OBJECT_ID_SIZE == (int)UUID_TEXT);
	/* Without random numbers nothing here may go on. */
	if (!kf_ok(uuid_by_time(clock_wall_us(), ret)))
		abort();
}

/* --- changes --- */

kf_err op_mutate_room(struct op_call *call, size_t n)
{
	assert(n <= CHANGE_MUTATIONS_MAX && !call->change.more);
	if (n <= CHANGE_MUTATIONS)
		return KF_OK;
	call->change.more = calloc(n - CHANGE_MUTATIONS, sizeof(*call->change.more));
	return call->change.more ? KF_OK : kf_fail(NOMEM, "a change of many objects");
}

struct mutation *op_mutate(struct op_call *call, enum mutation_kind kind)
{
	assert(call->change.n < CHANGE_MUTATIONS || call->change.more);
	struct mutation *m = change_mutation(&call->change, call->change.n++);
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	return m;
}

/* That it was served meanwhile is not undone by a change. */
static struct slice still_served(
	const struct object *was, const struct buf *attrs, struct buf *own)
{
	if (!was->is_fresh || object_is_fresh(was))
		return buf_slice(attrs);
	own->limit = attrs->limit;
	buf_add_slice(own, buf_slice(attrs));
	attrs_set_bool(own, TAG_FRESH, false);
	return buf_slice(own);
}

kf_err op_replace_object(
	struct op_call *call, const struct buf *attrs, bool keeps_material)
{
	return op_replace_other(call, call->object, attrs, keeps_material);
}

kf_err op_replace_other(struct op_call *call, const struct object *was,
	const struct buf *attrs, bool keeps_material)
{
	autobuf own = buf_new(0);
	const struct object_parts parts = {
		.id = slice_of(was->id),
		.owner = slice_of(was->owner),
		.attrs = still_served(was, attrs, &own),
		.type = was->type,
		.version = was->version + 1,
	};
	struct object *o = NULL;

	KF_TRY(buf_err(attrs));
	KF_TRY(buf_err(&own));
	KF_TRY(object_new(&parts, &o));
	struct mutation *m = op_mutate(call, PUT_OBJECT);
	m->expected_version = was->version;
	m->object.object = o;
	m->object.was = keeps_material ? object_ref(was) : NULL;
	return KF_OK;
}
