/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys wrapped and unwrapped by an AES key that tokens hold: tokens as the tests of the pool have them, that hold
 * nothing else.  What they wrap is opened here by OpenSSL alone.
 */
#include "beside_pool.h"
#include "crypt/keywrap.h"
#include "crypt/prf.h"
#include "kmip/import.h"
#include "kmip/key_wrapping.h"
#include "kmip/token_admin.h"
#include "op/usage.h"
#include "token/use.h"

enum {
	AES_BIT = 1 << 10, /* of fake.keys */
	USAGE_WRAP = 0x10,
	USAGE_UNWRAP = 0x20,
	USAGE_MAC = 0x80,
	USAGE_MAC_VERIFY = 0x100,
};

static const uint8_t kek_bytes[32] = { 3, 1, 4, 1, 5, 9, 2, 6 };
static const uint8_t key_bytes[32] = { 1, 2, 3, 4, 5 };
static const struct slice kek_slice = { kek_bytes, 32 }, key_slice = { key_bytes, 32 };

/* ---- tokens with an AES key ---- */

static kf_err cipher(const struct token_use *u, uint8_t *ret)
{
	const bool is_cbc = u->kind == USE_CBC_ENCRYPT || u->kind == USE_CBC_DECRYPT;
	const bool encrypts = u->kind == USE_ECB_ENCRYPT || u->kind == USE_CBC_ENCRYPT;
	int n = 0;
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	return EVP_CipherInit_ex2(ctx, is_cbc ? EVP_aes_256_cbc() : EVP_aes_256_ecb(),
		       kek_bytes, u->iv, encrypts, NULL) == 1 &&
			       EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
			       EVP_CipherUpdate(ctx, ret, &n, u->in.p, (int)u->in.n) == 1
		       ? KF_OK
		       : ossl_fail(CRYPTO, "AES");
}

static kf_err mac(struct slice data, uint8_t *ret)
{
	autobuf made = buf_new(PRF_SIZE_MAX);
	KF_TRY(prf_cmac(kek_slice, data, &made));
	memcpy(ret, made.p, USE_MAC_SIZE);
	return KF_OK;
}

static kf_err aes_use(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	(void)handle;
	KF_TRY(fake_begin(t, &t->f->signs));
	return u->kind == USE_CMAC ? mac(u->in, ret) : cipher(u, ret);
}

static void aes_describe(struct token_key_facts *k)
{
	uint8_t made[USE_MAC_SIZE];
	OK(kf_ok(mac(use_challenge, made)));
	*k = (struct token_key_facts){ .handle = KEYS + 1,
		.alg = alg_aes(256),
		.uses_left = UINT64_MAX,
		.label = "kek" };
	use_key_id(made, k->key_id);
}

static kf_err aes_list(struct token *t, struct token_key_list *ret)
{
	FAKE_LOCK();
	const bool has = t->f->keys & AES_BIT;
	FAKE_UNLOCK();
	ret->key = calloc(1, sizeof(*ret->key));
	ret->n = has;
	if (has)
		aes_describe(ret->key);
	return KF_OK;
}

static kf_err aes_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	(void)in;
	FAKE(t->f->keys |= AES_BIT);
	aes_describe(ret);
	return KF_OK;
}

static struct token_driver aes_driver;

static bool pool_beside(struct world *w)
{
	fakes_reset(1, 0);
	aes_driver = fake_driver;
	aes_driver.use = aes_use;
	aes_driver.list_keys = aes_list;
	aes_driver.generate = aes_generate;
	aes_driver.wrap_max = 512;
	aes_driver.blocks_max = USE_DATA_MAX;
	fake_conf.driver = &aes_driver;
	return pool_begin(w);
}

/* ---- objects ---- */

static void add_mode(struct buf *attrs, uint32_t mode, uint32_t padding)
{
	struct ttlv_writer w = ttlv_write(attrs, 0);
	cryptographic_parameters_put(
		&w, &(struct cryptographic_parameters){
			    .block_cipher_mode = mode, .padding_method = padding });
}

static const uint32_t cbc = KMIP_BLOCK_CIPHER_MODE_CBC;
static const uint32_t nist = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP;
static const uint32_t padded = KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING;
static const uint32_t gcm = KMIP_BLOCK_CIPHER_MODE_GCM;
static const uint32_t bare = KMIP_ENCODING_OPTION_NO_ENCODING;

