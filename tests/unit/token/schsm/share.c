/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/share.h"
#include "test.h"
#include <openssl/evp.h>

enum { FEW = 1000 };

static const uint8_t share[SHARE_SIZE] = "0123456789abcdef0123456789ABCDE";
static const struct share_work work = { .password = { (const uint8_t *)"secret", 6 },
	.iterations = FEW };

/* As a tool of others makes it: with EVP_BytesToKey. */
static struct slice made_by_others(uint8_t file[SHARE_FILE_SIZE])
{
	uint8_t key[32], iv[16];
	int n = 0, last = 0;
	memcpy(file, "Salted__12345678", 16);
	EVP_BytesToKey(EVP_aes_256_cbc(), EVP_md5(), file + 8,
		(const unsigned char *)"secret", 6, FEW, key, iv);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv);
	EVP_EncryptUpdate(c, file + 16, &n, share, SHARE_SIZE);
	EVP_EncryptFinal_ex(c, file + 16 + n, &last);
	EVP_CIPHER_CTX_free(c);
	return (struct slice){ file, SHARE_FILE_SIZE };
}

TEST(a_share_of_another_tool_is_opened)
{
	uint8_t file[SHARE_FILE_SIZE], got[SHARE_SIZE];
	OK(kf_ok(share_open(made_by_others(file), &work, got)));
	OK(!memcmp(got, share, SHARE_SIZE));
}

TEST(a_share_comes_back_and_no_two_files_are_alike)
{
	uint8_t got[SHARE_SIZE];
	autobuf a = buf_new(SHARE_FILE_SIZE), b = buf_new(SHARE_FILE_SIZE);
	OK(kf_ok(share_close(share, &work, &a)));
	OK(kf_ok(share_close(share, &work, &b)));
	EQ(a.n, SHARE_FILE_SIZE);
	OK(memcmp(a.p + 8, b.p + 8, a.n - 8) != 0);
	OK(kf_ok(share_open(buf_slice(&a), &work, got)));
	OK(!memcmp(got, share, SHARE_SIZE));
}

/* One wrong password in 256 gives a padding that looks right; these do not. */
TEST(a_wrong_password_is_told_as_such)
{
	uint8_t file[SHARE_FILE_SIZE], got[SHARE_SIZE];
	int told = 0;
	for (char c = 'a'; c < 'k'; c++) {
		struct share_work wrong = { .password = { (const uint8_t *)&c, 1 },
			.iterations = FEW };
		told += kf_is(share_open(made_by_others(file), &wrong, got), KF_E_AUTH);
	}
	EQ(told, 10);
	struct share_work none = { .iterations = FEW };
	OK(kf_is(share_open(made_by_others(file), &none, got), KF_E_INVALID_FIELD));
}

TEST(a_file_cut_at_any_byte_or_with_one_more_is_no_share)
{
	uint8_t file[SHARE_FILE_SIZE + 1], got[SHARE_SIZE];
	made_by_others(file);
	for (size_t n = 0; n <= sizeof(file); n++)
		if (n != SHARE_FILE_SIZE)
			OK(kf_is(share_open((struct slice){ file, n }, &work, got),
				KF_E_KEY_FORMAT));
	file[0] ^= 1;
	OK(kf_is(share_open((struct slice){ file, SHARE_FILE_SIZE }, &work, got),
		KF_E_KEY_FORMAT));
}

static void see(void *arg, double part)
{
	double *last = arg;
	if (part < *last || part > 1)
		*last = -1;
	else if (*last >= 0)
		*last = part;
}

TEST(progress_goes_up_to_the_end)
{
	double last = 0;
	autobuf b = buf_new(SHARE_FILE_SIZE);
	struct share_work slow = { .password = SLICE_LIT("x"),
		.iterations = 1 << 18,
		.show = see,
		.arg = &last };
	OK(kf_ok(share_close(share, &slow, &b)));
	OK(last == 1);
}

TEST(any_parts_that_are_enough_make_the_password)
{
	struct part p[5], some[3];
	uint8_t password[PARTS_PASSWORD_SIZE], got[PARTS_PASSWORD_SIZE];
	size_t n;
	OK(kf_ok(parts_make(3, 5, password, p)));
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < 5; j++)
			for (int k = 0; k < 5; k++) {
				if (i == j || j == k || i == k)
					continue;
				some[0] = p[i], some[1] = p[j], some[2] = p[k];
				OK(kf_ok(parts_join(some, 3, got, &n)));
				OK(n == sizeof(got) && !memcmp(got, password, n));
			}
	OK(kf_ok(parts_join(p, 2, got, &n)));
	OK(memcmp(got, password, sizeof(got)) != 0);
}

/* Two of three, with a prime of their own. */
TEST(parts_of_another_tool_make_its_password)
{
	struct part p[2] = { { .id = 1 }, { .id = 3 } };
	uint8_t got[PARTS_PASSWORD_SIZE];
	size_t n;
	OK(kf_ok(part_number(slice_of("FD:00:00:00:00:00:00:33"), &p[0].prime)));
	p[1].prime = p[0].prime;
	/* 0x8000000000000001 + x * 0x1111111111111111 */
	p[0].value = 0x9111111111111112;
	p[1].value = 0xb333333333333334;
	if (kf_ok(parts_join(p, 2, got, &n)))
		MEMEQ(got, n, "\x80\x00\x00\x00\x00\x00\x00\x01");
	else
		OK(!"this is a prime");
}

TEST(parts_that_cannot_be_right_are_refused)
{
	struct part p[3];
	uint8_t password[PARTS_PASSWORD_SIZE];
	size_t n;
	OK(!kf_ok(parts_make(1, 3, password, p)));
	OK(!kf_ok(parts_make(4, 3, password, p)));
	OK(!kf_ok(parts_make(2, 10, password, p)));
	OK(kf_ok(parts_make(2, 3, password, p)));
	struct part twice[2] = { p[0], p[0] }, no_prime[2] = { p[0], p[1] },
		    other[2] = { p[0], p[1] }, big[2] = { p[0], p[1] };
	no_prime[0].prime = no_prime[1].prime -= 1;
	other[1].prime = 13;
	big[1].value = UINT64_MAX;
	OK(kf_is(parts_join(twice, 2, password, &n), KF_E_BAD_PARAMETERS));
	OK(kf_is(parts_join(no_prime, 2, password, &n), KF_E_BAD_PARAMETERS));
	OK(kf_is(parts_join(other, 2, password, &n), KF_E_BAD_PARAMETERS));
	OK(kf_is(parts_join(big, 2, password, &n), KF_E_BAD_PARAMETERS));
	OK(kf_is(parts_join(p, 1, password, &n), KF_E_BAD_PARAMETERS));
}

TEST(numbers_of_parts_are_read_as_people_note_them)
{
	uint64_t v = 0;
	OK(kf_ok(part_number(slice_of("da:92 1F"), &v)));
	EQ(v, 0xda921f);
	OK(kf_ok(part_number(slice_of("ffffffffffffffff"), &v)));
	OK(v == UINT64_MAX);
	OK(!kf_ok(part_number(slice_of("11ffffffffffffffff"), &v)));
	OK(!kf_ok(part_number(slice_of("0x12"), &v)));
	OK(!kf_ok(part_number(slice_of(""), &v)));
	OK(!kf_ok(part_number(slice_of(" :"), &v)));
}

TEST_MAIN
