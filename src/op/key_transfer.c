/* SPDX-License-Identifier: Apache-2.0
 *
 * Key Transfer: copies of a key for other tokens, and for a file.  For the administrator.
 */
#include "op/material.h"
#include "op/token_key.h"
#include "op/token_step.h"
#include <stdlib.h>
#include <string.h>

struct transfer_call {
	enum key_transfer_kind kind;
	struct buf file, facts;
};

static struct transfer_call *transfer_of(struct op_call *call)
{
	return OP_REQUEST(call, struct transfer_call);
}

/* For the record, which shows the first of very many; none: all of the pool. */
static void name_tokens(struct op_call *call, const struct key_transfer *q)
{
	struct buf *text = &call->scratch;
	for (size_t i = 0; i < q->n; i++) {
		if (i)
			buf_add_u8(text, ' ');
		buf_add_slice(text, q->serial[i]);
	}
	buf_add_u8(text, 0);
	call->token = q->n && kf_ok(buf_err(text)) ? (const char *)text->p : NULL;
}

kf_err op_key_transfer_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct key_transfer q;
	KF_TRY(key_transfer_get_request(&r, &q));
	transfer_of(call)->kind = q.kind;
	name_tokens(call, &q);
	const struct kmip_uid uid = kmip_uid_text(q.uid);
	return op_name_object(call, &uid);
}

/* --- which tokens --- */

struct serials {
	size_t n;
	char text[TOKEN_SERIALS_MAX][TOKEN_SERIAL_SIZE];
	const char *list[TOKEN_SERIALS_MAX];
};

/* The request is read again: so many names are too much to be kept in every call. */
static kf_err read_serials(struct op_call *call, struct serials *ret)
{
	struct ttlv_reader r = op_payload(call);
	struct key_transfer q;
	KF_TRY(key_transfer_get_request(&r, &q));
	for (ret->n = 0; ret->n < q.n; ret->n++) {
		KF_TRY(slice_to_text(
			q.serial[ret->n], ret->text[ret->n], sizeof(ret->text[ret->n])));
		ret->list[ret->n] = ret->text[ret->n];
	}
	return KF_OK;
}

/* --- each of them --- */

static void material_wipe(struct token_material *m) { explicit_bzero(m, sizeof(*m)); }

/* A key that no token holds any more comes from the file that was kept, if one was. */
static kf_err restore_kept(struct op_call *call, const struct provision *p,
	const struct provision_targets *to, struct provision_report *report)
{
	autobuf material = buf_new(call->server->message_max), spki = buf_new(SPKI_MAX);
	struct kmip_object k = { 0 };
	CLEANUP(material_wipe) struct token_material m = { 0 };
	KF_TRY(store_unseal(call->server->store, call->object, &material));
	KF_TRY(kmip_object_parse(buf_slice(&material), &k));
	KF_TRY(token_material_get(k.block.material, &m));
	if (!m.file.n)
		return kf_fail(NOT_FOUND, "no token has this key, and no file is kept");
	return provision_restore(p, m.file, to, 0, &spki, report);
}

static kf_err clone(struct op_call *call, const struct provision *p,
	const struct serials *s, struct provision_report *report)
{
	const struct provision_targets to = { s->list, s->n };
	kf_err e = provision_clone(p, call->object->key_id, &to, report);
	if (kf_is(e, KF_E_NOT_FOUND))
		e = restore_kept(call, p, &to, report);
	return e;
}

static kf_err delete (struct op_call *call, const struct provision *p,
	const struct serials *s, struct provision_report *report)
{
	const struct provision_targets from = { s->list, s->n };
	if (!s->n)
		return kf_fail(MISSING, "from which tokens");
	return provision_delete(p, call->object->key_id, &from, false, report);
}

static kf_err transfer(struct op_call *call, const struct serials *s)
{
	struct transfer_call *t = transfer_of(call);
	struct provision_report report = { 0 };
	const struct provision p = { .pools = call->server->pools,
		.pool = pool_key_pool(call->object->key) };
	switch (t->kind) {
	case KEY_TRANSFER_CLONE: KF_TRY(clone(call, &p, s, &report)); break;
	case KEY_TRANSFER_BACKUP:
		KF_TRY(provision_backup(&p, call->object->key_id, &t->file));
		break;
	case KEY_TRANSFER_DELETE: KF_TRY(delete (call, &p, s, &report)); break;
	}
	op_token_report(&t->facts, &report);
	KF_TRY(buf_err(&t->file));
	return buf_err(&t->facts);
}

/* --- all of them --- */

static void free_answer(struct op_call *call)
{
	buf_free(&transfer_of(call)->file);
	buf_free(&transfer_of(call)->facts);
}

static enum op_next work(struct op_call *call)
{
	struct transfer_call *t = transfer_of(call);
	struct serials *s = calloc(1, sizeof(*s));
	t->file = buf_new(call->server->message_max);
	t->facts = buf_new(call->server->message_max);
	kf_err e = s ? read_serials(call, s) : kf_fail(NOMEM, "list of tokens");
	if (kf_ok(e))
		e = transfer(call, s);
	free(s);
	return op_then(call, e, OP_ANSWER);
}

static kf_err prepare(struct op_call *call)
{
	static const char *const names[] = { [KEY_TRANSFER_CLONE] = "clone",
		[KEY_TRANSFER_BACKUP] = "backup",
		[KEY_TRANSFER_DELETE] = "delete" };
	const enum key_transfer_kind kind = transfer_of(call)->kind;
	const struct object *o = call->object;
	call->mechanism = names[kind]; /* for the record */
	if (!o->key || !pool_key_is(o->key))
		return kf_fail(INVALID_FIELD, "this is no key on tokens");
	return op_token_check(call, pool_key_pool(o->key), kind != KEY_TRANSFER_BACKUP);
}

enum op_next op_key_transfer_start(struct op_call *call)
{
	kf_err e = prepare(call);
	call->release = free_answer;
	return kf_ok(e) ? op_token_work(call, work) : op_then(call, e, OP_FAIL);
}

void op_key_transfer_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct transfer_call *t = transfer_of(call);
	key_transfer_put_response(w, &(struct key_transfer_response){
					     .blob = buf_slice(&t->file),
					     .facts = buf_slice(&t->facts),
				     });
}
