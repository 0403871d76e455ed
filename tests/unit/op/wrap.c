/* SPDX-License-Identifier: Apache-2.0
 *
 * Key wrapping on Get; what leaves is opened here by itself, with OpenSSL alone.
 */
#include "../hex.h"
#include "crypt/keygen.h"
#include "kmip/key_wrapping.h"
#include "kmip/reason.h"
#include "op/step.h"
#include "op/usage.h"
#include "world.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
	USAGE_WRAP = 0x10,
	USAGE_UNWRAP = 0x20,
	USAGE_MAC = 0x80,
	USAGE_MAC_VERIFY = 0x100,
	AES = 3,
	HMAC_SHA256 = 9,
};

static const uint8_t kek_bytes[32] = { 7, 7, 7, 1, 2, 3 };
static const uint8_t key_bytes[32] = { 1, 2, 3, 4, 5 };

struct wish {
	uint32_t type, algorithm;
	int32_t usage;
	struct slice bytes;
	struct cryptographic_parameters parameters;
	bool is_sensitive, is_locked_in, is_inactive;
	int64_t limit; /* in objects; 0: none */
};

static void add_parameters(struct buf *attrs, const struct cryptographic_parameters *p)
{
	struct ttlv_writer w = ttlv_write(attrs, 0);
	cryptographic_parameters_put(&w, p);
}

static kf_err put(struct world *w, const struct wish *k, struct id *ret)
{
	autobuf attrs = buf_new(4096);

	attrs_add_enum(&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, k->algorithm);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)k->bytes.n * 8);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, k->usage);
	if (!k->is_inactive)
		attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	if (k->parameters.block_cipher_mode || k->parameters.hashing_algorithm)
		add_parameters(&attrs, &k->parameters);
	if (k->limit)
		usage_set(&attrs, &(struct usage){ .total = k->limit,
					  .unit = KMIP_USAGE_LIMITS_UNIT_OBJECT });
	if (k->is_sensitive)
		attrs_add_bool(&attrs, TAG_SENSITIVE, true);
	if (k->is_locked_in)
		attrs_add_bool(&attrs, TAG_EXTRACTABLE, false);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = k->algorithm,
				.length = (int32_t)k->bytes.n * 8,
				.has_value = true,
				.material = k->bytes } },
		ret);
}

static kf_err put_kek(struct world *w, uint32_t mode, struct id *ret)
{
	return put(w,
		&(struct wish){ .algorithm = AES,
			.usage = USAGE_WRAP | USAGE_UNWRAP,
			.bytes = { kek_bytes, 32 },
			.parameters = { .block_cipher_mode = mode,
				.padding_method = mode == KMIP_BLOCK_CIPHER_MODE_CBC
							  ? KMIP_PADDING_METHOD_PKCS5
							  : 0 } },
		ret);
}

static kf_err put_key(struct world *w, struct id *ret)
{
	return put(w,
		&(struct wish){
			.algorithm = AES, .usage = 12, .bytes = { key_bytes, 32 } },
		ret);
}

static kf_err get_wrapped(struct world *w, const struct id *id,
	const struct key_wrapping *how, struct get_response *ret)
{
	KF_TRY(ask_wrapped(w, KMIP_OPERATION_GET, id, how));
	struct ttlv_reader r = answer(w);
	return get_get_response(&r, ret);
}

static struct key_wrapping by(const struct id *kek, uint32_t mode, uint32_t encoding)
{
	return (struct key_wrapping){
		.method = KMIP_WRAPPING_METHOD_ENCRYPT,
		.encryption = { .is_there = true,
			.uid = uid(kek),
			.has_parameters = mode != 0,
			.parameters = { .block_cipher_mode = mode } },
		.encoding = encoding,
	};
}

