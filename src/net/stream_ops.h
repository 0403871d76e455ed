/* SPDX-License-Identifier: Apache-2.0 */
/* stream_ops: what a kind of stream supplies; private to net/stream.c and net/tls*.c. */
#pragma once
#include "net/stream.h"

enum {
	PAD_IN = 64 * 1024,
	/* One chunk of plaintext, its records' overhead, and what a handshake or a ticket may add. */
	STREAM_CHUNK = 64 * 1024,
	PAD_OUT = 96 * 1024,
	UNSENT_MAX = 2 * PAD_OUT,
};

struct stream_pad {
	uint8_t in[PAD_IN];
	size_t in_at, in_n; /* what the running call has received and not used yet */
	uint8_t out[PAD_OUT];
	size_t out_n; /* what the running call has to send */
};

struct stream {
	const struct stream_ops *ops;
	struct stream_pad *pad;
	int fd;
	bool is_open, is_ended, is_failed;
	bool is_blocked; /* the socket took less than we had */
	bool is_waiting; /* the handshake: for a signature that is made elsewhere */
	const char *why;
	enum stream_fault fault;
	struct buf unsent; /* of the stream's own: ciphertext the socket did not take */
};

struct stream_ops {
	void (*free)(struct stream *s); /* closes nothing of struct stream itself */
	kf_err (*handshake)(struct stream *s);
	kf_err (*read)(struct stream *s, struct buf *in);
	kf_err (*write)(struct stream *s, struct buf *out);
	bool (*has_more)(const struct stream *s);
	void (*relax)(struct stream *s);
};

extern const struct stream_ops tls_stream_ops;

void stream_init(
	struct stream *s, const struct stream_ops *ops, int fd, struct stream_pad *pad);
/* Into pad->in, at most `max` bytes; nothing there leaves it empty, the end sets is_ended. */
kf_err stream_receive(struct stream *s, size_t max);
/* As much as the socket takes; sets is_blocked. */
kf_err stream_send(struct stream *s, const uint8_t *p, size_t n, size_t *ret_sent);
