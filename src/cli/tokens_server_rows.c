/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens_server_rows: lists of tokens and keys, read; and what in them differs that should not.
 */
#include "base/mem.h"
#include "cli/call.h"
#include "cli/tokens_server.h"
#include "kmip/token_admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows ---- */

void server_text(struct slice s, char *ret, size_t size)
{
	size_t n = s.n < size - 1 ? s.n : size - 1;
	if (n)
		memcpy(ret, s.p, n);
	ret[n] = 0;
}

static uint64_t number(struct slice s)
{
	char digits[24];
	server_text(s, digits, sizeof(digits));
	return strtoull(digits, NULL, 10);
}

static bool read_hex(struct slice s, uint8_t *ret, size_t n)
{
	char hex[2 * KEY_ID_SIZE + 1];
	server_text(s, hex, sizeof(hex));
	for (size_t i = 0; i < n; i++) {
		unsigned v;
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return false;
		ret[i] = (uint8_t)v;
	}
	return s.n == 2 * n;
}

static void put_hex(struct slice s, char *ret, size_t size)
{
	for (size_t i = 0; i < s.n && 2 * i + 2 < size; i++)
		snprintf(ret + 2 * i, 3, "%02x", s.p[i]);
}

static enum token_wrapping wrapping_of(struct slice s)
{
	return slice_is(s, "dkek")  ? WRAPPING_DKEK
	       : slice_is(s, "aes") ? WRAPPING_AES
				    : WRAPPING_NONE;
}

struct text_fact {
	const char *name;
	size_t offset, size;
};
#define TEXT_FACT(name, field)                                                           \
	{                                                                                \
		name, offsetof(struct token_line, field),                                \
			sizeof(((struct token_line *)0)->field)                          \
	}

static bool take_text(const struct status_pair *p, struct token_line *l)
{
	static const struct text_fact facts[] = { TEXT_FACT("state", state),
		TEXT_FACT("why", why), TEXT_FACT("task", task), TEXT_FACT("place", place),
		TEXT_FACT("label", label), TEXT_FACT("model", model) };
	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		if (slice_is(p->name, facts[i].name)) {
			server_text(p->value, (char *)l + facts[i].offset, facts[i].size);
			return true;
		}
	return false;
}

static void take_number(const struct status_pair *p, struct token_line *l)
{
	struct slice n = p->name;
	if (slice_is(n, "pin-tries"))
		l->pin_tries = (int)number(p->value);
	else if (slice_is(n, "so-pin-tries"))
		l->so_pin_tries = (int)number(p->value);
	else if (slice_is(n, "shares"))
		l->shares = (unsigned)number(p->value);
	else if (slice_is(n, "shares-missing"))
		l->shares_missing = (unsigned)number(p->value);
	else if (slice_is(n, "keys"))
		l->keys = (unsigned)number(p->value);
	else if (slice_is(n, "keys-with-problems"))
		l->problems = (unsigned)number(p->value);
	else if (slice_is(n, "signatures"))
		l->signatures = number(p->value);
	else if (slice_is(n, "failures"))
		l->failures = number(p->value);
}

static void take_fact(const struct status_pair *p, struct token_line *l)
{
	if (take_text(p, l))
		return;
	if (slice_is(p->name, "initialised"))
		l->is_initialised = slice_is(p->value, "yes");
	else if (slice_is(p->name, "write-protected"))
		l->is_write_protected = slice_is(p->value, "yes");
	else if (slice_is(p->name, "wrapping"))
		l->wrapping = wrapping_of(p->value);
	else if (slice_is(p->name, "kcv"))
		l->has_kcv = read_hex(p->value, l->kcv, sizeof(l->kcv));
	else
		take_number(p, l);
}

static void take_row(const struct token_row *row, struct token_line *l)
{
	*l = (struct token_line){ .pin_tries = -1, .so_pin_tries = -1 };
	server_text(row->pool, l->pool, sizeof(l->pool));
	server_text(row->serial, l->serial, sizeof(l->serial));
	struct ttlv_reader r = ttlv_read(row->facts);
	struct status_pair p;
	while (status_pair_next(&r, &p))
		take_fact(&p, l);
}

static bool is_wanted(const struct tokens *t, const char *pool)
{
	return !t->options.pool || !strcmp(t->options.pool, pool);
}

