/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/mac.h"
#include "crypt/digest.h"
#include "test.h"
#include <string.h>

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static size_t unhex(const char *text, uint8_t *ret)
{
	const size_t n = strlen(text) / 2;
	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return n;
}

static kf_err mac(const struct mac_wish *wish, struct slice key, struct slice data,
	size_t part, uint8_t ret[MAC_MAX])
{
	struct mac_kind kind;
	struct mac m = { 0 };
	KF_TRY(mac_find(wish, &kind));
	kf_err err = mac_begin(&m, &kind, key);
	while (kf_ok(err) && data.n) {
		const size_t n = data.n < part ? data.n : part;
		err = mac_add(&m, (struct slice){ data.p, n });
		data = (struct slice){ data.p + n, data.n - n };
	}
	if (kf_ok(err))
		err = mac_last(&m, ret);
	mac_end(&m);
	return err;
}

static const struct vector {
	struct mac_wish wish;
	const char *key, *data, *mac;
} vectors[] = {
	/* RFC 4231, test case 1 */
	{ { .algorithm = 0x09 }, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		"4869205468657265",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ { .algorithm = 0x03, .hash = 6 }, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		"4869205468657265",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	/* RFC 4493 */
	{ { .algorithm = 0x03, .mode = 7 }, "2b7e151628aed2a6abf7158809cf4f3c", "",
		"bb1d6929e95937287fa37d129b756746" },
	{ { .algorithm = 0x03, .mode = 7 }, "2b7e151628aed2a6abf7158809cf4f3c",
		"6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c" },
	/* FIPS 197, C.1: one block is encrypted.  SP 800-38A, F.2.1, its IV added to the first block. */
	{ { .algorithm = 0x03, .mode = 0xa }, "000102030405060708090a0b0c0d0e0f",
		"00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a" },
	{ { .algorithm = 0x03, .mode = 0xa }, "2b7e151628aed2a6abf7158809cf4f3c",
		"6bc0bce12a459991e134741a7f9e1925ae2d8a571e03ac9c9eb76fac45af8e51",
		"5086cb9b507219ee95db113a917678b2" },
	/* RFC 8439, 2.5.2 */
	{ { .algorithm = 0x1d },
		"85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
		"43727970746f6772617068696320466f72756d2052657365617263682047726f7570",
		"a8061dc1305136c6c22b8baf0c0127a9" },
};

TEST(known_answers_come_out_in_parts_too)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		for (size_t part = 1; part < 40; part += 5) {
			uint8_t key[64], data[64], want[64], got[MAC_MAX];
			struct mac_wish wish = vectors[i].wish;
			wish.key_n = unhex(vectors[i].key, key);
			const size_t n = unhex(vectors[i].data, data),
				     size = unhex(vectors[i].mac, want);
			OK(kf_ok(mac(&wish, (struct slice){ key, wish.key_n },
				(struct slice){ data, n }, part, got)));
			OK(!memcmp(got, want, size));
		}
}

TEST(a_mac_that_does_not_exist_is_refused)
{
	struct mac_kind kind;
	const struct mac_wish none[] = { { .algorithm = 0x03, .key_n = 16 },
		{ .algorithm = 0x09, .key_n = 0 },
		{ .algorithm = 0x03, .mode = 7, .key_n = 15 },
		{ .algorithm = 0x03, .mode = 0xa, .key_n = 15 },
		{ .algorithm = 0x03, .mode = 0xa, .padding = 7, .key_n = 16 },
		{ .algorithm = 0x03, .mode = 9, .key_n = 16 },
		{ .algorithm = 0x1d, .key_n = 16 }, { .algorithm = 0x99, .key_n = 16 },
		{ .algorithm = 0x03, .hash = 0x0b, .key_n = 16 } };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		OK(kf_is(mac_find(&none[i], &kind), KF_E_BAD_PARAMETERS));
}

static const uint8_t block[64] = { 1, 2, 3 };

