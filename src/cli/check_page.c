/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics by HTTP 1.0 from a server of this host, and the values in them.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/check.h"
#include "net/address.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE_MAX = 8 << 20, PIECE = 65536 };

/* ---- asking ---- */

static kf_err wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = clock_monotonic_ns();
	int ms = deadline_ns > now ? (int)((deadline_ns - now) / 1000000 + 1) : 0;
	int n = poll(&p, 1, ms);
	if (n == 1)
		return KF_OK;
	return n == 0 ? kf_fail(TIMEOUT, "no answer in time") : kf_fail(IO, "poll");
}

static kf_err send_request(int fd, uint64_t deadline_ns)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
	KF_TRY(wait_for(fd, POLLOUT, deadline_ns));
	KF_TRY(connect_result(fd));
	ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	return n == (ssize_t)sizeof(request) - 1 ? KF_OK
						 : kf_fail(IO, "request cannot be sent");
}

static kf_err read_all(int fd, uint64_t deadline_ns, struct buf *ret)
{
	for (;;) {
		KF_TRY(wait_for(fd, POLLIN, deadline_ns));
		uint8_t *room = buf_reserve(ret, PIECE);
		if (!room)
			return buf_err(ret);
		ssize_t n = read(fd, room, PIECE);
		if (n == 0)
			return KF_OK;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return kf_fail(IO, "answer cannot be read");
		if (n > 0)
			buf_commit(ret, (size_t)n);
	}
}

kf_err page_cut_head(struct buf *b)
{
	static const char ok[] = "HTTP/1.1 200 ", end[] = "\r\n\r\n";
	const uint8_t *at =
		b->n >= sizeof(ok) ? memmem(b->p, b->n, end, sizeof(end) - 1) : NULL;
	bool is_http = at && memcmp(b->p, ok, 7) == 0 &&
		       memcmp(b->p + 8, ok + 8, sizeof(ok) - 9) == 0;
	if (!is_http)
		return kf_fail(MALFORMED, "the answer is no page of metrics");
	buf_consume(b, (size_t)(at - b->p) + sizeof(end) - 1);
	buf_add_u8(b, 0); /* for strtod() */
	return buf_err(b);
}

static kf_err fetch(const struct address *a, uint64_t deadline_ns, struct buf *ret)
{
	CLEANUP(mem_closep) int fd = -1;
	KF_TRY(connect_start(a, &fd));
	KF_TRY(send_request(fd, deadline_ns));
	KF_TRY(read_all(fd, deadline_ns, ret));
	return page_cut_head(ret);
}

enum { ADDRESS_MAX = 256 };

/* Endpoints are on this host only, so one name is enough. */
static kf_err find_address(struct check *k, const struct check_options *o,
	char text[ADDRESS_MAX], struct address *ret)
{
	const char *host = strcmp(o->host, "localhost") == 0 ? "127.0.0.1" : o->host;
	bool is_unix = strncmp(host, "unix:", 5) == 0;
	if (!is_unix && !o->port) {
		check_find(k, CHECK_UNKNOWN, "no port: give -p, or -H unix:PATH");
		return kf_fail(INVALID_FIELD, "port");
	}
	bool is_v6 = !is_unix && strchr(host, ':');
	snprintf(text, ADDRESS_MAX, is_v6 ? "[%s]%s%s" : "%s%s%s", host,
		is_unix ? "" : ":", is_unix ? "" : o->port);
	kf_err e = address_parse(text, ret);
	if (!kf_ok(e))
		check_find(k, CHECK_UNKNOWN, "%s: %s", text, e.site->text);
	return e;
}

kf_err check_fetch(struct check *k, const struct check_options *o, struct buf *ret)
{
	char text[ADDRESS_MAX];
	struct address a;
	KF_TRY(find_address(k, o, text, &a));
	*ret = buf_new(PAGE_MAX);
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)(o->timeout_s * 1e9);
	kf_err e = fetch(&a, deadline, ret);
	if (!kf_ok(e))
		check_find(k, CHECK_CRITICAL, "%s: %s", text, e.site->text);
	return e;
}

/* ---- values ---- */

/* The line that begins so, from `at` on; NULL: none. */
static const char *find_line(const char *at, const char *prefix)
{
	size_t n = strlen(prefix);
	while (at && strncmp(at, prefix, n) != 0) {
		at = strchr(at, '\n');
		at = at && at[1] ? at + 1 : NULL;
	}
	return at;
}

/* Label values of ours hold no blank in the last place: the value is what follows the last one. */
static double value_of(const char *line)
{
	const char *end = strchrnul(line, '\n'),
		   *at = memrchr(line, ' ', (size_t)(end - line));
	return at ? strtod(at + 1, NULL) : NAN;
}

double page_value(const struct buf *page, const char *series)
{
	char prefix[256];
	snprintf(prefix, sizeof(prefix), "%s ", series);
	const char *line = page->n ? find_line((const char *)page->p, prefix) : NULL;
	return line ? value_of(line) : NAN;
}

double page_sum(const struct buf *page, const char *prefix)
{
	double sum = NAN;
	const char *at = page->n ? find_line((const char *)page->p, prefix) : NULL;
	for (; at; at = find_line(at, prefix)) {
		sum = (isnan(sum) ? 0 : sum) + value_of(at);
		at = strchr(at, '\n');
		at = at && at[1] ? at + 1 : NULL;
	}
	return sum;
}
