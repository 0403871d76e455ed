/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"
#include "kmip/create.h"
#include "kmip/decrypt.h"
#include "kmip/get.h"
#include "kmip/locate.h"
#include "kmip/sign.h"
#include <string.h>

/* Each place of a group has its own Unique Batch Item ID, as keyfleet/1 wants it. */
static struct ttlv_writer begin(struct buf *b, uint32_t operation, size_t place)
{
	*b = buf_new(65536);
	const struct kmip_request_header h = {
		.version = KMIP_2_1, .is_ordered = true, .batch_count = 1
	};
	struct ttlv_writer w = ttlv_write(b, KMIP_2_1);
	kmip_put_request_header(&w, &h);
	const uint8_t id[] = { (uint8_t)(place >> 8), (uint8_t)place };
	kmip_put_request_item_begin(&w, operation, (struct slice){ id, sizeof(id) });
	return w;
}

static kf_err end(struct ttlv_writer *w)
{
	kmip_put_request_item_end(w, NULL);
	return kmip_put_request_end(w);
}

kf_err bench_sign_messages(const struct bench_sign *s, struct buf *ret)
{
	uint8_t digest[32];
	memset(digest, 0x5a, sizeof(digest));
	struct sign_request q = {
		.uid = kmip_uid_text(slice_of(s->id)),
		.has_parameters = true,
		.parameters = { .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256 },
		.has_digested_data = true,
		.digested_data = { digest, sizeof(digest) },
	};
	if (s->is_rsa)
		q.parameters.padding_method = KMIP_PADDING_METHOD_PKCS1_V1_5;
	for (size_t i = 0; i < s->depth; i++) {
		struct ttlv_writer w = begin(&ret[i], KMIP_OPERATION_SIGN, i);
		sign_put_request(&w, &q);
		KF_TRY(end(&w));
	}
	return KF_OK;
}

kf_err bench_get_messages(const char *id, size_t depth, struct buf *ret)
{
	const struct get_request q = { .uid = kmip_uid_text(slice_of(id)) };
	for (size_t i = 0; i < depth; i++) {
		struct ttlv_writer w = begin(&ret[i], KMIP_OPERATION_GET, i);
		get_put_request(&w, &q);
		KF_TRY(end(&w));
	}
	return KF_OK;
}

kf_err bench_locate_messages(const char *name, size_t depth, struct buf *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_name(&attrs, slice_of(name));
	KF_TRY(buf_err(&attrs));
	const struct locate_request q = {
		.maximum_items = -1, .offset_items = -1, .attributes = buf_slice(&attrs)
	};
	for (size_t i = 0; i < depth; i++) {
		struct ttlv_writer w = begin(&ret[i], KMIP_OPERATION_LOCATE, i);
		locate_put_request(&w, &q);
		KF_TRY(end(&w));
	}
	return KF_OK;
}

kf_err bench_create_messages(const char *name, size_t depth, struct buf *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_enum(
		&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT |
			KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
	attrs_add_name(&attrs, slice_of(name));
	attrs_add_text(&attrs, TAG_OBJECT_GROUP, SLICE_LIT("bench"));
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, 1600000000);
	KF_TRY(buf_err(&attrs));
	const struct create_request q = { KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
		buf_slice(&attrs) };
	for (size_t i = 0; i < depth; i++) {
		struct ttlv_writer w = begin(&ret[i], KMIP_OPERATION_CREATE, i);
		create_put_request(&w, &q);
		KF_TRY(end(&w));
	}
	return KF_OK;
}

kf_err bench_encrypt_messages(const char *id, size_t bytes, size_t depth, struct buf *ret)
{
	autobuf data = buf_new(65536);
	uint8_t *p = buf_reserve(&data, bytes);
	if (!p)
		return buf_err(&data);
	memset(p, 0x5a, bytes);
	buf_commit(&data, bytes);
	const struct decrypt_request q = {
		.uid = kmip_uid_text(slice_of(id)),
		.has_parameters = true,
		.parameters = { .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM },
		.has_data = true,
		.data = buf_slice(&data),
	};
	for (size_t i = 0; i < depth; i++) {
		struct ttlv_writer w = begin(&ret[i], KMIP_OPERATION_ENCRYPT, i);
		encrypt_put_request(&w, &q);
		KF_TRY(end(&w));
	}
	return KF_OK;
}
