/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/dkek.h"
#include "talk.h"
#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <stdlib.h>

/* Made by another card, under the DKEK of one share. */
#define SHARE "833A24479D417FBEE5E6405AAC9E36FC0DCE611626297509D8EB5E7BDF3D8217"
static const char rsa_blob[] =
	"29E586BE25F0EC5405000A04007F000702020201020000000000001990E1853DACD3832A"
	"CF463B5416183A3E97ADC3EB5249EDCAB55AFA599882E248FE2D732D03AF825E95290A62"
	"304ABBEF49A74A2AC7624893A8CA1457C716692F3D73BB804FB85CF808A63C66D95E4B84"
	"CE59E2A33429A85A224D540811B0A7A831DEC50B04B0DAA69F818C994D8047B635ADA3EB"
	"93DFEDE750D14C00B98CA4EFFC1E967C9E849B36C9C4AD03613A2C4F97DE6698F31FBEDD"
	"76B0A3BC8ABB7B22F66FED51D1AE8C158B361C8A10F57F70784D0CD7EFEE7412DF911B20"
	"8AF7B5DBC4D4C53AA56728DD0B8DE54D80EA285A8FD2A86E26CBDF6A50832F5C857F35E7"
	"2485AA587E8D73E5682556BAAD2CF32DD675224F16D0C34C7F96E573EF31C430283BA4ED"
	"1283A4E3E1F0D14AAE14C6BE7BE92508F3D14DF1C09CA850EA7741C714B4A58677182A43"
	"8C6B79EC2689C4C5E2B0F9836BF850D1B0231F542EF7ABB9E742A0542DCF4B59DE14C43B"
	"070EAA825694146EC1520CDF3BA560B502BD3EED19955DE801F24297C4C282DD234596E0"
	"655D6202EB386864F7D2233FB06E1A06352B895EF489A5143ACFF30F066577A64AB830DF"
	"964E2213CED825AA7324F5B1A8892FD6CA9FA55D076B4ED65C25D2D879B828BBCCAEEBCA"
	"EDFD1D32ED64C5983EB1A42EDEE43D811D19757005A1819163A36B413F0739294F2B6525"
	"DFA644ECE021074D379E1991E238B68EEE3B0DDDBC3DE6B0D3B8D7D5AA88BFE109D03C15"
	"77F7F2AA484AFC7F50C60748E7A163076E715F4CF27D264868AA22E41AD788212B0CEF23"
	"72C606D466C69C772E1BE7";
static const char rsa_modulus[] =
	"D38EF534AA7AEF5AAE12BC2693F2970034A46BA6F0D95F27A8554599725CF5B14EE78E99"
	"53F1B49E52A3EF3EC9A4BB7C030FC8D073DE476A3DDE88049E3E48D82180A27679D86CE6"
	"9A975D57C95B733A07F0E00CBDB91FA7CA5B8F2E64C569EC597EF389883D35CE957E81A3"
	"204C2A2BFB7635DD91B5F30C40681C9E9B45DCE6C799DE1247915281B09682F97F5B7421"
	"B5115E537887AD9AC286E7E34A6AA7AD648BF0DBB3A87AE126844484BA5C3F7250F538CB"
	"3F2BC9F9382E732DA836F4C59651A0CE41C1F539397BB51FFB757D7090B607551AF1926E"
	"F796766AA2D202B2E26C7F779FCC9D2A5AFF2E725DD1520B7046A39C3D2382A828D7B275"
	"2332586B";
static const char ec_blob[] =
	"29E586BE25F0EC540C000A04007F000702020202030000000000009AD6E249A56B552B32"
	"8B5A179AB6DC29BB21843D1C3ABD32EFE23CF2E4B9EEE27DBA54C0F3610287541B6A83BF"
	"9EB94C59FB485A9C0482A39BEF91CB041F3BAE3AC7EDED5E287E6130FF2CF0451C7A9BF0"
	"E10AC66C0727A35170EEED29DC02E35ABE0AB3D9DD1A4CBC40BAC39ED8B47B286DB26446"
	"F450F992184A50CBDCD82069125DE3A00237E90635DF2D3056B4BF3B23017A6C89A01C6F"
	"61D8B12756854DBE13E2734889A86532099F1B8FF36FD64F13DBBAF0ADAEB46EB8110B44"
	"8E9C2D3CC46848C3AC571C288667568D85914822E280F86C738BBB8BEB223903012CBDCD"
	"9E05EBB8990670A6DF91C648CDF29CF5F48D8CDBD7E224A52F3AFEB6735438E786D3D27E"
	"9980190C8AF3A809D0D47E3BA0CADB928861C50530FA64A44EEF839CAAD83EA06FCE24EF"
	"C98ACBA04F0BB4";

static uint8_t kek[DKEK_SIZE];

static struct slice read_hex(struct buf *b, const char *hex)
{
	*b = buf_new(16384);
	add_hex(b, hex);
	return buf_slice(b);
}

static void set_kek(void)
{
	autobuf b;
	memcpy(kek, read_hex(&b, SHARE).p, sizeof(kek));
}

TEST(the_check_value_is_that_of_the_tools)
{
	uint8_t kcv[DKEK_KCV_SIZE];
	set_kek();
	dkek_kcv(kek, kcv);
	MEMEQ(kcv, sizeof(kcv), "\x29\xe5\x86\xbe\x25\xf0\xec\x54");
}