/* All modes that a wrapping key may say. */
static void add_all_modes(struct buf *attrs)
{
	add_mode(attrs, nist, 0);
	add_mode(attrs, padded, 0);
	add_mode(attrs, cbc, KMIP_PADDING_METHOD_PKCS5);
	add_mode(attrs, cbc, KMIP_PADDING_METHOD_NONE);
	add_mode(attrs, gcm, 0);
}

struct wish {
	int32_t usage, bits; /* 0 bits: 256 */
	int64_t limit;       /* in objects; 0: none */
	bool is_inactive;
};

static void add_wish(struct world *w, const struct wish *k, struct buf *attrs)
{
	attrs_add_enum(attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, 3);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, k->bits ? k->bits : 256);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, k->usage);
	add_all_modes(attrs);
	if (!k->is_inactive)
		attrs_add_date(attrs, TAG_ACTIVATION_DATE, w->now_s);
	if (k->limit)
		usage_set(attrs, &(struct usage){ .total = k->limit,
					 .unit = KMIP_USAGE_LIMITS_UNIT_OBJECT });
}

/* On the token; as the administrator, who is the one who asks from then on. */
static kf_err make_kek(struct world *w, const struct wish *k, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	const struct slice vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR);
	be(w, "root", true);
	add_wish(w, k, &attrs);
	attrs_add_vendor_text(
		&attrs, vendor, slice_of(TOKEN_ATTRIBUTE_POOL), slice_of("pool"));
	attrs_add_vendor_text(
		&attrs, vendor, slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of("1"));
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), ret);
}

static const struct wish wraps = { .usage = USAGE_WRAP | USAGE_UNWRAP };

static struct kmip_object aes_object(struct slice bytes)
{
	return (struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
		.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
			.algorithm = 3,
			.length = (int32_t)bytes.n * 8,
			.has_value = true,
			.material = bytes } };
}

static kf_err put(
	struct world *w, const struct wish *k, struct slice bytes, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	const struct kmip_object o = aes_object(bytes);
	add_wish(w, k, &attrs);
	return register_object(w, buf_slice(&attrs), &o, ret);
}

static kf_err put_key(struct world *w, struct id *ret)
{
	return put(w, &(struct wish){ .usage = 12 }, key_slice, ret);
}

/* A key on tokens that wraps, and one that it wraps. */
static bool keys_ready(
	struct world *w, const struct wish *how, struct id *ret_kek, struct id *ret_key)
{
	return pool_beside(w) && kf_ok(make_kek(w, how, ret_kek)) &&
	       kf_ok(put_key(w, ret_key));
}

static struct key_wrapping by(
	const struct id *kek, uint32_t mode, uint32_t padding, uint32_t encoding)
{
	return (struct key_wrapping){
		.method = KMIP_WRAPPING_METHOD_ENCRYPT,
		.encryption = { .is_there = true,
			.uid = uid(kek),
			.has_parameters = true,
			.parameters = { .block_cipher_mode = mode,
				.padding_method = padding } },
		.encoding = encoding,
	};
}

/* Get or Export; the answer stays in `kept`. */
static kf_err give(struct world *w, uint32_t code, const struct id *id,
	const struct key_wrapping *how, struct buf *kept)
{
	buf_clear(kept);
	KF_TRY(ask_wrapped(w, code, id, how));
	buf_add_slice(kept, buf_slice(&w->answer));
	return buf_err(kept);
}

static kf_err wrapped(struct world *w, const struct id *id,
	const struct key_wrapping *how, struct buf *kept, struct kmip_object *ret)
{
	struct get_response a;
	KF_TRY(give(w, KMIP_OPERATION_GET, id, how, kept));
	struct ttlv_reader r = ttlv_read_as(buf_slice(kept), w->version, false);
	KF_TRY(get_get_response(&r, &a));
	*ret = a.object;
	return KF_OK;
}

static kf_err get_error(
	struct world *w, const struct id *id, const struct key_wrapping *how)
{
	autobuf kept = buf_new(8192);
	struct kmip_object o;
	return wrapped(w, id, how, &kept, &o);
}

