/* SPDX-License-Identifier: Apache-2.0
 *
 * Get Attribute List: the names only.
 */
#pragma once
#include "kmip/attrs.h"

struct get_attribute_list_request {
	struct kmip_uid uid;
};

struct get_attribute_list_response {
	struct kmip_uid uid;
	/* put: the canonical set whose names are written, each once.
	 * get: the encoded names, read with attr_ref_get(). */
	struct slice attributes;
};

void get_attribute_list_put_request(
	struct ttlv_writer *w, const struct get_attribute_list_request *q);
kf_err get_attribute_list_get_request(
	struct ttlv_reader *r, struct get_attribute_list_request *ret);
void get_attribute_list_put_response(
	struct ttlv_writer *w, const struct get_attribute_list_response *a);
kf_err get_attribute_list_get_response(
	struct ttlv_reader *r, struct get_attribute_list_response *ret);
