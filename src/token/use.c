/* SPDX-License-Identifier: Apache-2.0 */
#include "token/use.h"
#include "crypt/ossl.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/modes.h>
#include <openssl/sha.h>
#include <string.h>

/* ---- what a key is known by ---- */

static const uint8_t question[] = "keyfleet: which AES key is this?";
const struct slice use_challenge = { question, sizeof(question) - 1 };

void use_key_id(const uint8_t mac[USE_MAC_SIZE], uint8_t ret[KEY_ID_SIZE])
{
	static const uint8_t domain[] = "keyfleet secret key";
	uint8_t all[sizeof(domain) + USE_MAC_SIZE];
	memcpy(all, domain, sizeof(domain));
	memcpy(all + sizeof(domain), mac, USE_MAC_SIZE);
	static_assert(KEY_ID_SIZE == SHA256_DIGEST_LENGTH, "names of keys");
	SHA256(all, sizeof(all), ret);
}

/* ---- what can be asked for ---- */

static kf_err check_length(const struct token_driver *driver, const struct use_job *job)
{
	const size_t n = job->in.n;
	const bool is_wrapping = job->kind >= USE_WRAP;
	if (n > USE_DATA_MAX || (is_wrapping && n > driver->wrap_max) ||
		((job->kind == USE_ECB_ENCRYPT || job->kind == USE_ECB_DECRYPT ||
			 job->kind == USE_CTR) &&
			n > driver->blocks_max))
		return kf_fail(BAD_PARAMETERS,
			"more than tokens of this kind do at once: let them wrap a key");
	switch (job->kind) {
	case USE_ECB_ENCRYPT:
	case USE_ECB_DECRYPT:
	case USE_CBC_ENCRYPT:
	case USE_CBC_DECRYPT:
		return n && n % USE_BLOCK == 0
			       ? KF_OK
			       : kf_fail(DATA, "not a whole number of blocks");
	case USE_WRAP:
		return n >= 16 && n % 8 == 0
			       ? KF_OK
			       : kf_fail(DATA, "RFC 3394 wraps multiples of 8 bytes");
	case USE_UNWRAP:
		return n >= 24 && n % 8 == 0 ? KF_OK
					     : kf_fail(DATA, "this is no wrapped key");
	case USE_UNWRAP_PADDED:
		return n >= 16 && n % 8 == 0 ? KF_OK
					     : kf_fail(DATA, "this is no wrapped key");
	case USE_WRAP_PADDED:
	case USE_CTR: return n ? KF_OK : kf_fail(DATA, "there is nothing to encrypt");
	case USE_AGREE:
	case USE_CMAC:
	default: return KF_OK;
	}
}

static size_t coordinate_size(const struct alg *alg) { return (alg->bits + 7) / 8; }

kf_err use_check(const struct token_driver *driver, const struct alg *alg,
	const struct use_job *job)
{
	const bool is_agreement = job->kind == USE_AGREE;
	if (!driver->use)
		return kf_fail(UNSUPPORTED, "tokens of this kind do not do this");
	if (alg->family != (is_agreement ? FAMILY_EC : FAMILY_AES))
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	if (!is_agreement)
		return check_length(driver, job);
	return job->in.n == 1 + 2 * coordinate_size(alg) && job->in.p[0] == 4
		       ? KF_OK
		       : kf_fail(BAD_PARAMETERS, "no point of the key's curve");
}

/* ---- blocks ---- */

static kf_err ask(const struct use_key *k, enum use_kind kind, const uint8_t *iv,
	struct slice in, uint8_t *ret)
{
	const struct token_use u = { kind, iv, in };
	return k->driver->use(k->token, k->handle, &u, ret);
}

static enum use_kind way_back(enum use_kind kind)
{
	switch ((int)kind) {
	case USE_ECB_ENCRYPT: return USE_ECB_DECRYPT;
	case USE_ECB_DECRYPT: return USE_ECB_ENCRYPT;
	case USE_CBC_ENCRYPT: return USE_CBC_DECRYPT;
	default: return USE_CBC_ENCRYPT;
	}
}

/* `made` is what the token says has become of `given`. */
static kf_err prove(const struct use_key *k, const struct use_job *job,
	struct slice given, struct slice made, bool *ret_is_wrong)
{
	autobuf again = buf_new(made.n);
	uint8_t *p = buf_reserve(&again, made.n);
	if (!p)
		return buf_err(&again);
	KF_TRY(ask(k, way_back(job->kind), job->iv, made, p));
	buf_commit(&again, made.n);
	*ret_is_wrong = CRYPTO_memcmp(p, given.p, given.n) != 0;
	return *ret_is_wrong ? kf_fail(CRYPTO, "token enciphered wrongly") : KF_OK;
}

static kf_err run_plainly(
	const struct use_key *k, const struct use_job *job, size_t n, struct buf *ret)
{
	uint8_t *p = buf_reserve(ret, n);
	if (!p)
		return buf_err(ret);
	KF_TRY(ask(k, job->kind, job->iv, job->in, p));
	buf_commit(ret, n);
	return buf_err(ret);
}

static kf_err run_blocks(const struct use_key *k, const struct use_job *job,
	struct buf *ret, bool *ret_is_wrong)
{
	const size_t was = ret->n;
	KF_TRY(run_plainly(k, job, job->in.n, ret));
	const struct slice made = { ret->p + was, job->in.n };
	return prove(k, job, job->in, made, ret_is_wrong);
}

/* ---- counters ---- */

static void count_up(uint8_t counter[USE_BLOCK])
{
	for (size_t i = USE_BLOCK; i-- > 0 && ++counter[i] == 0;)
		;
}

