/* SPDX-License-Identifier: Apache-2.0 */
#include "encipher.h"

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

TEST(short_tags_are_made_and_checked_where_the_server_says_so_only)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	uint8_t data[16], tag[4];
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(GCM, (struct slice){ zeros, 16 });
	q.parameters.has_tag_length = true;
	q.parameters.tag_length = 4;
	q.iv = (struct slice){ zeros, 12 };
	w.server.tag_min = 4;
	OK(kf_ok(encrypt(&w, &q, &id, &a)) && a.tag.n == 4 && a.data.n == 16);
	memcpy(data, a.data.p, 16);
	memcpy(tag, a.tag.p, 4);
	q.data = (struct slice){ data, 16 };
	q.tag = (struct slice){ tag, 4 };
	OK(kf_ok(decrypt(&w, &q, &id, &a)));

	w.server.tag_min = 0;
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_TAG_LENGTH));
	w.server.tag_min = 16;
	q.parameters.tag_length = 15;
	q.tag.n = 0;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_TAG_LENGTH));
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

TEST_MAIN
