/* SPDX-License-Identifier: Apache-2.0
 *
 * work: one operation of a token.  The thread works on its own copy of the job, so that a token that
 * hangs may answer when it likes; only who still has the job when it is done fills in the result.  Nothing
 * leaves that does not fit the public key.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include "token/unpad.h"
#include "token/use.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSALS_MAX = 8, AVERAGE = 8 };

void worker_begin(struct worker *w, uint64_t limit_ns)
{
	w->begun_ns = clock_monotonic_ns();
	w->suspect_ns = w->begun_ns + limit_ns;
	keeper_arm(w->pool, w->suspect_ns);
	pthread_mutex_unlock(&w->pool->lock);
}

uint64_t worker_end(struct worker *w)
{
	uint64_t now = clock_monotonic_ns();
	pthread_mutex_lock(&w->pool->lock);
	w->suspect_ns = 0;
	w->was_late = w->is_hung;
	w->is_hung = w->must_interrupt = false;
	if (w->card)
		w->card->count.busy_ns += now - w->begun_ns;
	return now - w->begun_ns;
}

void worker_forgive(struct worker *w)
{
	if (!w->was_late)
		return;
	w->was_late = false;
	worker_settle(w);
}

static uint64_t limit_of(const struct worker *w, const struct alg *alg, enum pool_op op)
{
	uint64_t most = ns_of_ms(w->pool->timeout_ms);
	uint64_t limit = HUNG_FACTOR * service_of(w, alg, op);
	if (op == OP_USE) /* of any length */
		return most;
	if (limit < ns_of_ms(HUNG_FLOOR_MS))
		limit = ns_of_ms(HUNG_FLOOR_MS);
	return limit < most && service_of(w, alg, op) ? limit : most;
}

static void learn(struct worker *w, const struct alg *alg, enum pool_op op, uint64_t ns)
{
	if (!w->card)
		return;
	uint64_t *average = &w->card->service_ns[alg->id][op];
	*average = *average ? *average - *average / AVERAGE + ns / AVERAGE : ns;
}

/* ---- signatures ---- */

static kf_err hash_data(struct worker *w, struct sign_job *s)
{
	const struct hash *h = hash_get(s->mech->hash);
	struct slice data = s->outside.p ? s->outside : (struct slice){ s->data, s->n };
	uint8_t digest[HASH_SIZE_MAX];
	if (!w->md_ctx)
		w->md_ctx = EVP_MD_CTX_new();
	if (!w->md[h->id])
		w->md[h->id] = EVP_MD_fetch(NULL, h->openssl_name, NULL);
	if (!w->md_ctx || !w->md[h->id] ||
		!EVP_DigestInit_ex2(w->md_ctx, w->md[h->id], NULL) ||
		!EVP_DigestUpdate(w->md_ctx, data.p, data.n) ||
		!EVP_DigestFinal_ex(w->md_ctx, digest, NULL))
		return ossl_fail(INTERNAL, "hashing");
	memcpy(s->data, digest, h->size);
	explicit_bzero(digest, sizeof(digest));
	s->outside = (struct slice){ 0 };
	s->n = h->size;
	s->is_digest = true;
	return KF_OK;
}

/* What is wrong with a result is told apart from what the token says. */
struct outcome {
	kf_err err;
	bool is_wrong;
};

static struct outcome wrong(kf_err e) { return (struct outcome){ e, true }; }
static struct outcome said(kf_err e) { return (struct outcome){ e, false }; }

static struct outcome make_signature(
	struct worker *w, const struct pool_key_group *g, unsigned handle)
{
	struct sign_job *s = &w->sign;
	kf_err e = KF_OK;
	if (s->mech->hash && !s->is_digest)
		e = hash_data(w, s);
	if (kf_ok(e))
		e = w->pool->driver->sign(w->token, handle, s);
	if (!kf_ok(e))
		return said(e);
	struct signature made = { .mech = s->mech,
		.salt = s->salt,
		.is_digest = s->is_digest,
		.data = s->outside.p ? s->outside : (struct slice){ s->data, s->n },
		.sig = { s->sig, s->sig_n } };
	if (s->sig_n > sizeof(s->sig))
		return wrong(kf_fail(CRYPTO, "token made a signature that is too long"));
	e = pubkey_verify(g->pubkey, &made);
	return kf_is(e, KF_E_CRYPTO)
		       ? wrong(kf_fail(CRYPTO, "token made a signature that is wrong"))
		       : said(e);
}

