/* SPDX-License-Identifier: Apache-2.0 */
#include "../../crypt/keys.h"
#include "../../crypt/pem.h"
#include "bench.h"
#include "crypt/ossl.h"
#include "test.h"
#include "token/pad.h"
#include <pthread.h>

static kf_err bench_list(struct bench *b)
{
	KF_TRY(bench_open(b));
	return DRIVER->list_keys(b->token, &b->list);
}

static struct token_key_facts *key_of(struct bench *b, enum alg_family family)
{
	for (size_t i = 0; i < b->list.n; i++)
		if (b->list.key[i].alg && b->list.key[i].alg->family == family)
			return &b->list.key[i];
	return NULL;
}

static struct sign_job job;

static kf_err sign(
	struct bench *b, const struct token_key_facts *k, enum mech_scheme scheme)
{
	job.mech = mech_find(scheme, HASH_SHA256);
	job.is_digest = true;
	job.salt = SALT_AS_DIGEST;
	job.n = 32;
	memset(job.data, 42, job.n);
	return DRIVER->sign(b->token, k->handle, &job);
}

static kf_err verify(const struct token_key_facts *k)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	KF_TRY(pubkey_parse((struct slice){ k->spki.p, k->spki.n }, &public));
	struct signature s = { job.mech, job.salt, true, pad_input(&job),
		{ job.sig, job.sig_n } };
	return pubkey_verify(public, &s);
}

TEST(keys_are_listed_and_sign_also_with_what_the_token_lacks)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	struct token_key_facts *rsa = key_of(&b, FAMILY_RSA), *ec = key_of(&b, FAMILY_EC);

	EQ(b.list.n, 2);
	OK(rsa && ec && rsa->can_sign && rsa->can_decrypt && ec->can_sign);
	OK(kf_ok(sign(&b, rsa, SCHEME_RSA_PKCS1)) && kf_ok(verify(rsa)));
	OK(kf_ok(sign(&b, rsa, SCHEME_RSA_PSS)) && kf_ok(verify(rsa))); /* padded here */
	OK(kf_ok(sign(&b, ec, SCHEME_ECDSA)) && kf_ok(verify(ec)));
	OK(kf_is(sign(&b, ec, SCHEME_RSA_PSS), KF_E_BAD_PARAMETERS));
	OK(kf_is(DRIVER->sign(b.token, 99, &job), KF_E_NOT_FOUND));
}

TEST(texts_of_a_token_are_cut_and_harmless)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	const struct token_facts *f = DRIVER->facts(b.token);

	OK(!strcmp(f->label, "bad??? label?[2J"));
	OK(!strcmp(f->serial, "xxxxxxxxxxxxxxxx"));
}

/* ---- PINs ---- */

TEST(a_wrong_pin_costs_one_try_once)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	CLEANUP(bad_close_token) struct token *t = NULL;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)) && kf_ok(bad_open(s, &t)));

	OK(kf_is(bad_login(t, "9999"), KF_E_AUTH));
	EQ(DRIVER->facts(t)->pin_tries, 2);
	for (int i = 0; i < 3; i++)
		OK(kf_is(bad_login(t, "1234"), KF_E_AUTH));
	EQ(faults->calls("Login"), 1);

	DRIVER->close(t);
	t = NULL;
	OK(kf_ok(bad_open(s, &t)));
	OK(kf_is(bad_login(t, "1234"), KF_E_AUTH)); /* two tries are left: for people */
	EQ(faults->calls("Login"), 1);
}

TEST(a_pin_whose_answer_is_lost_is_told_with_the_tries_that_were_left)
{
	static const CK_RV rv[] = { CKR_DEVICE_REMOVED, CKR_PIN_INCORRECT, CKR_OK };
	bad_load();
	for (int i = 0; i < 3; i++) {
		CLEANUP(bad_close_source) struct token_source *s = NULL;
		CLEANUP(bad_close_token) struct token *t = NULL;
		faults->reset();
		OK(kf_ok(bad_source(&s)) && kf_ok(bad_open(s, &t)));
		faults->answer("Login", rv[i]);

		kf_err e = bad_login(t, "1234");

		OK(kf_is(e, KF_E_AUTH) == (i == 1) && kf_ok(e) == (i == 2));
		EQ(DRIVER->facts(t)->pin_asked, i == 0 ? TOKEN_TRIES_ENOUGH : 0);
		faults->answer("Login", CKR_OK);
	}
}

