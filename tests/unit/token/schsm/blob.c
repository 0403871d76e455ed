/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/blob.h"
#include "base/mem.h"
#include "crypt/ossl.h"
#include "vhsm/recorded.h"
#include "vhsm/talk.h"
#include <openssl/ec.h>
#include <openssl/rsa.h>

static struct slice hex(struct buf *b, const char *text)
{
	*b = buf_new(16384);
	add_hex(b, text);
	return buf_slice(b);
}

/* The DKEK of one share. */
static struct dkek *kek_of(const char *share)
{
	struct dkek *d = NULL;
	autobuf b;
	if (!kf_ok(secret_init(1 << 16)) || !kf_ok(dkek_new(&d)) ||
		!kf_ok(dkek_add(d, hex(&b, share).p)))
		abort();
	return d;
}

TEST(the_check_value_is_that_of_the_tools)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	uint8_t v[DKEK_CHECK_SIZE];
	dkek_check_value(d, v);
	MEMEQ(v, sizeof(v), "\x29\xe5\x86\xbe\x25\xf0\xec\x54");
}

TEST(shares_count_in_any_order_and_none_twice)
{
	static const uint8_t one[SHARE_SIZE] = { 1 }, two[SHARE_SIZE] = { 2 };
	CLEANUP(dkek_freep) struct dkek *a = kek_of(SHARE), *b = NULL;
	uint8_t of_a[DKEK_CHECK_SIZE], of_b[DKEK_CHECK_SIZE];
	autobuf share;
	OK(kf_ok(dkek_new(&b)));
	OK(kf_ok(dkek_add(a, one)) && kf_ok(dkek_add(a, two)));
	OK(kf_ok(dkek_add(b, two)) && kf_ok(dkek_add(b, one)));
	OK(kf_ok(dkek_add(b, hex(&share, SHARE).p)));
	dkek_check_value(a, of_a);
	dkek_check_value(b, of_b);
	OK(!memcmp(of_a, of_b, sizeof(of_a)));
	EQ(dkek_shares(a), 3);
	OK(kf_is(dkek_add(a, two), KF_E_EXISTS));
	EQ(dkek_shares(a), 3);
}

TEST(blobs_of_cards_are_opened)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	CLEANUP(blob_key_free) struct blob_key rsa = { 0 }, ec = { 0 };
	autobuf a, b, m;
	OK(kf_ok(blob_open(d, hex(&a, rsa_blob), &rsa)));
	EQ(rsa.kind, BLOB_RSA);
	struct slice modulus = hex(&m, rsa_modulus);
	OK(memmem(rsa.spki.p, rsa.spki.n, modulus.p, modulus.n) != NULL);
	OK(kf_ok(blob_open(d, hex(&b, ec_blob), &ec)));
	EQ(ec.kind, BLOB_EC);
	OK(ec.pkcs8.n > 0 && ec.spki.n == 91);
}

static struct slice pkcs8_of(EVP_PKEY *k, struct buf *to)
{
	*to = buf_new(8192);
	if (!k || !kf_ok(ossl_encode(k, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", to)))
		abort();
	return buf_slice(to);
}

static bool comes_back(const struct dkek *d, EVP_PKEY *k)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = k, *copy = NULL;
	CLEANUP(blob_key_free) struct blob_key back = { 0 };
	autobuf pkcs8, blob = buf_new(BLOB_MAX);
	return kf_ok(blob_close(d, pkcs8_of(key, &pkcs8), SLICE_LIT("\x20"), &blob)) &&
	       kf_ok(blob_open(d, buf_slice(&blob), &back)) &&
	       kf_ok(ossl_parse_private(buf_slice(&back.pkcs8), &copy)) &&
	       EVP_PKEY_eq(key, copy) == 1;
}

TEST(software_keys_come_back_from_their_blobs)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	static const char *const curves[] = {
#define X(name, bits) name,
#include "crypt/curve.def"
#undef X
	};
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		OK(comes_back(d, EVP_EC_gen(curves[i])));
	OK(comes_back(d, EVP_RSA_gen(1024)));
	OK(comes_back(d, EVP_RSA_gen(2048)));
}

TEST(aes_keys_come_back_from_their_blobs)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	static const uint8_t key[33] = "0123456789abcdef0123456789ABCDEF";
	for (size_t n = 16; n <= 32; n += 8) {
		CLEANUP(blob_key_free) struct blob_key back = { 0 };
		struct blob_facts f;
		autobuf blob = buf_new(BLOB_MAX);
		OK(kf_ok(blob_close_aes(
			d, (struct slice){ key, n }, SLICE_LIT("\x10\x11\x18"), &blob)));
		OK(kf_ok(blob_look(buf_slice(&blob), &f)));
		OK(f.kind == BLOB_AES && f.algorithms_n == 3 && f.algorithms[2] == 0x18);
		OK(kf_ok(blob_open(d, buf_slice(&blob), &back)));
		OK(slice_eq(buf_slice(&back.aes), (struct slice){ key, n }));
	}
}

