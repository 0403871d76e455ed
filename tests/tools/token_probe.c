/* SPDX-License-Identifier: Apache-2.0
 *
 * token_probe: one token by its driver alone, for tests.
 *
 *     token_probe --driver pkcs11 --module M [--token SERIAL-OR-LABEL'S-BEGINNING] [--pin-file F] [COMMAND...]
 *
 * Without a command it reads commands from its standard input, one a line, and ends every answer with a
 * line "ok" or "error CODE: text"; the token stays open between them.  Commands are in the table below.
 */
#include "base/mem.h"
#include "crypt/ossl.h"
#include "token/driver.h"
#include "token/pad.h"
#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 8, LINE_SIZE = 1024, FILE_MAX = 65536 };

static const struct token_driver *const drivers[] = {
	&pkcs11_driver,
	&schsm_driver,
};

static const char *const codes[] = {
#define X(id, text) #id,
#include "base/err.def"
#undef X
};

struct probe {
	const struct token_driver *driver;
	struct token_source_conf conf;
	const char *wanted; /* serial number or how its label begins; NULL: not blank */
	const char *pin_file;
	struct token_pin *pin, *so_pin;
	struct token_source *source;
	struct token *token;
	struct token_key_list list;
};

struct words {
	int n;
	char *at[WORDS_MAX];
};

static const char *word(const struct words *w, int i) { return i < w->n ? w->at[i] : ""; }
static unsigned number(const struct words *w, int i)
{
	return (unsigned)strtoul(word(w, i), NULL, 10);
}

static kf_err read_file(const char *path, struct buf *ret)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return kf_fail(IO, "file cannot be read");
	uint8_t *p = buf_reserve(ret, FILE_MAX);
	if (p)
		buf_commit(ret, fread(p, 1, FILE_MAX, f));
	fclose(f);
	return buf_err(ret);
}

static kf_err read_pin(const char *path, struct token_pin *ret)
{
	autobuf file = buf_new(FILE_MAX);
	KF_TRY(read_file(path, &file));
	while (file.n && isspace(file.p[file.n - 1]))
		file.n--;
	if (file.n > sizeof(ret->bytes))
		return kf_fail(TOO_BIG, "PIN");
	memcpy(ret->bytes, file.p, file.n);
	ret->n = file.n;
	return KF_OK;
}

static void print_hex(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
}

/* ---- places and the token ---- */

static kf_err do_places(struct probe *p, const struct words *w)
{
	struct token_places *places = calloc(1, sizeof(*places));
	kf_err err = p->driver->watch(p->source, number(w, 1), places);
	for (size_t i = 0; kf_ok(err) && i < places->n; i++)
		printf("%s\n", places->place[i].name);
	free(places);
	return err;
}

static bool is_wanted(const struct probe *p, const struct token_facts *f)
{
	if (!p->wanted)
		return f->is_initialised;
	return !strcmp(p->wanted, f->serial) ||
	       !strncmp(p->wanted, f->label, strlen(p->wanted));
}

static kf_err open_wanted(struct probe *p, const struct token_places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		struct token *t;
		if (!kf_ok(p->driver->open(p->source, &places->place[i], &t)))
			continue;
		if (is_wanted(p, p->driver->facts(t))) {
			p->token = t;
			return KF_OK;
		}
		p->driver->close(t);
	}
	return kf_fail(NOT_FOUND, "no such token");
}

static kf_err do_open(struct probe *p, const struct words *w)
{
	(void)w;
	if (p->token)
		return KF_OK;
	struct token_places *places = calloc(1, sizeof(*places));
	kf_err err = p->driver->watch(p->source, 0, places);
	if (kf_ok(err))
		err = open_wanted(p, places);
	free(places);
	return err;
}

static kf_err do_close(struct probe *p, const struct words *w)
{
	(void)w;
	token_key_list_free(&p->list);
	p->driver->close(p->token);
	p->token = NULL;
	return KF_OK;
}

static kf_err do_login(struct probe *p, const struct words *w)
{
	(void)w;
	if (!p->pin_file)
		return kf_fail(AUTH, "--pin-file is missing");
	KF_TRY(read_pin(p->pin_file, p->pin));
	return p->driver->login(p->token, p->pin);
}

