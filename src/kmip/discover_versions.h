/* SPDX-License-Identifier: Apache-2.0
 *
 * Discover Versions.
 */
#pragma once
#include "kmip/message.h"

enum { DISCOVER_VERSIONS_MAX = 16 }; /* more in a request are read and dropped */

struct discover_versions_request {
	size_t n; /* versions of the client, most wanted first; 0: asks for all */
	uint16_t version[DISCOVER_VERSIONS_MAX];
};

struct discover_versions_response {
	size_t n; /* highest first */
	uint16_t version[DISCOVER_VERSIONS_MAX];
};

void discover_versions_put_request(
	struct ttlv_writer *w, const struct discover_versions_request *q);
kf_err discover_versions_get_request(
	struct ttlv_reader *r, struct discover_versions_request *ret);
void discover_versions_put_response(
	struct ttlv_writer *w, const struct discover_versions_response *a);
kf_err discover_versions_get_response(
	struct ttlv_reader *r, struct discover_versions_response *ret);

/* The server's answer: what both know, highest first. */
void discover_versions_choose(const struct discover_versions_request *q,
	struct discover_versions_response *ret);
