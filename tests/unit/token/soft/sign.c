/* SPDX-License-Identifier: Apache-2.0 */
#include "../../crypt/keys.h"
#include "../../crypt/pem.h"
#include "crypt/keygen.h"
#include "test.h"
#include "token/soft/engine.h"
#include <pthread.h>
#include <stdlib.h>

static void putp(struct token_key **key) { token_key_put(*key); }
static void closep(struct token_session **s) { soft_close(*s); }

static struct token_key *load(const char *pem)
{
	autobuf der = buf_new(4096);
	struct token_key *key = NULL;
	pem_to_der(pem, &der);
	return kf_ok(soft_key_new(buf_slice(&der), &key)) ? key : NULL;
}

static kf_err sign(struct token_session *s, struct sign_job *job)
{
	soft_sign(s, &job, 1);
	return job->err;
}

static kf_err verify(const struct sign_job *job)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	KF_TRY(pubkey_parse(soft_key_spki(job->key), &pub));
	struct signature s = { job->mech, job->salt, job->is_digest,
		job->outside.p ? job->outside : (struct slice){ job->data, job->n },
		{ job->sig, job->sig_n } };
	return pubkey_verify(pub, &s);
}

static void set_data(struct sign_job *job, size_t n)
{
	job->n = n;
	for (size_t i = 0; i < n; i++)
		job->data[i] = (uint8_t)(i * 7 + n);
}

TEST(every_mechanism_signs_data_and_digests_and_verifies)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp)
	struct token_key *rsa = load(rsa_pem), *ec = load(ec_pem),
			 *ed = load(ed25519_pem);
	static struct sign_job job;
	OK(rsa && ec && ed && kf_ok(soft_open(&s)));

	for (int id = 0; id < MECH_COUNT; id++) {
		job.mech = mech_get((enum mech_id)id);
		job.key = job.mech->family == FAMILY_RSA  ? rsa
			  : job.mech->family == FAMILY_EC ? ec
							  : ed;
		job.salt = SALT_AS_DIGEST;
		for (int round = 0; round < 3; round++) {
			job.is_digest = round == 2 && job.mech->hash != HASH_NONE;
			set_data(&job, job.is_digest ? hash_get(job.mech->hash)->size
						     : (size_t)(100 * round));
			OK(kf_ok(sign(s, &job)));
			OK(job.sig_n <= job.key->alg->sig_max);
			OK(kf_ok(verify(&job)));
		}
	}
}

TEST(a_pss_salt_has_the_length_that_was_asked_for)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *rsa = load(rsa_pem);
	static struct sign_job job;
	const int salts[] = { 0, 20, 32, 222 };
	OK(rsa && kf_ok(soft_open(&s)));
	job.key = rsa;
	job.mech = mech_get(MECH_RSA_PSS_SHA256);
	set_data(&job, 50);

	for (size_t i = 0; i < 4; i++) {
		job.salt = salts[i];
		OK(kf_ok(sign(s, &job)));
		OK(kf_ok(verify(&job)));
		job.salt = 21;
		OK(kf_is(verify(&job), KF_E_CRYPTO));
	}
	job.salt = 223; /* does not fit */
	OK(kf_is(sign(s, &job), KF_E_CRYPTO));
	EQ(job.sig_n, 0);
	job.salt = 32;
	OK(kf_ok(sign(s, &job)));
}

TEST(ed25519_signs_large_data_that_stay_outside)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *ed = load(ed25519_pem);
	static struct sign_job job;
	static uint8_t large[100000] = "large";
	OK(ed && kf_ok(soft_open(&s)));
	job.key = ed;
	job.mech = mech_get(MECH_ED25519);
	job.outside = (struct slice){ large, sizeof(large) };

	OK(kf_ok(sign(s, &job)));

	EQ(job.sig_n, 64);
	OK(kf_ok(verify(&job)));
}

TEST(one_bad_job_spoils_no_neighbour)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *rsa = load(rsa_pem), *ec = load(ec_pem);
	static struct sign_job a, b, c, d;
	struct sign_job *jobs[] = { &a, &b, &c, &d };
	OK(rsa && ec && kf_ok(soft_open(&s)));
	for (int i = 0; i < 4; i++) {
		jobs[i]->key = i == 1 ? rsa : ec;
		jobs[i]->mech = mech_get(MECH_ECDSA_SHA256);
		set_data(jobs[i], 32);
	}
	c.is_digest = true;
	set_data(&c, 31);

	soft_sign(s, jobs, 4);

	OK(kf_is(b.err, KF_E_BAD_PARAMETERS) && kf_is(c.err, KF_E_BAD_PARAMETERS));
	OK(kf_ok(a.err) && kf_ok(d.err) && kf_ok(verify(&a)) && kf_ok(verify(&d)));
}

