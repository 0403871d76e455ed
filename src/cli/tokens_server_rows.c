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

struct drifting {
	const struct provision_drift *in;
};

static void tell(const struct provision_drift *in, enum provision_drift_kind kind,
	struct slice serial, const char *label, const char *why)
{
	struct provision_drift_row row = { .kind = kind, .text = why };
	server_text(serial, row.serial, sizeof(row.serial));
	snprintf(row.label, sizeof(row.label), "%s", label);
	in->row(in->arg, &row);
}

static struct slice next_word(const char **at)
{
	*at += strspn(*at, " ");
	struct slice s = { (const uint8_t *)*at, strcspn(*at, " ") };
	*at += s.n;
	return s;
}

static void see_key_drift(void *arg, const struct key_line *k)
{
	const struct drifting *d = arg;
	const char *at = k->holders;
	struct slice first = next_word(&at), s;
	for (at = k->holders; k->destroyed[0] && (s = next_word(&at)).n;)
		tell(d->in, DRIFT_UNKNOWN_KEY, s, k->label,
			"holds a key that was destroyed and is not deleted yet");
	if (k->destroyed[0])
		return;
	if (!k->object[0])
		tell(d->in, DRIFT_UNKNOWN_KEY, first, k->label,
			"belongs to no object: `keyfleet key adopt`");
	if (k->holders_n == 1 && k->missing[0])
		tell(d->in, DRIFT_ONLY_COPY, first, k->label, "has the only copy");
	for (at = k->missing; k->holders_n != 1 && (s = next_word(&at)).n;)
		tell(d->in, DRIFT_LACKS_KEY, s, k->label, "lacks a key that others hold");
}

static void see_token_drift(const struct provision_drift *in, const struct token_line *l,
	const struct token_line *first)
{
	struct slice serial = slice_of(l->serial);
	if (!l->is_initialised)
		tell(in, DRIFT_BLANK, serial, "", "is not initialised");
	else if (l->shares_missing)
		tell(in, DRIFT_NO_DKEK, serial, "", "waits for DKEK shares");
	else if (l->wrapping == WRAPPING_NONE)
		tell(in, DRIFT_NO_DKEK, serial, "",
			"has no DKEK or wrapping key: no key can leave or enter it");
	else if (first && l->has_kcv && !strcmp(l->pool, first->pool) &&
		 memcmp(l->kcv, first->kcv, sizeof(l->kcv)) != 0)
		tell(in, DRIFT_OTHER_DKEK, serial, "",
			"has another DKEK than the pool's first");
	if (l->problems)
		tell(in, DRIFT_DAMAGED_KEY, serial, "", "holds keys that cannot be used");
}

kf_err server_drift(struct tokens *t, const struct provision_drift *in)
{
	CLEANUP(mem_freep) struct token_line *l = calloc(LINES_MAX, sizeof(*l));
	const struct token_line *first = NULL;
	struct drifting d = { in };
	size_t n = 0;
	if (!l)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(server_list(t, l, LINES_MAX, &n));
	for (size_t i = 0; i < n; i++) {
		if (!first || strcmp(first->pool, l[i].pool) != 0)
			first = l[i].has_kcv ? &l[i] : NULL;
		see_token_drift(in, &l[i], first);
	}
	return server_keys(t, see_key_drift, &d);
}
