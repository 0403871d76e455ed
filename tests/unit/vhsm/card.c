/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tlv.h"
#include "talk.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#define HASH "619963998E342455D3C671798183FDBBCE8FF798D3F2C15F8722D109F9505694"

TEST(a_blank_card_answers_every_probe)
{
	CLEANUP(vhsm_freep) struct vhsm *v = NULL;
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	OK(kf_ok(vhsm_new(NULL, &v)));
	EQ(say(v, &a, "00A4040007627601FF000000"), 0x6a82);
	EQ(say(v, &a, "00A4040006A00000000101"), 0x6a82);
	EQ(say(v, &a, SELECT), 0x9000);
	struct slice fcp = tlv_find(buf_slice(&a), 0x62);
	EQ(tlv_find(fcp, 0x85).n, 5);
	EQ(say(v, &a, "00200088"), 0x6a88);
	EQ(say(v, &a, "00200081"), 0x6a88);
	EQ(say(v, &a, "00200085"), 0x6a88);
	EQ(say(v, &a, "8052000000"), 0x6d00);
	EQ(say(v, &a, "00A40800022F0000"), 0x9000);
	EQ(say(v, &a, "00B1000004540200001E"), 0x9000);
	OK(is_hex(&a, "611C4F0BE82B0601040181C31F0201500D536D617274436172642D48534D"));
	EQ(say(v, &a, "00A40800045015494600"), 0x6a82);
	EQ(say(v, &a, "0084000008"), 0x9000);
	EQ(a.n, 8);
	EQ(say(v, &a, "80580000000000"), 0x9000);
	OK(is_hex(&a, "CC00"));
	EQ(say(v, &a, "00FF0000"), 0x6d00);
}

TEST(a_share_gives_the_key_check_value_at_once)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, "8052000000"), 0x9000);
	OK(is_hex(&a, "010029E586BE25F0EC54"));
	EQ(say(v, &a, "8052000020%s00", HASH), 0x6985); /* it is whole */
}

TEST(a_wrong_pin_counts_down_and_blocks_and_the_so_pin_gives_it_back)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, "00200081"), 0x9000);
	EQ(say(v, &a, SELECT), 0x9000);
	EQ(say(v, &a, "00200081"), 0x63c3);
	EQ(say(v, &a, "00200088"), 0x63cf);
	EQ(say(v, &a, "0020008106313131313131"), 0x63c2);
	EQ(say(v, &a, "0020008103313131"), 0x6a80);
	EQ(say(v, &a, "0020008106" USER), 0x9000);
	EQ(say(v, &a, SELECT), 0x9000);
	EQ(say(v, &a, "00200081"), 0x63c3);
	EQ(say(v, &a, "0020008106313131313131"), 0x63c2);
	EQ(say(v, &a, "0020008106313131313131"), 0x63c1);
	EQ(say(v, &a, "0020008106313131313131"), 0x6983);
	EQ(say(v, &a, "0020008106" USER), 0x6983);
	EQ(say(v, &a, "002C00810E3030303030303030" USER), 0x63ce);
	EQ(say(v, &a, "002C010108" SO), 0x6a88);
	EQ(say(v, &a, "002C018108" SO), 0x9000);
	EQ(say(v, &a, "0020008106" USER), 0x9000);
	EQ(say(v, &a, "002C00810E" SO "313233343536"), 0x9000);
	EQ(say(v, &a, "0020008106313233343536"), 0x9000);
	EQ(say(v, &a, "002400810C313233343536363534333231"), 0x9000);
	EQ(say(v, &a, "0020008106363534333231"), 0x9000);
}

static EVP_PKEY *rsa_of(const struct buf *request)
{
	struct slice body =
		tlv_find(tlv_find(tlv_find(buf_slice(request), 0x67), 0x7f21), 0x7f4e);
	struct slice key = tlv_find(body, 0x7f49), n = tlv_find(key, 0x81),
		     e = tlv_find(key, 0x82);
	static uint8_t le_n[512], le_e[8]; /* OSSL_PARAM has native order */
	for (size_t i = 0; i < n.n; i++)
		le_n[i] = n.p[n.n - 1 - i];
	for (size_t i = 0; i < e.n; i++)
		le_e[i] = e.p[e.n - 1 - i];
	OSSL_PARAM params[] = { OSSL_PARAM_construct_BN("n", le_n, n.n),
		OSSL_PARAM_construct_BN("e", le_e, e.n), OSSL_PARAM_construct_end() };
	EVP_PKEY *k = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, params) != 1)
		k = NULL;
	EVP_PKEY_CTX_free(ctx);
	return k;
}

