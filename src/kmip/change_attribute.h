/* SPDX-License-Identifier: Apache-2.0
 *
 * Add Attribute, Modify Attribute, Delete Attribute; since 2.0 Set Attribute and Adjust Attribute.
 *
 * 1.x names an instance by its index, 2.x by its value.
 */
#pragma once
#include "kmip/attrs.h"

enum attribute_change {
	ATTRIBUTE_ADD,
	ATTRIBUTE_MODIFY,
	ATTRIBUTE_DELETE,
	ATTRIBUTE_SET,
	ATTRIBUTE_ADJUST,
};

struct change_attribute_request {
	struct kmip_uid uid;
	/* One canonical item each; empty: not given. */
	struct slice new_attribute, current_attribute;
	bool has_ref; /* Delete, Adjust */
	struct attr_ref ref;
	struct attr_index index;           /* 1.x */
	uint32_t adjustment_type;          /* Adjust */
	struct ttlv_item adjustment_value; /* whole.n is 0: not given */
};

/* The attribute, as it is now or was, is in answers of 1.x only. */
struct change_attribute_response {
	struct kmip_uid uid;
	struct slice attribute; /* one canonical item */
	int32_t index;
};

void change_attribute_put_request(struct ttlv_writer *w, enum attribute_change kind,
	const struct change_attribute_request *q);
/* The items are appended to `into`, and their slices point there; the rest points into what is read. */
kf_err change_attribute_get_request(struct ttlv_reader *r, enum attribute_change kind,
	struct buf *into, struct change_attribute_request *ret);
void change_attribute_put_response(
	struct ttlv_writer *w, const struct change_attribute_response *a);
kf_err change_attribute_get_response(
	struct ttlv_reader *r, struct buf *into, struct change_attribute_response *ret);
