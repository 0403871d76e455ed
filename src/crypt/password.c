/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/password.h"
#include "crypt/ossl.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SALT_SIZE = 16,
	HASH_SIZE = 32,
	COST_LOG = 14,
	COST_LOG_MIN = 10,
	COST_LOG_MAX = 20,
	MEMORY_MAX = 256 << 20, /* of one computation */
	LINE_SIZE = 256,
};

struct cost {
	unsigned log_n, r, p;
};

struct password {
	char name[PASSWORD_NAME_MAX + 1];
	struct cost cost;
	uint8_t salt[SALT_SIZE], hash[HASH_SIZE];
};

struct passwords {
	size_t n, cap;
	struct password *row;
};

void passwords_free(struct passwords *p)
{
	if (!p)
		return;
	if (p->row)
		OPENSSL_cleanse(p->row, p->cap * sizeof(*p->row));
	free(p->row);
	free(p);
}

void passwords_freep(struct passwords **p) { passwords_free(*p); }

static kf_err compute(const struct password *p, struct slice password, uint8_t *ret)
{
	const bool is_done =
		EVP_PBE_scrypt((const char *)password.p, password.n, p->salt,
			sizeof(p->salt), UINT64_C(1) << p->cost.log_n, p->cost.r,
			p->cost.p, MEMORY_MAX, ret, HASH_SIZE) == 1;
	return is_done ? KF_OK : ossl_fail(CRYPTO, "scrypt");
}

/* --- reading --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, uint8_t *ret, size_t n)
{
	if (strlen(text) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool is_sane(const struct cost *c)
{
	return c->log_n >= COST_LOG_MIN && c->log_n <= COST_LOG_MAX && c->r >= 1 &&
	       c->r <= 32 && c->p >= 1 && c->p <= 16 &&
	       (UINT64_C(128) << c->log_n) * c->r <= MEMORY_MAX / 2;
}

static kf_err read_line(const char *line, struct password *ret)
{
	char salt[2 * SALT_SIZE + 2], hash[2 * HASH_SIZE + 2], more;
	const int n = sscanf(line,
		" %64[A-Za-z0-9._-] = scrypt:%2u:%2u:%2u:%33[0-9a-f]:%65[0-9a-f] %c",
		ret->name, &ret->cost.log_n, &ret->cost.r, &ret->cost.p, salt, hash,
		&more);
	const bool is_right = n == 6 && is_sane(&ret->cost) &&
			      read_hex(salt, ret->salt, SALT_SIZE) &&
			      read_hex(hash, ret->hash, HASH_SIZE);
	return is_right ? KF_OK
			: kf_fail(CONFIG, "expected NAME = scrypt:14:8:1:SALT:HASH");
}

static kf_err make_room(struct passwords *p)
{
	if (p->n < p->cap)
		return KF_OK;
	const size_t cap = p->cap ? 2 * p->cap : 16;
	struct password *more = calloc(cap, sizeof(*more));
	if (!more)
		return kf_fail(NOMEM, "passwords");
	if (p->row) {
		memcpy(more, p->row, p->n * sizeof(*more));
		OPENSSL_cleanse(p->row, p->cap * sizeof(*p->row));
	}
	free(p->row);
	p->row = more;
	p->cap = cap;
	return KF_OK;
}

static bool is_empty(const char *line)
{
	const char *at = line + strspn(line, " \t\r");
	return *at == '\0' || *at == '#';
}

static kf_err take_line(struct passwords *p, struct slice text)
{
	char line[LINE_SIZE];
	KF_TRY(slice_to_text(text, line, sizeof(line)));
	if (is_empty(line))
		return KF_OK;
	KF_TRY(make_room(p));
	KF_TRY(read_line(line, &p->row[p->n]));
	p->n++;
	return KF_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct password *)a)->name, ((const struct password *)b)->name);
}

static kf_err sort(struct passwords *p)
{
	if (p->n)
		qsort(p->row, p->n, sizeof(*p->row), by_name);
	for (size_t i = 1; i < p->n; i++)
		if (by_name(&p->row[i - 1], &p->row[i]) == 0)
			return kf_fail(CONFIG, "a name has two passwords");
	return KF_OK;
}

kf_err passwords_parse(struct slice text, unsigned *bad_line, struct passwords **ret)
{
	CLEANUP(passwords_freep) struct passwords *p = calloc(1, sizeof(*p));
	if (!p)
		return kf_fail(NOMEM, "passwords");
	*bad_line = 0;
	for (size_t at = 0; at < text.n;) {
		const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
		const size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
		++*bad_line;
		KF_TRY(take_line(p, (struct slice){ text.p + at, n }));
		at += n + 1;
	}
	*bad_line = 0;
	KF_TRY(sort(p));
	*ret = p;
	p = NULL;
	return KF_OK;
}

/* --- checking --- */

static const struct password *find(const struct passwords *p, struct slice name)
{
	struct password wanted = { 0 };
	if (!p || !p->n || !kf_ok(slice_to_text(name, wanted.name, sizeof(wanted.name))))
		return NULL;
	return bsearch(&wanted, p->row, p->n, sizeof(*p->row), by_name);
}

kf_err passwords_check(
	const struct passwords *p, struct slice name, struct slice password)
{
	/* What nobody has: nothing hashes to it but by chance. */
	static const struct password nobody = { .cost = { COST_LOG, 8, 1 } };
	const struct password *known = find(p, name);
	const struct password *with = known ? known : &nobody;
	uint8_t hash[HASH_SIZE] = { 0 };
	if (password.n > PASSWORD_MAX)
		return kf_fail(AUTH, "password is longer than any");
	KF_TRY(compute(with, password, hash));
	const bool is_right = CRYPTO_memcmp(hash, with->hash, sizeof(hash)) == 0;
	OPENSSL_cleanse(hash, sizeof(hash));
	return known && is_right ? KF_OK
				 : kf_fail(AUTH, "no such user, or another password");
}

/* --- writing --- */

static void put_hex(struct buf *to, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(to, "%02x", p[i]);
}

static bool is_name(struct slice name)
{
	char text[PASSWORD_NAME_MAX + 1];
	return kf_ok(slice_to_text(name, text, sizeof(text))) && name.n &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789._-") == name.n;
}

kf_err password_put_line(struct slice name, struct slice password, struct buf *ret)
{
	struct password p = { .cost = { COST_LOG, 8, 1 } };
	if (!is_name(name))
		return kf_fail(INVALID_FIELD,
			"a name is 1 to 64 letters, digits, '.', '_' or '-'");
	if (!password.n || password.n > PASSWORD_MAX)
		return kf_fail(INVALID_FIELD, "a password has 1 to 1024 bytes");
	if (RAND_bytes(p.salt, sizeof(p.salt)) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	KF_TRY(compute(&p, password, p.hash));
	buf_add_slice(ret, name);
	buf_printf(ret, " = scrypt:%u:%u:%u:", p.cost.log_n, p.cost.r, p.cost.p);
	put_hex(ret, p.salt, sizeof(p.salt));
	buf_add_text(ret, ":");
	put_hex(ret, p.hash, sizeof(p.hash));
	buf_add_text(ret, "\n");
	return buf_err(ret);
}