static bool unwraps(const char *cipher, struct slice iv, struct slice in, struct buf *ret)
{
	EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, cipher, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t out[512];
	int n = 0, last = 0;
	bool is_good = false;

	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	is_good = EVP_DecryptInit_ex2(ctx, c, kek_bytes, iv.n ? iv.p : NULL, NULL) &&
		  EVP_DecryptUpdate(ctx, out, &n, in.p, (int)in.n) > 0 &&
		  EVP_DecryptFinal_ex(ctx, out + n, &last);
	if (is_good)
		buf_add(ret, out, (size_t)(n + last));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
	return is_good;
}

/* Key Value { Key Material }, as a client sees it after unwrapping. */
static bool holds_key(struct slice value, struct key_block *kb)
{
	return kf_ok(key_value_parse(value, 0, kb)) &&
	       slice_eq(kb->material, (struct slice){ key_bytes, 32 });
}

TEST(a_wrapped_key_is_its_key_value_under_the_wrapping_key)
{
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
		KMIP_2_0, KMIP_2_1 };
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		WORLD(w);
		autobuf plain = buf_new(1024);
		struct key_block kb = { 0 };
		struct key_wrapping data;
		struct id kek, key;
		struct get_response a;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
		OK(kf_ok(put_key(&w, &key)));
		w.version = versions[i];

		const struct key_wrapping how =
			by(&kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0);
		OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

		const struct key_block *b = &a.object.block;
		OK(b->is_wrapped && b->is_encoded);
		EQ(b->algorithm, AES);
		EQ(b->length, 256);
		OK(unwraps("AES-256-WRAP", (struct slice){ 0 }, b->material, &plain));
		OK(holds_key(buf_slice(&plain), &kb));
		EQ(kb.attributes.n, 0);
		OK(kf_ok(key_wrapping_data_parse(b->wrapping_data, w.version, &data)));
		EQ(data.method, KMIP_WRAPPING_METHOD_ENCRYPT);
		OK(slice_is(data.encryption.uid.text, kek.text));
		EQ(data.encryption.parameters.block_cipher_mode,
			KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP);
		OK(!data.iv.n && !data.encoding && !data.mac.is_there);
	}
}

TEST(without_encoding_the_bare_key_is_wrapped)
{
	WORLD(w);
	autobuf plain = buf_new(1024);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));

	/* no parameters: the key's first ones */
	const struct key_wrapping how = by(&kek, 0, KMIP_ENCODING_OPTION_NO_ENCODING);
	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

	EQ(a.object.block.material.n, 40);
	OK(unwraps("AES-256-WRAP", (struct slice){ 0 }, a.object.block.material, &plain));
	OK(slice_eq(buf_slice(&plain), (struct slice){ key_bytes, 32 }));
}

TEST(cbc_and_padded_key_wrap_open_with_their_iv)
{
	static const struct {
		uint32_t mode;
		const char *cipher;
		size_t iv;
	} rows[] = { { KMIP_BLOCK_CIPHER_MODE_CBC, "AES-256-CBC", 16 },
		{ KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING, "AES-256-WRAP-PAD", 0 } };
	for (size_t i = 0; i < 2; i++) {
		WORLD(w);
		autobuf plain = buf_new(1024);
		struct key_block kb = { 0 };
		struct key_wrapping data;
		struct id kek, key;
		struct get_response a;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_kek(&w, rows[i].mode, &kek)));
		OK(kf_ok(put_key(&w, &key)));

		const struct key_wrapping how = by(&kek, 0, 0);
		OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

		OK(kf_ok(key_wrapping_data_parse(
			a.object.block.wrapping_data, w.version, &data)));
		EQ(data.iv.n, rows[i].iv);
		OK(unwraps(rows[i].cipher, data.iv, a.object.block.material, &plain));
		OK(holds_key(buf_slice(&plain), &kb));
	}
}

