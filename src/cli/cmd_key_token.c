/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key clone, backup, restore, erase, certificate; and what `key create` and `key import` do when the
 * key shall live on tokens.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "cli/key_import.h"
#include "cli/key_token.h"
#include "crypt/keygen.h"
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_SIZE_MAX = 1 << 20 };

#define COUNT(options) (sizeof(options) / sizeof(*(options)))

static kf_err new_report(struct provision_report **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? KF_OK : kf_fail(NOMEM, "no memory for a report");
}

static kf_err need_targets(const struct cli_list *to, bool all)
{
	return all == (to->n > 0)
		       ? kf_fail(INVALID_FIELD, "either --to TOKEN... or --all")
		       : KF_OK;
}

kf_err key_token_copies(const struct cli *c, const char *text, unsigned *ret)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;
	if (text && (text[0] < '1' || text[0] > '9' || *end || n > POOL_TOKENS_MAX)) {
		cli_note(c, "--copies %s: a number from 1 to %d", text, POOL_TOKENS_MAX);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*ret = (unsigned)n;
	return KF_OK;
}

/* ---- clone ---- */

static kf_err run_clone(struct cli *c)
{
	struct tokens_options o = { 0 };
	struct cli_list to = { 0 };
	bool all = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o), { "to", .list = &to },
		{ "all", NULL, &all } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct provision_report *r = NULL;
	KF_TRY(cli_options(c, options, COUNT(options)));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(need_targets(&to, all));
	KF_TRY(new_report(&r));
	KF_TRY(tokens_open(c, &o, true, &t));
	const struct token_names names = { to.item, to.n };
	KF_TRY(tokens_error(c, c->argv[0], t->ops->clone(t, c->argv[0], &names, r)));
	return tokens_print_report(c, r, NULL);
}

/* ---- erase ---- */

static kf_err run_erase(struct cli *c)
{
	struct tokens_options o = { 0 };
	struct cli_list from = { 0 };
	bool force = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o),
		{ "from", .list = &from }, { "force", NULL, &force } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct provision_report *r = NULL;
	KF_TRY(cli_options(c, options, COUNT(options)));
	KF_TRY(cli_operands(c, 1, 1));
	if (from.n == 0)
		return kf_fail(INVALID_FIELD, "--from TOKEN...: of which tokens?");
	if (force && !o.is_local)
		return kf_fail(INVALID_FIELD,
			"--force is for --local: a key server never deletes the last "
			"copies");
	KF_TRY(new_report(&r));
	KF_TRY(tokens_open(c, &o, true, &t));
	const struct token_names names = { from.item, from.n };
	kf_err e = t->ops->erase(t, c->argv[0], &names, force, r);
	if (kf_is(e, KF_E_EXISTS))
		cli_note(c,
			o.is_local ? "%s: these tokens hold the last copies; make a "
				     "backup, then say --force"
				   : "%s: these tokens hold the last copies, which a key "
				     "server keeps",
			c->argv[0]);
	KF_TRY(tokens_error(c, c->argv[0], e));
	return tokens_print_report(c, r, NULL);
}

/* ---- backup, restore ---- */

