/* SPDX-License-Identifier: Apache-2.0 */
#include "client/keyref.h"
#include "test.h"
#include <stdlib.h>

/* An SPKI of an Ed25519 key: SEQUENCE { SEQUENCE { 1.3.101.112 }, BIT STRING }. */
#define SPKI                                                                             \
	"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"                               \
	"0123456789abcdef0123456789abcdef"
#define ID   "9d4c4b0e-7f5b-4b3c-8f3e-2d1c0b9a8f7e"
#define HEAD "\x02\x01\x00\x0c\x24" ID

static const struct keyref example = { { (const uint8_t *)ID, 36 },
	{ (const uint8_t *)SPKI, 44 } };

static kf_err get(const char *der, size_t n, struct keyref *ret)
{
	return keyref_get((struct slice){ (const uint8_t *)der, n }, ret);
}
#define GET(lit, ret) get((lit), sizeof(lit) - 1, (ret))

TEST(what_is_put_is_got)
{
	autobuf b = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };

	keyref_put(&b, &example);

	OK(kf_ok(buf_err(&b)));
	MEMEQ(b.p, b.n, "\x30\x55" HEAD SPKI);
	OK(kf_ok(keyref_get(buf_slice(&b), &r)));
	OK(slice_eq(r.id, example.id));
	OK(slice_eq(r.spki, example.spki));
}

/* Every length of a body reaches each form of a DER length and of Base64 padding. */
TEST(references_of_all_sizes_survive_pem)
{
	uint8_t spki[700] = { 0x30, 0x82, 0, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3,
		0x82 };
	for (unsigned n = 280; n <= sizeof(spki); n++) {
		spki[2] = (uint8_t)((n - 4) >> 8);
		spki[3] = (uint8_t)(n - 4);
		spki[13] = (uint8_t)((n - 15) >> 8);
		spki[14] = (uint8_t)(n - 15);
		struct keyref in = { SLICE_LIT("key"), { spki, n } }, out = { 0 };
		autobuf pem = buf_new(KEYREF_PEM_MAX), der = buf_new(KEYREF_DER_MAX);

		keyref_put_pem(&pem, &in);

		OK(kf_ok(buf_err(&pem)));
		OK(kf_ok(keyref_get_pem(buf_slice(&pem), &der, &out)));
		OK(slice_eq(in.id, out.id) && slice_eq(in.spki, out.spki));
	}
}

TEST(pem_is_found_among_other_blocks)
{
	autobuf pem = buf_new(KEYREF_PEM_MAX), der = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };
	buf_add_text(&pem, "# a comment\n-----BEGIN CERTIFICATE-----\nMAA=\n"
			   "-----END CERTIFICATE-----\n");
	keyref_put_pem(&pem, &example);
	buf_add_text(&pem, "-----BEGIN CERTIFICATE-----\n");

	OK(kf_ok(keyref_get_pem(buf_slice(&pem), &der, &r)));
	OK(slice_eq(r.id, example.id));
}

TEST(pem_with_carriage_returns_is_read)
{
	autobuf pem = buf_new(KEYREF_PEM_MAX), dos = buf_new(KEYREF_PEM_MAX),
		der = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };
	keyref_put_pem(&pem, &example);
	for (size_t i = 0; i < pem.n; i++) {
		if (pem.p[i] == '\n')
			buf_add_u8(&dos, '\r');
		buf_add_u8(&dos, pem.p[i]);
	}

	OK(kf_ok(keyref_get_pem(buf_slice(&dos), &der, &r)));
}

TEST(pem_without_our_block_is_not_found)
{
	autobuf der = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };

	OK(kf_is(keyref_get_pem(SLICE_LIT(""), &der, &r), KF_E_NOT_FOUND));
	OK(kf_is(keyref_get_pem(SLICE_LIT("-----BEGIN PRIVATE KEY-----\n"), &der, &r),
		KF_E_NOT_FOUND));
}

TEST(pem_cut_anywhere_is_refused)
{
	autobuf pem = buf_new(KEYREF_PEM_MAX), der = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };
	keyref_put_pem(&pem, &example);

	for (size_t n = 0; n + 1 < pem.n; n++)
		OK(!kf_ok(keyref_get_pem((struct slice){ pem.p, n }, &der, &r)));
}

TEST(bad_base64_is_refused)
{
	static const char *const bodies[] = { "MAA", "MA=A", "M===", "MAA=MAAA",
		"MAB=", "!AAA", "====", "MAA=\n=" };
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		autobuf pem = buf_new(1000), der = buf_new(1000);
		struct keyref r = { 0 };
		buf_printf(&pem,
			"-----BEGIN " KEYREF_LABEL "-----\n%s\n-----END " KEYREF_LABEL
			"-----\n",
			bodies[i]);
		OK(kf_is(keyref_get_pem(buf_slice(&pem), &der, &r), KF_E_MALFORMED));
	}
}