TEST(attributes_that_were_named_are_wrapped_too)
{
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_4, KMIP_2_1 };
	for (size_t i = 0; i < 3; i++) {
		WORLD(w);
		autobuf plain = buf_new(1024), names = buf_new(256), text = buf_new(4096);
		struct key_block kb = { 0 };
		struct id kek, key;
		struct get_response a;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
		OK(kf_ok(put_key(&w, &key)));
		w.version = versions[i];
		struct ttlv_writer n = ttlv_write(&names, 0);
		ttlv_put_text(
			&n, TAG_ATTRIBUTE_NAME, slice_of("Cryptographic Usage Mask"));
		ttlv_put_text(&n, TAG_ATTRIBUTE_NAME, slice_of("x-unknown"));
		struct key_wrapping how = by(&kek, 0, 0);
		how.attributes = buf_slice(&names);

		OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

		OK(unwraps("AES-256-WRAP", (struct slice){ 0 }, a.object.block.material,
			&plain));
		OK(holds_key(buf_slice(&plain), &kb));
		OK(kf_ok(ttlv_print(kb.attributes, false, &text)));
		OK(memmem(text.p, text.n, "Encrypt | Decrypt", 17));
		OK(!memmem(text.p, text.n, "unknown", 7));

		how.encoding = KMIP_ENCODING_OPTION_NO_ENCODING;
		OK(versions[i] == KMIP_1_0 ||
			kf_is(get_wrapped(&w, &key, &how, &a), KF_E_ENCODING_OPTION));
	}
}

static kf_err put_mac_key(struct world *w, struct id *ret)
{
	return put(w,
		&(struct wish){ .algorithm = HMAC_SHA256,
			.usage = USAGE_MAC | USAGE_MAC_VERIFY,
			.bytes = { kek_bytes, 32 },
			.parameters = { .hashing_algorithm =
						KMIP_HASHING_ALGORITHM_SHA_256 } },
		ret);
}

static bool is_mac_of(struct slice mac, struct slice data)
{
	uint8_t want[32];
	HMAC(EVP_sha256(), kek_bytes, 32, data.p, data.n, want, NULL);
	return slice_eq(mac, (struct slice){ want, 32 });
}

TEST(encrypt_then_mac_covers_what_was_encrypted)
{
	WORLD(w);
	struct id kek, mac, key;
	struct get_response a;
	struct key_wrapping data;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_CBC, &kek)));
	OK(kf_ok(put_mac_key(&w, &mac)));
	OK(kf_ok(put_key(&w, &key)));
	struct key_wrapping how = by(&kek, 0, 0);
	how.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN;
	how.mac = (struct key_information){ .is_there = true, .uid = uid(&mac) };

	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

	OK(kf_ok(
		key_wrapping_data_parse(a.object.block.wrapping_data, w.version, &data)));
	OK(a.object.block.is_encoded);
	OK(is_mac_of(data.mac_signature, a.object.block.material));
}

TEST(a_mac_alone_leaves_the_key_readable)
{
	WORLD(w);
	struct id mac, key, secret;
	struct get_response a;
	struct key_wrapping data;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_mac_key(&w, &mac)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = { .method = KMIP_WRAPPING_METHOD_MAC_SIGN,
		.mac = { .is_there = true, .uid = uid(&mac) } };

	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));

	OK(kf_ok(
		key_wrapping_data_parse(a.object.block.wrapping_data, w.version, &data)));
	OK(!a.object.block.is_encoded);
	OK(slice_eq(a.object.block.material, (struct slice){ key_bytes, 32 }));
	OK(is_mac_of(data.mac_signature, a.object.block.value));

	/* so it is no way out for what is sensitive */
	OK(kf_ok(put(&w,
		&(struct wish){ .algorithm = AES,
			.usage = 12,
			.bytes = { key_bytes, 32 },
			.is_sensitive = true },
		&secret)));
	OK(kf_is(get_wrapped(&w, &secret, &how, &a), KF_E_SENSITIVE));
}

