/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/prkd.h"
#include "test.h"

/* What other tools write. */
#define RSA                                                                              \
	"\x30\x2e\x30\x14\x0c\x0b"                                                       \
	"HSM RSA Key\x03\x02\x06\xc0\x04\x01\x01\x30\x0a\x04\x01\x10\x03\x02\x04\x70"    \
	"\x02\x01\x01\xa1\x0a\x30\x08\x30\x02\x04\x00\x02\x02\x08\x00"
#define EC                                                                               \
	"\xa0\x2e\x30\x13\x0c\x0a"                                                       \
	"HSM EC Key\x03\x02\x06\xc0\x04\x01\x01\x30\x0b\x04\x01\x11\x03\x03\x07\x20\x80" \
	"\x02\x01\x02\xa1\x0a\x30\x08\x30\x02\x04\x00\x02\x02\x01\x00"
#define AES                                                                              \
	"\xa8\x1d\x30\x09\x0c\x07"                                                       \
	"AES "                                                                           \
	"Key\x30\x08\x04\x01\x12\x03\x03\x06\xc0\x00\xa0\x06\x30\x04\x02\x02\x01\x00"
#define WITH_CERTIFICATE                                                                 \
	"\x30\x48\x30\x15\x0c\x0c"                                                       \
	"cert for rsa\x03\x02\x06\xc0\x04\x01\x01\x30\x0e\x04\x01\x10\x03\x02\x04\x70"   \
	"\x03\x02\x03\xb8\x02\x01\x01\xa0\x13\x30\x11\x30\x0f\x31\x0d\x30\x0b\x06\x03"   \
	"\x55\x04\x03\x0c\x04test\xa1\x0a\x30\x08\x30\x02\x04\x00\x02\x02\x08\x00"

static const struct slice samples[] = {
	{ (const uint8_t *)RSA, sizeof(RSA) - 1 },
	{ (const uint8_t *)EC, sizeof(EC) - 1 },
	{ (const uint8_t *)AES, sizeof(AES) - 1 },
	{ (const uint8_t *)WITH_CERTIFICATE, sizeof(WITH_CERTIFICATE) - 1 },
};

TEST(an_rsa_key_of_other_tools_is_read)
{
	struct prkd d;
	OK(kf_ok(prkd_parse(samples[0], &d)));
	EQ(d.kind, PRKD_RSA);
	OK(!strcmp(d.label, "HSM RSA Key"));
	MEMEQ(d.id, d.id_n, "\x10");
	EQ(d.usage, PRKD_DECRYPT | PRKD_SIGN | PRKD_SIGN_RECOVER);
	EQ(d.key_reference, 1);
	EQ(d.bits, 2048);
}

TEST(an_ec_key_and_an_aes_key_of_other_tools_are_read)
{
	struct prkd d;
	OK(kf_ok(prkd_parse(samples[1], &d)));
	EQ(d.kind, PRKD_EC);
	EQ(d.usage, PRKD_SIGN | PRKD_DERIVE);
	EQ(d.bits, 256);
	OK(kf_ok(prkd_parse(samples[2], &d)));
	EQ(d.kind, PRKD_AES);
	EQ(d.bits, 256);
}

TEST(a_certificates_subject_and_access_flags_are_found)
{
	struct prkd d;
	OK(kf_ok(prkd_parse(samples[3], &d)));
	EQ(d.access, PRKD_SENSITIVE | PRKD_ALWAYS_SENSITIVE | PRKD_NEVER_EXTRACTABLE |
			     PRKD_LOCAL);
	EQ(d.subject.n, 0x13);
	EQ(d.bits, 2048);
}

TEST(what_is_written_is_what_other_tools_write)
{
	for (size_t i = 0; i < 4; i += i == 1 ? 2 : 1) {
		struct prkd d;
		autobuf b = buf_new(1024);
		OK(kf_ok(prkd_parse(samples[i], &d)));
		OK(kf_ok(prkd_put(&d, &b)));
		OK(slice_eq(buf_slice(&b), samples[i]));
	}
}

TEST(descriptions_of_our_keys_come_back)
{
	static const char *const algs[] = { "rsa:2048", "rsa:4096", "ec:P-256",
		"ec:P-521" };
	uint8_t id[TOKEN_ID_MAX] = { 1, 2, 3 };
	char label[TOKEN_LABEL_SIZE];
	memset(label, 'x', sizeof(label));
	label[sizeof(label) - 1] = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct alg *alg = alg_by_name(slice_of(algs[i]));
		struct prkd d = prkd_of_key(alg, label, (struct slice){ id, sizeof(id) }),
			    back;
		autobuf b = buf_new(1024);
		d.key_reference = 200;
		OK(kf_ok(prkd_put(&d, &b)));
		OK(kf_ok(prkd_parse(buf_slice(&b), &back)));
		OK(!strcmp(back.label, label) && back.id_n == sizeof(id));
		OK(back.bits == alg->bits && back.usage == d.usage &&
			back.key_reference == 200);
	}
}

TEST(a_description_cut_at_any_byte_or_with_one_more_is_refused)
{
	struct prkd d;
	uint8_t more[128] = { 0 };
	for (size_t i = 0; i < 4; i++) {
		for (size_t n = 0; n < samples[i].n; n++)
			OK(!kf_ok(prkd_parse((struct slice){ samples[i].p, n }, &d)));
		memcpy(more, samples[i].p, samples[i].n);
		OK(!kf_ok(prkd_parse((struct slice){ more, samples[i].n + 1 }, &d)));
	}
}

TEST(lengths_that_lie_never_read_beyond_the_end)
{
	for (size_t i = 0; i < 4; i++)
		for (size_t at = 0; at < samples[i].n; at++)
			for (int v = 0; v < 256; v++) {
				struct prkd d = { .bits = 7 };
				uint8_t copy[128];
				memcpy(copy, samples[i].p, samples[i].n);
				copy[at] = (uint8_t)v;
				if (kf_ok(prkd_parse(
					    (struct slice){ copy, samples[i].n }, &d)))
					OK(d.id_n <= TOKEN_ID_MAX);
				else
					EQ(d.bits, 7);
			}
}

TEST_MAIN
