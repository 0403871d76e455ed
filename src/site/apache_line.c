/* SPDX-License-Identifier: Apache-2.0 */
#include "site/apache.h"
#include <string.h>
#include <strings.h>

/* ---- defines ---- */

static const char *find(const struct known *k, struct slice name)
{
	for (; k; k = k->next)
		if (slice_is(name, k->name))
			return k->value;
	return NULL;
}

static void remember(
	struct apache *a, struct known **list, const char *name, const char *value)
{
	struct known *k = reading_take(a->r, sizeof(*k));
	if (!k)
		return;
	*k = (struct known){ .next = *list,
		.name = reading_text(a->r, slice_of(name)),
		.value = value ? reading_text(a->r, slice_of(value)) : NULL };
	*list = k;
}

void apache_define(struct apache *a, const char *name, const char *value)
{
	remember(a, &a->defines, name, value);
}

void apache_undefine(struct apache *a, const char *name)
{
	remember(a, &a->defines, name, NULL);
}

static const char *value_of(const struct apache *a, struct slice name)
{
	const char *value = find(a->defines, name);
	return value ? value : find(a->environment, name);
}

/* `export NAME=value`, where $SUFFIX is that of a second instance and empty in the usual one. */
static void take_export(struct apache *a, char *line)
{
	static const char export[] = "export ", suffix[] = "$SUFFIX";
	if (strncmp(line, export, sizeof(export) - 1) != 0)
		return;
	char *name = line + sizeof(export) - 1, *value = strchr(name, '=');
	if (!value)
		return;
	*value++ = 0;
	size_t n = strlen(value);
	if (n >= 2 && (*value == '"' || *value == '\'') && value[n - 1] == *value) {
		value[n - 1] = 0;
		value++;
	}
	for (char *at; (at = strstr(value, suffix));)
		memmove(at, at + sizeof(suffix) - 1, strlen(at + sizeof(suffix) - 1) + 1);
	if (!strpbrk(value, "$`"))
		remember(a, &a->environment, name, value);
}

void apache_read_envvars(struct apache *a)
{
	autobuf text = buf_new(1 << 20);
	const char *path = reading_format(a->r, "%s/envvars", a->dir);
	if (!kf_ok(a->r->files->read(a->r->files->arg, path, &text)))
		return;
	buf_add_u8(&text, 0);
	char *state = NULL;
	if (!kf_ok(buf_err(&text)))
		return;
	for (char *line = strtok_r((char *)text.p, "\r\n", &state); line;
		line = strtok_r(NULL, "\r\n", &state))
		take_export(a, line);
}

/* ---- lines ---- */

static bool is_end(const struct apache_file *f)
{
	return f->at >= f->text.n || f->text.p[f->at] == '\n';
}

/* A backslash before the line's end joins the next one. */
static bool skip_joint(struct apache_file *f)
{
	size_t n = f->text.n - f->at;
	const uint8_t *p = f->text.p + f->at;
	size_t skip = n >= 2 && p[0] == '\\' && p[1] == '\n'                   ? 2
		      : n >= 3 && p[0] == '\\' && p[1] == '\r' && p[2] == '\n' ? 3
									       : 0;
	f->at += skip;
	f->line += skip != 0;
	return skip != 0;
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; }

static void skip_blanks(struct apache_file *f)
{
	while (!is_end(f) && (skip_joint(f) || is_blank(f->text.p[f->at])))
		if (!is_end(f) && is_blank(f->text.p[f->at]))
			f->at++;
}

/* ${NAME}: its value, or as it stands where nobody defines it. */
static bool put_variable(const struct apache *a, struct apache_file *f)
{
	const uint8_t *p = f->text.p + f->at;
	size_t n = f->text.n - f->at;
	if (n < 3 || p[0] != '$' || p[1] != '{')
		return false;
	const uint8_t *end = memchr(p, '}', n), *newline = memchr(p, '\n', n);
	if (!end || (newline && newline < end))
		return false;
	const char *value = value_of(a, (struct slice){ p + 2, (size_t)(end - p) - 2 });
	if (!value)
		return false;
	for (; *value; value++)
		words_put(&f->words, (uint8_t)*value);
	f->at += (size_t)(end - p) + 1;
	return true;
}

