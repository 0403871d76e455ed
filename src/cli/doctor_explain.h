/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_explain: error logs of servers, explained. */
#pragma once
#include "cli/cli.h"

enum { LOG_SEEN_MAX = 128 };

/* "-" is standard input.  Sets the exit status: 2 when a line was recognised, else 0. */
kf_err doctor_explain(struct cli *c, const char *path);
