/* SPDX-License-Identifier: Apache-2.0
 *
 * give: the value of the call's object, in the form that Get or Export asks for: as it was registered,
 * in another Key Format Type, compressed, wrapped.  What is not extractable never leaves; what is
 * sensitive leaves encrypted only.
 */
#pragma once
#include "kmip/get.h"
#include "op/op.h"

/* What *ret points to lives as long as the call: in call->scratch, or where the store has it open. */
kf_err op_give(
	struct op_call *call, const struct get_request *q, struct kmip_object *ret);
