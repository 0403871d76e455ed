/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED /* EVP takes twice as long for sixteen bytes */
#include "token/schsm/share.h"
#include "crypt/ossl.h"
#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <string.h>

enum {
	SALT_SIZE = 8,
	KEY_SIZE = 32,
	IV_SIZE = 16,
	MD5_SIZE = 16,
	ROUNDS = (KEY_SIZE + IV_SIZE) / MD5_SIZE,
	SHOW_EVERY = 1 << 17,
};

#define MAGIC SLICE_LIT("Salted__")

/* How a password becomes key and iv; wiped by its owner. */
struct derived {
	uint8_t bytes[KEY_SIZE + IV_SIZE];
	MD5_CTX md5;
};

static void derived_wipe(struct derived *d) { OPENSSL_cleanse(d, sizeof(*d)); }

static void hash_again(struct derived *d, uint8_t *digest)
{
	MD5_Init(&d->md5);
	MD5_Update(&d->md5, digest, MD5_SIZE);
	MD5_Final(digest, &d->md5);
}

/* One digest of the chain: of the one before, password and salt; and then of itself, often. */
static void derive_part(struct derived *d, size_t i, const struct share_work *w,
	const uint8_t salt[SALT_SIZE])
{
	uint32_t times = w->iterations ? w->iterations : SHARE_ITERATIONS;
	uint8_t *digest = d->bytes + i * MD5_SIZE;
	MD5_Init(&d->md5);
	if (i > 0)
		MD5_Update(&d->md5, digest - MD5_SIZE, MD5_SIZE);
	MD5_Update(&d->md5, w->password.p, w->password.n);
	MD5_Update(&d->md5, salt, SALT_SIZE);
	MD5_Final(digest, &d->md5);
	for (uint32_t n = 1; n < times; n++) {
		hash_again(d, digest);
		if (n % SHOW_EVERY == 0 && w->show)
			w->show(w->arg, ((double)i + (double)n / times) / ROUNDS);
	}
}

static kf_err derive(
	const struct share_work *w, const uint8_t salt[SALT_SIZE], struct derived *ret)
{
	if (w->password.n == 0 || w->password.n > SHARE_PASSWORD_MAX)
		return kf_fail(
			INVALID_FIELD, "the password of a share has 1 to 256 characters");
	for (size_t i = 0; i < ROUNDS; i++)
		derive_part(ret, i, w, salt);
	if (w->show)
		w->show(w->arg, 1);
	return KF_OK;
}

kf_err share_close(const uint8_t share[static SHARE_SIZE], const struct share_work *work,
	struct buf *ret)
{
	uint8_t salt[SALT_SIZE], sealed[SHARE_FILE_SIZE];
	int n = 0, last = 0;
	CLEANUP(derived_wipe) struct derived d = { 0 };
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return ossl_fail(CRYPTO, "no random bytes");
	KF_TRY(derive(work, salt, &d));
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	if (!c ||
		!EVP_EncryptInit_ex(
			c, EVP_aes_256_cbc(), NULL, d.bytes, d.bytes + KEY_SIZE) ||
		!EVP_EncryptUpdate(c, sealed, &n, share, SHARE_SIZE) ||
		!EVP_EncryptFinal_ex(c, sealed + n, &last))
		return ossl_fail(CRYPTO, "a share cannot be encrypted");
	buf_add_slice(ret, MAGIC);
	buf_add(ret, salt, sizeof(salt));
	buf_add(ret, sealed, (size_t)(n + last));
	return buf_err(ret);
}

static bool is_share(struct slice file)
{
	return file.n == SHARE_FILE_SIZE && slice_eq((struct slice){ file.p, 8 }, MAGIC);
}

static kf_err decrypt(struct slice sealed, const struct derived *d, uint8_t *ret)
{
	uint8_t plain[SHARE_FILE_SIZE];
	int n = 0, last = 0;
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	bool good = c &&
		    EVP_DecryptInit_ex(
			    c, EVP_aes_256_cbc(), NULL, d->bytes, d->bytes + KEY_SIZE) &&
		    EVP_DecryptUpdate(c, plain, &n, sealed.p, (int)sealed.n) &&
		    EVP_DecryptFinal_ex(c, plain + n, &last) && n + last == SHARE_SIZE;
	if (good)
		memcpy(ret, plain, SHARE_SIZE);
	OPENSSL_cleanse(plain, sizeof(plain));
	return good ? KF_OK
		    : ossl_fail(AUTH, "the password of the share is wrong, or its file "
				      "is damaged");
}

kf_err share_open(
	struct slice file, const struct share_work *work, uint8_t ret[static SHARE_SIZE])
{
	CLEANUP(derived_wipe) struct derived d = { 0 };
	if (!is_share(file))
		return kf_fail(KEY_FORMAT, "this is no file of a DKEK share");
	KF_TRY(derive(work, file.p + MAGIC.n, &d));
	size_t head = MAGIC.n + SALT_SIZE;
	return decrypt((struct slice){ file.p + head, file.n - head }, &d, ret);
}