static bool verifies(EVP_PKEY *k, int padding, struct slice signature)
{
	autobuf hash = buf_new(64);
	add_hex(&hash, HASH);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
	bool good = EVP_PKEY_verify_init(ctx) == 1 &&
		    (!padding || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1) &&
		    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		    EVP_PKEY_verify(ctx, signature.p, signature.n, hash.p, hash.n) == 1;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

#define DIGEST_INFO "3031300D060960864801650304020105000420" HASH

TEST(an_rsa_key_signs_in_every_way_that_the_tools_ask_for)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, GENERATE_RSA, 1, 1024), 0x9000);
	EVP_PKEY *k = rsa_of(&a);
	OK(k);
	EQ(say(v, &a, "80680130000033" DIGEST_INFO "0200"), 0x9000);
	OK(verifies(k, 1, buf_slice(&a)));
	EQ(say(v, &a, "80680140000033" DIGEST_INFO "0200"), 0x9000);
	OK(verifies(k, 6, buf_slice(&a)));
	EQ(say(v, &a, "8068014020" HASH "00"), 0x9000);
	OK(verifies(k, 6, buf_slice(&a)));
	EQ(say(v, &a, "806801330000034142430000"), 0x9000);
	EQ(a.n, 128);
	EQ(say(v, &a, "8068012080%0256d00", 1), 0x9000);
	EQ(a.n, 128);
	EQ(say(v, &a, "8068012002000100"), 0x6a80); /* raw means as long as the modulus */
	EQ(say(v, &a, "8068017020" HASH "00"), 0x6a81);
	EQ(say(v, &a, "8068094020" HASH "00"), 0x6a82);
	EQ(say(v, &a, SELECT), 0x9000);
	EQ(say(v, &a, "8068014020" HASH "00"), 0x6982);
	EVP_PKEY_free(k);
}

/* The point of a request's EC key. */
static struct slice point_of(const struct buf *request)
{
	struct slice body =
		tlv_find(tlv_find(tlv_find(buf_slice(request), 0x67), 0x7f21), 0x7f4e);
	return tlv_find(tlv_find(body, 0x7f49), 0x86);
}

static EVP_PKEY *p256_of(struct slice point)
{
	EVP_PKEY *k = EVP_PKEY_new(), *parameters = EVP_EC_gen("prime256v1");
	bool good = EVP_PKEY_copy_parameters(k, parameters) == 1 &&
		    EVP_PKEY_set1_encoded_public_key(k, point.p, point.n) == 1;
	EVP_PKEY_free(parameters);
	return good ? k : NULL;
}

TEST(an_ec_key_signs_agrees_and_its_request_is_kept)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), b = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, GENERATE_P256, 2), 0x9000);
	EVP_PKEY *k = p256_of(point_of(&a));
	OK(k);
	EQ(say(v, &b, "00B1CE02000004540200000000"), 0x9000);
	OK(slice_eq(buf_slice(&a), buf_slice(&b)));
	EQ(say(v, &b, "80680270000020" HASH "0200"), 0x9000);
	OK(verifies(k, 0, buf_slice(&b)));
	EVP_PKEY_free(k);
	autobuf apdu = buf_new(128);
	add_hex(&apdu, "8062028041");
	buf_add_slice(&apdu, point_of(&a));
	buf_add_u8(&apdu, 0);
	EQ(say_bytes(v, buf_slice(&apdu), &b), 0x9000);
	EQ(b.n, 33);
	apdu.p[20] ^= 1; /* no longer on the curve */
	EQ(say_bytes(v, buf_slice(&apdu), &b), 0x6a80);
	EQ(say(v, &b,
		   "807602032198000000000000000000000000000000000000000000000000000000000"
		   "00001"
		   "01"),
		0x9000);
	EQ(say(v, &b, "80680370000020" HASH "0200"), 0x9000);
}

