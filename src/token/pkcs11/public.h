/* SPDX-License-Identifier: Apache-2.0
 *
 * public: public keys out of attributes.  KEY_FORMAT, or whatever pubkey_parse() says, when they make none.
 */
#pragma once
#include "crypt/pubkey.h"

kf_err p11_public_of_rsa(
	struct slice modulus, struct slice exponent, struct pubkey **ret);
/* params: DER of the curve's name.  point: DER of an OCTET STRING as the standard has it, or bare as
 * some tokens do. */
kf_err p11_public_of_ec(struct slice params, struct slice point, struct pubkey **ret);
kf_err p11_public_of_ed25519(struct slice point, struct pubkey **ret);
kf_err p11_public_of_certificate(struct slice der, struct pubkey **ret);
