/* SPDX-License-Identifier: Apache-2.0
 *
 * Archive and Recover: both have the same payloads.
 */
#pragma once
#include "kmip/message.h"

struct archive_request {
	struct kmip_uid uid;
};
struct archive_response {
	struct kmip_uid uid;
};

void archive_put_request(struct ttlv_writer *w, const struct archive_request *q);
kf_err archive_get_request(struct ttlv_reader *r, struct archive_request *ret);
void archive_put_response(struct ttlv_writer *w, const struct archive_response *a);
kf_err archive_get_response(struct ttlv_reader *r, struct archive_response *ret);
