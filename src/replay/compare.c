/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/compare.h"
#include "replay/items.h"
#include "replay/rule.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct walk {
	struct replay_scope *s;
	struct replay_diff *diff; /* NULL: on trial, nobody wants to know */
	struct replay_item item;
};

/* ---- telling ---- */

static void say_place(struct buf *to, const struct replay_node *n)
{
	if (n->parent && n->parent->tag)
		say_place(to, n->parent);
	const struct ttlv_tag_info *info = ttlv_tag(n->tag);
	if (n->tag == TAG_RESPONSE_MESSAGE)
		return;
	buf_add_text(to, info ? info->text : "0x");
	if (!info)
		buf_printf(to, "%06x", (unsigned)n->tag);
	if (replay_subject(n) != n->tag)
		buf_printf(to, " of %s", ttlv_tag(replay_subject(n))->text);
	buf_add_text(to, ": ");
}

static void say_item(struct buf *to, const struct ttlv_item *it)
{
	autobuf text = buf_new(REPLAY_FILE_MAX);
	enum { SHOWN = 200 };
	if (!kf_ok(ttlv_print(it->whole, false, &text)))
		return;
	size_t n = 0;
	while (n < text.n && text.p[n] != '\n' && n < SHOWN)
		n++;
	buf_add(to, text.p, n);
	if (n == SHOWN)
		buf_add_text(to, "...");
}

static void say_expected(struct buf *to, const struct replay_node *n)
{
	enum { SHOWN = 160 };
	buf_printf(to, "%s%.*s%s", n->is_empty ? "" : "`",
		(int)(n->n > SHOWN ? SHOWN : n->n), n->text,
		n->is_empty ? "a structure" : (n->n > SHOWN ? "...`" : "`"));
}

/* False, always: for `return differ(...)`. */
static bool differ(struct walk *w, const struct replay_node *n,
	const struct ttlv_item *it, const char *what)
{
	if (!w->diff)
		return false;
	struct buf *to = &w->diff->text;
	say_place(to, n);
	buf_add_text(to, what);
	buf_add_text(to, "; expected ");
	say_expected(to, n);
	if (it) {
		buf_add_text(to, ", came ");
		say_item(to, it);
	}
	buf_printf(to, " (line %u)", n->line);
	return false;
}

static bool differ_unexpected(
	struct walk *w, const struct replay_node *parent, const struct ttlv_item *it)
{
	if (!w->diff)
		return false;
	struct buf *to = &w->diff->text;
	say_place(to, parent);
	buf_add_text(to, "unexpected: ");
	say_item(to, it);
	buf_printf(to, " (line %u)", parent->line);
	return false;
}

/* ---- values ---- */

static struct slice name_of(const struct replay_node *n)
{
	return (struct slice){ (const uint8_t *)n->text, n->n };
}

static bool compare_variable(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	struct slice bound;
	if (!replay_find(&w->s->vars, name_of(e), &bound)) {
		if (!it->value.n)
			return differ(w, e, it, "is empty");
		replay_bind(&w->s->vars, name_of(e), it->value);
		return true;
	}
	return slice_eq(bound, it->value) ||
	       differ(w, e, it, "is not what the variable stands for");
}

/* A clock of the server's: about now, and not of another unit or epoch. */
static bool is_about(const struct ttlv_item *it, int64_t expected)
{
	enum { A_DAY = 86400, SKEW = 120 };
	int64_t v = ttlv_item_long(it);
	if (it->type == TTLV_DATE_EXTENDED)
		v /= 1000000;
	return v > expected - A_DAY && v < expected + SKEW + A_DAY;
}

/* Of $NOW-3600; else 0. */
static int64_t offset_of(const struct replay_node *e)
{
	return replay_is_now(e) && e->n > 4 ? strtol(e->text + 4, NULL, 10) : 0;
}

