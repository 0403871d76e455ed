/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keyring.h"
#include "base/mem.h"
#include "crypt/derive.h"
#include "crypt/ossl.h"
#include "crypt/signer.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is made of a master key; the key itself is forgotten. */
/* What every row of the store is authenticated with: a million at the start. */
static const char *const labels[] = { KEYRING_LABEL_ROW, KEYRING_LABEL_SUM };
enum { LABELS = sizeof(labels) / sizeof(labels[0]) };

struct master {
	uint8_t wrap[MASTER_KEY_SIZE], mac[MASTER_KEY_SIZE], check[MASTER_KEY_SIZE];
	uint8_t label[LABELS][MAC_SIZE]; /* of keyring_mac(), ready made */
};

/* Entries are added and never changed, so that readers need no lock. */
struct keyring {
	_Atomic size_t n, newest;
	char id[KEYRING_MAX][MASTER_ID_MAX + 1];
	struct master *master; /* KEYRING_MAX of them */
	bool is_secret;        /* master is from the arena */
};

static kf_err keyring_new(struct keyring **ret)
{
	CLEANUP(keyring_freep) struct keyring *k = calloc(1, sizeof(*k));
	if (!k)
		return kf_fail(NOMEM, "keyring");
	k->master = secret_alloc(KEYRING_MAX * sizeof(*k->master));
	k->is_secret = k->master != NULL;
	if (!k->master)
		k->master = calloc(KEYRING_MAX, sizeof(*k->master));
	if (!k->master)
		return kf_fail(NOMEM, "keyring");
	*ret = k;
	k = NULL;
	return KF_OK;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	if (k->is_secret)
		secret_free(k->master);
	else if (k->master)
		explicit_bzero(k->master, KEYRING_MAX * sizeof(*k->master));
	if (!k->is_secret)
		free(k->master);
	free(k);
}

void keyring_freep(struct keyring **k)
{
	keyring_free(*k);
	*k = NULL;
}

/* ---- the file ---- */