TEST(a_login_that_is_refused_without_a_reason_is_not_tried_again)
{
	static const CK_RV rv[] = { CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED };
	bad_load();
	for (int i = 0; i < 2; i++) {
		CLEANUP(bad_close_source) struct token_source *s = NULL;
		CLEANUP(bad_close_token) struct token *t = NULL;
		faults->reset();
		OK(kf_ok(bad_source(&s)) && kf_ok(bad_open(s, &t)));

		faults->answer("Login", rv[i]);
		OK(kf_is(bad_login(t, "1234"), KF_E_AUTH));
		faults->answer("Login", CKR_OK);
		OK(kf_is(bad_login(t, "1234"), KF_E_AUTH));
		EQ(faults->calls("Login"), 1);
	}
}

TEST(no_pin_is_tried_when_the_token_says_that_tries_are_few)
{
	static const CK_FLAGS flags[] = { CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
		CKF_USER_PIN_LOCKED, CKF_PROTECTED_AUTHENTICATION_PATH };
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)));

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		CLEANUP(bad_close_token) struct token *t = NULL;
		OK(kf_ok(bad_open(s, &t)));
		*faults->flags = flags[i];
		OK(kf_is(bad_login(t, "1234"), KF_E_AUTH));
	}
	EQ(faults->calls("Login"), 0);
}

TEST(a_lost_login_is_renewed_once)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	struct token_key_facts *ec = key_of(&b, FAMILY_EC);

	faults->forget_login();
	OK(kf_ok(sign(&b, ec, SCHEME_ECDSA)) && kf_ok(verify(ec)));
	EQ(faults->calls("Login"), 2);

	faults->answer("SignInit", CKR_USER_NOT_LOGGED_IN);
	OK(kf_is(sign(&b, ec, SCHEME_ECDSA), KF_E_TOKEN));
	EQ(faults->calls("Login"), 3);
}

TEST(a_lost_login_is_not_renewed_with_few_tries_left)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));

	faults->forget_login();
	*faults->flags = CKF_USER_PIN_FINAL_TRY;
	OK(kf_is(sign(&b, key_of(&b, FAMILY_EC), SCHEME_ECDSA), KF_E_AUTH));
	EQ(faults->calls("Login"), 1);
}

TEST(a_key_that_wants_the_pin_each_time_gets_it)
{
	static const CK_BBOOL yes = CK_TRUE;
	autobench b = { 0 };
	bad_load();
	OK(kf_ok(bench_list(&b)));
	faults->set(CKO_PRIVATE_KEY, CKA_ALWAYS_AUTHENTICATE, &yes, sizeof(yes));
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	struct token_key_facts *ec = key_of(&b, FAMILY_EC);

	unsigned before = faults->calls("Login");
	OK(kf_ok(sign(&b, ec, SCHEME_ECDSA)) && kf_ok(verify(ec)));
	OK(kf_ok(sign(&b, ec, SCHEME_ECDSA)) && kf_ok(verify(ec)));
	EQ(faults->calls("Login") - before, 2);

	faults->answer("Login", CKR_PIN_INCORRECT);
	OK(kf_is(sign(&b, ec, SCHEME_ECDSA), KF_E_AUTH));
	faults->answer("Login", CKR_OK);
	before = faults->calls("Login");
	OK(kf_is(sign(&b, ec, SCHEME_ECDSA), KF_E_AUTH));
	EQ(faults->calls("Login"), before);
}

/* ---- a token that goes ---- */

TEST(a_pulled_token_is_closed_and_comes_back_without_finalize)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	struct token_key_facts *ec = key_of(&b, FAMILY_EC);

	faults->plug(0);
	OK(kf_is(sign(&b, ec, SCHEME_ECDSA), KF_E_CLOSED));
	OK(kf_is(DRIVER->probe(b.token), KF_E_CLOSED));
	DRIVER->close(b.token);
	b.token = NULL;
	OK(kf_is(bad_open(b.source, &b.token), KF_E_NOT_FOUND));

	faults->plug(1);
	OK(kf_ok(bad_open(b.source, &b.token)) && kf_ok(bad_login(b.token, "1234")));
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	OK(kf_ok(sign(&b, key_of(&b, FAMILY_EC), SCHEME_ECDSA)));
	EQ(faults->calls("Finalize"), 0);
	EQ(faults->calls("Initialize"), 1);
}

