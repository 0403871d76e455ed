/* SPDX-License-Identifier: Apache-2.0 */
#include "../../crypt/keys.h"
#include "../../crypt/pem.h"
#include "crypt/keygen.h"
#include "test.h"
#include "token/soft/engine.h"
#include "vectors.h"
#include <openssl/evp.h>
#include <openssl/rsa.h>

static struct token_session *session;
static struct decrypt_job job;

static struct token_key *load(const char *pem)
{
	autobuf der = buf_new(4096);
	struct token_key *key = NULL;
	if (!session && !kf_ok(soft_open(&session)))
		return NULL;
	pem_to_der(pem, &der);
	return kf_ok(soft_key_new(buf_slice(&der), &key)) ? key : NULL;
}

static void putp(struct token_key **key) { token_key_put(*key); }

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++) {
		unsigned v = 0;
		sscanf(hex + 2 * i, "%2x", &v);
		ret[i] = (uint8_t)v;
	}
	return n;
}

/* Encrypts a block as it is, so that every padding can be made. */
static kf_err encrypt(
	struct token_key *key, const uint8_t *p, size_t n, int pad, uint8_t *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	size_t made = 256;
	KF_TRY(pubkey_parse(soft_key_spki(key), &pub));
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pubkey_pkey(pub), NULL);
	bool is_good = EVP_PKEY_encrypt_init(ctx) > 0 &&
		       EVP_PKEY_CTX_set_rsa_padding(ctx, pad) > 0 &&
		       EVP_PKEY_encrypt(ctx, ret, &made, p, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	return is_good ? KF_OK : kf_fail(CRYPTO, "encrypting");
}

static kf_err run(struct token_key *key, enum decrypt_scheme scheme)
{
	job.key = key;
	job.scheme = scheme;
	job.n = 256;
	soft_decrypt(session, &job);
	return job.err;
}

TEST(the_vectors_of_the_draft_decrypt_as_it_says)
{
	CLEANUP(putp) struct token_key *key = load(draft_key);
	uint8_t want[256];
	OK(key);

	for (size_t i = 0; i < sizeof(draft_vectors) / sizeof(*draft_vectors); i++) {
		size_t n = unhex(draft_vectors[i].plain, want);
		unhex(draft_vectors[i].cipher, job.cipher);
		OK(kf_ok(run(key, DECRYPT_PKCS1)));
		EQ(job.plain_n, n);
		OK(!memcmp(job.plain, want, n));
	}
}

TEST(bad_padding_cannot_be_told_from_a_message)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	uint8_t em[256], first[256];
	OK(key);

	for (int kind = 0; kind < 6; kind++) {
		memset(em, 0x55, sizeof(em));
		em[0] = 0;
		em[1] = kind == 0 ? 1 : 2;
		em[kind == 1 ? 9 : 200] = 0;   /* seven bytes of padding */
		em[kind == 2 ? 200 : 201] = 7; /* no zero at all */
		if (kind == 3)
			em[0] = 0x01;
		if (kind == 4)
			em[2] = 0;
		if (kind == 5)
			memset(em + 2, 0, 254);
		OK(kf_ok(encrypt(key, em, 256, RSA_NO_PADDING, job.cipher)));
		OK(kf_ok(run(key, DECRYPT_PKCS1)));
		size_t n = job.plain_n;
		OK(n <= 245);
		memcpy(first, job.plain, n);
		OK(n != 55 || memcmp(first, em + 201, 55));

		OK(kf_ok(run(key, DECRYPT_PKCS1)));
		OK(job.plain_n == n && !memcmp(job.plain, first, n));
	}
}

TEST(lengths_of_rejected_messages_are_spread)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	unsigned seen[4] = { 0 };
	uint8_t em[256] = { 0 };
	OK(key);

	for (int i = 0; i < 200; i++) {
		em[100] = (uint8_t)i;
		em[101] = 1;
		OK(kf_ok(encrypt(key, em, 256, RSA_NO_PADDING, job.cipher)));
		OK(kf_ok(run(key, DECRYPT_PKCS1)));
		seen[job.plain_n / 62]++;
	}
	for (int i = 0; i < 4; i++)
		OK(seen[i] > 20);
}

TEST(right_pkcs1_and_oaep_messages_come_back)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	OK(key);

	OK(kf_ok(encrypt(
		key, (const uint8_t *)"hello", 5, RSA_PKCS1_PADDING, job.cipher)));
	OK(kf_ok(run(key, DECRYPT_PKCS1)));
	MEMEQ(job.plain, job.plain_n, "hello");

	OK(kf_ok(encrypt(key, (const uint8_t *)"", 0, RSA_PKCS1_PADDING, job.cipher)));
	OK(kf_ok(run(key, DECRYPT_PKCS1)));
	EQ(job.plain_n, 0);

	OK(kf_ok(encrypt(
		key, (const uint8_t *)"hello", 5, RSA_PKCS1_OAEP_PADDING, job.cipher)));
	job.hash = job.mask_hash = HASH_SHA1;
	OK(kf_ok(run(key, DECRYPT_OAEP)));
	MEMEQ(job.plain, job.plain_n, "hello");
}