static bool is_id(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum(s.p[i]) && (!s.p[i] || !strchr("._-", s.p[i])))
			return false;
	return s.n > 0 && s.n <= MASTER_ID_MAX;
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(struct slice s, uint8_t ret[MASTER_KEY_SIZE])
{
	for (size_t i = 0; i < MASTER_KEY_SIZE; i++) {
		int hi = nibble(s.p[2 * i]), lo = nibble(s.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		ret[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

enum { HEX_SIZE = 2 * MASTER_KEY_SIZE, BASE64_SIZE = 44 };

/* OpenSSL's decoder forgives too much; encoding again shows what it forgave. */
static bool from_base64(struct slice s, uint8_t ret[MASTER_KEY_SIZE])
{
	uint8_t raw[MASTER_KEY_SIZE + 1], again[BASE64_SIZE + 1];
	bool is_good = EVP_DecodeBlock(raw, s.p, BASE64_SIZE) == MASTER_KEY_SIZE + 1 &&
		       EVP_EncodeBlock(again, raw, MASTER_KEY_SIZE) == BASE64_SIZE &&
		       CRYPTO_memcmp(again, s.p, BASE64_SIZE) == 0;
	if (is_good)
		memcpy(ret, raw, MASTER_KEY_SIZE);
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(again, sizeof(again));
	return is_good;
}

static bool is_zero(const uint8_t key[MASTER_KEY_SIZE])
{
	uint8_t any = 0;
	for (size_t i = 0; i < MASTER_KEY_SIZE; i++)
		any |= key[i];
	return any == 0;
}

static kf_err make_master(const uint8_t key[MASTER_KEY_SIZE], struct master *ret)
{
	KF_TRY(derive_key(key, "keyfleet wrap 1", ret->wrap));
	KF_TRY(derive_key(key, "keyfleet mac 1", ret->mac));
	for (size_t i = 0; i < LABELS; i++)
		KF_TRY(derive_mac(ret->mac, slice_of(labels[i]), ret->label[i]));
	return derive_key(key, "keyfleet check 1", ret->check);
}

static kf_err parse_key(struct slice text, struct master *ret)
{
	uint8_t key[MASTER_KEY_SIZE];
	bool is_good = (text.n == HEX_SIZE && from_hex(text, key)) ||
		       (text.n == BASE64_SIZE && from_base64(text, key));
	kf_err err =
		!is_good       ? kf_fail(CONFIG,
					 "a master key is 64 hex digits or base64 of 32 bytes")
		: is_zero(key) ? kf_fail(CONFIG, "a master key of zeros is none")
			       : make_master(key, ret);
	explicit_bzero(key, sizeof(key));
	return err;
}

static kf_err parse_line(struct keyring *k, struct slice line)
{
	const uint8_t *eq = memchr(line.p, '=', line.n);
	if (!eq)
		return kf_fail(CONFIG, "expected: id = key");
	size_t left = (size_t)(eq - line.p);
	struct slice id = slice_trimmed((struct slice){ line.p, left });
	struct slice key = slice_trimmed((struct slice){ eq + 1, line.n - left - 1 });
	if (!is_id(id))
		return kf_fail(
			CONFIG, "an id is 1 to 32 letters, digits, '.', '_' or '-'");
	if (keyring_has(k, id))
		return kf_fail(CONFIG, "this id appears twice");
	if (k->n == KEYRING_MAX)
		return kf_fail(CONFIG, "too many master keys");
	KF_TRY(parse_key(key, &k->master[k->n]));
	memcpy(k->id[k->n++], id.p, id.n);
	return KF_OK;
}

static kf_err parse_lines(struct keyring *k, struct slice text, unsigned *line_number)
{
	while (text.n) {
		struct slice line = slice_trimmed(slice_take_line(&text));
		++*line_number;
		if (line.n && line.p[0] != '#')
			KF_TRY(parse_line(k, line));
	}
	*line_number = 0;
	if (k->n == 0)
		return kf_fail(CONFIG, "there is no master key in the keyring");
	return KF_OK;
}

kf_err keyring_parse(struct slice text, unsigned *bad_line, struct keyring **ret)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	*bad_line = 0;
	if (text.n > KEYRING_FILE_MAX)
		return kf_fail(CONFIG, "the keyring is too big");
	KF_TRY(keyring_new(&k));
	KF_TRY(parse_lines(k, text, bad_line));
	*ret = k;
	k = NULL;
	return KF_OK;
}

static kf_err check_file(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return kf_fail(CONFIG, "the keyring cannot be examined");
	if (!S_ISREG(st.st_mode))
		return kf_fail(CONFIG, "the keyring is not a regular file");
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return kf_fail(CONFIG, "the keyring is open to others: chmod 0600");
	if (st.st_size > KEYRING_FILE_MAX)
		return kf_fail(CONFIG, "the keyring is too big");
	return KF_OK;
}

static kf_err read_all(int fd, struct buf *ret)
{
	for (;;) {
		uint8_t *p = buf_reserve(ret, 1024);
		if (!p)
			return kf_fail(CONFIG, "the keyring is too big");
		ssize_t n = read(fd, p, 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kf_fail(CONFIG, "the keyring cannot be read");
		if (n == 0)
			return KF_OK;
		buf_commit(ret, (size_t)n);
	}
}

kf_err keyring_load(const char *path, unsigned *bad_line, struct keyring **ret)
{
	*bad_line = 0;
	CLEANUP(mem_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? kf_fail(CONFIG, "there is no such keyring file")
				       : kf_fail(CONFIG, "the keyring cannot be opened");
	KF_TRY(check_file(fd));
	autobuf text = buf_new(KEYRING_FILE_MAX + 1024);
	KF_TRY(read_all(fd, &text));
	return keyring_parse(buf_slice(&text), bad_line, ret);
}

kf_err keyring_new_line(const char *id, struct buf *ret)
{
	uint8_t key[MASTER_KEY_SIZE];
	if (!is_id(slice_of(id)))
		return kf_fail(
			CONFIG, "an id is 1 to 32 letters, digits, '.', '_' or '-'");
	if (RAND_priv_bytes(key, sizeof(key)) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	buf_add_text(ret, id);
	buf_add_text(ret, " = ");
	for (size_t i = 0; i < sizeof(key); i++) {
		buf_add_u8(ret, (uint8_t) "0123456789abcdef"[key[i] >> 4]);
		buf_add_u8(ret, (uint8_t) "0123456789abcdef"[key[i] & 15]);
	}
	buf_add_u8(ret, '\n');
	explicit_bzero(key, sizeof(key));
	return buf_err(ret);
}

/* ---- use ---- */

static const struct master *find(const struct keyring *k, struct slice id)
{
	for (size_t i = 0; i < k->n; i++)
		if (slice_is(id, k->id[i]))
			return &k->master[i];
	return NULL;
}

size_t keyring_count(const struct keyring *k) { return k->n; }

/* The newest comes first, the others in their order. */
const char *keyring_id(const struct keyring *k, size_t i)
{
	size_t newest = k->newest;
	if (i >= k->n)
		return NULL;
	if (i == 0)
		return k->id[newest];
	return k->id[i <= newest ? i - 1 : i];
}

bool keyring_has(const struct keyring *k, struct slice id) { return find(k, id) != NULL; }

/* Both are derived values: equal masters are equal bytes. */
static kf_err check_same(const struct keyring *k, const struct keyring *from)
{
	size_t new = 0;
	for (size_t i = 0; i < from->n; i++) {
		const struct master *have = find(k, slice_of(from->id[i]));
		if (have && CRYPTO_memcmp(have, &from->master[i], sizeof(*have)) != 0)
			return kf_fail(CONFIG, "a master key has changed under its id: "
					       "give it a new one");
		new += !have;
	}
	if (new > KEYRING_MAX - k->n)
		return kf_fail(LIMIT, "too many master keys");
	return KF_OK;
}

static void add(struct keyring *k, const struct keyring *from, size_t i)
{
	size_t at = k->n;
	memcpy(k->id[at], from->id[i], sizeof(k->id[at]));
	k->master[at] = from->master[i];
	k->n = at + 1; /* readers see whole entries only */
}

kf_err keyring_adopt(struct keyring *k, const struct keyring *from)
{
	KF_TRY(check_same(k, from));
	for (size_t i = 0; i < from->n; i++)
		if (!keyring_has(k, slice_of(from->id[i])))
			add(k, from, i);
	const char *newest = keyring_id(from, 0);
	for (size_t i = 0; newest && i < k->n; i++)
		if (strcmp(k->id[i], newest) == 0)
			k->newest = i;
	return KF_OK;
}

static kf_err find_master(
	const struct keyring *k, struct slice id, const struct master **ret)
{
	*ret = find(k, id);
	return *ret ? KF_OK
		    : kf_fail(CONFIG, "the keyring lacks the master key of this id");
}

kf_err keyring_check_value(
	const struct keyring *k, struct slice id, uint8_t ret[MAC_SIZE])
{
	const struct master *m;
	KF_TRY(find_master(k, id, &m));
	return derive_mac(m->check, slice_of("keyfleet check value"), ret);
}

kf_err keyring_check(const struct keyring *k, struct slice id, struct slice value)
{
	uint8_t have[MAC_SIZE];
	KF_TRY(keyring_check_value(k, id, have));
	if (!kf_ok(mac_check(have, value)))
		return kf_fail(CONFIG, "wrong master key: this id stood for another one");
	return KF_OK;
}

kf_err keyring_mac(const struct keyring *k, struct slice id, const char *label,
	struct slice data, uint8_t ret[MAC_SIZE])
{
	const struct master *m;
	uint8_t key[MAC_SIZE];
	KF_TRY(find_master(k, id, &m));
	for (size_t i = 0; i < LABELS; i++)
		if (!strcmp(label, labels[i]))
			return derive_mac(m->label[i], data, ret);
	KF_TRY(derive_mac(m->mac, slice_of(label), key));
	kf_err err = derive_mac(key, data, ret);
	explicit_bzero(key, sizeof(key));
	return err;
}

kf_err keyring_signer(
	const struct keyring *k, struct slice id, const char *label, struct signer **ret)
{
	const struct master *m;
	uint8_t seed[MAC_SIZE];
	static_assert((int)MAC_SIZE == (int)SIGNER_SEED_SIZE, "a seed");
	KF_TRY(find_master(k, id, &m));
	KF_TRY(derive_mac(m->mac, slice_of(label), seed));
	kf_err err = signer_new(seed, ret);
	explicit_bzero(seed, sizeof(seed));
	return err;
}

kf_err keyring_wrap_key(const struct keyring *k, struct slice id, struct slice salt,
	uint8_t ret[MASTER_KEY_SIZE])
{
	const struct master *m;
	KF_TRY(find_master(k, id, &m));
	return derive_mac(m->wrap, salt, ret);
}

kf_err mac_check(const uint8_t have[MAC_SIZE], struct slice want)
{
	if (want.n != MAC_SIZE || CRYPTO_memcmp(have, want.p, MAC_SIZE) != 0)
		return kf_fail(TAMPERED, "authentication code is wrong");
	return KF_OK;
}
