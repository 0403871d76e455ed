/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/card.h"
#include "crypt/pubkey.h"
#include "direct.h"
#include "token/schsm/prkd.h"
#include <openssl/evp.h>
#include <openssl/rand.h>

static const struct token_driver *const d = &schsm_driver;

static bool generate(
	struct token *t, enum alg_id alg, const char *label, struct token_key_facts *ret)
{
	return is_good(d->generate(t,
		&(struct token_new_key){ .alg = alg_get(alg),
			.label = label,
			.may_decrypt = true,
			.may_leave = true },
		ret));
}

/* Signs a random digest and verifies with what the driver says is the public key. */
static kf_err sign_and_verify(
	struct token *t, const struct token_key_facts *f, enum mech_id mech, int salt)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	struct sign_job job = { .mech = mech_get(mech), .salt = salt, .is_digest = true };
	job.n = hash_get(job.mech->hash)->size;
	RAND_bytes(job.data, (int)job.n);
	KF_TRY(pubkey_parse(buf_slice(&f->spki), &k));
	KF_TRY(d->sign(t, f->handle, &job));
	return pubkey_verify(k, &(struct signature){ .mech = job.mech,
					.salt = salt,
					.is_digest = true,
					.data = { job.data, job.n },
					.sig = { job.sig, job.sig_n } });
}

TEST(a_blank_card_says_so)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = NULL;
	OK(is_good(direct_open(v, &t)));
	const struct token_facts *f = d->facts(t);
	OK(!strcmp(f->serial, vhsm_serial(v)));
	OK(!strcmp(f->model, "SmartCard-HSM 3.5"));
	OK(!f->is_initialised);
	EQ(f->wrapping, WRAPPING_NONE);
	EQ(f->concurrency, 1);
	const struct token_pin pin = pin_of(USER_PIN);
	OK(kf_is(d->login(t, &pin), KF_E_AUTH));
	OK(is_good(d->probe(t)));
}

TEST(an_initialised_card_has_label_tries_and_key_check_value)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	CLEANUP(token_closep) struct token *again = NULL;
	const struct token_facts *f = d->facts(t);
	OK(f->is_initialised && f->has_kcv);
	EQ(f->shares, 1);
	EQ(f->shares_missing, 0);
	OK(is_good(direct_open(v, &again)));
	f = d->facts(again);
	OK(!strcmp(f->label, "one"));
	EQ(f->pin_tries, 3);
	EQ(f->so_pin_tries, 15);
	EQ(f->wrapping, WRAPPING_DKEK);
	OK(f->has_kcv && !memcmp(f->kcv, d->facts(t)->kcv, TOKEN_KCV_SIZE));
}

TEST(a_card_with_two_keys_starts_in_twelve_commands_and_signs_with_one)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	struct token_key_facts rsa = { 0 }, ec = { 0 };
	struct token_key_list l = { 0 };
	const struct token_pin pin = pin_of(USER_PIN);
	OK(generate(t, ALG_RSA_2048, "rsa", &rsa));
	OK(generate(t, ALG_P256, "ec", &ec));
	d->close(t);

	uint64_t before = vhsm_counts(v).commands;
	OK(is_good(direct_open(v, &t)));
	OK(is_good(d->login(t, &pin)));
	OK(is_good(d->list_keys(t, &l)));
	uint64_t commands = vhsm_counts(v).commands - before;
	printf("# start-up in %llu commands\n", (unsigned long long)commands);
	OK(commands <= 12);
	EQ(l.n, 2);
	OK(!l.key[0].problem && !l.key[1].problem);
	OK(l.key[0].alg == alg_get(ALG_RSA_2048) && l.key[1].alg == alg_get(ALG_P256));
	OK(!strcmp(l.key[0].label, "rsa") && l.key[0].can_sign && l.key[0].can_decrypt);
	OK(l.key[0].can_leave && l.key[1].can_sign && !l.key[1].can_decrypt);
	OK(!memcmp(l.key[1].key_id, ec.key_id, KEY_ID_SIZE));

	before = vhsm_counts(v).commands;
	OK(is_good(sign_and_verify(t, &l.key[0], MECH_RSA_PSS_SHA256, SALT_AS_DIGEST)));
	OK(is_good(sign_and_verify(t, &l.key[1], MECH_ECDSA_SHA256, 0)));
	EQ(vhsm_counts(v).commands - before, 2);
	token_key_list_free(&l);
	token_key_facts_free(&rsa);
	token_key_facts_free(&ec);
	d->close(t);
}