TEST(sensitive_keys_leave_wrapped_and_locked_in_ones_never)
{
	WORLD(w);
	struct id kek, secret, stays;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	struct wish wish = { .algorithm = AES,
		.usage = 12,
		.bytes = { key_bytes, 32 },
		.is_sensitive = true };
	OK(kf_ok(put(&w, &wish, &secret)));
	wish.is_locked_in = true;
	OK(kf_ok(put(&w, &wish, &stays)));
	const struct key_wrapping how = by(&kek, 0, 0);

	OK(kf_is(get(&w, &secret, &a), KF_E_SENSITIVE));
	OK(kf_ok(get_wrapped(&w, &secret, &how, &a)));
	OK(kf_is(get_wrapped(&w, &stays, &how, &a), KF_E_NOT_EXTRACTABLE));
	OK(kf_is(get(&w, &stays, &a), KF_E_SENSITIVE));
}

/* What a wrapped Split Key is for is its own fields, too: they are kept as they came. */
static void put_split_key(struct buf *to, const struct key_wrapping *how)
{
	autobuf data = buf_new(1024);
	struct ttlv_writer w = ttlv_write(to, 0), d = ttlv_write(&data, 0);
	struct key_block kb = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
		.algorithm = AES,
		.length = 256,
		.has_value = true,
		.material = { key_bytes, 32 } };

	if (how) {
		key_wrapping_data_put(&d, how);
		kb.is_wrapped = kb.is_encoded = true;
		kb.wrapping_data = buf_slice(&data);
	}
	ttlv_begin(&w, TAG_SPLIT_KEY);
	ttlv_put_int(&w, TAG_SPLIT_KEY_PARTS, 3);
	ttlv_put_int(&w, TAG_KEY_PART_IDENTIFIER, 1);
	ttlv_put_int(&w, TAG_SPLIT_KEY_THRESHOLD, 2);
	ttlv_put_enum(&w, TAG_SPLIT_KEY_METHOD, KMIP_SPLIT_KEY_METHOD_XOR);
	key_block_put(&w, &kb);
	ttlv_end(&w);
}

static kf_err put_split(struct world *w, const struct key_wrapping *how,
	bool is_sensitive, struct id *ret)
{
	autobuf attrs = buf_new(4096), item = buf_new(4096);

	attrs_add_enum(&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, AES);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_bool(&attrs, TAG_SENSITIVE, is_sensitive);
	put_split_key(&item, how);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){
			.type = OBJECT_SPLIT_KEY, .item = buf_slice(&item) },
		ret);
}

TEST(what_is_kept_whole_neither_leaves_as_if_it_were_wrapped_nor_unwrapped)
{
	WORLD(w);
	struct id kek, split, secret, wrapped;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	const struct key_wrapping how = by(&kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0);
	OK(kf_ok(put_split(&w, NULL, false, &split)));
	OK(kf_ok(put_split(&w, NULL, true, &secret)));

	OK(kf_is(get_wrapped(&w, &split, &how, &a), KF_E_OBJECT_TYPE));
	OK(kf_is(get_wrapped(&w, &secret, &how, &a), KF_E_OBJECT_TYPE));
	OK(kf_is(get(&w, &secret, &a), KF_E_SENSITIVE));

	OK(kf_ok(put_split(&w, &how, false, &wrapped)));
	OK(kf_ok(get(&w, &wrapped, &a)) && a.object.block.is_wrapped);
	struct ttlv_writer q = question(&w);
	get_put_request(&q, &(struct get_request){ .uid = uid(&wrapped),
				    .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED });
	OK(kf_is(ask(&w, KMIP_OPERATION_GET), KF_E_OBJECT_TYPE));
}

TEST(only_an_active_key_for_wrapping_wraps)
{
	WORLD(w);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &key)));
	struct wish wish = { .algorithm = AES,
		.usage = USAGE_UNWRAP,
		.bytes = { kek_bytes, 32 },
		.parameters = {
			.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP } };
	struct key_wrapping how;

	OK(kf_ok(put(&w, &wish, &kek)));
	how = by(&kek, 0, 0);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_USAGE));
	wish.usage = USAGE_WRAP;
	wish.is_inactive = true;
	OK(kf_ok(put(&w, &wish, &kek)));
	how = by(&kek, 0, 0);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_STATE));
	OK(kf_ok(activate(&w, &kek)));
	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));
	OK(kf_ok(revoke(&w, &kek, 1)));
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_STATE));
	OK(kf_ok(destroy(&w, &kek)));
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_WRAP_DESTROYED));
}

