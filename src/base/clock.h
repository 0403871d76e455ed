/* SPDX-License-Identifier: Apache-2.0
 *
 * clock: time that tests can turn.  Monotonic for deadlines, wall for dates of objects and records.
 */
#pragma once
#include <stdint.h>

uint64_t clock_monotonic_ns(void);
int64_t clock_wall_s(void);
int64_t clock_wall_us(void);

/* Tests only: adds to what the functions above return. */
void clock_turn(int64_t monotonic_ns, int64_t wall_s);
