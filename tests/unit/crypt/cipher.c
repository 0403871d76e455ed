/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/cipher.h"
#include "test.h"
#include <string.h>

enum { ALG_AES = CIPHER_AES, BYTES_MAX = 256 };

struct bytes {
	uint8_t p[BYTES_MAX];
	size_t n;
};

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static struct bytes hex(const char *text)
{
	struct bytes b = { .n = strlen(text) / 2 };
	for (size_t i = 0; i < b.n; i++)
		b.p[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return b;
}

/* Known answers.  RFC and NIST numbers in the names. */
static const struct vector {
	const char *name;
	uint32_t algorithm, mode;
	const char *key, *iv, *aad, *plain, *cipher, *tag;
} vectors[] = {
#define K128 "2b7e151628aed2a6abf7158809cf4f3c"
#define K256 "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
#define PT   "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
#define IV   "000102030405060708090a0b0c0d0e0f"
	{ "SP 800-38A F.1.1 ECB", 3, MODE_ECB, K128, "", "", PT,
		"3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf", "" },
	{ "SP 800-38A F.2.1 CBC", 3, MODE_CBC, K128, IV, "", PT,
		"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2", "" },
	{ "SP 800-38A F.2.5 CBC", 3, MODE_CBC, K256, IV, "", PT,
		"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d", "" },
	{ "SP 800-38A F.3.13 CFB128", 3, MODE_CFB, K128, IV, "", PT,
		"3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b", "" },
	{ "SP 800-38A F.4.1 OFB", 3, MODE_OFB, K128, IV, "", PT,
		"3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825", "" },
	{ "SP 800-38A F.5.1 CTR", 3, MODE_CTR, K128, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		"", PT,
		"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff", "" },
	{ "GCM, test case 2", 3, MODE_GCM, "00000000000000000000000000000000",
		"000000000000000000000000", "", "00000000000000000000000000000000",
		"0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf" },
	{ "GCM, nothing but a tag", 3, MODE_GCM, "00000000000000000000000000000000",
		"000000000000000000000000", "", "", "",
		"58e2fccefa7e3061367f1d57a4e7455a" },
	{ "SP 800-38C, example 1", 3, MODE_CCM, "404142434445464748494a4b4c4d4e4f",
		"10111213141516", "0001020304050607", "20212223", "7162015b",
		"4dac255d" },
	{ "SP 800-38C, example 2", 3, MODE_CCM, "404142434445464748494a4b4c4d4e4f",
		"1011121314151617", "000102030405060708090a0b0c0d0e0f",
		"202122232425262728292a2b2c2d2e2f", "d2a1f0e051ea5f62081a7792073d593d",
		"1fc64fbfaccd" },
	{ "IEEE 1619, vector 2", 3, MODE_XTS,
		"1111111111111111111111111111111122222222222222222222222222222222",
		"33333333330000000000000000000000", "",
		"4444444444444444444444444444444444444444444444444444444444444444",
		"c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0", "" },
	{ "RFC 3394, 4.1", 3, MODE_NISTKEYWRAP, "000102030405060708090a0b0c0d0e0f", "",
		"", "00112233445566778899aabbccddeeff",
		"1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5", "" },
	{ "RFC 5649, 6", 3, MODE_AESKEYWRAPPADDING,
		"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "", "",
		"c37b7e6492584340bed12207808941155068f738",
		"138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", "" },
	{ "SP 800-67, B.1", 2, MODE_ECB,
		"0123456789abcdef23456789abcdef01456789abcdef0123", "", "",
		"5468652071756663", "a826fd8ce53b855f", "" },
	{ "RFC 3713", CIPHER_CAMELLIA, MODE_ECB, "0123456789abcdeffedcba9876543210", "",
		"", "0123456789abcdeffedcba9876543210",
		"67673138549669730857065648eabe43", "" },
	{ "RFC 5794", CIPHER_ARIA, MODE_ECB, "000102030405060708090a0b0c0d0e0f", "", "",
		"00112233445566778899aabbccddeeff", "d718fbd6ab644c739da95f3be6451778",
		"" },
	{ "SM4, GB/T 32907", CIPHER_SM4, MODE_ECB, "0123456789abcdeffedcba9876543210", "",
		"", "0123456789abcdeffedcba9876543210",
		"681edf34d206965e86b3e94f536e4246", "" },
	{ "RFC 8439, 2.8.2", CIPHER_CHACHA20POLY1305, MODE_AEAD,
		"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		"070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
		"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66"
		"202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e6520"
		"74697020666f7220746865206675747572652c2073756e73637265656e20776f756c6420"
		"62652069742e",
		"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e"
		"8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c"
		"9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d265"
		"86cec64b6116",
		"1ae10b594f09e26a7e902ecbd0600691" },
	{ "ChaCha20 of zeros", CIPHER_CHACHA20, MODE_NONE,
		"0000000000000000000000000000000000000000000000000000000000000000",
		"00000000000000000000000000000000", "",
		"00000000000000000000000000000000", "76b8e0ada0f13d90405d6ae55386bd28",
		"" },
};
enum { VECTORS = sizeof(vectors) / sizeof(*vectors) };

struct run {
	const struct cipher_info *info;
	struct bytes key, iv, aad, in, tag;
	enum padding padding;
	bool decrypts;
	size_t part; /* 0: in one piece */
	uint64_t bytes_max;
};

static kf_err feed(struct cipher *c, const struct run *r, struct buf *out, uint8_t *tag)
{
	size_t at = 0;

	while (r->part && r->in.n - at > r->part) {
		KF_TRY(cipher_part(c, (struct slice){ r->in.p + at, r->part }, out));
		at += r->part;
	}
	return cipher_last(c, (struct slice){ r->in.p + at, r->in.n - at },
		(struct slice){ r->tag.p, r->decrypts ? r->tag.n : 0 }, out, tag);
}

static kf_err go(const struct run *r, struct buf *out, uint8_t tag[CIPHER_TAG_MAX])
{
	struct cipher c;
	kf_err err = cipher_begin(&c, &(struct cipher_setup){
					      .info = r->info,
					      .padding = r->padding,
					      .decrypts = r->decrypts,
					      .has_parts = r->part != 0,
					      .key = { r->key.p, r->key.n },
					      .iv = { r->iv.p, r->iv.n },
					      .aad = { r->aad.p, r->aad.n },
					      .tag_n = r->tag.n,
					      .bytes_max = r->bytes_max,
				      });
	if (kf_ok(err))
		err = feed(&c, r, out, tag);
	cipher_end(&c);
	return err;
}

static bool is(const struct buf *got, const struct bytes *want)
{
	return got->n == want->n && (!want->n || !memcmp(got->p, want->p, want->n));
}

static struct run run_of(const struct vector *v)
{
	struct run r = { .key = hex(v->key),
		.iv = hex(v->iv),
		.aad = hex(v->aad),
		.in = hex(v->plain),
		.tag = hex(v->tag) };
	(void)cipher_find(v->algorithm, v->mode, r.key.n, &r.info).code;
	return r;
}

static bool encrypts_well(const struct vector *v, size_t part)
{
	autobuf out = buf_new(4096);
	uint8_t tag[CIPHER_TAG_MAX] = { 0 };
	struct run r = run_of(v);
	const struct bytes want = hex(v->cipher);
	r.part = part;
	return r.info && kf_ok(go(&r, &out, tag)) && is(&out, &want) &&
	       !memcmp(tag, r.tag.p, r.tag.n);
}

static bool decrypts_well(const struct vector *v, size_t part)
{
	autobuf out = buf_new(4096);
	uint8_t tag[CIPHER_TAG_MAX];
	struct run r = run_of(v);
	const struct bytes want = r.in;
	r.in = hex(v->cipher);
	r.decrypts = true;
	r.part = part;
	return r.info && kf_ok(go(&r, &out, tag)) && is(&out, &want);
}

TEST(known_answers_come_out)
{
	for (size_t i = 0; i < VECTORS; i++) {
		const bool is_fine =
			encrypts_well(&vectors[i], 0) && decrypts_well(&vectors[i], 0);
		if (!is_fine)
			printf("# %s\n", vectors[i].name);
		OK(is_fine);
	}
}

TEST(a_context_that_was_used_is_as_good_as_a_new_one)
{
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < VECTORS; i++)
			OK(decrypts_well(&vectors[i], 0) &&
				encrypts_well(&vectors[i], 0));
}