TEST(what_is_no_key_wraps_nothing_and_1_x_calls_that_illegal)
{
	WORLD(w);
	struct id opaque, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &key)));
	const struct kmip_object data = { .type = OBJECT_OPAQUE,
		.opaque_data_type = 0x80000001,
		.value = slice_of("no key") };
	OK(kf_ok(register_object(&w, (struct slice){ 0 }, &data, &opaque)));
	const struct key_wrapping how = by(&opaque, 0, 0);
	const kf_err err = get_wrapped(&w, &key, &how, &a);
	OK(kf_is(err, KF_E_ILLEGAL));
	EQ(kmip_reason(err.code, KMIP_1_4), KMIP_RESULT_REASON_ILLEGAL_OPERATION);
	EQ(kmip_reason(err.code, KMIP_2_1), KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
}

TEST(an_encoding_that_nobody_knows_is_not_taken_for_ttlv)
{
	WORLD(w);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	struct key_wrapping how = by(&kek, 0, 9);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_ENCODING_OPTION));
	how.encoding = KMIP_ENCODING_OPTION_TTLV_ENCODING;
	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));
}

static int64_t left(struct world *w, const struct id *id)
{
	struct usage u;
	if (!kf_ok(attributes(w, id)) || !usage_get(buf_slice(&w->attrs), &u))
		return -1;
	return u.count;
}

static const struct id *limited;

static void use_it_first(struct world *w)
{
	const struct object *o = catalog_find(w->server.catalog, slice_of(limited->text));
	autobuf attrs = buf_new(4096);
	struct op_call call = { .server = &w->server, .now_s = NOW };
	kf_err err;

	buf_add_slice(&attrs, o->attrs);
	OK(kf_ok(usage_take(&attrs, 1)));
	OK(kf_ok(op_replace_other(&call, o, &attrs, true)));
	submit_and_wait(w, &call.change, &err);
	OK(kf_ok(err) && kf_ok(call.change.err));
	for (size_t i = 0; i < call.change.n; i++)
		object_unref((struct object *)(uintptr_t)call.change.m[i].object.was);
	for (size_t i = 0; i < call.change.n; i++)
		object_unref(call.change.m[i].object.object);
}

TEST(wrapping_counts_for_the_wrapping_keys_usage_limits)
{
	WORLD(w);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &key)));
	OK(kf_ok(put(&w,
		&(struct wish){ .algorithm = AES,
			.usage = USAGE_WRAP | USAGE_MAC,
			.bytes = { kek_bytes, 32 },
			.parameters = { .block_cipher_mode =
						KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP },
			.limit = 4 },
		&kek)));
	struct key_wrapping how = by(&kek, 0, 0);

	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));
	EQ(left(&w, &kek), 3);
	limited = &kek;
	w.before_commit = use_it_first;
	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));
	EQ(left(&w, &kek), 1);
	/* one use, in whatever ways */
	how.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN;
	how.mac = (struct key_information){ .is_there = true,
		.uid = uid(&kek),
		.has_parameters = true,
		.parameters = { .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256 } };
	(void)kf_ok(get_wrapped(&w, &key, &how, &a));
	how = by(&kek, 0, 0);
	(void)kf_ok(get_wrapped(&w, &key, &how, &a));
	EQ(left(&w, &kek), 0);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_DENIED));
	OK(kf_ok(get(&w, &key, &a)));
}

TEST(the_wrapping_keys_own_parameters_decide)
{
	WORLD(w);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	struct key_wrapping how = by(&kek, KMIP_BLOCK_CIPHER_MODE_CBC, 0);

	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_WRAP_PARAMETERS));
	how = by(&key, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_STATE) ||
		kf_is(get_wrapped(&w, &key, &how, &a), KF_E_USAGE));
	how = by(&kek, 0, 0);
	how.method = KMIP_WRAPPING_METHOD_MAC_SIGN_THEN_ENCRYPT;
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_FEATURE));
	how.method = KMIP_WRAPPING_METHOD_TR_31;
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_FEATURE));
	how.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN;
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_INVALID_FIELD));
	struct id nobody = { "00000000-0000-4000-8000-000000000000" };
	how = by(&nobody, 0, 0);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_WRAP_NOT_FOUND));
}

