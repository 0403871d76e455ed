/* SPDX-License-Identifier: Apache-2.0 */
/* typed: the blocking functions of include/keyfleet.h in three steps: write a request, ask, read the
 * answer. */
#pragma once
#include "client/client.h"
#include "client/status.h"

struct typed {
	uint32_t operation;
	kf_err (*put)(struct ttlv_writer *w, const void *request);
	kf_err (*get)(struct ttlv_reader *r, void *ret);
	uint16_t tls_client_version, tls_negotiated_version;
};

/* The two functions of an operation whose answer needs no memory of its own. */
#define TYPED(name)                                                                      \
	static kf_err name##_put(struct ttlv_writer *w, const void *request)             \
	{                                                                                \
		name##_put_request(w, request);                                          \
		return ttlv_written(w);                                                  \
	}                                                                                \
	static kf_err name##_get(struct ttlv_reader *r, void *ret)                       \
	{                                                                                \
		return name##_get_response(r, ret);                                      \
	}

/* `answer` holds what *ret points to; `call` is told how it went.  get may be NULL: nothing in the
 * answer matters. */
struct typed_io {
	const void *request;
	struct buf *answer;
	void *ret;
};
kf_result typed_call(struct kf_client *c, const struct typed *t,
	const struct typed_io *io, kf_call *call);

/* NULL, or that data of so many bytes, and more, are too much for a message. */
const char *typed_fits(const struct kf_client *c, size_t size, size_t more);

/* Into a buffer of the caller; into an id. */
kf_result typed_fill(kf_call *call, struct slice from, kf_buffer *to);
kf_result typed_id(kf_call *call, const struct kmip_uid *uid, kf_id *to);
bool typed_is_id(const char *id);
