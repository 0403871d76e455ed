/* SPDX-License-Identifier: Apache-2.0
 *
 * reason: our error codes as KMIP Result Reasons, and back.  One table, reason.def.
 */
#pragma once
#include "base/buf.h"
#include <stdint.h>

/* Never newer than the version.  Codes without a row are internal to us: General Failure. */
uint32_t kmip_reason(enum kf_code code, uint16_t version);
/* The client's side.  A reason that is not in the table is INTERNAL: the server's fault.  Several codes
 * share a reason: then the Result Message says which, if it is one of our own. */
enum kf_code kmip_reason_code(uint32_t reason, struct slice message);
