/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_step.h"
#include "base/clock.h"
#include "base/mem.h"
#include "op/slow.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kf_err op_token_check(const struct op_call *call, const char *pool, bool changes)
{
	if (!call->server->pools)
		return kf_fail(UNSUPPORTED, "no pool of tokens is configured here");
	return pool_check(call->server->pools, pool, changes);
}

kf_err op_token_place(struct op_call *call)
{
	return call->slow_place ? KF_OK
				: op_slow_begin(call->server->slow, call->request_id,
					  call->who->is_admin ? NULL : call->who->name,
					  &call->slow_place);
}

enum op_next op_token_work(
	struct op_call *call, enum op_next (*work)(struct op_call *call))
{
	if (!call->server->slow)
		return op_then(call,
			kf_fail(UNAVAILABLE, "this key server has no pool of tokens"),
			OP_FAIL);
	kf_err e = op_token_place(call);
	call->work = work;
	call->is_slow = kf_ok(e);
	return op_then(call, e, OP_WORK);
}

/* --- which token --- */

kf_err op_token_rows(
	const struct op_call *call, struct pool_token_status **ret, size_t *ret_n)
{
	enum { SLACK = 8 }; /* plugged in meanwhile */
	struct pools *pools = call->server->pools;
	size_t room = SLACK + (pools ? pool_tokens(pools, NULL, 0) : 0);
	struct pool_token_status *rows = calloc(room, sizeof(*rows));
	if (!rows)
		return kf_fail(NOMEM, "list of tokens");
	size_t n = pools ? pool_tokens(pools, rows, room) : 0;
	*ret = rows;
	*ret_n = n < room ? n : room;
	return KF_OK;
}

kf_err op_token_find(
	const struct op_call *call, const char *serial, struct pool_token_status *ret)
{
	CLEANUP(mem_freep) struct pool_token_status *rows = NULL;
	size_t n = 0;
	KF_TRY(op_token_rows(call, &rows, &n));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].facts.serial, serial)) {
			*ret = rows[i];
			return KF_OK;
		}
	return kf_fail(NOT_FOUND, "no token of a pool has this serial number");
}

/* Also one that has its keys listed and proves one that has just come to it. */
static bool is_in_use(const struct pool_token_status *s)
{
	return s->state == POOL_TOKEN_SERVING ||
	       (s->state == POOL_TOKEN_STARTING && s->keys);
}

kf_err op_token_check_enough(
	const struct op_call *call, struct slice pool, unsigned copies)
{
	CLEANUP(mem_freep) struct pool_token_status *rows = NULL;
	size_t n = 0;
	unsigned serving = 0;
	KF_TRY(op_token_rows(call, &rows, &n));
	for (size_t i = 0; i < n; i++)
		serving += is_in_use(&rows[i]) && slice_is(pool, rows[i].pool);
	return serving && serving >= copies
		       ? KF_OK
		       : kf_fail(UNAVAILABLE, "fewer tokens are in use than are to hold "
					      "the new key");
}

/* --- copies --- */

struct slice token_attribute(struct slice set, const char *name)
{
	struct ttlv_item it;
	struct slice value = { 0 };
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(name) };
	if (!attrs_find_ref(set, &ref, 0, &it))
		return value;
	struct ttlv_reader r = ttlv_read(it.value);
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_ATTRIBUTE_VALUE && it.type == TTLV_TEXT)
			value = it.value;
	return value;
}

unsigned token_serving(
	const struct op_call *call, const char *pool, const uint8_t *key_id)
{
	return pool_key_serving(call->server->pools, pool, key_id);
}

unsigned token_copies_wanted(struct slice attrs)
{
	char text[8] = "0";
	struct slice wanted = token_attribute(attrs, TOKEN_ATTRIBUTE_COPIES);
	kf_err e = wanted.n ? slice_to_text(wanted, text, sizeof(text)) : KF_OK;
	return kf_ok(e) ? (unsigned)strtoul(text, NULL, 10) : UINT32_MAX;
}

unsigned token_copies_serving(const struct op_call *call, const struct token_key *key)
{
	return call->server->pools ? token_serving(call, pool_key_pool(key), key->id) : 0;
}

