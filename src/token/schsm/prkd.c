/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/prkd.h"
#include "base/tlv.h"
#include <string.h>

enum {
	SEQUENCE = 0x30,
	INTEGER = 0x02,
	BIT_STRING = 0x03,
	OCTET_STRING = 0x04,
	UTF8_STRING = 0x0c,
	SUBCLASS = 0xa0, /* of a key pair: its subject; of an AES key: its length */
	TYPE = 0xa1,
	PRKD_MAX = 1024,
};

struct prkd prkd_of_key(const struct alg *alg, const char *label, struct slice id)
{
	bool is_rsa = alg->family == FAMILY_RSA, is_aes = alg->family == FAMILY_AES;
	struct prkd d = {
		.kind = is_rsa   ? PRKD_RSA
			: is_aes ? PRKD_AES
				 : PRKD_EC,
		.usage = is_aes   ? PRKD_ENCRYPT | PRKD_DECRYPT | PRKD_SIGN
			 : is_rsa ? PRKD_DECRYPT | PRKD_SIGN | PRKD_SIGN_RECOVER
				  : PRKD_SIGN | PRKD_DERIVE,
		.access = PRKD_SENSITIVE, /* and it may leave, wrapped */
		.bits = alg->bits,
		.id_n = id.n < TOKEN_ID_MAX ? id.n : TOKEN_ID_MAX,
	};
	strncpy(d.label, label, sizeof(d.label) - 1);
	if (d.id_n)
		memcpy(d.id, id.p, d.id_n);
	return d;
}

/* ---- build ---- */

/* Bit 0 of the standard is the highest one of the first byte; zeroes at the end are left out. */
static void put_flags(struct buf *to, unsigned flags)
{
	uint8_t bits[3] = { 0 };
	unsigned n = 0;
	for (unsigned i = 0; i < 16; i++)
		if (flags >> i & 1) {
			bits[1 + i / 8] |= (uint8_t)(0x80 >> i % 8);
			n = i + 1;
		}
	bits[0] = (uint8_t)(7 - (n + 7) % 8);
	tlv_add(to, BIT_STRING, (struct slice){ bits, 1 + (n + 7) / 8 });
}

