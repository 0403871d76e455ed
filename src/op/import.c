/* SPDX-License-Identifier: Apache-2.0
 *
 * Import: an object with the identifier and all the attributes that it had elsewhere.  What is done with the
 * object itself: op/take.c.
 */
#include "kmip/import.h"
#include "op/attr_rule.h"
#include "op/take.h"
#include <ctype.h>
#include <string.h>

struct import_call {
	struct taking taking;
	struct import_request q;
	struct object *replaces; /* owned reference, or NULL */
};

static struct import_call *import_of(struct op_call *call)
{
	return OP_REQUEST(call, struct import_call);
}

kf_err op_import_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return import_get_request(&r, &import_of(call)->q, &call->attrs);
}

/* --- its identifier --- */

static bool is_id_char(uint8_t c, bool is_first)
{
	return isalnum(c) || (!is_first && (c == '-' || c == '_' || c == '.'));
}

/* Identifiers stand in grants, in the audit log and on command lines: others than these get a new one,
 * which the answer tells (KMIP 1.4, Import). */
static bool is_usable(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!is_id_char(id.p[i], i == 0))
			return false;
	return id.n && id.n < OBJECT_ID_SIZE;
}

/* Destroy does not touch what is active: who may not revoke it does not get around that. */
static kf_err check_active(struct op_call *call, const struct object *was)
{
	if (object_state(was, call->now_s) != STATE_ACTIVE)
		return KF_OK;
	const kf_err err = op_use_other(call, was, PERM_REVOKE);
	return kf_is(err, KF_E_NOT_FOUND)
		       ? kf_fail(DENIED, "no grant allows to revoke what is active")
		       : err;
}

/* What is known of a key on tokens stays, even of one that was destroyed: it is still to be deleted from
 * tokens that were away. */
static kf_err check_replaced(struct op_call *call, const struct object *was)
{
	const struct import_call *g = import_of(call);
	const kf_err err = g->q.replaces_existing ? op_use_other(call, was, PERM_DESTROY)
						  : kf_fail(NOT_FOUND, "not asked for");

	if (kf_is(err, KF_E_NOT_FOUND))
		return kf_fail(EXISTS, "another object has this Unique Identifier");
	KF_TRY(err);
	if (was->type != g->taking.make.type)
		return kf_fail(
			INVALID_FIELD, "the object to be replaced is of another type");
	if ((was->key && pool_key_is(was->key)) ||
		!kf_ok(attr_rule_check_claims(was->attrs)))
		return kf_fail(FEATURE, "a key on tokens is not replaced");
	return check_active(call, was);
}

static kf_err take_id(struct op_call *call)
{
	struct import_call *g = import_of(call);
	struct make *m = &g->taking.make;

	if (g->q.uid.kind != KMIP_UID_TEXT)
		return kf_fail(INVALID_FIELD, "Unique Identifier is no text");
	if (!is_usable(g->q.uid.text))
		return KF_OK;
	KF_TRY(slice_to_text(g->q.uid.text, m->id, sizeof(m->id)));
	const struct object *was = catalog_find(call->server->catalog, slice_of(m->id));
	if (!was)
		return KF_OK;
	KF_TRY(check_replaced(call, was));
	m->overwrites = g->replaces = object_ref(was);
	return KF_OK;
}

/* --- its attributes --- */

static kf_err check_state(struct slice attrs)
{
	uint32_t state = STATE_ACTIVE;
	(void)attrs_get_enum(attrs, TAG_STATE, &state);
	if (state < STATE_PRE_ACTIVE || state > STATE_COMPROMISED)
		return kf_fail(
			INVALID_FIELD, "an object that is destroyed is not imported");
	return KF_OK;
}

static kf_err check_type(struct slice attrs, uint32_t is)
{
	uint32_t said = is;
	(void)attrs_get_enum(attrs, TAG_OBJECT_TYPE, &said);
	return said == is ? KF_OK : kf_fail(INVALID_FIELD, "Object Type is another one");
}

