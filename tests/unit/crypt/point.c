/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/point.h"
#include "crypt/keygen.h"
#include "test.h"
#include <string.h>

static const enum alg_id curves[] = { ALG_P256, ALG_P384, ALG_P521, ALG_BRAINPOOL_P256R1,
	ALG_BRAINPOOL_P384R1, ALG_BRAINPOOL_P512R1, ALG_SECP256K1 };
enum { CURVES = sizeof(curves) / sizeof(*curves) };

/* Point and SubjectPublicKeyInfo of a new key. */
struct sample {
	const struct alg *alg;
	struct keypair pair;
	struct buf point;
};

static kf_err make(enum alg_id id, struct sample *s)
{
	*s = (struct sample){ .alg = alg_get(id), .point = buf_new(SPKI_MAX) };
	KF_TRY(keypair_generate(s->alg, &s->pair));
	return point_of_spki(buf_slice(&s->pair.spki), &s->point);
}

static void sample_free(struct sample *s)
{
	keypair_free(&s->pair);
	buf_free(&s->point);
}

TEST(a_point_is_the_same_in_every_form)
{
	static const enum point_form forms[] = { POINT_COMPRESSED, POINT_UNCOMPRESSED,
		POINT_HYBRID };
	for (size_t i = 0; i < CURVES; i++) {
		CLEANUP(sample_free) struct sample s;
		OK(kf_ok(make(curves[i], &s)));
		OK(point_is(buf_slice(&s.point), POINT_UNCOMPRESSED));
		for (size_t f = 0; f < 3; f++) {
			autobuf other = buf_new(SPKI_MAX), back = buf_new(SPKI_MAX);
			OK(kf_ok(point_convert(
				s.alg, buf_slice(&s.point), forms[f], &other)));
			OK(point_is(buf_slice(&other), forms[f]));
			OK(kf_ok(point_convert(
				s.alg, buf_slice(&other), POINT_UNCOMPRESSED, &back)));
			OK(slice_eq(buf_slice(&back), buf_slice(&s.point)));
		}
	}
}

TEST(a_public_key_with_any_form_of_its_point_is_read_as_the_same_key)
{
	for (size_t i = 0; i < CURVES; i++) {
		CLEANUP(sample_free) struct sample s;
		autobuf small = buf_new(SPKI_MAX), spki = buf_new(SPKI_MAX);
		autobuf out = buf_new(SPKI_MAX), again = buf_new(SPKI_MAX);
		OK(kf_ok(make(curves[i], &s)));
		OK(kf_ok(point_convert(
			s.alg, buf_slice(&s.point), POINT_COMPRESSED, &small)));
		OK(kf_ok(point_to_spki(s.alg, buf_slice(&small), &spki)));
		OK(spki.n < s.pair.spki.n);
		OK(kf_ok(point_of_spki(buf_slice(&spki), &out)));
		OK(slice_eq(buf_slice(&out), buf_slice(&small)));
		OK(kf_ok(public_from_format(KEY_X509, buf_slice(&spki), NULL, &again)));
		OK(slice_eq(buf_slice(&again), buf_slice(&s.pair.spki)));
		buf_clear(&again);
		OK(kf_ok(public_from_format(KEY_RAW, buf_slice(&small), s.alg, &again)));
		OK(slice_eq(buf_slice(&again), buf_slice(&s.pair.spki)));
	}
}

TEST(what_is_cut_or_on_another_curve_is_no_point)
{
	CLEANUP(sample_free) struct sample s;
	autobuf small = buf_new(SPKI_MAX), out = buf_new(SPKI_MAX);
	OK(kf_ok(make(ALG_P256, &s)));
	OK(kf_ok(point_convert(s.alg, buf_slice(&s.point), POINT_COMPRESSED, &small)));

	for (size_t n = 0; n < small.n; n++)
		OK(kf_is(point_convert(s.alg, (struct slice){ small.p, n },
				 POINT_UNCOMPRESSED, &out),
			KF_E_INVALID_FIELD));
	for (size_t n = 0; n < s.point.n; n++)
		OK(kf_is(point_convert(s.alg, (struct slice){ s.point.p, n },
				 POINT_COMPRESSED, &out),
			KF_E_INVALID_FIELD));
	s.point.p[40] ^= 1;
	OK(kf_is(point_convert(s.alg, buf_slice(&s.point), POINT_COMPRESSED, &out),
		KF_E_INVALID_FIELD));
	OK(kf_is(point_convert(s.alg, SLICE_LIT("\0"), POINT_COMPRESSED, &out),
		KF_E_INVALID_FIELD)); /* infinity */
	OK(kf_is(point_convert(
			 alg_get(ALG_P384), buf_slice(&small), POINT_UNCOMPRESSED, &out),
		KF_E_INVALID_FIELD));
	EQ(out.n, 0);
	for (size_t n = 0; n < s.pair.spki.n; n++)
		OK(kf_is(point_of_spki((struct slice){ s.pair.spki.p, n }, &out),
			KF_E_KEY_FORMAT));
}

TEST(other_keys_hold_no_point)
{
	CLEANUP(keypair_free) struct keypair rsa = { 0 }, ed = { 0 };
	autobuf out = buf_new(SPKI_MAX);
	OK(kf_ok(keypair_generate(alg_get(ALG_ED25519), &ed)));
	OK(kf_ok(keypair_generate(alg_get(ALG_RSA_1024), &rsa)));
	OK(kf_is(point_of_spki(buf_slice(&ed.spki), &out), KF_E_KEY_FORMAT));
	OK(kf_is(point_of_spki(buf_slice(&rsa.spki), &out), KF_E_KEY_FORMAT));
}

TEST_MAIN
