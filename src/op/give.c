/* SPDX-License-Identifier: Apache-2.0
 *
 * On the hot path (Get of what is given out as it is) nothing is copied: the value is written from where
 * the store has it open (store_material()), or is unsealed into the call's own memory.
 */
#include "op/give.h"
#include "op/key_file.h"
#include "op/material.h"
#include "op/step.h"
#include "op/token_step.h"
#include "op/usage.h"
#include <stdlib.h>

/* The call keeps the bytes that the object points to from now on. */
static void keep(struct op_call *call, struct buf *bytes)
{
	const struct buf was = call->scratch;
	call->scratch = *bytes;
	*bytes = was; /* the caller's cleanup wipes it */
}

/* --- as it was registered, or not --- */

static bool wants_registered(const struct get_request *q)
{
	return q->key_wrap_type != KMIP_KEY_WRAP_TYPE_NOT_WRAPPED &&
	       !q->key_wrapping_specification.n && !q->key_format_type &&
	       !q->key_compression_type;
}

static void release(struct op_call *call)
{
	struct giving *g = OP_REQUEST(call, struct giving);

	wrapping_free(g->wrapping);
	g->wrapping = NULL;
	if (g->unwrapping)
		unwrapping_clear(g->unwrapping);
	free(g->unwrapping);
	g->unwrapping = NULL;
	key_file_giving_free(g->file);
	g->file = NULL;
	call->use = (struct use_job){ 0 };
}

static kf_err open_block(
	struct op_call *call, const struct unwrapping *u, struct key_block *kb)
{
	autobuf bytes = buf_new(call->server->message_max);

	KF_TRY(op_unwrap(call, u, kb, &bytes));
	if (wrap_encrypts(&u->how))
		keep(call, &bytes);
	return KF_OK;
}

/* What takes long, and tokens do, is for a worker. */
static kf_err unwrap_later(struct op_call *call, struct unwrapping *u)
{
	struct giving *g = OP_REQUEST(call, struct giving);

	if (call->object->is_sensitive)
		return kf_fail(SENSITIVE, "the object is sensitive");
	if (g->q.key_wrapping_specification.n)
		return kf_fail(FEATURE, "to be unwrapped and wrapped anew at once, by a "
					"key on tokens or of RSA");
	g->unwrapping = calloc(1, sizeof(*u));
	if (!g->unwrapping)
		return kf_fail(NOMEM, "key wrapping");
	*g->unwrapping = *u;
	*u = (struct unwrapping){ 0 };
	call->release = release;
	return KF_OK;
}

/* There is a Key Block, and another one can take its place. */
static kf_err check_block(const struct kmip_object *o)
{
	return o->block.format && !kmip_object_is_kept_whole(o->type)
		       ? KF_OK
		       : kf_fail(OBJECT_TYPE,
				 "objects of this type are not wrapped, or unwrapped");
}

/* The key that wraps it was not known when it was registered; it may be now. */
static kf_err unwrap(struct op_call *call, struct kmip_object *o)
{
	CLEANUP(unwrapping_clear) struct unwrapping u = { 0 };
	struct key_block *kb = &o->block;
	bool is_known = false;

	KF_TRY(check_block(o));
	KF_TRY(op_unwrap_find(call, kb, &u, &is_known));
	if (!is_known)
		return kf_fail(WRAP_TYPE, "the key is wrapped by a key that is not here");
	return unwrapping_is_quick(&u) ? open_block(call, &u, kb)
				       : unwrap_later(call, &u);
}

/* What came as PKCS#12 leaves so unless another format is asked for, also wrapped by a key. */
static kf_err choose_file(struct kmip_object *o)
{
	struct kmip_object registered = { 0 };

	KF_TRY(kmip_object_parse(o->registered, &registered));
	if (!registered.block.is_wrapped)
		*o = registered;
	return KF_OK;
}

static kf_err choose(
	struct op_call *call, const struct get_request *q, struct kmip_object *o)
{
	if (wants_registered(q))
		return o->registered.n ? kmip_object_parse(o->registered, o) : KF_OK;
	if (o->registered.n && !q->key_format_type)
		KF_TRY(choose_file(o));
	return o->block.is_wrapped ? unwrap(call, o) : KF_OK;
}

/* --- secrecy --- */

static bool leaves_encrypted(const struct op_call *call, const struct get_request *q,
	const struct kmip_object *o)
{
	struct key_wrapping how;

	if (!q->key_wrapping_specification.n)
		return o->block.is_wrapped && o->block.is_encoded;
	return kf_ok(key_wrapping_specification_parse(
		       q->key_wrapping_specification, call->version, &how)) &&
	       wrap_encrypts(&how);
}

static kf_err check_secrecy(const struct op_call *call, const struct get_request *q,
	const struct kmip_object *o)
{
	if (call->object->is_sensitive && !leaves_encrypted(call, q, o))
		return kf_fail(SENSITIVE, "the object is sensitive");
	return KF_OK;
}

/* --- the forms --- */

/* A certificate has one format, and a key the one that it was registered in. */
static bool is_in(const struct kmip_object *k, uint32_t format)
{
	if (k->type == KMIP_OBJECT_TYPE_CERTIFICATE)
		return format == KMIP_KEY_FORMAT_TYPE_X_509 &&
		       k->certificate_type == KMIP_CERTIFICATE_TYPE_X_509;
	return format == k->block.format;
}

