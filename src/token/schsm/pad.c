/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/pad.h"
#include "crypt/ossl.h"
#include <openssl/rand.h>
#include <string.h>

static inline void md_freep(EVP_MD **md) { EVP_MD_free(*md); }

/* DigestInfo of PKCS#1 up to the digest (RFC 8017, 9.2). */
static struct slice digest_info(enum hash_id id)
{
	switch (id) {
	case HASH_SHA1:
		return SLICE_LIT("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00"
				 "\x04\x14");
#define INFO(whole, oid, n)                                                              \
	SLICE_LIT("\x30" whole "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" oid    \
		  "\x05\x00\x04" n)
	case HASH_SHA224: return INFO("\x2d", "\x04", "\x1c");
	case HASH_SHA256: return INFO("\x31", "\x01", "\x20");
	case HASH_SHA384: return INFO("\x41", "\x02", "\x30");
	case HASH_SHA512: return INFO("\x51", "\x03", "\x40");
#undef INFO
	case HASH_NONE:
	case HASH_COUNT: break;
	}
	return (struct slice){ NULL, 0 };
}

kf_err pad_pkcs1(const struct hash *hash, struct slice digest, size_t n, uint8_t *ret)
{
	enum { AROUND = 3, FILL_MIN = 8 };
	struct slice info = digest_info(hash->id);
	if (digest.n != hash->size)
		return kf_fail(
			BAD_PARAMETERS, "a digest has another length than its hash");
	if (n < AROUND + FILL_MIN + info.n + digest.n)
		return kf_fail(BAD_PARAMETERS, "the key is too short for this hash");
	size_t fill = n - AROUND - info.n - digest.n;
	ret[0] = 0;
	ret[1] = 1;
	memset(ret + 2, 0xff, fill);
	ret[2 + fill] = 0;
	memcpy(ret + AROUND + fill, info.p, info.n);
	memcpy(ret + AROUND + fill + info.n, digest.p, digest.n);
	return KF_OK;
}

static bool digest_of(const EVP_MD *md, const struct slice parts[3], uint8_t *ret)
{
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestInit_ex2(ctx, md, NULL) != 1)
		return false;
	for (int i = 0; i < 3; i++)
		if (EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) != 1)
			return false;
	return EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
}

/* XORs the mask (MGF1) of the seed over n bytes. */
static bool mask(const EVP_MD *md, struct slice seed, uint8_t *over, size_t n)
{
	uint8_t block[EVP_MAX_MD_SIZE];
	size_t size = (size_t)EVP_MD_get_size(md);
	for (uint32_t i = 0; i * size < n; i++) {
		const uint8_t counter[] = { (uint8_t)(i >> 24), (uint8_t)(i >> 16),
			(uint8_t)(i >> 8), (uint8_t)i };
		if (!digest_of(md, (struct slice[]){ seed, { counter, 4 }, { NULL, 0 } },
			    block))
			return false;
		for (size_t k = 0; k < size && i * size + k < n; k++)
			over[i * size + k] ^= block[k];
	}
	return true;
}

/* EMSA-PSS of RFC 8017, 9.1.1: masked { zeros 01 salt }, H, BC. */
kf_err pad_pss(const struct hash *hash, struct slice digest, int salt, unsigned bits,
	uint8_t *ret)
{
	static const uint8_t zeros[8];
	size_t size = hash->size, n = (bits + 7) / 8;
	size_t salt_n = salt == SALT_AS_DIGEST ? size : (size_t)salt;
	if (digest.n != size || salt < SALT_AS_DIGEST)
		return kf_fail(
			BAD_PARAMETERS, "a digest has another length than its hash");
	if (bits % 8 || salt_n > n || n < size + salt_n + 2)
		return kf_fail(BAD_PARAMETERS, "the key is too short for hash and salt");
	size_t db = n - size - 1;
	uint8_t *salt_at = ret + db - salt_n, *h = ret + db;
	CLEANUP(md_freep) EVP_MD *md = EVP_MD_fetch(NULL, hash->openssl_name, NULL);
	memset(ret, 0, db);
	ret[db - salt_n - 1] = 1;
	if (!md || (salt_n && RAND_bytes(salt_at, (int)salt_n) != 1) ||
		!digest_of(md,
			(struct slice[]){ { zeros, 8 }, digest, { salt_at, salt_n } },
			h) ||
		!mask(md, (struct slice){ h, size }, ret, db))
		return ossl_fail(CRYPTO, "a padding failed");
	ret[0] &= 0x7f; /* one bit less than the modulus */
	ret[n - 1] = 0xbc;
	return KF_OK;
}
