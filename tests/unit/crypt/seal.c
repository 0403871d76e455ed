/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/seal.h"
#include "test.h"

#define HEX  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX2 "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct keyring *ring(const char *text)
{
	struct keyring *k = NULL;
	unsigned line;
	return kf_ok(keyring_parse(slice_of(text), &line, &k)) ? k : NULL;
}

TEST(what_was_sealed_opens)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf sealed = buf_new(1024), plain = buf_new(1024);

	buf_add_text(&sealed, "before");
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &sealed)));
	buf_consume(&sealed, 6);
	OK(kf_ok(unseal_object(k, buf_slice(&sealed), SLICE_LIT("id 7"), &plain)));

	MEMEQ(plain.p, plain.n, "material");
	OK(sealed.n <= SEAL_OVERHEAD_MAX + 8);
}

TEST(nothing_is_sealed_twice_alike_and_empty_is_fine)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf a = buf_new(1024), b = buf_new(1024), plain = buf_new(1024);

	OK(kf_ok(seal_object(k, (struct slice){ 0 }, (struct slice){ 0 }, &a)));
	OK(kf_ok(seal_object(k, (struct slice){ 0 }, (struct slice){ 0 }, &b)));

	OK(!slice_eq(buf_slice(&a), buf_slice(&b)));
	OK(kf_ok(unseal_object(k, buf_slice(&a), (struct slice){ 0 }, &plain)));
	EQ(plain.n, 0);
}

TEST(every_flipped_bit_is_noticed)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf sealed = buf_new(1024), plain = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &sealed)));

	for (size_t i = 0; i < sealed.n * 8; i++) {
		sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
		kf_err err =
			unseal_object(k, buf_slice(&sealed), SLICE_LIT("id 7"), &plain);
		/* a changed id, or length of it, names a master key that is not there */
		bool is_id = i / 8 == 1 || i / 8 == 2;
		OK(kf_is(err, KF_E_TAMPERED) || (is_id && kf_is(err, KF_E_CONFIG)));
		EQ(plain.n, 0);
		sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

TEST(every_cut_is_noticed)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf sealed = buf_new(1024), plain = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &sealed)));

	for (size_t n = 0; n < sealed.n; n++)
		OK(kf_is(unseal_object(k, (struct slice){ sealed.p, n },
				 SLICE_LIT("id 7"), &plain),
			KF_E_TAMPERED));
	buf_add_u8(&sealed, 0);
	OK(kf_is(unseal_object(k, buf_slice(&sealed), SLICE_LIT("id 7"), &plain),
		KF_E_TAMPERED));
}

TEST(other_associated_data_are_refused)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf sealed = buf_new(1024), out = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &sealed)));

	OK(kf_is(unseal_object(k, buf_slice(&sealed), SLICE_LIT("id 8"), &out),
		KF_E_TAMPERED));
	OK(kf_is(unseal_object(k, buf_slice(&sealed), SLICE_LIT(""), &out),
		KF_E_TAMPERED));
	OK(kf_is(reseal_object(k, buf_slice(&sealed), SLICE_LIT("id 8"), &out),
		KF_E_TAMPERED));
	EQ(out.n, 0);
}

TEST(a_body_cannot_move_to_another_objects_head)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf a = buf_new(1024), b = buf_new(1024), out = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &a)));
	OK(kf_ok(seal_object(k, SLICE_LIT("notebook"), SLICE_LIT("id 7"), &b)));

	memcpy(a.p + a.n - 36, b.p + b.n - 36, 36);

	OK(kf_is(
		unseal_object(k, buf_slice(&a), SLICE_LIT("id 7"), &out), KF_E_TAMPERED));
}

TEST(another_master_key_under_the_same_id_is_refused)
{
	CLEANUP(keyring_freep)
	struct keyring *k = ring("k = " HEX), *other = ring("k = " HEX2),
		       *none = ring("j = " HEX);
	autobuf sealed = buf_new(1024), out = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("id 7"), &sealed)));

	OK(kf_is(unseal_object(other, buf_slice(&sealed), SLICE_LIT("id 7"), &out),
		KF_E_TAMPERED));
	OK(kf_is(unseal_object(none, buf_slice(&sealed), SLICE_LIT("id 7"), &out),
		KF_E_CONFIG));
}

TEST(rotation_leaves_the_ciphertext_and_retires_the_old_key)
{
	CLEANUP(keyring_freep)
	struct keyring *old = ring("old = " HEX),
		       *both = ring("new = " HEX2 "\nold = " HEX),
		       *new = ring("new = " HEX2);
	autobuf a = buf_new(1024), b = buf_new(1024), plain = buf_new(1024);
	struct slice id;
	OK(kf_ok(seal_object(old, SLICE_LIT("material"), SLICE_LIT("id 7"), &a)));

	OK(kf_ok(reseal_object(both, buf_slice(&a), SLICE_LIT("id 7"), &b)));

	OK(kf_ok(seal_master_id(buf_slice(&b), &id)) && slice_is(id, "new"));
	EQ(a.n, b.n);
	OK(!memcmp(a.p + a.n - 36, b.p + b.n - 36, 36));
	OK(kf_ok(unseal_object(new, buf_slice(&b), SLICE_LIT("id 7"), &plain)));
	MEMEQ(plain.p, plain.n, "material");
}

TEST(a_change_of_rights_binds_anew)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);
	autobuf a = buf_new(1024), b = buf_new(1024), plain = buf_new(1024);
	OK(kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("v1"), &a)));

	OK(kf_ok(rebind_object(k, buf_slice(&a), SLICE_LIT("v1"), SLICE_LIT("v2"), &b)));

	OK(kf_is(
		unseal_object(k, buf_slice(&b), SLICE_LIT("v1"), &plain), KF_E_TAMPERED));
	OK(kf_ok(unseal_object(k, buf_slice(&b), SLICE_LIT("v2"), &plain)));
}

TEST(a_full_buffer_fails_and_leaves_nothing)
{
	CLEANUP(keyring_freep) struct keyring *k = ring("k = " HEX);

	for (size_t limit = 0; limit < 100; limit++) {
		autobuf out = buf_new(limit);
		OK(!kf_ok(seal_object(k, SLICE_LIT("material"), SLICE_LIT("v1"), &out)));
		EQ(out.n, 0);
	}
}

TEST_MAIN
