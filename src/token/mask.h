/* SPDX-License-Identifier: Apache-2.0
 *
 * mask: decisions without a branch: all ones for what holds, 0 for what does not.
 */
#pragma once
#include <stdint.h>

static inline uint32_t mask_of_bit(uint32_t bit)
{
	__asm__("" : "+r"(bit)); /* the compiler shall not make a branch of it */
	return 0 - bit;
}
static inline uint32_t mask_less(uint32_t a, uint32_t b)
{
	return mask_of_bit((uint32_t)(((uint64_t)a - b) >> 63));
}
static inline uint32_t mask_zero(uint32_t a) { return mask_less(a, 1); }
static inline uint32_t mask_equal(uint32_t a, uint32_t b) { return mask_zero(a ^ b); }
static inline uint32_t mask_choose(uint32_t mask, uint32_t yes, uint32_t no)
{
	return (mask & yes) | (~mask & no);
}
