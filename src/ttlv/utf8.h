/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8: is this UTF-8 (RFC 3629) without NUL?
 */
#pragma once
#include "base/buf.h"

bool utf8_is_text(struct slice s);
