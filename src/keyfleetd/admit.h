/* SPDX-License-Identifier: Apache-2.0
 *
 * admit: is the client at the other end (still) one of ours?  Asked when a connection begins, and with
 * each request once rights or configuration have changed: so whoever is revoked, or whose certificate
 * a new revocation list or authorities' file no longer accepts, has no request answered from then on.
 * Connections that ask for nothing are looked at by and by, and closed.
 *
 * All on the loop of the connection.
 */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct io;
struct peer;
struct req;

/* Fills in p->who, whose certificate is known.  AUTH. */
kf_err admit(struct peer *p);
/* The same again, at the cost of three comparisons when nothing has changed. */
kf_err admit_again(struct peer *p);

/* An answer is about to leave: may the client still have it?  Rights that ended while the request waited give
 * nothing away any more, however long that was.  AUTH: nor anything else. */
kf_err admit_answer(struct req *r);

/* Certificates that were found good under a configuration: connections share most of theirs. */
enum { VERIFIED_MAX = 64 };
struct verified {
	uint64_t generation;
	uint8_t fingerprint[32];
};

/* How far the look at those who ask for nothing has come since the last change. */
struct sweep {
	uint64_t rights, configuration; /* their generations */
	size_t left;
};

void admit_sweep(struct io *io); /* once a second */
