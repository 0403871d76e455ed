/* SPDX-License-Identifier: Apache-2.0
 *
 * hasher: SHA-256 of what passes by, with a context that is made once a thread: EVP's fetch costs more
 * than the digest.
 */
#pragma once
#include "base/buf.h"
#include "token/token.h"

struct hasher {
	struct evp_md_st *md;
	struct evp_md_ctx_st *context;
};

kf_err hasher_init(struct hasher *d);
void hasher_clear(struct hasher *d);

/* What the audit says about a signature: the digest that is signed, or SHA-256 of the data.  Returns
 * a slice of `room` or of the job; empty when it cannot be computed. */
struct slice hasher_job(struct hasher *d, const struct sign_job *job, uint8_t room[32]);