TEST(an_aes_key_encrypts_decrypts_and_obeys_its_list_of_algorithms)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, "004812B206910410111899"), 0x9000);
	EQ(say(v, &a, "8078121010000102030405060708090A0B0C0D0E0F00"), 0x9000);
	EQ(a.n, 16);
	autobuf apdu = buf_new(64);
	add_hex(&apdu, "8078121110");
	buf_add_slice(&apdu, buf_slice(&a));
	buf_add_u8(&apdu, 0);
	EQ(say_bytes(v, buf_slice(&apdu), &a), 0x9000);
	OK(is_hex(&a, "000102030405060708090A0B0C0D0E0F"));
	EQ(say(v, &a, "8078121810000102030405060708090A0B0C0D0E0F00"), 0x9000);
	EQ(say(v, &a, "80781210010000"), 0x6a80);
	EQ(say(v, &a, "004813B003910118"), 0x9000);
	EQ(say(v, &a, "8078131010000102030405060708090A0B0C0D0E0F00"), 0x6a81);
	EQ(say(v, &a, "004814B006900400000001"), 0x9000);
	EQ(say(v, &a, "80781418010000"), 0x9000);
	EQ(say(v, &a, "80781418010000"), 0x6984);
	EQ(say(v, &a, "80721492000000"), 0x6985); /* a copy would count anew */
}

TEST(files_are_made_changed_listed_and_deleted)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, "00D7CE0106540200005300"), 0x9000);
	EQ(say(v, &a, "00D700000A54020000530401020304"), 0x9000);
	EQ(say(v, &a, "00D7CE010854020004530205FF"), 0x9000);
	EQ(say(v, &a, "00D7CE010754020005530106"), 0x9000);
	EQ(say(v, &a, "00D7CE010754020007530106"), 0x6b00);
	EQ(say(v, &a, "00B1CE01000004540200000000"), 0x9000);
	OK(is_hex(&a, "010203040506"));
	EQ(say(v, &a, "00B1CE01045402000102"), 0x9000);
	OK(is_hex(&a, "0203"));
	EQ(say(v, &a, "00B1CE01000004540200061000"), 0x6282);
	EQ(a.n, 0);
	EQ(say(v, &a, "00B1CE01000004540200071000"), 0x6b00);
	EQ(say(v, &a, "00A4000002CE0100"), 0x9000);
	OK(is_hex(&a, "620E810200068201018302CE018A0105"));
	EQ(say(v, &a, "00B0000200"), 0x9000);
	OK(is_hex(&a, "03040506"));
	EQ(say(v, &a, "80580000000000"), 0x9000);
	OK(is_hex(&a, "CC00CE01"));
	EQ(say(v, &a, "00E4020002CE01"), 0x9000);
	EQ(say(v, &a, "00E4020002CE01"), 0x6a82);
	EQ(say(v, &a, "00E4020002CC00"), 0x6985);
	EQ(say(v, &a, "00D72F020754020000530100"), 0x6985);
	EQ(say(v, &a, "00D7CD020754020000530142"), 0x9000);
	EQ(say(v, &a, SELECT), 0x9000);
	EQ(say(v, &a, "00B1CD02000004540200000000"), 0x6982);
	EQ(say(v, &a, "00D7CE0106540200005300"), 0x6982);
	EQ(say(v, &a, "00E4020002CE01"), 0x6982);
	EQ(say(v, &a, "00B12F02000004540200000000"), 0x9000);
	OK(tlv_is_sound(buf_slice(&a)) && tlv_find(buf_slice(&a), 0x7f21).p);
}

TEST(long_answers_and_long_commands_may_come_in_parts)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), b = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &b, GENERATE_P256, 2), 0x9000);
	EQ(say(v, &a, "00B1CE02045402000000"), 0x9000);
	EQ(a.n, 256);
	EQ(say(v, &a, "8072029200"), 0x6100 | (363 - 256));
	EQ(a.n, 256);
	EQ(say(v, &a, "00C000006B"), 0x9000);
	EQ(a.n, 107);
	EQ(say(v, &a, "00C000006B"), 0x6985);
	EQ(say(v, &a, "9068027010619963998E342455D3C671798183FDBB"), 0x9000);
	EQ(say(v, &a, "8068027010CE8FF798D3F2C15F8722D109F950569400"), 0x9000);
	EVP_PKEY *k = p256_of(point_of(&b));
	OK(verifies(k, 0, buf_slice(&a)));
	EVP_PKEY_free(k);
	EQ(say(v, &a, "00A404000BE82B0601040181C31F0201"), 0x6124);
}

