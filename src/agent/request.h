/* SPDX-License-Identifier: Apache-2.0 */
/* request: what the agent reads of a guest's request, and what it answers.  Pure functions.
 *
 * Only as much is read as is needed to decide who may have it forwarded: the operation and the key.  The
 * payload travels as it is; the key server reads it.
 */
#pragma once
#include "agent/allow.h"
#include "kmip/message.h"

enum { REQUEST_MAX = 16384 };

struct request {
	uint32_t operation;
	uint16_t version;
	enum allow_operation kind; /* 0: not served */
	struct slice key;          /* Unique Identifier; empty for Locate */
	struct slice payload;
	bool is_unfit; /* part of a message in several requests, or about another key, too */
	uint8_t batch_id[16];
	size_t batch_id_n;
	uint32_t deadline_ms; /* 0: not said */
	uint16_t tls_client_version, tls_negotiated_version;
};

/* Slices point into the message.  An error is one of the message as a whole: the connection is of no use
 * any more. */
kf_err request_read(struct slice message, struct request *ret);

/* Appends the whole answer. */
kf_err request_answer(const struct request *q, struct slice payload, struct buf *out);
kf_err request_refuse(const struct request *q, enum kf_code code, struct buf *out);
/* Get gives away public keys and certificates only. */
bool request_may_see(const struct request *q, struct slice payload);
