/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet doctor --log: the lines of a server's error log or configuration test that it knows, each with
 * cause and remedy.
 */
#include "cli/doctor_explain.h"
#include "base/conf.h"
#include "cli/doctor_log.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_MAX = 64 << 20, LINE_SHOWN = 400 };

static kf_err read_input(struct buf *ret)
{
	uint8_t part[65536];
	ssize_t n;
	while ((n = read(STDIN_FILENO, part, sizeof(part))) > 0 && kf_ok(buf_err(ret)))
		buf_add(ret, part, (size_t)n);
	return n < 0 ? kf_fail(IO, "standard input cannot be read") : buf_err(ret);
}

static kf_err read_log(const char *path, struct buf *ret)
{
	autobuf why = buf_new(65536);
	return strcmp(path, "-") ? conf_read_file(path, ret, &why) : read_input(ret);
}

/* Printable and cut: a log holds what visitors send. */
static void show(struct slice line, char ret[LINE_SHOWN + 1])
{
	line.n = line.n < LINE_SHOWN ? line.n : LINE_SHOWN;
	char *to = ret;
	while (line.n) {
		size_t n = cli_char(line);
		memcpy(to, n ? (const char *)line.p : "?", n ? n : 1);
		to += n ? n : 1;
		line = (struct slice){ line.p + (n ? n : 1), line.n - (n ? n : 1) };
	}
	*to = 0;
}

static void print_one(struct table *t, const char *place, struct slice line,
	const struct log_text *text)
{
	char shown[LINE_SHOWN + 1];
	show(line, shown);
	const char *cells[] = { place, text->cause, text->remedy, shown };
	if (t)
		table_row(t, cells);
	else
		printf("%s\n  %s\n        cause   %s\n        remedy  %s\n", place, shown,
			text->cause, text->remedy);
}

/* The same cause again is counted, not repeated. */
static bool is_first(const struct log_text **seen, size_t *n, const struct log_text *text)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(seen[i]->cause, text->cause))
			return false;
	if (*n < LOG_SEEN_MAX)
		seen[(*n)++] = text;
	return true;
}

static size_t explain_all(const char *path, struct slice text, struct table *t)
{
	const struct log_text *seen[LOG_SEEN_MAX];
	size_t n = 0, lines = 0;
	for (size_t number = 1; text.n; number++) {
		char place[4096 + 32];
		struct slice line = log_next_line(&text);
		const struct log_text *found = log_explain(line);
		if (!found)
			continue;
		lines++;
		if (!is_first(seen, &n, found))
			continue;
		snprintf(place, sizeof(place), "%.4000s:%zu", path, number);
		print_one(t, place, line, found);
	}
	return lines;
}

kf_err doctor_explain(struct cli *c, const char *path)
{
	static const char *const titles[] = { "WHERE", "CAUSE", "REMEDY", "LINE" };
	autobuf text = buf_new(LOG_MAX);
	KF_TRY(cli_file_error(c, path, read_log(path, &text)));
	struct table *t = c->is_json ? table_new(c, titles, 4) : NULL;
	const char *name = strcmp(path, "-") ? path : "standard input";
	size_t lines = explain_all(name, buf_slice(&text), t);
	c->exit_status = lines ? 2 : 0;
	if (t)
		return table_end(t, KF_OK);
	printf("%zu lines are about key references%s\n", lines,
		lines ? "" : ": nothing that keyfleet doctor recognises");
	return KF_OK;
}