static kf_err do_facts(struct probe *p, const struct words *w)
{
	(void)w;
	const struct token_facts *f = p->driver->facts(p->token);
	printf("serial %s\nlabel %s\nmodel %s\ninitialised %d\nwrite-protected %d\n"
	       "pin-tries %d\nso-pin-tries %d\nwrapping %d\nshares %u\nmissing %u\n",
		f->serial, f->label, f->model, f->is_initialised, f->is_write_protected,
		f->pin_tries, f->so_pin_tries, f->wrapping, f->shares, f->shares_missing);
	if (f->has_kcv) {
		printf("kcv ");
		print_hex(f->kcv, sizeof(f->kcv));
		printf("\n");
	}
	return KF_OK;
}

/* ---- keys ---- */

static void print_key(const struct token_key_facts *k)
{
	printf("%u %s ", k->handle, k->alg ? k->alg->name : "-");
	print_hex(k->key_id, sizeof(k->key_id));
	printf(" id=");
	print_hex(k->id, k->id_n);
	printf("%s%s%s%s label=\"%s\" problem=\"%s\"\n", k->can_sign ? " sign" : "",
		k->can_decrypt ? " decrypt" : "", k->can_leave ? " leave" : "",
		k->certificate.n ? " certificate" : "", k->label,
		k->problem ? k->problem : "");
}

static kf_err do_list(struct probe *p, const struct words *w)
{
	(void)w;
	KF_TRY(p->driver->list_keys(p->token, &p->list));
	for (size_t i = 0; i < p->list.n; i++)
		print_key(&p->list.key[i]);
	return KF_OK;
}

static bool is_key(const struct token_key_facts *k, const char *name)
{
	char *end;
	unsigned long handle = strtoul(name, &end, 10);
	return *name && !*end ? k->handle == handle : !strcmp(k->label, name);
}

/* By its handle or its label. */
static kf_err find_key(struct probe *p, const char *name, struct token_key_facts **ret)
{
	if (!p->list.n)
		KF_TRY(p->driver->list_keys(p->token, &p->list));
	for (size_t i = 0; i < p->list.n; i++)
		if (is_key(&p->list.key[i], name)) {
			*ret = &p->list.key[i];
			return KF_OK;
		}
	return kf_fail(NOT_FOUND, "no key has this handle or label");
}

static const struct mech *mech_of(const char *scheme, const char *hash)
{
	const struct hash *h = hash_by_name(hash);
	if (!strcmp(scheme, "ed25519"))
		return mech_find(SCHEME_ED25519, HASH_NONE);
	if (!h)
		return NULL;
	return mech_find(!strcmp(scheme, "pss")     ? SCHEME_RSA_PSS
			 : !strcmp(scheme, "ecdsa") ? SCHEME_ECDSA
						    : SCHEME_RSA_PKCS1,
		h->id);
}

static kf_err sign_once(
	struct probe *p, const struct token_key_facts *k, struct sign_job *job)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	job->is_digest = job->mech->hash != HASH_NONE;
	job->salt = SALT_AS_DIGEST;
	job->n = job->is_digest ? hash_get(job->mech->hash)->size : 100;
	RAND_bytes(job->data, (int)job->n);
	KF_TRY(pubkey_parse(buf_slice(&k->spki), &public));
	KF_TRY(p->driver->sign(p->token, k->handle, job));
	struct signature s = { job->mech, job->salt, job->is_digest, pad_input(job),
		{ job->sig, job->sig_n } };
	return pubkey_verify(public, &s);
}

static kf_err do_sign(struct probe *p, const struct words *w)
{
	struct token_key_facts *k;
	struct sign_job *job = calloc(1, sizeof(*job));
	kf_err err = find_key(p, word(w, 1), &k);
	job->mech = mech_of(word(w, 2), word(w, 3));
	if (kf_ok(err) && !job->mech)
		err = kf_fail(
			BAD_PARAMETERS, "sign HANDLE pkcs1|pss|ecdsa|ed25519 HASH [N]");
	unsigned count = w->n > 4 ? number(w, 4) : 1;
	for (unsigned i = 0; kf_ok(err) && i < count; i++)
		err = sign_once(p, k, job);
	free(job);
	return err;
}

