/* SPDX-License-Identifier: Apache-2.0
 *
 * lease: how long a client may use what it got before it asks again.
 */
#pragma once
#include "op/op.h"

enum { LEASE_DEFAULT_S = 3600 };

/* The server's, or less where the object's use ends sooner; 0: no lease is given. */
uint32_t lease_of(const struct op_call *call);
