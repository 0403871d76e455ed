/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet audit tail: the lines of audit segments as they come.
 */
#include "audit/fields.h"
#include "audit/segment.h"
#include "base/mem.h"
#include "cli/cmd_audit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_LINES = 10, FOLLOW_MS = 200, VALUE_SIZE = 1024 };

/* ---- segments one after the other ---- */

kf_err audit_log_open(const struct cli *c, struct audit_log *ret)
{
	char path[4096];
	*ret = (struct audit_log){ .directory = -1 };
	KF_TRY(audit_directory(c, path, sizeof(path)));
	ret->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->directory < 0)
		return cli_file_error(c, path, file_failed(errno));
	KF_TRY(cli_file_error(
		c, path, segment_list(ret->directory, &ret->number, &ret->n)));
	return ret->n ? KF_OK
		      : cli_file_error(c, path,
				kf_fail(NOT_FOUND, "there are no audit segments"));
}

void audit_log_close(struct audit_log *l)
{
	mem_closep(&l->directory);
	free(l->number);
}

/* ---- a line ---- */

static void print_json_line(struct slice line)
{
	struct field f;
	char value[VALUE_SIZE];
	const char *before = "{";
	while (field_next(&line, &f)) {
		field_text(f.value, value, sizeof(value));
		printf("%s\"%.*s\": \"", before, (int)f.key.n, (const char *)f.key.p);
		for (const char *p = value; *p; p++)
			printf(*p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
		putchar('"');
		before = ", ";
	}
	fputs("}", stdout);
}

static bool is_printable(uint8_t c) { return c >= ' ' && c < 0x7f; }

/* The server writes nothing else than printable characters; who has edited the file shall not command the
 * terminal. */
static void print_plain(struct slice line)
{
	while (line.n) {
		size_t n = 0;
		while (n < line.n && is_printable(line.p[n]))
			n++;
		fwrite(line.p, 1, n, stdout);
		bool is_at_other = n < line.n;
		if (is_at_other)
			putchar('?');
		line.p += n + is_at_other;
		line.n -= n + is_at_other;
	}
	putchar('\n');
}

void audit_print_line(struct audit_printer *p, struct slice line)
{
	if (!p->is_json) {
		print_plain(line);
		return;
	}
	fputs(p->has_any ? ",\n  " : "[\n  ", stdout);
	print_json_line(line);
	p->has_any = true;
}

void audit_print_end(const struct audit_printer *p)
{
	if (p->is_json)
		fputs(p->has_any ? "\n]\n" : "[\n]\n", stdout);
}

/* ---- tail ---- */

struct tail {
	struct cli *cli;
	struct audit_log log;
	struct audit_printer printer;
	uint64_t lines; /* wanted */
	bool is_following;
	uint64_t printed; /* lines of the newest segment that were read */
};

static kf_err count_lines(struct tail *t, size_t i, uint64_t *ret)
{
	struct segment_reader r;
	struct slice line;
	*ret = 0;
	KF_TRY(segment_open(t->log.directory, t->log.number[i], &r));
	while (segment_next(&r, &line))
		++*ret;
	segment_close(&r);
	return KF_OK;
}

static kf_err print_from(struct tail *t, size_t i, uint64_t skip)
{
	struct segment_reader r;
	struct slice line;
	KF_TRY(segment_open(t->log.directory, t->log.number[i], &r));
	for (t->printed = 0; segment_next(&r, &line); t->printed++)
		if (t->printed >= skip)
			audit_print_line(&t->printer, line);
	segment_close(&r);
	return KF_OK;
}

/* From the newest segment back until there are enough lines, then forward. */
static kf_err print_last(struct tail *t)
{
	uint64_t have = 0, in_first = 0;
	size_t first = t->log.n;
	while (first > 0 && have < t->lines) {
		KF_TRY(count_lines(t, --first, &in_first));
		have += in_first;
	}
	for (size_t i = first; i < t->log.n; i++)
		KF_TRY(print_from(
			t, i, i == first && have > t->lines ? have - t->lines : 0));
	return KF_OK;
}

static void pause_a_moment(void)
{
	struct timespec pause = { 0, FOLLOW_MS * 1000000L };
	fflush(stdout);
	nanosleep(&pause, NULL);
}

static void print_new(struct tail *t, struct segment_reader *r)
{
	struct slice line;
	while (segment_next(r, &line))
		audit_print_line(&t->printer, line);
}

/* Once there is another segment, nothing more comes to this one. */
static bool go_on(struct tail *t, struct segment_reader *r)
{
	struct segment_reader next;
	if (!kf_ok(segment_open(t->log.directory, r->number + 1, &next)))
		return false;
	print_new(t, r);
	segment_close(r);
	*r = next;
	return true;
}

static kf_err follow(struct tail *t)
{
	struct segment_reader r;
	struct slice line;
	KF_TRY(segment_open(t->log.directory, t->log.number[t->log.n - 1], &r));
	for (uint64_t i = 0; i < t->printed && segment_next(&r, &line); i++)
		;
	while (!ferror(stdout)) {
		print_new(t, &r);
		if (!go_on(t, &r))
			pause_a_moment();
	}
	segment_close(&r);
	return KF_OK;
}

/* -n and -f, as people know them. */
static void take_short(struct cli *c)
{
	static char lines[] = "--lines", following[] = "--follow";
	for (int i = 0; i < c->argc; i++) {
		if (!strcmp(c->argv[i], "-n"))
			c->argv[i] = lines;
		else if (!strcmp(c->argv[i], "-f"))
			c->argv[i] = following;
	}
}

static kf_err run_tail(struct cli *c)
{
	struct tail t = { .cli = c, .lines = TAIL_LINES };
	const char *lines = NULL;
	const struct cli_option options[] = { { "lines", &lines, NULL },
		{ "follow", NULL, &t.is_following } };
	take_short(c);
	KF_TRY(cli_options(c, options, 2));
	KF_TRY(cli_operands(c, 0, 1));
	if (lines && !field_number(slice_of(lines), &t.lines))
		return kf_fail(INVALID_FIELD, "--lines is a number");
	t.printer.is_json = c->is_json;
	if (c->is_json && t.is_following)
		return kf_fail(INVALID_FIELD, "an array has an end: --json or --follow");
	kf_err e = audit_log_open(c, &t.log);
	if (kf_ok(e))
		e = print_last(&t);
	if (kf_ok(e) && t.is_following)
		e = follow(&t);
	audit_print_end(&t.printer);
	audit_log_close(&t.log);
	return e;
}

const struct command command_audit_tail = {
	.words = "audit tail",
	.args = "[DIR] [-n LINES] [-f]",
	.summary = "print the newest lines of a server's audit log",
	.help = "  DIR                as for audit verify\n"
		"  -n, --lines LINES  how many [10]\n"
		"  -f, --follow       go on with what is written from now on\n",
	.run = run_tail,
};
