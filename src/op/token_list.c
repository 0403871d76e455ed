/* SPDX-License-Identifier: Apache-2.0
 *
 * Token List and Token Keys.  For the administrator.
 */
#include "base/mem.h"
#include "op/page.h"
#include "op/token_key.h"
#include "op/token_step.h"
#include <stdlib.h>
#include <string.h>

/* --- tokens --- */

kf_err op_token_list_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return page_get_request(&r, &OP_REQUEST(call, struct page_call)->q);
}

static void add_token(struct op_call *call, const struct pool_token_status *s)
{
	autobuf facts = buf_new(call->server->message_max);
	if (!page_has(OP_REQUEST(call, struct page_call)))
		return;
	op_token_facts(&facts, s);
	op_token_fact(&facts, "read-only",
		kf_ok(op_token_check(call, s->pool, true)) ? "no" : "yes");
	token_row_add(
		&call->scratch, &(struct token_row){ slice_of(s->pool),
					slice_of(s->facts.serial), buf_slice(&facts) });
}

static enum op_next list(struct op_call *call)
{
	CLEANUP(mem_freep) struct pool_token_status *rows = NULL;
	size_t n = 0;
	kf_err e = op_token_rows(call, &rows, &n);
	for (size_t i = 0; kf_ok(e) && i < n; i++)
		add_token(call, &rows[i]);
	return op_then(call, kf_ok(e) ? buf_err(&call->scratch) : e, OP_ANSWER);
}

enum op_next op_token_list_start(struct op_call *call)
{
	call->work = list;
	return OP_WORK;
}

void op_token_list_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}

/* --- keys --- */

enum { KEYS_MAX = 4096, WORDS_MAX = 1 << 14 };

kf_err op_token_keys_decode(struct op_call *call) { return op_token_list_decode(call); }

static void add_object(
	const struct op_call *call, struct buf *facts, const struct pool_key_status *k)
{
	const struct object *o = token_key_object(call->server->catalog, k->key_id);
	char buried[OBJECT_ID_SIZE];
	struct slice name;
	if (!o) {
		if (token_key_is_buried(call->server->catalog, k->key_id, buried))
			op_token_fact(facts, "destroyed", buried);
		return;
	}
	op_token_fact(facts, "object", o->id);
	if (object_name(o, 0, &name))
		status_pair_add(facts, &(struct status_pair){ slice_of("name"), name });
	if (pool_key_overflow(o->key))
		op_token_fact(facts, "overflow", "yes");
}

static void add_word(struct buf *words, const char *word)
{
	if (words->n)
		buf_add_u8(words, ' ');
	buf_add_text(words, word);
}

static void put_words(struct buf *facts, const char *name, const struct buf *words)
{
	status_pair_add(facts, &(struct status_pair){ slice_of(name), buf_slice(words) });
}

struct holders {
	size_t n;
	char serial[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
};

static bool holds(const struct holders *h, const char *serial)
{
	for (size_t i = 0; i < h->n; i++)
		if (!strcmp(h->serial[i], serial))
			return true;
	return false;
}

static bool is_in_use(const struct pool_token_status *s)
{
	return s->state == POOL_TOKEN_SERVING || s->state == POOL_TOKEN_DRAINED ||
	       s->state == POOL_TOKEN_STARTING;
}

static void find_holders(
	const struct op_call *call, const struct pool_key_status *k, struct holders *ret)
{
	size_t n = pool_key_holders(
		call->server->pools, k->pool, k->key_id, ret->serial, POOL_TOKENS_MAX);
	ret->n = n < POOL_TOKENS_MAX ? n : POOL_TOKENS_MAX;
}

/* Who has it and who could. */
static kf_err add_holders(
	const struct op_call *call, struct buf *facts, const struct pool_key_status *k)
{
	struct holders h;
	autobuf has = buf_new(WORDS_MAX), lacks = buf_new(WORDS_MAX);
	CLEANUP(mem_freep) struct pool_token_status *rows = NULL;
	size_t n = 0, in_use = 0;
	find_holders(call, k, &h);
	for (size_t i = 0; i < h.n; i++)
		add_word(&has, h.serial[i]);
	KF_TRY(op_token_rows(call, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].pool, k->pool) != 0 || !is_in_use(&rows[i]))
			continue;
		in_use++;
		if (!holds(&h, rows[i].facts.serial))
			add_word(&lacks, rows[i].facts.serial);
	}
	put_words(facts, "holders", &has);
	op_token_number(facts, "tokens", in_use);
	put_words(facts, "missing", &lacks);
	return KF_OK;
}

static kf_err add_key(struct op_call *call, const struct pool_key_status *k)
{
	autobuf facts = buf_new(call->server->message_max);
	if (!page_has(OP_REQUEST(call, struct page_call)))
		return KF_OK;
	op_token_fact(&facts, "label", k->label);
	op_token_fact(&facts, "algorithm", k->alg ? k->alg->name : "");
	op_token_number(&facts, "serving", k->serving);
	op_token_number(&facts, "waiting", k->waiting);
	KF_TRY(add_holders(call, &facts, k));
	add_object(call, &facts, k);
	token_key_row_add(
		&call->scratch, &(struct token_key_row){ slice_of(k->pool),
					{ k->key_id, KEY_ID_SIZE }, buf_slice(&facts) });
	return KF_OK;
}

static kf_err add_pool(struct op_call *call, const char *pool)
{
	CLEANUP(mem_freep)
	struct pool_key_status *rows = calloc(KEYS_MAX, sizeof(*rows));
	if (!rows)
		return kf_fail(NOMEM, "list of keys");
	size_t n = pool_keys(call->server->pools, pool, rows, KEYS_MAX);
	for (size_t i = 0; i < n && i < KEYS_MAX; i++)
		KF_TRY(add_key(call, &rows[i]));
	return KF_OK;
}

/* Pools are known by their tokens. */
static bool is_first_of_pool(const struct pool_token_status *rows, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(rows[k].pool, rows[i].pool))
			return false;
	return true;
}

static enum op_next list_keys(struct op_call *call)
{
	CLEANUP(mem_freep) struct pool_token_status *rows = NULL;
	size_t n = 0;
	kf_err e = op_token_rows(call, &rows, &n);
	for (size_t i = 0; kf_ok(e) && i < n; i++)
		if (is_first_of_pool(rows, i))
			e = add_pool(call, rows[i].pool);
	return op_then(call, kf_ok(e) ? buf_err(&call->scratch) : e, OP_ANSWER);
}

enum op_next op_token_keys_start(struct op_call *call)
{
	call->work = list_keys;
	return OP_WORK;
}

void op_token_keys_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
