/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/blob.h"
#include "token/schsm/blob_numbers.h"
#include "token/schsm/dkek_keys.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <string.h>

enum { BLOCK = 16 };

#define OID_RSA SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x01\x02")
#define OID_EC  SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x02\x03")
#define OID_AES SLICE_LIT("\x60\x86\x48\x01\x65\x03\x04\x01")

/* ---- the outside ---- */

/* Where the encrypted part begins. */
static kf_err look(struct slice blob, struct blob_facts *ret, size_t *ret_head)
{
	struct numbers r = { .rest = blob };
	struct slice check_value = numbers_take(&r, DKEK_CHECK_SIZE),
		     kind = numbers_take(&r, 1);
	numbers_next(&r); /* algorithm */
	struct slice algorithms = numbers_next(&r);
	numbers_next(&r); /* access conditions */
	numbers_next(&r); /* key OID */
	if (r.failed || r.rest.n < 2 * BLOCK || r.rest.n % BLOCK)
		return kf_fail(MALFORMED, "this is no key blob, or it was cut");
	if (algorithms.n > BLOB_ALGORITHMS_MAX)
		return kf_fail(TOO_BIG, "a key blob allows too many algorithms");
	struct blob_facts f = { .kind = (enum blob_kind)kind.p[0],
		.algorithms_n = algorithms.n };
	memcpy(f.check_value, check_value.p, DKEK_CHECK_SIZE);
	if (algorithms.n)
		memcpy(f.algorithms, algorithms.p, algorithms.n);
	*ret = f;
	*ret_head = blob.n - r.rest.n;
	return KF_OK;
}

kf_err blob_look(struct slice blob, struct blob_facts *ret)
{
	size_t head;
	return look(blob, ret, &head);
}

/* ---- encryption and authentication ---- */

struct key {
	uint8_t bytes[DKEK_KEY_SIZE];
};
static void key_wipe(struct key *k) { OPENSSL_cleanse(k, sizeof(*k)); }

static kf_err mac(const struct dkek *d, struct slice of, uint8_t ret[BLOB_MAC_SIZE])
{
	CLEANUP(key_wipe) struct key k;
	char cipher[] = "AES-256-CBC";
	size_t n = 0;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
		OSSL_PARAM_construct_end(),
	};
	dkek_key(d, DKEK_AUTHENTICATES, k.bytes);
	EVP_MAC *kind = EVP_MAC_fetch(NULL, "CMAC", NULL);
	EVP_MAC_CTX *c = kind ? EVP_MAC_CTX_new(kind) : NULL;
	bool good = c && EVP_MAC_init(c, k.bytes, sizeof(k.bytes), list) &&
		    EVP_MAC_update(c, of.p, of.n) &&
		    EVP_MAC_final(c, ret, &n, BLOB_MAC_SIZE) && n == BLOB_MAC_SIZE;
	EVP_MAC_CTX_free(c);
	EVP_MAC_free(kind);
	return good ? KF_OK : ossl_fail(CRYPTO, "a key blob cannot be authenticated");
}

/* Whole blocks, IV 0: random bytes come first. */
static kf_err cipher(
	const struct dkek *d, bool encrypts, struct slice in, struct buf *ret)
{
	static const uint8_t iv[BLOCK];
	CLEANUP(key_wipe) struct key k;
	int n = 0;
	dkek_key(d, DKEK_ENCRYPTS, k.bytes);
	uint8_t *at = buf_reserve(ret, in.n + BLOCK);
	if (!at)
		return buf_err(ret);
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	if (!c || !EVP_CipherInit_ex(c, EVP_aes_256_cbc(), NULL, k.bytes, iv, encrypts) ||
		!EVP_CIPHER_CTX_set_padding(c, 0) ||
		!EVP_CipherUpdate(c, at, &n, in.p, (int)in.n) || (size_t)n != in.n)
		return ossl_fail(CRYPTO, "a key blob cannot be encrypted or decrypted");
	buf_commit(ret, in.n);
	return KF_OK;
}

/* ---- close ---- */

static void put_head(const struct dkek *d, enum blob_kind kind, struct slice algorithms,
	struct buf *to)
{
	uint8_t check_value[DKEK_CHECK_SIZE];
	dkek_check_value(d, check_value);
	buf_add(to, check_value, sizeof(check_value));
	buf_add_u8(to, (uint8_t)kind);
	numbers_put(to, kind == BLOB_RSA ? OID_RSA : kind == BLOB_EC ? OID_EC : OID_AES);
	numbers_put(to, algorithms);
	numbers_put(to, (struct slice){ NULL, 0 }); /* access conditions */
	numbers_put(to, (struct slice){ NULL, 0 }); /* key OID */
}

