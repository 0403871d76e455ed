/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keywrap.h"
#include "../hex.h"
#include "crypt/keygen.h"
#include "crypt/prf.h"
#include "keys.h"
#include "test.h"
#include <string.h>

static bool seals_to(
	enum keywrap_mode mode, const char *key, const char *plain, const char *sealed)
{
	const struct hex k = hex(key), p = hex(plain);
	const struct keywrap how = { .mode = mode, .key = hex_slice(&k) };
	autobuf iv = buf_new(64), out = buf_new(256), back = buf_new(256);

	return kf_ok(keywrap_seal(&how, hex_slice(&p), &iv, &out)) && !iv.n &&
	       hex_is(buf_slice(&out), sealed) &&
	       kf_ok(keywrap_open(&how, buf_slice(&iv), buf_slice(&out), &back)) &&
	       slice_eq(buf_slice(&back), hex_slice(&p));
}

TEST(key_wrap_is_that_of_rfc_3394)
{
	OK(seals_to(KEYWRAP_NIST, "000102030405060708090A0B0C0D0E0F",
		"00112233445566778899AABBCCDDEEFF",
		"1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"));
	OK(seals_to(KEYWRAP_NIST, "000102030405060708090A0B0C0D0E0F1011121314151617",
		"00112233445566778899AABBCCDDEEFF0001020304050607",
		"031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2"));
	OK(seals_to(KEYWRAP_NIST,
		"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
		"00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
		"28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B"
		"FB988B9B7A02DD21"));
}

TEST(key_wrap_with_padding_is_that_of_rfc_5649)
{
	const char *key = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";
	OK(seals_to(KEYWRAP_NIST_PADDED, key, "c37b7e6492584340bed12207808941155068f738",
		"138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"));
	OK(seals_to(KEYWRAP_NIST_PADDED, key, "466f7250617369",
		"afbeb0f07dfbf5419200f2ccb50bb24f"));
}

static const uint8_t secret[32] = { 1, 2, 3 };
static const struct slice key32 = { secret, 32 }, key16 = { secret, 16 };

/* What was sealed comes back; a bit changed anywhere gives nothing, unless the mode cannot know. */
static bool is_tight(const struct keywrap *how, struct slice plain, bool is_authentic)
{
	autobuf iv = buf_new(64), out = buf_new(4096), back = buf_new(4096);

	if (!kf_ok(keywrap_seal(how, plain, &iv, &out)) ||
		!kf_ok(keywrap_open(how, buf_slice(&iv), buf_slice(&out), &back)) ||
		!slice_eq(buf_slice(&back), plain))
		return false;
	for (size_t i = 0; i < out.n && is_authentic; i++) {
		buf_clear(&back);
		out.p[i] ^= 1;
		if (!kf_is(keywrap_open(how, buf_slice(&iv), buf_slice(&out), &back),
			    KF_E_DATA) ||
			back.n)
			return false;
		out.p[i] ^= 1;
	}
	return true;
}

TEST(what_was_changed_does_not_open)
{
	const struct slice plain = { (const uint8_t *)"0123456789abcdef01234567", 24 };
	OK(is_tight(&(struct keywrap){ KEYWRAP_NIST, key32, 0, 0 }, plain, true));
	OK(is_tight(&(struct keywrap){ KEYWRAP_NIST_PADDED, key16, 0, 0 }, plain, true));
	OK(is_tight(&(struct keywrap){ KEYWRAP_GCM, key32, 0, 0 }, plain, true));
	OK(is_tight(&(struct keywrap){ KEYWRAP_GCM, key32, 16, 12 }, plain, true));
	OK(is_tight(&(struct keywrap){ KEYWRAP_CBC_PADDED, key16, 0, 0 }, plain, false));
}

