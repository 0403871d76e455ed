/* SPDX-License-Identifier: Apache-2.0
 *
 * match: does an object have the attributes that Locate asks for?  (KMIP 2.1, Locate)
 *
 * All must match.  One date means that very moment, two of the same kind an inclusive range.  A usage
 * mask matches its supersets.  A structure matches if the fields that are given do.  Of attributes
 * with several instances any may match.
 */
#pragma once
#include "kmip/attrs.h"
#include "store/object.h"

bool match_object(const struct object *o, int64_t now_s, struct slice wanted);
