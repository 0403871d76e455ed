/* SPDX-License-Identifier: Apache-2.0
 *
 * pair: the objects of a key that is coming into being; 0: not there (yet).
 */
#pragma once
#include "token/pkcs11/private.h"

struct p11_pair {
	CK_OBJECT_HANDLE private, public, certificate;
};

#define P11_BYTES(type, s)                                                               \
	{                                                                                \
		(type), (void *)(uintptr_t)(s).p, (s).n                                  \
	}

void p11_pair_destroy(struct p11_writer *w, const struct p11_pair *pair);
/* Reads it as everybody will, and proves that its halves belong together. */
kf_err p11_pair_describe(struct p11_writer *w, const struct p11_pair *pair,
	const struct alg *alg, struct token_key_facts *ret);
