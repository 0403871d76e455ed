/* SPDX-License-Identifier: Apache-2.0 */
/* client: the inside of a kf_client. */
#pragma once
#include "client/call.h"
#include "client/local.h"
#include "client/pool.h"

struct kf_client {
	struct fleet fleet;
	struct pool pool;
	struct local *local; /* instead of the pool: the host's agent */
};

/* A call whose payload is written once the server, and with it the protocol version, is known. */
struct call {
	uint32_t operation;
	kf_err (*put)(struct ttlv_writer *w, const void *request);
	const void *request;
	const struct call_options *options; /* never NULL */
	struct buf *ret;                    /* gets the content of Response Payload */
};

/* Copies text that a server sent, cut if need be. */
void report_message(struct call_report *report, struct slice text);
/* *ret_version is the answer's. */
kf_err client_run(struct kf_client *c, const struct call *q, uint16_t *ret_version);
/* The same through the agent. */
kf_err client_run_agent(
	struct kf_client *c, const struct call *q, struct call_report *report);
