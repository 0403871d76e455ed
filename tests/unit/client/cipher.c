/* SPDX-License-Identifier: Apache-2.0 */
/* What encryption and codes look like on their way, and what is refused before it leaves.  That they are right is shown
 * by a real server (scenario/sdk.py). */
#include "client/cipher.h"
#include "fake.h"
#include "kmip/wire.h"
#include "test.h"

static const uint8_t data[] = "sixteen bytes...";
static const uint8_t iv[12] = { 1 }, tag[16] = { 2 };

static kf_cipher_request gcm(void)
{
	return (kf_cipher_request){ .key = "key-1",
		.cipher = KF_AES_GCM,
		.data = data,
		.size = 16,
		.additional_data = { "for", 3 } };
}

static kf_cipher_request sealed(void)
{
	kf_cipher_request q = gcm();
	q.iv = (kf_bytes){ iv, sizeof(iv) };
	q.tag = (kf_bytes){ tag, sizeof(tag) };
	return q;
}

TEST(without_an_iv_the_server_is_asked_for_a_random_one)
{
	kf_cipher_request q = gcm();
	struct decrypt_request plan;

	OK(!cipher_plan(&q, false, &plan));
	OK(plan.parameters.has_random_iv && plan.parameters.random_iv && !plan.iv.n);
	q.iv = (kf_bytes){ iv, sizeof(iv) };
	OK(!cipher_plan(&q, false, &plan));

	OK(!plan.parameters.has_random_iv && plan.iv.n == sizeof(iv));
	EQ(plan.parameters.tag_length, 16);
}

TEST(what_cannot_be_decrypted_does_not_leave)
{
	struct decrypt_request plan;
	kf_cipher_request q = sealed();
	OK(!cipher_plan(&q, true, &plan));

	q.tag.size = 0;
	OK(cipher_plan(&q, true, &plan));
	q = sealed();
	q.iv.size = 0;
	OK(cipher_plan(&q, true, &plan));
	q = sealed();
	q.tag.size = 17;
	OK(cipher_plan(&q, true, &plan));
	q = sealed();
	q.cipher = KF_AES_CBC;
	OK(cipher_plan(&q, true, &plan));
	q.additional_data.size = 0;
	OK(cipher_plan(&q, true, &plan));
	q.tag.size = 0;
	OK(!cipher_plan(&q, true, &plan));
}

/* Of short ones whoever wrote the data could try all. */
TEST(short_tags_are_refused)
{
	struct decrypt_request plan;
	kf_cipher_request q = sealed();
	q.tag.size = 12;
	OK(!cipher_plan(&q, true, &plan));
	for (q.tag.size = 0; q.tag.size < 12; q.tag.size++)
		OK(cipher_plan(&q, true, &plan));
}

TEST(nonsense_is_refused)
{
	struct decrypt_request plan;
	struct mac_request mac;
	kf_cipher_request q = gcm();
	kf_mac_request m = { .key = "key-1", .algorithm = KF_CMAC_AES, .size = 3 };

	q.cipher = (kf_cipher)0;
	OK(cipher_plan(&q, false, &plan));
	q.cipher = (kf_cipher)99;
	OK(cipher_plan(&q, false, &plan));
	q = gcm();
	q.key = "";
	OK(cipher_plan(&q, false, &plan));
	q = gcm();
	q.data = NULL;
	OK(cipher_plan(&q, false, &plan));
	q = gcm();
	q.tag = (kf_bytes){ tag, sizeof(tag) };
	OK(cipher_plan(&q, false, &plan)); /* it is made, not given */
	OK(mac_plan(&m, &mac));
	m.data = data;
	OK(!mac_plan(&m, &mac));
	m.algorithm = (kf_mac_algorithm)5;
	OK(mac_plan(&m, &mac));
}

