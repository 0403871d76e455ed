/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: keys in this process's memory, used by OpenSSL.  Nobody outside this folder sees a secret.
 *
 * A session is one thread's ready-made state: fetched digests, and a bounded number of prepared
 * contexts for the (key, mechanism) pairs used last.  It costs nothing per signature beyond the
 * primitive: no lock, no allocation of ours, no fetch.  A session keeps a reference to the keys it
 * has contexts for; a destroyed key must not linger, see soft_forget().
 */
#pragma once
#include "token/token.h"

/* Memory of crypt_init(): 1.2 KiB for an RSA-2048 key and once more in each session that signs with it
 * (as long as a quarter is free), 2.3 KiB with 4096 bits, 0.3 KiB for an EC or Ed25519 key. */

/* Makes a handle from PKCS#8 DER; NOMEM when that memory is used up; the bytes are copied, the caller wipes its own. */
kf_err soft_key_new(struct slice pkcs8, struct token_key **ret);
/* The secret of implicit rejection (token/unpad.h) of a key that is elsewhere, too: whoever sees both answers to one
 * ciphertext must not be able to tell them apart.  Before anybody else has the handle. */
void soft_key_set_reject(struct token_key *key, const uint8_t secret[32]);
struct slice soft_key_spki(const struct token_key *key);

kf_err soft_open(struct token_session **ret);
void soft_close(struct token_session *s);

/* RSA results are verified with the public key before they leave. */
void soft_sign(struct token_session *s, struct sign_job *const *jobs, size_t n);
void soft_decrypt(struct token_session *s, struct decrypt_job *job);

/* Drops the contexts of keys that have been put by everybody else; call it now and then (a timer),
 * so that a destroyed key leaves the memory although no other key takes its place. */
void soft_forget(struct token_session *s);
