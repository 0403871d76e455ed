/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"
#include "net/tls.h"
#include "test.h"
#include <sys/socket.h>

struct pair {
	struct stream_pad *pad;
	struct stream *a, *b;
};

static void pair_free(struct pair *p)
{
	stream_free(p->a);
	stream_free(p->b);
	stream_pad_free(p->pad);
}
#define autopair CLEANUP(pair_free) struct pair

static kf_err open_pair(struct pair *p)
{
	int fd[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return kf_fail(IO, "socketpair");
	KF_TRY(stream_pad_new(&p->pad));
	KF_TRY(stream_plain(fd[0], p->pad, &p->a));
	return stream_plain(fd[1], p->pad, &p->b);
}

TEST(plain_bytes_pass_without_a_handshake)
{
	autopair p = { 0 };
	autobuf out = buf_new(100), in = buf_new(100);
	OK(kf_ok(open_pair(&p)));
	OK(stream_is_open(p.a));
	OK(kf_ok(stream_handshake(p.a)));
	OK(kf_ok(stream_read(p.b, &in)));
	EQ(in.n, 0);
	buf_add_text(&out, "hello");
	OK(kf_ok(stream_write(p.a, &out)));
	EQ(out.n, 0);
	OK(kf_ok(stream_read(p.b, &in)));
	MEMEQ(in.p, in.n, "hello");
}

TEST(a_full_buffer_leaves_the_rest_in_the_socket)
{
	autopair p = { 0 };
	autobuf out = buf_new(100), in = buf_new(3);
	OK(kf_ok(open_pair(&p)));
	buf_add_text(&out, "hello");
	OK(kf_ok(stream_write(p.a, &out)));
	OK(kf_ok(stream_read(p.b, &in)));
	MEMEQ(in.p, in.n, "hel");
	OK(kf_ok(stream_read(p.b, &in)));
	buf_clear(&in);
	OK(kf_ok(stream_read(p.b, &in)));
	MEMEQ(in.p, in.n, "lo");
}

TEST(a_peer_that_does_not_read_stops_the_writer)
{
	autopair p = { 0 };
	enum { MUCH = 4 << 20 };
	autobuf out = buf_new(MUCH), in = buf_new(MUCH);
	OK(kf_ok(open_pair(&p)));
	memset(buf_reserve(&out, MUCH), 'x', MUCH);
	buf_commit(&out, MUCH);
	OK(kf_ok(stream_write(p.a, &out)));
	OK(stream_wants_write(p.a) && out.n > 0);
	for (int i = 0; i < 10000 && in.n < MUCH; i++) {
		OK(kf_ok(stream_read(p.b, &in)));
		OK(kf_ok(stream_write(p.a, &out)));
	}
	EQ(in.n, MUCH);
	OK(!stream_wants_write(p.a));
}

TEST(an_end_is_told_and_writing_to_it_fails)
{
	autopair p = { 0 };
	autobuf out = buf_new(100), in = buf_new(100);
	OK(kf_ok(open_pair(&p)));
	stream_free(p.a);
	p.a = NULL;
	OK(kf_is(stream_read(p.b, &in), KF_E_CLOSED));
	buf_add_text(&out, "x");
	OK(kf_is(stream_write(p.b, &out), KF_E_CLOSED));
}

TEST(a_plain_stream_has_no_certificate)
{
	autopair p = { 0 };
	struct tls_peer peer;
	OK(kf_ok(open_pair(&p)));
	OK(kf_is(tls_get_peer(p.a, &peer), KF_E_MISSING));
	OK(*tls_alpn(p.a) == 0 && *tls_version(p.a) == 0 && !tls_take_session(p.a));
}
TEST_MAIN