TEST(whoever_wraps_needs_leave_for_both_keys)
{
	WORLD(w);
	struct id kek, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by(&kek, 0, 0);

	be(&w, "bob", false);
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_GET, 0)));
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_WRAP_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_GET, 0)));
	OK(kf_is(get_wrapped(&w, &key, &how, &a), KF_E_WRAP_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_WRAP, 0)));
	OK(kf_ok(get_wrapped(&w, &key, &how, &a)));
}

static struct key_wrapping by_both(const struct id *kek, const struct id *mac)
{
	struct key_wrapping how = by(kek, 0, 0);
	how.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN;
	how.mac = (struct key_information){ .is_there = true, .uid = uid(mac) };
	return how;
}

TEST(the_keys_that_wrap_count_against_their_grants)
{
	WORLD(w);
	struct id kek, mac, key;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_mac_key(&w, &mac)));
	OK(kf_ok(put_key(&w, &key)));
	OK(kf_ok(add_limited(&w, "bob", key.text, PERM_GET)));
	OK(kf_ok(add_limited(&w, "bob", kek.text, PERM_WRAP)));
	OK(kf_ok(add_limited(&w, "bob", mac.text, PERM_WRAP | PERM_MAC)));
	be(&w, "bob", false);
	const struct key_wrapping one = by(&kek, 0, 0), both = by_both(&kek, &mac);

	count_charges(&w, 0);
	OK(kf_ok(get(&w, &key, &a)));
	OK(were_charged(0)); /* what it is about is the driver's */
	OK(kf_ok(get_wrapped(&w, &key, &one, &a)));
	OK(were_charged(PERM_WRAP));

	count_charges(&w, PERM_MAC);
	OK(kf_ok(get_wrapped(&w, &key, &one, &a)));
	OK(kf_is(get_wrapped(&w, &key, &both, &a), KF_E_GRANT_RATE));
	EQ(charged.n, 3);
	be(&w, "root", true);
	OK(kf_ok(get_wrapped(&w, &key, &both, &a)));
	be(&w, "alice", false);
	OK(kf_ok(get_wrapped(&w, &key, &both, &a)));
	EQ(charged.n, 3);
}

/* --- Register --- */

static kf_err put_object(struct world *w, const struct kmip_object *o, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs), o, ret);
}

static kf_err get_unwrapped(
	struct world *w, const struct id *id, struct get_response *ret)
{
	struct ttlv_writer q = question(w);
	get_put_request(&q, &(struct get_request){ .uid = uid(id),
				    .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED });
	KF_TRY(ask(w, KMIP_OPERATION_GET));
	struct ttlv_reader r = answer(w);
	return get_get_response(&r, ret);
}

/* The answer of a Get, kept while others are asked. */
static kf_err get_and_keep(struct world *w, const struct id *id,
	const struct key_wrapping *how, struct buf *kept, struct get_response *ret)
{
	struct get_response a;
	KF_TRY(how ? get_wrapped(w, id, how, &a) : get(w, id, &a));
	buf_clear(kept);
	buf_add_slice(kept, buf_slice(&w->answer));
	struct ttlv_reader r = ttlv_read_as(buf_slice(kept), w->version, false);
	return get_get_response(&r, ret);
}

static bool is_key(const struct key_block *b)
{
	return !b->is_wrapped && slice_eq(b->material, (struct slice){ key_bytes, 32 });
}

