/* SPDX-License-Identifier: Apache-2.0
 *
 * refused: which tokens refused which PIN, or left it unanswered, kept over restarts in the file `pins-refused` beside `seen`, so that a wrong PIN
 * costs one try and not one a start.  A line is a serial number and a MAC over it and the PIN under the master key: the
 * file alone says nothing of a PIN.  Behind a PIN that was not answered: "/" and the tries that were left when it was sent.  Another PIN is another matter, and so is what `token resume` forgives.  Lines of
 * PINs that no pool has now stay: who puts back an old one is spared its try.
 *
 * Of the main thread, but for refused_keep().
 */
#pragma once
#include "pool/pool.h"

struct keyring;
struct refused;

/* NULL in *ret: there is no place for it.  A file that is damaged counts for nothing. */
kf_err refused_open(
	const char *seen, const struct keyring *keyring, struct refused **ret);
void refused_free(struct refused *r); /* NULL is fine */
/* For each PIN that is in use, before refused_keep().  What tokens said of this PIN, without the PIN. */
size_t refused_of(struct refused *r, const struct token_pin *pin,
	struct pool_refusal *ret, size_t n);
/* Writes down what has changed, and what could not be written before.  Any thread; NULL is fine. */
void refused_keep(struct refused *r, struct pools *pools);
