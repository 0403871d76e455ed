/* SPDX-License-Identifier: Apache-2.0
 *
 * make: steps by which keys come to a card, whether it makes them or they come from another; for make.c and
 * transport.c.
 */
#pragma once
#include "token/schsm/card.h"
#include "token/schsm/prkd.h"

enum { MAKE_HOLDER_SIZE = 16 + 1 };

/* Of which there is no file yet; AUTH: nobody is logged in. */
kf_err make_find_number(struct token *t, unsigned *ret);
/* What came of it, as far as the card still takes commands. */
void make_discard(struct token *t, unsigned number);
/* Certificate holder reference of this card's keys. */
void make_holder(const struct token *t, char ret[MAKE_HOLDER_SIZE]);
/* The last step. */
kf_err make_describe(struct token *t, unsigned number, const struct prkd *d);
