/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/check.h"

void check_put_request(struct ttlv_writer *w, const struct check_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (q->has_count)
		ttlv_put_long(w, TAG_USAGE_LIMITS_COUNT, q->usage_limits_count);
	if (q->has_mask)
		ttlv_put_int(w, TAG_CRYPTOGRAPHIC_USAGE_MASK, q->usage_mask);
	if (q->has_lease)
		ttlv_put_interval(w, TAG_LEASE_TIME, q->lease_time);
}

kf_err check_get_request(struct ttlv_reader *r, struct check_request *ret)
{
	*ret = (struct check_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_count = ttlv_at(r, TAG_USAGE_LIMITS_COUNT);
	if (ret->has_count)
		ttlv_get_long(r, TAG_USAGE_LIMITS_COUNT, &ret->usage_limits_count);
	ret->has_mask = ttlv_opt_int(r, TAG_CRYPTOGRAPHIC_USAGE_MASK, &ret->usage_mask);
	ret->has_lease = ttlv_at(r, TAG_LEASE_TIME);
	if (ret->has_lease)
		ttlv_get_interval(r, TAG_LEASE_TIME, &ret->lease_time);
	return ttlv_done(r);
}

void check_put_response(struct ttlv_writer *w, const struct check_response *a)
{
	check_put_request(w, &a->refused);
}

kf_err check_get_response(struct ttlv_reader *r, struct check_response *ret)
{
	return check_get_request(r, &ret->refused);
}
