/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in *v4(struct address *a) { return (struct sockaddr_in *)&a->sa; }
static struct sockaddr_in6 *v6(struct address *a)
{
	return (struct sockaddr_in6 *)&a->sa;
}

static kf_err parse_unix(const char *path, struct address *ret)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&ret->sa;
	size_t n = strlen(path), prefix = offsetof(struct sockaddr_un, sun_path);
	if (n == 0 || n >= sizeof(sun->sun_path))
		return kf_fail(
			INVALID_FIELD, "path of a Unix socket is empty or too long");
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, n);
	ret->n = (socklen_t)(prefix + n + 1);
	if (path[0] == '@') {
		sun->sun_path[0] = 0;
		ret->n = (socklen_t)(prefix + n); /* an abstract name ends without NUL */
	}
	return KF_OK;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	size_t n = strspn(text, "0123456789");
	unsigned long v = strtoul(text, NULL, 10);
	if (n == 0 || n > 5 || text[n] || v > 65535)
		return false;
	*ret = htons((uint16_t)v);
	return true;
}

static bool parse_host(const char *host, uint16_t port, struct address *ret)
{
	if (inet_pton(AF_INET, host, &v4(ret)->sin_addr) == 1) {
		v4(ret)->sin_family = AF_INET;
		v4(ret)->sin_port = port;
		ret->n = sizeof(struct sockaddr_in);
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6(ret)->sin6_addr) == 1) {
		v6(ret)->sin6_family = AF_INET6;
		v6(ret)->sin6_port = port;
		ret->n = sizeof(struct sockaddr_in6);
		return true;
	}
	return false;
}

kf_err address_parse(const char *text, struct address *ret)
{
	struct address a = { 0 };
	char host[64];
	uint16_t port;
	if (strncmp(text, "unix:", 5) == 0) {
		KF_TRY(parse_unix(text + 5, &a));
		*ret = a;
		return KF_OK;
	}
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	bool is_bracketed = n > 2 && text[0] == '[' && colon[-1] == ']';
	if (n == 0 || n >= sizeof(host) || !parse_port(colon + 1, &port))
		return kf_fail(INVALID_FIELD,
			"address is not ADDR:PORT, unix:PATH or unix:@NAME");
	snprintf(host, sizeof(host), "%.*s", (int)(n - 2 * is_bracketed),
		text + is_bracketed);
	if (is_bracketed != (strchr(host, ':') != NULL) || !parse_host(host, port, &a))
		return kf_fail(INVALID_FIELD,
			"address is no IPv4 address and no [IPv6 address]");
	*ret = a;
	return KF_OK;
}

static void print_unix(const struct address *a, char *ret)
{
	const struct sockaddr_un *sun = (const struct sockaddr_un *)&a->sa;
	size_t prefix = offsetof(struct sockaddr_un, sun_path);
	size_t n = a->n > prefix ? a->n - prefix : 0;
	bool is_abstract = n > 1 && sun->sun_path[0] == 0;
	if (is_abstract)
		snprintf(ret, ADDRESS_TEXT_MAX, "unix:@%.*s", (int)n - 1,
			sun->sun_path + 1);
	else
		snprintf(ret, ADDRESS_TEXT_MAX, "unix:%.*s",
			(int)strnlen(sun->sun_path, n), sun->sun_path);
}

void address_print(const struct address *a, char ret[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
	if (a->n && a->sa.ss_family == AF_UNIX) {
		print_unix(a, ret);
	} else if (a->n && a->sa.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(ret, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
	} else if (a->n && a->sa.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(ret, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		snprintf(ret, ADDRESS_TEXT_MAX, "unknown");
	}
}

bool address_is_unix(const struct address *a)
{
	return a->n && a->sa.ss_family == AF_UNIX;
}

kf_err address_of_socket(int fd, struct address *ret)
{
	struct address a = { .n = sizeof(a.sa) };
	if (getsockname(fd, (struct sockaddr *)&a.sa, &a.n) < 0)
		return kf_fail(IO, "getsockname");
	*ret = a;
	return KF_OK;
}

kf_err address_of_peer(int fd, struct address *ret)
{
	struct address a = { .n = sizeof(a.sa) };
	if (getpeername(fd, (struct sockaddr *)&a.sa, &a.n) < 0)
		return kf_fail(CLOSED, "peer is gone");
	*ret = a;
	return KF_OK;
}

void address_tune(int fd, const struct address *a)
{
	int one = 1;
	if (address_is_unix(a))
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

kf_err connect_start(const struct address *a, int *ret_fd)
{
	CLEANUP(mem_closep)
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kf_fail(IO, "socket cannot be made");
	address_tune(fd, a);
	/* EAGAIN: the backlog of a Unix socket is full, and no event will ever tell when it is not. */
	if (connect(fd, (const struct sockaddr *)&a->sa, a->n) < 0 &&
		errno != EINPROGRESS)
		return errno == EAGAIN ? kf_fail(BUSY, "server does not accept right now")
				       : kf_fail(UNAVAILABLE, "connection refused");
	*ret_fd = fd;
	fd = -1;
	return KF_OK;
}

void connect_tune(int fd)
{
	unsigned ms = CONNECT_UNHEARD_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

kf_err connect_result(int fd)
{
	int no = 0;
	socklen_t n = sizeof(no);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &no, &n) < 0)
		return kf_fail(IO, "getsockopt");
	if (no == ETIMEDOUT || no == EHOSTUNREACH || no == ENETUNREACH)
		return kf_fail(UNAVAILABLE, "server cannot be reached");
	return no ? kf_fail(UNAVAILABLE, "connection refused") : KF_OK;
}
