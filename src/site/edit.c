/* SPDX-License-Identifier: Apache-2.0 */
#include "site/site.h"
#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
	const struct site_edit *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->n > y->n) - (x->n < y->n);
}

static kf_err apply(
	struct slice text, const struct site_edit *e, size_t *done, struct buf *ret)
{
	if (e->at < *done)
		return kf_fail(CONFLICT, "two changes of one file overlap");
	if (e->at > text.n || e->n > text.n - e->at)
		return kf_fail(CONFLICT, "the file is shorter than when it was read");
	const struct slice was = { text.p + e->at, e->n };
	if (!slice_is(was, e->was ? e->was : ""))
		return kf_fail(CONFLICT, "the file is not what it was when it was read");
	buf_add(ret, text.p + *done, e->at - *done);
	buf_add_text(ret, e->now);
	*done = e->at + e->n;
	return KF_OK;
}

static kf_err apply_all(
	struct slice text, const struct site_edit *sorted, size_t n, struct buf *ret)
{
	size_t done = 0;
	for (size_t i = 0; i < n; i++)
		KF_TRY(apply(text, &sorted[i], &done, ret));
	buf_add(ret, text.p + done, text.n - done);
	return buf_err(ret);
}

kf_err site_edit(
	struct slice text, const struct site_edit *edits, size_t n, struct buf *ret)
{
	if (!n)
		return apply_all(text, NULL, 0, ret);
	struct site_edit *sorted = calloc(n, sizeof(*sorted));
	if (!sorted)
		return kf_fail(NOMEM, "no memory for the changes of a file");
	memcpy(sorted, edits, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_place);
	kf_err e = apply_all(text, sorted, n, ret);
	free(sorted);
	return e;
}

static bool is_plain(const char *path)
{
	return path[strspn(path,
		       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		       "/._-+@:,=~")] == 0;
}

/* stunnel has no quotes: a value is its line.  The others read "..." alike as long as nothing in it asks
 * for a variable or an escape. */
kf_err site_quote(enum site_kind kind, const char *path, struct buf *ret)
{
	if (!*path || strpbrk(path, "\n\r\"\\$'"))
		return kf_fail(INVALID_FIELD, "a path with quotes, $, backslashes or "
					      "line breaks is not written "
					      "into a configuration");
	bool is_bare = kind == SITE_STUNNEL || is_plain(path);
	buf_printf(ret, is_bare ? "%s" : "\"%s\"", path);
	return buf_err(ret);
}