/* What a client makes of it that has the wrapping key. */
static bool opens_to_key(const struct kmip_object *o, enum keywrap_mode mode)
{
	const struct keywrap how = { .mode = mode, .key = kek_slice };
	struct key_wrapping data;
	struct key_block kb = { 0 };
	autobuf plain = buf_new(4096);
	if (!o->block.is_wrapped || !o->block.is_encoded ||
		!kf_ok(key_wrapping_data_parse(o->block.wrapping_data, 0, &data)) ||
		!kf_ok(keywrap_open(&how, data.iv, o->block.material, &plain)))
		return false;
	if (data.encoding == bare)
		return slice_eq(buf_slice(&plain), key_slice);
	return kf_ok(key_value_parse(buf_slice(&plain), 0, &kb)) &&
	       slice_eq(kb.material, key_slice);
}

static kf_err put_object(struct world *w, const struct kmip_object *o, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs), o, ret);
}

static bool gives_key(struct world *w, const struct id *id)
{
	struct get_response a;
	return kf_ok(get_as(w, id, KMIP_KEY_FORMAT_TYPE_RAW, &a)) &&
	       !a.object.block.is_wrapped && slice_eq(a.object.block.material, key_slice);
}

/* ---- Get and Export, Register and Import ---- */

static const struct {
	uint32_t mode, padding, encoding;
	enum keywrap_mode opens;
} ways[] = {
	{ nist, 0, 0, KEYWRAP_NIST },
	{ nist, 0, bare, KEYWRAP_NIST },
	{ padded, 0, 0, KEYWRAP_NIST_PADDED },
	{ padded, 0, bare, KEYWRAP_NIST_PADDED },
	{ cbc, KMIP_PADDING_METHOD_PKCS5, 0, KEYWRAP_CBC_PADDED },
	{ cbc, KMIP_PADDING_METHOD_PKCS5, bare, KEYWRAP_CBC_PADDED },
	{ cbc, KMIP_PADDING_METHOD_NONE, bare, KEYWRAP_CBC },
};
enum { WAYS = sizeof(ways) / sizeof(*ways) };

static struct key_wrapping way(const struct id *kek, size_t i)
{
	return by(kek, ways[i].mode, ways[i].padding, ways[i].encoding);
}

TEST(what_a_token_wraps_opens_with_the_same_key_elsewhere)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key;
	struct kmip_object o;
	OK(keys_ready(&w, &wraps, &kek, &key));
	for (size_t i = 0; i < WAYS; i++) {
		const struct key_wrapping how = way(&kek, i);
		OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));
		OK(opens_to_key(&o, ways[i].opens));
	}
	pool_away(&w);
}

TEST(and_it_comes_back_by_the_token)
{
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_4, KMIP_2_1 };
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key, again;
	struct kmip_object o;
	OK(keys_ready(&w, &wraps, &kek, &key));
	for (size_t i = 0; i < WAYS * 3; i++) {
		const struct key_wrapping how = way(&kek, i / 3);
		w.version = versions[i % 3];
		if (w.version == KMIP_1_0 && how.encoding)
			continue;
		OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));
		w.worked = false;
		OK(kf_ok(put_object(&w, &o, &again)));
		OK(w.worked && gives_key(&w, &again));
	}
	pool_away(&w);
}

TEST(a_key_is_exported_by_one_server_and_imported_by_another_of_the_pool)
{
	WORLD(w);
	autobuf kept = buf_new(8192), set = buf_new(8192);
	struct id kek, key;
	struct export_response a;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_ok(give(&w, KMIP_OPERATION_EXPORT, &key, &how, &kept)));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&kept), w.version, false);
	OK(kf_ok(export_get_response(&r, &a, &set)));
	OK(opens_to_key(&a.object, KEYWRAP_NIST));

	struct ttlv_writer q = question(&w);
	import_put_request(
		&q, &(struct import_request){ .uid = kmip_uid_text(slice_of("elsewhere")),
			    .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
			    .attributes = a.attributes,
			    .object = a.object });
	OK(kf_ok(ask(&w, KMIP_OPERATION_IMPORT)));

	OK(gives_key(&w, &(struct id){ "elsewhere" }));
	pool_away(&w);
}

