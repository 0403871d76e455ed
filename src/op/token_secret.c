/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_secret.h"
#include "op/material.h"
#include "op/replace.h"
#include "op/slow.h"
#include "op/token_key.h"
#include "op/token_step.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct token_secret *secret_of(struct op_call *call)
{
	return OP_REQUEST(call, struct token_secret);
}

static struct slice wish(const struct token_secret *s, const char *name)
{
	return token_attribute(buf_slice(&s->make.attrs), name);
}

bool token_secret_is_meant(struct slice attrs)
{
	return token_attribute(attrs, TOKEN_ATTRIBUTE_POOL).n > 0;
}

void token_secret_free(struct op_call *call)
{
	struct token_secret *s = secret_of(call);
	if (s->is_made && call->fate == CHANGE_NOT_MADE)
		op_slow_orphan(call->server->slow, s->made_id);
	s->is_made = false;
	make_free(&s->make);
}

/* ---- on a worker ---- */

static kf_err generate(struct op_call *call, const char *pool,
	uint8_t ret_id[KEY_ID_SIZE], struct provision_report *report)
{
	struct token_secret *s = secret_of(call);
	char label[TOKEN_LABEL_SIZE];
	struct slice name = wish(s, TOKEN_ATTRIBUTE_LABEL);
	if (!name.n)
		(void)attrs_get_name(buf_slice(&s->make.attrs), 0, &name);
	KF_TRY(slice_to_text(name.n ? name : slice_of(s->make.id), label, sizeof(label)));
	const struct provision where = { .pools = call->server->pools, .pool = pool };
	const struct provision_new_key in = {
		.key = { .alg = alg_aes((uint32_t)s->make.length),
			.label = label,
			.may_leave = s->copies != 1 },
		.copies = s->copies,
	};
	const kf_err err = provision_generate_secret(&where, &in, ret_id, report);
	static const uint8_t none[KEY_ID_SIZE];
	s->is_made = memcmp(ret_id, none, KEY_ID_SIZE) != 0;
	memcpy(s->made_id, ret_id, KEY_ID_SIZE);
	return err;
}

static kf_err put_material(struct make *m, const char *pool, const uint8_t *key_id)
{
	autobuf bytes = buf_new(1024);
	const struct token_material material = { .pool = slice_of(pool),
		.key_id = { key_id, KEY_ID_SIZE },
		.bits = (uint32_t)m->length };
	token_material_put(&bytes, &material);
	KF_TRY(buf_err(&bytes));
	make_digest(m, buf_slice(&bytes));
	return material_make(
		&(struct material_key){
			.object_type = OBJECT_SYMMETRIC_KEY,
			.format = m->format,
			.algorithm = m->algorithm,
			.length = m->length,
			.bytes = buf_slice(&bytes),
		},
		&m->material);
}

/* Fewer tokens than wanted: somebody has to look; `key clone`, then `key activate`.  How many it was made for is kept. */
static void note_copies(struct token_secret *s, const struct provision_report *report)
{
	struct buf *attrs = &s->make.attrs;
	const size_t wanted = s->copies ? s->copies : report->done + report->failed;
	char text[16];
	if (report->done < wanted)
		attrs_remove_all(attrs, TAG_ACTIVATION_DATE);
	if (wish(s, TOKEN_ATTRIBUTE_COPIES).n)
		return;
	snprintf(text, sizeof(text), "%zu", wanted);
	attrs_add_vendor_text(attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of(text));
}

static kf_err make(struct op_call *call)
{
	struct token_secret *s = secret_of(call);
	struct provision_report report = { 0 };
	uint8_t key_id[KEY_ID_SIZE];
	char pool[POOL_NAME_SIZE];
	KF_TRY(slice_to_text(wish(s, TOKEN_ATTRIBUTE_POOL), pool, sizeof(pool)));
	KF_TRY(generate(call, pool, key_id, &report));
	note_copies(s, &report);
	KF_TRY(put_material(&s->make, pool, key_id));
	if (s->replaces)
		KF_TRY(replace_old(call, s->replaces, s->make.id));
	KF_TRY(make_object(call, &s->make));
	memcpy(call->placeholder, s->make.id, OBJECT_ID_SIZE);
	return KF_OK;
}

static enum op_next work(struct op_call *call)
{
	return op_then(call, make(call), OP_COMMIT);
}

/* ---- beginning ---- */

static kf_err read_copies(struct token_secret *s)
{
	char text[8], *end;
	const struct slice wanted = wish(s, TOKEN_ATTRIBUTE_COPIES);
	if (!wanted.n)
		return KF_OK;
	KF_TRY(slice_to_text(wanted, text, sizeof(text)));
	const unsigned long n = strtoul(text, &end, 10);
	if (*end || n < 1 || n > POOL_TOKENS_MAX)
		return kf_fail(INVALID_FIELD, "copies: a number from 1 to 128");
	s->copies = (unsigned)n;
	return KF_OK;
}

/* Nobody reads or takes out what is on tokens, whatever the client would like. */
static kf_err be_secret(struct make *m)
{
	bool is_sensitive = true, is_extractable = false;
	(void)attrs_get_bool(buf_slice(&m->attrs), TAG_SENSITIVE, &is_sensitive);
	(void)attrs_get_bool(buf_slice(&m->attrs), TAG_EXTRACTABLE, &is_extractable);
	m->is_secret_by_default = true;
	return is_sensitive && !is_extractable
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "a key on tokens cannot be read");
}

static kf_err prepare(struct op_call *call)
{
	struct token_secret *s = secret_of(call);
	char pool[POOL_NAME_SIZE];
	if (!call->who->is_admin)
		return kf_fail(DENIED, "only administrators make keys on tokens");
	if (s->make.algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
		return kf_fail(FEATURE, "tokens make secret keys of AES only");
	KF_TRY(slice_to_text(wish(s, TOKEN_ATTRIBUTE_POOL), pool, sizeof(pool)));
	KF_TRY(op_token_check(call, pool, true));
	KF_TRY(read_copies(s));
	if (s->replaces)
		KF_TRY(op_token_check_enough(
			call, wish(s, TOKEN_ATTRIBUTE_POOL), s->copies));
	s->make.format = KMIP_KEY_FORMAT_TYPE_TOKEN;
	s->make.is_generated = false; /* not by us */
	return be_secret(&s->make);
}

enum op_next token_secret_start(struct op_call *call)
{
	const struct token_secret *s = secret_of(call);
	const kf_err err = prepare(call);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	if (!s->replaces) /* for the record, which is written before the work begins */
		memcpy(call->object_id, s->make.id, OBJECT_ID_SIZE);
	return op_token_work(call, work);
}