TEST(every_cut_is_refused)
{
	const struct slice plain = { secret, 32 };
	for (int mode = KEYWRAP_NIST; mode <= KEYWRAP_GCM; mode++) {
		const struct keywrap how = { .mode = (enum keywrap_mode)mode,
			.key = key32 };
		const bool is_cbc = mode == KEYWRAP_CBC || mode == KEYWRAP_CBC_PADDED;
		autobuf iv = buf_new(64), out = buf_new(4096), back = buf_new(4096);
		OK(kf_ok(keywrap_seal(&how, plain, &iv, &out)));
		for (size_t n = 0; n < out.n; n++) {
			struct slice cut = { out.p, n };
			buf_clear(&back);
			/* Whole blocks of CBC look like a shorter key. */
			if (is_cbc && n && n % 16 == 0)
				continue;
			OK(kf_is(keywrap_open(&how, buf_slice(&iv), cut, &back),
				KF_E_DATA));
			EQ(back.n, 0);
		}
	}
}

TEST(what_does_not_fit_the_mode_is_refused)
{
	autobuf iv = buf_new(64), out = buf_new(4096);
	const struct slice plain = { secret, 20 };
#define SEAL(mode_, key_, iv_, tag_)                                                     \
	keywrap_seal(&(struct keywrap){ mode_, key_, iv_, tag_ }, plain, &iv, &out)
	OK(kf_is(SEAL(KEYWRAP_NIST, key32, 0, 0), KF_E_BAD_PARAMETERS));
	OK(kf_is(SEAL(KEYWRAP_CBC, key32, 0, 0), KF_E_BAD_PARAMETERS));
	OK(kf_is(SEAL(KEYWRAP_GCM, key32, 0, 8), KF_E_BAD_PARAMETERS));
	OK(kf_is(SEAL(KEYWRAP_GCM, key32, 4, 16), KF_E_BAD_PARAMETERS));
	OK(kf_is(SEAL(KEYWRAP_GCM, ((struct slice){ secret, 17 }), 0, 0),
		KF_E_BAD_PARAMETERS));
	OK(kf_is(keywrap_open(&(struct keywrap){ KEYWRAP_CBC, key32, 0, 0 }, key32, key32,
			 &out),
		KF_E_BAD_PARAMETERS));
	EQ(out.n, 0);
}

/* Each eight bytes are gone over six times, on whatever thread wraps. */
TEST(key_wrap_is_for_keys_and_not_for_megabytes)
{
	static uint8_t bytes[KEYWRAP_NIST_MAX + 16];
	autobuf iv = buf_new(64), out = buf_new(1 << 17), back = buf_new(1 << 17);
	for (int mode = KEYWRAP_NIST; mode <= KEYWRAP_NIST_PADDED; mode++) {
		const struct keywrap how = { .mode = (enum keywrap_mode)mode,
			.key = key32 };
		struct slice most = { bytes, KEYWRAP_NIST_MAX },
			     more = { bytes, KEYWRAP_NIST_MAX + 8 };
		buf_clear(&out);
		buf_clear(&back);
		OK(kf_is(keywrap_seal(&how, more, &iv, &out), KF_E_BAD_PARAMETERS));
		OK(kf_is(keywrap_open(&how, (struct slice){ 0 },
				 (struct slice){ bytes, sizeof(bytes) }, &back),
			KF_E_DATA));
		OK(kf_ok(keywrap_seal(&how, most, &iv, &out)));
		OK(kf_ok(
			keywrap_open(&how, (struct slice){ 0 }, buf_slice(&out), &back)));
		OK(slice_eq(buf_slice(&back), most));
	}
}

TEST(macs_are_those_of_the_standards)
{
	autobuf out = buf_new(64);
	const struct hex k = hex("2b7e151628aed2a6abf7158809cf4f3c");
	OK(kf_ok(prf_cmac(hex_slice(&k), (struct slice){ 0 }, &out)));
	OK(hex_is(buf_slice(&out), "bb1d6929e95937287fa37d129b756746")); /* RFC 4493 */
	buf_clear(&out);
	const struct hex h = hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	OK(kf_ok(prf_hmac(
		hash_get(HASH_SHA256), hex_slice(&h), slice_of("Hi There"), &out)));
	OK(hex_is(buf_slice(&out), /* RFC 4231 */
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
	buf_clear(&out);
	OK(kf_ok(prf_hmac(
		hash_get(HASH_SHA1), (struct slice){ 0 }, (struct slice){ 0 }, &out)));
	OK(hex_is(buf_slice(&out), "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"));
}

TEST_MAIN
