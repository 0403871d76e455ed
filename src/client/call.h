/* SPDX-License-Identifier: Apache-2.0 */
/* call: raw operations, for the typed functions of include/keyfleet.h and for keyfleet's own programs.
 *
 * A call chooses a server, sends one batch item, waits for its answer, and goes to another server
 * when that may be done, until the deadline.  kf_err says how it ended: what the server refused as the
 * code of its Result Reason, what went wrong on the way as UNAVAILABLE, TIMEOUT, BUSY or
 * OUTCOME_UNKNOWN.  What can be said about it to people is in the report.
 *
 * Thread-safe, blocking.  For event loops see client/async.h.
 */
#pragma once
#include "base/buf.h"
#include "keyfleet.h"

enum { CALL_MESSAGE_MAX = 240 };

struct call_report {
	uint32_t reason;   /* KMIP Result Reason; 0: the server did not refuse */
	uint32_t attempts; /* how many times something was sent */
	uint16_t version;  /* of the answer: major << 8 | minor; 0: there was none */
	uint32_t server;   /* who answered, for call_options.server; 0: nobody */
	char message
		[CALL_MESSAGE_MAX]; /* the server's Result Message, or why nobody was reached */
};

/* Zero means: the client's defaults. */
struct call_options {
	uint32_t timeout_ms; /* for all attempts together */
	const uint8_t *
		request_id; /* 16 bytes; NULL: one is made when the operation changes the store */
	uint16_t tls_client_version,
		tls_negotiated_version; /* vendor fields of Decrypt */
	/* What may have been begun is never sent to another server, and its answer is waited for until the end: tokens
	 * that are plugged in there would do it once more. */
	bool is_once;
	/* Only this one is asked, as later parts of a stream (Correlation Value) must be; 0: any.  If servers were looked up
	 * anew it may be another one, which knows no such stream. */
	uint32_t server;
	bool has_user; /* of an agent: on whose behalf */
	int32_t user;
	struct call_report *report; /* written in any case; NULL is fine */
};

/* `payload` is the content of Request Payload as protocol version 2.1 writes it, without the
 * structure's own header; the content of Response Payload is appended to ret. */
kf_err client_call(struct kf_client *c, uint32_t operation, struct slice payload,
	const struct call_options *options, struct buf *ret);
