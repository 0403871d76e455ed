/* SPDX-License-Identifier: Apache-2.0
 *
 * remote: the two things a private key does, done by a key server.  One KMIP request through the agent
 * each, no allocation in steady state.  Called by any thread, inside or outside of ASYNC jobs.
 */
#pragma once
#include "provider/key.h"

enum {
	REMOTE_DATA_MAX = 1280
}; /* more than this is hashed here; docs/wire.md, "Signing" */

struct remote_sign {
	const struct key *key;
	enum mech_scheme scheme;
	const struct hash *hash; /* NULL for Ed25519 */
	int salt;                /* PSS: bytes */
	bool is_digest;          /* data has been hashed already */
	struct slice data;
};

enum remote_padding { PADDING_PKCS1, PADDING_OAEP, PADDING_TLS };

struct remote_decrypt {
	const struct key *key;
	enum remote_padding padding;
	const struct hash *hash, *mask_hash;         /* OAEP */
	struct slice label;                          /* OAEP */
	uint16_t client_version, negotiated_version; /* TLS */
	struct slice data;
};

/* Written on success only; TOO_BIG when `size` is too small. */
struct remote_result {
	uint8_t *p;
	size_t size, n;
};

kf_err remote_sign(const struct remote_sign *q, struct remote_result *ret);
kf_err remote_decrypt(const struct remote_decrypt *q, struct remote_result *ret);

/* Puts the failure into OpenSSL's error queue, with what an operator needs: socket and key. */
void remote_raise(const struct key *key, kf_err e);
/* What OpenSSL is told: 1, or 0 with the failure in its queue.  `key` may be NULL. */
int remote_raised(const struct provider *p, const struct key *key, kf_err e);
