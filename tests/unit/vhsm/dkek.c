/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/dkek.h"
#include "recorded.h"
#include "talk.h"
#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <stdlib.h>

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
