/* SPDX-License-Identifier: Apache-2.0 */
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
	struct ttlv_writer q = question(w);
	register_put_request(
		&q, &(struct register_request){
			    .attributes = buf_slice(&attrs),
			    .object = { .type = OBJECT_SYMMETRIC_KEY,
				    .block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
					    .algorithm = wish->algorithm,
					    .length = wish->bits,
					    .has_value = true,
					    .material = wish->bytes } },
		    });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_REGISTER));
	struct register_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(register_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
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

TEST(gcm_gives_the_tag_and_takes_it_again)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	static const uint8_t want[] = { 0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92,
		0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));

	struct decrypt_request q = with_mode(GCM, (struct slice){ zeros, 16 });
	q.iv = (struct slice){ zeros, 12 };
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	OK(slice_eq(a.data, (struct slice){ want, 16 }));
	EQ(a.tag.n, 16);
	EQ(a.iv.n, 0);
	EQ(a.correlation_value.n, 0);
	keep_all(&k, &a);

	q.data = k.a.data;
	q.tag = k.a.tag;
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	OK(slice_eq(a.data, (struct slice){ zeros, 16 }));
	k.tag[0] ^= 1;
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_DATA));
	q.tag.n = 12;
	k.tag[0] ^= 1;
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_DATA));
	q.parameters.has_tag_length = true;
	q.parameters.tag_length = 12;
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	q.tag.n = 0;
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_MISSING));
}

TEST(a_tag_length_that_does_not_exist_is_refused)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	const int32_t wrong[] = { -1, 0, 1, 32, 128, INT32_MAX, INT32_MIN };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct decrypt_request q = with_mode(GCM, (struct slice){ zeros, 16 });
		q.parameters.has_tag_length = true;
		q.parameters.tag_length = wrong[i];
		OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_TAG_LENGTH));
	}
}

TEST(an_iv_that_nobody_gave_is_random_and_told)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	struct kept first, k;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));

	for (int i = 0; i < 3; i++) {
		struct decrypt_request q = with_mode(CBC, slice_of("attack at dawn"));
		q.parameters.padding_method = PKCS5;
		OK(kf_ok(encrypt(&w, &q, &id, &a)));
		EQ(a.iv.n, 16);
		EQ(a.data.n, 16);
		keep_all(&k, &a);
		OK(i == 0 || !slice_eq(k.a.iv, first.a.iv));
		if (i == 0)
			keep_all(&first, &a);

		q.data = k.a.data;
		OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_MISSING_IV));
		q.iv = k.a.iv;
		OK(kf_ok(decrypt(&w, &q, &id, &a)));
		OK(slice_is(a.data, "attack at dawn"));
	}
	struct decrypt_request q = with_mode(CBC, (struct slice){ zeros, 16 });
	q.parameters.has_random_iv = true;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_MISSING_IV));
}

TEST(a_counter_begins_where_it_is_told_and_fits_its_length)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	struct kept whole;
	static const uint8_t block[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0,
		7 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(CTR, (struct slice){ zeros, 40 });
	q.iv = (struct slice){ block, 16 };
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	keep_all(&whole, &a);

	q.iv.n = 12;
	q.parameters.has_initial_counter_value = true;
	q.parameters.initial_counter_value = 7;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	OK(slice_eq(a.data, whole.a.data));

	q.parameters.initial_counter_value = -1;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_DATA));
	q.data.n = 16;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	q.parameters.has_counter_length = true;
	q.parameters.counter_length = 64;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_BAD_PARAMETERS));
}

TEST(additional_data_count)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));

	for (uint32_t mode = CCM; mode <= GCM; mode++) {
		struct decrypt_request q = with_mode(mode, slice_of("secret"));
		q.additional_data = slice_of("header");
		OK(kf_ok(encrypt(&w, &q, &id, &a)));
		EQ(a.iv.n, 12);
		keep_all(&k, &a);
		q.data = k.a.data;
		q.iv = k.a.iv;
		q.tag = k.a.tag;
		OK(kf_ok(decrypt(&w, &q, &id, &a)));
		OK(slice_is(a.data, "secret"));
		q.additional_data = slice_of("HEADER");
		OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_DATA));
	}
	struct decrypt_request q = with_mode(CBC, (struct slice){ zeros, 16 });
	q.additional_data = slice_of("header");
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_INVALID_FIELD));
}