TEST(parts_of_any_size_come_to_the_same)
{
	for (size_t i = 0; i < VECTORS; i++)
		for (size_t part = 1; part < 40; part += 3)
			OK(encrypts_well(&vectors[i], part) &&
				decrypts_well(&vectors[i], part));
}

TEST(every_row_of_the_table_goes_there_and_back)
{
	const struct cipher_info *info;

	for (size_t i = 0; (info = cipher_each(i)); i++) {
		struct run r = { .info = info,
			.key = { .n = info->key_n },
			.iv = { .n = info->iv_random },
			.in = { .n = 48 },
			.tag = { .n = cipher_has_tag(info) ? 16 : 0 } };
		autobuf cipher = buf_new(4096), plain = buf_new(4096);
		for (size_t k = 0; k < r.key.n; k++)
			r.key.p[k] = (uint8_t)(k * 7 + 1);

		if (info->algorithm == CIPHER_CHACHA20)
			r.iv.n = 16;
		OK(kf_ok(go(&r, &cipher, r.tag.p)));
		const struct bytes was = r.in;
		memcpy(r.in.p, cipher.p, cipher.n);
		r.in.n = cipher.n;
		r.decrypts = true;
		OK(kf_ok(go(&r, &plain, NULL)));
		OK(is(&plain, &was));
	}
}