TEST(oaep_takes_every_pair_of_hashes_a_label_and_the_longest_message)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	uint8_t message[256];
	OK(key && kf_ok(pubkey_parse(soft_key_spki(key), &pub)));
	memset(message, 0x01, sizeof(message));

	for (int i = HASH_SHA1; i < HASH_COUNT; i++) {
		const struct hash *h = hash_get(i), *mask = hash_get(HASH_COUNT - i);
		size_t n = 256 - 2 * h->size - 2, made = 256;
		EVP_MD *md = EVP_MD_fetch(NULL, h->openssl_name, NULL);
		EVP_MD *mgf = EVP_MD_fetch(NULL, mask->openssl_name, NULL);
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pubkey_pkey(pub), NULL);
		OK(EVP_PKEY_encrypt_init(ctx) > 0 &&
			EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
			EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) > 0 &&
			EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf) > 0 &&
			EVP_PKEY_CTX_set0_rsa_oaep_label(
				ctx, OPENSSL_strdup("label"), 5) > 0 &&
			EVP_PKEY_encrypt(ctx, job.cipher, &made, message, n) > 0);
		EVP_PKEY_CTX_free(ctx);
		EVP_MD_free(md);
		EVP_MD_free(mgf);
		memcpy(job.label, "label", job.label_n = 5);
		job.hash = h->id;
		job.mask_hash = mask->id;

		OK(kf_ok(run(key, DECRYPT_OAEP)));
		EQ(job.plain_n, n);
		OK(!memcmp(job.plain, message, n));
	}
	job.label_n = 0;
}

TEST(oaep_fails_in_one_way_only)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	OK(key);
	OK(kf_ok(encrypt(
		key, (const uint8_t *)"hello", 5, RSA_PKCS1_OAEP_PADDING, job.cipher)));
	job.hash = job.mask_hash = HASH_SHA1;

	memcpy(job.label, "x", job.label_n = 1);
	kf_err label = run(key, DECRYPT_OAEP);
	job.label_n = 0;
	job.hash = HASH_SHA256;
	kf_err hash = run(key, DECRYPT_OAEP);
	job.hash = HASH_SHA1;
	job.cipher[255] ^= 1;
	kf_err flipped = run(key, DECRYPT_OAEP);
	memset(job.cipher, 0xff, 256); /* above the modulus */
	kf_err big = run(key, DECRYPT_OAEP);

	OK(label.code == KF_E_DATA && label.site == hash.site);
	OK(flipped.site == hash.site && big.site == hash.site);
	EQ(job.plain_n, 0);
	job.hash = HASH_NONE;
	OK(kf_is(run(key, DECRYPT_OAEP), KF_E_BAD_PARAMETERS));
}

/* 48 bytes of a premaster secret in the padding of a ClientKeyExchange. */
static void premaster_block(uint8_t em[256], uint16_t version)
{
	memset(em, 0x77, 256);
	em[0] = 0;
	em[1] = 2;
	em[256 - 49] = 0;
	em[256 - 48] = (uint8_t)(version >> 8);
	em[256 - 47] = (uint8_t)version;
}

static kf_err run_tls(
	struct token_key *key, const uint8_t em[256], uint16_t client, uint16_t agreed)
{
	KF_TRY(encrypt(key, em, 256, RSA_NO_PADDING, job.cipher));
	job.client_version = client;
	job.negotiated_version = agreed;
	KF_TRY(run(key, DECRYPT_TLS_PREMASTER));
	return job.plain_n == 48 ? KF_OK : kf_fail(INTERNAL, "not 48 bytes");
}

TEST(a_right_premaster_secret_comes_back)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	uint8_t em[256];
	OK(key);

	premaster_block(em, 0x0303);
	OK(kf_ok(run_tls(key, em, 0x0303, 0)));
	OK(!memcmp(job.plain, em + 256 - 48, 48));
	premaster_block(em, 0x0302); /* the agreed version instead of the offered one */
	OK(kf_ok(run_tls(key, em, 0x0303, 0x0302)));
	OK(!memcmp(job.plain, em + 256 - 48, 48));
}

TEST(every_wrong_premaster_secret_gives_random_bytes_anew)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	uint8_t em[256], first[48];
	const size_t wrong[] = { 0, 1, 2, 3, 100, 256 - 50, 256 - 49, 256 - 48,
		256 - 47 };
	OK(key);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		premaster_block(em, 0x0303);
		em[wrong[i]] = em[wrong[i]] == 0x77 ? 0 : em[wrong[i]] ^ 1;
		OK(kf_ok(run_tls(key, em, 0x0303, 0)));
		memcpy(first, job.plain, 48);
		OK(memcmp(first, em + 256 - 48, 48));
		OK(kf_ok(run_tls(key, em, 0x0303, 0)));
		OK(memcmp(first, job.plain, 48));
	}
}

TEST(a_number_above_the_modulus_gives_random_bytes_too)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	OK(key);
	memset(job.cipher, 0xff, 256);
	job.client_version = 0x0303;

	OK(kf_ok(run(key, DECRYPT_TLS_PREMASTER)));

	EQ(job.plain_n, 48);
}

TEST(what_cannot_be_is_refused)
{
	CLEANUP(putp) struct token_key *rsa = load(rsa_pem), *ec = load(ec_pem);
	OK(rsa && ec);

	job.client_version = 0;
	OK(kf_is(run(rsa, DECRYPT_TLS_PREMASTER), KF_E_BAD_PARAMETERS));
	OK(kf_is(run(ec, DECRYPT_PKCS1), KF_E_BAD_PARAMETERS));
	job.key = rsa;
	job.n = 255;
	soft_decrypt(session, &job);
	OK(kf_is(job.err, KF_E_BAD_PARAMETERS));
}

TEST(a_cleared_job_holds_no_secret)
{
	CLEANUP(putp) struct token_key *key = load(rsa_pem);
	static const uint8_t zero[sizeof(job)];
	OK(key);
	memset(&job, 0, sizeof(job));
	OK(kf_ok(encrypt(
		key, (const uint8_t *)"hello", 5, RSA_PKCS1_PADDING, job.cipher)));
	OK(kf_ok(run(key, DECRYPT_PKCS1)));

	decrypt_job_clear(&job);

	OK(!memcmp(&job, zero, sizeof(job)));
	soft_close(session);
	session = NULL;
}

TEST_MAIN
