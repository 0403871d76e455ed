/* SPDX-License-Identifier: Apache-2.0
 *
 * attrs_wire: shared by the files of attrs.
 */
#pragma once
#include "kmip/attrs.h"

/* INVALID_FIELD unless the structure has all of its fields and no other. */
kf_err attrs_check_shape(const struct ttlv_item *it);
/* The same of what may lack fields: Locate asks for parts of structures. */
kf_err attrs_check_part(const struct ttlv_item *it);
/* INVALID_FIELD for a field or an enumeration value that the standard gave to another version. */
kf_err attrs_check_version(const struct ttlv_item *it, uint16_t version);
/* Does the writer's version know the instance?  What it does not know is not written. */
bool attrs_leaves(const struct ttlv_writer *w, const struct ttlv_item *it);