TEST(plaintext_without_a_true_tag_does_not_leave_in_parts)
{
	struct run r = run_of(&vectors[17]);
	autobuf out = buf_new(4096);
	struct cipher c;
	r.in = hex(vectors[17].cipher);
	OK(kf_ok(cipher_begin(&c, &(struct cipher_setup){ .info = r.info,
					  .decrypts = true,
					  .has_parts = true,
					  .key = { r.key.p, r.key.n },
					  .iv = { r.iv.p, r.iv.n },
					  .aad = { r.aad.p, r.aad.n },
					  .tag_n = 16 })));

	OK(kf_ok(cipher_part(&c, (struct slice){ r.in.p, r.in.n }, &out)));
	EQ(out.n, 0);

	r.tag.p[3] ^= 1;
	OK(kf_is(cipher_last(&c, (struct slice){ 0 }, (struct slice){ r.tag.p, r.tag.n },
			 &out, NULL),
		KF_E_DATA));
	cipher_end(&c);
}

TEST(one_changed_bit_anywhere_is_noticed_where_there_is_a_tag)
{
	for (size_t i = 0; i < VECTORS; i++) {
		struct run r = run_of(&vectors[i]);
		if (!r.tag.n)
			continue;
		r.in = hex(vectors[i].cipher);
		r.decrypts = true;
		struct bytes *part[] = { &r.in, &r.iv, &r.aad, &r.tag };
		for (size_t p = 0; p < 4; p++)
			for (size_t at = 0; at < part[p]->n; at++) {
				autobuf out = buf_new(4096);
				part[p]->p[at] ^= 0x10;
				OK(kf_is(go(&r, &out, NULL), KF_E_DATA));
				part[p]->p[at] ^= 0x10;
			}
	}
}

TEST(a_tag_that_is_cut_is_refused)
{
	struct run r = run_of(&vectors[6]);
	autobuf out = buf_new(4096);
	struct cipher c;
	r.in = hex(vectors[6].cipher);

	for (size_t n = 0; n < 16; n++) {
		OK(kf_ok(cipher_begin(&c, &(struct cipher_setup){ .info = r.info,
						  .decrypts = true,
						  .key = { r.key.p, r.key.n },
						  .iv = { r.iv.p, r.iv.n },
						  .tag_n = 16 })));
		OK(kf_is(cipher_last(&c, (struct slice){ r.in.p, r.in.n },
				 (struct slice){ r.tag.p, n }, &out, NULL),
			KF_E_DATA));
		cipher_end(&c);
	}
}

static kf_err pad_and_back(enum padding padding, size_t n, size_t part, struct bytes *ret)
{
	autobuf cipher = buf_new(4096), plain = buf_new(4096);
	struct run r = { .key = { .n = 16 },
		.iv = { .n = 16 },
		.in = { .n = n },
		.padding = padding,
		.part = part };

	memset(r.in.p, 0x77, n);
	KF_TRY(cipher_find(ALG_AES, MODE_CBC, 16, &r.info));
	KF_TRY(go(&r, &cipher, NULL));
	if (cipher.n)
		memcpy(r.in.p, cipher.p, cipher.n);
	r.in.n = cipher.n;
	r.decrypts = true;
	KF_TRY(go(&r, &plain, NULL));
	if (plain.n)
		memcpy(ret->p, plain.p, plain.n);
	ret->n = plain.n;
	return KF_OK;
}

TEST(every_padding_of_every_length_is_taken_off_again)
{
	const enum padding all[] = { PADDING_PKCS5, PADDING_ANSI_X9_23, PADDING_ISO_10126,
		PADDING_ZEROS };
	struct bytes got = { .n = 0 };

	for (size_t p = 0; p < 4; p++)
		for (size_t n = 0; n < 50; n++) {
			OK(kf_ok(pad_and_back(all[p], n, n % 7, &got)));
			EQ(got.n, n);
		}
}

