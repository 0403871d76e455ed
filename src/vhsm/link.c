/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/link.h"
#include "base/mem.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, HEAD = 5 };

static kf_err address_of(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path))
		return kf_fail(
			TOO_BIG, "the path of a Unix socket has at most 107 bytes");
	memcpy(ret->sun_path, path, strlen(path));
	return KF_OK;
}

kf_err link_connect(const char *path, int *ret)
{
	struct sockaddr_un a;
	KF_TRY(address_of(path, &a));
	CLEANUP(mem_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kf_fail(IO, "no socket can be made");
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return kf_fail(UNAVAILABLE, "nobody listens at this socket");
	*ret = fd;
	fd = -1;
	return KF_OK;
}

kf_err link_listen(const char *path, int *ret)
{
	struct sockaddr_un a;
	CLEANUP(mem_closep) int other = -1;
	KF_TRY(address_of(path, &a));
	if (kf_ok(link_connect(path, &other)))
		return kf_fail(CONFLICT, "somebody listens at this socket already");
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path); /* left by one that was killed */
	CLEANUP(mem_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kf_fail(IO, "no socket can be made");
	mode_t mask = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (rc < 0 || listen(fd, BACKLOG) < 0)
		return kf_fail(IO, "nobody can listen at this path");
	*ret = fd;
	fd = -1;
	return KF_OK;
}

static void put_head(uint8_t head[static HEAD], enum link_kind kind, size_t n)
{
	for (int i = 0; i < 4; i++)
		head[i] = (uint8_t)((n + 1) >> (24 - 8 * i));
	head[4] = (uint8_t)kind;
}

/* One call: two would wait for each other's acknowledgement on other kinds of sockets. */
kf_err link_send(int fd, enum link_kind kind, struct slice bytes)
{
	uint8_t head[HEAD];
	put_head(head, kind, bytes.n);
	union {
		const uint8_t *in;
		void *out;
	} body = { .in = bytes.p };
	struct iovec parts[] = { { head, HEAD }, { body.out, bytes.n } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	while (parts[0].iov_len + parts[1].iov_len) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kf_fail(CLOSED, "the other end of the link has gone");
		for (size_t i = 0, left = (size_t)n; i < 2; i++) {
			size_t done = left < parts[i].iov_len ? left : parts[i].iov_len;
			if (done)
				parts[i].iov_base = (char *)parts[i].iov_base + done;
			parts[i].iov_len -= done;
			left -= done;
		}
	}
	return KF_OK;
}

static kf_err receive_all(int fd, uint8_t *to, size_t n)
{
	while (n) {
		ssize_t got = recv(fd, to, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return kf_fail(CLOSED, "the other end of the link has gone");
		to += got;
		n -= (size_t)got;
	}
	return KF_OK;
}

kf_err link_receive(int fd, enum link_kind *kind, struct buf *ret)
{
	uint8_t head[HEAD];
	buf_clear(ret);
	KF_TRY(receive_all(fd, head, sizeof(head)));
	size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 |
		   head[3];
	if (n < 1 || n > LINK_FRAME_MAX)
		return kf_fail(MALFORMED, "no frame of a link is that long");
	*kind = head[4];
	if (n == 1)
		return KF_OK;
	uint8_t *at = buf_reserve(ret, n - 1);
	if (!at)
		return buf_err(ret);
	KF_TRY(receive_all(fd, at, n - 1));
	buf_commit(ret, n - 1);
	return KF_OK;
}

kf_err link_ask(int fd, enum link_kind kind, struct slice bytes, struct buf *ret)
{
	enum link_kind answer;
	KF_TRY(link_send(fd, kind, bytes));
	KF_TRY(link_receive(fd, &answer, ret));
	if (answer == LINK_ANSWER)
		return KF_OK;
	return answer == LINK_GONE ? kf_fail(CLOSED, "the card is out of its reader")
				   : kf_fail(DENIED, "the virtual cards refused");
}
