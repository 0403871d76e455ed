/* SPDX-License-Identifier: Apache-2.0 */
/* proxy2: the PROXY protocol, version 2 (haproxy's proxy-protocol.txt), which a load balancer puts
 * before the first byte of TLS to say who the client is.  Only where the configuration expects it: then
 * a connection without it is refused.  Version 1 (text) is not spoken.
 */
#pragma once
#include "net/address.h"

enum { PROXY2_MAX = 536 }; /* header with addresses and extensions; more is refused */

enum proxy2_result {
	PROXY2_MORE,
	PROXY2_READY, /* *ret is set, *ret_used is the length of the header */
	PROXY2_MALFORMED,
};

struct proxy2 {
	bool is_local; /* the balancer itself speaks (health check): there is no client address */
	struct address
		client; /* n is 0 when unknown (is_local, or a family we do not know) */
};

enum proxy2_result proxy2_parse(struct slice in, struct proxy2 *ret, size_t *ret_used);

/* Reads a header from a socket and not one byte more.  Zeroed at the start. */
struct proxy2_reader {
	uint8_t bytes[PROXY2_MAX];
	size_t n;
};
/* OK with *ret_done false: wait until readable and call again. */
kf_err proxy2_read(struct proxy2_reader *r, int fd, struct proxy2 *ret, bool *ret_done);
