/* SPDX-License-Identifier: Apache-2.0
 *
 * replace: a new object in the place of an old one (KMIP 2.1, Re-key, Re-key Key Pair, Re-certify).
 *
 * The new one takes over the names, and the attributes that a client can set; what the request says goes
 * before.  Dates are copied, or moved so that the new Activation Date is Offset seconds from now.  Links
 * connect the two.  The old one stays as it is otherwise: what it protected can still be processed.
 *
 * What is made belongs to the owner of the old one, whoever asked for it: names are unique in his scope.
 */
#pragma once
#include "op/make.h"

struct replace_wish {
	bool has_offset;
	uint32_t offset_s;
	struct slice attributes; /* of the request */
};

/* DESTROYED, ARCHIVED, NO_VALUE; DENIED: without its names no grant would narrow the old key any more, whose
 * owner one narrows.  On a loop, or as a reader of the catalog. */
kf_err replace_check(const struct op_call *call, const struct object *old);

/* Appends the attributes of the new object, as a client could have said them.  MALFORMED: an Offset and
 * dates; NO_ACTIVATION: an Offset, and dates that are relative to an Activation Date that is not there. */
kf_err replace_attributes(const struct object *old, const struct replace_wish *w,
	int64_t now_s, struct buf *ret);

/* Between make_check() and make_object(): what the server says of the new object. */
void replace_describe(const struct op_call *call, struct make *m);

/* What the server asks itself for when an object is to be rotated: an operation, and its payload in KMIP 2.1.
 * False: nothing replaces an object of this type. */
bool replace_rotation(const struct object *o, uint32_t *ret_operation, struct buf *ret);

/* Somebody is rotating it, until then at the latest: a vendor attribute of the server's, which the rotation takes
 * away.  One that is longer than any can be was told by a clock that was wrong, and does not count. */
enum { ROTATION_LEASE_MOST_S = 86400 };
void replace_put_lease(struct buf *attrs, int64_t until_s);
void replace_end_lease(struct buf *attrs);
/* Longer than a token makes a key and others take it over, or two servers would go on undoing each other's work; and
 * no longer than the object's Rotate Interval. */
int64_t replace_lease_s(const struct object *o);
bool replace_is_leased(const struct object *o, int64_t now_s);

/* The only Link of this type. */
void replace_link(struct buf *set, uint32_t link_type, const char *id);

/* The mutation of the old object; before that of the new one, since names are unique. */
kf_err replace_old(struct op_call *call, const struct object *old,
	const char new_id[OBJECT_ID_SIZE]);
