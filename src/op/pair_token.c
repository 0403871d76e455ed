/* SPDX-License-Identifier: Apache-2.0
 *
 * Key pairs on tokens: made there (Create Key Pair with the attribute "pool"), or there already, or brought
 * in a key file (Key Adopt).  The key becomes active only when so many tokens as wanted hold it and have
 * signed with it.
 */
#include "crypt/keygen.h"
#include "op/pair.h"
#include "op/slow.h"
#include "op/token_key.h"
#include "op/token_step.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is asked for --- */

static struct slice wish(const struct pair_call *p, const char *name)
{
	struct slice value = token_attribute(p->q.private_key, name);
	return value.n ? value : token_attribute(p->q.common, name);
}

bool pair_is_for_tokens(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	p->pool = wish(p, TOKEN_ATTRIBUTE_POOL);
	return p->pool.n > 0;
}

static kf_err read_copies(struct pair_call *p)
{
	char text[8], *end;
	struct slice wanted = wish(p, TOKEN_ATTRIBUTE_COPIES);
	if (!wanted.n)
		return KF_OK;
	KF_TRY(slice_to_text(wanted, text, sizeof(text)));
	unsigned long n = strtoul(text, &end, 10);
	if (*end || n < 1 || n > POOL_TOKENS_MAX)
		return kf_fail(INVALID_FIELD, "copies: a number from 1 to 128");
	p->copies = (unsigned)n;
	return KF_OK;
}

static kf_err check_pool(struct op_call *call, bool changes)
{
	char pool[POOL_NAME_SIZE];
	KF_TRY(slice_to_text(pair_of(call)->pool, pool, sizeof(pool)));
	return op_token_check(call, pool, changes);
}

/* --- on a worker --- */

static struct slice label_of(const struct pair_call *p)
{
	struct slice label = p->label;
	if (!label.n)
		label = wish(p, TOKEN_ATTRIBUTE_LABEL);
	if (!label.n)
		(void)attrs_get_name(p->q.private_key, 0, &label);
	if (!label.n)
		(void)attrs_get_name(p->q.common, 0, &label);
	return label.n ? label : slice_of(p->private_key.id);
}

static int32_t usage_of(const struct pair_call *p)
{
	int32_t mask = 0;
	(void)attrs_get_int(
		buf_slice(&p->private_key.attrs), TAG_CRYPTOGRAPHIC_USAGE_MASK, &mask);
	return mask;
}

/* What unwraps decrypts, to a token. */
static bool may_decrypt(const struct pair_call *p)
{
	return usage_of(p) & (KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT |
				     KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY);
}

static bool may_agree(const struct pair_call *p)
{
	return usage_of(p) & (KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY |
				     KMIP_CRYPTOGRAPHIC_USAGE_MASK_KEY_AGREEMENT);
}

/* A token holds it, whatever became of its copies. */
static void note_made(struct op_call *call, struct slice spki)
{
	struct pair_call *p = pair_of(call);
	p->is_made = spki.n > 0;
	if (p->is_made)
		spki_id(spki, p->made_id);
}

void pair_leave_tokens(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	if (p->is_made && call->fate == CHANGE_NOT_MADE)
		op_slow_orphan(call->server->slow, p->made_id);
	p->is_made = false;
}

static kf_err generate(struct op_call *call, const struct provision *where,
	struct buf *spki, struct provision_report *report)
{
	const struct pair_call *p = pair_of(call);
	char label[TOKEN_LABEL_SIZE];
	KF_TRY(slice_to_text(label_of(p), label, sizeof(label)));
	const struct provision_new_key in = {
		.key = { .alg = p->alg,
			.label = label,
			.may_decrypt = p->alg->family == FAMILY_RSA && may_decrypt(p),
			.may_agree = p->alg->family == FAMILY_EC && may_agree(p),
			.may_leave = p->copies != 1 },
		.copies = p->copies,
	};
	const kf_err err = provision_generate(where, &in, spki, report);
	note_made(call, buf_slice(spki));
	return err;
}

/* A key that was destroyed once may come back like this: nobody deletes it before its object is there. */
static kf_err restore(struct op_call *call, const struct provision *where,
	struct buf *spki, struct provision_report *report)
{
	const struct pair_call *p = pair_of(call);
	CLEANUP(token_blob_free) struct token_blob blob = { 0 };
	uint8_t id[KEY_ID_SIZE];
	KF_TRY(provision_read_file(p->file, &blob));
	spki_id(buf_slice(&blob.spki), id);
	KF_TRY(op_slow_brings(call->server->slow, call->slow_place, id));
	return provision_restore(where, p->file, NULL, p->copies, spki, report);
}

