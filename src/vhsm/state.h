/* SPDX-License-Identifier: Apache-2.0
 *
 * state: a card as bytes, and as a file that is replaced as a whole or not at all.
 */
#pragma once
#include "vhsm/card.h"

enum { STATE_MAX = 4 * 1024 * 1024 };

kf_err state_put(const struct card *c, struct buf *to);
kf_err state_parse(
	struct slice bytes, struct card **ret); /* TAMPERED when it is no card */
kf_err state_save(const struct card *c, const char *path);
kf_err state_load(const char *path, struct card **ret); /* NOT_FOUND */
