/* SPDX-License-Identifier: Apache-2.0
 *
 * cipher: symmetric encryption, in one piece or in parts.
 *
 * One message is one struct cipher: cipher_begin(), any number of cipher_part(), cipher_last(), and
 * always cipher_end(), which wipes.  Nothing of a message whose decryption fails is worth anything: the
 * caller wipes `out`.  Every failure to decrypt is DATA, whatever was wrong, and padding is looked at in
 * a time that does not depend on it.
 *
 * Plaintext whose tag was not verified yet does not leave: a message with a tag that is decrypted in parts
 * comes out with its last part.  So does, in both directions, what is no stream (CCM, XTS, key wrap).
 *
 * A message belongs to one thread at a time.
 */
#pragma once
#include "base/buf.h"

struct evp_cipher_ctx_st;

enum { CIPHER_IV_MAX = 128, CIPHER_TAG_MAX = 16, CIPHER_BLOCK_MAX = 16 };

enum cipher_kind {
	CIPHER_BLOCK,
	CIPHER_STREAM,
	CIPHER_AEAD,
	CIPHER_CCM,
	CIPHER_XTS,
	CIPHER_WRAP,
};

/* KMIP Block Cipher Mode, Padding Method and Cryptographic Algorithm: those that are something here. */
enum cipher_mode {
	MODE_NONE,
	MODE_CBC = 0x1,
	MODE_ECB = 0x2,
	MODE_CFB = 0x4,
	MODE_OFB = 0x5,
	MODE_CTR = 0x6,
	MODE_CCM = 0x8,
	MODE_GCM = 0x9,
	MODE_XTS = 0xb,
	MODE_AESKEYWRAPPADDING = 0xc,
	MODE_NISTKEYWRAP = 0xd,
	MODE_AEAD = 0x12,
};

enum padding {
	PADDING_ABSENT,
	PADDING_NONE = 0x1,
	PADDING_PKCS5 = 0x3,
	PADDING_ZEROS = 0x5,
	PADDING_ANSI_X9_23 = 0x6,
	PADDING_ISO_10126 = 0x7,
};

enum cipher_algorithm {
	CIPHER_3DES = 0x02,
	CIPHER_AES = 0x03,
	CIPHER_CAMELLIA = 0x11,
	CIPHER_CHACHA20 = 0x1c,
	CIPHER_CHACHA20POLY1305 = 0x1e,
	CIPHER_ARIA = 0x29,
	CIPHER_SM4 = 0x2d,
};

struct cipher_info {
	const char *name; /* "AES-256-GCM" */
	enum cipher_algorithm algorithm;
	enum cipher_mode mode;
	size_t key_n;
	const char *openssl_name;
	enum cipher_kind kind;
	size_t iv_min, iv_max, iv_random;
	size_t inline_max; /* more is a worker's */
};

/* Bytes of a block; of a stream cipher too, which has none. */
static inline size_t cipher_block(const struct cipher_info *info)
{
	return info->algorithm == CIPHER_3DES ? 8 : 16;
}

/* BAD_PARAMETERS: no such cipher, or the key has not its length. */
kf_err cipher_find(
	uint32_t algorithm, uint32_t mode, size_t key_n, const struct cipher_info **ret);
const struct cipher_info *cipher_each(size_t i); /* NULL after the last */
bool cipher_has_tag(const struct cipher_info *info);
/* BAD_PARAMETERS unless it is a padding of this cipher; absent is None. */
kf_err cipher_check_padding(const struct cipher_info *info, uint32_t padding);
/* TAG_LENGTH unless the cipher makes tags of so many bytes (SP 800-38D and -38C). */
kf_err cipher_check_tag(const struct cipher_info *info, size_t tag_n);

struct cipher_setup {
	const struct cipher_info *info;
	enum padding padding;
	bool decrypts;
	bool has_parts; /* cipher_part() will be called: nothing of this struct is kept */
	struct slice key; /* info->key_n bytes */
	struct slice
		iv; /* between info->iv_min and iv_max; a counter block has 16 bytes */
	struct slice aad;
	size_t tag_n;       /* ciphers with a tag */
	uint64_t bytes_max; /* before the counter comes round; 0: no limit */
};

struct cipher {
	const struct cipher_info *info;
	struct evp_cipher_ctx_st *ctx;
	enum padding padding;
	bool decrypts, is_lent; /* is_lent: the context is the thread's */
	bool has_odd_iv;        /* its nonce has not the usual length */
	bool has_last;          /* `last` holds the plaintext block that may be padding */
	size_t block, tag_n;
	uint64_t bytes, bytes_max; /* that went in; that may */
	uint8_t last[CIPHER_BLOCK_MAX];
	struct buf held, aad; /* of messages that are worked on as a whole */
};

kf_err cipher_begin(struct cipher *c, const struct cipher_setup *s);
/* Appends to `out` what is ready. */
kf_err cipher_part(struct cipher *c, struct slice in, struct buf *out);
/* Decryption checks `tag`, which has exactly the agreed length; encryption writes ret_tag. */
kf_err cipher_last(struct cipher *c, struct slice in, struct slice tag, struct buf *out,
	uint8_t ret_tag[CIPHER_TAG_MAX]);
void cipher_end(struct cipher *c); /* wipes; zeroed is fine */
