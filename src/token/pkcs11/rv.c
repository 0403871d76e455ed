/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pkcs11/rv.h"

kf_err p11_err(CK_RV rv)
{
	switch (rv) {
	case CKR_OK: return KF_OK;
#define X(rv, before, after, text)                                                       \
	case rv:                                                                         \
		return kf_fail(before, text);
#include "token/pkcs11/rv.def"
#undef X
	default:
		return kf_fail(TOKEN, "the module answers with a code that means nothing "
				      "here");
	}
}

kf_err p11_outcome(CK_RV rv)
{
	switch (rv) {
	case CKR_OK: return KF_OK;
#define X(rv, before, after, text)                                                       \
	case rv:                                                                         \
		return kf_fail(after, text);
#include "token/pkcs11/rv.def"
#undef X
	default:
		return kf_fail(TOKEN, "the module answers with a code that means nothing "
				      "here");
	}
}
