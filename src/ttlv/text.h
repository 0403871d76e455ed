/* SPDX-License-Identifier: Apache-2.0
 *
 * text: the words of the text form, shared by print.c and parse.c.
 */
#pragma once
#include "ttlv/ttlv.h"

const char *text_type(enum ttlv_type type);       /* "Integer"; NULL: no such type */
enum ttlv_type text_type_find(struct slice word); /* 0: unknown */
/* The enumeration of an item's value.  An Attribute Value has the one of its sibling's name. */
enum ttlv_kind text_kind(uint32_t tag, struct slice attribute_name);
