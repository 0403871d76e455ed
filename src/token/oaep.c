/* SPDX-License-Identifier: Apache-2.0
 *
 * oaep: RFC 8017, 7.1.2.  Manger's attack lives on the difference between a first byte that is not 0
 * and every other reason, so all of them are gathered in one mask and looked at once, at the end.
 */
#include "crypt/ossl.h"
#include "token/mask.h"
#include "token/unpad.h"
#include <openssl/crypto.h>
#include <string.h>

struct digest {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	unsigned n;
};

static void digest_close(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
}

static bool digest_open(struct digest *d, enum hash_id id)
{
	*d = (struct digest){ .md = EVP_MD_fetch(NULL, hash_get(id)->openssl_name, NULL),
		.ctx = EVP_MD_CTX_new() };
	d->n = (unsigned)hash_get(id)->size;
	return d->md && d->ctx;
}

static bool hash_two(
	struct digest *d, struct slice a, struct slice b, uint8_t ret[HASH_SIZE_MAX])
{
	return EVP_DigestInit_ex2(d->ctx, d->md, NULL) &&
	       EVP_DigestUpdate(d->ctx, a.p, a.n) && EVP_DigestUpdate(d->ctx, b.p, b.n) &&
	       EVP_DigestFinal_ex(d->ctx, ret, NULL);
}

/* MGF1 (RFC 8017, B.2.1), XORed to p. */
static bool unmask(struct digest *d, struct slice seed, uint8_t *p, size_t n)
{
	uint8_t block[HASH_SIZE_MAX];
	bool is_good = true;
	for (size_t at = 0; at < n && is_good; at += d->n) {
		uint32_t i = (uint32_t)(at / d->n);
		uint8_t counter[4] = { 0, 0, (uint8_t)(i >> 8), (uint8_t)i };
		is_good = hash_two(d, seed, (struct slice){ counter, 4 }, block);
		for (size_t k = 0; k < d->n && at + k < n; k++)
			p[at + k] ^= block[k];
	}
	OPENSSL_cleanse(block, sizeof(block));
	return is_good;
}

/* hash of the label, zeroes, 1, message: where does the message begin?  All ones if it is so. */
static uint32_t find_message(
	const uint8_t *db, size_t n, struct slice label, uint32_t *ret_start)
{
	uint32_t differs = 0, found = 0, at = 0;
	for (size_t i = 0; i < label.n; i++)
		differs |= (uint32_t)(db[i] ^ label.p[i]);
	for (size_t i = label.n; i < n; i++) {
		uint32_t one = mask_equal(db[i], 1);
		differs |= ~found & ~one & db[i];
		at = mask_choose(~found & one, (uint32_t)i, at);
		found |= one;
	}
	*ret_start = at + 1;
	return mask_zero(differs) & found;
}

/* em: 0, seed, block; both masked by each other. */
static bool open_block(
	struct decrypt_job *job, struct digest *hash, struct digest *mask, uint8_t *em)
{
	uint8_t label[HASH_SIZE_MAX];
	uint8_t *seed = em + 1, *db = em + 1 + hash->n;
	size_t n = job->n - 1 - hash->n;
	uint32_t start = 0, good;
	if (!hash_two(hash, (struct slice){ job->label, job->label_n },
		    (struct slice){ NULL, 0 }, label) ||
		!unmask(mask, (struct slice){ db, n }, seed, hash->n) ||
		!unmask(mask, (struct slice){ seed, hash->n }, db, n))
		return false;
	good = find_message(db, n, (struct slice){ label, hash->n }, &start);
	if (!(good & mask_zero(em[0])))
		return false;
	job->plain_n = n - start;
	memcpy(job->plain, db + start, job->plain_n);
	return true;
}

bool unpad_oaep(struct decrypt_job *job, struct slice em)
{
	uint8_t copy[JOB_CIPHER_MAX];
	struct digest hash = { 0 }, mask = { 0 };
	if (em.n != job->n || em.n > sizeof(copy) ||
		em.n < 2 * hash_get(job->hash)->size + 2)
		return false;
	memcpy(copy, em.p, em.n);
	bool is_good = digest_open(&hash, job->hash) &&
		       digest_open(&mask, job->mask_hash) &&
		       open_block(job, &hash, &mask, copy);
	digest_close(&hash);
	digest_close(&mask);
	OPENSSL_cleanse(copy, sizeof(copy));
	ERR_clear_error();
	return is_good;
}
