/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/dkek.h"
#include "vhsm/cvc.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

enum { MAC_SIZE = 16, BLOCK = 16, RANDOM_SIZE = 8, NUMBERS_MAX = 7 };

#define OID_AES SLICE_LIT("\x60\x86\x48\x01\x65\x03\x04\x01")

void dkek_kcv(const uint8_t kek[static DKEK_SIZE], uint8_t ret[static DKEK_KCV_SIZE])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA256(kek, DKEK_SIZE, hash);
	memcpy(ret, hash, DKEK_KCV_SIZE);
}

/* SHA-256(DKEK | number): 1 encrypts, 2 authenticates. */
static struct key derive(const uint8_t kek[static DKEK_SIZE], uint8_t number)
{
	uint8_t in[DKEK_SIZE + 4] = { 0 };
	struct key k = { .kind = KEY_AES, .n_aes = 32 };
	memcpy(in, kek, DKEK_SIZE);
	in[sizeof(in) - 1] = number;
	SHA256(in, sizeof(in), k.aes);
	OPENSSL_cleanse(in, sizeof(in));
	return k;
}

static void key_wipe(struct key *k) { OPENSSL_cleanse(k, sizeof(*k)); }

static kf_err mac(const uint8_t kek[static DKEK_SIZE], struct slice of, struct buf *to)
{
	CLEANUP(key_wipe) struct key k = derive(kek, 2);
	return key_cipher(&k, ALGO_CMAC, of, to);
}

static void add_u16(struct buf *to, size_t v)
{
	buf_add_u8(to, (uint8_t)(v >> 8));
	buf_add_u8(to, (uint8_t)v);
}

static void add_counted(struct buf *to, struct slice s)
{
	add_u16(to, s.n);
	buf_add_slice(to, s);
}

static kf_err add_number(
	const struct key *k, const char *name, size_t size, struct buf *to)
{
	autobuf number = buf_new(DKEK_BLOB_MAX);
	KF_TRY(key_number(k, name, size, &number));
	add_counted(to, buf_slice(&number));
	return buf_err(to);
}

static kf_err add_rsa(const struct key *k, struct buf *to)
{
	KF_TRY(add_number(k, OSSL_PKEY_PARAM_RSA_D, key_size(k), to));
	KF_TRY(add_number(k, OSSL_PKEY_PARAM_RSA_N, key_size(k), to));
	return add_number(k, OSSL_PKEY_PARAM_RSA_E, 0, to);
}

static kf_err add_ec(const struct key *k, struct buf *to)
{
	CLEANUP(curve_numbers_free) struct curve_numbers c;
	autobuf q = buf_new(DKEK_BLOB_MAX);
	KF_TRY(curve_get_numbers(k->curve, &c));
	KF_TRY(key_point(k, &q));
	add_counted(to, buf_slice(&c.a));
	add_counted(to, buf_slice(&c.b));
	add_counted(to, buf_slice(&c.p));
	add_counted(to, buf_slice(&c.n));
	add_counted(to, buf_slice(&c.g));
	KF_TRY(add_number(k, OSSL_PKEY_PARAM_PRIV_KEY, key_size(k), to));
	add_counted(to, buf_slice(&q));
	return buf_err(to);
}

static kf_err plaintext(const struct key *k, struct buf *to)
{
	uint8_t random[RANDOM_SIZE];
	if (RAND_bytes(random, sizeof(random)) != 1)
		return ossl_fail(CRYPTO, "no random bytes");
	buf_add(to, random, sizeof(random));
	add_u16(to, k->kind == KEY_AES ? k->n_aes : key_bits(k));
	if (k->kind == KEY_RSA)
		KF_TRY(add_rsa(k, to));
	if (k->kind == KEY_EC)
		KF_TRY(add_ec(k, to));
	if (k->kind == KEY_AES)
		buf_add(to, k->aes, k->n_aes);
	buf_add_u8(to, 0x80);
	while (to->n % BLOCK && kf_ok(to->err))
		buf_add_u8(to, 0);
	return buf_err(to);
}

kf_err dkek_wrap(const uint8_t kek[static DKEK_SIZE], const struct key *k, struct buf *to)
{
	uint8_t kcv[DKEK_KCV_SIZE];
	autobuf plain = buf_new(DKEK_BLOB_MAX), blob = buf_new(DKEK_BLOB_MAX);
	CLEANUP(key_wipe) struct key cipher = derive(kek, 1);
	KF_TRY(plaintext(k, &plain));
	dkek_kcv(kek, kcv);
	buf_add(&blob, kcv, sizeof(kcv));
	buf_add_u8(&blob, (uint8_t)k->kind);
	add_counted(&blob, k->kind == KEY_RSA  ? CVC_OID_RSA
			   : k->kind == KEY_EC ? CVC_OID_EC
					       : OID_AES);
	add_counted(&blob, (struct slice){ k->algos, k->n_algos });
	add_u16(&blob, 0); /* access conditions */
	add_u16(&blob, 0); /* key OID */
	KF_TRY(key_cipher(&cipher, ALGO_CBC_ENCRYPT, buf_slice(&plain), &blob));
	KF_TRY(mac(kek, buf_slice(&blob), &blob));
	buf_add_slice(to, buf_slice(&blob));
	return buf_err(to);
}