TEST(before_1_4_the_tag_is_the_end_of_the_data)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	w.version = KMIP_1_2;

	struct decrypt_request q = with_mode(GCM, slice_of("secret"));
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 6 + 16);
	EQ(a.tag.n, 0);
	keep_all(&k, &a);
	q.data = k.a.data;
	q.iv = k.a.iv;
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	OK(slice_is(a.data, "secret"));
	for (q.data.n = 0; q.data.n < 22; q.data.n++)
		OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_DATA));
}

static void add_parameters(struct buf *set, uint32_t mode, uint32_t padding)
{
	struct ttlv_writer out = ttlv_write(set, 0);
	cryptographic_parameters_put(
		&out, &(struct cryptographic_parameters){
			      .block_cipher_mode = mode, .padding_method = padding });
}

TEST(what_the_request_does_not_say_the_key_says)
{
	WORLD(w);
	struct id id, bare;
	struct decrypt_response a;
	autobuf extra = buf_new(1024);
	add_parameters(&extra, ECB, PKCS5);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_key(&w,
		&(struct key_wish){ .algorithm = AES,
			.bits = 128,
			.bytes = { zeros, 16 },
			.extra = buf_slice(&extra) },
		&id)));
	OK(kf_ok(aes_key(&w, &bare)));

	struct decrypt_request q = { .has_data = true, .data = slice_of("text") };
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 16);
	OK(kf_is(encrypt(&w, &q, &bare, &a), KF_E_BAD_PARAMETERS));
	q = with_mode(ECB, slice_of("text"));
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_DATA));
	q.parameters.cryptographic_algorithm = 2;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_BAD_PARAMETERS));
}

TEST(every_failure_of_cbc_decryption_is_one_error)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	uint8_t junk[64] = { 0 };
	size_t refused = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(CBC, (struct slice){ junk, 0 });
	q.parameters.padding_method = PKCS5;
	q.iv = (struct slice){ zeros, 16 };

	for (q.data.n = 0; q.data.n < sizeof(junk); q.data.n++)
		for (int i = 0; i < 8; i++) {
			junk[40]++;
			const kf_err err = decrypt(&w, &q, &id, &a);
			OK(kf_ok(err) || kf_is(err, KF_E_DATA));
			refused += !kf_ok(err);
		}
	OK(refused > 400);
}

TEST(dates_and_masks_bind_as_they_say)
{
	WORLD(w);
	struct id id, pre;
	struct decrypt_response a;
	autobuf dates = buf_new(1024);
	attrs_add_date(&dates, TAG_PROCESS_START_DATE, NOW + 3600);
	attrs_add_date(&dates, TAG_PROTECT_STOP_DATE, NOW - 3600);
	OK(kf_ok(let_alice_create(&w)));
	struct key_wish wish = { .algorithm = AES,
		.bits = 128,
		.bytes = { zeros, 16 },
		.extra = buf_slice(&dates) };
	OK(kf_ok(add_key(&w, &wish, &id)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_STATE));
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_STATE));

	wish = (struct key_wish){
		.algorithm = AES, .bits = 128, .bytes = { zeros, 16 }, .usage = 4
	};
	OK(kf_ok(add_key(&w, &wish, &id)));
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_USAGE));
	wish.is_not_active = true;
	OK(kf_ok(add_key(&w, &wish, &pre)));
	OK(kf_is(encrypt(&w, &q, &pre, &a), KF_E_STATE));
}

TEST(a_revoked_key_still_decrypts)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });
	OK(kf_ok(revoke(&w, &id, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED)));

	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_STATE));
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	OK(kf_ok(destroy(&w, &id)));
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_DESTROYED));
}

TEST(to_encrypt_and_to_decrypt_are_two_permissions)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_ENCRYPT, 0)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });

	be(&w, "bob", false);
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_NOT_FOUND));
	be(&w, "eve", false);
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_NOT_FOUND));
}

TEST(what_is_much_is_a_workers)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	autobuf big = buf_new(1 << 20);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	memset(buf_reserve(&big, 200000), 7, 200000);
	buf_commit(&big, 200000);

	struct decrypt_request q = with_mode(GCM, buf_slice(&big));
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 200000);
	EQ(a.tag.n, 16);
	OK(w.worked);
	q.data.n = 1024;
	w.worked = false;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	OK(!w.worked);
}

