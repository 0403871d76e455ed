/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the web server become.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDIT_FILE_MAX = 16 << 20 };

/* A directive's argument, or a line to insert behind it. */
struct task {
	const struct site_value *at;
	const struct adopt_item *item;
	const char *insert; /* the new directive; NULL: the argument changes */
	const char *top;    /* a line for the top of the file; the others are not used */
};

struct tasks {
	struct task *item;
	size_t n;
};

static const char *file_of(const struct task *t) { return t->at->file; }

static int by_file(const void *a, const void *b)
{
	const struct task *x = a, *y = b;
	int order = strcmp(file_of(x), file_of(y));
	if (order)
		return order;
	return (x->at->at > y->at->at) - (x->at->at < y->at->at);
}

/* The directive that a server wants for a key of its own, where the key was found in the certificate's file. */
static const char *key_directive(enum site_kind kind)
{
	return kind == SITE_APACHE ? "SSLCertificateKeyFile " : "key = ";
}

static void add_task(
	const struct adopt *a, const struct adopt_item *it, struct tasks *ret)
{
	const struct site_pair *p = it->pair;
	if (it->is_in_place)
		return;
	struct task t = { .at = p->key.file ? &p->key : &p->certificate, .item = it };
	if (!p->key.file && a->kind != SITE_HAPROXY)
		t.insert = key_directive(a->kind);
	if (a->kind == SITE_HAPROXY)
		t.at = &p->certificate;
	ret->item[ret->n++] = t;
}

/* ---- one file ---- */

/* The argument's bytes now; they must still mean what they meant. */
static kf_err check_argument(
	struct slice text, const struct site_value *v, char *ret_raw, size_t size)
{
	if (v->at > text.n || v->n > text.n - v->at)
		return kf_fail(CONFLICT, "the file changed while it was read");
	const struct slice raw = { text.p + v->at, v->n };
	KF_TRY(slice_to_text(raw, ret_raw, size));
	const char *base = strrchr(v->text, '/');
	if (!strstr(ret_raw, base ? base + 1 : v->text))
		return kf_fail(CONFLICT, "the file changed while it was read");
	return KF_OK;
}

/* White space before the directive that the argument belongs to. */
static struct slice indentation(struct slice text, size_t at)
{
	size_t start = at;
	while (start && text.p[start - 1] != '\n')
		start--;
	size_t n = 0;
	while (start + n < at && (text.p[start + n] == ' ' || text.p[start + n] == '\t'))
		n++;
	return (struct slice){ text.p + start, n };
}

struct texts {
	char was[4200];
	struct buf now;
};

static kf_err make_edit(const struct adopt *a, struct slice text, const struct task *t,
	struct texts *store, struct site_edit *ret)
{
	store->now = buf_new(2 * 4200);
	if (t->top) {
		buf_add_text(&store->now, t->top);
		*ret = (struct site_edit){ .at = 0, .n = 0, .was = "" };
		return buf_err(&store->now);
	}
	KF_TRY(check_argument(text, t->at, store->was, sizeof(store->was)));
	*ret = (struct site_edit){ .at = t->at->at, .n = t->at->n, .was = store->was };
	if (t->insert) {
		*ret = (struct site_edit){ .at = t->at->at + t->at->n, .was = "" };
		buf_add_u8(&store->now, '\n');
		buf_add_slice(&store->now, indentation(text, t->at->at));
		buf_add_text(&store->now, t->insert);
	}
	size_t at = store->now.n;
	KF_TRY(site_quote(a->kind, t->item->ref_path, &store->now));
	bool was_quoted = !t->insert && strchr("\"'", store->was[0]);
	if (was_quoted && store->now.p[at] != '"') { /* quotes stay, needed or not */
		store->now.n = at;
		buf_printf(&store->now, "%c%s%c", store->was[0], t->item->ref_path,
			store->was[0]);
	}
	return buf_err(&store->now);
}

