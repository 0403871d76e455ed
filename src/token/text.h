/* SPDX-License-Identifier: Apache-2.0
 *
 * text: names that tokens and modules tell, which we do not trust; PKCS#11 has them in fields of fixed length,
 * filled with blanks.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Cut at the first NUL, blanks at the end removed, control characters and what is no UTF-8 replaced by
 * '?'; always ends with NUL. */
void text_of_field(const uint8_t *field, size_t n, char *ret, size_t size);
/* Filled with blanks. */
void text_to_field(const char *text, uint8_t *ret, size_t n);
