/* SPDX-License-Identifier: Apache-2.0
 *
 * digest: SHA-256 of what passes by, with a context that is made once a thread: EVP's fetch costs more
 * than the digest.
 */
#pragma once
#include "base/buf.h"
#include "token/token.h"

struct digest {
	struct evp_md_st *md;
	struct evp_md_ctx_st *context;
};

kf_err digest_init(struct digest *d);
void digest_clear(struct digest *d);

/* What the audit says about a signature: the digest that is signed, or SHA-256 of the data.  Returns
 * a slice of `room` or of the job; empty when it cannot be computed. */
struct slice digest_job(struct digest *d, const struct sign_job *job, uint8_t room[32]);