TEST(every_mechanism_signs)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts rsa = { 0 }, ec = { 0 };
	OK(generate(t, ALG_RSA_2048, "rsa", &rsa));
	OK(generate(t, ALG_P256, "ec", &ec));
	for (int m = 0; m < MECH_COUNT; m++) {
		const struct mech *mech = mech_get((enum mech_id)m);
		if (mech->family == FAMILY_ED25519)
			continue;
		const struct token_key_facts *f = mech->family == FAMILY_RSA ? &rsa : &ec;
		OK(is_good(sign_and_verify(t, f, mech->id, SALT_AS_DIGEST)));
	}
	OK(is_good(sign_and_verify(t, &rsa, MECH_RSA_PSS_SHA256, 0)));
	OK(is_good(sign_and_verify(t, &rsa, MECH_RSA_PSS_SHA512, 17)));
	OK(kf_is(
		sign_and_verify(t, &rsa, MECH_RSA_PSS_SHA512, 191), KF_E_BAD_PARAMETERS));
	OK(kf_is(sign_and_verify(t, &rsa, MECH_ECDSA_SHA256, 0), KF_E_BAD_PARAMETERS));
	token_key_facts_free(&rsa);
	token_key_facts_free(&ec);
}

TEST(every_curve_is_generated_and_signs)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	for (int a = 0; a < ALG_COUNT; a++) {
		struct token_key_facts f = { 0 };
		if (alg_get((enum alg_id)a)->family != FAMILY_EC)
			continue;
		OK(generate(t, (enum alg_id)a, "curve", &f));
		OK(f.alg == alg_get((enum alg_id)a));
		OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA512, 0)));
		OK(is_good(d->delete_key(t, f.handle)));
		token_key_facts_free(&f);
	}
	struct token_key_facts f = { 0 };
	OK(kf_is(d->generate(
			 t, &(struct token_new_key){ .alg = alg_get(ALG_ED25519) }, &f),
		KF_E_UNSUPPORTED));
}

TEST(a_bare_decryption_gives_the_padded_message)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	struct token_key_facts f = { 0 };
	uint8_t cipher[256], plain[256];
	size_t n = sizeof(cipher);
	OK(generate(t, ALG_RSA_2048, "rsa", &f));
	OK(is_good(pubkey_parse(buf_slice(&f.spki), &k)));
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(k), NULL);
	EQ(EVP_PKEY_encrypt_init(ctx), 1);
	EQ(EVP_PKEY_encrypt(ctx, cipher, &n, (const uint8_t *)"secret", 6), 1);
	EVP_PKEY_CTX_free(ctx);
	OK(is_good(d->decrypt_raw(t, f.handle, cipher, n, plain)));
	EQ(plain[1], 2);
	OK(!memcmp(plain + n - 6, "secret", 6));
	OK(kf_is(d->decrypt_raw(t, f.handle, cipher, n - 1, plain), KF_E_BAD_PARAMETERS));
	token_key_facts_free(&f);
}

TEST(a_wrong_pin_costs_one_try_and_is_never_sent_again)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	const struct token_pin right = pin_of(USER_PIN), wrong = pin_of("123456");
	d->close(t);
	OK(is_good(direct_open(v, &t)));
	OK(kf_is(d->login(t, &wrong), KF_E_AUTH));
	EQ(d->facts(t)->pin_tries, 2);
	uint64_t before = vhsm_counts(v).commands;
	OK(kf_is(d->login(t, &wrong), KF_E_AUTH));
	OK(kf_is(d->login(t, &right), KF_E_AUTH)); /* the rest is for people */
	EQ(vhsm_counts(v).commands - before, 0);
	d->close(t);
	OK(is_good(direct_open(v, &t)));
	EQ(d->facts(t)->pin_tries, 2);
	OK(kf_is(d->login(t, &right), KF_E_AUTH));
	EQ(d->facts(t)->pin_tries, 2);
	d->close(t);
}

TEST(a_pin_whose_answer_is_lost_is_told_with_the_tries_that_were_left)
{
	const struct token_pin pin = pin_of(USER_PIN), wrong = pin_of("000000");
	for (int is_lost = 0; is_lost < 2; is_lost++) {
		CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
		struct token *t = direct_ready(v);
		EQ(d->facts(t)->pin_asked, 0); /* it was right */
		d->close(t);
		OK(is_good(direct_open(v, &t)));
		if (is_lost)
			OK(is_good(vhsm_tell(v, "unplug")));

		kf_err e = d->login(t, is_lost ? &pin : &wrong);

		OK(!kf_ok(e) && kf_is(e, KF_E_AUTH) == !is_lost);
		EQ(d->facts(t)->pin_asked, is_lost ? 3 : 0);
		d->close(t);
	}
}