/* Reads what add_counted() wrote; sticky. */
struct reader {
	struct slice rest;
	bool failed;
};

static struct slice get(struct reader *r, size_t n)
{
	if (r->failed || n > r->rest.n) {
		r->failed = true;
		return (struct slice){ NULL, 0 };
	}
	struct slice s = { r->rest.p, n };
	r->rest = (struct slice){ r->rest.p + n, r->rest.n - n };
	return s;
}

static size_t get_u16(struct reader *r)
{
	struct slice s = get(r, 2);
	return r->failed ? 0 : (size_t)s.p[0] << 8 | s.p[1];
}

static struct slice get_counted(struct reader *r) { return get(r, get_u16(r)); }

/* p, q and e are enough; the modulus tells whether they are right. */
static kf_err from_crt(
	struct slice p, struct slice q, struct slice e, struct slice n, struct key **ret)
{
	autobuf made = buf_new(DKEK_BLOB_MAX);
	CLEANUP(key_freep) struct key *k = NULL;
	KF_TRY(key_from_primes(p, q, e, &k));
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_RSA_N, n.n, &made));
	if (!slice_eq(buf_slice(&made), n))
		return kf_fail(INVALID_FIELD, "these numbers are no RSA key");
	*ret = k;
	k = NULL;
	return KF_OK;
}

static kf_err from_numbers(uint8_t kind, struct reader *r, struct key **ret)
{
	struct slice v[NUMBERS_MAX];
	for (size_t i = 0, n = kind == KEY_RSA ? 3 : NUMBERS_MAX; i < n; i++) {
		v[i] = get_counted(r);
		if (r->failed || v[i].n > 512)
			return kf_fail(
				MALFORMED, "a number of a key blob is cut or too long");
	}
	if (kind == KEY_RSA)
		return key_from_rsa(v[1], v[2], v[0], ret);
	if (kind == KEY_RSA_CRT)
		return from_crt(v[2], v[4], v[6], v[5], ret);
	const struct curve *curve = curve_by_numbers(v[2], v[3]);
	if (!curve)
		return kf_fail(
			INVALID_FIELD, "a key blob names a curve that is not known");
	return key_from_ec(curve, v[5], ret);
}

static kf_err from_aes(size_t n, struct reader *r, struct key **ret)
{
	struct slice bytes = get(r, n);
	if (r->failed || (n != 16 && n != 24 && n != 32))
		return kf_fail(MALFORMED, "an AES key of a key blob has a wrong length");
	if (!(*ret = key_new(KEY_AES)))
		return kf_fail(NOMEM, "no memory for a key");
	memcpy((*ret)->aes, bytes.p, n);
	(*ret)->n_aes = n;
	return KF_OK;
}

static kf_err from_plain(uint8_t kind, struct slice plain, struct key **ret)
{
	struct reader r = { .rest = plain };
	get(&r, RANDOM_SIZE);
	size_t bits = get_u16(&r);
	switch (kind) {
	case KEY_RSA:
	case KEY_RSA_CRT:
	case KEY_EC: return from_numbers(kind, &r, ret);
	case KEY_AES: return from_aes(bits, &r, ret);
	default: return kf_fail(INVALID_FIELD, "no such kind of key blob");
	}
}

static kf_err check(const uint8_t kek[static DKEK_SIZE], struct slice blob)
{
	uint8_t kcv[DKEK_KCV_SIZE];
	autobuf want = buf_new(MAC_SIZE + 1);
	if (blob.n < DKEK_KCV_SIZE + 9 + BLOCK + MAC_SIZE)
		return kf_fail(SHORT, "a key blob is too short");
	dkek_kcv(kek, kcv);
	KF_TRY(mac(kek, (struct slice){ blob.p, blob.n - MAC_SIZE }, &want));
	if (memcmp(kcv, blob.p, sizeof(kcv)) ||
		CRYPTO_memcmp(want.p, blob.p + blob.n - MAC_SIZE, MAC_SIZE))
		return kf_fail(
			DENIED, "a key blob of another key domain, or a changed one");
	return KF_OK;
}

kf_err dkek_unwrap(
	const uint8_t kek[static DKEK_SIZE], struct slice blob, struct key **ret)
{
	autobuf plain = buf_new(DKEK_BLOB_MAX);
	CLEANUP(key_wipe) struct key cipher = derive(kek, 1);
	KF_TRY(check(kek, blob));
	struct reader r = { .rest = { blob.p + DKEK_KCV_SIZE,
				    blob.n - DKEK_KCV_SIZE - MAC_SIZE } };
	uint8_t kind = get(&r, 1).p[0];
	get_counted(&r); /* algorithm */
	struct slice algos = get_counted(&r);
	get_counted(&r); /* access conditions */
	get_counted(&r); /* key OID */
	if (r.failed || algos.n > KEY_ALGOS_MAX)
		return kf_fail(MALFORMED, "the head of a key blob does not add up");
	KF_TRY(key_cipher(&cipher, ALGO_CBC_DECRYPT, r.rest, &plain));
	CLEANUP(key_freep) struct key *k = NULL;
	KF_TRY(from_plain(kind, buf_slice(&plain), &k));
	if (algos.n)
		memcpy(k->algos, algos.p, algos.n);
	k->n_algos = (uint8_t)algos.n;
	*ret = k;
	k = NULL;
	return KF_OK;
}
