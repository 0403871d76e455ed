/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/reason.h"
#include "ttlv/ttlv.h"

struct row {
	enum kf_code code;
	uint32_t in_1x, in_old_1x, in_2x;
};

static const struct row rows[] = {
#define X(code, in_1x, in_old_1x, in_2x)                                                 \
	{ KF_E_##code, KMIP_RESULT_REASON_##in_1x, KMIP_RESULT_REASON_##in_old_1x,       \
		KMIP_RESULT_REASON_##in_2x },
#include "kmip/reason.def"
#undef X
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct row *find(enum kf_code code)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].code == code)
			return &rows[i];
	}
	return &rows[0];
}

uint32_t kmip_reason(enum kf_code code, uint16_t version)
{
	const struct row *row = find(code);
	if (version >= 0x0200)
		return ttlv_value_in(TTLV_KIND_RESULT_REASON, row->in_2x, version)
			       ? row->in_2x
			       : KMIP_RESULT_REASON_GENERAL_FAILURE;
	return ttlv_value_in(TTLV_KIND_RESULT_REASON, row->in_1x, version)
		       ? row->in_1x
		       : row->in_old_1x;
}

static bool is_named(const struct row *row, uint32_t reason, struct slice message)
{
	return (row->in_2x == reason || row->in_1x == reason) &&
	       slice_is(message, kf_code_name(row->code));
}

enum kf_code kmip_reason_code(uint32_t reason, struct slice message)
{
	for (size_t i = 0; i < ROWS; i++)
		if (is_named(&rows[i], reason, message))
			return rows[i].code;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].in_2x == reason)
			return rows[i].code;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].in_1x == reason)
			return rows[i].code;
	return KF_E_INTERNAL;
}