TEST(what_was_begun_when_the_token_went_is_not_known)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	struct token_key_facts *rsa = key_of(&b, FAMILY_RSA);

	faults->answer("Sign", CKR_DEVICE_REMOVED);
	OK(kf_is(sign(&b, rsa, SCHEME_RSA_PKCS1), KF_E_TOKEN));
	faults->answer("Sign", CKR_DEVICE_ERROR);
	OK(kf_is(sign(&b, rsa, SCHEME_RSA_PKCS1), KF_E_TOKEN));
	faults->answer("SignInit", CKR_DEVICE_REMOVED);
	OK(kf_is(sign(&b, rsa, SCHEME_RSA_PKCS1), KF_E_CLOSED));
}

/* ---- keys with problems ---- */

TEST(keys_without_a_public_half_or_with_two_have_a_problem)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));

	faults->set(CKO_PUBLIC_KEY, CKA_ID, "same", 4);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	EQ(b.list.n, 2);
	OK(!b.list.key[0].alg && strstr(b.list.key[0].problem, "no public key"));
	OK(kf_is(sign(&b, &b.list.key[0], SCHEME_RSA_PKCS1), KF_E_UNSUPPORTED));

	faults->set(CKO_PRIVATE_KEY, CKA_ID, "same", 4);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	OK(key_of(&b, FAMILY_RSA) && key_of(&b, FAMILY_EC)); /* of different kinds */

	struct token_key_facts f;
	struct token_new_key in = { .alg = alg_get(ALG_P256), .label = "new" };
	OK(kf_ok(DRIVER->generate(b.token, &in, &f)));
	token_key_facts_free(&f);
	faults->set(CKO_PUBLIC_KEY, CKA_ID, "same", 4);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	OK(key_of(&b, FAMILY_RSA) && !key_of(&b, FAMILY_EC));
	OK(strstr(b.list.key[1].problem, "several"));
}

/* A certificate for the module's EC key, signed by itself. */
static kf_err make_certificate(struct buf *ret)
{
	autobuf der = buf_new(4096);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	pem_to_der(ec_pem, &der);
	KF_TRY(ossl_parse_private(buf_slice(&der), &pkey));
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"www", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, pkey);
	if (!X509_sign(x, pkey, EVP_sha256()))
		return ossl_fail(CRYPTO, "certificate");
	unsigned char *p = NULL;
	int n = i2d_X509(x, &p);
	if (n > 0)
		buf_add(ret, p, (size_t)n);
	OPENSSL_free(p);
	return buf_err(ret);
}

TEST(a_certificate_will_do_as_public_half)
{
	autobench b = { 0 };
	autobuf der = buf_new(4096);
	OK(kf_ok(bench_list(&b)) && kf_ok(make_certificate(&der)));
	unsigned ec = key_of(&b, FAMILY_EC)->handle, rsa = key_of(&b, FAMILY_RSA)->handle;
	struct slice cert = buf_slice(&der);

	OK(kf_is(DRIVER->store_certificate(b.token, rsa, CERTIFICATE_OF_KEY, cert),
		KF_E_BAD_PARAMETERS));
	OK(kf_is(DRIVER->store_certificate(b.token, ec, CERTIFICATE_REQUEST_OF_KEY, cert),
		KF_E_UNSUPPORTED));
	OK(kf_ok(DRIVER->store_certificate(b.token, ec, CERTIFICATE_OF_KEY, cert)));
	faults->set(CKO_PUBLIC_KEY, CKA_ID, "elsewhere", 9);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	struct token_key_facts *k = key_of(&b, FAMILY_EC);
	OK(k && k->handle == ec && slice_eq(buf_slice(&k->certificate), cert));
	OK(kf_ok(sign(&b, k, SCHEME_ECDSA)) && kf_ok(verify(k)));
	OK(!key_of(&b, FAMILY_RSA));
}

TEST(a_damaged_public_half_is_a_problem_of_its_key_only)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));

	faults->set(CKO_PUBLIC_KEY, CKA_EC_POINT, "\x04\x02\x04\x00", 4);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	EQ(b.list.n, 2);
	OK(key_of(&b, FAMILY_RSA) && !key_of(&b, FAMILY_EC));
}

