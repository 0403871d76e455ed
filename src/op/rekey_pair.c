/* SPDX-License-Identifier: Apache-2.0
 *
 * Re-key Key Pair: Create Key Pair with the attributes of an older pair.  A key on tokens is followed by one on
 * the tokens of the same pool.
 */
#include "kmip/rekey.h"
#include "op/attr_rule.h"
#include "op/pair.h"
#include "op/replace.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct rekey_pair_call {
	struct pair_call pair; /* first: pair_of() */
	struct create_key_pair_request said;
	bool has_offset;
	uint32_t offset_s;
	struct object *public_key; /* the old one; a reference, or NULL */
	struct buf private_set, public_set;
	char label[TOKEN_LABEL_SIZE];
};

static struct rekey_pair_call *rekey_of(struct op_call *call)
{
	return OP_REQUEST(call, struct rekey_pair_call);
}

kf_err op_rekey_pair_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct rekey_pair_call *k = rekey_of(call);
	struct rekey_pair_request q;
	KF_TRY(rekey_pair_get_request(&r, &q, &call->attrs));
	k->has_offset = q.has_offset;
	k->offset_s = q.offset_s;
	k->said = q.sets;
	return op_name_object(call, &q.uid);
}

static void release(struct op_call *call)
{
	struct rekey_pair_call *k = rekey_of(call);
	pair_free(call);
	buf_free(&k->private_set);
	buf_free(&k->public_set);
	object_unref(k->public_key);
	k->public_key = NULL;
}

/* The other half; one that is gone is made anew all the same. */
static void find_public(struct op_call *call)
{
	struct slice id;
	const struct object *o = NULL;
	if (attrs_get_link(call->object->attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &id))
		o = catalog_find(call->server->catalog, id);
	if (o && o->type == OBJECT_PUBLIC_KEY && !strcmp(o->owner, call->object->owner) &&
		kf_ok(op_check_material(o, call->now_s)))
		rekey_of(call)->public_key = object_ref(o);
}

/* The set of one half: what the old one had, under what the request says. */
static kf_err compose(
	struct op_call *call, const struct object *old, struct slice own, struct buf *ret)
{
	const struct rekey_pair_call *k = rekey_of(call);
	autobuf said = buf_new(call->server->message_max);
	*ret = buf_new(call->server->message_max);
	buf_add_slice(&said, k->said.common);
	buf_add_slice(&said, own);
	KF_TRY(buf_err(&said));
	KF_TRY(attr_rule_check_wishes(buf_slice(&said), attr_key_wishes));
	const struct replace_wish wish = { k->has_offset, k->offset_s, buf_slice(&said) };
	return replace_attributes(old, &wish, call->now_s, ret);
}

/* A public key that there was none of gets what its private key says of both. */
static kf_err compose_public(struct op_call *call, struct slice own)
{
	struct rekey_pair_call *k = rekey_of(call);
	const struct object *old = k->public_key ? k->public_key : call->object;
	KF_TRY(compose(call, old, own, &k->public_set));
	if (k->public_key)
		return KF_OK;
	attrs_remove_all(&k->public_set, TAG_NAME);
	attrs_remove_all(&k->public_set, TAG_CRYPTOGRAPHIC_USAGE_MASK);
	attrs_remove_all(&k->public_set, TAG_SENSITIVE);
	attrs_remove_all(&k->public_set, TAG_EXTRACTABLE);
	attrs_remove_all(&k->public_set, TAG_USAGE_LIMITS);
	return buf_err(&k->public_set);
}

/* On tokens it is told from the one before by its generation. */
static void set_label(struct op_call *call)
{
	struct rekey_pair_call *k = rekey_of(call);
	struct slice name;
	int32_t generation = 0;
	if (!object_name(call->object, 0, &name))
		return;
	(void)attrs_get_int(call->object->attrs, TAG_ROTATE_GENERATION, &generation);
	snprintf(k->label, sizeof(k->label), "%.*s-%" PRId64, (int)name.n,
		(const char *)name.p, (int64_t)generation + 2);
	k->pair.label = slice_of(k->label);
}

static kf_err prepare(struct op_call *call)
{
	struct rekey_pair_call *k = rekey_of(call);
	if (call->object->type != OBJECT_PRIVATE_KEY)
		return kf_fail(OBJECT_TYPE, "a pair is re-keyed by its private key");
	KF_TRY(replace_check(call, call->object));
	find_public(call);
	KF_TRY(compose(call, call->object, k->said.private_key, &k->private_set));
	KF_TRY(compose_public(call, k->said.public_key));
	k->pair.q = (struct create_key_pair_request){
		.private_key = buf_slice(&k->private_set),
		.public_key = buf_slice(&k->public_set),
	};
	k->pair.old_private = call->object;
	k->pair.old_public = k->public_key;
	set_label(call);
	return KF_OK;
}

enum op_next op_rekey_pair_start(struct op_call *call)
{
	call->release = release;
	kf_err e = prepare(call);
	return kf_ok(e) ? pair_start(call) : op_then(call, e, OP_FAIL);
}

void op_rekey_pair_answer(struct op_call *call, struct ttlv_writer *w)
{
	op_create_key_pair_answer(call, w);
}
