/* SPDX-License-Identifier: Apache-2.0
 *
 * Re-key and Re-key Key Pair: a new key in the place of an old one, whose names it takes over.
 */
#pragma once
#include "kmip/create_key_pair.h"

/* Decoded attributes are appended to `attrs`, where the slices point. */
struct rekey_request {
	struct kmip_uid uid;
	bool has_offset;
	uint32_t offset_s; /* from now to the new key's Activation Date */
	struct slice attributes;
};

struct rekey_response {
	struct kmip_uid uid;
};

void rekey_put_request(struct ttlv_writer *w, const struct rekey_request *q);
kf_err rekey_get_request(
	struct ttlv_reader *r, struct rekey_request *ret, struct buf *attrs);
void rekey_put_response(struct ttlv_writer *w, const struct rekey_response *a);
kf_err rekey_get_response(struct ttlv_reader *r, struct rekey_response *ret);

struct rekey_pair_request {
	struct kmip_uid uid; /* of the private key */
	bool has_offset;
	uint32_t offset_s;
	struct create_key_pair_request sets;
};

void rekey_pair_put_request(struct ttlv_writer *w, const struct rekey_pair_request *q);
kf_err rekey_pair_get_request(
	struct ttlv_reader *r, struct rekey_pair_request *ret, struct buf *attrs);
/* The response is that of Create Key Pair. */

/* Offset, as Re-certify has it, too. */
void rekey_put_offset(struct ttlv_writer *w, bool has_offset, uint32_t offset_s);
bool rekey_get_offset(struct ttlv_reader *r, uint32_t *ret_s);