TEST(usage_is_counted_in_bytes_before_it_happens)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	autobuf limits = buf_new(256);
	struct ttlv_writer out = ttlv_write(&limits, 0);
	ttlv_begin(&out, TAG_USAGE_LIMITS);
	ttlv_put_long(&out, TAG_USAGE_LIMITS_TOTAL, 16);
	ttlv_put_enum(&out, TAG_USAGE_LIMITS_UNIT, KMIP_USAGE_LIMITS_UNIT_BYTE);
	ttlv_end(&out);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_key(&w,
		&(struct key_wish){ .algorithm = AES,
			.bits = 128,
			.bytes = { zeros, 16 },
			.extra = buf_slice(&limits) },
		&id)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });

	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 16);
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_DENIED));
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
}

/* --- streams --- */

static kf_err open_streams(struct world *w)
{
	return op_parts_new(&(struct op_parts_conf){ .most = 3,
				    .client_most = 2,
				    .memory = 4096,
				    .idle_ns = 1000000000 },
		&w->server.parts);
}

#define STREAMS(w)                                                                       \
	WORLD(w);                                                                        \
	OK(kf_ok(open_streams(&(w))));                                                   \
	CLEANUP(close_streams) __attribute__((unused)) struct world *closes = &(w);      \
	OK(kf_ok(let_alice_create(&(w))))

static void close_streams(struct world **w) { op_parts_free((*w)->server.parts); }

TEST(parts_come_to_the_same_as_the_whole)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept whole, part;
	static const uint8_t text[60] =
		"a message that is longer than one block, and then some";
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(GCM, (struct slice){ text, sizeof(text) });
	q.iv = (struct slice){ zeros, 12 };
	q.additional_data = slice_of("header");
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	keep_all(&whole, &a);

	q.init_indicator = true;
	q.data.n = 20;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 20);
	EQ(a.tag.n, 0);
	EQ(a.correlation_value.n, 16);
	OK(!memcmp(a.data.p, whole.data, 20));
	keep_all(&part, &a);

	struct decrypt_request more = { .has_data = true,
		.data = { text + 20, 13 },
		.correlation_value = part.a.correlation_value };
	OK(kf_ok(encrypt(&w, &more, NULL, &a)));
	EQ(a.data.n, 13);
	OK(!memcmp(a.data.p, whole.data + 20, 13));
	more.data = (struct slice){ text + 33, 27 };
	more.final_indicator = true;
	OK(kf_ok(encrypt(&w, &more, &id, &a)));
	OK(!memcmp(a.data.p, whole.data + 33, 27));
	OK(slice_eq(a.tag, whole.a.tag));
	EQ(a.correlation_value.n, 0);
	EQ(op_parts_count(w.server.parts), 0);
	OK(kf_is(encrypt(&w, &more, &id, &a), KF_E_CORRELATION));
}

static kf_err begin_stream(struct world *w, const struct id *id, struct kept *ret)
{
	struct decrypt_response a;
	struct decrypt_request q = with_mode(CBC, (struct slice){ zeros, 20 });
	q.parameters.padding_method = PKCS5;
	q.init_indicator = true;
	KF_TRY(encrypt(w, &q, id, &a));
	keep_all(ret, &a);
	return KF_OK;
}

static kf_err go_on(
	struct world *w, const struct id *id, const struct kept *k, bool is_last)
{
	struct decrypt_response a;
	struct decrypt_request q = { .has_data = true,
		.data = { zeros, 20 },
		.correlation_value = k->a.correlation_value,
		.final_indicator = is_last };
	return encrypt(w, &q, id, &a);
}

TEST(a_stream_is_bound_to_client_key_and_operation)
{
	STREAMS(w);
	struct id id, other;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(aes_key(&w, &other)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	EQ(k.a.iv.n, 16);
	EQ(k.a.data.n, 16);

	OK(kf_is(go_on(&w, &other, &k, false), KF_E_CORRELATION));
	be(&w, "root", true);
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	OK(kf_is(go_on(&w, NULL, &k, false), KF_E_CORRELATION));
	be(&w, "alice", false);
	struct decrypt_request q = { .has_data = true,
		.data = { zeros, 16 },
		.correlation_value = k.a.correlation_value };
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_CORRELATION));
	OK(kf_ok(go_on(&w, &id, &k, false)));
	k.correlation[5] ^= 1;
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	k.correlation[5] ^= 1;
	OK(kf_ok(go_on(&w, NULL, &k, true)));
}

