/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/seal.h"
#include "crypt/cipher_thread.h"
#include "crypt/derive.h"
#include "crypt/ossl.h"
#include <openssl/rand.h>
#include <string.h>

enum { FORMAT = 1, SALT = 16, NONCE = 12, TAG = 16, KEY = 32, SEALED_MAX = 1 << 24 };

/* One AES-256-GCM call: the associated data are label and data, one after the other. */
struct gcm {
	const uint8_t *key, *nonce;
	const char *label;
	struct slice associated;
};

/* The parts of sealed bytes, borrowed. */
struct parts {
	struct slice id, salt, wrap_nonce, wrapped,
		body; /* body: nonce, ciphertext, tag */
};

/* The thread's own context for a moment. */
struct lent {
	const struct cipher_info *info;
	EVP_CIPHER_CTX *ctx;
	bool is_lent;
};

static kf_err borrow(struct lent *ret)
{
	KF_TRY(cipher_find(CIPHER_AES, MODE_GCM, KEY, &ret->info));
	return cipher_thread_ctx((size_t)(ret->info - cipher_each(0)), ret->info, true,
		&ret->ctx, &ret->is_lent);
}

static void give_back(struct lent *l)
{
	if (l->ctx)
		cipher_thread_give_back(l->ctx, l->info, l->is_lent, false);
}

static bool gcm_start(EVP_CIPHER_CTX *ctx, const struct gcm *g, int encrypt)
{
	int n = 0;
	return EVP_CipherInit_ex2(ctx, NULL, g->key, g->nonce, encrypt, NULL) &&
	       EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)g->label,
		       (int)strlen(g->label) + 1) &&
	       (g->associated.n == 0 || EVP_CipherUpdate(ctx, NULL, &n, g->associated.p,
						(int)g->associated.n));
}

/* Appends ciphertext and tag. */
static kf_err gcm_seal(const struct gcm *g, struct slice plain, struct buf *ret)
{
	CLEANUP(give_back) struct lent l = { 0 };
	KF_TRY(borrow(&l));
	uint8_t *p = buf_reserve(ret, plain.n + TAG);
	int n = 0;
	if (!p)
		return buf_err(ret);
	if (!gcm_start(l.ctx, g, 1) ||
		(plain.n && !EVP_EncryptUpdate(l.ctx, p, &n, plain.p, (int)plain.n)) ||
		!EVP_EncryptFinal_ex(l.ctx, p + plain.n, &n) ||
		!EVP_CIPHER_CTX_ctrl(l.ctx, EVP_CTRL_AEAD_GET_TAG, TAG, p + plain.n))
		return ossl_fail(CRYPTO, "encrypting");
	buf_commit(ret, plain.n + TAG);
	return KF_OK;
}

/* Appends the plaintext.  What was decrypted before the tag was checked is wiped on failure. */
static kf_err gcm_open(const struct gcm *g, struct slice cipher, struct buf *ret)
{
	CLEANUP(give_back) struct lent l = { 0 };
	if (cipher.n < TAG)
		return kf_fail(TAMPERED, "sealed bytes end too early");
	KF_TRY(borrow(&l));
	size_t n = cipher.n - TAG;
	uint8_t *p = buf_reserve(ret, n + 1), tag[TAG];
	int done = 0;
	if (!p)
		return buf_err(ret);
	memcpy(tag, cipher.p + n, TAG);
	if (!gcm_start(l.ctx, g, 0) ||
		(n && !EVP_DecryptUpdate(l.ctx, p, &done, cipher.p, (int)n)) ||
		!EVP_CIPHER_CTX_ctrl(l.ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) ||
		!EVP_DecryptFinal_ex(l.ctx, p + n, &done)) {
		explicit_bzero(p, n);
		return ossl_fail(
			TAMPERED, "sealed bytes or what they are bound to changed");
	}
	buf_commit(ret, n);
	return KF_OK;
}

static bool cut(struct slice *from, size_t n, struct slice *ret)
{
	if (from->n < n)
		return false;
	*ret = (struct slice){ from->p, n };
	from->p += n;
	from->n -= n;
	return true;
}

static kf_err take_apart(struct slice sealed, struct parts *ret)
{
	struct slice head;
	if (sealed.n > SEALED_MAX || !cut(&sealed, 2, &head) || head.p[0] != FORMAT ||
		head.p[1] == 0 || head.p[1] > MASTER_ID_MAX ||
		!cut(&sealed, head.p[1], &ret->id) || !cut(&sealed, SALT, &ret->salt) ||
		!cut(&sealed, NONCE, &ret->wrap_nonce) ||
		!cut(&sealed, KEY + TAG, &ret->wrapped) || sealed.n < NONCE + TAG)
		return kf_fail(MALFORMED, "these are no sealed bytes");
	ret->body = sealed;
	return KF_OK;
}