TEST(a_blocked_pin_is_told_without_a_try)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	const struct token_pin pin = pin_of(USER_PIN);
	d->close(t);
	OK(is_good(vhsm_tell(v, "pin-blocked")));
	OK(is_good(direct_open(v, &t)));
	EQ(d->facts(t)->pin_tries, 0);
	OK(d->facts(t)->is_initialised);
	OK(kf_is(d->login(t, &pin), KF_E_AUTH));
	d->close(t);
}

TEST(a_pin_is_changed_and_renews_logins)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	const struct token_pin old = pin_of(USER_PIN), new = pin_of("a longer one");
	OK(generate(t, ALG_P256, "ec", &f));
	OK(kf_is(d->change_pin(t, &new, &old), KF_E_AUTH));
	EQ(d->facts(t)->pin_tries, 2);
	OK(kf_is(d->change_pin(t, &old, &new), KF_E_AUTH)); /* two tries: for people */
	struct token_pin so = pin_of(SO_PIN);
	OK(is_good(d->initialise(
		t, &(struct token_init){ .so_pin = &so, .pin = &old, .shares = -1 })));
	OK(is_good(d->change_pin(t, &old, &new)));
	token_key_facts_free(&f);
	OK(generate(t, ALG_P256, "ec", &f));
	OK(is_good(vhsm_tell(v, "reset")));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	token_key_facts_free(&f);
}

TEST(a_wrong_so_pin_erases_nothing)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	struct token_key_list l = { 0 };
	const struct token_pin so = pin_of("0000000000000000"), pin = pin_of(USER_PIN);
	struct token_init in = { .so_pin = &so, .pin = &pin };
	OK(generate(t, ALG_P256, "ec", &f));
	OK(kf_is(d->initialise(t, &in), KF_E_AUTH));
	EQ(d->facts(t)->so_pin_tries, 14);
	OK(is_good(d->login(t, &pin)));
	OK(is_good(d->list_keys(t, &l)));
	EQ(l.n, 1);
	token_key_list_free(&l);
	token_key_facts_free(&f);
}

TEST(a_reset_costs_nobody_a_signature)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	OK(generate(t, ALG_P256, "ec", &f));
	for (int i = 0; i < 3; i++) {
		OK(is_good(vhsm_tell(v, "reset")));
		OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	}
	OK(is_good(vhsm_tell(v, "sw 6d00 1")));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	OK(is_good(vhsm_tell(v, "sw 6e00 1")));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	token_key_facts_free(&f);
}

TEST(a_pulled_card_is_closed_and_the_next_one_opens)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	struct token_key_list l = { 0 };
	const struct token_pin pin = pin_of(USER_PIN);
	OK(generate(t, ALG_P256, "ec", &f));
	OK(is_good(vhsm_tell(v, "unplug")));
	OK(kf_is(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0), KF_E_CLOSED));
	OK(is_good(vhsm_tell(v, "replug")));
	OK(kf_is(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0), KF_E_CLOSED));
	d->close(t);
	OK(is_good(direct_open(v, &t)));
	OK(is_good(d->login(t, &pin)));
	OK(is_good(d->list_keys(t, &l)));
	OK(is_good(sign_and_verify(t, &l.key[0], MECH_ECDSA_SHA256, 0)));
	d->close(t);
	token_key_list_free(&l);
	token_key_facts_free(&f);
}

TEST(nonsense_is_the_token_s_failure)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	OK(generate(t, ALG_RSA_2048, "rsa", &f));
	OK(is_good(vhsm_tell(v, "short 1")));
	OK(!kf_ok(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0)));
	OK(is_good(vhsm_tell(v, "wrong 1")));
	OK(kf_is(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0), KF_E_CRYPTO));
	OK(is_good(vhsm_tell(v, "sw 6f00 1")));
	OK(kf_is(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0), KF_E_TOKEN));
	OK(is_good(vhsm_tell(v, "sw 1234 1")));
	OK(kf_is(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0), KF_E_TOKEN));
	OK(is_good(vhsm_tell(v, "sw 6a81 1")));
	OK(kf_is(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0), KF_E_DENIED));
	OK(is_good(sign_and_verify(t, &f, MECH_RSA_PKCS1_SHA256, 0)));
	token_key_facts_free(&f);
}

static void refuse_who_logs_in(struct vhsm *v, struct slice apdu)
{
	if (apdu.n > 5 && apdu.p[1] == 0x20 && !kf_ok(vhsm_tell(v, "sw 6982 1")))
		abort();
}

