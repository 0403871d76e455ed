/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keyring.h"
#include "crypt/derive.h"
#include "test.h"
#include <fcntl.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B64  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEX2 "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static kf_err parse(const char *text, unsigned *line, struct keyring **ret)
{
	return keyring_parse(slice_of(text), line, ret);
}

TEST(authentication_codes_are_those_of_openssl)
{
	uint8_t key[MASTER_KEY_SIZE], data[300], want[MAC_SIZE], have[MAC_SIZE];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(7 * i + 200);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i);

	for (size_t n = 0; n <= sizeof(data); n++) {
		OK(HMAC(EVP_sha256(), key, sizeof(key), data, n, want, NULL) != NULL);
		OK(kf_ok(derive_mac(key, (struct slice){ data, n }, have)));
		OK(!memcmp(have, want, sizeof(want)));
		key[n % sizeof(key)]++;
	}
}

TEST(the_first_line_is_the_newest_key)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	unsigned line;

	OK(kf_ok(parse("# newest first\n\n 2026-11 = " HEX2 "\r\n2026.10=" HEX "\n",
		&line, &k)));

	EQ(keyring_count(k), 2);
	OK(!strcmp(keyring_id(k, 0), "2026-11"));
	OK(!strcmp(keyring_id(k, 1), "2026.10"));
	OK(!keyring_id(k, 2));
	OK(keyring_has(k, slice_of("2026.10")) && !keyring_has(k, slice_of("2026")));
}

TEST(a_changed_file_adds_keys_and_says_which_one_seals)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL, *from = NULL, *back = NULL;
	unsigned line;

	OK(kf_ok(parse("old = " HEX "\n", &line, &k)));
	OK(kf_ok(parse("new = " HEX2 "\nold = " HEX "\n", &line, &from)));
	OK(kf_ok(parse("old = " HEX "\n", &line, &back)));

	OK(kf_ok(keyring_adopt(k, from)));
	EQ(keyring_count(k), 2);
	OK(!strcmp(keyring_id(k, 0), "new") && !strcmp(keyring_id(k, 1), "old"));
	OK(!keyring_id(k, 2));
	OK(kf_ok(keyring_adopt(k, back)));
	EQ(keyring_count(k), 2);
	OK(!strcmp(keyring_id(k, 0), "old") && !strcmp(keyring_id(k, 1), "new"));
}

TEST(an_id_never_gets_another_key)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL, *from = NULL;
	unsigned line;

	OK(kf_ok(parse("k = " HEX "\n", &line, &k)));
	OK(kf_ok(parse("new = " HEX "\nk = " HEX2 "\n", &line, &from)));

	OK(kf_is(keyring_adopt(k, from), KF_E_CONFIG));
	EQ(keyring_count(k), 1);
}

TEST(hex_and_base64_name_the_same_key)
{
	CLEANUP(keyring_freep) struct keyring *a = NULL, *b = NULL;
	unsigned line;
	uint8_t x[MAC_SIZE], y[MAC_SIZE];

	OK(kf_ok(parse("k = " HEX, &line, &a)));
	OK(kf_ok(parse("k = " B64, &line, &b)));
	OK(kf_ok(keyring_check_value(a, slice_of("k"), x)));
	OK(kf_ok(keyring_check_value(b, slice_of("k"), y)));

	OK(!memcmp(x, y, sizeof(x)));
}

