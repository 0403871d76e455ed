/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of Encrypt and Decrypt share: keys, requests, and answers that are kept.
 */
#pragma once
#include "kmip/attrs.h"
#include "op/parts.h"
#include "world.h"

enum {
	ENCRYPT_DECRYPT = 0xc,
	AES = 3,
	CBC = 1,
	ECB = 2,
	CTR = 6,
	CCM = 8,
	GCM = 9,
	PKCS5 = 3
};

struct key_wish {
	uint32_t algorithm;
	int32_t bits, usage;
	struct slice bytes;
	struct slice extra;
	bool is_not_active;
};

static kf_err add_key(struct world *w, const struct key_wish *wish, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		wish->usage ? wish->usage : ENCRYPT_DECRYPT);
	if (!wish->is_not_active)
		attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	buf_add_slice(&attrs, wish->extra);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = wish->algorithm,
				.length = wish->bits,
				.has_value = true,
				.material = wish->bytes } },
		ret);
}

static const uint8_t zeros[64];

static kf_err aes_key(struct world *w, struct id *ret)
{
	return add_key(w,
		&(struct key_wish){
			.algorithm = AES, .bits = 128, .bytes = { zeros, 16 } },
		ret);
}

static kf_err encrypt(struct world *w, struct decrypt_request *q, const struct id *id,
	struct decrypt_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	encrypt_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_ENCRYPT));
	struct ttlv_reader r = answer(w);
	return encrypt_get_response(&r, ret);
}

static kf_err decrypt(struct world *w, struct decrypt_request *q, const struct id *id,
	struct decrypt_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	decrypt_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_DECRYPT));
	struct ttlv_reader r = answer(w);
	return decrypt_get_response(&r, ret);
}

static struct decrypt_request with_mode(uint32_t mode, struct slice data)
{
	return (struct decrypt_request){ .has_parameters = true,
		.parameters = { .block_cipher_mode = mode },
		.has_data = true,
		.data = data };
}

/* What an answer points to goes with the next question. */
struct kept {
	uint8_t data[256], iv[32], tag[16], correlation[32];
	struct decrypt_response a;
};

static struct slice keep(uint8_t *into, struct slice s)
{
	if (s.n)
		memcpy(into, s.p, s.n);
	return (struct slice){ into, s.n };
}

static struct kept *keep_all(struct kept *k, const struct decrypt_response *a)
{
	k->a = *a;
	k->a.data = keep(k->data, a->data);
	k->a.iv = keep(k->iv, a->iv);
	k->a.tag = keep(k->tag, a->tag);
	k->a.correlation_value = keep(k->correlation, a->correlation_value);
	return k;
}

/* Not every test uses every helper. */
__attribute__((unused)) static void encipher_helpers(void)
{
	(void)add_key;
	(void)aes_key;
	(void)encrypt;
	(void)decrypt;
	(void)with_mode;
	(void)keep_all;
}