/* Nobody knows where a server before 1.4 puts the tag. */
TEST(tags_are_for_servers_that_tell_them)
{
	struct decrypt_request plan;
	kf_cipher_request q = gcm();
	autobuf out = buf_new(4096);
	OK(!cipher_plan(&q, false, &plan));

	struct ttlv_writer old = ttlv_write(&out, KMIP_1_3);
	OK(kf_is(cipher_encrypt_put(&old, &plan), KF_E_VERSION));
	EQ(out.n, 0);
	struct ttlv_writer new = ttlv_write(&out, KMIP_1_4);
	OK(kf_ok(cipher_encrypt_put(&new, &plan)));

	struct ttlv_reader r = ttlv_read_as(buf_slice(&out), KMIP_1_4, false);
	struct decrypt_request got;
	OK(kf_ok(encrypt_get_request(&r, &got)));
	EQ(got.parameters.block_cipher_mode, KMIP_BLOCK_CIPHER_MODE_GCM);
	OK(slice_eq(got.additional_data, slice_of("for")));
}

/* ---- with servers ---- */

static struct fake a, b;

static struct kf_client *open_client(struct fake *const *f, size_t n)
{
	kf_options o = fake_options(f, n);
	return fake_client(&o);
}

static struct room {
	uint8_t data[64], iv[16], tag[16];
} room;

static kf_encrypted into(size_t data_room)
{
	return (kf_encrypted){ { room.data, data_room, 0 },
		{ room.iv, sizeof(room.iv), 0 }, { room.tag, sizeof(room.tag), 0 } };
}

TEST(an_encryption_goes_to_another_server_when_one_hangs_up)
{
	fake_start_both(&a, &b);
	a.mood = FAKE_HANGS_UP;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2);
	kf_cipher_request q = gcm();
	kf_call call = { 0 };

	for (int i = 0; i < 4; i++) {
		kf_encrypted e = into(64);
		EQ(kf_cipher_encrypt(c, &q, &e, &call), KF_SUCCESS);
		EQ(e.data.used, 16);
		OK(!memcmp(room.data, data, 16));
		EQ(e.iv.used, 12);
		EQ(e.tag.used, 16);
	}

	EQ(b.requests, 4);
	kf_client_free(c);
	fake_stop_both(&a, &b);
}

TEST(a_small_buffer_is_told_how_much_is_needed_and_gets_nothing)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1);
	kf_cipher_request q = gcm();
	kf_encrypted e = into(15);
	memset(&room, 0, sizeof(room));

	EQ(kf_cipher_encrypt(c, &q, &e, NULL), KF_BUFFER_TOO_SMALL);

	EQ(e.data.used, 16);
	EQ(room.data[0] | room.iv[0] | room.tag[0], 0);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(more_than_a_message_holds_is_refused_before_it_leaves)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1);
	kf_cipher_request q = gcm();
	kf_encrypted e = into(64);
	kf_buffer mac = { room.tag, sizeof(room.tag), 0 };
	kf_mac_request m = {
		.key = "key-1", .algorithm = KF_HMAC_SHA256, .data = data, .size = 1 << 20
	};
	q.size = 1 << 20;

	EQ(kf_cipher_encrypt(c, &q, &e, NULL), KF_INVALID_ARGUMENT);
	q.size = SIZE_MAX;
	EQ(kf_cipher_encrypt(c, &q, &e, NULL), KF_INVALID_ARGUMENT);
	EQ(kf_mac(c, &m, &mac, NULL), KF_INVALID_ARGUMENT);

	EQ(a.requests, 0);
	kf_client_free(c);
	fake_stop(&a);
}

/* What a server leaves out is not what the caller keeps. */
TEST(an_answer_without_a_code_is_no_success)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1);
	kf_mac_request m = {
		.key = "key-1", .algorithm = KF_HMAC_SHA256, .data = data, .size = 16
	};
	kf_buffer mac = { room.tag, sizeof(room.tag), 0 };

	EQ(kf_mac(c, &m, &mac, NULL), KF_PROTOCOL);

	EQ(a.requests, 1);
	kf_client_free(c);
	fake_stop(&a);
}

TEST_MAIN