static kf_err edit_text(const struct adopt *a, struct slice text,
	const struct tasks *part, struct buf *ret)
{
	struct texts *store = calloc(part->n, sizeof(*store));
	struct site_edit *edits = calloc(part->n, sizeof(*edits));
	kf_err e = store && edits ? KF_OK : kf_fail(NOMEM, "no memory for the changes");
	size_t n = 0;
	for (size_t i = 0; kf_ok(e) && i < part->n; i++) {
		bool is_again = n && edits[n - 1].at == part->item[i].at->at &&
				!part->item[i].top;
		if (is_again) /* one directive of several pairs */
			continue;
		e = make_edit(a, text, &part->item[i], &store[n], &edits[n]);
		buf_add_u8(&store[n].now, 0);
		edits[n].now = (const char *)store[n].now.p;
		n++;
	}
	if (kf_ok(e))
		e = site_edit(text, edits, n, ret);
	for (size_t i = 0; store && i < part->n; i++)
		buf_free(&store[i].now);
	free(store);
	free(edits);
	return e;
}

static kf_err edit_file(
	const struct adopt *a, const struct tasks *part, struct change *change)
{
	const char *path = file_of(&part->item[0]);
	autobuf old = buf_new(EDIT_FILE_MAX), now = buf_new(EDIT_FILE_MAX);
	kf_err e = site_disk.read(NULL, path, &old);
	if (kf_ok(e))
		e = edit_text(a, buf_slice(&old), part, &now);
	if (kf_ok(e))
		e = change_add(change, path, buf_slice(&now));
	return cli_file_error(a->cli, path, e);
}

/* ---- references ---- */

static kf_err add_key(
	const struct adopt_item *it, enum change_place place, struct change *to)
{
	char id[2 * KEY_ID_SIZE + 1];
	adopt_key_id(buf_slice(&it->key.spki), id);
	return change_add_key(to, it->pair->key.text, place, id);
}

static bool is_bundle(const struct adopt *a, const struct adopt_item *it)
{
	return a->kind == SITE_HAPROXY && it->pair->shape == SITE_BUNDLE;
}

static bool is_written(const struct adopt *a, const struct adopt_item *it)
{
	for (const struct adopt_item *o = a->items; o < it; o++)
		if (!o->why_not && !strcmp(o->ref_path, it->ref_path))
			return true;
	return false;
}

static kf_err add_reference(
	const struct adopt *a, const struct adopt_item *it, struct change *change)
{
	if (is_written(a, it))
		return KF_OK;
	autobuf text = buf_new(2 * ADOPT_PEM_MAX);
	if (is_bundle(a, it))
		buf_add_slice(&text, buf_slice(&it->chain));
	if (text.n && text.p[text.n - 1] != '\n')
		buf_add_u8(&text, '\n');
	buf_add_slice(&text, buf_slice(&it->reference));
	KF_TRY(buf_err(&text));
	kf_err e = change_add(change, it->ref_path, buf_slice(&text));
	/* What became the reference itself is kept in the record alone. */
	if (kf_ok(e) && !it->is_in_place)
		e = add_key(it,
			it->pair->shape == SITE_BUNDLE && a->kind != SITE_HAPROXY
				? CHANGE_KEY_IN_BUNDLE
				: CHANGE_KEY_FILE,
			change);
	return cli_file_error(a->cli, it->ref_path, e);
}

/* ---- all ---- */

static kf_err edit_files(const struct adopt *a, struct tasks *all, struct change *change)
{
	qsort(all->item, all->n, sizeof(*all->item), by_file);
	for (size_t i = 0, n; i < all->n; i += n) {
		for (n = 1; i + n < all->n &&
			    !strcmp(file_of(&all->item[i]), file_of(&all->item[i + n]));
			n++)
			;
		const struct tasks part = { all->item + i, n };
		KF_TRY(edit_file(a, &part, change));
	}
	return KF_OK;
}

kf_err adopt_edit(const struct adopt *a, struct change *change, const char *loader)
{
	struct tasks all = { calloc(a->n_items + 1, sizeof(struct task)), 0 };
	const struct site_value top = { .file = a->site.files[0] };
	kf_err e = all.item ? KF_OK : kf_fail(NOMEM, "no memory for the changes");
	if (kf_ok(e) && loader)
		all.item[all.n++] = (struct task){ .at = &top, .top = loader };
	for (size_t i = 0; i < a->n_items && kf_ok(e); i++) {
		if (a->items[i].why_not)
			continue;
		add_task(a, &a->items[i], &all);
		e = add_reference(a, &a->items[i], change);
	}
	if (kf_ok(e))
		e = edit_files(a, &all, change);
	free(all.item);
	return e;
}
