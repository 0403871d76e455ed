/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cipher.h"
#include "client/typed.h"

enum { IV_MAX = 128, TAG_MIN = 12, TAG_MAX = 16 };

/* ---- requests ---- */

struct cipher_row {
	uint32_t algorithm, mode, padding;
	bool has_tag;
};

static const struct cipher_row rows[] = {
	[KF_AES_GCM] = { KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KMIP_BLOCK_CIPHER_MODE_GCM, 0,
		true },
	[KF_CHACHA20_POLY1305] = { KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, 0, 0,
		true },
	[KF_AES_CBC_PKCS5] = { KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
		KMIP_BLOCK_CIPHER_MODE_CBC, KMIP_PADDING_METHOD_PKCS5, false },
	[KF_AES_CBC] = { KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KMIP_BLOCK_CIPHER_MODE_CBC,
		KMIP_PADDING_METHOD_NONE, false },
	[KF_AES_CTR] = { KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KMIP_BLOCK_CIPHER_MODE_CTR, 0,
		false },
};

static const struct cipher_row *row_of(kf_cipher cipher)
{
	size_t i = (size_t)cipher;
	return i < sizeof(rows) / sizeof(*rows) && rows[i].algorithm ? &rows[i] : NULL;
}

static struct slice slice_at(const kf_bytes *b)
{
	return (struct slice){ b->data, b->size };
}

static bool is_readable(const void *data, size_t size) { return data || !size; }

static const char *check_cipher(
	const kf_cipher_request *q, const struct cipher_row *row, bool decrypts)
{
	if (!typed_is_id(q->key))
		return "key is not a Unique Identifier";
	if (!row)
		return "cipher is unknown";
	if (!is_readable(q->data, q->size) || !is_readable(q->iv.data, q->iv.size) ||
		!is_readable(q->tag.data, q->tag.size) ||
		!is_readable(q->additional_data.data, q->additional_data.size))
		return "data is NULL";
	if (q->additional_data.size && !row->has_tag)
		return "this cipher has no additional data";
	if (decrypts && !q->iv.size)
		return "iv is missing";
	if (q->iv.size > IV_MAX || q->tag.size > TAG_MAX)
		return "iv or tag is too long";
	if ((decrypts && row->has_tag) != (q->tag.size > 0))
		return q->tag.size ? "there is no tag here" : "tag is missing";
	/* As long as a forger likes it, a tag would be guessed. */
	return q->tag.size && q->tag.size < TAG_MIN ? "tag is too short" : NULL;
}

const char *cipher_plan(
	const kf_cipher_request *q, bool decrypts, struct decrypt_request *ret)
{
	const struct cipher_row *row = row_of(q->cipher);
	const char *why = check_cipher(q, row, decrypts);
	if (why)
		return why;
	bool wants_iv = !decrypts && !q->iv.size;
	*ret = (struct decrypt_request){ .uid = kmip_uid_text(slice_of(q->key)),
		.has_parameters = true,
		.parameters = { .cryptographic_algorithm = row->algorithm,
			.block_cipher_mode = row->mode,
			.padding_method = row->padding,
			.has_random_iv = wants_iv,
			.random_iv = wants_iv,
			.has_tag_length = row->has_tag,
			.tag_length = decrypts ? (int32_t)q->tag.size : TAG_MAX },
		.has_data = true,
		.data = { q->data, q->size },
		.iv = slice_at(&q->iv),
		.additional_data = slice_at(&q->additional_data),
		.tag = slice_at(&q->tag) };
	return NULL;
}

const char *mac_plan(const kf_mac_request *q, struct mac_request *ret)
{
	struct cryptographic_parameters p = { 0 };
	if (!typed_is_id(q->key))
		return "key is not a Unique Identifier";
	if (!is_readable(q->data, q->size))
		return "data is NULL";
	switch (q->algorithm) {
	case KF_HMAC_SHA256:
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256;
		break;
	case KF_HMAC_SHA384:
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384;
		break;
	case KF_HMAC_SHA512:
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512;
		break;
	case KF_CMAC_AES:
		p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
		p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CMAC;
		break;
	default: return "algorithm is unknown";
	}
	*ret = (struct mac_request){ .uid = kmip_uid_text(slice_of(q->key)),
		.has_parameters = true,
		.parameters = p,
		.has_data = true,
		.data = { q->data, q->size } };
	return NULL;
}

/* Before 1.4 the tag has no field, and everybody puts it where he likes. */
static kf_err check_version(const struct ttlv_writer *w, const struct decrypt_request *q)
{
	return q->parameters.has_tag_length && w->version < KMIP_1_4
		       ? kf_fail(VERSION, "a server before KMIP 1.4 tells no tags")
		       : KF_OK;
}

kf_err cipher_encrypt_put(struct ttlv_writer *w, const void *request)
{
	KF_TRY(check_version(w, request));
	encrypt_put_request(w, request);
	return ttlv_written(w);
}

kf_err cipher_decrypt_put(struct ttlv_writer *w, const void *request)
{
	KF_TRY(check_version(w, request));
	decrypt_put_request(w, request);
	return ttlv_written(w);
}

TYPED(mac)
TYPED(mac_verify)

kf_err cipher_mac_put(struct ttlv_writer *w, const void *request)
{
	return mac_put(w, request);
}

kf_err cipher_check_encrypted(
	const struct decrypt_response *a, bool has_random_iv, bool has_tag)
{
	return (has_random_iv && !a->iv.n) || (has_tag && a->tag.n != TAG_MAX)
		       ? kf_fail(MALFORMED, "no IV or no tag was told")
		       : KF_OK;
}