/* The converted key replaces the registered one in the answer. */
static kf_err convert(struct op_call *call, uint32_t format, struct kmip_object *k)
{
	autobuf other = buf_new(call->server->message_max);

	if (!format || is_in(k, format))
		return KF_OK;
	if (!ttlv_value_in(TTLV_KIND_KEY_FORMAT_TYPE, format, call->version))
		return kf_fail(KEY_FORMAT, "the version has no such Key Format Type");
	KF_TRY(material_convert(k, format, material_alg(call->object), &other));
	keep(call, &other);
	return KF_OK;
}

static kf_err compress(struct op_call *call, uint32_t type, struct kmip_object *k)
{
	autobuf other = buf_new(call->server->message_max);

	if (!type)
		return KF_OK;
	KF_TRY(material_compress(k, type, material_alg(call->object), &other));
	keep(call, &other);
	return KF_OK;
}

static kf_err end_wrapping(
	struct op_call *call, struct wrapping *w, struct key_block *block)
{
	autobuf bytes = buf_new(call->server->message_max);

	KF_TRY(op_wrap_end(call, w, block, &bytes));
	keep(call, &bytes);
	return KF_OK;
}

/* A token has done its part. */
static kf_err after_use(struct op_call *call)
{
	struct giving *g = OP_REQUEST(call, struct giving);
	return end_wrapping(call, g->wrapping, &g->a.object.block);
}

static kf_err wrap(struct op_call *call, struct giving *g)
{
	CLEANUP(wrapping_freep) struct wrapping *w = NULL;
	struct key_block *block = &g->a.object.block;

	KF_TRY(check_block(&g->a.object));
	KF_TRY(op_wrap(call, g->q.key_wrapping_specification, block, &w));
	if (!wrapping_waits(w))
		return end_wrapping(call, w, block);
	g->wrapping = w;
	w = NULL;
	call->release = release;
	call->after_use = after_use;
	return KF_OK;
}

static kf_err shape(struct op_call *call, struct giving *g)
{
	KF_TRY(convert(call, g->q.key_format_type, &g->a.object));
	KF_TRY(compress(call, g->q.key_compression_type, &g->a.object));
	return g->q.key_wrapping_specification.n ? wrap(call, g) : KF_OK;
}

/* What the version has no name for is neither cut nor converted unasked. */
static kf_err check_version(const struct op_call *call, const struct kmip_object *k)
{
	const struct key_block *b = &k->block;
	if (b->format &&
		!ttlv_value_in(TTLV_KIND_KEY_FORMAT_TYPE, b->format, call->version))
		return kf_fail(KEY_FORMAT, "the version has no such Key Format Type");
	if (b->is_transparent && !ttlv_fits(b->material, call->version))
		return kf_fail(KEY_FORMAT, "the version has no name for the curve");
	return KF_OK;
}

static kf_err finish(struct op_call *call, struct giving *g)
{
	KF_TRY(check_secrecy(call, &g->q, &g->a.object));
	if (!wants_registered(&g->q))
		KF_TRY(shape(call, g));
	return check_version(call, &g->a.object);
}

static kf_err give(struct op_call *call, struct giving *g)
{
	const struct get_request *q = &g->q;
	const struct object *o = call->object;
	struct kmip_object *k = &g->a.object;
	struct slice material;

	if (!ttlv_value_in(TTLV_KIND_OBJECT_TYPE, o->type, call->version))
		return kf_fail(OBJECT_TYPE, "the version has no such Object Type");
	KF_TRY(op_check_material(o, call->now_s));
	if (!o->is_extractable)
		return q->key_wrapping_specification.n ? op_check_secrecy_wrapped(o)
						       : op_check_secrecy(o);
	KF_TRY(store_material(call->server->store, o, &call->scratch, &material));
	KF_TRY(kmip_object_parse(material, k));
	if (k->block.format == KMIP_KEY_FORMAT_TYPE_TOKEN)
		return kf_fail(SENSITIVE, "the key is on tokens");
	KF_TRY(choose(call, q, k));
	return g->unwrapping ? KF_OK : finish(call, g);
}

/* The key is given as PKCS#8, to a worker that makes the file. */
static kf_err give_file(struct op_call *call, struct giving *g)
{
	KF_TRY(key_file_check_wish(call, &g->q));
	g->q.key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_8;
	const kf_err err = give(call, g);
	g->q.key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_12;
	KF_TRY(err);
	if (g->unwrapping)
		return kf_fail(FEATURE, "to be unwrapped and put into a file at once, by "
					"a key on tokens or of RSA");
	call->release = release;
	return key_file_gather(call, &g->a.object.block, &g->file);
}

kf_err op_give(struct op_call *call, struct giving *g)
{
	return key_file_is_wanted(&g->q) ? give_file(call, g) : give(call, g);
}

static enum op_next work_file(struct op_call *call)
{
	struct giving *g = OP_REQUEST(call, struct giving);
	return op_then(call, key_file_seal(call, g->file, &g->a.object.block), OP_ANSWER);
}

/* On a worker, perhaps one that reads no catalog: nothing is wrapped here. */
static enum op_next work(struct op_call *call)
{
	struct giving *g = OP_REQUEST(call, struct giving);
	kf_err err = open_block(call, g->unwrapping, &g->a.object.block);

	if (kf_ok(err))
		err = finish(call, g);
	return op_then(call, err, OP_ANSWER);
}

enum op_next op_given(struct op_call *call, const struct giving *g)
{
	if (g->file) {
		call->work = work_file;
		return OP_WORK;
	}
	if (!g->unwrapping)
		return op_commit_usage(call, g->wrapping ? OP_USE : OP_ANSWER);
	if (unwrapping_waits_for_tokens(g->unwrapping))
		return op_token_work(call, work);
	call->work = work;
	return OP_WORK;
}
