/* SPDX-License-Identifier: Apache-2.0
 *
 * Create Key Pair.  Response: private key first.
 */
#pragma once
#include "kmip/attrs.h"

/* Decoded attributes are appended to `attrs`, where the slices point. */
struct create_key_pair_request {
	struct slice common, private_key, public_key; /* canonical sets */
};

struct create_key_pair_response {
	struct kmip_uid private_key, public_key;
};

void create_key_pair_put_request(
	struct ttlv_writer *w, const struct create_key_pair_request *q);
kf_err create_key_pair_get_request(
	struct ttlv_reader *r, struct create_key_pair_request *ret, struct buf *attrs);
void create_key_pair_put_response(
	struct ttlv_writer *w, const struct create_key_pair_response *a);
kf_err create_key_pair_get_response(
	struct ttlv_reader *r, struct create_key_pair_response *ret);
