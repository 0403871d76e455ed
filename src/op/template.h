/* SPDX-License-Identifier: Apache-2.0
 *
 * template: Template objects of KMIP 1.x, named attributes for objects to come.  2.x has none.
 */
#pragma once
#include "kmip/key_block.h"
#include "op/op.h"

/* A template that is registered: what it holds may be set by clients; a Name among it is the template's
 * own, and is added to its attributes. */
kf_err template_check(
	const struct op_call *call, const struct kmip_object *o, struct buf *attrs);

/* Puts the attributes of the templates that the request names in the place of their names, in
 * call->payload.  What the request says itself holds against a template, and a later template against
 * an earlier one; attributes that may have several values come together.  NOT_FOUND, ARCHIVED. */
kf_err template_expand(struct op_call *call);
