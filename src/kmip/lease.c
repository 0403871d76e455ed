/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/lease.h"
#include "kmip/wire.h"

void obtain_lease_put_request(struct ttlv_writer *w, const struct obtain_lease_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
}

kf_err obtain_lease_get_request(struct ttlv_reader *r, struct obtain_lease_request *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}

void obtain_lease_put_response(
	struct ttlv_writer *w, const struct obtain_lease_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	ttlv_put_interval(w, TAG_LEASE_TIME, a->lease_time);
	ttlv_put_date(w, TAG_LAST_CHANGE_DATE, a->last_change_date);
}

kf_err obtain_lease_get_response(struct ttlv_reader *r, struct obtain_lease_response *ret)
{
	*ret = (struct obtain_lease_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_get_interval(r, TAG_LEASE_TIME, &ret->lease_time);
	ttlv_get_date(r, TAG_LAST_CHANGE_DATE, &ret->last_change_date);
	return ttlv_done(r);
}

void get_usage_allocation_put_request(
	struct ttlv_writer *w, const struct get_usage_allocation_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	ttlv_put_long(w, TAG_USAGE_LIMITS_COUNT, q->usage_limits_count);
}

kf_err get_usage_allocation_get_request(
	struct ttlv_reader *r, struct get_usage_allocation_request *ret)
{
	*ret = (struct get_usage_allocation_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_get_long(r, TAG_USAGE_LIMITS_COUNT, &ret->usage_limits_count);
	return ttlv_done(r);
}

void get_usage_allocation_put_response(
	struct ttlv_writer *w, const struct get_usage_allocation_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err get_usage_allocation_get_response(
	struct ttlv_reader *r, struct get_usage_allocation_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