/* ---- decryption ---- */

static kf_err encrypt_raw(const struct pool_key_group *g, struct slice em, uint8_t *ret)
{
	size_t n = JOB_CIPHER_MAX;
	int pad = RSA_NO_PADDING;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad),
		OSSL_PARAM_construct_end(),
	};
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx =
		EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(g->pubkey), NULL);
	if (!ctx || EVP_PKEY_encrypt_init_ex(ctx, list) <= 0 ||
		EVP_PKEY_encrypt(ctx, ret, &n, em.p, em.n) <= 0 || n != em.n)
		return ossl_fail(CRYPTO, "encrypting with the public key");
	return KF_OK;
}

/* The bare result, proved by the public key. */
static struct outcome use_private_key(struct worker *w, const struct pool_key_group *g,
	unsigned handle, const uint8_t *cipher)
{
	uint8_t again[JOB_CIPHER_MAX];
	size_t n = g->key.alg->sig_max;
	kf_err e = w->pool->driver->decrypt_raw(w->token, handle, cipher, n, w->em);
	if (!kf_ok(e))
		return said(e);
	e = encrypt_raw(g, (struct slice){ w->em, n }, again);
	if (!kf_ok(e) || CRYPTO_memcmp(again, cipher, n))
		return wrong(kf_fail(CRYPTO, "token decrypted wrongly"));
	return said(KF_OK);
}

/* A number above the modulus is nobody's ciphertext; no token is asked. */
static struct outcome make_plain(
	struct worker *w, const struct pool_key_group *g, unsigned handle)
{
	struct decrypt_job *d = &w->decrypt;
	struct slice em = { w->em, d->n };
	struct outcome o = said(KF_OK);
	if (memcmp(d->cipher, g->modulus, d->n) >= 0)
		em.n = 0;
	else
		o = use_private_key(w, g, handle, d->cipher);
	/* What padding says is the answer, whatever the token. */
	if (kf_ok(o.err))
		d->err = unpad(d, handle_of(d->key)->reject, em);
	OPENSSL_cleanse(w->em, sizeof(w->em));
	return o;
}

/* ---- what AES keys do, and keys that agree ---- */

static struct outcome make_use(
	struct worker *w, const struct pool_key_group *g, unsigned handle)
{
	const struct use_key k = { w->pool->driver, w->token, handle, g->key.alg };
	bool is_wrong = false;
	buf_free(&w->used);
	w->used = buf_new(w->use.in.n + 2 * JOB_CIPHER_MAX);
	const kf_err e = use_run(&k, &w->use, &w->used, &is_wrong);
	/* That something was not wrapped with this key is the answer, whatever the token. */
	const bool is_answer =
		w->use.kind >= USE_WRAP && kf_is(e, KF_E_DATA) && !is_wrong;
	w->use.err = is_answer ? e : KF_OK;
	return (struct outcome){ is_answer ? KF_OK : e, is_wrong };
}

/* ---- copies of jobs ---- */

static kf_err copy_sign(struct worker *w, const struct sign_job *from)
{
	struct sign_job *to = &w->sign;
	if (from->n > sizeof(from->data))
		return kf_fail(BAD_PARAMETERS, "more data than a job holds");
	memcpy(to, from, offsetof(struct sign_job, data));
	memcpy(to->data, from->data, from->n);
	to->sig_n = 0;
	token_key_get(to->key);
	if (!from->outside.p)
		return KF_OK;
	buf_clear(&w->outside);
	buf_add_slice(&w->outside, from->outside);
	to->outside = buf_slice(&w->outside);
	return buf_err(&w->outside);
}

static kf_err copy_decrypt(struct worker *w, const struct decrypt_job *from)
{
	struct decrypt_job *to = &w->decrypt; /* lengths: unpad_check() */
	memcpy(to, from, offsetof(struct decrypt_job, cipher));
	memcpy(to->cipher, from->cipher, from->n);
	memcpy(to->label, from->label, from->label_n);
	to->plain_n = 0;
	token_key_get(to->key);
	return KF_OK;
}

static kf_err copy_use(struct worker *w, const struct use_job *from)
{
	struct use_job *to = &w->use;
	*to = *from;
	to->out = NULL;
	token_key_get(to->key);
	buf_clear(&w->outside);
	buf_add_slice(&w->outside, from->in);
	to->in = buf_slice(&w->outside);
	return buf_err(&w->outside);
}

