/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pkcs11/private.h"
#include <string.h>

enum { FIND_AT_ONCE = 64 };

static kf_err find_more(struct token *t, struct p11_objects *ret)
{
	for (;;) {
		CK_OBJECT_HANDLE some[FIND_AT_ONCE];
		CK_ULONG n = 0;
		KF_TRY(p11_err(CALL(
			t->module, FindObjects, t->session, some, FIND_AT_ONCE, &n)));
		if (n > FIND_AT_ONCE)
			return kf_fail(
				TOKEN, "the module finds more than it was asked for");
		if (n == 0)
			return KF_OK;
		if (ret->n + n > TOKEN_KEYS_MAX)
			return kf_fail(FULL, "there are too many objects on the token");
		memcpy(ret->object + ret->n, some, n * sizeof(*some));
		ret->n += n;
	}
}

kf_err p11_object_find(
	struct token *t, const CK_ATTRIBUTE *template, size_t n, struct p11_objects *ret)
{
	ret->n = 0;
	if (!t->session)
		return kf_fail(DENIED, "the token is not initialised");
	KF_TRY(p11_err(CALL(t->module, FindObjectsInit, t->session,
		(CK_ATTRIBUTE *)(uintptr_t) template, n)));
	kf_err err = find_more(t, ret);
	CALL(t->module, FindObjectsFinal, t->session);
	return err;
}

kf_err p11_object_get(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a)
{
	size_t size = a->ulValueLen;
	CK_RV rv = CALL(t->module, GetAttributeValue, t->session, o, a, 1);
	if (rv == CKR_BUFFER_TOO_SMALL)
		return kf_fail(TOO_BIG, "attribute is too long");
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE)
		return kf_fail(NOT_FOUND, "object has no such attribute");
	KF_TRY(p11_err(rv));
	if (a->ulValueLen == CK_UNAVAILABLE_INFORMATION)
		return kf_fail(NOT_FOUND, "object has no such attribute");
	return a->ulValueLen <= size
		       ? KF_OK
		       : kf_fail(TOKEN,
				 "the module tells more bytes than it had room for");
}

kf_err p11_object_get_buf(
	struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, struct buf *ret)
{
	CK_ATTRIBUTE a = { type, NULL, 0 };
	CK_RV rv = CALL(t->module, GetAttributeValue, t->session, o, &a, 1);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE)
		return kf_fail(NOT_FOUND, "object has no such attribute");
	KF_TRY(p11_err(rv));
	if (a.ulValueLen == CK_UNAVAILABLE_INFORMATION || a.ulValueLen == 0)
		return kf_fail(NOT_FOUND, "object has no such attribute");
	if (a.ulValueLen > ret->limit - ret->n)
		return kf_fail(TOO_BIG, "attribute is too long");
	a.pValue = buf_reserve(ret, a.ulValueLen);
	if (!a.pValue)
		return buf_err(ret);
	KF_TRY(p11_object_get(t, o, &a));
	buf_commit(ret, a.ulValueLen);
	return KF_OK;
}

bool p11_object_get_flag(
	struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, bool otherwise)
{
	CK_BBOOL value = 0;
	CK_ATTRIBUTE a = P11_ATTRIBUTE(type, value);
	if (!kf_ok(p11_object_get(t, o, &a)) || a.ulValueLen != sizeof(value))
		return otherwise;
	return value != CK_FALSE;
}

kf_err p11_object_get_number(
	struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret)
{
	CK_ULONG value = 0;
	CK_ATTRIBUTE a = P11_ATTRIBUTE(type, value);
	kf_err err = p11_object_get(t, o, &a);
	if (!kf_is(err, KF_E_TOO_BIG))
		KF_TRY(err);
	if (!kf_ok(err) || a.ulValueLen != sizeof(value))
		return kf_fail(TOKEN, "a number of the module has the wrong size");
	*ret = value;
	return KF_OK;
}