/* What follows from the object is set from the object. */
static kf_err clean(struct op_call *call)
{
	static const uint32_t ours[] = { TAG_UNIQUE_IDENTIFIER,
		TAG_SHORT_UNIQUE_IDENTIFIER, TAG_OBJECT_TYPE, TAG_LEASE_TIME };
	struct import_call *g = import_of(call);
	struct buf *attrs = &call->attrs;

	KF_TRY(check_state(g->q.attributes));
	KF_TRY(check_type(g->q.attributes, g->q.object.type));
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		attrs_remove_all(attrs, ours[i]);
	g->q.attributes = g->taking.attributes = buf_slice(attrs);
	return buf_err(attrs);
}

/* Digests of the object as it came must be right; those of other forms of it cannot be known. */
static kf_err check_digest(struct make *m, const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct slice value = { 0 };
	uint32_t hash = 0, format = m->format;

	ttlv_get_enum(&r, TAG_HASHING_ALGORITHM, &hash);
	ttlv_opt_bytes(&r, TAG_DIGEST_VALUE, &value);
	(void)ttlv_opt_enum(&r, TAG_KEY_FORMAT_TYPE, &format);
	KF_TRY(ttlv_done(&r));
	const struct slice is = { m->digest, sizeof(m->digest) };
	if (hash == KMIP_HASHING_ALGORITHM_SHA_256 && format == m->format &&
		!slice_eq(value, is))
		return kf_fail(INVALID_FIELD, "the Digest is not the object's");
	return KF_OK;
}

static kf_err settle_digest(struct taking *t)
{
	struct make *m = &t->make;
	const struct slice attrs = buf_slice(&m->attrs);
	struct ttlv_item it;

	/* Of a key that stays wrapped only the client knows it. */
	if (t->object.block.is_wrapped && attrs_count(attrs, TAG_DIGEST)) {
		m->has_digest = false;
		return KF_OK;
	}
	for (size_t i = 0; attrs_find(attrs, TAG_DIGEST, i, &it); i++)
		KF_TRY(check_digest(m, &it));
	attrs_remove_all(&m->attrs, TAG_DIGEST);
	return KF_OK;
}

/* --- all of it --- */

/* What was active once still decrypts, verifies and unwraps. */
static bool is_live(struct slice attrs)
{
	uint32_t state = STATE_PRE_ACTIVE;
	(void)attrs_get_enum(attrs, TAG_STATE, &state);
	return state != STATE_PRE_ACTIVE || attrs_count(attrs, TAG_ACTIVATION_DATE);
}

/* Who may replace what another owns need not be allowed to bring it to life.  Of a new object he is the owner. */
static kf_err check_life(struct op_call *call)
{
	const struct import_call *g = import_of(call);
	if (!g->replaces || !is_live(g->q.attributes))
		return KF_OK;
	return policy_decide(catalog_rights(call->server->catalog), call->who,
		       PERM_ACTIVATE, g->replaces)
			       .is_allowed
		       ? KF_OK
		       : kf_fail(DENIED, "no grant allows to activate it");
}

static kf_err make(struct op_call *call)
{
	struct taking *t = &import_of(call)->taking;

	KF_TRY(settle_digest(t));
	return make_object(call, &t->make);
}

static enum op_next finish(struct op_call *call)
{
	memcpy(call->placeholder, import_of(call)->taking.make.id, OBJECT_ID_SIZE);
	return op_then(call, make(call), OP_COMMIT);
}

static void release(struct op_call *call)
{
	struct import_call *g = import_of(call);
	taking_free(&g->taking);
	object_unref(g->replaces);
	g->replaces = NULL;
}

static kf_err prepare(struct op_call *call)
{
	KF_TRY(take_id(call));
	KF_TRY(clean(call));
	return check_life(call);
}

enum op_next op_import_start(struct op_call *call)
{
	struct import_call *g = import_of(call);

	g->taking = (struct taking){
		.object = g->q.object,
		.make = make_new(call, (enum object_type)g->q.object.type),
		.must_unwrap = g->q.key_wrap_type == KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
		.finish = finish,
	};
	g->taking.make.is_import = true;
	call->release = release;
	const kf_err err = prepare(call);
	return kf_ok(err) ? take_start(call) : op_then(call, err, OP_FAIL);
}

void op_import_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct import_call *g = import_of(call);
	import_put_response(w,
		&(struct import_response){ kmip_uid_text(slice_of(g->taking.make.id)) });
}
