/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: what the agent counts, by the table metric.def, and its HTTP endpoint: GET /metrics, /up.
 *
 * All on the agent's loop, the endpoint too.
 */
#pragma once
#include "agent/request.h"
#include "metric/metric.h"

struct agent;

enum { AGENT_OPERATIONS = 6 }; /* the bits of enum allow_operation, and others */

enum agent_refusal {
	AGENT_REFUSED_FULL,      /* a connection: too many, or no memory */
	AGENT_REFUSED_USER,      /* a connection: too many of a user */
	AGENT_REFUSED_MALFORMED, /* not a request, or a second one before the answer */
	AGENT_REFUSED_NOT_ALLOWED, /* by the [allow] sections, or not an operation of ours */
	AGENT_REFUSED_RATE,        /* user_rate or user_in_flight */
	AGENT_REFUSALS
};

enum {
#define LABEL(id, name, n, value) LABEL_##id = (n),
#include "agent/metric.def"
};

/* clang-format off */
struct agent_metrics {
#include "metric/block.def"
#include "agent/metric.def"
};
/* clang-format on */

size_t agent_operation(const struct request *q); /* index of label `operation` */
void agent_metrics_print(struct agent *a, enum metric_format f, struct buf *ret);
void agent_metrics_manual(struct buf *to);

/* What [metrics] listen says now; an endpoint that is open already stays if it is the same. */
kf_err agent_metrics_open(struct agent *a, struct buf *why);
void agent_metrics_close(struct agent *a);