static kf_err raise_to_e(
	const struct token_key_facts *k, const uint8_t *in, size_t n, uint8_t *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	KF_TRY(pubkey_parse(buf_slice(&k->spki), &public));
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(public), NULL);
	return ctx && EVP_PKEY_encrypt_init(ctx) > 0 &&
			       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
			       EVP_PKEY_encrypt(ctx, ret, &n, in, n) > 0
		       ? KF_OK
		       : ossl_fail(CRYPTO, "encryption");
}

static kf_err do_decrypt(struct probe *p, const struct words *w)
{
	struct token_key_facts *k;
	uint8_t plain[JOB_CIPHER_MAX], cipher[JOB_CIPHER_MAX], back[JOB_CIPHER_MAX];
	KF_TRY(find_key(p, word(w, 1), &k));
	if (!p->driver->decrypt_raw || !k->alg || k->alg->family != FAMILY_RSA)
		return kf_fail(UNSUPPORTED, "decryption");
	size_t n = k->alg->bits / 8;
	RAND_bytes(plain, (int)n);
	plain[0] = plain[1] = 0;
	KF_TRY(raise_to_e(k, plain, n, cipher));
	KF_TRY(p->driver->decrypt_raw(p->token, k->handle, cipher, n, back));
	return memcmp(plain, back, n) == 0 ? KF_OK : kf_fail(CRYPTO, "it differs");
}

static bool has_word(const struct words *w, int from, const char *text)
{
	for (int i = from; i < w->n; i++)
		if (!strcmp(w->at[i], text))
			return true;
	return false;
}

static kf_err do_generate(struct probe *p, const struct words *w)
{
	struct token_key_facts k;
	struct token_new_key in = { .alg = alg_by_name(slice_of(word(w, 1))),
		.label = word(w, 2),
		.may_decrypt = has_word(w, 3, "decrypt"),
		.may_leave = has_word(w, 3, "leave") };
	if (!strncmp(word(w, 1), "aes:", 4))
		in.alg = alg_aes((uint32_t)atoi(word(w, 1) + 4));
	in.may_agree = has_word(w, 3, "agree");
	if (!in.alg || w->n < 3)
		return kf_fail(
			BAD_PARAMETERS, "generate ALGORITHM LABEL [decrypt] [leave]");
	KF_TRY(p->driver->generate(p->token, &in, &k));
	print_key(&k);
	token_key_facts_free(&k);
	token_key_list_free(&p->list);
	return KF_OK;
}

static kf_err do_delete(struct probe *p, const struct words *w)
{
	struct token_key_facts *k;
	KF_TRY(find_key(p, word(w, 1), &k));
	unsigned handle = k->handle;
	token_key_list_free(&p->list);
	return p->driver->delete_key(p->token, handle);
}

static kf_err do_certificate(struct probe *p, const struct words *w)
{
	autobuf der = buf_new(FILE_MAX);
	struct token_key_facts *k;
	KF_TRY(read_file(word(w, 2), &der));
	KF_TRY(find_key(p, word(w, 1), &k));
	unsigned handle = k->handle;
	token_key_list_free(&p->list);
	return p->driver->store_certificate(
		p->token, handle, CERTIFICATE_OF_KEY, buf_slice(&der));
}

/* ---- wrapping ---- */

struct blob_head {
	enum token_wrapping wrapping;
	enum alg_id alg;
	uint32_t bits;
	bool may_decrypt, may_agree;
	uint8_t key_id[KEY_ID_SIZE];
	uint8_t kcv[TOKEN_KCV_SIZE];
	char label[TOKEN_LABEL_SIZE];
	size_t id_n, wrapped_n, spki_n, certificate_n;
	uint8_t id[TOKEN_ID_MAX];
};

