/* SPDX-License-Identifier: Apache-2.0
 *
 * Obtain Lease, and Get Usage Allocation.
 */
#pragma once
#include "kmip/message.h"

struct obtain_lease_request {
	struct kmip_uid uid;
};
struct obtain_lease_response {
	struct kmip_uid uid;
	uint32_t lease_time; /* seconds */
	int64_t last_change_date;
};

void obtain_lease_put_request(
	struct ttlv_writer *w, const struct obtain_lease_request *q);
kf_err obtain_lease_get_request(struct ttlv_reader *r, struct obtain_lease_request *ret);
void obtain_lease_put_response(
	struct ttlv_writer *w, const struct obtain_lease_response *a);
kf_err obtain_lease_get_response(
	struct ttlv_reader *r, struct obtain_lease_response *ret);

struct get_usage_allocation_request {
	struct kmip_uid uid;
	int64_t usage_limits_count;
};
struct get_usage_allocation_response {
	struct kmip_uid uid;
};

void get_usage_allocation_put_request(
	struct ttlv_writer *w, const struct get_usage_allocation_request *q);
kf_err get_usage_allocation_get_request(
	struct ttlv_reader *r, struct get_usage_allocation_request *ret);
void get_usage_allocation_put_response(
	struct ttlv_writer *w, const struct get_usage_allocation_response *a);
kf_err get_usage_allocation_get_response(
	struct ttlv_reader *r, struct get_usage_allocation_response *ret);
