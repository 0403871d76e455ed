/* SPDX-License-Identifier: Apache-2.0 */
/* stream: bytes to and from a peer, over TLS or plain (Unix sockets), without ever blocking.
 *
 * A burst costs one recv and one send.  Ciphertext passes through the pad of the thread, so that an
 * idle stream owns no buffers.  The owner keeps plaintext in struct bufs of its own:
 *
 *     readable:   if (!stream_is_open(s))  KF_TRY(stream_handshake(s));   (costs CPU: have a budget a round)
 *                 if (stream_is_open(s))   KF_TRY(stream_read(s, &in));
 *     answer:     ... append to out ...
 *     round ends: KF_TRY(stream_write(s, &out));                    takes from out what it could
 *     always:     loop_change(l, w, EPOLLIN | (stream_wants_write(s) ? EPOLLOUT : 0));
 *     writable:   the same as "round ends"; during the handshake stream_handshake(s)
 *
 * A server leaves EPOLLIN out while out.n is above its limit: who does not read is not read from.  A
 * client must go on reading, or both ends may wait for each other.
 * After an error the stream is only good for stream_why() and stream_free().
 *
 * Threads: a stream belongs to the thread of its pad; it may be moved to another thread by
 * stream_set_pad() while no call is running.
 */
#pragma once
#include "base/buf.h"

struct stream;
struct stream_pad; /* scratch memory, one a thread, 160 KiB */

kf_err stream_pad_new(struct stream_pad **ret);
void stream_pad_free(struct stream_pad *p);

/* Takes the (non-blocking) descriptor: stream_free() closes it, also when making the stream failed.
 * A plain stream is open at once.  TLS streams: tls_accept(), tls_connect() in net/tls.h. */
kf_err stream_plain(int fd, struct stream_pad *pad, struct stream **ret);
void stream_free(struct stream
		*s); /* says goodbye (close_notify) if it can at once; NULL is fine */
void stream_set_pad(struct stream *s, struct stream_pad *pad);
int stream_fd(const struct stream *s);

/* One step.  OK means: go on or wait, see stream_is_open(); AUTH: refused, see stream_why();
 * CLOSED: the peer has gone. */
kf_err stream_handshake(struct stream *s);
bool stream_is_open(const struct stream *s);
/* The handshake waits for something of ours, not for the peer (net/tls_remote.h): neither read from nor
 * written to until it is woken.  Must be freed by its thread. */
bool stream_is_waiting(const struct stream *s);

/* Appends what has arrived, at most up to the limit of the buf; never fails because it is full.
 * CLOSED: the peer has ended the stream, after everything it sent was appended. */
kf_err stream_read(struct stream *s, struct buf *in);
/* More plaintext waits here, of which epoll knows nothing, because `in` was full: read again once
 * there is room. */
bool stream_has_more(const struct stream *s);

/* Sends what is left from before, then takes bytes from the front of `out` until it is empty or the
 * socket is full. */
kf_err stream_write(struct stream *s, struct buf *out);
/* Something is left over, of the stream's own: watch EPOLLOUT. */
bool stream_wants_write(const struct stream *s);

/* Nothing is expected for a while: gives back what memory it can. */
void stream_relax(struct stream *s);

/* Why it failed, for the log: constant text, without peer data ("certificate has expired"); "" when
 * it has not. */
const char *stream_why(const struct stream *s);

/* The same, to count by. */
enum stream_fault {
	STREAM_BROKEN,          /* not TLS, nothing in common, or anything else */
	STREAM_PEER_GONE,       /* it ended the connection */
	STREAM_PEER_DISTRUSTED, /* its certificate is not believed, or it has none */
	STREAM_PEER_DISTRUSTS,  /* it does not believe ours */
	STREAM_KEY_AWAY,        /* our own key could not sign */
};
enum stream_fault stream_fault(const struct stream *s);