static kf_err do_wrap(struct probe *p, const struct words *w)
{
	struct token_blob b;
	struct blob_head h = { 0 };
	struct token_key_facts *k;
	KF_TRY(find_key(p, word(w, 1), &k));
	KF_TRY(p->driver->wrap(p->token, k->handle, &b));
	h.wrapping = b.wrapping;
	h.alg = b.alg->id;
	h.bits = b.alg->bits;
	h.may_decrypt = b.may_decrypt;
	h.may_agree = b.may_agree;
	memcpy(h.key_id, b.key_id, sizeof(h.key_id));
	memcpy(h.kcv, b.kcv, sizeof(h.kcv));
	memcpy(h.label, b.label, sizeof(h.label));
	memcpy(h.id, b.id, sizeof(h.id));
	h.id_n = b.id_n;
	h.wrapped_n = b.wrapped.n;
	h.spki_n = b.spki.n;
	h.certificate_n = b.certificate.n;
	FILE *f = fopen(word(w, 2), "wb");
	if (f) {
		fwrite(&h, sizeof(h), 1, f);
		fwrite(b.wrapped.p, b.wrapped.n, 1, f);
		fwrite(b.spki.p, b.spki.n, 1, f);
		if (b.certificate.n)
			fwrite(b.certificate.p, b.certificate.n, 1, f);
		fclose(f);
	}
	token_blob_free(&b);
	return f ? KF_OK : kf_fail(IO, "file cannot be written");
}

static struct buf cut(const uint8_t **p, size_t n)
{
	struct buf b = buf_new(FILE_MAX);
	buf_add(&b, *p, n);
	*p += n;
	return b;
}

static kf_err do_unwrap(struct probe *p, const struct words *w)
{
	autobuf file = buf_new(FILE_MAX);
	struct blob_head h;
	struct token_key_facts k;
	KF_TRY(read_file(word(w, 1), &file));
	if (file.n < sizeof(h))
		return kf_fail(SHORT, "blob");
	memcpy(&h, file.p, sizeof(h));
	const uint8_t *at = file.p + sizeof(h);
	struct token_blob b = { .wrapping = h.wrapping,
		.alg = h.alg == ALG_AES ? alg_aes(h.bits) : alg_get(h.alg),
		.may_decrypt = h.may_decrypt,
		.may_agree = h.may_agree,
		.id_n = h.id_n };
	memcpy(b.key_id, h.key_id, sizeof(b.key_id));
	memcpy(b.kcv, h.kcv, sizeof(b.kcv));
	memcpy(b.label, h.label, sizeof(b.label));
	memcpy(b.id, h.id, sizeof(b.id));
	b.wrapped = cut(&at, h.wrapped_n);
	b.spki = cut(&at, h.spki_n);
	b.certificate = cut(&at, h.certificate_n);
	token_key_list_free(&p->list);
	kf_err err = p->driver->unwrap(p->token, &b, &k);
	if (kf_ok(err)) {
		print_key(&k);
		token_key_facts_free(&k);
	}
	token_blob_free(&b);
	return err;
}

static kf_err do_share(struct probe *p, const struct words *w)
{
	autobuf share = buf_new(FILE_MAX);
	KF_TRY(read_file(word(w, 1), &share));
	return share.n == 32 ? p->driver->import_share(p->token, share.p)
			     : kf_fail(BAD_PARAMETERS, "a share has 32 bytes");
}

/* ---- the rest ---- */

static kf_err do_initialise(struct probe *p, const struct words *w)
{
	KF_TRY(read_pin(word(w, 2), p->so_pin));
	KF_TRY(read_pin(p->pin_file, p->pin));
	struct token_init in = { .so_pin = p->so_pin,
		.pin = p->pin,
		.shares = (int)number(w, 3),
		.label = word(w, 1) };
	return p->driver->initialise(p->token, &in);
}

static kf_err do_change_pin(struct probe *p, const struct words *w)
{
	KF_TRY(read_pin(p->pin_file, p->pin));
	KF_TRY(read_pin(word(w, 1), p->so_pin));
	return p->driver->change_pin(p->token, p->pin, p->so_pin);
}

static kf_err do_probe(struct probe *p, const struct words *w)
{
	(void)w;
	return p->driver->probe(p->token);
}

static kf_err do_random(struct probe *p, const struct words *w)
{
	(void)w;
	uint8_t bytes[32];
	KF_TRY(p->driver->random(p->token, bytes, sizeof(bytes)));
	print_hex(bytes, sizeof(bytes));
	printf("\n");
	return KF_OK;
}