TEST(handles_stay_when_keys_are_listed_anew_and_others_go)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));
	unsigned rsa = key_of(&b, FAMILY_RSA)->handle, ec = key_of(&b, FAMILY_EC)->handle;

	OK(kf_ok(DRIVER->delete_key(b.token, rsa)));
	OK(kf_is(DRIVER->delete_key(b.token, rsa), KF_E_NOT_FOUND));
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	EQ(b.list.n, 1);
	EQ(b.list.key[0].handle, ec);
}

/* ---- provisioning ---- */

static const uint8_t share[32] = { 1, 2, 3 };

static kf_err generate(struct bench *b)
{
	struct token_key_facts f;
	struct token_new_key in = {
		.alg = alg_get(ALG_P256), .label = "new", .may_leave = true
	};
	KF_TRY(DRIVER->generate(b->token, &in, &f));
	token_key_facts_free(&f);
	return DRIVER->list_keys(b->token, &b->list);
}

static size_t count_objects(struct bench *b)
{
	return kf_ok(DRIVER->list_keys(b->token, &b->list)) ? b->list.n : 99;
}

TEST(a_key_that_cannot_be_finished_is_destroyed_again)
{
	static const char *const steps[] = { "GetAttributeValue", "SignInit", "Sign",
		"FindObjects" };
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		faults->answer(steps[i], CKR_GENERAL_ERROR);
		OK(!kf_ok(generate(&b)));
		faults->answer(steps[i], CKR_OK);
		EQ(count_objects(&b), 2);
	}
	OK(kf_ok(generate(&b)));
	EQ(count_objects(&b), 3);
}

TEST(another_key_than_asked_for_is_not_kept)
{
	autobench b = { 0 };
	struct token_key_facts f;
	struct token_new_key in = { .alg = alg_get(ALG_P384), .label = "new" };
	OK(kf_ok(bench_list(&b)));

	OK(kf_is(DRIVER->generate(b.token, &in, &f),
		KF_E_TOKEN)); /* it makes P-256 only */
	EQ(count_objects(&b), 2);
	in = (struct token_new_key){
		.alg = alg_get(ALG_P256), .label = "new", .uses = 3
	};
	OK(kf_is(DRIVER->generate(b.token, &in, &f), KF_E_UNSUPPORTED));
}

static kf_err wrap(struct bench *b, struct token_blob *ret)
{
	return DRIVER->wrap(b->token, key_of(b, FAMILY_EC)->handle, ret);
}

TEST(keys_travel_under_the_wrapping_key_and_are_proved)
{
	autobench b = { 0 };
	CLEANUP(token_blob_free) struct token_blob blob = { 0 };
	struct token_key_facts f;
	OK(kf_ok(bench_list(&b)));

	OK(kf_is(wrap(&b, &blob), KF_E_UNSUPPORTED)); /* no wrapping key yet */
	OK(kf_ok(DRIVER->import_share(b.token, share)));
	OK(kf_ok(DRIVER->import_share(b.token, share)));
	OK(kf_is(DRIVER->import_share(b.token, (const uint8_t[32]){ 9 }), KF_E_EXISTS));
	OK(DRIVER->facts(b.token)->has_kcv);
	OK(kf_ok(wrap(&b, &blob)));
	OK(kf_is(DRIVER->unwrap(b.token, &blob, &f), KF_E_EXISTS));

	blob.kcv[0] ^= 1;
	OK(kf_is(DRIVER->unwrap(b.token, &blob, &f), KF_E_CONFLICT));
	blob.kcv[0] ^= 1;
	blob.wrapped.p[0] = 1; /* the RSA key's handle: another key than the blob says */
	faults->set(CKO_PRIVATE_KEY, CKA_ID, "none", 4);
	OK(kf_ok(DRIVER->list_keys(b.token, &b.list)));
	OK(!kf_ok(DRIVER->unwrap(b.token, &blob, &f)));
	EQ(count_objects(&b), 2);
}

/* ---- a module that lies and fails in every way ---- */

static const char *const functions[] = { "GetSlotList", "GetSlotInfo", "GetTokenInfo",
	"WaitForSlotEvent", "GetMechanismInfo", "InitToken", "InitPIN", "SetPIN",
	"OpenSession", "CloseSession", "GetSessionInfo", "Login", "Logout",
	"CreateObject", "DestroyObject", "GetAttributeValue", "SetAttributeValue",
	"FindObjectsInit", "FindObjects", "FindObjectsFinal", "EncryptInit", "Encrypt",
	"DecryptInit", "Decrypt", "SignInit", "Sign", "GenerateKeyPair", "WrapKey",
	"UnwrapKey", "GenerateRandom" };

