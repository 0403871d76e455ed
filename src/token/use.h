/* SPDX-License-Identifier: Apache-2.0
 *
 * use: AES keys on tokens: what they are known by, and what is built of the few things that tokens do with
 * them.
 *
 * A secret key has no public half to be known by, and labels are anybody's.  So it is known by what it does: its
 * CMAC over a block that never changes, computed by the token, tells it from all others; that is no secret, and
 * finding another key that has the same takes 2^128 attempts.  A copy on another token has proved itself when it
 * says the same.
 *
 * What a token encrypted is decrypted by it again before it leaves, and the other way round: what a faulty token did
 * would be lost, or tell about its key.
 */
#pragma once
#include "token/driver.h"

enum { USE_BLOCK = 16, USE_MAC_SIZE = 16 };

/* What the CMAC is of. */
extern const struct slice use_challenge;
void use_key_id(const uint8_t mac[USE_MAC_SIZE], uint8_t ret[KEY_ID_SIZE]);

/* A key on an open token; the token's thread. */
struct use_key {
	const struct token_driver *driver;
	struct token *token;
	unsigned handle;
	const struct alg *alg;
};

/* BAD_PARAMETERS: not what such a key does, or more than such tokens do; DATA: no whole blocks, or what cannot
 * have been wrapped. */
kf_err use_check(const struct token_driver *driver, const struct alg *alg,
	const struct use_job *job);
/* Any kind, after use_check(); appends.  DATA: what is to be unwrapped was not wrapped by this key.
 * *ret_is_wrong: the way back does not lead to what was given. */
kf_err use_run(const struct use_key *k, const struct use_job *job, struct buf *ret,
	bool *ret_is_wrong);
