/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/uuid.h"
#include "crypt/ossl.h"
#include <openssl/rand.h>
#include <stdio.h>

enum { UUID_SIZE = 16 };

static kf_err fill(uint8_t b[UUID_SIZE])
{
	return RAND_bytes(b, UUID_SIZE) == 1 ? KF_OK
					     : ossl_fail(CRYPTO, "random numbers");
}

static void say(uint8_t b[UUID_SIZE], unsigned version, char ret[UUID_TEXT])
{
	b[6] = (uint8_t)((b[6] & 0x0f) | version << 4);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(ret, UUID_TEXT,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
		b[12], b[13], b[14], b[15]);
}

kf_err uuid_random(char ret[UUID_TEXT])
{
	uint8_t b[UUID_SIZE];
	KF_TRY(fill(b));
	say(b, 4, ret);
	return KF_OK;
}

kf_err uuid_by_time(int64_t wall_us, char ret[UUID_TEXT])
{
	const uint64_t ms = (uint64_t)wall_us / 1000;
	uint8_t b[UUID_SIZE];
	KF_TRY(fill(b));
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	say(b, 7, ret);
	return KF_OK;
}
