/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, VALUE_MAX = 256, LINES_AT_ONCE = 20 };

static _Atomic int level_max = LOG_LEVEL_NOTICE;
static _Atomic int out_fd = STDERR_FILENO;

const char *const log_level_words[] = { "error", "warning", "notice", "info", "debug",
	NULL };

void log_set_level(enum log_level level) { atomic_store(&level_max, (int)level); }
void log_set_fd(int fd) { atomic_store(&out_fd, fd); }

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* The text of strerror() is static for known errors in glibc, and thread-local otherwise. */
struct slice log_errno_text(void) { return slice_of(strerror(errno)); }

static bool is_plain(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr("-_.:/+@", c));
}

static bool needs_quotes(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_plain(s.p[i]))
			return true;
	return s.n == 0;
}

/* Nothing but printable ASCII leaves, so that no peer writes to a terminal or forges a line. */
static void add_char(struct buf *line, uint8_t c)
{
	if (c == '"' || c == '\\')
		buf_printf(line, "\\%c", c);
	else if (c >= ' ' && c < 0x7f)
		buf_add_u8(line, c);
	else
		buf_printf(line, "\\x%02x", c);
}

static void add_text(struct buf *line, struct slice s)
{
	bool is_cut = s.n > VALUE_MAX;
	if (is_cut)
		s.n = VALUE_MAX;
	const char *quote = is_cut || needs_quotes(s) ? "\"" : "";
	buf_add_text(line, quote);
	for (size_t i = 0; i < s.n; i++)
		add_char(line, s.p[i]);
	buf_add_text(line, is_cut ? "..." : "");
	buf_add_text(line, quote);
}

static void add_hex(struct buf *line, struct slice s)
{
	for (size_t i = 0; i < s.n && i < VALUE_MAX / 2; i++)
		buf_printf(line, "%02x", s.p[i]);
}

static void add_err(struct buf *line, kf_err e)
{
	add_text(line, slice_of(kf_code_name(e.code)));
	if (!e.site)
		return;
	buf_add_text(line, " why=");
	add_text(line, slice_of(e.site->text));
	buf_printf(line, " at=%s:%d", e.site->file, e.site->line);
}

static void add_field(struct buf *line, const struct log_field *f)
{
	buf_printf(line, " %s=", f->key);
	switch (f->kind) {
	case LOG_IS_TEXT: add_text(line, f->bytes); break;
	case LOG_IS_HEX: add_hex(line, f->bytes); break;
	case LOG_IS_NUMBER: buf_printf(line, "%lld", (long long)f->number); break;
	case LOG_IS_ERR: add_err(line, f->err); break;
	}
}

/* True when this line may be written; *ret_left_out counts those before it that were not. */
static bool take_turn(struct log_site *s, uint32_t *ret_left_out)
{
	static const struct rate rate = { .interval_ns = 1000000000,
		.tolerance_ns = LINES_AT_ONCE * UINT64_C(1000000000) };
	if (!bucket_take(&s->bucket, &rate, clock_monotonic_ns(), 1)) {
		atomic_fetch_add(&s->left_out, 1);
		return false;
	}
	*ret_left_out = atomic_exchange(&s->left_out, 0);
	return true;
}

/* A line that was too long ends in the middle, but it ends. */
static void put_line(struct buf *line)
{
	if (!kf_ok(buf_err(line))) {
		line->err = KF_OK;
		line->limit += 8;
		buf_add_text(line, " ...");
	}
	line->limit++;
	buf_add_u8(line, '\n');
	ssize_t done = write(atomic_load(&out_fd), line->p, line->n);
	(void)done; /* there is nobody to tell */
}

void log_write(struct log_site *site, enum log_level level,
	const struct log_field *fields, size_t n)
{
	uint32_t left_out;
	int saved_errno = errno;
	if (!take_turn(site, &left_out))
		return;
	autobuf line = buf_new(LINE_MAX_BYTES);
	if (getenv("JOURNAL_STREAM"))
		buf_printf(&line, "<%d>", (int)level);
	buf_printf(&line, "level=%s", log_level_words[level - LOG_LEVEL_ERROR]);
	for (size_t i = 0; i < n; i++)
		add_field(&line, &fields[i]);
	if (left_out)
		buf_printf(&line, " left_out=%u", left_out);
	put_line(&line);
	errno = saved_errno;
}
