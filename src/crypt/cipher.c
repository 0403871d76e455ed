/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/cipher.h"
#include "crypt/block.h"
#include "crypt/cipher_thread.h"
#include "crypt/ossl.h"
#include <assert.h>
#include <limits.h>
#include <string.h>

static const struct cipher_info rows[] = {
#define X(name_, algorithm_, mode_, key, openssl, kind_, least, most, random, bytes)     \
	{                                                                                \
		.name = name_,                                                           \
		.algorithm = CIPHER_##algorithm_,                                        \
		.mode = MODE_##mode_,                                                    \
		.key_n = key,                                                            \
		.openssl_name = openssl,                                                 \
		.kind = CIPHER_##kind_,                                                  \
		.iv_min = least,                                                         \
		.iv_max = most,                                                          \
		.iv_random = random,                                                     \
		.inline_max = bytes,                                                     \
	},
#include "crypt/cipher.def"
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(*rows) };
static_assert(sizeof(rows) / sizeof(*rows) <= (size_t)CIPHER_ROWS_MAX, "CIPHER_ROWS_MAX");

const struct cipher_info *cipher_each(size_t i) { return i < ROWS ? &rows[i] : NULL; }

static kf_err why_none(bool has_mode)
{
	return has_mode ? kf_fail(BAD_PARAMETERS, "the key has not the cipher's length")
			: kf_fail(BAD_PARAMETERS, "no such cipher and mode");
}

kf_err cipher_find(
	uint32_t algorithm, uint32_t mode, size_t key_n, const struct cipher_info **ret)
{
	bool has_mode = false;

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].algorithm != algorithm || rows[i].mode != mode)
			continue;
		has_mode = true;
		if (rows[i].key_n != key_n)
			continue;
		*ret = &rows[i];
		return KF_OK;
	}
	return why_none(has_mode);
}

bool cipher_has_tag(const struct cipher_info *info)
{
	return info->kind == CIPHER_AEAD || info->kind == CIPHER_CCM;
}

kf_err cipher_check_padding(const struct cipher_info *info, uint32_t padding)
{
	if (padding == PADDING_ABSENT || padding == PADDING_NONE)
		return KF_OK;
	const bool is_known = padding == PADDING_PKCS5 || padding == PADDING_ZEROS ||
			      padding == PADDING_ANSI_X9_23 ||
			      padding == PADDING_ISO_10126;
	if (info->kind != CIPHER_BLOCK || !is_known)
		return kf_fail(BAD_PARAMETERS, "this cipher has no such padding");
	return KF_OK;
}

kf_err cipher_check_tag(const struct cipher_info *info, size_t tag_n)
{
	bool is_fine = tag_n >= 12 && tag_n <= CIPHER_TAG_MAX;

	if (info->kind == CIPHER_CCM)
		is_fine = tag_n >= 4 && tag_n <= CIPHER_TAG_MAX && tag_n % 2 == 0;
	else if (info->mode == MODE_GCM)
		is_fine = is_fine || tag_n == 4 || tag_n == 8;
	return is_fine ? KF_OK
		       : kf_fail(TAG_LENGTH, "the cipher has no tags of this length");
}

/* --- beginning --- */

/* The contexts come with nonces of iv_random bytes; to set that again costs as much as a short message. */
static bool needs_lengths(const struct cipher *c, const struct cipher_setup *s)
{
	return c->info->kind == CIPHER_CCM ||
	       (c->info->kind == CIPHER_AEAD && s->iv.n != c->info->iv_random);
}

static kf_err set_lengths(struct cipher *c, const struct cipher_setup *s)
{
	EVP_CIPHER_CTX *ctx = c->ctx;

	c->has_odd_iv = true;
	if (EVP_CipherInit_ex2(ctx, NULL, NULL, NULL, !s->decrypts, NULL) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)s->iv.n, NULL) < 1)
		return ossl_fail(CRYPTO, "length of the nonce");
	/* CCM mixes the length of the tag into the message; the others only cut. */
	if (c->info->kind == CIPHER_CCM &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)s->tag_n, NULL) < 1)
		return ossl_fail(CRYPTO, "length of the tag");
	return KF_OK;
}

static kf_err add_aad(struct cipher *c, struct slice aad)
{
	int n = 0;
	if (!aad.n)
		return KF_OK;
	if (aad.n > INT_MAX || EVP_CipherUpdate(c->ctx, NULL, &n, aad.p, (int)aad.n) != 1)
		return ossl_fail(CRYPTO, "additional data");
	return KF_OK;
}

