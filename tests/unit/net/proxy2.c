/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy2.h"
#include "base/mem.h"
#include "test.h"
#include <sys/socket.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x12\x67\x16\x40"
#define V6                                                                               \
	SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"                 \
		  "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x67\x16\x40"

static char text[ADDRESS_TEXT_MAX];

static const char *client_of(struct slice in)
{
	struct proxy2 p;
	size_t used;
	if (proxy2_parse(in, &p, &used) != PROXY2_READY || used != in.n)
		return "not read";
	address_print(&p.client, text);
	return text;
}

TEST(the_clients_address_is_read)
{
	OK(strcmp(client_of(SLICE_LIT(V4)), "192.0.2.1:4711") == 0);
	OK(strcmp(client_of(SLICE_LIT(V6)), "[2001:db8::1]:4711") == 0);
}

TEST(a_balancers_own_check_has_no_client)
{
	struct proxy2 p;
	size_t used;
	EQ(proxy2_parse(SLICE_LIT(SIGNATURE "\x20\0\0\0"), &p, &used), PROXY2_READY);
	OK(p.is_local);
	EQ(p.client.n, 0);
	OK(strcmp(client_of(SLICE_LIT(SIGNATURE "\x21\0\0\0")), "unknown") == 0);
}

TEST(extensions_are_skipped)
{
	struct slice in =
		SLICE_LIT(SIGNATURE "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2\x12\x67\x16\x40"
				    "\3\0\1x");
	OK(strcmp(client_of(in), "192.0.2.1:4711") == 0);
}

TEST(a_cut_at_every_byte_waits_for_more)
{
	struct proxy2 p;
	size_t used;
	for (size_t n = 0; n < sizeof(V6) - 1; n++)
		EQ(proxy2_parse((struct slice){ (const uint8_t *)V6, n }, &p, &used),
			PROXY2_MORE);
}

TEST(lies_are_refused)
{
	struct proxy2 p;
	size_t used;
	const struct slice lies[] = {
		SLICE_LIT("GET / HTTP/1.1\r\n"), SLICE_LIT("PROXY TCP4 192.0.2.1"),
		SLICE_LIT(SIGNATURE "\x11"), /* version 1 */
		SLICE_LIT(SIGNATURE "\x22"), /* no such command */
		SLICE_LIT(SIGNATURE
			"\x21\x11\0\x0b\1\2\3\4\5\6\7\1\2\3\4"), /* too short for IPv4 */
		SLICE_LIT(SIGNATURE
			"\x21\x21\0\x0c\1\2\3\4\5\6\7\1\2\3\4\5"), /* ... for IPv6 */
		SLICE_LIT(SIGNATURE "\x21\x11\xff\xff"),           /* too long for us */
	};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		EQ(proxy2_parse(lies[i], &p, &used), PROXY2_MALFORMED);
}

TEST(not_one_byte_after_the_header_is_taken)
{
	int fd[2];
	char rest[8];
	struct proxy2 p = { 0 };
	struct proxy2_reader r = { 0 };
	bool done;
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	CLEANUP(mem_closep) int a = fd[0], b = fd[1];

	static const char all[] = V4 "rest";
	OK(send(a, all, 7, 0) == 7);
	OK(kf_ok(proxy2_read(&r, b, &p, &done)) && !done);
	OK(send(a, all + 7, sizeof(all) - 8, 0) > 0);
	OK(kf_ok(proxy2_read(&r, b, &p, &done)) && done);

	address_print(&p.client, text);
	OK(strcmp(text, "192.0.2.1:4711") == 0);
	EQ(recv(b, rest, sizeof(rest), 0), 4);
	OK(memcmp(rest, "rest", 4) == 0);
}

TEST(an_end_within_the_header_is_an_error)
{
	int fd[2];
	struct proxy2 p;
	struct proxy2_reader r = { 0 };
	bool done;
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	CLEANUP(mem_closep) int b = fd[1];
	OK(send(fd[0], V4, 10, 0) == 10);
	mem_closep(&fd[0]);
	OK(kf_is(proxy2_read(&r, b, &p, &done), KF_E_CLOSED));
}
TEST_MAIN
