/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include "base/conf_value.h"
#include "base/mem.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20, NAME_MAX_BYTES = 64 };

struct parser {
	const struct conf_table *t;
	const char *path, *dir;
	char *target;
	struct buf *errors;
	int line, mistakes;
	const struct conf_section *section; /* NULL: none yet, or an unknown one */
	bool is_skipping; /* an unknown section: one mistake is enough */
	char *base;       /* what the offsets of the section's options count from */
	bool *seen_option;
	int *section_line; /* where each section was last opened; 0: nowhere */
};

__attribute__((format(printf, 2, 3))) static void complain(
	struct parser *p, const char *format, ...)
{
	char text[CONF_WHY_MAX + 256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_printf(p->errors, "%s:%d: %s\n", p->path, p->line, text);
	p->mistakes++;
}

void conf_complain(struct buf *errors, const char *path, const char *section,
	const char *key, const char *why)
{
	buf_printf(errors, "%s: `%s` in [%s]: %s\n", path, key, section, why);
}

/* Levenshtein distance, two rows; long words are not alike. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1], n = strlen(b);
	if (strlen(a) > NAME_MAX_BYTES || n > NAME_MAX_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = diagonal + 1 < best ? diagonal + 1 : best;
		}
	}
	return row[n];
}

struct guess {
	const char *wrong, *best;
	size_t distance;
};

static void consider(struct guess *g, const char *word)
{
	size_t d = distance(g->wrong, word);
	if (d < g->distance && d <= 1 + strlen(g->wrong) / 3)
		*g = (struct guess){ g->wrong, word, d };
}

static const struct conf_section *find_section(
	const struct conf_table *t, const char *kind)
{
	for (size_t i = 0; i < t->n_sections; i++)
		if (strcmp(t->sections[i].kind, kind) == 0)
			return &t->sections[i];
	return NULL;
}

static const struct conf_option *find_option(const struct parser *p, const char *key)
{
	for (size_t i = 0; i < p->t->n_options; i++) {
		const struct conf_option *o = &p->t->options[i];
		if (strcmp(o->section, p->section->kind) == 0 && strcmp(o->key, key) == 0)
			return o;
	}
	return NULL;
}

static bool is_of(const struct conf_option *o, const struct conf_section *s)
{
	return strcmp(o->section, s->kind) == 0;
}

static void set_default(struct parser *p, const struct conf_option *o, char *base)
{
	char why[CONF_WHY_MAX];
	if (o->initial && !conf_set(o, p->dir, o->initial, base + o->offset, why))
		complain(p, "default `%s` of `%s` %s", o->initial, o->key, why);
}

static void set_defaults(struct parser *p, const struct conf_section *s, char *base)
{
	for (size_t i = 0; i < p->t->n_options; i++)
		if (is_of(&p->t->options[i], s)) {
			p->seen_option[i] = false;
			set_default(p, &p->t->options[i], base);
		}
}

/* Reported where the section starts, if it does. */
static void check_required(struct parser *p, const struct conf_section *s)
{
	int line = p->line, opened = p->section_line[s - p->t->sections];
	p->line = opened ? opened : line;
	for (size_t i = 0; i < p->t->n_options; i++) {
		const struct conf_option *o = &p->t->options[i];
		if (is_of(o, s) && o->is_required && !p->seen_option[i])
			complain(p, "[%s] lacks the option `%s`; add: %s = %s", s->kind,
				o->key, o->key, conf_type_text(o->type));
	}
	p->line = line;
}

/* The entry under way of a repeated section is over. */
static void close_section(struct parser *p)
{
	if (p->section && p->section->entry_size)
		check_required(p, p->section);
	p->section = NULL;
}

static struct conf_group *group_of(const struct conf_section *s, void *target)
{
	return (struct conf_group *)(void *)((char *)target + s->group_offset);
}

static char *entry_at(const struct conf_section *s, void *target, size_t i)
{
	return (char *)group_of(s, target)->items + i * s->entry_size;
}

static char *label_at(const struct conf_section *s, void *target, size_t i)
{
	return *(char **)(void *)entry_at(s, target, i);
}

static bool has_label(struct parser *p, const struct conf_section *s, const char *label)
{
	for (size_t i = 0; i < group_of(s, p->target)->n; i++)
		if (strcmp(label_at(s, p->target, i), label) == 0)
			return true;
	return false;
}

static char *add_entry(struct parser *p, const struct conf_section *s, const char *label)
{
	struct conf_group *g = group_of(s, p->target);
	char *copy = strdup(label);
	void *items = copy ? reallocarray(g->items, g->n + 1, s->entry_size) : NULL;
	if (!items) {
		free(copy);
		complain(p, "out of memory");
		return NULL;
	}
	g->items = items;
	char *entry = entry_at(s, p->target, g->n++);
	memset(entry, 0, s->entry_size);
	*(char **)(void *)entry = copy;
	return entry;
}

static void open_repeated(
	struct parser *p, const struct conf_section *s, const char *label)
{
	if (!*label)
		complain(p, "section [%s] needs a label; write [%s NAME]", s->kind,
			s->kind);
	else if (has_label(p, s, label))
		complain(
			p, "section [%s %s] appears twice; join the two", s->kind, label);
	char *entry = add_entry(p, s, label);
	if (!entry)
		return;
	p->section = s;
	p->base = entry;
	set_defaults(p, s, entry);
}

static void open_single(struct parser *p, const struct conf_section *s, const char *label)
{
	if (*label)
		complain(p, "section [%s] has no label; write [%s]", s->kind, s->kind);
	else if (p->section_line[s - p->t->sections])
		complain(p, "section [%s] appears twice; join the two", s->kind);
	p->section = s;
	p->base = p->target;
}

static void unknown_section(struct parser *p, const char *kind)
{
	struct guess g = { kind, NULL, SIZE_MAX };
	for (size_t i = 0; i < p->t->n_sections; i++)
		consider(&g, p->t->sections[i].kind);
	p->is_skipping = true;
	if (g.best)
		complain(p, "unknown section [%s]; did you mean [%s]?", kind, g.best);
	else
		complain(p, "unknown section [%s]", kind);
}

static char *trim(char *s)
{
	s += strspn(s, " \t");
	for (size_t n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
		s[n - 1] = 0;
	return s;
}

static void read_section(struct parser *p, char *text)
{
	close_section(p);
	p->is_skipping = false;
	size_t n = strlen(text);
	if (text[n - 1] != ']') {
		p->is_skipping = true;
		complain(p, "`]` is missing at the end of the section's name");
		return;
	}
	text[n - 1] = 0;
	char *kind = trim(text + 1), *label = kind + strcspn(kind, " \t");
	if (*label)
		*label++ = 0;
	const struct conf_section *s = find_section(p->t, kind);
	if (!s)
		unknown_section(p, kind);
	else if (s->entry_size)
		open_repeated(p, s, trim(label));
	else
		open_single(p, s, trim(label));
	if (s)
		p->section_line[s - p->t->sections] = p->line;
}

static void unknown_option(struct parser *p, const char *key)
{
	struct guess g = { key, NULL, SIZE_MAX };
	const char *elsewhere = NULL;
	for (size_t i = 0; i < p->t->n_options; i++) {
		const struct conf_option *o = &p->t->options[i];
		if (is_of(o, p->section))
			consider(&g, o->key);
		else if (strcmp(o->key, key) == 0)
			elsewhere = o->section;
	}
	const char *here = p->section->kind;
	if (elsewhere)
		complain(p, "unknown option `%s` in [%s]; it belongs to [%s]", key, here,
			elsewhere);
	else if (g.best)
		complain(p, "unknown option `%s` in [%s]; did you mean `%s`?", key, here,
			g.best);
	else
		complain(p, "unknown option `%s` in [%s]", key, here);
}

/* Takes the quotes off; false when they do not pair. */
static bool unquote(char **value)
{
	char *v = *value;
	size_t n = strlen(v);
	if (v[0] != '"')
		return true;
	if (n < 2 || v[n - 1] != '"' || memchr(v + 1, '"', n - 2))
		return false;
	v[n - 1] = 0;
	*value = v + 1;
	return true;
}

static void set_option(struct parser *p, const struct conf_option *o, char *value)
{
	bool *seen = &p->seen_option[o - p->t->options];
	char why[CONF_WHY_MAX];
	if (*seen)
		complain(p, "option `%s` appears twice in [%s]; remove one", o->key,
			o->section);
	*seen = true;
	if (!unquote(&value))
		complain(p, "`%s`: quotes do not pair", o->key);
	else if (!conf_set(o, p->dir, value, p->base + o->offset, why))
		complain(p, "`%s`: `%.128s` %s", o->key, value, why);
}

/* Could be the name of an option.  Nothing else of a line is repeated to logs and terminals: somebody who
 * names a private key or a list of master keys as the configuration must not find it there. */
/* A number may stand at the end, "_1024", and nowhere else: keys in hexadecimal look like names otherwise. */
static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_-");
	size_t digits = strspn(s + n, "0123456789");
	if (digits && (digits > 4 || n == 0 || s[n - 1] != '_'))
		return false;
	return n > 0 && n <= 32 && !s[n + digits];
}

static void read_option(struct parser *p, char *text)
{
	char *equals = strchr(text, '=');
	if (!equals) {
		if (is_name(text))
			complain(
				p, "`%s` is neither `key = value` nor a [section]", text);
		else
			complain(p, "neither `key = value` nor a [section]");
		return;
	}
	*equals = 0;
	char *key = trim(text), *value = trim(equals + 1);
	if (!is_name(key)) {
		complain(p, "what stands before = is not the name of an option");
		return;
	}
	if (!p->section) {
		if (!p->is_skipping)
			complain(p, "option `%.128s` stands before the first [section]",
				key);
		return;
	}
	const struct conf_option *o = find_option(p, key);
	if (o)
		set_option(p, o, value);
	else
		unknown_option(p, key);
}

/* A # starts a comment at the start of the line or after white space, outside quotes. */
static void cut_comment(char *text)
{
	bool is_quoted = false;
	for (char *c = text; *c; c++) {
		if (*c == '"')
			is_quoted = !is_quoted;
		if (*c == '#' && !is_quoted &&
			(c == text || c[-1] == ' ' || c[-1] == '\t')) {
			*c = 0;
			return;
		}
	}
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < ' ' && s.p[i] != '\t' && s.p[i] != '\r') || s.p[i] == 0x7f)
			return true;
	return false;
}

