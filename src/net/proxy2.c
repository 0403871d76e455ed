/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy2.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum {
	SIGNATURE = 12,
	HEADER = 16,
	VERSION_LOCAL = 0x20,
	VERSION_PROXY = 0x21,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
	ADDRESSES4 = 12, /* two addresses, two ports */
	ADDRESSES6 = 36,
};

static const uint8_t signature[SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

static bool can_be_header(struct slice in)
{
	size_t n = in.n < SIGNATURE ? in.n : SIGNATURE;
	if (n && memcmp(in.p, signature, n) != 0)
		return false;
	return in.n <= SIGNATURE || in.p[SIGNATURE] == VERSION_LOCAL ||
	       in.p[SIGNATURE] == VERSION_PROXY;
}

/* How long the header is, as far as the bytes at hand tell: at least HEADER. */
static size_t wanted(struct slice in)
{
	if (in.n < HEADER)
		return HEADER;
	return HEADER + ((size_t)in.p[14] << 8 | in.p[15]);
}

static void set_v4(const uint8_t *p, struct address *ret)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&ret->sa;
	sin->sin_family = AF_INET;
	memcpy(&sin->sin_addr, p, 4);
	memcpy(&sin->sin_port, p + 8, 2);
	ret->n = sizeof(*sin);
}

static void set_v6(const uint8_t *p, struct address *ret)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&ret->sa;
	sin6->sin6_family = AF_INET6;
	memcpy(&sin6->sin6_addr, p, 16);
	memcpy(&sin6->sin6_port, p + 32, 2);
	ret->n = sizeof(*sin6);
}

/* Families we do not know (UNSPEC, Unix) leave the client unknown, as the protocol demands. */
static bool set_client(struct slice in, struct address *ret)
{
	size_t n = in.n - HEADER;
	uint8_t family = in.p[13];
	if (family == FAMILY_TCP4 && n < ADDRESSES4)
		return false;
	if (family == FAMILY_TCP6 && n < ADDRESSES6)
		return false;
	if (family == FAMILY_TCP4)
		set_v4(in.p + HEADER, ret);
	if (family == FAMILY_TCP6)
		set_v6(in.p + HEADER, ret);
	return true;
}

enum proxy2_result proxy2_parse(struct slice in, struct proxy2 *ret, size_t *ret_used)
{
	size_t n = wanted(in);
	struct proxy2 p = { 0 };
	if (!can_be_header(in) || n > PROXY2_MAX)
		return PROXY2_MALFORMED;
	if (in.n < n)
		return PROXY2_MORE;
	p.is_local = in.p[SIGNATURE] == VERSION_LOCAL;
	if (!p.is_local && !set_client((struct slice){ in.p, n }, &p.client))
		return PROXY2_MALFORMED;
	*ret = p;
	*ret_used = n;
	return PROXY2_READY;
}

/* Never asks the socket for more than the header: what follows belongs to TLS. */
kf_err proxy2_read(struct proxy2_reader *r, int fd, struct proxy2 *ret, bool *ret_done)
{
	size_t used;
	for (;;) {
		struct slice have = { r->bytes, r->n };
		enum proxy2_result got = proxy2_parse(have, ret, &used);
		if (got == PROXY2_MALFORMED)
			return kf_fail(MALFORMED,
				"no PROXY header of version 2; is the balancer set up?");
		*ret_done = got == PROXY2_READY;
		if (*ret_done)
			return KF_OK;
		ssize_t n = recv(fd, r->bytes + r->n, wanted(have) - r->n, 0);
		if (n == 0)
			return kf_fail(
				CLOSED, "connection ended within the PROXY header");
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? KF_OK
					       : kf_fail(IO, "reading the PROXY header");
		r->n += n > 0 ? (size_t)n : 0;
	}
}