static kf_err check_setup(const struct cipher_setup *s)
{
	const struct cipher_info *info = s->info;

	KF_TRY(cipher_check_padding(info, s->padding));
	if (cipher_has_tag(info))
		KF_TRY(cipher_check_tag(info, s->tag_n));
	else if (s->aad.n)
		return kf_fail(BAD_PARAMETERS, "this cipher has no additional data");
	if (s->key.n != info->key_n)
		return kf_fail(BAD_PARAMETERS, "the key has not the cipher's length");
	/* All but nonces are read as whole blocks: shorter ones are filled up before. */
	if (s->iv.n < (cipher_has_tag(info) ? info->iv_min : info->iv_max) ||
		s->iv.n > info->iv_max)
		return kf_fail(BAD_PARAMETERS, "IV of a wrong length");
	return KF_OK;
}

static kf_err begin(struct cipher *c, const struct cipher_setup *s)
{
	KF_TRY(cipher_thread_ctx(
		(size_t)(s->info - rows), s->info, !s->has_parts, &c->ctx, &c->is_lent));
	EVP_CIPHER_CTX *ctx = c->ctx;

	if (needs_lengths(c, s))
		KF_TRY(set_lengths(c, s));
	if (EVP_CipherInit_ex2(ctx, NULL, s->key.p, s->iv.n ? s->iv.p : NULL,
		    !s->decrypts, NULL) != 1 ||
		EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)
		return ossl_fail(BAD_PARAMETERS, "the cipher refuses this key or IV");
	if (c->info->kind == CIPHER_AEAD)
		return add_aad(c, s->aad);
	if (c->info->kind == CIPHER_CCM)
		buf_add_slice(&c->aad, s->aad);
	return buf_err(&c->aad);
}

enum { HELD_MAX = 64 << 20, AAD_MAX = 64 << 20 };

kf_err cipher_begin(struct cipher *c, const struct cipher_setup *s)
{
	*c = (struct cipher){
		.info = s->info,
		.padding = s->padding,
		.decrypts = s->decrypts,
		.tag_n = s->tag_n,
		.block = cipher_block(s->info),
		.bytes_max = UINT64_MAX,
		.held = buf_new(HELD_MAX),
		.aad = buf_new(AAD_MAX),
	};
	if (s->bytes_max)
		c->bytes_max = s->bytes_max;
	KF_TRY(check_setup(s));
	return begin(c, s);
}

/* --- the middle --- */

static kf_err update(struct cipher *c, struct slice in, struct buf *out)
{
	int n = 0;

	if (!in.n)
		return KF_OK;
	if (in.n > INT_MAX - 2 * CIPHER_BLOCK_MAX)
		return kf_fail(TOO_BIG, "too much data at once");
	uint8_t *to = buf_reserve(out, in.n + 2 * CIPHER_BLOCK_MAX);
	if (!to)
		return buf_err(out);
	if (EVP_CipherUpdate(c->ctx, to, &n, in.p, (int)in.n) != 1 || n < 0)
		return c->decrypts ? ossl_fail(DATA, "decryption failed")
				   : ossl_fail(DATA, "encryption failed");
	buf_commit(out, (size_t)n);
	return KF_OK;
}

static bool is_padded(const struct cipher *c)
{
	return c->padding != PADDING_ABSENT && c->padding != PADDING_NONE;
}

/* The last block of plaintext may be padding: it stays until it is known not to be the last. */
static kf_err update_but_last(struct cipher *c, struct slice in, struct buf *out)
{
	const size_t had = out->n;

	if (c->has_last)
		buf_add(out, c->last, c->block);
	c->has_last = false;
	KF_TRY(update(c, in, out));
	if (out->n - had < c->block)
		return KF_OK;
	memcpy(c->last, out->p + out->n - c->block, c->block);
	OPENSSL_cleanse(out->p + out->n - c->block, c->block);
	out->n -= c->block;
	c->has_last = true;
	return KF_OK;
}

static bool is_whole(const struct cipher *c)
{
	return c->info->kind >= CIPHER_CCM ||
	       (c->info->kind == CIPHER_AEAD && c->decrypts);
}

static kf_err count(struct cipher *c, struct slice in)
{
	if (in.n > c->bytes_max - c->bytes)
		return kf_fail(DATA, "the counter would come round");
	c->bytes += in.n;
	return KF_OK;
}

kf_err cipher_part(struct cipher *c, struct slice in, struct buf *out)
{
	KF_TRY(count(c, in));
	if (is_whole(c)) {
		buf_add_slice(&c->held, in);
		return buf_err(&c->held);
	}
	return c->decrypts && is_padded(c) ? update_but_last(c, in, out)
					   : update(c, in, out);
}

/* --- the end --- */

static kf_err set_tag(struct cipher *c, struct slice tag)
{
	if (tag.n != c->tag_n || EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG,
					 (int)tag.n, (void *)(uintptr_t)tag.p) < 1)
		return ossl_fail(DATA, "decryption failed");
	return KF_OK;
}

