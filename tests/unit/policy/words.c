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

TEST_MAIN
