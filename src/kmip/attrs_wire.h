/* SPDX-License-Identifier: Apache-2.0
 *
 * attrs_wire: shared by the files of attrs.
 */
#pragma once
#include "kmip/attrs.h"

kf_err attrs_check_shape(const struct ttlv_item *it);