/* --- facts --- */

void op_token_fact(struct buf *items, const char *name, const char *value)
{
	status_pair_add(items, &(struct status_pair){ slice_of(name), slice_of(value) });
}

void op_token_number(struct buf *items, const char *name, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	op_token_fact(items, name, text);
}

static void add_claim(struct buf *items, const char *name, bool value)
{
	op_token_fact(items, name, value ? "yes" : "no");
}

static const char *wrapping_text(enum token_wrapping w)
{
	static const char *const texts[] = {
		[WRAPPING_NONE] = "none",
		[WRAPPING_DKEK] = "dkek",
		[WRAPPING_AES] = "aes",
	};
	return texts[w];
}

static void add_kcv(struct buf *items, const struct token_facts *f)
{
	char hex[2 * TOKEN_KCV_SIZE + 1];
	if (!f->has_kcv)
		return;
	for (size_t i = 0; i < TOKEN_KCV_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", f->kcv[i]);
	op_token_fact(items, "kcv", hex);
}

static void add_tries(struct buf *items, const char *name, int tries)
{
	op_token_number(items, name, tries > 0 ? (uint64_t)tries : 0);
}

static void add_card(struct buf *items, const struct token_facts *f)
{
	op_token_fact(items, "label", f->label);
	op_token_fact(items, "model", f->model);
	add_claim(items, "initialised", f->is_initialised);
	add_claim(items, "write-protected", f->is_write_protected);
	add_tries(items, "pin-tries", f->pin_tries);
	add_tries(items, "so-pin-tries", f->so_pin_tries);
	op_token_fact(items, "wrapping", wrapping_text(f->wrapping));
	op_token_number(items, "shares", f->shares);
	op_token_number(items, "shares-missing", f->shares_missing);
	add_kcv(items, f);
}

static void add_work(struct buf *items, const struct pool_token_status *s)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t since = s->since_ns && s->since_ns < now ? now - s->since_ns : 0;
	op_token_number(items, "keys", s->keys);
	op_token_number(items, "keys-with-problems", s->keys_with_problems);
	op_token_number(items, "signatures", s->signatures);
	op_token_number(items, "decryptions", s->decryptions);
	op_token_number(items, "failures", s->failures);
	op_token_number(items, "wrong-signatures", s->wrong_signatures);
	op_token_number(items, "ejections", s->ejections);
	op_token_number(items, "busy-ms", s->busy_ns / 1000000);
	op_token_number(items, "since-ms", since / 1000000);
	op_token_number(items, "service-us", s->service_ns / 1000);
}

void op_token_facts(struct buf *items, const struct pool_token_status *s)
{
	op_token_fact(items, "state", pool_token_state_text(s->state));
	op_token_fact(items, "why", s->why);
	op_token_fact(items, "task", s->task);
	op_token_fact(items, "place", s->place);
	add_card(items, &s->facts);
	add_work(items, s);
}

void op_token_report(struct buf *items, const struct provision_report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct provision_row *row = &r->row[i];
		const char *why = row->why[0]     ? row->why
				  : row->err.site ? row->err.site->text
						  : "failed";
		op_token_fact(items, "token", row->serial);
		op_token_fact(items, "result",
			row->outcome == PROVISION_FAILED   ? why
			: row->outcome == PROVISION_WAS_SO ? "was so"
							   : "ok");
	}
}

/* --- PINs --- */

void op_token_pin_freep(struct token_pin **pin) { secret_free(*pin); }

kf_err op_token_pin(struct slice bytes, struct token_pin **ret)
{
	if (!bytes.n)
		return KF_OK;
	if (bytes.n > TOKEN_PIN_MAX)
		return kf_fail(INVALID_FIELD, "a PIN has 64 bytes at most");
	struct token_pin *pin = secret_alloc(sizeof(*pin));
	if (!pin)
		return kf_fail(NOMEM, "locked memory for a PIN");
	memcpy(pin->bytes, bytes.p, bytes.n);
	pin->n = bytes.n;
	*ret = pin;
	return KF_OK;
}
