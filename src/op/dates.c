/* SPDX-License-Identifier: Apache-2.0 */
#include "op/dates.h"
#include "kmip/attrs.h"

static int64_t date_or(struct slice attrs, uint32_t tag, int64_t otherwise)
{
	(void)attrs_get_date(attrs, tag, &otherwise);
	return otherwise;
}

kf_err dates_check(struct slice attrs)
{
	const int64_t start = date_or(attrs, TAG_ACTIVATION_DATE, INT64_MIN);
	const int64_t end = date_or(attrs, TAG_DEACTIVATION_DATE, INT64_MAX);

	if (end < start)
		return kf_fail(INVALID_FIELD, "deactivation before activation");
	if (date_or(attrs, TAG_PROCESS_START_DATE, start) < start ||
		date_or(attrs, TAG_PROTECT_STOP_DATE, end) > end)
		return kf_fail(INVALID_FIELD, "a date outside of the active time");
	return KF_OK;
}

enum object_state dates_state(struct slice attrs, enum object_state state, int64_t now_s)
{
	if (state == STATE_PRE_ACTIVE &&
		date_or(attrs, TAG_ACTIVATION_DATE, INT64_MAX) <= now_s)
		state = STATE_ACTIVE;
	if (state == STATE_ACTIVE &&
		date_or(attrs, TAG_DEACTIVATION_DATE, INT64_MAX) <= now_s)
		state = STATE_DEACTIVATED;
	return state;
}
