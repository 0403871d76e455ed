/* SPDX-License-Identifier: Apache-2.0
 *
 * dkek: a device key encryption key, put together from its shares.  It lives in locked memory
 * (secret_init() first) and is wiped by its owner's free; nothing else ever sees it.  One thread.
 */
#pragma once
#include "token/schsm/share.h"

enum { DKEK_CHECK_SIZE = 8 };

struct dkek;

/* Of no shares yet: all zeroes. */
kf_err dkek_new(struct dkek **ret);
void dkek_free(struct dkek *d);
void dkek_freep(struct dkek **d);

/* The order does not matter; a share twice cancels itself, which is refused (EXISTS). */
kf_err dkek_add(struct dkek *d, const uint8_t share[static SHARE_SIZE]);
unsigned dkek_shares(const struct dkek *d);
/* What tokens tell of theirs: the first bytes of its SHA-256. */
void dkek_check_value(const struct dkek *d, uint8_t ret[static DKEK_CHECK_SIZE]);