static bool compare_literal(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	autobuf value = buf_new(REPLAY_FILE_MAX);
	kf_err err = replay_value(e, w->s, &value);
	if (!kf_ok(err))
		return differ(w, e, it, err.site->text);
	if (rule_is_server_clock(e, w->item.request))
		return is_about(it, (int64_t)time(NULL) + offset_of(e)) ||
		       differ(w, e, it, "is not about that time");
	return slice_eq(buf_slice(&value), it->value) || differ(w, e, it, "differs");
}

static bool compare_made(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	const struct replay_made *made = replay_made(e, &w->item, w->s);
	autobuf value = buf_new(REPLAY_FILE_MAX);
	kf_err err = replay_value(e, w->s, &value);
	if (!kf_ok(err))
		return differ(w, e, it, err.site->text);
	if (value.n != it->value.n)
		return differ(w, e, it, "has another length");
	if (made->is_lasting && !replay_made_again(e, &w->item, w->s, it->value))
		return differ(w, e, it, "is not what the server has answered before");
	replay_stand_for(w->s, e, it->value);
	return true;
}

static bool compare_value(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	if (rule_is_free(e, &w->item))
		return true;
	if (replay_is_variable(e))
		return compare_variable(w, e, it);
	if (replay_made(e, &w->item, w->s))
		return compare_made(w, e, it);
	return compare_literal(w, e, it);
}

/* ---- structures ---- */

static bool compare(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it);

/* Whether it fits, leaving no trace if not. */
static bool fits(struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	struct walk trial = *w;
	struct replay_var *vars = replay_mark(&w->s->vars),
			  *objects = replay_mark(&w->s->objects);
	trial.diff = NULL;
	if (compare(&trial, e, it))
		return true;
	replay_undo(&w->s->vars, vars);
	replay_undo(&w->s->objects, objects);
	return false;
}

/* One of a set: the one that fits; else the first of the same name is told. */
static bool compare_member(struct walk *w, const struct replay_node *e, struct items *all)
{
	struct ttlv_item *namesake = NULL;
	for (size_t i = 0; i < all->n; i++) {
		if (all->is_used[i] || !rule_is_same_member(e, &all->item[i]))
			continue;
		if (fits(w, e, &all->item[i])) {
			all->is_used[i] = true;
			return true;
		}
		if (!namesake && !rule_is_name(e, &w->item))
			namesake = &all->item[i];
	}
	return namesake ? compare(w, e, namesake) : differ(w, e, NULL, "is missing");
}

/* One that the case does not know, but not one more of what it names. */
static bool may_be_more(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	if (!rule_takes_more(e, &w->item))
		return false;
	for (const struct replay_node *c = e->first; c; c = c->next)
		if (rule_is_same_member(c, it) &&
			(!rule_is_name(c, &w->item) || fits(w, c, it)))
			return false;
	return true;
}

static bool compare_sets(struct walk *w, const struct replay_node *e, struct items *all)
{
	for (const struct replay_node *c = e->first; c; c = c->next)
		if (rule_is_member(e, c->tag, &w->item) && !compare_member(w, c, all))
			return false;
	for (size_t i = 0; i < all->n; i++)
		if (!all->is_used[i] && rule_is_member(e, all->item[i].tag, &w->item) &&
			!may_be_more(w, e, &all->item[i]))
			return differ_unexpected(w, e, &all->item[i]);
	return true;
}

/* The place of the next item that counts, from `at` on. */
static size_t next_in_order(const struct walk *w, const struct replay_node *e,
	const struct items *all, size_t at)
{
	while (at < all->n && rule_is_member(e, all->item[at].tag, &w->item))
		at++;
	return at;
}

