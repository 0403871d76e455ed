/* SPDX-License-Identifier: Apache-2.0
 *
 * What conf tables say to people: the manual, and what counts from the next start on.
 */
#include "base/conf.h"
#include "base/conf_value.h"
#include <string.h>

static bool is_of(const struct conf_option *o, const struct conf_section *s)
{
	return strcmp(o->section, s->kind) == 0;
}

static void print_words(const struct conf_option *o, struct buf *to)
{
	for (size_t i = 0; o->words && o->words[i]; i++)
		buf_printf(to, "%s%s", i ? "|" : "", o->words[i]);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	return true;
}

static bool is_same(const struct conf_option *o, const void *a, const void *b)
{
	switch (o->type) {
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_ADDRESS: return is_same_text(*(char *const *)a, *(char *const *)b);
	case CONF_INTEGER:
	case CONF_SIZE:
	case CONF_DURATION: return *(const int64_t *)a == *(const int64_t *)b;
	case CONF_BOOL: return *(const bool *)a == *(const bool *)b;
	case CONF_ENUM: return *(const int *)a == *(const int *)b;
	case CONF_LIST:
	case CONF_PATHS:
	case CONF_ADDRESSES: return is_same_list(a, b);
	}
	return true;
}

static bool is_same_at(const struct conf_option *o, const void *a, const void *b)
{
	return !o->needs_restart ||
	       is_same(o, (const char *)a + o->offset, (const char *)b + o->offset);
}

/* Entry by entry, labels too: what stands elsewhere in the file is another one. */
static bool is_same_group(const struct conf_table *t, const struct conf_section *s,
	const struct conf_group *a, const struct conf_group *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const char *x = (const char *)a->items + i * s->entry_size;
		const char *y = (const char *)b->items + i * s->entry_size;
		if (!is_same_text(*(char *const *)(const void *)x,
			    *(char *const *)(const void *)y))
			return false;
		for (size_t k = 0; k < t->n_options; k++)
			if (is_of(&t->options[k], s) && !is_same_at(&t->options[k], x, y))
				return false;
	}
	return true;
}

static bool has_late(const struct conf_table *t, const struct conf_section *s)
{
	for (size_t i = 0; i < t->n_options; i++)
		if (t->options[i].needs_restart && is_of(&t->options[i], s))
			return true;
	return false;
}

static const char *print_late_groups(
	const struct conf_table *t, const void *runs, const void *new, struct buf *to)
{
	const char *comma = "";
	for (size_t i = 0; i < t->n_sections; i++) {
		const struct conf_section *s = &t->sections[i];
		if (!s->entry_size || !has_late(t, s))
			continue;
		const void *a = (const char *)runs + s->group_offset;
		const void *b = (const char *)new + s->group_offset;
		if (is_same_group(t, s, a, b))
			continue;
		buf_printf(to, "%s[%s ...]", comma, s->kind);
		comma = ", ";
	}
	return comma;
}

static bool is_repeated(const struct conf_table *t, const struct conf_option *o)
{
	for (size_t i = 0; i < t->n_sections; i++)
		if (is_of(o, &t->sections[i]))
			return t->sections[i].entry_size != 0;
	return false;
}

void conf_print_late(
	const struct conf_table *t, const void *runs, const void *new, struct buf *to)
{
	const char *comma = print_late_groups(t, runs, new, to);
	for (size_t i = 0; i < t->n_options; i++) {
		const struct conf_option *o = &t->options[i];
		if (is_repeated(t, o) || is_same_at(o, runs, new))
			continue;
		buf_printf(to, "%s%s in [%s]", comma, o->key, o->section);
		comma = ", ";
	}
}

static void print_limits(const struct conf_option *o, struct buf *to)
{
	if (o->min || o->max)
		buf_printf(to, " (%lld to %lld%s)", (long long)o->min, (long long)o->max,
			o->type == CONF_DURATION ? " ms" : "");
	if (o->is_required)
		buf_add_text(to, "; required");
	else if (o->initial)
		buf_printf(to, "; default %s", o->initial);
	if (o->needs_restart)
		buf_add_text(to, "; needs a restart");
	buf_add_text(to, "\n");
}

static void print_option(const struct conf_option *o, struct buf *to)
{
	buf_printf(to, "  %s = ", o->key);
	if (o->type == CONF_ENUM)
		print_words(o, to);
	else
		buf_add_text(to, conf_type_text(o->type));
	buf_printf(to, "\n      %s", o->manual ? o->manual : "");
	print_limits(o, to);
}

void conf_print_manual(const struct conf_table *t, struct buf *to)
{
	for (size_t i = 0; i < t->n_sections; i++) {
		const struct conf_section *s = &t->sections[i];
		buf_printf(to, "%s[%s%s]\n", i ? "\n" : "", s->kind,
			s->entry_size ? " NAME" : "");
		if (s->manual)
			buf_printf(to, "  %s\n", s->manual);
		for (size_t j = 0; j < t->n_options; j++)
			if (is_of(&t->options[j], s))
				print_option(&t->options[j], to);
	}
}
