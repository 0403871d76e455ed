/* SPDX-License-Identifier: Apache-2.0 */
#include "token/use.h"
#include "crypt/ossl.h"
#include "test.h"
#include <string.h>

/* A token that does no more than the first kinds, and can be told to do one way wrongly, or to fail. */
struct token {
	uint8_t key[32];
	unsigned calls, fails_at;
	bool encrypts_wrongly, decrypts_wrongly;
};

static kf_err cipher(const struct token *t, const EVP_CIPHER *c,
	const struct token_use *u, bool encrypts, uint8_t *ret)
{
	int n = 0;
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	return EVP_CipherInit_ex2(ctx, c, t->key, u->iv, encrypts, NULL) == 1 &&
			       EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
			       EVP_CipherUpdate(ctx, ret, &n, u->in.p, (int)u->in.n) == 1
		       ? KF_OK
		       : ossl_fail(CRYPTO, "AES");
}

static kf_err use(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	const bool encrypts = u->kind == USE_ECB_ENCRYPT || u->kind == USE_CBC_ENCRYPT;
	const bool is_cbc = u->kind == USE_CBC_ENCRYPT || u->kind == USE_CBC_DECRYPT;
	(void)handle;
	if (t->fails_at && ++t->calls == t->fails_at)
		return kf_fail(TOKEN, "pulled");
	KF_TRY(cipher(
		t, is_cbc ? EVP_aes_256_cbc() : EVP_aes_256_ecb(), u, encrypts, ret));
	if (encrypts ? t->encrypts_wrongly : t->decrypts_wrongly)
		ret[u->in.n - 1] ^= 1;
	return KF_OK;
}

static const struct token_driver driver = {
	.use = use, .wrap_max = 4096, .blocks_max = USE_DATA_MAX
};

struct bench {
	struct token token;
	struct use_job job;
	struct buf out;
	bool is_wrong;
};

static struct bench bench_new(enum use_kind kind, struct slice in)
{
	struct bench b = { .job = { .kind = kind, .in = in }, .out = buf_new(1 << 17) };
	for (size_t i = 0; i < sizeof(b.token.key); i++)
		b.token.key[i] = (uint8_t)(7 * i + 1);
	memset(b.job.iv, 0xff, sizeof(b.job.iv)); /* the counter comes round at once */
	return b;
}
static void bench_free(struct bench *b) { buf_free(&b->out); }
#define autobench CLEANUP(bench_free) struct bench

static kf_err run(struct bench *b)
{
	const struct use_key k = { &driver, &b->token, 0, alg_aes(256) };
	KF_TRY(use_check(&driver, k.alg, &b->job));
	return use_run(&k, &b->job, &b->out, &b->is_wrong);
}

/* What OpenSSL makes of it. */
static size_t expected(struct bench *b, const EVP_CIPHER *c, uint8_t *ret)
{
	int n = 0, more = 0;
	const bool has_iv = b->job.kind == USE_CTR;
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_EncryptInit_ex2(ctx, c, b->token.key, has_iv ? b->job.iv : NULL, NULL) !=
			1 ||
		EVP_EncryptUpdate(ctx, ret, &n, b->job.in.p, (int)b->job.in.n) != 1 ||
		EVP_EncryptFinal_ex(ctx, ret + n, &more) != 1)
		return 0;
	return (size_t)(n + more);
}

static const uint8_t text[256] = "What is to be encrypted, or else a key that travels";

TEST(counters_and_wrapping_are_those_of_the_standards)
{
	static const struct {
		enum use_kind kind;
		size_t n;
	} cases[] = { { USE_CTR, 1 }, { USE_CTR, 16 }, { USE_CTR, 47 }, { USE_WRAP, 16 },
		{ USE_WRAP, 24 }, { USE_WRAP, 256 }, { USE_WRAP_PADDED, 1 },
		{ USE_WRAP_PADDED, 8 }, { USE_WRAP_PADDED, 9 },
		{ USE_WRAP_PADDED, 250 } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const enum use_kind kind = cases[i].kind;
		autobench b = bench_new(kind, (struct slice){ text, cases[i].n });
		uint8_t want[512];
		const size_t n = expected(&b,
			kind == USE_CTR    ? EVP_aes_256_ctr()
			: kind == USE_WRAP ? EVP_aes_256_wrap()
					   : EVP_aes_256_wrap_pad(),
			want);
		OK(n && kf_ok(run(&b)));
		OK(slice_eq(buf_slice(&b.out), (struct slice){ want, n }));
	}
}

