/* SPDX-License-Identifier: Apache-2.0 */
#include "op/iv.h"
#include <openssl/rand.h>
#include <string.h>

enum { NONCE_MIN = 12, COUNTER_BLOCK = 16, CHACHA_BLOCK = 64 };

static kf_err bad(void)
{
	return kf_fail(BAD_PARAMETERS, "the lengths of IV and counter make no sense");
}

/* In bits, whole bytes; 0: the request does not say. */
static kf_err length_of(const struct cryptographic_parameters *p, size_t *ret)
{
	const int64_t fields =
		(int64_t)p->fixed_field_length + p->invocation_field_length;
	const bool has_fields =
		p->has_fixed_field_length && p->has_invocation_field_length;
	const int64_t bits = p->has_iv_length ? p->iv_length : has_fields ? fields : 0;

	if (bits < 0 || bits > CIPHER_IV_MAX * 8 || bits % 8 ||
		(has_fields && fields != bits))
		return bad();
	*ret = (size_t)bits / 8;
	return KF_OK;
}

static kf_err make(const struct cipher_info *info,
	const struct cryptographic_parameters *p, size_t wanted, struct iv *ret)
{
	const bool is_nonce = info->iv_min != info->iv_max || cipher_has_tag(info);
	const size_t n = wanted ? wanted : info->iv_random;

	if (p->has_random_iv && !p->random_iv)
		return kf_fail(MISSING_IV, "an IV is missing, and none is to be made");
	if (n < info->iv_min || n > info->iv_max || (is_nonce && n < NONCE_MIN))
		return bad();
	if (RAND_bytes(ret->said, (int)n) != 1)
		return kf_fail(CRYPTO, "no random numbers");
	ret->said_n = n;
	ret->is_ours = true;
	return KF_OK;
}

static kf_err take(
	const struct cipher_info *info, size_t wanted, struct slice given, struct iv *ret)
{
	if (given.n < info->iv_min || given.n > info->iv_max ||
		(wanted && wanted != given.n))
		return kf_fail(BAD_PARAMETERS, "IV of a wrong length");
	memcpy(ret->said, given.p, given.n);
	ret->said_n = given.n;
	return KF_OK;
}

/* --- counters --- */

static void put_big_endian(uint8_t *block, size_t bits, uint32_t value)
{
	for (size_t i = 0; i * 8 < bits; i++)
		block[COUNTER_BLOCK - 1 - i] = i < 4 ? (uint8_t)(value >> (8 * i)) : 0;
}

/* What is left of a counter in the last `bits` of the block, in blocks; 0: more than anybody has. */
static uint64_t blocks_left(const uint8_t *block, size_t bits)
{
	uint64_t at = 0;

	if (bits >= 56)
		return 0;
	for (size_t i = COUNTER_BLOCK - 8; i < COUNTER_BLOCK; i++)
		at = at << 8 | block[i];
	at &= (UINT64_C(1) << bits) - 1;
	return (UINT64_C(1) << bits) - at;
}

static kf_err count_ctr(const struct cryptographic_parameters *p, struct iv *iv)
{
	const size_t room = (COUNTER_BLOCK - iv->said_n) * 8;
	const size_t most = room ? room : COUNTER_BLOCK * 8;
	const size_t bits = p->has_counter_length ? (size_t)p->counter_length : most;

	if ((p->has_counter_length && (p->counter_length < 1)) || bits > most ||
		(p->has_initial_counter_value && bits % 8))
		return bad();
	if (!room && p->has_initial_counter_value && !p->has_counter_length)
		return bad();
	memcpy(iv->used, iv->said, iv->said_n);
	if (p->has_initial_counter_value)
		put_big_endian(iv->used, bits, (uint32_t)p->initial_counter_value);
	iv->used_n = COUNTER_BLOCK;
	iv->bytes_max = blocks_left(iv->used, bits) * COUNTER_BLOCK;
	return KF_OK;
}

/* RFC 8439: a counter of 32 bits, little endian, and 96 bits of nonce; before that it was 64 and 64.  With
 * 16 bytes the client says both. */
static kf_err count_chacha(const struct cryptographic_parameters *p, struct iv *iv)
{
	const uint32_t from = (uint32_t)p->initial_counter_value;

	if (iv->said_n != 8 && iv->said_n != NONCE_MIN && iv->said_n != COUNTER_BLOCK)
		return kf_fail(BAD_PARAMETERS, "IV of a wrong length");
	if (p->has_initial_counter_value && iv->said_n == COUNTER_BLOCK)
		return bad();
	for (size_t i = 0; i < 4; i++)
		iv->used[i] = (uint8_t)(from >> (8 * i));
	memcpy(iv->used + COUNTER_BLOCK - iv->said_n, iv->said, iv->said_n);
	iv->used_n = COUNTER_BLOCK;
	if (iv->said_n == NONCE_MIN)
		iv->bytes_max = ((UINT64_C(1) << 32) - from) * CHACHA_BLOCK;
	return KF_OK;
}

static kf_err count(const struct cipher_info *info,
	const struct cryptographic_parameters *p, struct iv *iv)
{
	if (info->mode == MODE_CTR)
		return count_ctr(p, iv);
	if (info->algorithm == CIPHER_CHACHA20)
		return count_chacha(p, iv);
	memcpy(iv->used, iv->said, iv->said_n);
	iv->used_n = iv->said_n;
	return KF_OK;
}

kf_err iv_choose(const struct cipher_info *info, const struct cryptographic_parameters *p,
	struct slice given, bool decrypts, struct iv *ret)
{
	size_t wanted = 0;

	memset(ret, 0, sizeof(*ret));
	if (!info->iv_max)
		return KF_OK;
	KF_TRY(length_of(p, &wanted));
	if (given.n)
		KF_TRY(take(info, wanted, given, ret));
	else if (decrypts)
		return kf_fail(MISSING_IV, "an IV, counter or nonce is missing");
	else
		KF_TRY(make(info, p, wanted, ret));
	return count(info, p, ret);
}