TEST(digests_for_ed25519_and_too_much_data_are_refused)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *ed = load(ed25519_pem);
	static struct sign_job job;
	OK(ed && kf_ok(soft_open(&s)));
	job.key = ed;
	job.mech = mech_get(MECH_ED25519);
	job.is_digest = true;
	job.n = 32;
	OK(kf_is(sign(s, &job), KF_E_BAD_PARAMETERS));
	job.is_digest = false;
	job.n = JOB_DATA_MAX + 1;
	OK(kf_is(sign(s, &job), KF_E_TOO_BIG));
}

TEST(more_uses_of_a_key_than_slots_still_sign)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *rsa = load(rsa_pem);
	static struct sign_job job;
	OK(rsa && kf_ok(soft_open(&s)));
	job.key = rsa;
	job.mech = mech_get(MECH_RSA_PSS_SHA256);
	set_data(&job, 98);

	for (int i = 0; i < 40; i++) {
		job.salt = i % 13;
		OK(kf_ok(sign(s, &job)));
		OK(kf_ok(verify(&job)));
	}
}

TEST(many_keys_sign)
{
	CLEANUP(closep) struct token_session *s = NULL;
	static struct token_key *keys[300];
	static struct sign_job job;
	bool is_good = kf_ok(soft_open(&s));
	job.mech = mech_get(MECH_ECDSA_SHA256);
	set_data(&job, 98);

	for (int i = 0; i < 300 && is_good; i++) {
		CLEANUP(keypair_free) struct keypair k = { 0 };
		is_good = kf_ok(keypair_generate(alg_get(ALG_P256), &k)) &&
			  kf_ok(soft_key_new(buf_slice(&k.pkcs8), &keys[i]));
	}
	for (int i = 0; i < 600 && is_good; i++) {
		job.key = keys[i % 300];
		is_good = kf_ok(sign(s, &job)) && (i % 10 || kf_ok(verify(&job)));
	}
	for (int i = 0; i < 300; i++)
		token_key_put(keys[i]);

	OK(is_good);
}

TEST(a_key_that_everybody_put_is_forgotten)
{
	CLEANUP(closep) struct token_session *s = NULL;
	struct token_key *key = load(ec_pem);
	static struct sign_job job;
	OK(key && kf_ok(soft_open(&s)));
	job.key = key;
	job.mech = mech_get(MECH_ECDSA_SHA256);
	OK(kf_ok(sign(s, &job)));

	token_key_put(token_key_get(key));
	soft_forget(s); /* still ours: stays */
	OK(kf_ok(sign(s, &job)));
	token_key_put(key);
	soft_forget(s); /* freed now; a leak check would tell */
	soft_forget(s);
}

TEST(what_is_no_private_key_makes_no_handle)
{
	struct token_key *key = NULL;

	OK(kf_is(soft_key_new(SLICE_LIT("nonsense"), &key), KF_E_KEY_FORMAT));
	OK(kf_is(soft_key_new((struct slice){ 0 }, &key), KF_E_KEY_FORMAT));
	OK(!key);
}

/* One byte wrong, `back` bytes before the end: dP, dQ and the coefficient come last. */
static kf_err sign_with_fault(struct token_session *s, struct buf *der, size_t back)
{
	static struct sign_job job;
	CLEANUP(putp) struct token_key *bad = NULL;
	der->p[der->n - back] ^= 2;
	kf_err err = soft_key_new(buf_slice(der), &bad);
	der->p[der->n - back] ^= 2;
	if (!kf_ok(err))
		return kf_fail(INTERNAL, "the planted key was refused");
	job.key = bad;
	job.mech = mech_get(MECH_RSA_PSS_SHA256);
	job.salt = SALT_AS_DIGEST;
	set_data(&job, 98);
	return kf_ok(sign(s, &job)) ? verify(&job) : KF_OK;
}

