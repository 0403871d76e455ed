/* SPDX-License-Identifier: Apache-2.0
 *
 * Log (2.0): a text for the server's log.  The answer is empty.
 */
#pragma once
#include "kmip/message.h"

struct log_request {
	struct slice message;
};

void log_put_request(struct ttlv_writer *w, const struct log_request *q);
kf_err log_get_request(struct ttlv_reader *r, struct log_request *ret);