/* HMAC-SHA-256 by software. */
static kf_err put_mac_key(struct world *w, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	const struct kmip_object o = aes_object(key_slice);
	struct ttlv_writer p = ttlv_write(&attrs, 0);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, USAGE_MAC | USAGE_MAC_VERIFY);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	cryptographic_parameters_put(
		&p, &(struct cryptographic_parameters){
			    .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256 });
	return register_object(w, buf_slice(&attrs), &o, ret);
}

static struct key_wrapping encrypt_then_mac(const struct id *kek, const struct id *mac)
{
	struct key_wrapping how = by(kek, cbc, KMIP_PADDING_METHOD_PKCS5, 0);
	how.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN;
	how.mac = (struct key_information){ .is_there = true, .uid = uid(mac) };
	return how;
}

TEST(a_token_encrypts_and_software_authenticates)
{
	WORLD(w);
	autobuf kept = buf_new(8192), want = buf_new(64);
	struct id kek, mac_key, key, again;
	struct kmip_object o;
	struct key_wrapping data;
	OK(keys_ready(&w, &wraps, &kek, &key) && kf_ok(put_mac_key(&w, &mac_key)));
	const struct key_wrapping how = encrypt_then_mac(&kek, &mac_key);

	OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));

	OK(opens_to_key(&o, KEYWRAP_CBC_PADDED));
	OK(kf_ok(key_wrapping_data_parse(o.block.wrapping_data, 0, &data)));
	OK(kf_ok(prf_hmac(hash_get(HASH_SHA256), key_slice, o.block.material, &want)));
	OK(slice_eq(data.mac_signature, buf_slice(&want)));
	OK(kf_ok(put_object(&w, &o, &again)) && gives_key(&w, &again));
	const unsigned asked = fakes[0].signs;
	((uint8_t *)(uintptr_t)o.block.material.p)[0] ^= 1;
	OK(kf_is(put_object(&w, &o, &again), KF_E_DATA));
	EQ(fakes[0].signs, asked); /* what is not authentic no token sees */
	pool_away(&w);
}

TEST(a_mac_by_a_key_on_tokens_is_refused_clearly)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, mac_key, key, again;
	struct kmip_object o;
	const struct wish both = { .usage = USAGE_WRAP | USAGE_UNWRAP | USAGE_MAC |
					    USAGE_MAC_VERIFY };
	OK(keys_ready(&w, &both, &kek, &key) && kf_ok(put_mac_key(&w, &mac_key)));
	const unsigned asked = fakes[0].signs;
	const struct key_wrapping how = encrypt_then_mac(&kek, &kek);
	OK(kf_is(get_error(&w, &key, &how), KF_E_FEATURE));
	EQ(fakes[0].signs, asked);

	const struct key_wrapping good = encrypt_then_mac(&kek, &mac_key);
	OK(kf_ok(wrapped(&w, &key, &good, &kept, &o)));
	autobuf data = buf_new(4096);
	struct ttlv_writer d = ttlv_write(&data, w.version);
	key_wrapping_data_put(&d, &how);
	o.block.wrapping_data = buf_slice(&data);
	OK(kf_is(put_object(&w, &o, &again), KF_E_FEATURE));
	pool_away(&w);
}

TEST(what_tokens_do_not_do_is_refused_before_they_are_asked)
{
	WORLD(w);
	struct id kek, key, large;
	uint8_t bytes[2048] = { 7 };
	OK(keys_ready(&w, &wraps, &kek, &key));
	const unsigned asked = fakes[0].signs;
	struct key_wrapping how = by(&kek, gcm, 0, 0);
	OK(kf_is(get_error(&w, &key, &how), KF_E_FEATURE));
	OK(kf_ok(put(&w, &(struct wish){ .usage = 12, .bits = 160 },
		(struct slice){ bytes, 20 }, &large)));
	how = by(&kek, nist, 0, bare);
	OK(kf_is(get_error(&w, &large, &how), KF_E_BAD_PARAMETERS));
	OK(kf_ok(put(&w, &(struct wish){ .usage = 12, .bits = 16384 },
		(struct slice){ bytes, 2048 }, &large)));
	OK(kf_is(get_error(&w, &large, &how), KF_E_BAD_PARAMETERS));
	EQ(fakes[0].signs, asked);
	how = by(&kek, cbc, KMIP_PADDING_METHOD_NONE, bare);
	OK(kf_ok(get_error(&w, &large, &how)));
	pool_away(&w);
}