static void put_counters(const uint8_t *first, size_t blocks, struct buf *ret)
{
	uint8_t counter[USE_BLOCK];
	memcpy(counter, first, sizeof(counter));
	for (size_t i = 0; i < blocks; i++) {
		buf_add(ret, counter, sizeof(counter));
		count_up(counter);
	}
}

static kf_err run_ctr(const struct use_key *k, const struct use_job *job, struct buf *ret,
	bool *ret_is_wrong)
{
	const size_t blocks = (job->in.n + USE_BLOCK - 1) / USE_BLOCK;
	autobuf counters = buf_new(blocks * USE_BLOCK),
		stream = buf_new(blocks * USE_BLOCK);
	put_counters(job->iv, blocks, &counters);
	KF_TRY(buf_err(&counters));
	const struct use_job encryption = { .kind = USE_ECB_ENCRYPT,
		.in = buf_slice(&counters) };
	KF_TRY(run_blocks(k, &encryption, &stream, ret_is_wrong));
	for (size_t i = 0; i < job->in.n; i++)
		buf_add_u8(ret, job->in.p[i] ^ stream.p[i]);
	return buf_err(ret);
}

/* ---- wrapping ---- */

/* OpenSSL's key wrap asks for one block after another, and knows of no failure. */
struct wrapping {
	const struct use_key *key;
	kf_err err;
	struct buf in, out; /* the blocks that were encrypted */
};

static void one_block(
	struct wrapping *w, enum use_kind kind, const uint8_t *in, uint8_t *out)
{
	uint8_t made[USE_BLOCK] = { 0 };
	if (kf_ok(w->err))
		w->err = ask(w->key, kind, NULL, (struct slice){ in, USE_BLOCK }, made);
	if (kind == USE_ECB_ENCRYPT) {
		buf_add(&w->in, in, USE_BLOCK);
		buf_add(&w->out, made, USE_BLOCK);
	}
	memcpy(out, made, sizeof(made)); /* may be where `in` is */
	OPENSSL_cleanse(made, sizeof(made));
}

static void encrypt_block(const uint8_t in[16], uint8_t out[16], const void *arg)
{
	one_block((struct wrapping *)(uintptr_t)arg, USE_ECB_ENCRYPT, in, out);
}

static void decrypt_block(const uint8_t in[16], uint8_t out[16], const void *arg)
{
	one_block((struct wrapping *)(uintptr_t)arg, USE_ECB_DECRYPT, in, out);
}

static size_t wrap(struct wrapping *w, const struct use_job *job, uint8_t *out)
{
	const struct slice in = job->in;
	switch ((int)job->kind) {
	case USE_WRAP: return CRYPTO_128_wrap(w, NULL, out, in.p, in.n, encrypt_block);
	case USE_UNWRAP:
		return CRYPTO_128_unwrap(w, NULL, out, in.p, in.n, decrypt_block);
	case USE_WRAP_PADDED:
		return CRYPTO_128_wrap_pad(w, NULL, out, in.p, in.n, encrypt_block);
	default: return CRYPTO_128_unwrap_pad(w, NULL, out, in.p, in.n, decrypt_block);
	}
}

static kf_err outcome_of(struct wrapping *w, size_t n, bool *ret_is_wrong)
{
	static const struct use_job ecb = { .kind = USE_ECB_ENCRYPT };
	KF_TRY(w->err);
	if (!n)
		return kf_fail(DATA, "this was not wrapped with this key");
	KF_TRY(buf_err(&w->in));
	KF_TRY(buf_err(&w->out));
	return w->in.n ? prove(w->key, &ecb, buf_slice(&w->in), buf_slice(&w->out),
				 ret_is_wrong)
		       : KF_OK;
}

static kf_err run_wrapping(const struct use_key *k, const struct use_job *job,
	struct buf *ret, bool *ret_is_wrong)
{
	enum { STEPS = 6, MORE = 32 };
	const size_t most = STEPS * 2 * (job->in.n + MORE);
	autobuf in = buf_new(most), out = buf_new(most), made = buf_new(job->in.n + MORE);
	struct wrapping w = { .key = k, .in = in, .out = out };
	uint8_t *p = buf_reserve(&made, job->in.n + MORE);
	if (!p)
		return buf_err(&made);
	const size_t n = wrap(&w, job, p);
	const kf_err err = outcome_of(&w, n, ret_is_wrong);
	in = w.in;
	out = w.out;
	buf_commit(&made, job->in.n + MORE); /* all of it is wiped */
	KF_TRY(err);
	buf_add(ret, p, n);
	return buf_err(ret);
}

kf_err use_run(const struct use_key *k, const struct use_job *job, struct buf *ret,
	bool *ret_is_wrong)
{
	*ret_is_wrong = false;
	switch (job->kind) {
	case USE_ECB_ENCRYPT:
	case USE_ECB_DECRYPT:
	case USE_CBC_ENCRYPT:
	case USE_CBC_DECRYPT: return run_blocks(k, job, ret, ret_is_wrong);
	case USE_CMAC: return run_plainly(k, job, USE_MAC_SIZE, ret);
	case USE_AGREE: return run_plainly(k, job, coordinate_size(k->alg), ret);
	case USE_CTR: return run_ctr(k, job, ret, ret_is_wrong);
	case USE_WRAP:
	case USE_UNWRAP:
	case USE_WRAP_PADDED:
	case USE_UNWRAP_PADDED:
	default: return run_wrapping(k, job, ret, ret_is_wrong);
	}
}
