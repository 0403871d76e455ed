/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"
#include "vhsm/tlv.h"
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <unistd.h>

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

TEST_MAIN