TEST(what_the_token_did_not_wrap_tells_nobody_why)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key, again;
	struct kmip_object o;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const char *text = NULL;
	for (size_t i = 0; i < WAYS - 1; i++) {
		const struct key_wrapping how = way(&kek, i);
		OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));
		/* the padding, and the head of the Key Value */
		for (size_t at = 0; at < 2 && (!how.encoding || !at); at++) {
			uint8_t *p = (uint8_t *)(uintptr_t)o.block.material.p;
			uint8_t *wrong = at ? p : p + o.block.material.n - 1;
			*wrong ^= 1;
			const kf_err err = put_object(&w, &o, &again);
			*wrong ^= 1;
			OK(kf_is(err, KF_E_DATA));
			OK(!text || !strcmp(text, err.site->text));
			text = err.site->text;
		}
	}
	OK(until_state(0, POOL_TOKEN_SERVING)); /* nobody's fault */
	pool_away(&w);
}

TEST(what_was_kept_wrapped_is_unwrapped_by_a_token_when_it_may_be)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key, again;
	struct kmip_object o;
	struct get_response a;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const struct key_wrapping how = by(&kek, padded, 0, 0);
	OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	be(&w, "bob", false); /* may not unwrap yet */
	OK(kf_ok(put_object(&w, &o, &again)));
	OK(kf_is(get_as(&w, &again, KMIP_KEY_FORMAT_TYPE_RAW, &a), KF_E_WRAP_TYPE));

	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_UNWRAP | PERM_WRAP, 0)));

	OK(gives_key(&w, &again));
	OK(w.worked);
	OK(kf_is(get_error(&w, &again, &how), KF_E_FEATURE)); /* both at once */
	pool_away(&w);
}

/* ---- who may ---- */

TEST(only_an_active_key_for_it_wraps_on_a_token)
{
	WORLD(w);
	struct id kek, key;
	OK(pool_beside(&w));
	OK(kf_ok(make_kek(&w, &(struct wish){ .usage = USAGE_UNWRAP }, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_is(get_error(&w, &key, &how), KF_E_USAGE));
	const struct wish later = { .usage = USAGE_WRAP, .is_inactive = true };
	OK(kf_ok(make_kek(&w, &later, &kek)));
	how = by(&kek, nist, 0, 0);
	OK(kf_is(get_error(&w, &key, &how), KF_E_STATE));
	OK(kf_ok(activate(&w, &kek)));
	OK(kf_ok(get_error(&w, &key, &how)));
	OK(kf_ok(revoke(&w, &kek, 1)));
	OK(kf_is(get_error(&w, &key, &how), KF_E_STATE));
	OK(kf_ok(destroy(&w, &kek)));
	OK(kf_is(get_error(&w, &key, &how), KF_E_WRAP_DESTROYED));
	pool_away(&w);
}

TEST(a_key_that_does_not_unwrap_leaves_what_comes_wrapped)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key, again;
	struct kmip_object o;
	struct get_response a;
	OK(pool_beside(&w));
	OK(kf_ok(make_kek(&w, &(struct wish){ .usage = USAGE_WRAP }, &kek)));
	OK(kf_ok(put_key(&w, &key)));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));
	const unsigned asked = fakes[0].signs;

	OK(kf_ok(put_object(&w, &o, &again)));

	EQ(fakes[0].signs, asked);
	OK(kf_ok(get(&w, &again, &a)) && a.object.block.is_wrapped);
	pool_away(&w);
}

