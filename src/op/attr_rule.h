/* SPDX-License-Identifier: Apache-2.0
 *
 * attr_rule: which attributes a client may change, when, and what follows.  attr.def has what fits a
 * table; what the standard's text says of a value is here.
 */
#pragma once
#include "kmip/change_attribute.h"
#include "op/op.h"

/* May this attribute of the call's object be changed like this at all?  READ_ONLY and the like,
 * WRONG_ATTRIBUTE, STATE. */
kf_err attr_rule_allows(const struct op_call *call, enum attribute_change kind,
	const struct attr_ref *ref);
/* `attrs` is the object's set after the change of `tag`: is it one that may be, and what else
 * follows? */
kf_err attr_rule_follow(const struct op_call *call, uint32_t tag, struct buf *attrs);

/* DENIED: the names and groups of `attrs`, which are to take the place of those of `was`, would give the client or
 * anybody a right to it that he has not got.  The administrator and the owner may: grants are given by the
 * one, and the other could as well have made the object under this name. */
kf_err attr_rule_check_rights(
	const struct op_call *call, const struct object *was, struct slice attrs);

/* DENIED: what takes the place of somebody else's object, which may be read under its name, would be less Sensitive or
 * more Extractable. */
kf_err attr_rule_check_successor(
	const struct op_call *call, const struct object *was, struct slice attrs);

/* READ_ONLY: a new object's set claims that it is a key on tokens that was destroyed. */
kf_err attr_rule_check_claims(struct slice attrs);

/* READ_ONLY: a request for a new object brings vendor attributes of ours that are no wishes, but the server's to set. */
kf_err attr_rule_check_wishes(struct slice attrs, const char *const *wishes);
/* Names, NULL at the end: of a key that is made, and of a certificate that is issued. */
extern const char *const attr_no_wishes[], *const attr_key_wishes[],
						   *const attr_certificate_wishes[];

/* Application Data that the client leaves to the server. */
void attr_rule_fill(struct buf *attrs);