kf_err seal_master_id(struct slice sealed, struct slice *ret)
{
	struct parts p;
	KF_TRY(take_apart(sealed, &p));
	*ret = p.id;
	return KF_OK;
}

/* Head and wrapped object key, under the newest master key. */
static kf_err put_wrapped(const struct keyring *k, const uint8_t object_key[KEY],
	struct slice associated, struct buf *ret)
{
	const char *id = keyring_id(k, 0);
	uint8_t fresh[SALT + NONCE], key[KEY];
	if (RAND_bytes(fresh, sizeof(fresh)) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	KF_TRY(keyring_wrap_key(k, slice_of(id), (struct slice){ fresh, SALT }, key));
	buf_add_u8(ret, FORMAT);
	buf_add_u8(ret, (uint8_t)strlen(id));
	buf_add_text(ret, id);
	buf_add(ret, fresh, sizeof(fresh));
	struct gcm g = { key, fresh + SALT, "keyfleet object key 1", associated };
	kf_err err = gcm_seal(&g, (struct slice){ object_key, KEY }, ret);
	explicit_bzero(key, sizeof(key));
	return err;
}

static kf_err unwrap(const struct keyring *k, const struct parts *p,
	struct slice associated, struct buf *object_key)
{
	uint8_t key[KEY];
	KF_TRY(keyring_wrap_key(k, p->id, p->salt, key));
	struct gcm g = { key, p->wrap_nonce.p, "keyfleet object key 1", associated };
	kf_err err = gcm_open(&g, p->wrapped, object_key);
	explicit_bzero(key, sizeof(key));
	return err;
}

static kf_err put_body(const uint8_t object_key[KEY], struct slice material,
	struct slice associated, struct buf *ret)
{
	uint8_t nonce[NONCE];
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	buf_add(ret, nonce, sizeof(nonce));
	struct gcm g = { object_key, nonce, "keyfleet object 1", associated };
	return gcm_seal(&g, material, ret);
}

/* A failure takes back what was appended. */
static kf_err settle(struct buf *ret, size_t before, kf_err err)
{
	if (kf_ok(err))
		return buf_err(ret);
	if (ret->n > before)
		explicit_bzero(ret->p + before, ret->n - before);
	ret->n = before;
	return err;
}

static kf_err seal(const struct keyring *k, struct slice material,
	struct slice associated, struct buf *ret)
{
	uint8_t object_key[KEY];
	if (material.n > SEALED_MAX - SEAL_OVERHEAD_MAX || associated.n > SEALED_MAX)
		return kf_fail(TOO_BIG, "material");
	if (RAND_priv_bytes(object_key, KEY) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	kf_err err = put_wrapped(k, object_key, associated, ret);
	if (kf_ok(err))
		err = put_body(object_key, material, associated, ret);
	explicit_bzero(object_key, KEY);
	return err;
}

kf_err seal_object(const struct keyring *k, struct slice material,
	struct slice associated, struct buf *ret)
{
	size_t before = ret->n;
	return settle(ret, before, seal(k, material, associated, ret));
}

static kf_err unseal(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret)
{
	struct parts p;
	autobuf object_key = buf_new(KEY + 1);
	if (associated.n > SEALED_MAX)
		return kf_fail(TOO_BIG, "associated data");
	KF_TRY(take_apart(sealed, &p));
	KF_TRY(unwrap(k, &p, associated, &object_key));
	struct gcm g = { object_key.p, p.body.p, "keyfleet object 1", associated };
	return gcm_open(&g, (struct slice){ p.body.p + NONCE, p.body.n - NONCE }, ret);
}

kf_err unseal_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret)
{
	kf_err err = unseal(k, sealed, associated, ret);
	return kf_is(err, KF_E_MALFORMED) ? kf_fail(TAMPERED, "these are no sealed bytes")
					  : err;
}

static kf_err reseal(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret)
{
	struct parts p;
	autobuf object_key = buf_new(KEY + 1);
	KF_TRY(take_apart(sealed, &p));
	KF_TRY(unwrap(k, &p, associated, &object_key));
	KF_TRY(put_wrapped(k, object_key.p, associated, ret));
	buf_add_slice(ret, p.body);
	return buf_err(ret);
}

kf_err reseal_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret)
{
	size_t before = ret->n;
	return settle(ret, before, reseal(k, sealed, associated, ret));
}

kf_err rebind_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct slice new_associated, struct buf *ret)
{
	autobuf material = buf_new(SEALED_MAX);
	KF_TRY(unseal_object(k, sealed, associated, &material));
	return seal_object(k, buf_slice(&material), new_associated, ret);
}
