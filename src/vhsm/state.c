/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/state.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/tlv.h"
#include "vhsm/vhsm.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is a list of these, each the value of one thing. */
enum {
	TAG_MAGIC = 0xc0,
	TAG_SERIAL,
	TAG_OPTIONS,
	TAG_USER_PIN,
	TAG_SO_PIN,
	TAG_DOMAINS, /* all of them, as they are in memory but for padding */
	TAG_FILE,    /* fid, content */
	TAG_KEY,     /* reference, kind, domain, uses, algorithms, material */
};

#define MAGIC SLICE_LIT("keyfleet virtual SmartCard-HSM 1")

enum { PIN_SIZE = 4 + 16 + 32, DOMAIN_SIZE = 3 + 32, KEY_HEAD = 3 + 4 + 1 };

static void put_pin(const struct pin *p, uint32_t tag, struct buf *to)
{
	autobuf b = buf_new(PIN_SIZE);
	buf_add_u8(&b, p->is_set);
	buf_add_u8(&b, p->must_change);
	buf_add_u8(&b, p->tries);
	buf_add_u8(&b, p->tries_max);
	buf_add(&b, p->salt, sizeof(p->salt));
	buf_add(&b, p->hash, sizeof(p->hash));
	tlv_add(to, tag, buf_slice(&b));
}

static bool parse_pin(struct slice s, struct pin *ret)
{
	if (s.n != PIN_SIZE)
		return false;
	*ret = (struct pin){ .is_set = s.p[0] != 0,
		.must_change = s.p[1] != 0,
		.tries = s.p[2],
		.tries_max = s.p[3] };
	memcpy(ret->salt, s.p + 4, sizeof(ret->salt));
	memcpy(ret->hash, s.p + 4 + sizeof(ret->salt), sizeof(ret->hash));
	return true;
}

static void put_domains(const struct card *c, struct buf *to)
{
	autobuf b = buf_new(CARD_DOMAINS * DOMAIN_SIZE);
	for (size_t i = 0; i < c->n_domains; i++) {
		const struct domain *d = &c->domains[i];
		buf_add_u8(&b, d->exists);
		buf_add_u8(&b, d->shares);
		buf_add_u8(&b, d->outstanding);
		buf_add(&b, d->kek, sizeof(d->kek));
	}
	tlv_add(to, TAG_DOMAINS, buf_slice(&b));
}

static bool parse_domains(struct slice s, struct card *c)
{
	if (s.n % DOMAIN_SIZE || s.n / DOMAIN_SIZE > CARD_DOMAINS)
		return false;
	c->n_domains = (uint8_t)(s.n / DOMAIN_SIZE);
	for (size_t i = 0; i < c->n_domains; i++) {
		const uint8_t *p = s.p + i * DOMAIN_SIZE;
		c->domains[i] = (struct domain){ p[0] != 0, p[1], p[2], { 0 } };
		memcpy(c->domains[i].kek, p + 3, sizeof(c->domains[i].kek));
	}
	return true;
}

static kf_err put_material(const struct key *k, struct buf *to)
{
	if (k->kind == KEY_AES) {
		buf_add(to, k->aes, k->n_aes);
		return buf_err(to);
	}
	unsigned char *der = NULL;
	int n = i2d_PrivateKey(k->pkey, &der);
	if (n < 0)
		return ossl_fail(CRYPTO, "a key cannot be encoded");
	buf_add(to, der, (size_t)n);
	OPENSSL_clear_free(der, (size_t)n);
	return buf_err(to);
}

static kf_err put_key(const struct key *k, uint8_t reference, struct buf *to)
{
	autobuf b = buf_new(8192);
	buf_add_u8(&b, reference);
	buf_add_u8(&b, (uint8_t)k->kind);
	buf_add_u8(&b, k->domain);
	buf_add_u32(&b, k->uses);
	buf_add_u8(&b, k->n_algos);
	buf_add(&b, k->algos, k->n_algos);
	KF_TRY(put_material(k, &b));
	tlv_add(to, TAG_KEY, buf_slice(&b));
	return buf_err(to);
}

static bool parse_pkey(struct slice s, struct key *k)
{
	const unsigned char *p = s.p;
	k->pkey = d2i_AutoPrivateKey(NULL, &p, (long)s.n);
	if (!k->pkey || p != s.p + s.n)
		return false;
	if (k->kind == KEY_RSA)
		return EVP_PKEY_is_a(k->pkey, "RSA");
	char group[64];
	size_t n;
	if (!EVP_PKEY_is_a(k->pkey, "EC") ||
		EVP_PKEY_get_group_name(k->pkey, group, sizeof(group), &n) != 1)
		return false;
	k->curve = curve_by_name(group);
	return k->curve != NULL;
}

static bool parse_material(struct slice s, struct key *k)
{
	if (k->kind != KEY_AES)
		return parse_pkey(s, k);
	if (s.n != 16 && s.n != 24 && s.n != 32)
		return false;
	memcpy(k->aes, s.p, s.n);
	k->n_aes = s.n;
	return true;
}