static bool take_word(const struct apache *a, struct apache_file *f)
{
	uint8_t c = f->text.p[f->at], quote = c == '"' || c == '\'' ? c : 0;
	if (!words_begin(&f->words, f->at, f->line))
		return false;
	f->at += quote != 0;
	while (!is_end(f)) {
		c = f->text.p[f->at];
		if (quote ? c == quote : is_blank(c))
			break;
		if (skip_joint(f) || put_variable(a, f))
			continue;
		bool is_escape =
			c == '\\' && quote && f->at + 1 < f->text.n &&
			(f->text.p[f->at + 1] == quote || f->text.p[f->at + 1] == '\\');
		words_put(&f->words, f->text.p[f->at += is_escape]);
		f->at++;
	}
	f->at += quote && !is_end(f);
	words_end(&f->words, f->at);
	return true;
}

/* The closing bracket of a section stands at the end of its last word, or alone. */
static void drop_bracket(struct words *w)
{
	struct word *last = &w->item[w->n - 1];
	if (w->text.n < 2 || w->text.p[w->text.n - 2] != '>')
		return;
	w->text.n--;
	w->text.p[w->text.n - 1] = 0;
	last->n -= last->n > 0;
	if (!w->text.p[last->text] && w->n > 1) {
		w->text.n--;
		w->n--;
	}
}

bool apache_next_line(struct apache *a, struct apache_file *f)
{
	words_clear(&f->words);
	if (f->at >= f->text.n)
		return false;
	skip_blanks(f);
	bool is_comment = !is_end(f) && f->text.p[f->at] == '#';
	f->is_section = !is_end(f) && f->text.p[f->at] == '<';
	f->at += f->is_section;
	for (skip_blanks(f); !is_end(f) && !is_comment; skip_blanks(f))
		if (!take_word(a, f))
			break;
	while (!is_end(f))
		if (!skip_joint(f))
			f->at++;
	f->line += f->at < f->text.n;
	f->at++;
	if (f->is_section && f->words.n && kf_ok(buf_err(&f->words.text)))
		drop_bracket(&f->words);
	return true;
}

/* ---- conditions ---- */

/* Modules that Debian's httpd has inside. */
static bool is_built_in(const char *name)
{
	static const char *const inside[] = { "core.c", "mod_so.c", "mod_unixd.c",
		"mod_log_config.c", "mod_logio.c", "mod_version.c", "mod_watchdog.c",
		"http_core.c", "so_module", "unixd_module", "log_config_module",
		"version_module" };
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		if (!strcasecmp(inside[i], name))
			return true;
	return false;
}

/* By its own name, "ssl_module", or by that of its source, "mod_ssl.c". */
static bool has_module(const struct apache *a, const char *name)
{
	size_t n = strlen(name);
	for (const struct known *k = a->modules; k; k = k->next) {
		if (!strcasecmp(k->name, name))
			return true;
		size_t m = strlen(k->value);
		bool is_source = n > 2 && m > 3 && !strcmp(name + n - 2, ".c") &&
				 n - 2 == m - 3 && !strncasecmp(name, k->value, n - 2);
		if (is_source)
			return true;
	}
	return is_built_in(name);
}

bool apache_condition(const struct apache *a, const struct words *w)
{
	const char *what = words_text(w, 1);
	bool is_not = *what == '!', holds = true;
	what += is_not;
	if (!strcasecmp(words_text(w, 0), "IfModule"))
		holds = has_module(a, what);
	else if (!strcasecmp(words_text(w, 0), "IfDefine"))
		holds = find(a->defines, slice_of(what)) != NULL;
	else
		return true;
	return holds != is_not;
}

/* ---- includes ---- */

struct including {
	struct apache *a;
	const struct site_value *by;
	size_t found;
};

/* A folder stands for everything in it. */
static kf_err include_one(void *arg, const char *path)
{
	struct including *in = arg;
	struct reading *r = in->a->r;
	in->found++;
	if (!r->files->is_dir(r->files->arg, path)) {
		apache_read_file(in->a, path, in->by);
		return r->err;
	}
	if (r->depth >= SITE_DEPTH_MAX)
		return r->err;
	r->depth++;
	kf_err e = r->files->glob(
		r->files->arg, reading_format(r, "%s/*", path), include_one, in);
	r->depth--;
	return e;
}

void apache_include(struct apache *a, const struct words *w, bool is_optional)
{
	const struct site_value by = words_value(a->r, w, 1);
	struct including in = { a, &by, 0 };
	const char *pattern =
		reading_path(a->r, a->server_root ? a->server_root : a->dir, by.text);
	kf_err e = a->r->files->glob(a->r->files->arg, pattern, include_one, &in);
	if (!kf_ok(e) && kf_ok(a->r->err))
		a->r->err = e;
	if (!in.found && !is_optional)
		reading_complain(a->r, by.file, by.line,
			"%s: there is no such file, or it cannot be read", pattern);
}
