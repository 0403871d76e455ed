/* SPDX-License-Identifier: Apache-2.0
 *
 * tlv: BER-TLV with tags of one or two bytes and definite lengths, which is what cards speak, and DER.
 */
#pragma once
#include "base/buf.h"

struct tlv {
	uint32_t tag;
	struct slice value, whole;
};

/* Takes the next element off the front of `rest`.  False at the end and when it is malformed: then
 * `rest` is not empty. */
bool tlv_next(struct slice *rest, struct tlv *ret);
/* The first element with this tag; its value, or p == NULL when there is none. */
struct slice tlv_find(struct slice in, uint32_t tag);
/* Whether it is well formed to its end. */
bool tlv_is_sound(struct slice in);

void tlv_add(struct buf *to, uint32_t tag, struct slice value);
void tlv_add_byte(struct buf *to, uint32_t tag, uint8_t value);