/* The Bellcore attack needs one signature made with a wrong half; see token/soft/sign.c. */
TEST(a_fault_in_one_crt_half_never_leaves_in_a_signature)
{
	const char *pems[] = { rsa_pem, rsa3072_pem };
	CLEANUP(closep) struct token_session *s = NULL;
	OK(kf_ok(soft_open(&s)));

	for (size_t i = 0; i < 2; i++) {
		autobuf der = buf_new(4096);
		size_t half = i ? 192 : 128;
		pem_to_der(pems[i], &der);
		for (size_t part = 0; part < 3; part++)
			OK(kf_ok(sign_with_fault(s, &der, 20 + part * (half + 3))));
	}
}

TEST(large_rsa_keys_sign_and_are_checked_again)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *rsa = load(rsa3072_pem);
	static struct sign_job job;
	OK(rsa && kf_ok(soft_open(&s)));
	EQ(rsa->alg->cost, COST_WORKER);
	job.key = rsa;
	job.salt = SALT_AS_DIGEST;
	set_data(&job, 98);

	for (int id = MECH_RSA_PKCS1_SHA1; id <= MECH_RSA_PSS_SHA512; id++) {
		job.mech = mech_get((enum mech_id)id);
		OK(kf_ok(sign(s, &job)));
		EQ(job.sig_n, 384);
		OK(kf_ok(verify(&job)));
	}
}

TEST(a_cleared_job_holds_neither_data_nor_signature)
{
	CLEANUP(closep) struct token_session *s = NULL;
	CLEANUP(putp) struct token_key *rsa = load(rsa_pem);
	static struct sign_job job;
	static const uint8_t zero[sizeof(job)];
	OK(rsa && kf_ok(soft_open(&s)));
	job.key = rsa;
	job.mech = mech_get(MECH_RSA_PKCS1_SHA256);
	set_data(&job, 777);
	OK(kf_ok(sign(s, &job)));

	sign_job_clear(&job);

	OK(!memcmp(&job, zero, sizeof(job)));
}

struct crew {
	struct token_key *rsa, *ec;
	bool is_good;
};

static bool sign_some(struct crew *c, struct token_session *s, struct sign_job *job)
{
	bool is_good = true;
	job->salt = SALT_AS_DIGEST;
	for (int i = 0; i < 60 && is_good; i++) {
		job->key = token_key_get(i % 3 ? c->ec : c->rsa);
		job->mech = mech_get(i % 3 ? MECH_ECDSA_SHA256 : MECH_RSA_PSS_SHA256);
		set_data(job, (size_t)i);
		is_good = kf_ok(sign(s, job)) && kf_ok(verify(job));
		token_key_put(job->key);
		if (i % 10 == 0)
			soft_forget(s);
	}
	return is_good;
}

static void *work(void *arg)
{
	struct crew *c = arg;
	CLEANUP(closep) struct token_session *s = NULL;
	struct sign_job *job = calloc(1, sizeof(*job));
	c->is_good = job && kf_ok(soft_open(&s)) && sign_some(c, s, job);
	token_key_put(c->rsa);
	token_key_put(c->ec);
	free(job);
	return NULL;
}

TEST(threads_share_a_key_and_the_last_one_frees_it)
{
	struct crew crew[2];
	pthread_t thread[2];
	struct token_key *rsa = load(rsa_pem), *ec = load(ec_pem);
	OK(rsa && ec);

	for (int i = 0; i < 2; i++) {
		crew[i] = (struct crew){ token_key_get(rsa), token_key_get(ec), false };
		pthread_create(&thread[i], NULL, work, &crew[i]);
	}
	token_key_put(rsa);
	token_key_put(ec);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);

	OK(crew[0].is_good && crew[1].is_good);
}

/* The last test: the heap stays. */
TEST(full_memory_refuses_new_keys_and_signs_with_the_old_ones)
{
	CLEANUP(closep) struct token_session *s = NULL;
	static struct token_key *keys[200];
	static struct sign_job job;
	int n = 0;
	kf_err err = crypt_init(65536);
	OK(kf_ok(err) && kf_ok(soft_open(&s)));

	while (n < 200 && (keys[n] = load(n % 2 ? rsa_pem : ec_pem)))
		n++;
	bool is_good = n > 20 && n < 200;
	for (int i = 0; i < n && is_good; i++) {
		job.key = keys[i];
		job.mech = mech_get(i % 2 ? MECH_RSA_PKCS1_SHA256 : MECH_ECDSA_SHA256);
		set_data(&job, 98);
		is_good = kf_ok(sign(s, &job)) && kf_ok(verify(&job));
	}
	for (int i = 0; i < n; i++)
		token_key_put(keys[i]);

	OK(is_good);
}

TEST_MAIN
