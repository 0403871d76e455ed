/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/ossl.h"
#include "direct.h"
#include "token/schsm/card.h"
#include "token/use.h"
#include <openssl/core_names.h>

static const struct token_driver *const d = &schsm_driver;

static bool make(struct token *t, const struct alg *alg, bool may_leave,
	struct token_key_facts *ret)
{
	return is_good(d->generate(t,
		&(struct token_new_key){ .alg = alg,
			.label = "secret",
			.may_agree = alg->family == FAMILY_EC,
			.may_leave = may_leave },
		ret));
}

static bool ask(struct token *t, unsigned handle, enum use_kind kind, const void *iv,
	struct slice in, uint8_t *ret)
{
	const struct token_use u = { kind, iv, in };
	return is_good(d->use(t, handle, &u, ret));
}

TEST(aes_keys_of_every_length_are_made_listed_and_known_again)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	static const uint32_t bits[] = { 128, 192, 256 };
	uint8_t id[3][KEY_ID_SIZE];
	for (size_t i = 0; i < 3; i++) {
		struct token_key_facts f;
		OK(make(t, alg_aes(bits[i]), i == 0, &f));
		OK(f.alg == alg_aes(bits[i]) && !f.problem && f.can_leave == (i == 0));
		memcpy(id[i], f.key_id, KEY_ID_SIZE);
		token_key_facts_free(&f);
	}

	OK(is_good(d->list_keys(t, &list)));

	EQ(list.n, 3);
	for (size_t i = 0; i < 3; i++) {
		OK(list.key[i].alg == alg_aes(bits[i]));
		OK(!memcmp(list.key[i].key_id, id[i], KEY_ID_SIZE));
		OK(!strcmp(list.key[i].label, "secret") && !list.key[i].can_sign);
	}
	OK(memcmp(id[0], id[1], KEY_ID_SIZE) != 0);
}

/* In ECB each block is by itself: that tells what CBC must give, piece by piece. */
TEST(blocks_go_through_the_card_in_any_number)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	static uint8_t in[4096], made[4096], back[4096], single[4096];
	static const uint8_t iv[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
		16 };
	struct token_key_facts f;
	OK(make(t, alg_aes(256), true, &f));
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 31 + i / 256);

	for (size_t n = 16; n <= sizeof(in); n = n * 3 / 16 * 16 + 16) {
		OK(ask(t, f.handle, USE_CBC_ENCRYPT, iv, (struct slice){ in, n }, made));
		OK(ask(t, f.handle, USE_CBC_DECRYPT, iv, (struct slice){ made, n },
			back));
		OK(!memcmp(back, in, n));
		OK(ask(t, f.handle, USE_ECB_DECRYPT, NULL, (struct slice){ made, n },
			single));
		for (size_t i = 0; i < n; i++)
			back[i] = single[i] ^ (i < 16 ? iv[i] : made[i - 16]);
		OK(!memcmp(back, in, n));
	}
	OK(ask(t, f.handle, USE_ECB_ENCRYPT, NULL, (struct slice){ single, 64 }, back));
	OK(!memcmp(back, made, 64));
}

TEST(a_cmac_is_made_of_what_a_command_holds)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	static uint8_t in[2048];
	uint8_t mac[USE_MAC_SIZE], id[KEY_ID_SIZE];
	struct token_key_facts f;
	OK(make(t, alg_aes(128), true, &f));

	OK(ask(t, f.handle, USE_CMAC, NULL, use_challenge, mac));
	use_key_id(mac, id);
	OK(!memcmp(id, f.key_id, sizeof(id)));
	const struct token_use much = { USE_CMAC, NULL, { in, sizeof(in) } };
	OK(kf_is(d->use(t, f.handle, &much, mac), KF_E_BAD_PARAMETERS));
}

TEST(an_aes_key_travels_to_another_card_and_is_the_same_there)
{
	CLEANUP(vhsm_freep) struct vhsm *a = new_vhsm(), *b = new_vhsm();
	CLEANUP(token_closep) struct token *from = direct_ready(a), *to = direct_ready(b);
	CLEANUP(token_blob_free) struct token_blob blob = { 0 };
	struct token_key_facts f, copy;
	uint8_t one[16], two[16];
	OK(make(from, alg_aes(256), true, &f));

	OK(is_good(d->wrap(from, f.handle, &blob)));
	OK(is_good(d->unwrap(to, &blob, &copy)));

	OK(copy.alg == f.alg && !memcmp(copy.key_id, f.key_id, KEY_ID_SIZE));
	OK(ask(from, f.handle, USE_ECB_ENCRYPT, NULL, (struct slice){ f.key_id, 16 },
		one));
	OK(ask(to, copy.handle, USE_ECB_ENCRYPT, NULL, (struct slice){ f.key_id, 16 },
		two));
	OK(!memcmp(one, two, sizeof(one)));

	blob.key_id[0] ^= 1;
	OK(is_good(d->delete_key(to, copy.handle)));
	OK(kf_is(d->unwrap(to, &blob, &copy), KF_E_CRYPTO));
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	OK(is_good(d->list_keys(to, &list)));
	EQ(list.n, 0);
}

TEST(an_aes_key_that_shall_stay_stays)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f;
	struct token_blob blob;
	OK(make(t, alg_aes(256), false, &f));

	OK(!kf_ok(d->wrap(t, f.handle, &blob)));
	struct sign_job job = {
		.mech = mech_get(MECH_ECDSA_SHA256), .is_digest = true, .n = 32
	};
	OK(kf_is(d->sign(t, f.handle, &job), KF_E_BAD_PARAMETERS));
	OK(kf_is(d->store_certificate(t, f.handle, CERTIFICATE_OF_KEY, use_challenge),
		KF_E_BAD_PARAMETERS));
}

TEST(keys_of_a_curve_agree_with_others)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	static const enum alg_id curves[] = { ALG_P256, ALG_P384, ALG_P521,
		ALG_BRAINPOOL_P256R1 };
	for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++) {
		struct token_key_facts f;
		CLEANUP(pubkey_freep) struct pubkey *public = NULL;
		uint8_t point[256], shared[128], here[128];
		size_t n = 0, here_n = sizeof(here);
		OK(make(t, alg_get(curves[i]), false, &f) && f.can_agree);
		OK(is_good(pubkey_parse(buf_slice(&f.spki), &public)));
		CLEANUP(ossl_pkey_freep)
		EVP_PKEY *other = EVP_EC_gen(f.alg->openssl_group);
		CLEANUP(ossl_pkey_ctx_freep)
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, other, NULL);
		OK(EVP_PKEY_get_octet_string_param(
			other, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n));
		OK(EVP_PKEY_derive_init(ctx) > 0 &&
			EVP_PKEY_derive_set_peer(ctx, pubkey_pkey(public)) > 0 &&
			EVP_PKEY_derive(ctx, here, &here_n) > 0);

		OK(ask(t, f.handle, USE_AGREE, NULL, (struct slice){ point, n }, shared));

		OK(here_n == (f.alg->bits + 7) / 8 && !memcmp(shared, here, here_n));
		token_key_facts_free(&f);
	}
}

TEST_MAIN