TEST(keys_that_cards_do_not_know_are_refused)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
		 *odd = EVP_EC_gen("secp256k1"), *small = EVP_RSA_gen(512);
	autobuf a, b, c, blob = buf_new(BLOB_MAX);
	OK(kf_is(blob_close(d, pkcs8_of(ed, &a), SLICE_LIT(""), &blob), KF_E_KEY_FORMAT));
	OK(kf_ok(blob_close(d, pkcs8_of(odd, &b), SLICE_LIT(""), &blob)));
	OK(kf_is(blob_close(d, pkcs8_of(small, &c), SLICE_LIT(""), &blob),
		KF_E_KEY_FORMAT));
	OK(kf_is(blob_close_aes(d, SLICE_LIT("short"), SLICE_LIT(""), &blob),
		KF_E_KEY_FORMAT));
}

TEST(a_blob_of_another_dkek_is_told_by_its_check_value)
{
	CLEANUP(dkek_freep)
	struct dkek *other = kek_of("0000000000000000000000000000000000000000000000000000"
				    "000000000001");
	CLEANUP(blob_key_free) struct blob_key k = { 0 };
	autobuf b;
	OK(kf_is(blob_open(other, hex(&b, ec_blob), &k), KF_E_CONFLICT));
}

TEST(a_blob_cut_at_any_byte_or_with_any_bit_changed_is_refused)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	CLEANUP(blob_key_free) struct blob_key k = { 0 };
	autobuf b;
	struct slice blob = hex(&b, ec_blob);
	for (size_t n = 0; n < blob.n; n++)
		OK(!kf_ok(blob_open(d, (struct slice){ blob.p, n }, &k)));
	for (size_t bit = 0; bit < 8 * blob.n; bit++) {
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		OK(!kf_ok(blob_open(d, blob, &k)) && !kf_ok(blob_check(d, blob)));
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	OK(kf_ok(blob_check(d, blob)));
}

/* ---- cards ---- */

static bool verifies(EVP_PKEY *key, struct slice digest, const struct buf *signature)
{
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	return EVP_PKEY_verify_init(ctx) == 1 &&
	       (!EVP_PKEY_is_a(key, "RSA") ||
		       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1) &&
	       EVP_PKEY_verify(ctx, signature->p, signature->n, digest.p, digest.n) == 1;
}

/* UNWRAP KEY with all in one command. */
static int unwrap(struct vhsm *v, unsigned id, const struct buf *blob, struct buf *answer)
{
	autobuf apdu = buf_new(VHSM_APDU_MAX);
	const uint8_t head[] = { 0x80, 0x74, (uint8_t)id, 0x93, 0,
		(uint8_t)(blob->n >> 8), (uint8_t)blob->n };
	buf_add(&apdu, head, sizeof(head));
	buf_add_slice(&apdu, buf_slice(blob));
	return say_bytes(v, buf_slice(&apdu), answer);
}

static bool signs_on_a_card(const struct dkek *d, EVP_PKEY *k)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = k;
	autobuf a = buf_new(VHSM_ANSWER_MAX), pkcs8, blob = buf_new(BLOB_MAX),
		apdu = buf_new(1000);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	bool is_rsa = EVP_PKEY_is_a(key, "RSA");
	size_t n = is_rsa ? (size_t)EVP_PKEY_get_size(key) : 32;
	uint8_t data[512] = { 0, 1, 2 };
	const uint8_t head[] = { 0x80, 0x68, 7, is_rsa ? 0x20 : 0x70, 0,
		(uint8_t)(n >> 8), (uint8_t)n };
	if (!kf_ok(blob_close(d, pkcs8_of(key, &pkcs8), SLICE_LIT(""), &blob)) ||
		unwrap(v, 7, &blob, &a) != 0x9000)
		return false;
	buf_add(&apdu, head, sizeof(head));
	buf_add(&apdu, data, n);
	buf_add(&apdu, "\0\0", 2);
	return say_bytes(v, buf_slice(&apdu), &a) == 0x9000 &&
	       verifies(key, (struct slice){ data, n }, &a);
}