static bool compare_in_order(
	struct walk *w, const struct replay_node *e, struct items *all)
{
	size_t at = next_in_order(w, e, all, 0);
	for (const struct replay_node *c = e->first; c; c = c->next) {
		if (rule_is_member(e, c->tag, &w->item))
			continue;
		while (at < all->n && all->item[at].tag != c->tag &&
			rule_may_be_absent(all->item[at].tag))
			at = next_in_order(w, e, all, at + 1);
		if (at == all->n || all->item[at].tag != c->tag) {
			if (rule_may_be_absent(c->tag))
				continue;
			return differ(
				w, c, at < all->n ? &all->item[at] : NULL, "is missing");
		}
		if (!compare(w, c, &all->item[at]))
			return false;
		at = next_in_order(w, e, all, at + 1);
	}
	for (; at < all->n; at = next_in_order(w, e, all, at + 1))
		if (!rule_may_be_absent(all->item[at].tag))
			return differ_unexpected(w, e, &all->item[at]);
	return true;
}

/* A list that is the server's own: what was expected to be told is told, and nothing else. */
static bool compare_list(
	struct walk *w, const struct replay_node *e, const struct items *all)
{
	for (const struct replay_node *c = e->first; c; c = c->next) {
		size_t i = 0;
		while (i < all->n && all->item[i].tag != c->tag)
			i++;
		if (i == all->n && !rule_may_be_empty(c->tag))
			return differ(w, c, NULL, "is missing");
		if (i < all->n && all->item[i].type != c->type)
			return differ(w, c, &all->item[i], "is of another type");
	}
	for (size_t i = 0; i < all->n; i++)
		if (!replay_child(e, all->item[i].tag))
			return differ_unexpected(w, e, &all->item[i]);
	return true;
}

static bool compare_structure(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	if (rule_is_free(e, &w->item))
		return true;
	autoitems all;
	kf_err err = items_read(it->value, &all);
	if (!kf_ok(err))
		return differ(w, e, it, err.site->text);
	if (rule_is_list(e, &w->item))
		return compare_list(w, e, &all);
	return compare_in_order(w, e, &all) && compare_sets(w, e, &all);
}

static bool compare(
	struct walk *w, const struct replay_node *e, const struct ttlv_item *it)
{
	if (it->tag != e->tag)
		return differ(w, e, it, "is another field");
	if (it->type != e->type)
		return differ(w, e, it, "is of another type");
	if (e->type == TTLV_STRUCT)
		return compare_structure(w, e, it);
	if (!compare_value(w, e, it))
		return false;
	replay_saw(w->s, it->tag, it->value);
	return true;
}

/* ---- messages ---- */

static const struct replay_node *item_at(const struct replay_node *message, size_t i)
{
	const struct replay_node *n = replay_child(message, TAG_BATCH_ITEM);
	while (n && i--)
		n = replay_next(n);
	return n;
}

static uint32_t value_at(const struct replay_node *item, uint32_t tag)
{
	const struct replay_node *n = item ? replay_child(item, tag) : NULL;
	const struct replay_scope nothing = { 0 };
	autobuf v = buf_new(16);
	if (!n || !kf_ok(replay_value(n, &nothing, &v)) || v.n != 4)
		return UINT32_MAX;
	return (uint32_t)v.p[0] << 24 | (uint32_t)v.p[1] << 16 | (uint32_t)v.p[2] << 8 |
	       v.p[3];
}

static bool find(struct slice content, uint32_t tag, struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(content);
	while (ttlv_next(&r, ret))
		if (ret->tag == tag)
			return true;
	return false;
}

static uint32_t status_of(const struct ttlv_item *item)
{
	struct ttlv_item it;
	return find(item->value, TAG_RESULT_STATUS, &it) && it.type == TTLV_ENUM
		       ? (uint32_t)ttlv_item_int(&it)
		       : UINT32_MAX;
}

static void say_status(struct buf *to, uint32_t status)
{
	const char *text = ttlv_value_text(TTLV_KIND_RESULT_STATUS, status);
	buf_add_text(to, text ? text : "nothing");
}

