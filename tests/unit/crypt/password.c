/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/password.h"
#include "test.h"

static kf_err parse(const char *text, struct passwords **ret)
{
	unsigned line;
	return passwords_parse(slice_of(text), &line, ret);
}

TEST(the_right_password_of_the_right_name_is_let_in)
{
	CLEANUP(passwords_freep) struct passwords *p = NULL;
	autobuf file = buf_new(4096);
	unsigned line;
	buf_add_text(&file, "# people\n\n");
	OK(kf_ok(password_put_line(SLICE_LIT("web1"), SLICE_LIT("open sesame"), &file)));
	OK(kf_ok(password_put_line(SLICE_LIT("alice"), SLICE_LIT("other"), &file)));
	OK(kf_ok(passwords_parse(buf_slice(&file), &line, &p)));

	OK(kf_ok(passwords_check(p, SLICE_LIT("web1"), SLICE_LIT("open sesame"))));
	OK(kf_ok(passwords_check(p, SLICE_LIT("alice"), SLICE_LIT("other"))));
	OK(kf_is(passwords_check(p, SLICE_LIT("web1"), SLICE_LIT("other")), KF_E_AUTH));
	OK(kf_is(passwords_check(p, SLICE_LIT("web1"), SLICE_LIT("")), KF_E_AUTH));
	OK(kf_is(passwords_check(p, SLICE_LIT("bob"), SLICE_LIT("other")), KF_E_AUTH));
	OK(kf_is(passwords_check(p, SLICE_LIT(""), SLICE_LIT("")), KF_E_AUTH));
	OK(kf_is(passwords_check(NULL, SLICE_LIT("web1"), SLICE_LIT("x")), KF_E_AUTH));
}

TEST(one_password_twice_is_two_lines)
{
	autobuf a = buf_new(4096), b = buf_new(4096);
	OK(kf_ok(password_put_line(SLICE_LIT("a"), SLICE_LIT("same"), &a)));
	OK(kf_ok(password_put_line(SLICE_LIT("a"), SLICE_LIT("same"), &b)));
	OK(!slice_eq(buf_slice(&a), buf_slice(&b)));
}

#define SALT "00112233445566778899aabbccddeeff"
#define HASH SALT SALT

TEST(what_is_no_line_is_told_with_its_number)
{
	static const char *const wrong[] = {
		"web1",
		"web1 = secret",
		"web1 = scrypt:14:8:1:" SALT,
		"web1 = scrypt:14:8:1:" SALT ":" SALT,
		"web1 = scrypt:14:8:1:" SALT ":" HASH " x",
		"web1 = scrypt:14:8:1:" SALT "0:" HASH,
		"web1 = scrypt:9:8:1:" SALT ":" HASH,
		"web1 = scrypt:21:8:1:" SALT ":" HASH,
		"web1 = scrypt:20:32:1:" SALT ":" HASH,
		"web1 = scrypt:14:0:1:" SALT ":" HASH,
		"web1 = scrypt:14:8:99:" SALT ":" HASH,
		"web 1 = scrypt:14:8:1:" SALT ":" HASH,
		"web1 = scrypt:14:8:1:" SALT ":" HASH "\nweb1 = scrypt:14:8:1:" SALT
		":" HASH,
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct passwords *p = NULL;
		OK(kf_is(parse(wrong[i], &p), KF_E_CONFIG));
		OK(!p);
	}
	struct passwords *p = NULL;
	unsigned line = 0;
	OK(!kf_ok(passwords_parse(SLICE_LIT("# one\n\nthree\n"), &line, &p)));
	EQ(line, 3);
}

TEST(a_file_cut_anywhere_is_read_or_refused)
{
	static const char text[] = "a = scrypt:14:8:1:" SALT ":" HASH "\n";
	for (size_t n = 0; n <= sizeof(text) - 1; n++) {
		struct passwords *p = NULL;
		unsigned line;
		const struct slice cut = { (const uint8_t *)text, n };
		kf_err e = passwords_parse(cut, &line, &p);
		OK(kf_ok(e) == (n == 0 || n >= sizeof(text) - 2));
		passwords_free(p);
	}
}

TEST(what_makes_no_line_is_refused)
{
	autobuf b = buf_new(4096);
	OK(kf_is(password_put_line(SLICE_LIT("a b"), SLICE_LIT("x"), &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(password_put_line(SLICE_LIT(""), SLICE_LIT("x"), &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(password_put_line(SLICE_LIT("a"), SLICE_LIT(""), &b),
		KF_E_INVALID_FIELD));
	EQ(b.n, 0);
}

TEST_MAIN