kf_err cipher_check_mac(const struct mac_response *a)
{
	return a->mac.n ? KF_OK : kf_fail(MALFORMED, "no code was told");
}

/* ---- blocking calls ---- */

static kf_err encrypt_get(struct ttlv_reader *r, void *ret)
{
	return encrypt_get_response(r, ret);
}

static kf_err decrypt_get(struct ttlv_reader *r, void *ret)
{
	return decrypt_get_response(r, ret);
}

/* All three or none. */
static kf_result fill_all(kf_call *call, const struct decrypt_response *a,
	struct slice iv, kf_encrypted *to)
{
	to->data.used = a->data.n;
	to->iv.used = iv.n;
	to->tag.used = a->tag.n;
	if (to->data.used > to->data.size || to->iv.used > to->iv.size ||
		to->tag.used > to->tag.size)
		return status_refuse(call, KF_BUFFER_TOO_SMALL, "see used");
	typed_fill(call, a->data, &to->data);
	typed_fill(call, iv, &to->iv);
	return typed_fill(call, a->tag, &to->tag);
}

/* A question with its answer, in memory that the answer points to. */
struct exchange {
	struct decrypt_request q;
	struct decrypt_response a;
	struct buf memory;
};

static void exchange_clear(struct exchange *x) { buf_free(&x->memory); }

static kf_result ask(struct kf_client *c, const struct typed *t,
	const kf_cipher_request *request, struct exchange *x, kf_call *call)
{
	const bool decrypts = t->operation == KMIP_OPERATION_DECRYPT;
	const char *why = cipher_plan(request, decrypts, &x->q);
	if (!why)
		why = typed_fits(c, request->size, request->additional_data.size);
	if (why)
		return status_refuse(call, KF_INVALID_ARGUMENT, why);
	x->memory = buf_new(c->fleet.setup.message_max);
	const struct typed_io io = { &x->q, &x->memory, &x->a };
	return typed_call(c, t, &io, call);
}

kf_result kf_cipher_encrypt(struct kf_client *client, const kf_cipher_request *request,
	kf_encrypted *ret, kf_call *call)
{
	static const struct typed encrypt = { KMIP_OPERATION_ENCRYPT, cipher_encrypt_put,
		encrypt_get, 0, 0 };
	CLEANUP(exchange_clear) struct exchange x = { 0 };
	kf_result result = ask(client, &encrypt, request, &x, call);
	if (result)
		return result;
	kf_err e = cipher_check_encrypted(
		&x.a, x.q.parameters.has_random_iv, x.q.parameters.has_tag_length);
	if (!kf_ok(e))
		return status_refuse(call, KF_PROTOCOL, e.site->text);
	return fill_all(call, &x.a, x.q.iv.n ? x.q.iv : x.a.iv, ret);
}

kf_result kf_cipher_decrypt(struct kf_client *client, const kf_cipher_request *request,
	kf_buffer *plain, kf_call *call)
{
	static const struct typed decrypt = { KMIP_OPERATION_DECRYPT, cipher_decrypt_put,
		decrypt_get, 0, 0 };
	CLEANUP(exchange_clear) struct exchange x = { 0 };
	kf_result result = ask(client, &decrypt, request, &x, call);
	return result ? result : typed_fill(call, x.a.data, plain);
}

/* A code, or what one is held against, and the answer, whose memory this is. */
struct mac_exchange {
	struct slice mac;
	void *answer;
	struct buf memory;
};

static void mac_exchange_clear(struct mac_exchange *x) { buf_free(&x->memory); }

static kf_result ask_mac(struct kf_client *c, const struct typed *t,
	const kf_mac_request *request, struct mac_exchange *x, kf_call *call)
{
	struct mac_request q;
	const char *why = mac_plan(request, &q);
	if (!why)
		why = typed_fits(c, request->size, x->mac.n);
	if (why)
		return status_refuse(call, KF_INVALID_ARGUMENT, why);
	q.mac = x->mac;
	x->memory = buf_new(c->fleet.setup.message_max);
	const struct typed_io io = { &q, &x->memory, x->answer };
	return typed_call(c, t, &io, call);
}

kf_result kf_mac(struct kf_client *client, const kf_mac_request *request, kf_buffer *mac,
	kf_call *call)
{
	static const struct typed make = { KMIP_OPERATION_MAC, mac_put, mac_get, 0, 0 };
	struct mac_response a;
	CLEANUP(mac_exchange_clear) struct mac_exchange x = { .answer = &a };
	kf_result result = ask_mac(client, &make, request, &x, call);
	if (result)
		return result;
	kf_err e = cipher_check_mac(&a);
	return kf_ok(e) ? typed_fill(call, a.mac, mac)
			: status_refuse(call, KF_PROTOCOL, e.site->text);
}

kf_result kf_mac_verify(struct kf_client *client, const kf_mac_request *request,
	const kf_bytes *mac, int *is_valid, kf_call *call)
{
	static const struct typed verify = { KMIP_OPERATION_MAC_VERIFY, mac_verify_put,
		mac_verify_get, 0, 0 };
	struct mac_verify_response a;
	if (!mac->data || !mac->size)
		return status_refuse(call, KF_INVALID_ARGUMENT, "mac is missing");
	CLEANUP(mac_exchange_clear)
	struct mac_exchange x = { .mac = slice_at(mac), .answer = &a };
	kf_result result = ask_mac(client, &verify, request, &x, call);
	if (!result)
		*is_valid = a.validity == KMIP_VALIDITY_INDICATOR_VALID;
	return result;
}