TEST(a_key_moves_to_another_card_in_one_command_or_through_a_file)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), one = buf_new(600), other = buf_new(600);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a), *w = new_card(&a);
	EQ(say(v, &a, GENERATE_RSA, 1, 2048), 0x9000);
	EQ(say(v, &one, "806801300301020300"), 0x9000);
	EQ(say(v, &a, "80720192000000"), 0x9000);
	EQ(a.n, 587);
	autobuf apdu = buf_new(1024), answer = buf_new(VHSM_ANSWER_MAX);
	add_hex(&apdu, "8074019300024B");
	buf_add_slice(&apdu, buf_slice(&a));
	EQ(say_bytes(w, buf_slice(&apdu), &answer), 0x9000);
	EQ(say(w, &other, "806801300301020300"), 0x9000);
	OK(slice_eq(buf_slice(&one), buf_slice(&other)));
	for (size_t at = 0; at < a.n; at += 200) {
		size_t n = a.n - at < 200 ? a.n - at : 200;
		buf_clear(&apdu);
		add_hex(&apdu, "00D72F1000");
		apdu.p[4] = (uint8_t)(n + 7);
		const uint8_t head[] = { 0x54, 2, (uint8_t)(at >> 8), (uint8_t)at, 0x53,
			0x81, (uint8_t)n };
		buf_add(&apdu, head, sizeof(head));
		buf_add(&apdu, a.p + at, n);
		EQ(say_bytes(w, buf_slice(&apdu), &answer), 0x9000);
	}
	EQ(say(w, &answer, "80740593"), 0x9000);
	EQ(say(w, &other, "806805300301020300"), 0x9000);
	OK(slice_eq(buf_slice(&one), buf_slice(&other)));
	EQ(say(w, &answer, "80740693"), 0x6a80); /* the file is used up */
	EQ(say(w, &answer, "80720092000000"), 0x6985);
}

TEST(key_domains_are_separate)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = NULL;
	OK(kf_ok(vhsm_new(NULL, &v)));
	EQ(say(v, &a,
		   "805000001F80020001810636343832313982083537363231383830910103920101970"
		   "1"
		   "02"),
		0x9000);
	EQ(say(v, &a, "0020008106" USER), 0x9000);
	EQ(say(v, &a, "8052000100"), 0x6a88);
	EQ(say(v, &a, "8052000200"), 0x6a86);
	EQ(say(v, &a, "80520101010100"), 0x9000);
	EQ(say(v, &a, "8052000020%s00", HASH), 0x9000);
	EQ(say(v, &a, "8052000120%064d00", 1), 0x9000);
	EQ(say(v, &a, "004809B003920101"), 0x9000);
	EQ(say(v, &a, "80720992000000"), 0x9000);
	autobuf kcv = buf_new(16), blob = buf_new(512);
	buf_add_slice(&blob, buf_slice(&a));
	EQ(say(v, &kcv, "8052000100"), 0x9000);
	OK(!memcmp(kcv.p + 2, blob.p, 8));
	EQ(say(v, &a, "8052030100"), 0x6985); /* a key depends on it */
	EQ(say(v, &a, "00E4020002CC09"), 0x9000);
	EQ(say(v, &a, "8052030100"), 0x9000);
	EQ(say(v, &a, "8052000100"), 0x6a88);
	EQ(say(v, &a, "004809B003920101"), 0x6a88);
}

TEST(initialising_again_needs_the_so_pin_and_erases)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, GENERATE_P256, 2), 0x9000);
	EQ(say(v, &a, "805000001980020001810636343832313982083030303030303030910103"),
		0x6985);
	EQ(say(v, &a, "00200088"), 0x63ce);
	EQ(say(v, &a, "805000001980020001810636343832313982083537363231383830910104"),
		0x6a80);
	EQ(say(v, &a, "805000001980020001810636343832313982083537363231383830910103"),
		0x9000);
	EQ(say(v, &a, "80580000000000"), 0x9000);
	OK(is_hex(&a, "CC00"));
	EQ(say(v, &a, "8052000000"), 0x6d00);
	EQ(say(v, &a, "00200081"), 0x63c3);
}

TEST(a_command_cut_at_any_byte_harms_nobody)
{
	static const char *const commands[] = { SELECT, "0020008106" USER,
		"805000001C80020001810636343832313982083537363231383830910103920101",
		"004812B206910410111899", "80680270000020" HASH "0200",
		"00D7CE010A54020000530401020304", "00B1CE01000004540200000000",
		"002C00810E" SO USER, "8052000020" HASH "00",
		"80740193000004010203040000" };
	autobuf a = buf_new(VHSM_ANSWER_MAX), whole = buf_new(1024);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		buf_clear(&whole);
		add_hex(&whole, commands[i]);
		for (size_t n = 0; n < whole.n; n++)
			OK(say_bytes(v, (struct slice){ whole.p, n }, &a) != 0);
	}
	EQ(say(v, &a, "0084000008"), 0x9000);
}

TEST_MAIN