static bool use_keys(struct bench *b)
{
	uint8_t cipher[256] = { 0, 1 }, plain[256];
	bool is_good = true;
	for (size_t i = 0; i < b->list.n; i++) {
		CLEANUP(token_blob_free) struct token_blob blob = { 0 };
		struct token_key_facts *k = &b->list.key[i], f;
		bool is_rsa = k->alg && k->alg->family == FAMILY_RSA;
		is_good &= is_of_the_contract(
			sign(b, k, is_rsa ? SCHEME_RSA_PSS : SCHEME_ECDSA));
		is_good &= is_of_the_contract(DRIVER->decrypt_raw(
			b->token, k->handle, cipher, sizeof(cipher), plain));
		kf_err err = DRIVER->wrap(b->token, k->handle, &blob);
		is_good &= is_of_the_contract(err);
		err = kf_ok(err) ? DRIVER->unwrap(b->token, &blob, &f) : err;
		is_good &= is_of_the_contract(err) && !kf_ok(err);
	}
	return is_good;
}

/* Everything that there is to do, whatever comes of it. */
static bool do_everything(struct bench *b)
{
	uint8_t random[16];
	struct token_pin pin = { 4, "1234" };
	struct token_init init = { .so_pin = &pin, .pin = &pin, .label = "label" };
	bool is_good = is_of_the_contract(DRIVER->probe(b->token));
	is_good &= is_of_the_contract(DRIVER->import_share(b->token, share));
	is_good &= is_of_the_contract(DRIVER->list_keys(b->token, &b->list));
	is_good &= is_of_the_contract(DRIVER->random(b->token, random, sizeof(random)));
	is_good &= use_keys(b);
	is_good &= is_of_the_contract(generate(b));
	is_good &= is_of_the_contract(DRIVER->change_pin(b->token, &pin, &pin));
	if (b->list.n)
		is_good &= is_of_the_contract(
			DRIVER->delete_key(b->token, b->list.key[0].handle));
	return is_good && is_of_the_contract(DRIVER->initialise(b->token, &init));
}

TEST(every_answer_of_every_function_is_an_error_of_the_contract)
{
	static const CK_RV answers[] = { CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID,
		CKR_BUFFER_TOO_SMALL, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN, ~0UL };
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++)
		for (size_t a = 0; a < sizeof(answers) / sizeof(*answers); a++) {
			autobench b = { 0 };
			OK(kf_ok(bench_list(&b)));
			faults->answer(functions[f], answers[a]);
			OK(do_everything(&b));
		}
}

TEST(every_length_of_every_function_may_lie)
{
	static const CK_ULONG lengths[] = { 0, 65, 1025, 1UL << 32, 1UL << 63, ~0UL };
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++)
		for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
			autobench b = { 0 };
			OK(kf_ok(bench_list(&b)));
			faults->lie(functions[f], lengths[l]);
			OK(do_everything(&b));
		}
}

TEST(a_module_that_lies_from_the_start_does_no_harm)
{
	static const CK_ULONG lengths[] = { 300, ~0UL };
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++)
		for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
			autobench b = { 0 };
			bad_load();
			faults->reset();
			faults->lie(functions[f], lengths[l]);
			OK(kf_ok(bad_source(&b.source)));
			if (kf_ok(bad_open(b.source, &b.token)) &&
				kf_ok(bad_login(b.token, "1234")))
				OK(do_everything(&b));
		}
}

TEST(a_signature_of_another_length_is_refused)
{
	autobench b = { 0 };
	OK(kf_ok(bench_list(&b)));

	faults->lie("Sign", 63);
	OK(kf_is(sign(&b, key_of(&b, FAMILY_EC), SCHEME_ECDSA), KF_E_TOKEN));
	faults->lie("Sign", 255);
	OK(kf_is(sign(&b, key_of(&b, FAMILY_RSA), SCHEME_RSA_PKCS1), KF_E_TOKEN));
	faults->lie("Sign", JOB_SIG_MAX + 1);
	OK(kf_is(sign(&b, key_of(&b, FAMILY_RSA), SCHEME_RSA_PKCS1), KF_E_TOKEN));
	EQ(job.sig_n, 0);
}

TEST_MAIN
