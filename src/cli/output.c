/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "cli/cli.h"
#include "ttlv/utf8.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_COLUMNS = 16 };

struct table {
	bool is_json;
	const char *const *titles;
	size_t columns, rows;
	struct buf cells; /* each ends with NUL */
};

void cli_note(const struct cli *c, const char *format, ...)
{
	*c->has_told = true;
	fputs("keyfleet: ", stderr);
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void cli_note_lines(const struct cli *c, const struct buf *why)
{
	size_t n = why->n;
	while (n && why->p[n - 1] == '\n')
		n--;
	if (n)
		cli_note(c, "%.*s", (int)n, (const char *)why->p);
}

kf_err cli_file_error(const struct cli *c, const char *path, kf_err e)
{
	if (!kf_ok(e))
		cli_note(c, "%s: %s", path, e.site->text);
	return e;
}

struct table *table_new(const struct cli *c, const char *const *titles, size_t columns)
{
	struct table *t = calloc(1, sizeof(*t));
	if (!t || columns > TABLE_COLUMNS)
		abort();
	*t = (struct table){
		.is_json = c->is_json,
		.titles = titles,
		.columns = columns,
		.cells = buf_new(256 << 20),
	};
	return t;
}

void table_row(struct table *t, const char *const *cells)
{
	for (size_t i = 0; i < t->columns; i++)
		buf_add(&t->cells, cells[i], strlen(cells[i]) + 1);
	t->rows++;
}

/* The first of 1 to 4 bytes that is UTF-8 by itself; 0: none. */
static size_t utf8_length(struct slice s)
{
	for (size_t n = 1; n <= 4 && n <= s.n; n++)
		if (utf8_is_text((struct slice){ s.p, n }))
			return n;
	return 0;
}

size_t cli_char(struct slice s)
{
	size_t n = utf8_length(s);
	bool is_c0 = n == 1 && (s.p[0] < 0x20 || s.p[0] == 0x7f);
	bool is_c1 = n == 2 && s.p[0] == 0xc2 && s.p[1] < 0xa0;
	return is_c0 || is_c1 ? 0 : n;
}

static void print_json_text(const char *s)
{
	size_t n;
	putchar('"');
	for (; *s; s += n) {
		unsigned char ch = (unsigned char)*s;
		n = utf8_length(slice_of(s));
		if (ch == '"' || ch == '\\')
			printf("\\%c", ch);
		else if (ch < 0x20)
			printf("\\u%04x", ch);
		else if (n)
			printf("%.*s", (int)n, s);
		else /* a path may be of any bytes, JSON may not */
			fputs("\\ufffd", stdout);
		n += n == 0;
	}
	putchar('"');
}

static void print_json_key(const char *title)
{
	putchar('"');
	for (; *title; title++)
		putchar(*title == ' ' ? '_' : tolower((unsigned char)*title));
	putchar('"');
}

static const char *next_cell(const char **at)
{
	const char *cell = *at;
	*at += strlen(cell) + 1;
	return cell;
}

static void print_as_json(const struct table *t)
{
	const char *at = (const char *)t->cells.p;
	puts("[");
	for (size_t row = 0; row < t->rows; row++) {
		for (size_t i = 0; i < t->columns; i++) {
			fputs(i ? ", " : "  {", stdout);
			print_json_key(t->titles[i]);
			fputs(": ", stdout);
			print_json_text(next_cell(&at));
		}
		puts(row + 1 < t->rows ? "}," : "}");
	}
	puts("]");
}

/* What a terminal could take as a command is shown as a question mark. */
static void print_cell(const char *s, size_t width, bool is_last)
{
	size_t n = 0;
	for (; *s; s++, n++)
		putchar(iscntrl((unsigned char)*s) ? '?' : *s);
	for (; n < width && !is_last; n++)
		putchar(' ');
	fputs(is_last ? "\n" : "  ", stdout);
}

static void print_as_text(const struct table *t)
{
	size_t width[TABLE_COLUMNS];
	for (size_t i = 0; i < t->columns; i++)
		width[i] = strlen(t->titles[i]);
	const char *at = (const char *)t->cells.p;
	for (size_t i = 0; i < t->rows * t->columns; i++) {
		size_t n = strlen(next_cell(&at));
		if (n > width[i % t->columns])
			width[i % t->columns] = n;
	}
	for (size_t i = 0; i < t->columns; i++)
		print_cell(t->titles[i], width[i], i + 1 == t->columns);
	at = (const char *)t->cells.p;
	for (size_t i = 0; i < t->rows * t->columns; i++)
		print_cell(
			next_cell(&at), width[i % t->columns], (i + 1) % t->columns == 0);
}

kf_err table_end(struct table *t, kf_err e)
{
	if (kf_ok(e))
		e = buf_err(&t->cells);
	if (kf_ok(e) && t->is_json)
		print_as_json(t);
	else if (kf_ok(e))
		print_as_text(t);
	buf_free(&t->cells);
	free(t);
	return e;
}

struct progress progress_start(const char *what)
{
	return (struct progress){ .what = what, .started_ns = clock_monotonic_ns() };
}

void progress_show(struct progress *p, const struct cli *c, double part)
{
	enum { WIDTH = 40 };
	uint64_t now = clock_monotonic_ns();
	if (c->is_quiet || !isatty(STDERR_FILENO) || now - p->started_ns < 2000000000 ||
		now - p->shown_ns < 100000000)
		return;
	p->shown_ns = now;
	int filled = (int)(part * WIDTH);
	fprintf(stderr, "\r%s [%.*s%*s] %3d %%", p->what, filled,
		"########################################", WIDTH - filled, "",
		(int)(part * 100));
}

void progress_done(struct progress *p, const struct cli *c)
{
	if (!c->is_quiet && p->shown_ns)
		fputc('\n', stderr);
}