static kf_err run_backup(struct cli *c)
{
	struct tokens_options o = { 0 };
	const char *out = NULL;
	const struct cli_option options[] = { TOKENS_OPTIONS(o), { "out", &out, NULL } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	autobuf file = buf_new(PROVISION_FILE_MAX);
	KF_TRY(cli_options(c, options, COUNT(options)));
	KF_TRY(cli_operands(c, 1, 1));
	if (!out)
		return kf_fail(INVALID_FIELD, "--out FILE: where to?");
	KF_TRY(tokens_open(c, &o, true, &t));
	KF_TRY(tokens_error(c, c->argv[0], t->ops->backup(t, c->argv[0], &file)));
	KF_TRY(cli_file_error(c, out, file_create(out, buf_slice(&file), 0600)));
	if (!c->is_quiet)
		cli_note(c,
			"%s holds %s, wrapped: it is restored to tokens with the "
			"same DKEK",
			out, c->argv[0]);
	return KF_OK;
}

static kf_err read_file(struct cli *c, const char *path, struct buf *ret)
{
	autobuf why = buf_new(4096);
	kf_err e = conf_read_file(path, ret, &why);
	if (!kf_ok(e))
		cli_note_lines(c, &why);
	return e;
}

/* A file that does not say which key it is, tells it with the DKEK. */
static kf_err complete(struct cli *c, const struct shares_options *so, const char *path,
	struct buf *file)
{
	CLEANUP(shares_freep) struct shares *s = NULL;
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	autobuf whole = buf_new(PROVISION_FILE_MAX);
	kf_err e = provision_read_file(buf_slice(file), &b);
	if (!kf_is(e, KF_E_MISSING) || so->files.n == 0)
		return cli_file_error(c, path, e);
	KF_TRY(shares_read(c, so, &s));
	KF_TRY(shares_dkek(s, &d));
	KF_TRY(cli_file_error(
		c, path, provision_complete_file(d, buf_slice(file), &whole)));
	buf_clear(file);
	buf_add_slice(file, buf_slice(&whole));
	return buf_err(file);
}

static kf_err put_on_tokens(struct cli *c, struct tokens *t, const struct key_wish *wish,
	struct slice file, const struct cli_list *to)
{
	CLEANUP(mem_freep) struct provision_report *r = NULL;
	autobuf id = buf_new(256);
	const struct token_names names = { to->item, to->n };
	KF_TRY(new_report(&r));
	KF_TRY(tokens_error(
		c, wish->name, t->ops->restore(t, wish, file, &names, &id, r)));
	return key_token_told(c, wish, r, &id);
}

/* As on its token, else as its file. */
static const char *name_of_file(
	struct slice file, const char *path, char ret[TOKEN_LABEL_SIZE])
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	const char *slash = strrchr(path, '/');
	if (!kf_ok(provision_read_file(file, &b)) || !b.label[0])
		return slash ? slash + 1 : path;
	memcpy(ret, b.label, TOKEN_LABEL_SIZE);
	return ret;
}

static kf_err run_restore(struct cli *c)
{
	struct tokens_options o = { 0 };
	struct shares_options so = { 0 };
	struct cli_list to = { 0 };
	struct key_wish wish = { 0 };
	const char *copies = NULL;
	char label[TOKEN_LABEL_SIZE];
	bool all = false;
	const struct cli_option options[] = { TOKENS_OPTIONS(o), SHARES_OPTIONS(so),
		{ "share", .list = &so.files }, { "to", .list = &to },
		{ "all", NULL, &all }, { "copies", &copies, NULL },
		{ "name", &wish.name, NULL } };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	autobuf file = buf_new(PROVISION_FILE_MAX);
	KF_TRY(cli_options(c, options, COUNT(options)));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(need_targets(&to, all));
	KF_TRY(key_token_copies(c, copies, &wish.copies));
	KF_TRY(tokens_secrets());
	KF_TRY(read_file(c, c->argv[0], &file));
	KF_TRY(complete(c, &so, c->argv[0], &file));
	if (!wish.name)
		wish.name = name_of_file(buf_slice(&file), c->argv[0], label);
	KF_TRY(tokens_open(c, &o, true, &t));
	return put_on_tokens(c, t, &wish, buf_slice(&file), &to);
}

/* ---- create ---- */

kf_err key_token_told(struct cli *c, const struct key_wish *wish,
	const struct provision_report *r, struct buf *id)
{
	buf_add_u8(id, 0);
	KF_TRY(buf_err(id));
	if (!c->is_json)
		puts((const char *)id->p);
	if (c->is_json || r->n)
		KF_TRY(tokens_print_report(c, r, (const char *)id->p));
	if (wish->copies && r->done < wish->copies) {
		cli_note(c, "%s: %zu of %u copies: it is not to be used yet", wish->name,
			r->done, wish->copies);
		return kf_fail(UNAVAILABLE, "fewer tokens hold the key than wanted");
	}
	return KF_OK;
}

kf_err key_token_create(
	struct cli *c, const struct tokens_options *o, const struct key_wish *wish)
{
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct provision_report *r = NULL;
	autobuf id = buf_new(256);
	KF_TRY(new_report(&r));
	KF_TRY(tokens_open(c, o, true, &t));
	KF_TRY(tokens_error(c, wish->name, t->ops->create(t, wish, &id, r)));
	return key_token_told(c, wish, r, &id);
}

/* ---- import ---- */