static void read_line(struct parser *p, struct slice line)
{
	char text[CONF_VALUE_MAX];
	if (has_control(line)) {
		complain(p, "the line holds control characters");
		return;
	}
	if (!kf_ok(slice_to_text(line, text, sizeof(text)))) {
		complain(p, "the line is longer than %d bytes", CONF_VALUE_MAX - 1);
		return;
	}
	cut_comment(text);
	char *rest = trim(text);
	if (*rest == '[')
		read_section(p, rest);
	else if (*rest)
		read_option(p, rest);
}

static void read_lines(struct parser *p, struct slice text)
{
	while (text.n) {
		p->line++;
		read_line(p, slice_take_line(&text));
	}
}

static void read_text(struct parser *p, struct slice text)
{
	for (size_t i = 0; i < p->t->n_sections; i++)
		if (!p->t->sections[i].entry_size)
			set_defaults(p, &p->t->sections[i], p->target);
	read_lines(p, text);
	close_section(p);
	for (size_t i = 0; i < p->t->n_sections; i++)
		if (!p->t->sections[i].entry_size)
			check_required(p, &p->t->sections[i]);
}

/* The absolute directory of the file, so that paths survive a chdir. */
static kf_err find_dir(const char *path, char ret[PATH_MAX])
{
	char text[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (n + 2 >= sizeof(text))
		return kf_fail(TOO_BIG, "path of the configuration file");
	snprintf(text, sizeof(text), "%.*s", (int)n, path);
	if (!realpath(n ? text : slash ? "/" : ".", ret))
		snprintf(ret, PATH_MAX, "%s", text);
	if (strcmp(ret, "/") == 0)
		ret[0] = 0;
	return KF_OK;
}

kf_err conf_parse(const struct conf_table *t, const char *path, struct slice text,
	void *target, struct buf *errors)
{
	char dir[PATH_MAX];
	KF_TRY(find_dir(path, dir));
	CLEANUP(mem_freep) bool *seen = calloc(t->n_options + 1, sizeof(*seen));
	CLEANUP(mem_freep) int *lines = calloc(t->n_sections + 1, sizeof(*lines));
	if (!seen || !lines)
		return kf_fail(NOMEM, "reading the configuration");
	struct parser p = { .t = t,
		.path = path,
		.dir = dir,
		.target = target,
		.errors = errors,
		.seen_option = seen,
		.section_line = lines };
	read_text(&p, text);
	if (p.mistakes)
		return kf_fail(CONFIG, "the configuration file has mistakes");
	return KF_OK;
}

kf_err conf_read(
	const struct conf_table *t, const char *path, void *target, struct buf *errors)
{
	autobuf text = buf_new(FILE_MAX);
	KF_TRY(conf_read_file(path, &text, errors));
	return conf_parse(t, path, buf_slice(&text), target, errors);
}

static void free_fields(
	const struct conf_table *t, const struct conf_section *s, char *base)
{
	for (size_t i = 0; i < t->n_options; i++)
		if (is_of(&t->options[i], s))
			conf_clear(&t->options[i], base + t->options[i].offset);
}

static void free_group(
	const struct conf_table *t, const struct conf_section *s, void *target)
{
	struct conf_group *g = group_of(s, target);
	for (size_t i = 0; i < g->n; i++) {
		free_fields(t, s, entry_at(s, target, i));
		free(label_at(s, target, i));
	}
	free(g->items);
	*g = (struct conf_group){ 0 };
}

void conf_free(const struct conf_table *t, void *target)
{
	for (size_t i = 0; i < t->n_sections; i++)
		if (t->sections[i].entry_size)
			free_group(t, &t->sections[i], target);
		else
			free_fields(t, &t->sections[i], target);
}
