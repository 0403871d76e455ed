/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/sw.h"

kf_err sw_error(uint16_t sw)
{
	if (sw_is_good(sw))
		return KF_OK;
	if (sw_is_tries(sw))
		return kf_fail(AUTH, "the PIN is wrong");
	switch (sw) {
#define X(id, word, code, text)                                                          \
	case word:                                                                       \
		return kf_fail(code, text);
#include "token/schsm/sw.def"
#undef X
	default: return kf_fail(TOKEN, "the card answers with an unknown status word");
	}
}
