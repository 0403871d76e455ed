/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tlv.h"
#include "token/schsm/blob.h"

enum { SEQUENCE = 0x30, OCTET_STRING = 0x04, REQUEST = 0x67, CARD_CERTIFICATE = 0x7f21 };

kf_err key_file_put(const struct key_file *f, struct buf *ret)
{
	autobuf in = buf_new(KEY_FILE_MAX);
	tlv_add(&in, OCTET_STRING, f->blob);
	buf_add_slice(&in, f->description);
	buf_add_slice(&in, f->certificate);
	KF_TRY(buf_err(&in));
	tlv_add(ret, SEQUENCE, buf_slice(&in));
	return buf_err(ret);
}

/* A certificate of X.509, a request of the card, or a certificate of the card. */
static bool is_certificate(const struct tlv *t)
{
	return t->tag == SEQUENCE || t->tag == REQUEST || t->tag == CARD_CERTIFICATE;
}

kf_err key_file_parse(struct slice file, struct key_file *ret)
{
	struct tlv outer, t;
	if (file.n > KEY_FILE_MAX)
		return kf_fail(TOO_BIG, "a key file is too long");
	if (!tlv_next(&file, &outer) || outer.tag != SEQUENCE || file.n)
		return kf_fail(MALFORMED, "this is no key file, or it was cut");
	struct slice in = outer.value;
	if (!tlv_next(&in, &t) || t.tag != OCTET_STRING)
		return kf_fail(MALFORMED, "a key file without a wrapped key");
	struct key_file f = { .blob = t.value };
	bool has_more = tlv_next(&in, &t);
	if (has_more && t.tag != REQUEST && t.tag != CARD_CERTIFICATE) {
		f.description = t.whole;
		has_more = tlv_next(&in, &t);
	}
	if (has_more)
		f.certificate = t.whole;
	if (in.n || (has_more && !is_certificate(&t)))
		return kf_fail(MALFORMED, "the end of a key file is damaged");
	*ret = f;
	return KF_OK;
}
