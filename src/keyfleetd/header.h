/* SPDX-License-Identifier: Apache-2.0
 *
 * header: the step that looks at a message as a whole, before any of its items: can it be read to its end,
 * does it ask for what there is, what is it called, and who says that he sent it.
 */
#pragma once
#include "keyfleetd/req.h"

enum step_result header_step(struct req *r);
