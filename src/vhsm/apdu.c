/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/apdu.h"

static size_t two_bytes(const uint8_t *p) { return (size_t)p[0] << 8 | p[1]; }

static size_t or_all(size_t le, size_t all) { return le ? le : all; }

/* After the header: Lc data [Le], each of one byte. */
static kf_err parse_short(struct slice body, struct apdu *a)
{
	if (body.n == 1) {
		a->ne = or_all(body.p[0], APDU_NE_SHORT);
		return KF_OK;
	}
	size_t lc = body.p[0];
	if (lc == 0 || (body.n != 1 + lc && body.n != 2 + lc))
		return kf_fail(MALFORMED, "Lc does not fit the length of the APDU");
	a->data = (struct slice){ body.p + 1, lc };
	if (body.n == 2 + lc)
		a->ne = or_all(body.p[1 + lc], APDU_NE_SHORT);
	return KF_OK;
}

/* After the header: 00, Lc of two bytes, data, [Le of two bytes]; or 00 and Le alone. */
static kf_err parse_extended(struct slice body, struct apdu *a)
{
	a->is_extended = true;
	if (body.n == 3) {
		a->ne = or_all(two_bytes(body.p + 1), APDU_NE_EXTENDED);
		return KF_OK;
	}
	size_t lc = two_bytes(body.p + 1);
	if (lc == 0 || (body.n != 3 + lc && body.n != 5 + lc))
		return kf_fail(
			MALFORMED, "extended Lc does not fit the length of the APDU");
	a->data = (struct slice){ body.p + 3, lc };
	if (body.n == 5 + lc)
		a->ne = or_all(two_bytes(body.p + 3 + lc), APDU_NE_EXTENDED);
	return KF_OK;
}

kf_err apdu_parse(struct slice bytes, struct apdu *ret)
{
	if (bytes.n < 4)
		return kf_fail(SHORT, "an APDU has a header of four bytes");
	struct apdu a = {
		.cla = bytes.p[0], .ins = bytes.p[1], .p1 = bytes.p[2], .p2 = bytes.p[3]
	};
	struct slice body = { bytes.p + 4, bytes.n - 4 };
	if (body.n >= 3 && body.p[0] == 0)
		KF_TRY(parse_extended(body, &a));
	else if (body.n > 0)
		KF_TRY(parse_short(body, &a));
	*ret = a;
	return KF_OK;
}