kf_err server_list(struct tokens *t, struct token_line *ret, size_t max, size_t *ret_n)
{
	struct list_pages pages = { .operation = KMIP_OPERATION_TOKEN_LIST };
	kf_err e;
	size_t n = 0;
	while (list_next_page(t->cli, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct token_row row;
		while (n < max && token_row_next(&r, &row)) {
			take_row(&row, &ret[n]);
			n += is_wanted(t, ret[n].pool);
		}
	}
	*ret_n = n;
	return e;
}

static void take_key(const struct token_key_row *row, struct key_line *k)
{
	*k = (struct key_line){ 0 };
	server_text(row->pool, k->pool, sizeof(k->pool));
	put_hex(row->key_id, k->key_id, sizeof(k->key_id));
	struct ttlv_reader r = ttlv_read(row->facts);
	struct status_pair p;
	while (status_pair_next(&r, &p)) {
		if (slice_is(p.name, "label"))
			server_text(p.value, k->label, sizeof(k->label));
		else if (slice_is(p.name, "algorithm"))
			server_text(p.value, k->algorithm, sizeof(k->algorithm));
		else if (slice_is(p.name, "holders"))
			server_text(p.value, k->holders, sizeof(k->holders));
		else if (slice_is(p.name, "missing"))
			server_text(p.value, k->missing, sizeof(k->missing));
		else if (slice_is(p.name, "destroyed"))
			server_text(p.value, k->destroyed, sizeof(k->destroyed));
		else if (slice_is(p.name, "name") ||
			 (slice_is(p.name, "object") && !k->object[0]))
			server_text(p.value, k->object, sizeof(k->object));
	}
	for (const char *at = k->holders; *at; at += strspn(at, " ")) {
		k->holders_n++;
		at += strcspn(at, " ");
	}
}

kf_err server_keys(
	struct tokens *t, void (*see)(void *arg, const struct key_line *k), void *arg)
{
	struct list_pages pages = { .operation = KMIP_OPERATION_TOKEN_KEYS };
	CLEANUP(mem_freep) struct key_line *k = calloc(1, sizeof(*k));
	kf_err e;
	if (!k)
		return kf_fail(NOMEM, "no memory for a key");
	while (list_next_page(t->cli, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct token_key_row row;
		while (token_key_row_next(&r, &row)) {
			take_key(&row, k);
			if (is_wanted(t, k->pool))
				see(arg, k);
		}
	}
	return e;
}

/* ---- names ---- */

static const struct token_line *find(
	const struct token_line *l, size_t n, const char *name, size_t *ret_found)
{
	const struct token_line *found = NULL;
	*ret_found = 0;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(l[i].serial, name)) {
			*ret_found = 1;
			return &l[i];
		}
		if (strcmp(l[i].label, name) != 0)
			continue;
		found = &l[i];
		++*ret_found;
	}
	return found;
}

kf_err server_line(struct tokens *t, const char *name, struct token_line *ret)
{
	CLEANUP(mem_freep) struct token_line *l = calloc(LINES_MAX, sizeof(*l));
	size_t n = 0, found;
	if (!l)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(server_list(t, l, LINES_MAX, &n));
	const struct token_line *line = find(l, n, name, &found);
	if (found == 1) {
		*ret = *line;
		return KF_OK;
	}
	cli_note(t->cli,
		found ? "%s: several tokens have this label; name a serial number"
		      : "%s: no such token; see `keyfleet token list`",
		name);
	return found ? kf_fail(CONFLICT, "ambiguous")
		     : kf_fail(NOT_FOUND, "no such token");
}

/* Rows for those that are named, or for all. */
kf_err server_lines(struct tokens *t, const struct token_names *to,
	struct token_line *lines, size_t *ret_n)
{
	if (to->n == 0)
		return server_list(t, lines, LINES_MAX, ret_n);
	for (*ret_n = 0; *ret_n < to->n; ++*ret_n)
		KF_TRY(server_line(t, to->name[*ret_n], &lines[*ret_n]));
	return KF_OK;
}

/* ---- drift ---- */

/* Splits serial numbers with blanks between; how many. */
static size_t split(char *text, const char **ret)
{
	size_t n = 0;
	char *rest;
	for (char *s = strtok_r(text, " ", &rest); s && n < POOL_TOKENS_MAX;
		s = strtok_r(NULL, " ", &rest))
		ret[n++] = s;
	return n;
}

static void see_key_drift(void *arg, const struct key_line *line)
{
	const char *holder[POOL_TOKENS_MAX], *missing[POOL_TOKENS_MAX];
	struct key_line k = *line;
	drift_of_key(arg, &(struct drift_key){ .label = k.label,
				  .holder = holder,
				  .missing = missing,
				  .holders = split(k.holders, holder),
				  .missings = split(k.missing, missing),
				  .is_unknown = !k.object[0],
				  .is_destroyed = k.destroyed[0] });
}

static struct drift_token drift_token_of(const struct token_line *l)
{
	struct drift_token t = { .pool = l->pool,
		.serial = l->serial,
		.is_initialised = l->is_initialised,
		.has_kcv = l->has_kcv,
		.has_problems = l->problems,
		.shares_missing = l->shares_missing,
		.wrapping = l->wrapping };
	memcpy(t.kcv, l->kcv, sizeof(t.kcv));
	return t;
}

kf_err server_drift(struct tokens *t, const struct provision_drift *in)
{
	CLEANUP(mem_freep) struct token_line *l = calloc(LINES_MAX, sizeof(*l));
	CLEANUP(mem_freep)
	struct drift_token *tokens = calloc(LINES_MAX, sizeof(*tokens));
	struct provision_drift here = *in;
	size_t n = 0;
	if (!l || !tokens)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(server_list(t, l, LINES_MAX, &n));
	for (size_t i = 0; i < n; i++)
		tokens[i] = drift_token_of(&l[i]);
	drift_of_tokens(in, tokens, n);
	return server_keys(t, see_key_drift, &here);
}
