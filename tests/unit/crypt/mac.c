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
		{ .algorithm = 0x03, .mode = 0xa, .key_n = 16 },
		{ .algorithm = 0x1d, .key_n = 16 }, { .algorithm = 0x99, .key_n = 16 },
		{ .algorithm = 0x03, .hash = 0x0b, .key_n = 16 } };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		OK(kf_is(mac_find(&none[i], &kind), KF_E_BAD_PARAMETERS));
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
