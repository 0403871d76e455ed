/* SPDX-License-Identifier: Apache-2.0
 *
 * reject: PKCS#1 v1.5 decryption that cannot be asked whether the padding was right
 * (draft-irtf-cfrg-rsa-guidance, 7).  A ciphertext with bad padding decrypts to a message made of
 * the key and the ciphertext, the same each time; whoever asks cannot tell it from a real one.
 * OpenSSL does so from 3.2 on; this gives the same messages with 3.0.
 *
 * No branch and no address here depends on em, but for the copy at the end, whose length is the
 * answer's length.
 */
#include "crypt/ossl.h"
#include "token/mask.h"
#include "token/unpad.h"
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

enum { LENGTHS = 128, PADDING_MIN = 10 /* 00 02, eight bytes that are not 0 */ };

static bool hmac(const uint8_t key[32], const uint8_t *p, size_t n, uint8_t ret[32])
{
	unsigned made = 0;
	return HMAC(EVP_sha256(), key, 32, p, n, ret, &made) && made == 32;
}

/* Blocks of HMAC(key, counter16 | label | bits16), cut to n bytes. */
static bool expand(const uint8_t key[32], const char *label, uint8_t *ret, size_t n)
{
	uint8_t in[16], block[32];
	size_t label_n = strlen(label);
	bool is_good = true;
	memcpy(in + 2, label, label_n);
	in[2 + label_n] = (uint8_t)(n * 8 >> 8);
	in[3 + label_n] = (uint8_t)(n * 8);
	for (size_t at = 0; at < n && is_good; at += 32) {
		in[0] = (uint8_t)(at / 32 >> 8);
		in[1] = (uint8_t)(at / 32);
		is_good = hmac(key, in, label_n + 4, block);
		memcpy(ret + at, block, n - at < 32 ? n - at : 32);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return is_good;
}

/* The last of 128 random lengths that is short enough; all of them are looked at. */
static uint32_t pick_length(const uint8_t lengths[2 * LENGTHS], uint32_t size)
{
	uint32_t max = size - PADDING_MIN, ones = max, n = 0;
	for (uint32_t shift = 1; shift <= 8; shift *= 2)
		ones |= ones >> shift;
	for (size_t i = 0; i < LENGTHS; i++) {
		uint32_t one =
			((uint32_t)lengths[2 * i] << 8 | lengths[2 * i + 1]) & ones;
		n = mask_choose(mask_less(one, max), one, n);
	}
	return n;
}

static bool make_synthetic(const uint8_t reject[REJECT_SECRET_SIZE], struct slice cipher,
	struct unpad_fake *ret)
{
	uint8_t own[32], lengths[2 * LENGTHS];
	bool is_good = hmac(reject, cipher.p, cipher.n, own) &&
		       expand(own, "length", lengths, sizeof(lengths)) &&
		       expand(own, "message", ret->message, cipher.n);
	ret->n = pick_length(lengths, (uint32_t)cipher.n);
	OPENSSL_cleanse(own, sizeof(own));
	OPENSSL_cleanse(lengths, sizeof(lengths));
	return is_good;
}

/* 00 02, at least eight bytes that are not 0, 00: where does the message begin?  ret_good is all
 * ones or 0. */
static uint32_t find_message(struct slice em, uint32_t *ret_good)
{
	uint32_t found = 0, at = 0;
	for (uint32_t i = 2; i < em.n; i++) {
		uint32_t zero = mask_zero(em.p[i]);
		at = mask_choose(~found & zero, i, at);
		found |= zero;
	}
	*ret_good =
		mask_zero(em.p[0]) & mask_equal(em.p[1], 2) & ~mask_less(at, PADDING_MIN);
	return at + 1;
}

size_t unpad_choose(struct unpad_fake *fake, struct slice em, uint8_t *ret)
{
	uint32_t good, size = (uint32_t)em.n;
	uint32_t start = find_message(em, &good);
	start = mask_choose(good, start, size - fake->n);
	for (uint32_t i = 0; i < size; i++)
		fake->message[i] = (uint8_t)mask_choose(good, em.p[i], fake->message[i]);
	memcpy(ret, fake->message + start, size - start);
	return size - start;
}

kf_err unpad_pkcs1(struct decrypt_job *job, const uint8_t reject[REJECT_SECRET_SIZE],
	struct slice em)
{
	struct unpad_fake fake;
	struct slice cipher = { job->cipher, job->n };
	if (em.n != cipher.n || em.n > sizeof(fake.message) || em.n < 64)
		return kf_fail(INTERNAL, "decrypted block has another length");
	if (!make_synthetic(reject, cipher, &fake))
		return ossl_fail(CRYPTO, "HMAC");
	job->plain_n = unpad_choose(&fake, em, job->plain);
	OPENSSL_cleanse(&fake, sizeof(fake));
	return KF_OK;
}