static void put_number(struct buf *to, unsigned v)
{
	uint8_t b[] = { 0, (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
		(uint8_t)v };
	size_t skip = 0;
	while (skip < sizeof(b) - 1 && b[skip] == 0 && b[skip + 1] < 0x80)
		skip++;
	tlv_add(to, INTEGER, (struct slice){ b + skip, sizeof(b) - skip });
}

/* Private and modifiable, by whoever knows the user PIN: what other tools write. */
static void put_common(struct buf *to, const struct prkd *d)
{
	autobuf in = buf_new(PRKD_MAX);
	if (d->label[0])
		tlv_add(&in, UTF8_STRING, slice_of(d->label));
	tlv_add(&in, BIT_STRING, SLICE_LIT("\x06\xc0"));
	tlv_add(&in, OCTET_STRING, SLICE_LIT("\x01"));
	tlv_add(to, SEQUENCE, buf_slice(&in));
}

static void put_class(struct buf *to, const struct prkd *d)
{
	autobuf in = buf_new(PRKD_MAX);
	tlv_add(&in, OCTET_STRING, (struct slice){ d->id, d->id_n });
	put_flags(&in, d->usage);
	if (d->access)
		put_flags(&in, d->access);
	if (d->key_reference)
		put_number(&in, d->key_reference);
	tlv_add(to, SEQUENCE, buf_slice(&in));
}

static void put_wrapped(struct buf *to, uint32_t tag, const struct buf *in)
{
	autobuf sequence = buf_new(PRKD_MAX);
	tlv_add(&sequence, SEQUENCE, buf_slice(in));
	tlv_add(to, tag, buf_slice(&sequence));
}

static void put_type(struct buf *to, const struct prkd *d)
{
	autobuf in = buf_new(PRKD_MAX);
	if (d->kind != PRKD_AES) /* a path, which is empty */
		tlv_add(&in, SEQUENCE, SLICE_LIT("\x04\x00"));
	put_number(&in, d->bits);
	put_wrapped(to, d->kind == PRKD_AES ? SUBCLASS : TYPE, &in);
}

static void put_subject(struct buf *to, struct slice subject)
{
	autobuf in = buf_new(PRKD_MAX);
	buf_add_slice(&in, subject);
	tlv_add(to, SUBCLASS, buf_slice(&in));
}

kf_err prkd_put(const struct prkd *d, struct buf *ret)
{
	autobuf in = buf_new(PRKD_MAX);
	if (d->subject.n > PRKD_MAX / 2)
		return kf_fail(TOO_BIG, "the subject of a key is too long for its card");
	put_common(&in, d);
	put_class(&in, d);
	if (d->kind != PRKD_AES && d->subject.n)
		put_subject(&in, d->subject);
	put_type(&in, d);
	KF_TRY(buf_err(&in));
	tlv_add(ret, (uint32_t)d->kind, buf_slice(&in));
	return buf_err(ret);
}

/* ---- parse ---- */

static bool get_flags(struct slice s, unsigned *ret)
{
	if (s.n < 1 || s.n > 4 || s.p[0] > 7)
		return false;
	*ret = 0;
	for (unsigned i = 0; i < 8 * (s.n - 1); i++)
		*ret |= (unsigned)(s.p[1 + i / 8] >> (7 - i % 8) & 1) << i;
	return true;
}

static bool get_number(struct slice s, unsigned *ret)
{
	if (s.n < 1 || s.n > 4 || s.p[0] >= 0x80)
		return false;
	*ret = 0;
	for (size_t i = 0; i < s.n; i++)
		*ret = *ret << 8 | s.p[i];
	return true;
}

static kf_err parse_common(struct slice in, struct prkd *d)
{
	struct slice label = tlv_find(in, UTF8_STRING);
	if (!tlv_is_sound(in))
		return kf_fail(MALFORMED, "the description of a key is damaged");
	return label.n ? slice_to_text(label, d->label, sizeof(d->label)) : KF_OK;
}

/* The first bit string is the usage, the second the access flags. */
static bool take_class_field(const struct tlv *t, struct prkd *d, bool *has_usage)
{
	if (t->tag == INTEGER)
		return get_number(t->value, &d->key_reference);
	if (t->tag != BIT_STRING)
		return true;
	bool is_usage = !*has_usage;
	*has_usage = true;
	return get_flags(t->value, is_usage ? &d->usage : &d->access);
}

static kf_err parse_class(struct slice in, struct prkd *d)
{
	struct tlv t;
	bool has_usage = false;
	if (!tlv_next(&in, &t) || t.tag != OCTET_STRING)
		return kf_fail(MALFORMED, "the description of a key has no id");
	if (t.value.n > sizeof(d->id))
		return kf_fail(TOO_BIG, "the id of a key is too long");
	d->id_n = t.value.n;
	if (d->id_n)
		memcpy(d->id, t.value.p, d->id_n);
	while (tlv_next(&in, &t))
		if (!take_class_field(&t, d, &has_usage))
			return kf_fail(MALFORMED, "the description of a key is damaged");
	return in.n ? kf_fail(MALFORMED, "the description of a key is damaged") : KF_OK;
}

static kf_err parse_type(struct slice in, struct prkd *d)
{
	struct tlv sequence, t;
	if (!tlv_next(&in, &sequence) || sequence.tag != SEQUENCE || in.n)
		return kf_fail(MALFORMED, "the description of a key has no size");
	while (tlv_next(&sequence.value, &t))
		if (t.tag == INTEGER)
			return get_number(t.value, &d->bits)
				       ? KF_OK
				       : kf_fail(MALFORMED,
						 "the size of a key is no number");
	return sequence.value.n
		       ? kf_fail(MALFORMED, "the description of a key is damaged")
		       : KF_OK;
}

static kf_err parse_rest(struct slice in, struct prkd *d)
{
	struct tlv t;
	while (tlv_next(&in, &t)) {
		if (t.tag == TYPE || (t.tag == SUBCLASS && d->kind == PRKD_AES))
			KF_TRY(parse_type(t.value, d));
		else if (t.tag == SUBCLASS)
			d->subject = t.value;
	}
	return in.n ? kf_fail(MALFORMED, "the description of a key is damaged") : KF_OK;
}

static bool is_kind(uint32_t tag)
{
	return tag == PRKD_RSA || tag == PRKD_EC || tag == PRKD_AES;
}

kf_err prkd_parse(struct slice der, struct prkd *ret)
{
	struct tlv outer, common, class;
	if (!tlv_next(&der, &outer) || der.n || !is_kind(outer.tag))
		return kf_fail(MALFORMED, "this is no description of a key");
	struct slice in = outer.value;
	if (!tlv_next(&in, &common) || common.tag != SEQUENCE || !tlv_next(&in, &class) ||
		class.tag != SEQUENCE)
		return kf_fail(MALFORMED, "the description of a key is damaged");
	struct prkd d = { .kind = (enum prkd_kind)outer.tag };
	KF_TRY(parse_common(common.value, &d));
	KF_TRY(parse_class(class.value, &d));
	KF_TRY(parse_rest(in, &d));
	*ret = d;
	return KF_OK;
}
