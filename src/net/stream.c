/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"
#include "net/stream_ops.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

kf_err stream_pad_new(struct stream_pad **ret)
{
	struct stream_pad *p = calloc(1, sizeof(*p));
	if (!p)
		return kf_fail(NOMEM, "scratch memory of a thread");
	*ret = p;
	return KF_OK;
}

void stream_pad_free(struct stream_pad *p)
{
	if (!p)
		return;
	explicit_bzero(p, sizeof(*p));
	free(p);
}

void stream_init(
	struct stream *s, const struct stream_ops *ops, int fd, struct stream_pad *pad)
{
	*s = (struct stream){
		.ops = ops, .pad = pad, .fd = fd, .why = "", .unsent = buf_new(UNSENT_MAX)
	};
}

kf_err stream_receive(struct stream *s, size_t max)
{
	struct stream_pad *p = s->pad;
	p->in_at = p->in_n = 0;
	if (max == 0)
		return KF_OK;
	ssize_t n;
	do
		n = recv(s->fd, p->in, max < PAD_IN ? max : PAD_IN, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		s->is_ended = true;
	if (n > 0)
		p->in_n = (size_t)n;
	if (n >= 0 || errno == EAGAIN)
		return KF_OK;
	return errno == ECONNRESET ? kf_fail(CLOSED, "connection was reset")
				   : kf_fail(IO, "receiving from a peer");
}

kf_err stream_send(struct stream *s, const uint8_t *p, size_t n, size_t *ret_sent)
{
	ssize_t sent;
	do
		sent = send(s->fd, p, n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN)
		return errno == ECONNRESET || errno == EPIPE
			       ? kf_fail(CLOSED, "connection was closed by the peer")
			       : kf_fail(IO, "sending to a peer");
	*ret_sent = sent > 0 ? (size_t)sent : 0;
	s->is_blocked = *ret_sent < n;
	return KF_OK;
}

/* ---- plain streams ---- */

static void plain_free(struct stream *s) { free(s); }
static kf_err plain_handshake(struct stream *s)
{
	(void)s;
	return KF_OK;
}
static bool plain_has_more(const struct stream *s)
{
	(void)s;
	return false;
}

static void plain_relax(struct stream *s) { (void)s; }

static kf_err plain_read(struct stream *s, struct buf *in)
{
	struct stream_pad *p = s->pad;
	KF_TRY(stream_receive(s, in->limit - in->n));
	buf_add(in, p->in, p->in_n);
	explicit_bzero(p->in, p->in_n);
	KF_TRY(buf_err(in));
	return s->is_ended ? kf_fail(CLOSED, "peer has ended the connection") : KF_OK;
}

static kf_err plain_write(struct stream *s, struct buf *out)
{
	size_t sent;
	s->is_blocked = false;
	while (out->n && !s->is_blocked) {
		KF_TRY(stream_send(s, out->p, out->n, &sent));
		buf_consume(out, sent);
	}
	return KF_OK;
}

static const struct stream_ops plain_ops = { plain_free, plain_handshake, plain_read,
	plain_write, plain_has_more, plain_relax };

kf_err stream_plain(int fd, struct stream_pad *pad, struct stream **ret)
{
	struct stream *s = malloc(sizeof(*s));
	if (!s) {
		close(fd);
		return kf_fail(NOMEM, "stream");
	}
	stream_init(s, &plain_ops, fd, pad);
	s->is_open = true;
	*ret = s;
	return KF_OK;
}

/* ---- every stream ---- */

/* The first failure is the last thing that happens on a stream. */
static kf_err keep(struct stream *s, kf_err e)
{
	if (!kf_ok(e) && !kf_is(e, KF_E_CLOSED)) {
		s->is_failed = true;
		if (!*s->why && e.site)
			s->why = e.site->text;
	}
	return e;
}

static kf_err check(const struct stream *s)
{
	return s->is_failed ? kf_fail(CLOSED, "stream has failed before") : KF_OK;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	int fd = s->fd;
	s->ops->free(s);
	close(fd);
}

void stream_set_pad(struct stream *s, struct stream_pad *pad) { s->pad = pad; }
int stream_fd(const struct stream *s) { return s->fd; }
bool stream_is_open(const struct stream *s) { return s->is_open; }
bool stream_is_waiting(const struct stream *s) { return s->is_waiting; }
bool stream_has_more(const struct stream *s) { return s->ops->has_more(s); }
void stream_relax(struct stream *s) { s->ops->relax(s); }
bool stream_wants_write(const struct stream *s) { return s->is_blocked; }
const char *stream_why(const struct stream *s) { return s->why; }
enum stream_fault stream_fault(const struct stream *s) { return s->fault; }

kf_err stream_handshake(struct stream *s)
{
	KF_TRY(check(s));
	return s->is_open ? KF_OK : keep(s, s->ops->handshake(s));
}

kf_err stream_read(struct stream *s, struct buf *in)
{
	KF_TRY(check(s));
	return keep(s, s->ops->read(s, in));
}

kf_err stream_write(struct stream *s, struct buf *out)
{
	KF_TRY(check(s));
	return keep(s, s->ops->write(s, out));
}