TEST(a_wrapped_key_comes_home_and_is_kept_both_ways)
{
	const uint32_t modes[] = { KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP,
		KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING, KMIP_BLOCK_CIPHER_MODE_GCM,
		KMIP_BLOCK_CIPHER_MODE_CBC };
	for (size_t i = 0; i < 8; i++) {
		WORLD(w);
		autobuf kept = buf_new(4096), back = buf_new(4096);
		struct id kek, mac, key, again;
		struct get_response a, b;
		struct ttlv_item digest;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_kek(&w, modes[i / 2], &kek)));
		OK(kf_ok(put_mac_key(&w, &mac)));
		OK(kf_ok(put_key(&w, &key)));
		struct key_wrapping how =
			by(&kek, 0, i % 2 ? KMIP_ENCODING_OPTION_NO_ENCODING : 0);
		if (i / 2 == 3)
			how = by_both(&kek, &mac);
		OK(kf_ok(get_and_keep(&w, &key, &how, &kept, &a)));

		OK(kf_ok(put_object(&w, &a.object, &again)));

		OK(kf_ok(get_unwrapped(&w, &again, &b)));
		OK(is_key(&b.object.block));
		OK(kf_ok(get_and_keep(&w, &again, NULL, &back, &b)));
		OK(slice_eq(b.object.item, a.object.item));
		OK(kf_ok(get_as(&w, &again, KMIP_KEY_FORMAT_TYPE_RAW, &b)));
		OK(is_key(&b.object.block));
		/* wrapped anew, by another way */
		how = by(&kek, 0, 0);
		OK(kf_ok(get_wrapped(&w, &again, &how, &b)));
		OK(kf_ok(attributes(&w, &again)));
		OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 0, &digest));
		OK(memmem(digest.value.p, digest.value.n, "\x42\x00\x35", 3));
	}
}

TEST(a_wrapped_key_that_was_changed_is_not_taken)
{
	WORLD(w);
	autobuf kept = buf_new(4096);
	struct id kek, key, again;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by(&kek, 0, 0);
	OK(kf_ok(get_and_keep(&w, &key, &how, &kept, &a)));

	((uint8_t *)(uintptr_t)a.object.block.material.p)[5] ^= 1;

	OK(kf_is(put_object(&w, &a.object, &again), KF_E_DATA));
}

/* It could be unwrapped, only not now: that is no reason to keep it wrapped for ever. */
TEST(a_key_that_has_unwrapped_too_often_refuses)
{
	WORLD(w);
	autobuf kept = buf_new(4096);
	struct id kek, mac, key, again;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_mac_key(&w, &mac)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping both = by_both(&kek, &mac);
	OK(kf_ok(get_and_keep(&w, &key, &both, &kept, &a)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_limited(&w, "bob", kek.text, PERM_UNWRAP)));
	OK(kf_ok(add_limited(&w, "bob", mac.text, PERM_UNWRAP | PERM_MAC)));
	be(&w, "bob", false);

	count_charges(&w, PERM_MAC);
	OK(kf_is(put_object(&w, &a.object, &again), KF_E_GRANT_RATE));
	count_charges(&w, 0);
	OK(kf_ok(put_object(&w, &a.object, &again)));

	EQ(charged.n, 2);
	OK(kf_ok(get_unwrapped(&w, &again, &a)));
	OK(is_key(&a.object.block));
}

TEST(what_cannot_be_unwrapped_is_kept_as_it_came)
{
	WORLD(w);
	autobuf kept = buf_new(4096);
	struct id kek, key, again;
	struct get_response a, b;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(put_kek(&w, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by(&kek, 0, 0);
	OK(kf_ok(get_and_keep(&w, &key, &how, &kept, &a)));

	be(&w, "bob", false); /* may not unwrap with alice's key */
	OK(kf_ok(put_object(&w, &a.object, &again)));

	OK(kf_is(get_unwrapped(&w, &again, &b), KF_E_WRAP_TYPE));
	OK(kf_ok(get(&w, &again, &b)));
	OK(slice_eq(b.object.item, a.object.item));
	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_UNWRAP, 0)));
	OK(kf_ok(get_unwrapped(&w, &again, &b)));
	OK(is_key(&b.object.block));
}

