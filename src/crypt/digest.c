/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/digest.h"
#include "crypt/ossl.h"

static const struct digest_info rows[] = {
#define X(name_, kmip_, hmac_, openssl, bytes)                                           \
	{                                                                                \
		.name = name_,                                                           \
		.kmip = kmip_,                                                           \
		.hmac = hmac_,                                                           \
		.openssl_name = openssl,                                                 \
		.size = bytes,                                                           \
	},
#include "crypt/digest.def"
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(*rows) };

const struct digest_info *digest_each(size_t i) { return i < ROWS ? &rows[i] : NULL; }

kf_err digest_find(uint32_t kmip, const struct digest_info **ret)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].kmip == kmip) {
			*ret = &rows[i];
			return KF_OK;
		}
	return kf_fail(BAD_PARAMETERS, "no such hash here");
}

const struct digest_info *digest_of_hmac(uint32_t algorithm)
{
	for (size_t i = 0; i < ROWS; i++)
		if (algorithm && rows[i].hmac == algorithm)
			return &rows[i];
	return NULL;
}

kf_err digest_begin_named(struct digest *d, const char *openssl_name)
{
	EVP_MD *md = EVP_MD_fetch(NULL, openssl_name, NULL);

	*d = (struct digest){ .ctx = EVP_MD_CTX_new() };
	const bool is_fine = md && d->ctx && EVP_DigestInit_ex2(d->ctx, md, NULL) == 1;
	EVP_MD_free(md);
	return is_fine ? KF_OK : ossl_fail(BAD_PARAMETERS, "the hash is not available");
}

kf_err digest_begin(struct digest *d, const struct digest_info *info)
{
	const kf_err err = digest_begin_named(d, info->openssl_name);
	d->info = info;
	return err;
}

kf_err digest_add(struct digest *d, struct slice data)
{
	if (data.n && EVP_DigestUpdate(d->ctx, data.p, data.n) != 1)
		return ossl_fail(CRYPTO, "hashing");
	return KF_OK;
}

kf_err digest_last(struct digest *d, uint8_t ret[DIGEST_MAX])
{
	unsigned n = 0;
	if (EVP_DigestFinal_ex(d->ctx, ret, &n) != 1)
		return ossl_fail(CRYPTO, "hashing");
	return KF_OK;
}

void digest_end(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	*d = (struct digest){ 0 };
}
