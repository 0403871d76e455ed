/* SPDX-License-Identifier: Apache-2.0
 *
 * Interop (2.0): brackets a test case, or puts a server under test back to its beginning.  The answer is empty.
 */
#pragma once
#include "kmip/message.h"

struct interop_request {
	uint32_t function; /* KMIP_INTEROP_FUNCTION_... */
	struct slice identifier;
};

void interop_put_request(struct ttlv_writer *w, const struct interop_request *q);
kf_err interop_get_request(struct ttlv_reader *r, struct interop_request *ret);