static bool differ_status(struct replay_diff *d, const struct replay_node *expected,
	const struct ttlv_item *came)
{
	struct ttlv_item it;
	d->is_status = true;
	buf_add_text(&d->text, "Result Status: expected ");
	say_status(
		&d->text, expected ? value_at(expected, TAG_RESULT_STATUS) : UINT32_MAX);
	buf_add_text(&d->text, ", came ");
	say_status(&d->text, came ? status_of(came) : UINT32_MAX);
	if (came && find(came->value, TAG_RESULT_REASON, &it)) {
		buf_add_text(&d->text, ", ");
		say_item(&d->text, &it);
	}
	if (came && find(came->value, TAG_RESULT_MESSAGE, &it)) {
		buf_add_text(&d->text, ", ");
		say_item(&d->text, &it);
	}
	if (expected)
		buf_printf(&d->text, " (line %u)", expected->line);
	return false;
}

/* What the operations came to, before anything else. */
static bool compare_statuses(const struct replay_node *expected, const struct items *came,
	struct replay_diff *d)
{
	const struct replay_node *e = item_at(expected, 0);
	for (size_t i = 0; i < came->n; i++) {
		if (came->item[i].tag != TAG_BATCH_ITEM)
			continue;
		if (!e || value_at(e, TAG_RESULT_STATUS) != status_of(&came->item[i]))
			return differ_status(d, e, &came->item[i]);
		e = replay_next(e);
	}
	return !e || differ_status(d, e, NULL);
}

static struct replay_item item_of(
	const struct replay_node *request, const struct ttlv_item *answer)
{
	struct ttlv_item payload, uid;
	struct replay_item i = { .operation = value_at(request, TAG_OPERATION) };
	i.request = request ? replay_child(request, TAG_REQUEST_PAYLOAD) : NULL;
	if (find(answer->value, TAG_RESPONSE_PAYLOAD, &payload) &&
		payload.type == TTLV_STRUCT &&
		find(payload.value, TAG_UNIQUE_IDENTIFIER, &uid))
		i.uid = uid.value;
	return i;
}

static bool compare_item(struct walk *w, const struct replay_node *request,
	const struct replay_node *expected, const struct ttlv_item *it)
{
	struct ttlv_item payload;
	w->item = item_of(request, it);
	if (!compare(w, expected, it))
		return false;
	if (status_of(it) == KMIP_RESULT_STATUS_SUCCESS &&
		find(it->value, TAG_RESPONSE_PAYLOAD, &payload))
		replay_learn(&w->item, payload.value, w->s);
	return true;
}

static bool compare_message(struct walk *w, const struct replay_node *request,
	const struct replay_node *expected, const struct items *came)
{
	const struct replay_node *e = expected->first;
	size_t at = 0;
	for (size_t i = 0; i < came->n; i++, e = e->next) {
		const struct ttlv_item *it = &came->item[i];
		if (!e)
			return differ_unexpected(w, expected, it);
		bool is_same = e->tag == TAG_BATCH_ITEM && it->tag == e->tag
				       ? compare_item(w, item_at(request, at++), e, it)
				       : compare(w, e, it);
		if (!is_same)
			return false;
	}
	return !e || differ(w, e, NULL, "is missing");
}

bool replay_compare(const struct replay_node *request, const struct replay_node *expected,
	struct slice answer, struct replay_scope *s, struct replay_diff *ret)
{
	struct walk w = { .s = s, .diff = ret };
	struct ttlv_reader r = ttlv_read(answer);
	struct ttlv_item message;
	if (!kf_ok(ttlv_check(answer)) || !ttlv_next(&r, &message) || ttlv_more(&r) ||
		message.tag != TAG_RESPONSE_MESSAGE || message.type != TTLV_STRUCT) {
		buf_add_text(&ret->text, "what came is no Response Message of KMIP");
		return false;
	}
	autoitems came;
	kf_err err = items_read(message.value, &came);
	if (!kf_ok(err)) {
		buf_add_text(&ret->text, err.site->text);
		return false;
	}
	return compare_statuses(expected, &came, ret) &&
	       compare_message(&w, request, expected, &came);
}
