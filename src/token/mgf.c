/* SPDX-License-Identifier: Apache-2.0 */
#include "token/mgf.h"
#include <openssl/crypto.h>

bool mgf_open(struct mgf *h, enum hash_id id)
{
	*h = (struct mgf){ .md = EVP_MD_fetch(NULL, hash_get(id)->openssl_name, NULL),
		.ctx = EVP_MD_CTX_new(),
		.n = hash_get(id)->size };
	return h->md && h->ctx;
}

void mgf_close(struct mgf *h)
{
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
}

bool mgf_hash(struct mgf *h, const struct slice part[3], uint8_t ret[HASH_SIZE_MAX])
{
	bool is_good = EVP_DigestInit_ex2(h->ctx, h->md, NULL);
	for (int i = 0; i < 3; i++)
		is_good = is_good && EVP_DigestUpdate(h->ctx, part[i].p, part[i].n);
	return is_good && EVP_DigestFinal_ex(h->ctx, ret, NULL);
}

bool mgf_mask(struct mgf *h, struct slice seed, uint8_t *p, size_t n)
{
	uint8_t block[HASH_SIZE_MAX];
	bool is_good = true;
	for (size_t at = 0; at < n && is_good; at += h->n) {
		size_t i = at / h->n;
		uint8_t counter[4] = { 0, 0, (uint8_t)(i >> 8), (uint8_t)i };
		is_good = mgf_hash(h, (struct slice[3]){ seed, { counter, 4 } }, block);
		for (size_t k = 0; is_good && k < h->n && at + k < n; k++)
			p[at + k] ^= block[k];
	}
	OPENSSL_cleanse(block, sizeof(block));
	return is_good;
}