TEST(a_card_signs_with_a_software_key)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	OK(signs_on_a_card(d, EVP_RSA_gen(2048)));
	OK(signs_on_a_card(d, EVP_EC_gen("prime256v1")));
	OK(signs_on_a_card(d, EVP_EC_gen("secp384r1")));
	OK(signs_on_a_card(d, EVP_EC_gen("brainpoolP256r1")));
	OK(signs_on_a_card(d, EVP_EC_gen("brainpoolP512r1")));
}

TEST(a_card_refuses_a_changed_blob_and_one_of_another_dkek)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = EVP_EC_gen("prime256v1");
	autobuf a = buf_new(VHSM_ANSWER_MAX), pkcs8, blob = buf_new(BLOB_MAX),
		other = buf_new(BLOB_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	OK(kf_ok(blob_close(d, pkcs8_of(key, &pkcs8), SLICE_LIT(""), &blob)));
	OK(kf_ok(dkek_add(d, (const uint8_t[SHARE_SIZE]){ 9 })));
	OK(kf_ok(blob_close(d, buf_slice(&pkcs8), SLICE_LIT(""), &other)));
	blob.p[100] ^= 1;
	EQ(unwrap(v, 7, &blob, &a), 0x6a80);
	EQ(unwrap(v, 7, &other, &a), 0x6a80);
}

TEST(what_a_card_wraps_is_the_key_that_it_made)
{
	CLEANUP(dkek_freep) struct dkek *d = kek_of(SHARE);
	CLEANUP(blob_key_free) struct blob_key k = { 0 };
	autobuf a = buf_new(VHSM_ANSWER_MAX), request = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &request, GENERATE_P256, 5), 0x9000);
	EQ(say(v, &a, "80720592000000"), 0x9000);
	OK(kf_ok(blob_open(d, buf_slice(&a), &k)));
	struct slice point = { k.spki.p + k.spki.n - 64, 64 };
	OK(memmem(request.p, request.n, point.p, point.n) != NULL);
}

/* ---- files ---- */

#define DESCRIPTION SLICE_LIT("\x30\x04\x30\x00\x30\x00")
#define REQUEST     SLICE_LIT("\x67\x02\x00\x00")
#define X509        SLICE_LIT("\x30\x02\x05\x00")

static bool file_comes_back(struct key_file f)
{
	autobuf b = buf_new(KEY_FILE_MAX);
	struct key_file got;
	return kf_ok(key_file_put(&f, &b)) &&
	       kf_ok(key_file_parse(buf_slice(&b), &got)) && slice_eq(f.blob, got.blob) &&
	       slice_eq(f.description, got.description) &&
	       slice_eq(f.certificate, got.certificate);
}

TEST(key_files_come_back_with_and_without_their_parts)
{
	autobuf b;
	struct slice blob = hex(&b, rsa_blob), none = { NULL, 0 };
	OK(file_comes_back((struct key_file){ blob, DESCRIPTION, REQUEST }));
	OK(file_comes_back((struct key_file){ blob, DESCRIPTION, X509 }));
	OK(file_comes_back((struct key_file){ blob, DESCRIPTION, none }));
	OK(file_comes_back((struct key_file){ blob, none, REQUEST }));
	OK(file_comes_back((struct key_file){ blob, none, none }));
}

TEST(a_key_file_cut_at_any_byte_or_with_one_more_is_refused)
{
	autobuf b = buf_new(KEY_FILE_MAX);
	struct key_file f = { SLICE_LIT("blob"), DESCRIPTION, REQUEST }, got;
	OK(kf_ok(key_file_put(&f, &b)));
	for (size_t n = 0; n < b.n; n++)
		OK(!kf_ok(key_file_parse((struct slice){ b.p, n }, &got)));
	buf_add_u8(&b, 0);
	OK(!kf_ok(key_file_parse(buf_slice(&b), &got)));
}

TEST_MAIN
