/* SPDX-License-Identifier: Apache-2.0
 *
 * Export and Import (KMIP 1.4 and later): an object with all its attributes.  Export's request is Get's.
 */
#pragma once
#include "kmip/attrs.h"
#include "kmip/get.h"

struct export_response {
	uint32_t object_type;
	struct kmip_uid uid;
	struct slice attributes;   /* canonical set */
	struct kmip_object object; /* written by its fields */
};

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
void export_put_response(struct ttlv_writer *w, const struct export_response *a);
kf_err export_get_response(
	struct ttlv_reader *r, struct export_response *ret, struct buf *attrs);

struct import_request {
	struct kmip_uid uid;
	bool replaces_existing;
	uint32_t key_wrap_type;    /* 0: absent */
	struct slice attributes;   /* canonical set */
	struct kmip_object object; /* put writes its fields for the writer's version */
};

struct import_response {
	struct kmip_uid uid;
};

void import_put_request(struct ttlv_writer *w, const struct import_request *q);
kf_err import_get_request(
	struct ttlv_reader *r, struct import_request *ret, struct buf *attrs);
void import_put_response(struct ttlv_writer *w, const struct import_response *a);
kf_err import_get_response(struct ttlv_reader *r, struct import_response *ret);
