/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/mac.h"
#include "crypt/cipher.h"
#include "crypt/digest.h"
#include "crypt/ossl.h"
#include <openssl/core_names.h>

enum {
	ALGORITHM_POLY1305 = 0x1d, /* KMIP Cryptographic Algorithm */
	MODE_CMAC = 0x7,           /* KMIP Block Cipher Mode */
	MODE_CBC_MAC = 0xa,
	POLY1305_KEY_N = 32,
	POLY1305_N = 16,
};

static const struct digest_info *hash_of(const struct mac_wish *w)
{
	const struct digest_info *d = digest_of_hmac(w->algorithm);

	if (d)
		return d;
	if (w->mode || !w->hash || !kf_ok(digest_find(w->hash, &d)))
		return NULL;
	return d;
}

/* CMAC is defined over a block cipher, which OpenSSL wants to be told in its CBC form. */
static kf_err find_cmac(const struct mac_wish *w, struct mac_kind *ret)
{
	const struct cipher_info *c = NULL;

	KF_TRY(cipher_find(w->algorithm, MODE_CBC, w->key_n, &c));
	*ret = (struct mac_kind){ .mac = "CMAC",
		.param = OSSL_MAC_PARAM_CIPHER,
		.detail = c->openssl_name,
		.name = "CMAC",
		.size = cipher_block(c) };
	return KF_OK;
}

static kf_err find_cbc_mac(const struct mac_wish *w, struct mac_kind *ret)
{
	const struct cipher_info *c = NULL;

	KF_TRY(cipher_find(w->algorithm, MODE_CBC, w->key_n, &c));
	KF_TRY(cbcmac_check_padding(w->padding));
	*ret = (struct mac_kind){ .name = "CBC-MAC",
		.size = cipher_block(c),
		.cbc = c,
		.padding = (enum padding)w->padding };
	return KF_OK;
}

kf_err mac_find(const struct mac_wish *w, struct mac_kind *ret)
{
	if (w->mode == MODE_CMAC)
		return find_cmac(w, ret);
	if (w->mode == MODE_CBC_MAC)
		return find_cbc_mac(w, ret);
	const struct digest_info *hash = hash_of(w);
	if (hash && w->key_n) {
		*ret = (struct mac_kind){ .mac = "HMAC",
			.param = OSSL_MAC_PARAM_DIGEST,
			.detail = hash->openssl_name,
			.name = hash->name,
			.size = hash->size };
		return KF_OK;
	}
	if (w->algorithm == ALGORITHM_POLY1305 && !w->mode &&
		w->key_n == POLY1305_KEY_N) {
		*ret = (struct mac_kind){
			.mac = "POLY1305", .name = "Poly1305", .size = POLY1305_N
		};
		return KF_OK;
	}
	return kf_fail(BAD_PARAMETERS, "no such MAC with this key");
}

static kf_err init(struct mac *m, const struct mac_kind *kind, struct slice key)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };

	if (kind->param)
		params[0] = OSSL_PARAM_construct_utf8_string(
			kind->param, (char *)(uintptr_t)kind->detail, 0);
	if (EVP_MAC_init(m->ctx, key.p, key.n, params) != 1)
		return ossl_fail(BAD_PARAMETERS, "the MAC refuses this key");
	return KF_OK;
}

static kf_err begin_evp(struct mac *m, const struct mac_kind *kind, struct slice key)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, kind->mac, NULL);

	m->ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	return m->ctx ? init(m, kind, key)
		      : ossl_fail(BAD_PARAMETERS, "the MAC is not available");
}

kf_err mac_begin(struct mac *m, const struct mac_kind *kind, struct slice key)
{
	*m = (struct mac){ .size = kind->size };
	return kind->cbc ? cbcmac_begin(&m->cbc, kind->cbc, kind->padding, key)
			 : begin_evp(m, kind, key);
}

kf_err mac_add(struct mac *m, struct slice data)
{
	if (m->cbc.ctx)
		return cbcmac_add(&m->cbc, data);
	if (data.n && EVP_MAC_update(m->ctx, data.p, data.n) != 1)
		return ossl_fail(CRYPTO, "authenticating");
	return KF_OK;
}

kf_err mac_last(struct mac *m, uint8_t ret[MAC_MAX])
{
	size_t n = 0;
	if (m->cbc.ctx)
		return cbcmac_last(&m->cbc, ret);
	if (EVP_MAC_final(m->ctx, ret, &n, MAC_MAX) != 1 || n != m->size)
		return ossl_fail(CRYPTO, "authenticating");
	return KF_OK;
}

void mac_end(struct mac *m)
{
	EVP_MAC_CTX_free(m->ctx);
	cbcmac_end(&m->cbc);
	*m = (struct mac){ 0 };
}