struct source {
	struct cli *cli;
	const struct key_token_import *in;
	struct keypair pair;
	struct buf certificate; /* DER; empty: none */
};

static void source_clear(struct source *s)
{
	keypair_free(&s->pair);
	buf_free(&s->certificate);
}

/* The pass phrase of a PKCS#12 file, in locked memory. */
struct phrase {
	char text[1024];
};
static void phrase_freep(struct phrase **p) { secret_free(*p); }

static void pkcs12_freep(PKCS12 **p) { PKCS12_free(*p); }

static kf_err take_pkcs12(struct source *s, EVP_PKEY *pkey, X509 *x)
{
	autobuf der = buf_new(PKCS8_MAX);
	KF_TRY(ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", &der));
	KF_TRY(keypair_import(buf_slice(&der), NULL, NULL, &s->pair));
	unsigned char *p = NULL;
	int n = x ? i2d_X509(x, &p) : 0;
	if (n > 0)
		buf_add(&s->certificate, p, (size_t)n);
	OPENSSL_free(p);
	return buf_err(&s->certificate);
}

static kf_err open_pkcs12(struct source *s, PKCS12 *p12, const char *phrase)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	if (!PKCS12_parse(p12, phrase, &pkey, &x, NULL))
		return ossl_fail(AUTH, "wrong pass phrase, or the file is damaged");
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "there is no private key in it");
	return take_pkcs12(s, pkey, x);
}

static kf_err read_pkcs12(struct source *s, struct slice file)
{
	const uint8_t *p = file.p;
	CLEANUP(pkcs12_freep) PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)file.n);
	CLEANUP(phrase_freep) struct phrase *phrase = secret_alloc(sizeof(*phrase));
	if (!p12)
		return ossl_fail(KEY_FORMAT, "this is no PKCS#12 file");
	if (!phrase)
		return kf_fail(NOMEM, "no locked memory for a pass phrase");
	int n = key_passphrase(
		s->cli, s->in->passphrase_file, phrase->text, sizeof(phrase->text) - 1);
	if (n < 0)
		return kf_fail(AUTH, "the file is encrypted, a pass phrase is needed");
	phrase->text[n] = 0;
	return open_pkcs12(s, p12, phrase->text);
}

static int ask(void *arg, char *into, int size)
{
	const struct source *s = arg;
	return key_passphrase(s->cli, s->in->passphrase_file, into, size);
}

static kf_err read_source(struct source *s)
{
	const char *path = s->in->p12 ? s->in->p12 : s->in->pem;
	autobuf file = buf_new(FILE_SIZE_MAX), why = buf_new(4096);
	kf_err e = conf_read_secret(path, &file, &why);
	if (!kf_ok(e)) {
		cli_note_lines(s->cli, &why);
		return e;
	}
	e = s->in->p12 ? read_pkcs12(s, buf_slice(&file))
		       : keypair_import(buf_slice(&file), ask, s, &s->pair);
	return cli_file_error(s->cli, path, e);
}

static kf_err read_certificate(struct source *s)
{
	autobuf pem = buf_new(CERT_PEM_MAX);
	if (!s->in->certificate)
		return KF_OK;
	buf_clear(&s->certificate);
	KF_TRY(read_file(s->cli, s->in->certificate, &pem));
	return cli_file_error(s->cli, s->in->certificate,
		cert_to_der(buf_slice(&pem), &s->certificate));
}

static kf_err seal(struct source *s, struct buf *ret_file)
{
	CLEANUP(shares_freep) struct shares *shares = NULL;
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	const struct provision_software_key key = {
		.pkcs8 = buf_slice(&s->pair.pkcs8),
		.certificate = buf_slice(&s->certificate),
		.label = s->in->wish.name,
	};
	KF_TRY(shares_read(s->cli, &s->in->shares, &shares));
	KF_TRY(shares_dkek(shares, &d));
	return cli_file_error(
		s->cli, s->in->wish.name, provision_seal_key(d, &key, ret_file));
}