TEST(what_was_wrapped_is_unwrapped_and_nothing_else)
{
	for (int padded = 0; padded < 2; padded++) {
		autobench b = bench_new(
			padded ? USE_WRAP_PADDED : USE_WRAP, (struct slice){ text, 40 });
		OK(kf_ok(run(&b)));
		autobench back = bench_new(
			padded ? USE_UNWRAP_PADDED : USE_UNWRAP, buf_slice(&b.out));
		OK(kf_ok(run(&back)));
		OK(slice_eq(buf_slice(&back.out), (struct slice){ text, 40 }));
		for (size_t at = 0; at < b.out.n; at++) {
			autobench spoilt = bench_new(back.job.kind, buf_slice(&b.out));
			b.out.p[at] ^= 0x40;
			OK(kf_is(run(&spoilt), KF_E_DATA) && !spoilt.is_wrong);
			EQ(spoilt.out.n, 0);
			b.out.p[at] ^= 0x40;
		}
		for (size_t n = 0; n < b.out.n; n++) {
			autobench cut =
				bench_new(back.job.kind, (struct slice){ b.out.p, n });
			OK(kf_is(run(&cut), KF_E_DATA));
		}
	}
}

TEST(a_token_that_encrypts_wrongly_is_found_out)
{
	static const enum use_kind kinds[] = { USE_ECB_ENCRYPT, USE_CBC_ENCRYPT, USE_CTR,
		USE_WRAP, USE_WRAP_PADDED };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		autobench b = bench_new(kinds[i], (struct slice){ text, 64 });
		b.token.encrypts_wrongly = true;
		OK(kf_is(run(&b), KF_E_CRYPTO) && b.is_wrong);
	}
}

TEST(a_token_that_decrypts_wrongly_is_found_out)
{
	static const enum use_kind kinds[] = { USE_ECB_DECRYPT, USE_CBC_DECRYPT };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		autobench b = bench_new(kinds[i], (struct slice){ text, 64 });
		OK(kf_ok(run(&b)) && !b.is_wrong);
		EQ(b.out.n, 64);
		b.token.decrypts_wrongly = true;
		OK(kf_is(run(&b), KF_E_CRYPTO) && b.is_wrong);
	}
}

/* One that only fails to unwrap gives nothing. */
TEST(what_a_token_unwraps_wrongly_does_not_leave)
{
	for (int padded = 0; padded < 2; padded++) {
		autobench b = bench_new(
			padded ? USE_WRAP_PADDED : USE_WRAP, (struct slice){ text, 40 });
		OK(kf_ok(run(&b)));
		autobench back = bench_new(
			padded ? USE_UNWRAP_PADDED : USE_UNWRAP, buf_slice(&b.out));
		back.token.decrypts_wrongly = true;
		OK(kf_is(run(&back), KF_E_DATA));
		EQ(back.out.n, 0);
	}
}

TEST(a_token_that_is_pulled_at_any_command_fails_the_whole)
{
	for (unsigned at = 1; at <= 12; at++) {
		autobench b = bench_new(USE_WRAP, (struct slice){ text, 16 });
		b.token.fails_at = at;
		OK(kf_is(run(&b), KF_E_TOKEN) && !b.is_wrong);
		EQ(b.out.n, 0);
	}
}

TEST(what_cannot_be_done_is_refused_before_a_token_is_asked)
{
	static const struct {
		enum use_kind kind;
		size_t n;
		int code;
	} cases[] = { { USE_ECB_ENCRYPT, 15, KF_E_DATA },
		{ USE_CBC_DECRYPT, 0, KF_E_DATA }, { USE_WRAP, 8, KF_E_DATA },
		{ USE_WRAP, 17, KF_E_DATA }, { USE_CTR, 0, KF_E_DATA },
		{ USE_WRAP_PADDED, 4097, KF_E_BAD_PARAMETERS },
		{ USE_AGREE, 65, KF_E_BAD_PARAMETERS },
		{ USE_CBC_ENCRYPT, USE_DATA_MAX + 16, KF_E_BAD_PARAMETERS } };
	static uint8_t zeroes[USE_DATA_MAX + 16];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct use_job job = { .kind = cases[i].kind,
			.in = { zeroes, cases[i].n } };
		const kf_err err = use_check(&driver, alg_aes(256), &job);
		EQ((int)err.code, cases[i].code);
	}
	const struct use_job agree = { .kind = USE_AGREE, .in = { zeroes, 65 } };
	OK(kf_is(use_check(&driver, alg_get(ALG_P256), &agree), KF_E_BAD_PARAMETERS));
	const struct use_job mac = { .kind = USE_CMAC };
	OK(kf_is(use_check(&driver, alg_get(ALG_P256), &mac), KF_E_BAD_PARAMETERS));
	OK(kf_is(use_check(&(struct token_driver){ 0 }, alg_aes(128), &mac),
		KF_E_UNSUPPORTED));
}

TEST(a_key_is_known_by_what_it_computes)
{
	uint8_t one[KEY_ID_SIZE], two[KEY_ID_SIZE], mac[USE_MAC_SIZE] = { 1 };
	use_key_id(mac, one);
	mac[15] = 1;
	use_key_id(mac, two);

	OK(memcmp(one, two, sizeof(one)) != 0);
	EQ(use_challenge.n, 32);
}

TEST_MAIN