TEST(a_stream_that_nobody_goes_on_with_is_over)
{
	STREAMS(w);
	struct id id;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(begin_stream(&w, &id, &k)));

	clock_turn(999000000, 0);
	OK(kf_ok(go_on(&w, &id, &k, false)));
	clock_turn(1000000001, 0);
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	EQ(op_parts_count(w.server.parts), 1);
	op_parts_sweep(w.server.parts, w.server.catalog, w.now_s);
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(streams_of_a_destroyed_key_are_swept)
{
	STREAMS(w);
	struct id id, other;
	struct kept k, kept;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(aes_key(&w, &other)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_ok(begin_stream(&w, &other, &kept)));
	OK(kf_ok(revoke(&w, &id, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED)));
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_STATE));
	OK(kf_ok(destroy(&w, &id)));

	op_parts_sweep(w.server.parts, w.server.catalog, w.now_s);
	EQ(op_parts_count(w.server.parts), 1);
	OK(kf_ok(go_on(&w, &other, &kept, true)));
}

TEST(streams_are_few_of_a_client_and_in_all)
{
	STREAMS(w);
	struct id id;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(add_grant(&w, "*", id.text, PERM_ENCRYPT, 0)));

	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_is(begin_stream(&w, &id, &k), KF_E_BUSY));
	be(&w, "bob", false);
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_is(begin_stream(&w, &id, &k), KF_E_BUSY));
	clock_turn(1000000001, 0);
	OK(kf_ok(begin_stream(&w, &id, &k)));
	EQ(op_parts_count(w.server.parts), 1);
}

TEST(what_streams_hold_back_is_limited)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	uint8_t much[3000] = { 0 };
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(CCM, (struct slice){ much, sizeof(much) });
	q.init_indicator = true;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 0);
	keep_all(&k, &a);

	struct decrypt_request more = { .has_data = true,
		.data = { much, sizeof(much) },
		.correlation_value = k.a.correlation_value };
	OK(kf_is(encrypt(&w, &more, &id, &a), KF_E_BUSY));
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(a_failure_ends_the_stream)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(GCM, (struct slice){ zeros, 16 });
	q.init_indicator = true;
	q.iv = (struct slice){ zeros, 12 };
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 0);
	keep_all(&k, &a);

	struct decrypt_request last = { .tag = { zeros, 16 },
		.correlation_value = k.a.correlation_value,
		.final_indicator = true };
	OK(kf_is(decrypt(&w, &last, &id, &a), KF_E_DATA));
	OK(kf_is(decrypt(&w, &last, &id, &a), KF_E_CORRELATION));
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(one_part_with_both_indicators_is_no_stream)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });
	q.init_indicator = q.final_indicator = true;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 16);
	q.final_indicator = false;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_FEATURE));
}

/* --- RSA --- */

TEST(what_an_rsa_public_key_encrypts_its_private_key_decrypts)
{
	WORLD(w);
	struct pair pair;
	struct decrypt_response a;
	uint8_t text[512];
	const uint32_t hashes[] = { 4, 5, 6, 7, 8 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){ .algorithm = 4,
			.bits = 2048,
			.is_active = true,
			.private_usage = 8,
			.public_usage = 4 },
		&pair)));

	for (size_t i = 0; i < 26; i++) {
		struct decrypt_request q = { .has_parameters = true,
			.has_data = true,
			.data = slice_of("premaster"),
			.parameters = { .padding_method = 8 } };
		if (i < 25)
			q.parameters = (struct cryptographic_parameters){
				.padding_method = 2,
				.hashing_algorithm = hashes[i / 5],
				.mask_generator = 1,
				.mask_generator_hashing_algorithm = hashes[i % 5],
				.p_source = slice_of(i % 2 ? "label" : ""),
			};
		OK(kf_ok(encrypt(&w, &q, &pair.public_key, &a)));
		EQ(a.data.n, 256);
		q.data = keep(text, a.data);
		OK(kf_ok(decrypt(&w, &q, &pair.private_key, &a)));
		OK(slice_is(a.data, "premaster"));
	}
	struct decrypt_request q = { .has_data = true, .data = slice_of("no padding") };
	OK(kf_is(encrypt(&w, &q, &pair.public_key, &a), KF_E_BAD_PARAMETERS));
	q = (struct decrypt_request){ .has_parameters = true,
		.has_data = true,
		.data = { zeros, 64 },
		.parameters = { .padding_method = 8 } };
	q.data = (struct slice){ text, 300 };
	OK(kf_is(encrypt(&w, &q, &pair.public_key, &a), KF_E_DATA));
}

TEST_MAIN