static kf_err copy_in(struct worker *w, const struct pool_job *j)
{
	return j->sign      ? copy_sign(w, j->sign)
	       : j->decrypt ? copy_decrypt(w, j->decrypt)
			    : copy_use(w, j->use);
}

static kf_err copy_out(struct worker *w, struct pool_job *j)
{
	if (j->sign) {
		memcpy(j->sign->sig, w->sign.sig, w->sign.sig_n);
		j->sign->sig_n = w->sign.sig_n;
		return KF_OK;
	}
	if (j->use) {
		if (kf_ok(w->use.err))
			buf_add_slice(j->use->out, buf_slice(&w->used));
		return kf_ok(w->use.err) ? buf_err(j->use->out) : w->use.err;
	}
	memcpy(j->decrypt->plain, w->decrypt.plain, w->decrypt.plain_n);
	j->decrypt->plain_n = w->decrypt.plain_n;
	return w->decrypt.err;
}

static void clear_copies(struct worker *w)
{
	token_key_put(w->sign.key);
	token_key_put(w->decrypt.key);
	token_key_put(w->use.key);
	OPENSSL_cleanse(&w->use, sizeof(w->use));
	buf_free(&w->used);
	sign_job_clear(&w->sign);
	decrypt_job_clear(&w->decrypt);
	if (w->outside.n)
		buf_clear(&w->outside);
}

/* ---- what follows ---- */

static void count(struct worker *w, enum pool_op op, const struct outcome *o)
{
	if (!w->card)
		return;
	w->card->count.signatures += kf_ok(o->err) && op == OP_SIGN;
	w->card->count.decryptions += kf_ok(o->err) && op == OP_DECRYPT;
	w->card->count.uses += kf_ok(o->err) && op == OP_USE;
	w->card->count.failures += !kf_ok(o->err);
	w->card->count.wrong += o->is_wrong;
}

/* One that answers late is asked whether it is well again. */
static kf_err recover(struct worker *w)
{
	if (!w->was_late)
		return KF_OK;
	worker_begin(w, ns_of_ms(w->pool->timeout_ms));
	kf_err e = w->pool->driver->probe(w->token);
	worker_end(w);
	w->was_late = false;
	return e;
}

/* What the token may do from now on; an error: it must be opened anew. */
static kf_err judge(struct worker *w, struct held *h, const struct outcome *o)
{
	worker_why(w, o->err);
	struct card *c = card_find(w->pool, w->facts.serial);
	if (o->is_wrong && c)
		c->is_wrong = true;
	if (kf_is(o->err, KF_E_AUTH))
		worker_refuse_pin(w, o->err);
	if (kf_is(o->err, KF_E_LIMIT) || kf_is(o->err, KF_E_NOT_FOUND)) {
		h->proof = PROOF_FAILED;
		w->problems++;
	}
	if (kf_ok(o->err))
		w->refusals = 0;
	else if (!kf_is(o->err, KF_E_BAD_PARAMETERS) && !kf_is(o->err, KF_E_UNSUPPORTED))
		w->refusals++;
	if (fails_token(o->err))
		return o->err;
	if (w->refusals >= REFUSALS_MAX) {
		w->refusals = 0;
		return kf_fail(TOKEN, "token fails again and again");
	}
	return KF_OK;
}

/* What a token says of our login, or of what it holds, is not the caller's: another key server may do it. */
static kf_err for_caller(kf_err e)
{
	return kf_is(e, KF_E_AUTH) || kf_is(e, KF_E_NOT_FOUND)
		       ? kf_fail(UNAVAILABLE, "no token lets the key be used")
		       : e;
}

/* For another token, or back to the caller. */
static void hand_back(struct worker *w, struct pool_job *j, const struct outcome *o)
{
	kf_err err = o->err;
	if (!kf_ok(err)) {
		uint64_t *mine = w->is_open ? j->own.refused : j->own.failed;
		mine[w->slot / 64] |= (uint64_t)1 << w->slot % 64;
		if (queue_retry(w->pool, j, err))
			return;
	}
	if (kf_ok(err) && w->card)
		memcpy(j->token, w->card->serial, sizeof(j->token));
	queue_forget(w->pool, j);
	pthread_mutex_unlock(&w->pool->lock);
	job_finish(j, kf_ok(err) ? copy_out(w, j) : for_caller(err));
	pthread_mutex_lock(&w->pool->lock);
}