/* What is padded by hand and what is padded here have the same code; long ones go in by pieces. */
TEST(cbc_mac_pads_as_it_is_told_and_wants_whole_blocks_otherwise)
{
	static uint8_t data[5000], by_hand[5008];
	uint8_t want[MAC_MAX], got[MAC_MAX];
	struct mac_wish none = { .algorithm = 0x03, .mode = 0xa, .key_n = 16 };
	struct mac_wish zeros = none, pkcs5 = none;
	const struct slice key = { block, 16 };
	zeros.padding = 5;
	pkcs5.padding = 3;
	memset(data, 7, sizeof(data));
	memcpy(by_hand, data, sizeof(data));

	OK(kf_ok(mac(&none, key, (struct slice){ by_hand, 5008 }, 5008, want)));
	OK(kf_ok(mac(&zeros, key, (struct slice){ data, 5000 }, 5000, got)));
	OK(!memcmp(want, got, 16));
	OK(kf_ok(mac(&zeros, key, (struct slice){ data, 5000 }, 33, got)));
	OK(!memcmp(want, got, 16));
	memset(by_hand + 5000, 8, 8);
	OK(kf_ok(mac(&none, key, (struct slice){ by_hand, 5008 }, 99, want)));
	OK(kf_ok(mac(&pkcs5, key, (struct slice){ data, 5000 }, 99, got)));
	OK(!memcmp(want, got, 16));
	OK(kf_is(mac(&none, key, (struct slice){ data, 5000 }, 99, got), KF_E_DATA));
	OK(kf_is(mac(&none, key, (struct slice){ data, 0 }, 99, got), KF_E_DATA));
	OK(kf_is(mac(&zeros, key, (struct slice){ data, 0 }, 99, got), KF_E_DATA));
	OK(kf_ok(mac(&pkcs5, key, (struct slice){ data, 0 }, 99, got)));
}

TEST(cbc_mac_of_3des_has_eight_bytes)
{
	uint8_t got[MAC_MAX];
	struct mac_kind kind;
	const struct mac_wish wish = { .algorithm = 0x02, .mode = 0xa, .key_n = 24 };
	uint8_t key[24];
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	OK(kf_ok(mac_find(&wish, &kind)));
	EQ(kind.size, 8);
	OK(kf_ok(mac(
		&wish, (struct slice){ key, 24 }, (struct slice){ block, 24 }, 5, got)));
}

static const struct {
	uint32_t kmip;
	const char *digest;
} of_abc[] = {
	{ 3, "900150983cd24fb0d6963f7d28e17f72" },
	{ 4, "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ 6, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ 9, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc" },
	{ 13, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23" },
	{ 15, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
};

TEST(hashes_of_abc_are_known)
{
	for (size_t i = 0; i < sizeof(of_abc) / sizeof(*of_abc); i++) {
		const struct digest_info *info = NULL;
		struct digest d;
		uint8_t got[DIGEST_MAX], want[DIGEST_MAX];
		OK(kf_ok(digest_find(of_abc[i].kmip, &info)));
		OK(kf_ok(digest_begin(&d, info)));
		OK(kf_ok(digest_add(&d, slice_of("a"))));
		OK(kf_ok(digest_add(&d, slice_of("bc"))));
		OK(kf_ok(digest_last(&d, got)));
		digest_end(&d);
		EQ(unhex(of_abc[i].digest, want), info->size);
		OK(!memcmp(got, want, info->size));
	}
}

TEST(every_hash_of_the_table_is_there_and_of_its_size)
{
	const struct digest_info *info;

	for (size_t i = 0; (info = digest_each(i)); i++) {
		struct digest d;
		uint8_t got[DIGEST_MAX + 1];
		memset(got, 0xa5, sizeof(got));
		OK(kf_ok(digest_begin(&d, info)));
		OK(kf_ok(digest_last(&d, got)));
		digest_end(&d);
		EQ(got[info->size], 0xa5);
	}
	OK(kf_is(digest_find(1, &info), KF_E_BAD_PARAMETERS));
	OK(kf_is(digest_find(0, &info), KF_E_BAD_PARAMETERS));
}

TEST_MAIN