/* Where the key comes from; `spki` is its public half, *ret how many tokens have it and have proved it. */
static kf_err bring(struct op_call *call, const struct provision *where, struct buf *spki,
	unsigned *ret)
{
	struct pair_call *p = pair_of(call);
	struct provision_report report = { 0 };
	if (p->key_id.n) {
		*ret = token_serving(call, where->pool, p->key_id.p);
		return pool_find_spki(
			call->server->pools, where->pool, p->key_id.p, spki);
	}
	KF_TRY(p->file.n ? restore(call, where, spki, &report)
			 : generate(call, where, spki, &report));
	*ret = (unsigned)report.done;
	p->copies = p->copies ? p->copies : (unsigned)(report.done + report.failed);
	return KF_OK;
}

/* Fewer than wanted: somebody has to look; `key clone`, then `key activate`. */
static void keep_inactive(struct pair_call *p)
{
	attrs_remove_all(&p->private_key.attrs, TAG_ACTIVATION_DATE);
	attrs_remove_all(&p->public_key.attrs, TAG_ACTIVATION_DATE);
}

/* How many it was made for is kept with it: who activates it later is asked for as many. */
static void keep_copies(struct pair_call *p)
{
	struct buf *attrs = &p->private_key.attrs;
	char text[16];
	if (!p->copies || token_attribute(buf_slice(attrs), TOKEN_ATTRIBUTE_COPIES).n)
		return;
	snprintf(text, sizeof(text), "%u", p->copies);
	attrs_add_vendor_text(attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of(text));
}

/* It tells who would give the key a copy in software, also while no token of it is here. */
static void keep_counter(struct op_call *call, const char *pool, struct slice spki)
{
	struct buf *attrs = &pair_of(call)->private_key.attrs;
	uint8_t id[KEY_ID_SIZE];
	spki_id(spki, id);
	if (pool_key_counts(call->server->pools, pool, id) &&
		!token_attribute(buf_slice(attrs), TOKEN_ATTRIBUTE_COUNTER).n)
		attrs_add_vendor_text(attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR),
			slice_of(TOKEN_ATTRIBUTE_COUNTER), slice_of("yes"));
}

static kf_err put_material(struct op_call *call, struct slice spki)
{
	const struct pair_call *p = pair_of(call);
	autobuf bytes = buf_new(TOKEN_FILE_MAX + 4096);
	struct token_material m = { .pool = p->pool, .spki = spki, .file = p->file };
	if (RAND_bytes(m.reject, sizeof(m.reject)) != 1)
		return kf_fail(CRYPTO, "random numbers");
	token_material_put(&bytes, &m);
	explicit_bzero(m.reject, sizeof(m.reject));
	KF_TRY(buf_err(&bytes));
	return pair_finish_token(call, buf_slice(&bytes));
}

static kf_err make(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	char pool[POOL_NAME_SIZE];
	autobuf spki = buf_new(SPKI_MAX);
	unsigned holders = 0;
	KF_TRY(slice_to_text(p->pool, pool, sizeof(pool)));
	const struct provision where = { .pools = call->server->pools, .pool = pool };
	KF_TRY(bring(call, &where, &spki, &holders));
	if (!holders || holders < p->copies)
		keep_inactive(p);
	keep_copies(p);
	keep_counter(call, pool, buf_slice(&spki));
	KF_TRY(pair_replace_old(call));
	KF_TRY(put_material(call, buf_slice(&spki)));
	return pair_finish_public(call, buf_slice(&spki));
}

static enum op_next work(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	const kf_err err = make(call);
	memcpy(call->placeholder, p->private_key.id, OBJECT_ID_SIZE);
	return op_then(call, err, OP_COMMIT);
}

/* --- beginning --- */

/* Nobody reads or takes out what is on tokens, whatever the client would like. */
static kf_err be_secret(struct pair_call *p)
{
	struct buf *attrs = &p->private_key.attrs;
	bool is_sensitive = true, is_extractable = false;
	(void)attrs_get_bool(buf_slice(attrs), TAG_SENSITIVE, &is_sensitive);
	(void)attrs_get_bool(buf_slice(attrs), TAG_EXTRACTABLE, &is_extractable);
	return is_sensitive && !is_extractable
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "a key on tokens cannot be read");
}