TEST(a_bad_line_is_named)
{
	const struct {
		const char *text;
		unsigned line;
	} bad[] = {
		{ "", 0 },
		{ "# nothing\n", 0 },
		{ "k " HEX "\n", 1 },
		{ "k = " HEX "\nl = 12\n", 2 },
		{ "k = " HEX "00\n", 1 },
		{ "k = " HEX "\n\nk = " HEX2 "\n", 3 },
		{ " = " HEX "\n", 1 },
		{ "a b = " HEX "\n", 1 },
		{ "a/b = " HEX "\n", 1 },
		{ "123456789012345678901234567890123 = " HEX "\n", 1 },
		{ "k = 0000000000000000000000000000000000000000000000000000000000000000",
			1 },
		{ "k = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
			1 }, /* stray bits */
		{ "k = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A", 1 }, /* 33 bytes */
		{ "k = g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct keyring *k = NULL;
		unsigned line = 99;
		OK(kf_is(parse(bad[i].text, &line, &k), KF_E_CONFIG));
		EQ(line, bad[i].line);
		OK(!k);
	}
}

TEST(every_cut_of_a_file_is_refused_or_a_keyring)
{
	const char text[] = "new = " HEX2 "\nold = " B64 "\n";

	for (size_t n = 0; n < sizeof(text); n++) {
		CLEANUP(keyring_freep) struct keyring *k = NULL;
		unsigned line;
		kf_err err = keyring_parse(
			(struct slice){ (const uint8_t *)text, n }, &line, &k);
		OK(kf_ok(err) == (n >= 70 && (n <= 71 || n >= sizeof(text) - 2)) ||
			n == sizeof(text));
	}
}

TEST(a_wrong_master_key_is_told_from_tampering)
{
	CLEANUP(keyring_freep) struct keyring *a = NULL, *b = NULL;
	unsigned line;
	uint8_t value[MAC_SIZE];
	OK(kf_ok(parse("k = " HEX, &line, &a)));
	OK(kf_ok(parse("k = " HEX2, &line, &b)));

	OK(kf_ok(keyring_check_value(a, slice_of("k"), value)));

	OK(kf_ok(keyring_check(a, slice_of("k"), (struct slice){ value, MAC_SIZE })));
	OK(kf_is(keyring_check(b, slice_of("k"), (struct slice){ value, MAC_SIZE }),
		KF_E_CONFIG));
	OK(kf_is(keyring_check(a, slice_of("l"), (struct slice){ value, MAC_SIZE }),
		KF_E_CONFIG));
}

TEST(codes_differ_by_key_label_and_data)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	unsigned line;
	uint8_t mac[4][MAC_SIZE];
	OK(kf_ok(parse("a = " HEX "\nb = " HEX2, &line, &k)));

	OK(kf_ok(keyring_mac(k, slice_of("a"), "grant", SLICE_LIT("row"), mac[0])));
	OK(kf_ok(keyring_mac(k, slice_of("b"), "grant", SLICE_LIT("row"), mac[1])));
	OK(kf_ok(keyring_mac(k, slice_of("a"), "client", SLICE_LIT("row"), mac[2])));
	OK(kf_ok(keyring_mac(k, slice_of("a"), "grant", SLICE_LIT(""), mac[3])));

	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			OK(kf_is(mac_check(mac[i], (struct slice){ mac[j], MAC_SIZE }),
				KF_E_TAMPERED));
	OK(kf_ok(mac_check(mac[0], (struct slice){ mac[0], MAC_SIZE })));
	OK(kf_is(mac_check(mac[0], (struct slice){ mac[0], 31 }), KF_E_TAMPERED));
	OK(kf_is(keyring_mac(k, slice_of("c"), "x", SLICE_LIT(""), mac[0]), KF_E_CONFIG));
}

static kf_err write_and_load(const char *text, mode_t mode, struct keyring **ret)
{
	char path[] = "/tmp/keyringXXXXXX";
	unsigned line;
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode))
		return kf_fail(IO, "test file");
	close(fd);
	kf_err err = keyring_load(path, &line, ret);
	unlink(path);
	return err;
}

TEST(a_file_that_others_may_read_is_refused)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	unsigned line;

	OK(kf_ok(write_and_load("k = " HEX "\n", 0400, &k)));
	keyring_freep(&k);
	OK(kf_ok(write_and_load("k = " HEX "\n", 0640, &k)));
	keyring_freep(&k);
	OK(kf_is(write_and_load("k = " HEX "\n", 0644, &k), KF_E_CONFIG));
	OK(kf_is(write_and_load("k = " HEX "\n", 0660, &k), KF_E_CONFIG));
	OK(kf_is(keyring_load("/nowhere/keyring", &line, &k), KF_E_CONFIG));
	OK(kf_is(keyring_load("/dev/null", &line, &k), KF_E_CONFIG));
}

TEST(a_new_line_is_a_keyring)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	autobuf text = buf_new(1024);
	unsigned line;

	OK(kf_ok(keyring_new_line("2026-11", &text)));
	OK(kf_ok(keyring_new_line("2026-10", &text)));
	OK(kf_ok(keyring_parse(buf_slice(&text), &line, &k)));

	EQ(keyring_count(k), 2);
	OK(kf_is(keyring_new_line("no blanks", &text), KF_E_CONFIG));
}

TEST_MAIN
