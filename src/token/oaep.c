/* SPDX-License-Identifier: Apache-2.0
 *
 * oaep: RFC 8017, 7.1.2.  Manger's attack lives on the difference between a first byte that is not 0
 * and every other reason, so all of them are gathered in one mask and looked at once, at the end.
 */
#include "token/mask.h"
#include "token/mgf.h"
#include "token/unpad.h"
#include <openssl/crypto.h>
#include <string.h>

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
	struct decrypt_job *job, struct mgf *hash, struct mgf *mask, uint8_t *em)
{
	uint8_t label[HASH_SIZE_MAX];
	uint8_t *seed = em + 1, *db = em + 1 + hash->n;
	size_t n = job->n - 1 - hash->n;
	uint32_t start = 0, good;
	if (!mgf_hash(hash, (struct slice[3]){ { job->label, job->label_n } }, label) ||
		!mgf_mask(mask, (struct slice){ db, n }, seed, hash->n) ||
		!mgf_mask(mask, (struct slice){ seed, hash->n }, db, n))
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
	struct mgf hash = { 0 }, mask = { 0 };
	if (em.n != job->n || em.n > sizeof(copy) ||
		em.n < 2 * hash_get(job->hash)->size + 2)
		return false;
	memcpy(copy, em.p, em.n);
	bool is_good = mgf_open(&hash, job->hash) && mgf_open(&mask, job->mask_hash) &&
		       open_block(job, &hash, &mask, copy);
	mgf_close(&hash);
	mgf_close(&mask);
	OPENSSL_cleanse(copy, sizeof(copy));
	ERR_clear_error();
	return is_good;
}