static struct key_wrapping by_rsa(const struct id *key, uint32_t hash)
{
	return (struct key_wrapping){
		.method = KMIP_WRAPPING_METHOD_ENCRYPT,
		.encryption = { .is_there = true,
			.uid = uid(key),
			.has_parameters = hash != 0,
			.parameters = { .padding_method = KMIP_PADDING_METHOD_OAEP,
				.hashing_algorithm = hash } },
	};
}

static kf_err create_rsa(struct world *w, struct pair *ret)
{
	autobuf common = buf_new(4096), private_key = buf_new(4096),
		public_key = buf_new(4096);
	const struct cryptographic_parameters oaep = { .padding_method =
							       KMIP_PADDING_METHOD_OAEP,
		.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256 };

	attrs_add_enum(&common, TAG_CRYPTOGRAPHIC_ALGORITHM, 4);
	attrs_add_int(&common, TAG_CRYPTOGRAPHIC_LENGTH, 2048);
	attrs_add_date(&common, TAG_ACTIVATION_DATE, w->now_s);
	add_parameters(&common, &oaep);
	attrs_add_int(&private_key, TAG_CRYPTOGRAPHIC_USAGE_MASK, USAGE_UNWRAP);
	attrs_add_int(&public_key, TAG_CRYPTOGRAPHIC_USAGE_MASK, USAGE_WRAP);
	return ask_for_pair(w,
		&(struct create_key_pair_request){ buf_slice(&common),
			buf_slice(&private_key), buf_slice(&public_key) },
		ret);
}

TEST(a_public_key_wraps_and_its_private_key_unwraps)
{
	WORLD(w);
	autobuf kept = buf_new(4096);
	struct pair rsa;
	struct id key, again;
	struct get_response a, b;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rsa(&w, &rsa)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by_rsa(&rsa.public_key, 0);
	OK(kf_ok(get_and_keep(&w, &key, &how, &kept, &a)));
	EQ(a.object.block.material.n, 256);
	OK(kf_ok(put_object(&w, &a.object, &again)));
	OK(kf_ok(get_unwrapped(&w, &again, &b)));
	OK(is_key(&b.object.block));
	/* who unwraps may name the private key */
	autobuf data = buf_new(4096);
	struct ttlv_writer d = ttlv_write(&data, w.version);
	const struct key_wrapping home =
		by_rsa(&rsa.private_key, KMIP_HASHING_ALGORITHM_SHA_256);
	key_wrapping_data_put(&d, &home);
	OK(kf_ok(ttlv_written(&d)));
	a.object.block.wrapping_data = buf_slice(&data);

	OK(kf_ok(put_object(&w, &a.object, &again)));

	OK(kf_ok(get_unwrapped(&w, &again, &b)));
	OK(is_key(&b.object.block));
	const struct key_wrapping sha1 =
		by_rsa(&rsa.public_key, KMIP_HASHING_ALGORITHM_SHA_1);
	OK(kf_is(get_wrapped(&w, &key, &sha1, &b), KF_E_WRAP_PARAMETERS));
}

TEST(what_was_kept_wrapped_for_rsa_is_unwrapped_by_a_worker_when_it_may_be)
{
	WORLD(w);
	autobuf kept = buf_new(4096);
	struct pair rsa;
	struct id key, again;
	struct get_response a, b;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rsa(&w, &rsa)) && kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by_rsa(&rsa.public_key, 0);
	OK(kf_ok(get_and_keep(&w, &key, &how, &kept, &a)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	be(&w, "bob", false);
	OK(kf_ok(put_object(&w, &a.object, &again)));
	OK(kf_is(get_unwrapped(&w, &again, &b), KF_E_WRAP_TYPE));
	OK(kf_ok(add_grant(&w, "bob", rsa.public_key.text, PERM_UNWRAP, 0)));
	OK(kf_ok(add_grant(&w, "bob", rsa.private_key.text, PERM_UNWRAP, 0)));
	w.worked = false;

	OK(kf_ok(get_unwrapped(&w, &again, &b)));

	OK(w.worked && is_key(&b.object.block));
}

TEST_MAIN
