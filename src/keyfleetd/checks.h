/* SPDX-License-Identifier: Apache-2.0
 *
 * checks: passwords that are being checked, or wait for it: so many of one address and so many in all.  Each costs
 * a worker some 50 ms and 16 MiB, and workers have other things to do too.
 *
 * An address is that of IPv4, or the network of 64 bits of IPv6; all Unix sockets are one.  Any thread.
 */
#pragma once
#include "net/address.h"
#include <pthread.h>

enum { CHECKS_MAX = 256 };

struct checks_limits {
	unsigned most, of_one; /* CHECKS_MAX at most */
};

struct checks {
	pthread_mutex_t lock; /* guards the rest */
	unsigned n;
	uint8_t of[CHECKS_MAX][16]; /* whose they are, in no order */
};

void checks_init(struct checks *c);
void checks_clear(struct checks *c);

/* BUSY: too many; then there is nothing to end. */
kf_err checks_begin(
	struct checks *c, const struct checks_limits *limits, const struct address *a);
/* By the same address that began. */
void checks_end(struct checks *c, const struct address *a);
