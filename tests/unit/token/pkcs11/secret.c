/* SPDX-License-Identifier: Apache-2.0
 *
 * AES keys behind a module that makes them, does CMAC and CBC with them, and no ECB.
 */
#include "bench.h"
#include "test.h"
#include "token/use.h"

static kf_err make(struct bench *b, unsigned bits)
{
	return DRIVER->generate(b->token,
		&(struct token_new_key){ .alg = alg_aes(bits), .label = "kek" }, &b->key);
}

static kf_err use(struct bench *b, enum use_kind kind, struct slice in, uint8_t *ret)
{
	static const uint8_t iv[USE_IV_SIZE] = { 1, 2, 3 };
	const struct token_use u = { kind, iv, in };
	return DRIVER->use(b->token, b->key.handle, &u, ret);
}

static size_t count_secrets(struct bench *b)
{
	size_t n = 0;
	if (!kf_ok(DRIVER->list_keys(b->token, &b->list)))
		return 99;
	for (size_t i = 0; i < b->list.n; i++)
		n += b->list.key[i].alg && b->list.key[i].alg->family == FAMILY_AES;
	return n;
}

static const uint8_t blocks[48] = "three blocks of what is to be encrypted by it";
static const struct slice text = { blocks, sizeof(blocks) };

TEST(aes_keys_are_made_and_listed_by_what_they_compute)
{
	static const unsigned bits[] = { 128, 192, 256 };
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)));
	for (size_t i = 0; i < 3; i++) {
		uint8_t mac[USE_MAC_SIZE], id[KEY_ID_SIZE];
		OK(kf_ok(make(&b, bits[i])));
		OK(b.key.alg == alg_aes(bits[i]) && !b.key.spki.n && !b.key.can_sign);
		OK(kf_ok(use(&b, USE_CMAC, use_challenge, mac)));
		use_key_id(mac, id);
		OK(!memcmp(id, b.key.key_id, sizeof(id)));
		EQ(count_secrets(&b), i + 1);
	}
}

TEST(they_encrypt_in_cbc_and_say_that_they_do_no_ecb)
{
	autobench b = { 0 };
	uint8_t made[sizeof(blocks)], back[sizeof(blocks)];
	OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 256)));

	OK(kf_ok(use(&b, USE_CBC_ENCRYPT, text, made)));
	OK(kf_ok(use(&b, USE_CBC_DECRYPT, (struct slice){ made, sizeof(made) }, back)));

	OK(memcmp(made, blocks, sizeof(made)) != 0);
	OK(!memcmp(back, blocks, sizeof(back)));
	OK(kf_is(use(&b, USE_ECB_ENCRYPT, text, made), KF_E_UNSUPPORTED));
	OK(kf_is(use(&b, USE_AGREE, text, made), KF_E_BAD_PARAMETERS));
}

TEST(a_login_that_was_lost_is_renewed_for_them)
{
	autobench b = { 0 };
	uint8_t made[sizeof(blocks)];
	OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 128)));
	faults->forget_login();
	OK(kf_ok(use(&b, USE_CBC_ENCRYPT, text, made)));
}

/* What wraps for others might let keys out; a key that says nothing of itself cannot be known again. */
TEST(keys_that_wrap_or_make_no_cmac_are_none_of_ours)
{
	static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 256)));
	EQ(count_secrets(&b), 1);
	faults->set(CKO_SECRET_KEY, CKA_WRAP, &yes, sizeof(yes));
	EQ(count_secrets(&b), 0);
	faults->set(CKO_SECRET_KEY, CKA_WRAP, &no, sizeof(no));
	EQ(count_secrets(&b), 1);
	faults->set(CKO_SECRET_KEY, CKA_SIGN, &no, sizeof(no));
	EQ(count_secrets(&b), 0);
}

TEST(a_key_that_cannot_say_which_it_is_is_destroyed_again)
{
	static const char *const steps[] = { "GetAttributeValue", "SignInit", "Sign" };
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		faults->answer(steps[i], CKR_GENERAL_ERROR);
		OK(!kf_ok(make(&b, 256)));
		faults->answer(steps[i], CKR_OK);
		EQ(count_secrets(&b), 0);
	}
}

TEST(a_key_is_deleted_and_another_stays)
{
	autobench b = { 0 };
	uint8_t made[sizeof(blocks)];
	OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 256)));
	const unsigned first = b.key.handle;
	OK(kf_ok(make(&b, 256)));
	OK(kf_ok(DRIVER->delete_key(b.token, first)));
	EQ(count_secrets(&b), 1);
	OK(kf_ok(use(&b, USE_CBC_ENCRYPT, text, made)));
	b.key.handle = first;
	OK(kf_is(use(&b, USE_CBC_ENCRYPT, text, made), KF_E_NOT_FOUND));
}

/* ---- a module that lies and fails in every way ---- */

static const char *const functions[] = { "OpenSession", "CloseSession", "DestroyObject",
	"GetAttributeValue", "FindObjectsInit", "FindObjects", "FindObjectsFinal",
	"EncryptInit", "Encrypt", "DecryptInit", "Decrypt", "SignInit", "Sign",
	"GenerateKey" };

static bool do_everything(struct bench *b)
{
	uint8_t made[sizeof(blocks)];
	bool is_good = is_of_the_contract(use(b, USE_CMAC, text, made));
	is_good &= is_of_the_contract(use(b, USE_CBC_ENCRYPT, text, made));
	is_good &= is_of_the_contract(use(b, USE_CBC_DECRYPT, text, made));
	is_good &= is_of_the_contract(DRIVER->list_keys(b->token, &b->list));
	const kf_err err = make(b, 192);
	is_good &= is_of_the_contract(err);
	return is_good && is_of_the_contract(DRIVER->delete_key(b->token, b->key.handle));
}

TEST(every_answer_to_what_is_done_with_aes_keys_is_of_the_contract)
{
	static const CK_RV answers[] = { CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID,
		CKR_BUFFER_TOO_SMALL, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN, ~0UL };
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++)
		for (size_t a = 0; a < sizeof(answers) / sizeof(*answers); a++) {
			autobench b = { 0 };
			OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 256)));
			faults->answer(functions[f], answers[a]);
			OK(do_everything(&b));
		}
}

TEST(every_length_of_what_is_done_with_aes_keys_may_lie)
{
	static const CK_ULONG lengths[] = { 0, 15, 17, 65, 1UL << 32, 1UL << 63, ~0UL };
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++)
		for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
			autobench b = { 0 };
			OK(kf_ok(bench_open(&b)) && kf_ok(make(&b, 256)));
			faults->lie(functions[f], lengths[l]);
			OK(do_everything(&b));
		}
}

TEST_MAIN
