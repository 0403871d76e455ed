/* SPDX-License-Identifier: Apache-2.0
 *
 * process: what the kernel says of this process; the functions of metric/process.def.
 */
#pragma once
#include "metric/metric.h"

#define READ(type, function, ...) void read_##function(struct metric_out *o);
#include "metric/process.def"
#undef READ
