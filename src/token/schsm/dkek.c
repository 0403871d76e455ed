/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/dkek.h"
#include "base/mem.h"
#include "token/schsm/dkek_keys.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

enum { SHARES_MAX = 255 };

/* In locked memory as a whole.  `print` tells a share from one that was added before. */
struct dkek {
	uint8_t bytes[SHARE_SIZE];
	unsigned n;
	uint8_t print[SHARES_MAX][4];
};

kf_err dkek_new(struct dkek **ret)
{
	struct dkek *d = secret_alloc(sizeof(*d));
	if (!d)
		return kf_fail(NOMEM, "no locked memory for a DKEK");
	*ret = d;
	return KF_OK;
}

void dkek_free(struct dkek *d) { secret_free(d); }
void dkek_freep(struct dkek **d) { dkek_free(*d); }

static void digest(const void *p, size_t n, uint8_t ret[static SHA256_DIGEST_LENGTH])
{
	SHA256(p, n, ret);
}

kf_err dkek_add(struct dkek *d, const uint8_t share[static SHARE_SIZE])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	if (d->n == SHARES_MAX)
		return kf_fail(LIMIT, "a DKEK has 255 shares at most");
	digest(share, SHARE_SIZE, hash);
	for (unsigned i = 0; i < d->n; i++)
		if (!memcmp(d->print[i], hash, sizeof(d->print[i])))
			return kf_fail(EXISTS, "the same DKEK share was given twice");
	memcpy(d->print[d->n++], hash, sizeof(d->print[0]));
	OPENSSL_cleanse(hash, sizeof(hash));
	for (size_t i = 0; i < SHARE_SIZE; i++)
		d->bytes[i] ^= share[i];
	return KF_OK;
}

unsigned dkek_shares(const struct dkek *d) { return d->n; }

void dkek_check_value(const struct dkek *d, uint8_t ret[static DKEK_CHECK_SIZE])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	digest(d->bytes, sizeof(d->bytes), hash);
	memcpy(ret, hash, DKEK_CHECK_SIZE);
	OPENSSL_cleanse(hash, sizeof(hash));
}

void dkek_key(const struct dkek *d, enum dkek_use use, uint8_t ret[static DKEK_KEY_SIZE])
{
	uint8_t in[SHARE_SIZE + 4] = { 0 };
	memcpy(in, d->bytes, SHARE_SIZE);
	in[sizeof(in) - 1] = (uint8_t)use;
	digest(in, sizeof(in), ret);
	OPENSSL_cleanse(in, sizeof(in));
}