static kf_err get_tag(struct cipher *c, uint8_t ret[CIPHER_TAG_MAX])
{
	if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, (int)c->tag_n, ret) < 1)
		return ossl_fail(CRYPTO, "no tag");
	return KF_OK;
}

static kf_err final(struct cipher *c)
{
	uint8_t none[2 * CIPHER_BLOCK_MAX];
	int n = 0;
	if (EVP_CipherFinal_ex(c->ctx, none, &n) != 1 || n != 0)
		return ossl_fail(DATA, "decryption failed");
	return KF_OK;
}

static kf_err last_aead(struct cipher *c, struct slice in, struct slice tag,
	struct buf *out, uint8_t ret_tag[CIPHER_TAG_MAX])
{
	if (c->decrypts)
		KF_TRY(set_tag(c, tag));
	KF_TRY(update(c, in, out));
	KF_TRY(final(c));
	return c->decrypts ? KF_OK : get_tag(c, ret_tag);
}

/* CCM wants the tag first, then the length of the message, and checks the tag with the data.  An empty
 * message must be said to be there, or the tag would not be looked at. */
static kf_err last_ccm(struct cipher *c, struct slice in, struct slice tag,
	struct buf *out, uint8_t ret_tag[CIPHER_TAG_MAX])
{
	static const uint8_t nothing[1];
	int n = 0;

	if (c->decrypts)
		KF_TRY(set_tag(c, tag));
	if (in.n > INT_MAX - 2 * CIPHER_BLOCK_MAX ||
		EVP_CipherUpdate(c->ctx, NULL, &n, NULL, (int)in.n) != 1)
		return ossl_fail(DATA, "the message is too long for its nonce");
	KF_TRY(add_aad(c, buf_slice(&c->aad)));
	if (in.n)
		KF_TRY(update(c, in, out));
	else if (EVP_CipherUpdate(
			 c->ctx, buf_reserve(out, CIPHER_BLOCK_MAX), &n, nothing, 0) != 1)
		return ossl_fail(DATA, "decryption failed");
	return c->decrypts ? KF_OK : get_tag(c, ret_tag);
}

static kf_err last_block(struct cipher *c, struct slice in, struct buf *out)
{
	uint8_t pad[CIPHER_BLOCK_MAX];
	size_t n = 0;

	KF_TRY(block_pad(c->padding, c->block, c->bytes, pad, &n));
	if ((c->bytes + n) % c->block)
		return kf_fail(DATA, "the data are not whole blocks");
	KF_TRY(update(c, in, out));
	return update(c, (struct slice){ pad, n }, out);
}

static kf_err last_unpadded(struct cipher *c, struct slice in, struct buf *out)
{
	size_t n = 0;

	if (c->bytes % c->block)
		return kf_fail(DATA, "decryption failed");
	if (!is_padded(c))
		return update(c, in, out);
	KF_TRY(update_but_last(c, in, out));
	/* No block at all: with Zeros that is the empty message. */
	if (!c->has_last)
		return c->padding == PADDING_ZEROS ? KF_OK
						   : kf_fail(DATA, "decryption failed");
	KF_TRY(block_unpad(c->padding, c->last, c->block, &n));
	buf_add(out, c->last, n);
	return buf_err(out);
}

static kf_err last(struct cipher *c, struct slice in, struct slice tag, struct buf *out,
	uint8_t ret_tag[CIPHER_TAG_MAX])
{
	switch (c->info->kind) {
	case CIPHER_AEAD: return last_aead(c, in, tag, out, ret_tag);
	case CIPHER_CCM: return last_ccm(c, in, tag, out, ret_tag);
	case CIPHER_BLOCK:
		return c->decrypts ? last_unpadded(c, in, out) : last_block(c, in, out);
	case CIPHER_STREAM: return update(c, in, out);
	case CIPHER_XTS:
	case CIPHER_WRAP: break;
	}
	/* How little is too little the mode knows: AES Key Wrap with Padding takes a single byte. */
	return in.n ? update(c, in, out) : kf_fail(DATA, "too little data");
}

kf_err cipher_last(struct cipher *c, struct slice in, struct slice tag, struct buf *out,
	uint8_t ret_tag[CIPHER_TAG_MAX])
{
	KF_TRY(count(c, in));
	if (!c->held.n)
		return last(c, in, tag, out, ret_tag);
	buf_add_slice(&c->held, in);
	KF_TRY(buf_err(&c->held));
	return last(c, buf_slice(&c->held), tag, out, ret_tag);
}

void cipher_end(struct cipher *c)
{
	cipher_thread_give_back(c->ctx, c->info, c->is_lent, c->has_odd_iv);
	buf_free(&c->held);
	buf_free(&c->aad);
	OPENSSL_cleanse(c, sizeof(*c));
}