static struct outcome perform(struct worker *w, const struct pool_key_group *g,
	unsigned handle, enum pool_op op)
{
	return op == OP_SIGN      ? make_signature(w, g, handle)
	       : op == OP_DECRYPT ? make_plain(w, g, handle)
				  : make_use(w, g, handle);
}

kf_err worker_attempt(struct worker *w, struct pool_job *j, struct held *h)
{
	struct pool_key_group *g = h->group; /* held while this thread is at work */
	enum pool_op op = op_of(j);
	struct outcome o = said(copy_in(w, j));
	j->tries++;
	j->own.begun_ns = clock_monotonic_ns();
	j->waited_ns = j->own.begun_ns - j->own.submitted_ns;
	w->job = j;
	worker_begin(w, limit_of(w, g->key.alg, op));
	if (kf_ok(o.err))
		o = perform(w, g, h->handle, op);
	uint64_t took = worker_end(w);
	bool is_ours = w->job == j;
	w->job = NULL;
	if (kf_ok(o.err) && is_ours)
		learn(w, g->key.alg, op, took);
	count(w, op, &o);
	kf_err token = judge(w, h, &o);
	if (!kf_ok(token))
		worker_fail(w);
	if (!kf_ok(o.err))
		worker_settle(w); /* before the job looks for another token */
	if (is_ours) {
		j->worked_ns = took;
		hand_back(w, j, &o);
	}
	clear_copies(w);
	if (is_ours || !kf_ok(token))
		return token;
	token = recover(w);
	if (!kf_ok(token))
		worker_fail(w);
	worker_settle(w);
	return token;
}

/* ---- proofs ---- */

static const struct mech *mech_for(const struct alg *alg)
{
	static const enum mech_id by_family[] = { [FAMILY_RSA] = MECH_RSA_PKCS1_SHA256,
		[FAMILY_EC] = MECH_ECDSA_SHA256,
		[FAMILY_ED25519] = MECH_ED25519 };
	return mech_get(by_family[alg->family]);
}

static struct outcome prove_by_signature(
	struct worker *w, struct pool_key_group *g, unsigned handle)
{
	struct sign_job *s = &w->sign;
	s->key = token_key_get(&g->key);
	s->mech = mech_for(g->key.alg);
	s->salt = SALT_AS_DIGEST;
	s->is_digest = s->mech->hash != HASH_NONE;
	s->n = 32;
	if (RAND_bytes(s->data, 32) != 1)
		return said(ossl_fail(INTERNAL, "no randomness"));
	return make_signature(w, g, handle);
}

static struct outcome prove_by_decryption(
	struct worker *w, struct pool_key_group *g, unsigned handle)
{
	uint8_t challenge[JOB_CIPHER_MAX];
	size_t n = g->key.alg->sig_max;
	if (RAND_bytes(challenge, (int)n) != 1)
		return said(ossl_fail(INTERNAL, "no randomness"));
	challenge[0] = 0; /* below the modulus */
	return use_private_key(w, g, handle, challenge);
}

/* A key whose proof fails is not served; the token may be well. */
kf_err worker_prove(struct worker *w, struct held *h)
{
	struct pool_key_group *g = h->group;
	enum pool_op op = h->can[OP_SIGN] ? OP_SIGN : OP_DECRYPT;
	worker_begin(w, ns_of_ms(w->pool->timeout_ms));
	struct outcome o = op == OP_SIGN ? prove_by_signature(w, g, h->handle)
					 : prove_by_decryption(w, g, h->handle);
	uint64_t took = worker_end(w);
	clear_copies(w);
	OPENSSL_cleanse(w->em, sizeof(w->em));
	if (kf_ok(o.err)) {
		learn(w, g->key.alg, op, took);
		h->proof = PROOF_DONE;
	} else if (kf_is(o.err, KF_E_AUTH)) {
		worker_refuse_pin(w, o.err);
	} else if (!fails_token(o.err)) {
		h->proof = PROOF_FAILED;
		w->problems++;
	}
	if (o.is_wrong)
		worker_why(w, kf_fail(CRYPTO, "a key is not the one of its description"));
	else
		worker_why(w, o.err);
	kf_err e = fails_token(o.err) ? o.err : recover(w);
	if (!kf_ok(e))
		worker_fail(w);
	worker_settle(w);
	return e;
}