TEST(whoever_wraps_by_a_token_needs_leave_for_both_keys)
{
	WORLD(w);
	struct id kek, key;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	be(&w, "bob", false);
	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_GET, 0)));
	OK(kf_is(get_error(&w, &key, &how), KF_E_WRAP_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_GET, 0)));
	OK(kf_is(get_error(&w, &key, &how), KF_E_WRAP_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", kek.text, PERM_WRAP, 0)));
	OK(kf_ok(get_error(&w, &key, &how)));
	pool_away(&w);
}

static int64_t left(struct world *w, const struct id *id)
{
	struct usage u;
	return kf_ok(attributes(w, id)) && usage_get(buf_slice(&w->attrs), &u) ? u.count
									       : -1;
}

TEST(each_wrapping_by_a_token_is_a_use_of_its_key)
{
	WORLD(w);
	struct id kek, key;
	const struct wish twice = { .usage = USAGE_WRAP, .limit = 2 };
	OK(keys_ready(&w, &twice, &kek, &key));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_ok(get_error(&w, &key, &how)));
	EQ(left(&w, &kek), 1);
	OK(kf_ok(get_error(&w, &key, &how)));
	const unsigned asked = fakes[0].signs;

	OK(kf_is(get_error(&w, &key, &how), KF_E_DENIED));

	EQ(fakes[0].signs, asked);
	pool_away(&w);
}

static const struct id *doomed;

static void destroy_it(struct world *w)
{
	struct id other;
	OK(kf_ok(revoke(w, doomed, 1)) && kf_ok(destroy(w, doomed)));
	/* Until nothing is left of it that nobody holds. */
	for (int i = 0; i < 4; i++)
		OK(kf_ok(put_key(w, &other)));
}

static void destroy_meanwhile(struct world *w) { meanwhile(w, destroy_it); }

TEST(a_key_that_is_destroyed_while_a_token_is_waited_for_is_there_until_then)
{
	WORLD(w);
	struct id kek, key;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	doomed = &kek;
	w.before_use = destroy_meanwhile;

	OK(kf_ok(get_error(&w, &key, &how)));
	OK(kf_is(get_error(&w, &key, &how), KF_E_WRAP_DESTROYED));
	pool_away(&w);
}

/* ---- tokens that are away, and what is left behind ---- */

TEST(without_a_token_nothing_is_wrapped_and_soon_said_so)
{
	WORLD(w);
	autobuf kept = buf_new(8192);
	struct id kek, key, again;
	struct kmip_object o;
	OK(keys_ready(&w, &wraps, &kek, &key));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_ok(wrapped(&w, &key, &how, &kept, &o)));

	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));

	OK(kf_is(get_error(&w, &key, &how), KF_E_UNAVAILABLE));
	OK(kf_is(put_object(&w, &o, &again), KF_E_UNAVAILABLE));
	plug(0);
	OK(until_state(0, POOL_TOKEN_SERVING));
	OK(kf_ok(get_error(&w, &key, &how)));
	pool_away(&w);
}

/* A call that failed leaves its job behind, where the next one's is. */
TEST(what_a_refused_call_left_is_not_signed)
{
	WORLD(w);
	struct id kek, key;
	struct pair p;
	const struct wish once = { .usage = USAGE_WRAP | 12, .limit = 1 };
	OK(keys_ready(&w, &once, &kek, &key) && kf_ok(create_p256(&w, "www", &p)));
	const struct key_wrapping how = by(&kek, nist, 0, 0);
	OK(kf_ok(get_error(&w, &key, &how)));
	struct ttlv_writer q = question(&w);
	encrypt_put_request(&q, &(struct decrypt_request){ .uid = uid(&kek),
					.has_parameters = true,
					.parameters = { .block_cipher_mode = cbc },
					.has_data = true,
					.data = key_slice });
	OK(kf_is(ask(&w, KMIP_OPERATION_ENCRYPT), KF_E_DENIED));

	struct sign_response a;
	q = question(&w);
	sign_put_request(
		&q, &(struct sign_request){ .uid = uid(&p.private_key),
			    .has_parameters = true,
			    .parameters = { .digital_signature_algorithm = 0x0e },
			    .has_digested_data = true,
			    .digested_data = kek_slice });
	OK(kf_ok(ask(&w, KMIP_OPERATION_SIGN)));

	struct ttlv_reader r = answer(&w);
	OK(kf_ok(sign_get_response(&r, &a)));
	const struct object *o =
		catalog_find(w.server.catalog, slice_of(p.private_key.text));
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	OK(kf_ok(pubkey_parse(soft_key_spki(o->key), &public)));
	OK(kf_ok(pubkey_verify(
		public, &(struct signature){ .mech = mech_get(MECH_ECDSA_SHA256),
				.is_digest = true,
				.data = kek_slice,
				.sig = a.signature })));
	pool_away(&w);
}

TEST_MAIN