/* The plaintext block that the padding is found in, under a key of zeros. */
static kf_err unpad(enum padding padding, const uint8_t block[16], size_t *ret_n)
{
	autobuf cipher = buf_new(64), plain = buf_new(64);
	struct run r = { .key = { .n = 16 }, .in = { .n = 16 } };
	memcpy(r.in.p, block, 16);
	KF_TRY(cipher_find(ALG_AES, MODE_ECB, 16, &r.info));
	KF_TRY(go(&r, &cipher, NULL));
	memcpy(r.in.p, cipher.p, 16);
	r.decrypts = true;
	r.padding = padding;
	KF_TRY(go(&r, &plain, NULL));
	*ret_n = plain.n;
	return KF_OK;
}

TEST(wrong_padding_is_one_error)
{
	uint8_t block[16];
	size_t n = 0;

	for (int last = 0; last < 256; last++) {
		memset(block, last, sizeof(block));
		const bool is_right = last >= 1 && last <= 16;
		OK(kf_is(unpad(PADDING_PKCS5, block, &n),
			is_right ? KF_E_NONE : KF_E_DATA));
		OK(kf_is(unpad(PADDING_ISO_10126, block, &n),
			is_right ? KF_E_NONE : KF_E_DATA));
		OK(kf_is(unpad(PADDING_ANSI_X9_23, block, &n),
			last == 1 ? KF_E_NONE : KF_E_DATA));
	}
	memset(block, 5, sizeof(block));
	OK(kf_ok(unpad(PADDING_PKCS5, block, &n)));
	EQ(n, 11);
	for (size_t at = 11; at < 15; at++) {
		block[at] ^= 0x80;
		OK(kf_is(unpad(PADDING_PKCS5, block, &n), KF_E_DATA));
		block[at] ^= 0x80;
	}
}

TEST(what_is_no_whole_number_of_blocks_is_the_same_error)
{
	struct run r = { .key = { .n = 16 }, .iv = { .n = 16 }, .decrypts = true };
	autobuf out = buf_new(4096);
	OK(kf_ok(cipher_find(ALG_AES, MODE_CBC, 16, &r.info)));

	for (r.in.n = 0; r.in.n < 48; r.in.n++) {
		r.padding = PADDING_PKCS5;
		OK(kf_is(go(&r, &out, NULL), KF_E_DATA));
		r.padding = PADDING_NONE;
		OK(kf_is(go(&r, &out, NULL), r.in.n % 16 ? KF_E_DATA : KF_E_NONE));
	}
}

TEST(a_counter_does_not_come_round)
{
	struct run r = { .key = { .n = 16 }, .iv = { .n = 16 }, .bytes_max = 32 };
	autobuf out = buf_new(4096);
	OK(kf_ok(cipher_find(ALG_AES, MODE_CTR, 16, &r.info)));

	r.in.n = 32;
	OK(kf_ok(go(&r, &out, NULL)));
	r.in.n = 33;
	OK(kf_is(go(&r, &out, NULL), KF_E_DATA));
	r.part = 8;
	OK(kf_is(go(&r, &out, NULL), KF_E_DATA));
}

TEST(what_a_cipher_does_not_have_is_refused)
{
	const struct cipher_info *gcm, *cbc, *none = NULL;

	OK(kf_ok(cipher_find(ALG_AES, MODE_GCM, 32, &gcm)));
	OK(kf_ok(cipher_find(ALG_AES, MODE_CBC, 32, &cbc)));
	OK(kf_is(cipher_find(ALG_AES, MODE_GCM, 31, &none), KF_E_BAD_PARAMETERS));
	OK(kf_is(cipher_find(ALG_AES, 0xa, 16, &none), KF_E_BAD_PARAMETERS));
	OK(kf_is(cipher_find(1, MODE_CBC, 8, &none), KF_E_BAD_PARAMETERS));
	OK(kf_is(cipher_check_padding(gcm, PADDING_PKCS5), KF_E_BAD_PARAMETERS));
	OK(kf_is(cipher_check_padding(cbc, 4), KF_E_BAD_PARAMETERS));
	for (size_t n = 0; n < 40; n++)
		OK(kf_is(cipher_check_tag(gcm, n),
			n == 4 || n == 8 || (n >= 12 && n <= 16) ? KF_E_NONE
								 : KF_E_TAG_LENGTH));
	struct run r = { .info = cbc, .key = { .n = 32 }, .iv = { .n = 15 } };
	autobuf out = buf_new(64);
	OK(kf_is(go(&r, &out, NULL), KF_E_BAD_PARAMETERS));
	r.iv.n = 16;
	r.aad.n = 1;
	OK(kf_is(go(&r, &out, NULL), KF_E_BAD_PARAMETERS));
}

TEST_MAIN