TEST(a_cut_at_every_byte_is_refused)
{
	autobuf b = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };
	keyref_put(&b, &example);

	for (size_t n = 0; n < b.n; n++) {
		autobuf cut = buf_new(
			KEYREF_DER_MAX); /* its own memory: sanitizers see its end */
		buf_add(&cut, b.p, n);
		OK(kf_is(keyref_get(buf_slice(&cut), &r), KF_E_SHORT));
	}
	buf_add_u8(&b, 0);
	OK(kf_is(keyref_get(buf_slice(&b), &r), KF_E_MALFORMED));
}

TEST(a_lie_in_every_length_is_refused)
{
	static const size_t lengths[] = { 1, 3, 6, 44, 46, 48, 53 };
	autobuf b = buf_new(KEYREF_DER_MAX);
	struct keyref r = { 0 };
	keyref_put(&b, &example);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t truth = b.p[lengths[i]];
		for (unsigned lie = 0; lie < 256; lie++) {
			b.p[lengths[i]] = (uint8_t)lie;
			bool may_pass =
				lie == truth || lengths[i] == 48; /* OID is opaque */
			OK(may_pass || !kf_ok(keyref_get(buf_slice(&b), &r)));
		}
		b.p[lengths[i]] = truth;
	}
}

TEST(lengths_that_der_forbids_are_refused)
{
	struct keyref r = { 0 };

	OK(kf_is(GET("\x30\x81\x55" HEAD SPKI, &r), KF_E_MALFORMED));
	OK(kf_is(GET("\x30\x82\x00\x55" HEAD SPKI, &r), KF_E_MALFORMED));
	OK(kf_is(GET("\x30\x83\x00\x00\x55" HEAD SPKI, &r), KF_E_MALFORMED));
	OK(kf_is(GET("\x30\x80" HEAD SPKI "\0\0", &r), KF_E_MALFORMED));
}

TEST(a_later_version_is_told_apart)
{
	struct keyref r = { 0 };

	OK(kf_is(GET("\x30\x55\x02\x01\x01\x0c\x24" ID SPKI, &r), KF_E_VERSION));
	OK(kf_is(GET("\x30\x56\x02\x02\x00\x00\x0c\x24" ID SPKI, &r), KF_E_MALFORMED));
}

TEST(unknown_extensions_are_skipped_unless_critical)
{
	struct keyref r = { 0 };

	OK(kf_ok(GET("\x30\x57" HEAD SPKI "\xa0\x00", &r)));
	OK(kf_ok(GET("\x30\x60" HEAD SPKI "\xa0\x09\x30\x07\x06\x01\x2a\x04\x02hi", &r)));
	OK(kf_is(GET("\x30\x63" HEAD SPKI
		     "\xa0\x0c\x30\x0a\x06\x01\x2a\x01\x01\xff\x04\x02hi",
			 &r),
		KF_E_FEATURE));
	OK(kf_is(GET("\x30\x63" HEAD SPKI
		     "\xa0\x0c\x30\x0a\x06\x01\x2a\x01\x01\x00\x04\x02hi",
			 &r),
		KF_E_MALFORMED));
	OK(!kf_ok(GET("\x30\x5f" HEAD SPKI "\xa0\x08\x30\x06\x06\x01\x2a\x05\x01x", &r)));
	OK(!kf_ok(GET("\x30\x57" HEAD SPKI "\xa1\x00", &r)));
}

static kf_err put_and_get_id(const char *id, size_t n)
{
	autobuf b = buf_new(KEYREF_DER_MAX);
	struct keyref in = { { (const uint8_t *)id, n }, example.spki }, out = { 0 };
	keyref_put(&b, &in);
	KF_TRY(buf_err(&b));
	return keyref_get(buf_slice(&b), &out);
}
#define ID_OK(lit) kf_ok(put_and_get_id((lit), sizeof(lit) - 1))

TEST(ids_are_printable_utf8_of_1_to_64_bytes)
{
	OK(ID_OK("1") && ID_OK("k\xc3\xa9y") && ID_OK("\xf0\x9f\x94\x91") &&
		ID_OK("\xe2\x82\xac"));
	OK(!ID_OK("") && !ID_OK("a\nb") && !ID_OK("a\0b") && !ID_OK("\x7f"));
	OK(!ID_OK("\xff") && !ID_OK("\xc3") && !ID_OK("\xc0\x80") && !ID_OK("\x80"));
	OK(!ID_OK("\xed\xa0\x80") && !ID_OK("\xf4\x90\x80\x80") &&
		!ID_OK("\xe0\x80\x80"));
	OK(ID_OK("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
	OK(!ID_OK("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"));
}

TEST(a_public_key_that_is_none_is_not_put)
{
	autobuf b = buf_new(KEYREF_DER_MAX);
	struct keyref bad = { example.id, SLICE_LIT("\x30\x02\x05\x00") };

	keyref_put(&b, &bad);

	OK(!kf_ok(buf_err(&b)));
	EQ(b.n, 0);
}
TEST_MAIN
