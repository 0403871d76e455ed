/* SPDX-License-Identifier: Apache-2.0
 *
 * signer: an Ed25519 key with which a key server signs what it says of itself (audit checkpoints).  It is
 * derived from a master key (keyring_signer), so there is no file of it and a restored server has it again.
 */
#pragma once
#include "base/buf.h"

enum { SIGNER_SEED_SIZE = 32, SIGNER_PUBLIC_SIZE = 32, SIGNER_SIGNATURE_SIZE = 64 };

struct signer;

kf_err signer_new(const uint8_t seed[SIGNER_SEED_SIZE], struct signer **ret);
void signer_free(struct signer *s);
void signer_freep(struct signer **s);
void signer_public(const struct signer *s, uint8_t ret[SIGNER_PUBLIC_SIZE]);
kf_err signer_sign(
	const struct signer *s, struct slice data, uint8_t ret[SIGNER_SIGNATURE_SIZE]);
/* TAMPERED if it is not this key's signature of this data. */
kf_err signer_check(const uint8_t public[SIGNER_PUBLIC_SIZE], struct slice data,
	const uint8_t signature[SIGNER_SIGNATURE_SIZE]);
