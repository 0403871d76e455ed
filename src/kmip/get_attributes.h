/* SPDX-License-Identifier: Apache-2.0
 *
 * Get Attributes.
 */
#pragma once
#include "kmip/attrs.h"

/* A request's names are made with attr_ref_put() on a writer of the same version.  A response's
 * attributes are appended to `attrs`. */
struct get_attributes_request {
	struct kmip_uid uid;
	struct slice
		names; /* encoded names, read with attr_ref_get(); empty: all attributes */
};

struct get_attributes_response {
	struct kmip_uid uid;
	struct slice
		attributes; /* canonical set; what the version does not know is left out */
};

void get_attributes_put_request(
	struct ttlv_writer *w, const struct get_attributes_request *q);
kf_err get_attributes_get_request(
	struct ttlv_reader *r, struct get_attributes_request *ret);
void get_attributes_put_response(
	struct ttlv_writer *w, const struct get_attributes_response *a);
kf_err get_attributes_get_response(
	struct ttlv_reader *r, struct get_attributes_response *ret, struct buf *attrs);
