/* SPDX-License-Identifier: Apache-2.0 */
#include "site/private.h"
#include <stdlib.h>
#include <string.h>

struct words words_new(const char *file)
{
	return (struct words){ .text = buf_new(SITE_FILE_MAX * 2), .file = file };
}

void words_free(struct words *w)
{
	free(w->item);
	buf_free(&w->text);
	*w = (struct words){ 0 };
}

void words_clear(struct words *w)
{
	w->n = 0;
	buf_clear(&w->text);
}

bool words_begin(struct words *w, size_t at, size_t line)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 16;
		struct word *item = reallocarray(w->item, cap, sizeof(*item));
		if (!item)
			return false;
		w->item = item;
		w->cap = cap;
	}
	w->item[w->n++] = (struct word){ .text = w->text.n, .at = at, .line = line };
	return true;
}

void words_put(struct words *w, uint8_t byte) { buf_add_u8(&w->text, byte); }

void words_end(struct words *w, size_t at)
{
	struct word *last = &w->item[w->n - 1];
	last->n = at - last->at;
	buf_add_u8(&w->text, 0);
}

const char *words_text(const struct words *w, size_t i)
{
	if (i >= w->n || !kf_ok(buf_err(&w->text)))
		return "";
	return (const char *)w->text.p + w->item[i].text;
}

bool words_is(const struct words *w, size_t i, const char *text)
{
	return i < w->n && !strcmp(words_text(w, i), text);
}

struct site_value words_value(struct reading *r, const struct words *w, size_t i)
{
	if (i >= w->n)
		return (struct site_value){ .text = "", .file = w->file };
	return (struct site_value){
		.text = reading_text(r, slice_of(words_text(w, i))),
		.file = w->file,
		.line = w->item[i].line,
		.at = w->item[i].at,
		.n = w->item[i].n,
	};
}

struct site_value words_joined(struct reading *r, const struct words *w, size_t i)
{
	struct site_value v = words_value(r, w, i);
	if (i + 1 >= w->n)
		return v;
	const struct word *last = &w->item[w->n - 1];
	v.n = last->at + last->n - v.at;
	struct slice all = { w->text.p + w->item[i].text,
		w->text.n - w->item[i].text - 1 };
	char *text = reading_take(r, all.n + 1);
	if (!text)
		return v;
	for (size_t k = 0; k < all.n; k++)
		text[k] = all.p[k] ? (char)all.p[k] : ' ';
	v.text = text;
	return v;
}

void words_fact(struct reading *r, const struct words *w, const struct fact_row *rows,
	size_t n, compare_fn *compare)
{
	for (size_t i = 0; i < n; i++)
		if (!compare(words_text(w, 0), rows[i].directive))
			reading_fact(
				r, rows[i].id, rows[i].directive, words_joined(r, w, 1));
}