static bool parse_key(struct slice s, struct card *c)
{
	if (s.n < KEY_HEAD || s.n < KEY_HEAD + (size_t)s.p[7] || s.p[7] > KEY_ALGOS_MAX ||
		(s.p[1] != KEY_RSA && s.p[1] != KEY_EC && s.p[1] != KEY_AES))
		return false;
	CLEANUP(key_freep) struct key *k = key_new(s.p[1]);
	if (!k)
		return false;
	k->domain = s.p[2];
	k->uses = (uint32_t)s.p[3] << 24 | (uint32_t)s.p[4] << 16 |
		  (uint32_t)s.p[5] << 8 | s.p[6];
	k->n_algos = s.p[7];
	memcpy(k->algos, s.p + KEY_HEAD, k->n_algos);
	size_t head = KEY_HEAD + k->n_algos;
	if (!parse_material((struct slice){ s.p + head, s.n - head }, k))
		return false;
	card_put_key(c, s.p[0], &k);
	return true;
}

static bool parse_file(struct slice s, struct card *c)
{
	return s.n >= 2 && file_write(c, (uint16_t)(s.p[0] << 8 | s.p[1]), 0,
				   (struct slice){ s.p + 2, s.n - 2 }) == SW_OK;
}

static bool parse_text(struct slice s, struct card *c)
{
	return kf_ok(slice_to_text(s, c->serial, sizeof(c->serial)));
}

static bool parse_options(struct slice s, struct card *c)
{
	if (s.n != 3)
		return false;
	c->is_initialised = s.p[0] != 0;
	memcpy(c->options, s.p + 1, 2);
	return true;
}

static bool parse_one(const struct tlv *t, struct card *c)
{
	switch (t->tag) {
	case TAG_SERIAL: return parse_text(t->value, c);
	case TAG_OPTIONS: return parse_options(t->value, c);
	case TAG_USER_PIN: return parse_pin(t->value, &c->user);
	case TAG_SO_PIN: return parse_pin(t->value, &c->so);
	case TAG_DOMAINS: return parse_domains(t->value, c);
	case TAG_FILE: return parse_file(t->value, c);
	case TAG_KEY: return parse_key(t->value, c);
	default: return false;
	}
}

kf_err state_put(const struct card *c, struct buf *to)
{
	const uint8_t options[] = { c->is_initialised, c->options[0], c->options[1] };
	tlv_add(to, TAG_MAGIC, MAGIC);
	tlv_add(to, TAG_SERIAL, slice_of(c->serial));
	tlv_add(to, TAG_OPTIONS, (struct slice){ options, sizeof(options) });
	put_pin(&c->user, TAG_USER_PIN, to);
	put_pin(&c->so, TAG_SO_PIN, to);
	put_domains(c, to);
	for (size_t i = 0; i < c->n_files; i++) {
		autobuf b = buf_new(CARD_BYTES_MAX);
		buf_add_u8(&b, (uint8_t)(c->files[i].fid >> 8));
		buf_add_u8(&b, (uint8_t)c->files[i].fid);
		buf_add_slice(&b, buf_slice(&c->files[i].data));
		tlv_add(to, TAG_FILE, buf_slice(&b));
	}
	for (unsigned i = 0; i < CARD_KEYS; i++)
		if (c->keys[i])
			KF_TRY(put_key(c->keys[i], (uint8_t)i, to));
	return buf_err(to);
}

kf_err state_parse(struct slice bytes, struct card **ret)
{
	struct tlv t;
	CLEANUP(card_freep) struct card *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "no memory for a card");
	c->chain = buf_new(VHSM_APDU_MAX);
	c->rest = buf_new(VHSM_ANSWER_MAX);
	if (!tlv_next(&bytes, &t) || t.tag != TAG_MAGIC || !slice_eq(t.value, MAGIC))
		return kf_fail(TAMPERED, "this file is no virtual card of this version");
	while (tlv_next(&bytes, &t))
		if (!parse_one(&t, c))
			return ossl_fail(
				TAMPERED, "the file of a virtual card is damaged");
	if (bytes.n || !c->keys[0] || !c->serial[0])
		return kf_fail(TAMPERED, "the file of a virtual card is cut");
	c->is_changed = false;
	*ret = c;
	c = NULL;
	return KF_OK;
}

static kf_err write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return kf_fail(
				IO, "the file of a virtual card cannot be written");
		s = (struct slice){ s.p + n, s.n - (size_t)n };
	}
	return KF_OK;
}

/* Whole after a crash of the program; of the machine, the last changes may be lost: a card for
 * tests does not wait for a disk. */
kf_err state_save(const struct card *c, const char *path)
{
	char temporary[PATH_MAX];
	autobuf bytes = buf_new(STATE_MAX);
	CLEANUP(mem_closep) int fd = -1;
	KF_TRY(state_put(c, &bytes));
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >=
		(int)sizeof(temporary))
		return kf_fail(TOO_BIG, "the path of a virtual card is too long");
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(IO, "the file of a virtual card cannot be made");
	KF_TRY(write_all(fd, buf_slice(&bytes)));
	if (rename(temporary, path) < 0)
		return kf_fail(IO, "the file of a virtual card cannot be replaced");
	return KF_OK;
}

kf_err state_load(const char *path, struct card **ret)
{
	autobuf bytes = buf_new(STATE_MAX), why = buf_new(1024);
	KF_TRY(conf_read_secret(path, &bytes, &why));
	return state_parse(buf_slice(&bytes), ret);
}