TEST(blobs_of_another_card_are_its_keys)
{
	CLEANUP(key_freep) struct key *rsa = NULL, *ec = NULL;
	autobuf a, b, m, n = buf_new(512);
	set_kek();
	OK(kf_ok(dkek_unwrap(kek, read_hex(&a, rsa_blob), &rsa)));
	EQ(rsa->kind, KEY_RSA);
	EQ(key_bits(rsa), 2048);
	OK(kf_ok(key_number(rsa, OSSL_PKEY_PARAM_RSA_N, 256, &n)));
	OK(slice_eq(buf_slice(&n), read_hex(&m, rsa_modulus)));
	OK(kf_ok(dkek_unwrap(kek, read_hex(&b, ec_blob), &ec)));
	OK(ec->kind == KEY_EC && !strcmp(ec->curve->name, "prime256v1"));
}

static bool is_same(const struct key *a, const struct key *b)
{
	if (a->kind != b->kind || a->n_algos != b->n_algos ||
		memcmp(a->algos, b->algos, a->n_algos))
		return false;
	return a->kind == KEY_AES
		       ? a->n_aes == b->n_aes && !memcmp(a->aes, b->aes, a->n_aes)
		       : EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

static bool comes_back(struct key *k)
{
	CLEANUP(key_freep) struct key *copy = NULL;
	autobuf blob = buf_new(DKEK_BLOB_MAX);
	return k && kf_ok(dkek_wrap(kek, k, &blob)) &&
	       kf_ok(dkek_unwrap(kek, buf_slice(&blob), &copy)) && is_same(k, copy);
}

TEST(every_kind_of_key_comes_back)
{
	set_kek();
	for (size_t bits = 128; bits <= 256; bits += 64) {
		CLEANUP(key_freep) struct key *k = NULL;
		OK(kf_ok(key_generate_aes(bits, &k)));
		k->algos[k->n_algos++] = ALGO_CMAC;
		OK(comes_back(k));
	}
	static const char *const curves[] = {
#define X(name, bits) name,
#include "crypt/curve.def"
#undef X
	};
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		CLEANUP(key_freep) struct key *k = NULL;
		OK(kf_ok(key_generate_ec(curve_by_name(curves[i]), &k)));
		OK(comes_back(k));
	}
	CLEANUP(key_freep) struct key *k = NULL;
	OK(kf_ok(key_generate_rsa(1024, SLICE_LIT("\x01\x00\x01"), &k)));
	OK(comes_back(k));
}

TEST(a_blob_cut_at_any_byte_or_with_any_bit_changed_is_refused)
{
	CLEANUP(key_freep) struct key *k = NULL;
	autobuf b;
	set_kek();
	struct slice blob = read_hex(&b, ec_blob);
	for (size_t n = 0; n < blob.n; n++)
		OK(!kf_ok(dkek_unwrap(kek, (struct slice){ blob.p, n }, &k)));
	for (size_t bit = 0; bit < 8 * blob.n; bit++) {
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		OK(kf_is(dkek_unwrap(kek, blob, &k), KF_E_DENIED));
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

TEST(a_blob_of_another_domain_is_refused)
{
	CLEANUP(key_freep) struct key *k = NULL;
	autobuf b;
	set_kek();
	kek[0] ^= 1;
	OK(kf_is(dkek_unwrap(kek, read_hex(&b, rsa_blob), &k), KF_E_DENIED));
}

/* Numbers that another card would have written: SHA-256(DKEK | 1) encrypts, SHA-256(DKEK | 2) signs. */
static void seal(uint8_t kind, struct buf *plain, struct buf *to)
{
	static const uint8_t head[8]; /* no algorithm, no restrictions */
	uint8_t in[DKEK_SIZE + 4] = { 0 }, kcv[DKEK_KCV_SIZE];
	struct key cipher = { .kind = KEY_AES, .n_aes = 32 }, mac = cipher;
	memcpy(in, kek, DKEK_SIZE);
	in[sizeof(in) - 1] = 1;
	SHA256(in, sizeof(in), cipher.aes);
	in[sizeof(in) - 1] = 2;
	SHA256(in, sizeof(in), mac.aes);
	dkek_kcv(kek, kcv);
	buf_add(to, kcv, sizeof(kcv));
	buf_add_u8(to, kind);
	buf_add(to, head, sizeof(head));
	for (buf_add_u8(plain, 0x80); plain->n % 16;)
		buf_add_u8(plain, 0);
	if (!kf_ok(key_cipher(&cipher, ALGO_CBC_ENCRYPT, buf_slice(plain), to)) ||
		!kf_ok(key_cipher(&mac, ALGO_CMAC, buf_slice(to), to)))
		abort();
}

TEST(a_blob_of_crt_numbers_is_the_same_key_and_a_wrong_number_is_none)
{
	static const char *const names[] = { OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E };
	CLEANUP(key_freep) struct key *k = NULL, *copy = NULL, *none = NULL;
	autobuf plain = buf_new(4096), blob = buf_new(DKEK_BLOB_MAX),
		wrong = buf_new(DKEK_BLOB_MAX);
	set_kek();
	OK(kf_ok(key_generate_rsa(1024, SLICE_LIT("\x01\x00\x01"), &k)));
	add_hex(&plain, "00000000000000000400");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		autobuf n = buf_new(256);
		OK(kf_ok(key_number(k, names[i], 0, &n)));
		buf_add_u8(&plain, 0);
		buf_add_u8(&plain, (uint8_t)n.n);
		buf_add_slice(&plain, buf_slice(&n));
	}
	seal(KEY_RSA_CRT, &plain, &blob);
	OK(kf_ok(dkek_unwrap(kek, buf_slice(&blob), &copy)));
	OK(is_same(k, copy));
	plain.p[10 + 3 * 66] ^= 4; /* somewhere in p */
	seal(KEY_RSA_CRT, &plain, &wrong);
	OK(!kf_ok(dkek_unwrap(kek, buf_slice(&wrong), &none)));
}

TEST_MAIN