static const struct command {
	const char *name;
	kf_err (*run)(struct probe *p, const struct words *w);
	bool needs_token, needs_login;
} commands[] = {
	{ "places", do_places, false, false }, /* [MS]: waits that long for a change */
	{ "open", do_open, false, false }, { "close", do_close, true, false },
	{ "facts", do_facts, true, false }, { "login", do_login, true, false },
	{ "probe", do_probe, true, false }, { "random", do_random, true, false },
	{ "initialise", do_initialise, true, false }, /* LABEL SO-PIN-FILE [SHARES] */
	{ "change-pin", do_change_pin, true, false }, /* NEW-PIN-FILE */
	{ "list", do_list, true, true },
	{ "sign", do_sign, true, true },         /* KEY SCHEME HASH [N], and verified */
	{ "decrypt", do_decrypt, true, true },   /* KEY, of random bytes, and compared */
	{ "generate", do_generate, true, true }, /* ALGORITHM LABEL [decrypt] [leave] */
	{ "delete", do_delete, true, true },     /* KEY: its handle or its label */
	{ "certificate", do_certificate, true, true }, /* KEY DER-FILE */
	{ "share", do_share, true, true },             /* FILE of 32 bytes */
	{ "wrap", do_wrap, true, true },               /* KEY FILE */
	{ "unwrap", do_unwrap, true, true },           /* FILE */
};

static kf_err run(struct probe *p, const struct words *w)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		const struct command *c = &commands[i];
		if (strcmp(c->name, word(w, 0)) != 0)
			continue;
		if (c->needs_token)
			KF_TRY(do_open(p, w));
		if (c->needs_login)
			KF_TRY(do_login(p, w));
		return c->run(p, w);
	}
	return kf_fail(UNSUPPORTED, "no such command");
}

static bool answer(struct probe *p, const struct words *w)
{
	kf_err err = run(p, w);
	if (kf_ok(err))
		printf("ok\n");
	else
		printf("error %s: %s\n", codes[err.code], err.site->text);
	fflush(stdout);
	return kf_ok(err);
}

static struct words split(char *line)
{
	struct words w = { 0 };
	for (char *s = strtok(line, " \n"); s && w.n < WORDS_MAX; s = strtok(NULL, " \n"))
		w.at[w.n++] = s;
	return w;
}

static bool talk(struct probe *p)
{
	char line[LINE_SIZE];
	while (fgets(line, sizeof(line), stdin)) {
		struct words w = split(line);
		if (w.n)
			answer(p, &w);
	}
	return true;
}

static const struct token_driver *driver_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

/* Options come in pairs, before the command. */
static int read_options(struct probe *p, int argc, char **argv)
{
	int i = 1;
	for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		const char *name = argv[i] + 2, *value = argv[i + 1];
		if (!strcmp(name, "driver"))
			p->driver = driver_by_name(value);
		else if (!strcmp(name, "module"))
			p->conf.module = value;
		else if (!strcmp(name, "socket"))
			p->conf.socket = value;
		else if (!strcmp(name, "token"))
			p->wanted = value;
		else if (!strcmp(name, "pin-file"))
			p->pin_file = value;
	}
	return i;
}

int main(int argc, char **argv)
{
	struct probe p = { 0 };
	struct words w = { 0 };
	for (int i = read_options(&p, argc, argv); i < argc && w.n < WORDS_MAX; i++)
		w.at[w.n++] = argv[i];
	if (!p.driver || !kf_ok(secret_init(1 << 16))) {
		fprintf(stderr, "usage: token_probe --driver NAME ... [COMMAND...]\n");
		return 2;
	}
	p.pin = secret_alloc(sizeof(*p.pin));
	p.so_pin = secret_alloc(sizeof(*p.so_pin));
	kf_err err = p.driver->open_source(&p.conf, &p.source);
	if (!kf_ok(err)) {
		printf("error %s: %s\n", codes[err.code], err.site->text);
		return 1;
	}
	bool is_good = w.n ? answer(&p, &w) : talk(&p);
	token_key_list_free(&p.list);
	p.driver->close(p.token);
	p.driver->close_source(p.source);
	secret_free(p.pin);
	secret_free(p.so_pin);
	return !is_good;
}
