/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"
#include "test.h"

TEST(words_survive_the_way_to_a_mask_and_back)
{
	autobuf text = buf_new(1024);
	const uint32_t all = 0xffff & ~(uint32_t)PERM_ADMINISTER;
	uint32_t mask = 0;

	for (uint32_t m = 0; m <= 0xffff; m += 7) {
		buf_clear(&text);
		permissions_print(m & all, &text);
		OK(kf_ok(permissions_parse(buf_slice(&text), &mask)));
		EQ(mask, m & all);
	}
	buf_clear(&text);
	permissions_print(PERM_SIGN | PERM_DECRYPT_TLS | PERM_CSR, &text);
	MEMEQ(text.p, text.n, "sign,decrypt-tls,csr");
}

TEST(blanks_around_words_are_fine)
{
	uint32_t mask = 0;

	OK(kf_ok(permissions_parse(SLICE_LIT(" sign , get"), &mask)));
	EQ(mask, PERM_SIGN | PERM_GET);
	OK(kf_ok(constraints_parse(SLICE_LIT("tls-only"), &mask)));
	EQ(mask, CONSTRAINT_TLS_ONLY);
	OK(kf_ok(constraints_parse(SLICE_LIT(""), &mask)));
	EQ(mask, 0);
}

TEST(unknown_words_are_refused)
{
	const char *bad[] = { "sing", "sign,,get", ",", " ", "sign;get", "SIGN",
		"signget", "tls-only", NULL };
	uint32_t mask = 77;

	for (const char **s = bad; *s; s++)
		OK(kf_is(permissions_parse(slice_of(*s), &mask), KF_E_INVALID_FIELD));
	OK(kf_is(constraints_parse(SLICE_LIT("sign"), &mask), KF_E_INVALID_FIELD));
	EQ(mask, 77);
}

TEST(administration_cannot_be_granted)
{
	uint32_t mask = 0;

	OK(kf_is(permissions_parse(SLICE_LIT("sign,administer"), &mask),
		KF_E_INVALID_FIELD));
}

TEST(rates_survive_the_way_and_nonsense_is_refused)
{
	const char *good[] = { "100/s", "1/s", "5000/m", "10/h", "596523/s", NULL };
	const char *bad[] = { "", "/s", "100", "100/", "0/s", "100/d", "1.5/s", "-1/s",
		"100/ss", "596524/s", "99999999999999999999/h", " 1/s", NULL };
	autobuf text = buf_new(64);
	uint32_t rate = 7;

	for (const char **s = good; *s; s++) {
		buf_clear(&text);
		OK(kf_ok(rate_parse(slice_of(*s), &rate)));
		rate_print(rate, &text);
		OK(slice_is(buf_slice(&text), *s));
	}
	rate = 7;
	for (const char **s = bad; *s; s++)
		OK(kf_is(rate_parse(slice_of(*s), &rate), KF_E_INVALID_FIELD));
	EQ(rate, 7);
}

TEST(limits_are_put_into_words)
{
	autobuf text = buf_new(256);
	limits_print(&(struct grant_limits){ 360000, 200, 16 }, &text);
	OK(slice_is(buf_slice(&text), "rate 100/s, burst 200, concurrency 16"));
	buf_clear(&text);
	limits_print(&(struct grant_limits){ .concurrency = 2 }, &text);
	OK(slice_is(buf_slice(&text), "concurrency 2"));
}

TEST_MAIN
