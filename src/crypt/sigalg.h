/* SPDX-License-Identifier: Apache-2.0
 *
 * sigalg: signatures of certificates and requests that are made elsewhere.  Inside src/crypt only.
 */
#pragma once
#include "crypt/ossl.h"

/* How a key of this algorithm signs; HASH_NONE: the hash goes with its strength.  NULL: not with this hash. */
const struct mech *sigalg_mech(const struct alg *alg, enum hash_id hash);
/* Its AlgorithmIdentifier; the caller frees; NULL: out of memory. */
X509_ALGOR *sigalg_new(const struct mech *mech);
/* All bits of the signature count. */
bool sigalg_set_bits(ASN1_BIT_STRING *bits, struct slice sig);
