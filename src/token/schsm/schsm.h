/* SPDX-License-Identifier: Apache-2.0
 *
 * schsm: the SmartCard-HSM driver beyond token/driver.h: a card on a link of the caller's, which is how
 * tests talk to a virtual card in their own process.
 */
#pragma once
#include "token/driver.h"
#include "token/schsm/link.h"

/* What schsm_driver.open() does once there is a connection; takes the link, also when it fails.  UNSUPPORTED:
 * not a SmartCard-HSM. */
kf_err schsm_open_link(struct card_link *take, struct token **ret);