static kf_err close_plain(const struct dkek *d, enum blob_kind kind,
	struct slice algorithms, struct buf *plain, struct buf *ret)
{
	uint8_t tag[BLOB_MAC_SIZE];
	autobuf blob = buf_new(BLOB_MAX);
	if (algorithms.n > BLOB_ALGORITHMS_MAX)
		return kf_fail(INVALID_FIELD, "too many algorithms for a key");
	buf_add_u8(plain, 0x80);
	while (plain->n % BLOCK && kf_ok(plain->err))
		buf_add_u8(plain, 0);
	KF_TRY(buf_err(plain));
	put_head(d, kind, algorithms, &blob);
	KF_TRY(cipher(d, true, buf_slice(plain), &blob));
	KF_TRY(mac(d, buf_slice(&blob), tag));
	buf_add(&blob, tag, sizeof(tag));
	KF_TRY(buf_err(&blob));
	buf_add_slice(ret, buf_slice(&blob));
	return buf_err(ret);
}

kf_err blob_close(const struct dkek *d, struct slice pkcs8, struct slice algorithms,
	struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	autobuf plain = buf_new(BLOB_MAX);
	enum blob_kind kind;
	KF_TRY(ossl_parse_private(pkcs8, &pkey));
	KF_TRY(numbers_of_key(pkey, &kind, &plain));
	return close_plain(d, kind, algorithms, &plain, ret);
}

kf_err blob_close_aes(
	const struct dkek *d, struct slice key, struct slice algorithms, struct buf *ret)
{
	autobuf plain = buf_new(BLOB_MAX);
	if (key.n != 16 && key.n != 24 && key.n != 32)
		return kf_fail(KEY_FORMAT, "an AES key has 16, 24 or 32 bytes");
	KF_TRY(numbers_begin(key.n, &plain));
	buf_add_slice(&plain, key);
	return close_plain(d, BLOB_AES, algorithms, &plain, ret);
}

/* ---- open ---- */

static kf_err check(const struct dkek *d, struct slice blob, struct blob_facts *f,
	struct slice *ret_inside)
{
	uint8_t mine[DKEK_CHECK_SIZE], tag[BLOB_MAC_SIZE];
	size_t head, body = blob.n - BLOB_MAC_SIZE;
	KF_TRY(look(blob, f, &head));
	dkek_check_value(d, mine);
	if (memcmp(mine, f->check_value, sizeof(mine)))
		return kf_fail(CONFLICT, "the key is wrapped under another DKEK");
	KF_TRY(mac(d, (struct slice){ blob.p, body }, tag));
	if (CRYPTO_memcmp(tag, blob.p + body, sizeof(tag)))
		return kf_fail(TAMPERED, "the key blob was changed");
	*ret_inside = (struct slice){ blob.p + head, body - head };
	return KF_OK;
}

kf_err blob_check(const struct dkek *d, struct slice blob)
{
	struct blob_facts f;
	struct slice inside;
	return check(d, blob, &f, &inside);
}

void blob_key_free(struct blob_key *k)
{
	buf_free(&k->pkcs8);
	buf_free(&k->spki);
	buf_free(&k->aes);
	*k = (struct blob_key){ 0 };
}

static kf_err open_aes(struct numbers *r, size_t n, struct blob_key *k)
{
	struct slice key = numbers_take(r, n);
	if (r->failed || (n != 16 && n != 24 && n != 32))
		return kf_fail(MALFORMED, "the AES key of a key blob has a wrong length");
	k->kind = BLOB_AES;
	buf_add_slice(&k->aes, key);
	return buf_err(&k->aes);
}

static kf_err open_pair(enum blob_kind kind, struct numbers *r, struct blob_key *k)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(numbers_to_key(kind, r, &pkey));
	k->kind = kind == BLOB_EC ? BLOB_EC : BLOB_RSA;
	KF_TRY(ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", &k->pkcs8));
	return ossl_put_spki(pkey, &k->spki);
}

static kf_err open_plain(enum blob_kind kind, struct slice plain, struct blob_key *k)
{
	struct numbers r = { .rest = plain };
	size_t bits = numbers_skip_begin(&r);
	switch (kind) {
	case BLOB_RSA:
	case BLOB_RSA_CRT:
	case BLOB_EC: return open_pair(kind, &r, k);
	case BLOB_AES: return open_aes(&r, bits, k);
	}
	return kf_fail(UNSUPPORTED, "a key blob of a kind that is not known");
}

kf_err blob_open(const struct dkek *d, struct slice blob, struct blob_key *ret)
{
	struct blob_facts f;
	struct slice inside;
	autobuf plain = buf_new(BLOB_MAX);
	if (blob.n > BLOB_MAX)
		return kf_fail(TOO_BIG, "a key blob is too long");
	KF_TRY(check(d, blob, &f, &inside));
	KF_TRY(cipher(d, false, inside, &plain));
	CLEANUP(blob_key_free)
	struct blob_key k = { .pkcs8 = buf_new(BLOB_MAX),
		.spki = buf_new(BLOB_MAX),
		.aes = buf_new(BLOCK * 2) };
	KF_TRY(open_plain(f.kind, buf_slice(&plain), &k));
	*ret = k;
	k = (struct blob_key){ 0 };
	return KF_OK;
}
