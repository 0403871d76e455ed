/* SPDX-License-Identifier: Apache-2.0
 *
 * identity: a client that says, by a credential in the request's header, that it is another than its
 * certificate's.  Username and Password is the credential that can be known here ([server] passwords): then
 * the request is that client's, with its rights.  Any other, and a wrong one, fails the request
 * (Authentication Not Successful).  Without a credential the certificate says who it is.
 *
 * A password is checked on a worker, once a connection as long as the same is given; a client that has tried
 * a user's name in vain ten times waits ten minutes.
 */
#pragma once
#include "keyfleetd/req.h"

struct identity; /* what a connection has proved */
struct guard;    /* who has tried what in vain */

/* Step: the header has an Authentication. */
enum step_result identity_step(struct req *r);
/* Who the request is of: by its credential, once that step is done, or by the certificate. */
const struct who *identity_of(const struct req *r);

void identity_free(struct identity *i); /* NULL is fine */
kf_err guard_new(struct guard **ret);
void guard_free(struct guard *g); /* NULL is fine */