static kf_err prepare(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	if (!call->who->is_admin)
		return kf_fail(DENIED, "only administrators make keys on tokens");
	KF_TRY(check_pool(call, !p->key_id.n));
	if (call->is_undoable && !p->key_id.n)
		return kf_fail(FEATURE, "what tokens make is not undone");
	KF_TRY(read_copies(p));
	if (p->old_private)
		KF_TRY(op_token_check_enough(call, p->pool, p->copies));
	KF_TRY(pair_describe(call));
	p->private_key.is_generated = p->public_key.is_generated = false; /* not by us */
	return be_secret(p);
}

enum op_next pair_start_on_tokens(struct op_call *call)
{
	kf_err e = prepare(call);
	return kf_ok(e) ? op_token_work(call, work) : op_then(call, e, OP_FAIL);
}

/* --- Key Adopt --- */

kf_err op_key_adopt_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct pair_call *p = pair_of(call);
	struct key_adopt q;
	KF_TRY(key_adopt_get_request(&r, &q));
	p->pool = q.pool;
	p->copies = (unsigned)q.copies;
	p->key_id = q.key_id;
	p->file = q.blob;
	struct buf *set = &call->attrs;
	if (q.name.n)
		attrs_add_name(set, q.name);
	attrs_add_int(set, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		(int32_t)(q.usage ? q.usage : KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN));
	if (!q.is_inactive)
		attrs_add_date(set, TAG_ACTIVATION_DATE, call->now_s);
	attrs_add_vendor_text(set, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_POOL), q.pool);
	const size_t at = set->n;
	if (q.name.n) {
		autobuf name = buf_new(4096);
		buf_add_slice(&name, q.name);
		buf_add_text(&name, ".pub");
		attrs_add_name(set, buf_slice(&name));
	}
	attrs_add_int(
		set, TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
	if (!q.is_inactive)
		attrs_add_date(set, TAG_ACTIVATION_DATE, call->now_s);
	KF_TRY(buf_err(set));
	p->q.private_key = (struct slice){ set->p, at };
	p->q.public_key = (struct slice){ set->p + at, set->n - at };
	return KF_OK;
}

static kf_err alg_of_spki(struct slice spki, const struct alg **ret)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(pubkey_parse(spki, &key));
	*ret = pubkey_alg(key);
	return KF_OK;
}

static kf_err alg_of_file(struct slice file, const struct alg **ret)
{
	CLEANUP(token_blob_free) struct token_blob blob = { 0 };
	KF_TRY(provision_read_file(file, &blob));
	return alg_of_spki(buf_slice(&blob.spki), ret);
}

/* From here until its object is there nobody deletes it; so it is asked afterwards whether somebody has to. */
static kf_err hold(struct op_call *call)
{
	const struct pair_call *p = pair_of(call);
	char buried[OBJECT_ID_SIZE];
	KF_TRY(op_token_place(call));
	KF_TRY(op_slow_brings(call->server->slow, call->slow_place, p->key_id.p));
	return token_key_is_buried(call->server->catalog, p->key_id.p, buried)
		       ? kf_fail(DESTROYED, "the key was destroyed: it is being deleted")
		       : KF_OK;
}

static kf_err find_alg(struct op_call *call)
{
	struct pair_call *p = pair_of(call);
	char pool[POOL_NAME_SIZE];
	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(check_pool(call, false));
	if (p->file.n)
		return alg_of_file(p->file, &p->alg);
	KF_TRY(hold(call));
	KF_TRY(slice_to_text(p->pool, pool, sizeof(pool)));
	KF_TRY(pool_find_spki(call->server->pools, pool, p->key_id.p, &spki));
	return alg_of_spki(buf_slice(&spki), &p->alg);
}

enum op_next op_key_adopt_start(struct op_call *call)
{
	call->release = pair_free;
	kf_err e = find_alg(call);
	if (kf_ok(e))
		e = op_check_legacy(call, pair_of(call)->alg);
	return kf_ok(e) ? pair_start_on_tokens(call) : op_then(call, e, OP_FAIL);
}

void op_key_adopt_answer(struct op_call *call, struct ttlv_writer *w)
{
	op_create_key_pair_answer(call, w);
}
