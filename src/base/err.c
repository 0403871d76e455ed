/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

const char *kf_code_name(enum kf_code code)
{
	static const char *const names[] = {
#define X(c, text) [KF_E_##c] = text,
#include "base/err.def"
#undef X
	};
	return (unsigned)code < sizeof(names) / sizeof(names[0]) ? names[code]
								 : "unknown error";
}