kf_err key_token_import(struct cli *c, const struct key_token_import *in)
{
	CLEANUP(source_clear)
	struct source s = { c, in, .certificate = buf_new(CERT_PEM_MAX) };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	autobuf file = buf_new(PROVISION_FILE_MAX);
	if (in->shares.files.n == 0)
		return kf_fail(INVALID_FIELD, "--share FILE...: the tokens' DKEK shares, "
					      "for the key is wrapped "
					      "here");
	KF_TRY(tokens_secrets());
	KF_TRY(read_source(&s));
	KF_TRY(read_certificate(&s));
	KF_TRY(seal(&s, &file));
	KF_TRY(tokens_open(c, &in->tokens, true, &t));
	return put_on_tokens(c, t, &in->wish, buf_slice(&file), &in->to);
}

/* ---- certificate ---- */

static kf_err request_to_der(struct slice pem, struct buf *ret)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	CLEANUP(ossl_x509_req_freep)
	X509_REQ *q = in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL;
	int n = q ? i2d_X509_REQ(q, &der) : 0;
	if (n <= 0)
		return ossl_fail(
			KEY_FORMAT, "neither a certificate nor a request for one");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

static kf_err to_der(struct slice pem, enum token_certificate_kind *kind, struct buf *ret)
{
	kf_err e = cert_to_der(pem, ret);
	*kind = kf_ok(e) ? CERTIFICATE_OF_KEY : CERTIFICATE_REQUEST_OF_KEY;
	return kf_ok(e) ? KF_OK : request_to_der(pem, ret);
}

static kf_err run_certificate(struct cli *c)
{
	struct tokens_options o = { 0 };
	const struct cli_option options[] = { TOKENS_OPTIONS(o) };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct provision_report *r = NULL;
	autobuf pem = buf_new(CERT_PEM_MAX), der = buf_new(CERT_PEM_MAX);
	enum token_certificate_kind kind;
	KF_TRY(cli_options(c, options, COUNT(options)));
	KF_TRY(cli_operands(c, 2, 2));
	KF_TRY(new_report(&r));
	KF_TRY(read_file(c, c->argv[1], &pem));
	KF_TRY(cli_file_error(c, c->argv[1], to_der(buf_slice(&pem), &kind, &der)));
	KF_TRY(tokens_open(c, &o, true, &t));
	KF_TRY(tokens_error(c, c->argv[0],
		t->ops->certificate(t, c->argv[0], kind, buf_slice(&der), r)));
	return tokens_print_report(c, r, NULL);
}

const struct command command_key_clone = { .words = "key clone",
	.args = "KEY --to TOKEN...|--all [--local]",
	.summary = "copy a key from a token that holds it to others",
	.help = "  KEY                 its name or id; with --local its label or key id\n"
		"  --to TOKEN...       serial numbers or labels\n"
		"  --all               every token of the pool that lacks "
		"it\n" TOKENS_HELP "\nA copy counts when it has signed; all tokens must "
		"have the same DKEK.\n",
	.run = run_clone };
const struct command command_key_backup = { .words = "key backup",
	.args = "KEY --out FILE [--local]",
	.summary = "write a key of tokens, wrapped under their DKEK, into a file",
	.help = "  --out FILE          a new file\n" TOKENS_HELP
		"\n`sc-hsm-tool --unwrap-key` reads it, and `key restore` reads what "
		"--wrap-key\nmade.\n",
	.run = run_backup };
const struct command command_key_restore = { .words = "key restore",
	.args = "FILE --to TOKEN...|--all [--name NAME] [--local]",
	.summary = "put a key of a file onto tokens",
	.help = "  --to TOKEN...       serial numbers or labels\n"
		"  --all               every token of the pool\n"
		"  --copies N          so many of them are enough\n"
		"  --name NAME         of its object at the key server [as on its "
		"token]\n"
		"  --share FILE...     for a file that does not say which public key it "
		"is: "
		"the\n"
		"                      DKEK shares, with which that can be found "
		"out\n" SHARES_HELP TOKENS_HELP,
	.run = run_restore };
const struct command command_key_erase = { .words = "key erase",
	.args = "KEY --from TOKEN... [--force] [--local]",
	.summary = "delete copies of a key from tokens",
	.help = "  --from TOKEN...     serial numbers or labels\n"
		"  --force             with --local: also the last copies\n" TOKENS_HELP,
	.run = run_erase };
const struct command command_key_certificate = { .words = "key certificate",
	.args = "KEY FILE [--local]",
	.summary = "store a certificate, or a request for one, beside a key, on all its "
		   "tokens",
	.help = TOKENS_HELP,
	.run = run_certificate };