TEST(a_key_that_nobody_may_use_is_no_refused_pin)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	OK(generate(t, ALG_P256, "key", &f));
	OK(is_good(vhsm_tell(v, "sw 6982 1")));

	direct_after = refuse_who_logs_in;
	kf_err e = sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0);
	direct_after = NULL;

	OK(kf_is(e, KF_E_DENIED));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	token_key_facts_free(&f);
}

TEST(a_use_counter_is_told_and_runs_out)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	struct token_key_list l = { 0 };
	struct token_blob b = { 0 };
	const struct token_pin pin = pin_of(USER_PIN);
	OK(is_good(d->generate(t,
		&(struct token_new_key){
			.alg = alg_get(ALG_P256), .label = "counted", .uses = 3 },
		&f)));
	OK(f.has_counter && !f.can_leave);
	EQ(f.uses_left, 3);
	OK(kf_is(d->wrap(t, f.handle, &b), KF_E_DENIED));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	d->close(t);
	OK(is_good(direct_open(v, &t)));
	OK(is_good(d->login(t, &pin)));
	OK(is_good(d->list_keys(t, &l)));
	OK(l.key[0].has_counter && !l.key[0].can_leave);
	EQ(l.key[0].uses_left, 2);
	/* What may have been done is not done again; what was refused is. */
	OK(is_good(vhsm_tell(v, "sw 6982 1")));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	OK(kf_is(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0), KF_E_LIMIT));
	token_key_list_free(&l);
	token_key_facts_free(&f);
	d->close(t);
}

/* As other programs make them: their description says nothing of a counter. */
TEST(a_use_counter_that_another_program_made_is_found_and_nothing_spends_it)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	struct token_key_list l = { 0 };
	struct token_blob b = { 0 };
	const struct token_pin pin = pin_of(USER_PIN);
	autobuf description = buf_new(CARD_FILE_MAX);
	OK(generate(t, ALG_P256, "foreign", &f));
	struct prkd about = prkd_of_key(f.alg, "foreign", (struct slice){ f.id, f.id_n });
	about.access = 0;
	OK(is_good(prkd_put(&about, &description)));
	OK(is_good(schsm_write_file(
		t, FID_DESCRIPTION | f.handle, buf_slice(&description))));
	char uses[32];
	snprintf(uses, sizeof(uses), "uses %u 2", f.handle);
	OK(is_good(vhsm_tell(v, uses)));
	d->close(t);

	OK(is_good(direct_open(v, &t)));
	OK(is_good(d->login(t, &pin)));
	OK(is_good(d->list_keys(t, &l)));

	OK(l.key[0].has_counter && !l.key[0].can_leave);
	EQ(l.key[0].uses_left, 2);
	OK(kf_is(d->wrap(t, f.handle, &b), KF_E_DENIED));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	OK(is_good(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0)));
	OK(kf_is(sign_and_verify(t, &f, MECH_ECDSA_SHA256, 0), KF_E_LIMIT));
	token_key_list_free(&l);
	token_key_facts_free(&f);
	d->close(t);
}

/* A card that has always more to say. */
struct endless {
	struct card_link link;
	unsigned commands;
};

static kf_err endless_transmit(struct card_link *l, struct slice apdu, struct buf *ret)
{
	static const uint8_t part[256 + 2] = { [256] = 0x61 };
	struct endless *e = (struct endless *)l;
	(void)apdu;
	if (++e->commands > 1000)
		return kf_fail(CLOSED, "for ever");
	buf_clear(ret);
	buf_add(ret, part, sizeof(part));
	return buf_err(ret);
}

static void endless_close(struct card_link *l) { (void)l; }

TEST(an_answer_without_end_is_cut)
{
	static const struct card_link_ops ops = { .transmit = endless_transmit,
		.close = endless_close };
	struct endless e = { .link.ops = &ops };
	struct token *t = NULL;
	OK(kf_is(schsm_open_link(&e.link, &t), KF_E_TOKEN));
	OK(e.commands < 300);
}

TEST(what_cards_are_called_is_harmless_text)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	const struct token_pin so = pin_of(SO_PIN), pin = pin_of(USER_PIN);
	OK(is_good(d->initialise(t, &(struct token_init){ .so_pin = &so,
					    .pin = &pin,
					    .shares = -1,
					    .label = "card\x1b[2J\xff" })));
	OK(generate(t, ALG_P256, "key\x1b[2J\xfc", &f));
	OK(!strcmp(f.label, "key?[2J?"));
	d->close(t);
	OK(is_good(direct_open(v, &t)));
	OK(!strcmp(d->facts(t)->label, "card?[2J?"));
	token_key_facts_free(&f);
	d->close(t);
}

TEST_MAIN
