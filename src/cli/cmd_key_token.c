/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key clone, backup, restore, erase, certificate; and what `key create` and `key import` do when the
 * key shall live on tokens.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "cli/key_import.h"
#include "cli/key_token.h"
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static kf_err seal(const struct key_source *s, const struct key_token_import *in,
	struct buf *ret_file)
{
	CLEANUP(shares_freep) struct shares *shares = NULL;
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	const struct provision_software_key key = {
		.pkcs8 = buf_slice(&s->pair.pkcs8),
		.certificate = buf_slice(&s->der),
		.label = in->wish.name,
	};
	KF_TRY(shares_read(s->cli, &in->shares, &shares));
	KF_TRY(shares_dkek(shares, &d));
	return cli_file_error(
		s->cli, in->wish.name, provision_seal_key(d, &key, ret_file));
}

static kf_err check_overflow(const struct key_token_import *in)
{
	return in->has_overflow_copy && in->tokens.is_local
		       ? kf_fail(INVALID_FIELD,
				 "--overflow-copy is for a key server: --pool NAME")
		       : KF_OK;
}

kf_err key_token_import(struct cli *c, const struct key_token_import *in)
{
	CLEANUP(key_source_clear)
	struct key_source s = { c, in->pem, in->p12, in->certificate,
		in->passphrase_file };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	autobuf file = buf_new(PROVISION_FILE_MAX);
	if (in->shares.files.n == 0)
		return kf_fail(INVALID_FIELD, "--share FILE...: the tokens' DKEK shares, "
					      "for the key is wrapped "
					      "here");
	KF_TRY(check_overflow(in));
	KF_TRY(tokens_secrets());
	KF_TRY(key_source_read(&s));
	KF_TRY(seal(&s, in, &file));
	KF_TRY(tokens_open(c, &in->tokens, true, &t));
	kf_err e = put_on_tokens(c, t, &in->wish, buf_slice(&file), &in->to);
	if (!in->has_overflow_copy || (!kf_ok(e) && !kf_is(e, KF_E_UNAVAILABLE)))
		return e;
	KF_TRY(key_overflow_give(c, in->wish.name, &s));
	return e;
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
