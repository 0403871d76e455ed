/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/control.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONTROL_MAX = 4 << 20, CONTROL_SECONDS = 10 };

bool control_socket_of(const struct site *s, char *ret, size_t size)
{
	for (size_t i = 0; i < s->n_facts; i++) {
		const char *text = s->facts[i].value.text;
		size_t n = strcspn(text, " ");
		if (s->facts[i].id != SITE_CONTROL_SOCKET || *text != '/' || n >= size ||
			!strstr(text, "level admin"))
			continue;
		memcpy(ret, text, n);
		ret[n] = 0;
		return true;
	}
	return false;
}

static kf_err open_socket(const char *path, int *ret)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = CONTROL_SECONDS };
	KF_TRY(slice_to_text(slice_of(path), to.sun_path, sizeof(to.sun_path)));
	*ret = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret < 0 ||
		setsockopt(*ret, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
		setsockopt(*ret, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
		connect(*ret, (const struct sockaddr *)&to, sizeof(to)))
		return kf_fail(UNAVAILABLE, "HAProxy's socket does not answer");
	return KF_OK;
}

static kf_err exchange(int fd, const struct buf *question, struct buf *answer)
{
	for (size_t at = 0; at < question->n;) {
		ssize_t n = send(fd, question->p + at, question->n - at, MSG_NOSIGNAL);
		if (n <= 0)
			return kf_fail(UNAVAILABLE, "HAProxy's socket closes");
		at += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	for (;;) {
		uint8_t *p = buf_reserve(answer, 4096);
		ssize_t n = p ? recv(fd, p, 4096, 0) : -1;
		if (n < 0)
			return kf_fail(TIMEOUT, "HAProxy's socket says nothing");
		if (n == 0)
			return KF_OK;
		buf_commit(answer, (size_t)n);
	}
}

static kf_err command(
	const char *socket, const struct buf *question, const char *expected)
{
	CLEANUP(mem_closep) int fd = -1;
	autobuf answer = buf_new(65536);
	KF_TRY(buf_err(question));
	KF_TRY(open_socket(socket, &fd));
	KF_TRY(exchange(fd, question, &answer));
	return answer.n && memmem(answer.p, answer.n, expected, strlen(expected))
		       ? KF_OK
		       : kf_fail(CONFLICT, "HAProxy does not take the certificate");
}

/* An empty line ends what is set, and what comes after it is a command: the text must have none. */
static void add_lines(struct slice pem, struct buf *ret)
{
	for (size_t i = 0; i < pem.n; i++) {
		bool is_empty = ret->n && ret->p[ret->n - 1] == '\n';
		if (pem.p[i] && pem.p[i] != '\r' && (pem.p[i] != '\n' || !is_empty))
			buf_add_u8(ret, pem.p[i]);
	}
}

/* What the socket takes as one word; another path has to do with a reload. */
static bool is_word(const char *path)
{
	for (; *path; path++)
		if (*path <= ' ' || strchr(";<\\\"'#\x7f", *path))
			return false;
	return true;
}

kf_err control_set_certificate(const char *socket, const char *file, struct slice pem)
{
	if (!is_word(file))
		return kf_fail(
			INVALID_FIELD, "a path that HAProxy's socket does not take");
	autobuf set = buf_new(CONTROL_MAX), commit = buf_new(8192);
	buf_printf(&set, "set ssl cert %s <<\n", file);
	add_lines(pem, &set);
	buf_add_text(&set, "\n");
	KF_TRY(command(socket, &set, "ransaction "));
	buf_printf(&commit, "commit ssl cert %s\n", file);
	return command(socket, &commit, "Success!");
}
