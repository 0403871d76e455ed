/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key create, import, list, show.
 */
#include "base/conf.h"
#include "cli/call.h"
#include "cli/key_import.h"
#include "cli/key_secret.h"
#include "cli/key_token.h"
#include "cli/key_usage.h"
#include "cli/key_wrapped.h"
#include "crypt/alg.h"
#include "keyfleet.h"
#include "kmip/locate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static kf_err not_made(const struct cli *c, const char *name, const kf_call *call)
{
	cli_note(c, "%s: %s", name, kf_error_text(call));
	return kf_fail(UNAVAILABLE, "the key was not made");
}

static kf_err print_id(const char *id)
{
	puts(id);
	return KF_OK;
}

static kf_err read_type(const struct cli *c, const char *type, const struct alg **ret)
{
	*ret = key_secret_is_meant(type) ? key_secret_type(type)
					 : alg_by_name(slice_of(type));
	if (*ret)
		return KF_OK;
	cli_note(c,
		"%s: there is rsa:2048, rsa:3072, rsa:4096, ec:P-256, ec:P-384, "
		"ec:P-521, ec:brainpoolP256r1, ec:brainpoolP384r1, "
		"ec:brainpoolP512r1, ec:secp256k1, ed25519, aes:128, aes:192, aes:256, "
		"chacha20:256 "
		"and hmac-sha256:256 (384, 512)",
		type);
	return kf_fail(INVALID_FIELD, "unknown type of key");
}

static kf_err create_pair(struct cli *c, const struct key_wish *wish)
{
	struct kf_client *client;
	kf_new_object q = { .algorithm = wish->alg->name,
		.name = wish->name,
		.usage = wish->usage,
		.is_active = !wish->is_inactive };
	KF_TRY(cli_client(c, &client));
	/* TLS 1.2 key exchange decrypts; whether anybody may is a matter of grants. */
	if (wish->alg->family == FAMILY_RSA && !q.usage)
		q.usage = KF_MAY_SIGN | KF_MAY_DECRYPT;
	kf_call call = { .timeout_ms = 60000 };
	kf_id private_key, public_key;
	if (kf_create_key_pair(client, &q, &private_key, &public_key, &call) ==
		KF_SUCCESS)
		return print_id(private_key.text);
	return not_made(c, q.name, &call);
}

static kf_err create_secret(struct cli *c, const struct key_wish *wish)
{
	autobuf id = buf_new(256);
	KF_TRY(key_secret_create(c, wish, NULL, &id));
	buf_add_u8(&id, 0);
	KF_TRY(buf_err(&id));
	return print_id((const char *)id.p);
}

struct creation {
	const char *type, *copies, *use;
	struct key_wish wish;
	struct tokens_options tokens;
};

/* Keys that only key servers have. */
static kf_err create_generic(
	struct cli *c, const struct symmetric_type *type, const struct creation *in)
{
	struct kf_client *client;
	const kf_new_object q = { .algorithm = type->text,
		.name = in->wish.name,
		.usage = in->wish.usage,
		.is_active = !in->wish.is_inactive };
	kf_call call = { 0 };
	kf_id id;
	if (in->tokens.pool || in->tokens.is_local || in->wish.wraps)
		return kf_fail(INVALID_FIELD, "this is for key pairs and keys of AES");
	KF_TRY(cli_client(c, &client));
	if (kf_create(client, &q, &id, &call) == KF_SUCCESS)
		return print_id(id.text);
	return not_made(c, q.name, &call);
}

static kf_err create_on_tokens(struct cli *c, struct creation *q)
{
	if (q->wish.token && !q->tokens.is_local)
		return kf_fail(INVALID_FIELD, "--on is for --local");
	KF_TRY(key_token_copies(c, q->copies, &q->wish.copies));
	return key_token_create(c, &q->tokens, &q->wish);
}

static kf_err read_use(const struct cli *c, struct creation *q)
{
	KF_TRY(key_usage_read(c, q->use, &q->wish.usage));
	return q->wish.usage && (q->tokens.is_local || q->wish.wraps)
		       ? kf_fail(INVALID_FIELD, "--use is kept by the key server: not "
						"with --local, nor with --wraps")
		       : KF_OK;
}

static kf_err create(struct cli *c, struct creation *q)
{
	struct symmetric_type symmetric;
	q->wish.name = c->argv[0];
	KF_TRY(key_name_check(q->wish.name));
	KF_TRY(read_use(c, q));
	if (!key_secret_is_meant(q->type) && symmetric_type_read(q->type, &symmetric))
		return create_generic(c, &symmetric, q);
	KF_TRY(read_type(c, q->type, &q->wish.alg));
	const bool is_secret = q->wish.alg->family == FAMILY_AES;
	if (q->wish.wraps && !is_secret)
		return kf_fail(
			INVALID_FIELD, "--wraps is for keys of AES: --type aes:256");
	if (is_secret && q->tokens.pool && q->wish.usage)
		return kf_fail(INVALID_FIELD, "on tokens --use is for key pairs");
	if (is_secret && q->tokens.is_local)
		return kf_fail(INVALID_FIELD,
			"keys of AES are made through a key server, whose objects tell "
			"which they are: --pool NAME without --local");
	if (q->tokens.pool || q->tokens.is_local)
		return create_on_tokens(c, q);
	return is_secret ? create_secret(c, &q->wish) : create_pair(c, &q->wish);
}

static kf_err run_create(struct cli *c)
{
	struct creation q = { .type = "ec:P-256" };
	const struct cli_option options[] = { TOKENS_OPTIONS(q.tokens),
		{ "type", &q.type, NULL }, { "inactive", NULL, &q.wish.is_inactive },
		{ "wraps", NULL, &q.wish.wraps }, { "copies", &q.copies, NULL },
		{ "on", &q.wish.token, NULL }, { "use", &q.use, NULL } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	return create(c, &q);
}

static kf_err import_software(struct cli *c, struct key_import *in, const char *file)
{
	in->name = c->argv[0];
	in->file = file;
	char id[KEY_ID_TEXT];
	KF_TRY(key_import(in, id, sizeof(id)));
	return print_id(id);
}

/* The file is an operand or --pem; --p12 is for tokens. */
static kf_err choose_file(struct cli *c, struct key_token_import *q, const char **ret)
{
	if (c->argc == 2 && !q->pem && !q->p12)
		q->pem = c->argv[1];
	else if (c->argc != 1 || (q->pem != NULL) == (q->p12 != NULL))
		return kf_fail(INVALID_FIELD, "one of FILE, --pem FILE and --p12 FILE");
	*ret = q->pem;
	return KF_OK;
}

static kf_err import_wrapped(struct cli *c, const struct key_token_import *q,
	struct key_wrapped *w, const char *file)
{
	char id[KEY_ID_TEXT];
	if (!file || q->tokens.pool || q->tokens.is_local)
		return kf_fail(INVALID_FIELD,
			"--wrapped-with goes with one FILE, and not with --pool");
	w->name = c->argv[0];
	w->file = file;
	KF_TRY(key_wrapped_import(w, id, sizeof(id)));
	return print_id(id);
}

static kf_err run_import(struct cli *c)
{
	struct key_import in = { .cli = c };
	struct key_token_import q = { 0 };
	struct key_wrapped w = { .cli = c };
	const char *copies = NULL, *file = NULL;
	const struct cli_option options[] = { TOKENS_OPTIONS(q.tokens),
		{ "wrapped-with", &w.by, NULL }, { "type", &w.type, NULL },
		{ "mode", &w.mode, NULL }, { "use", &w.use, NULL },
		SHARES_OPTIONS(q.shares), { "share", .list = &q.shares.files },
		{ "passphrase-file", &in.passphrase_file, NULL },
		{ "inactive", NULL, &in.is_inactive }, { "pem", &q.pem, NULL },
		{ "p12", &q.p12, NULL }, { "certificate", &q.certificate, NULL },
		{ "copies", &copies, NULL }, { "to", .list = &q.to },
		{ "overflow-copy", NULL, &q.has_overflow_copy } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 2));
	KF_TRY(key_name_check(c->argv[0]));
	KF_TRY(choose_file(c, &q, &file));
	w.is_inactive = in.is_inactive;
	if (w.by)
		return import_wrapped(c, &q, &w, file);
	if (w.type || w.mode || w.use)
		return kf_fail(INVALID_FIELD,
			"--type, --mode and --use go with --wrapped-with KEY");
	if (q.has_overflow_copy && !q.tokens.pool)
		return kf_fail(INVALID_FIELD, "--overflow-copy goes with --pool NAME");
	if (!q.tokens.pool && !q.tokens.is_local)
		return file ? import_software(c, &in, file)
			    : kf_fail(INVALID_FIELD, "--p12 is for tokens: --pool NAME");
	KF_TRY(key_token_copies(c, copies, &q.wish.copies));
	q.wish.name = c->argv[0];
	q.wish.is_inactive = in.is_inactive;
	q.passphrase_file = in.passphrase_file;
	return key_token_import(c, &q);
}

/* An attribute as people read it; "-" where there is none. */
static const char *enum_text(struct slice attrs, uint32_t tag, enum ttlv_kind kind)
{
	uint32_t value;
	if (!attrs_get_enum(attrs, tag, &value))
		return "-";
	const char *text = ttlv_value_text(kind, value);
	return text ? text : "?";
}

/* ---- key list ---- */

/* Public keys are listed with their private ones, unless they are asked for. */
static const struct key_kind {
	const char *word;
	uint32_t type;
	bool is_usual;
} kinds[] = {
	{ "private", KMIP_OBJECT_TYPE_PRIVATE_KEY, true },
	{ "symmetric", KMIP_OBJECT_TYPE_SYMMETRIC_KEY, true },
	{ "secret", KMIP_OBJECT_TYPE_SECRET_DATA, true },
	{ "split", KMIP_OBJECT_TYPE_SPLIT_KEY, true },
	{ "pgp", KMIP_OBJECT_TYPE_PGP_KEY, true },
	{ "public", KMIP_OBJECT_TYPE_PUBLIC_KEY, false },
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds), LIST_PAGE = 1000 };

struct key_list {
	struct cli *cli;
	struct table *table;
	const struct key_kind *kind; /* that is being listed */
};

static kf_err list_row(struct key_list *l, const char *id)
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(key_attributes(l->cli, id, &attrs));
	struct slice set = buf_slice(&attrs), name;
	char name_text[256] = "-", length[16] = "-", made[32] = "-";
	if (attrs_get_name(set, 0, &name))
		KF_TRY(slice_to_text(name, name_text, sizeof(name_text)));
	int32_t bits;
	if (attrs_get_int(set, TAG_CRYPTOGRAPHIC_LENGTH, &bits))
		snprintf(length, sizeof(length), "%d", bits);
	int64_t when;
	if (attrs_get_date(set, TAG_INITIAL_DATE, &when)) {
		time_t seconds = (time_t)when;
		struct tm day;
		strftime(made, sizeof(made), "%Y-%m-%d %H:%M:%S",
			gmtime_r(&seconds, &day));
	}
	const char *cells[] = { name_text, l->kind->word,
		enum_text(set, TAG_CRYPTOGRAPHIC_ALGORITHM,
			TTLV_KIND_CRYPTOGRAPHIC_ALGORITHM),
		length, enum_text(set, TAG_STATE, TTLV_KIND_STATE), made, id };
	table_row(l->table, cells);
	return KF_OK;
}

static kf_err locate_page(struct key_list *l, int32_t offset, struct buf *answer)
{
	autobuf attrs = buf_new(256);
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, l->kind->type);
	autopayload p;
	payload_init(&p);
	const struct locate_request q = { .maximum_items = LIST_PAGE,
		.offset_items = offset,
		.attributes = buf_slice(&attrs) };
	locate_put_request(&p.w, &q);
	return cli_call(l->cli, KMIP_OPERATION_LOCATE, &p, answer);
}

static kf_err list_page(struct key_list *l, int32_t offset, int32_t *ret_n)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(locate_page(l, offset, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct locate_response a = { 0 };
	KF_TRY(locate_get_response(&r, &a));
	struct ttlv_reader uids = ttlv_read(a.uids);
	struct slice uid;
	*ret_n = 0;
	while (locate_next_uid(&uids, &uid)) {
		char id[KEY_ID_TEXT];
		KF_TRY(slice_to_text(uid, id, sizeof(id)));
		kf_err e = list_row(l, id);
		if (!kf_ok(e) && !kf_is(e, KF_E_NOT_FOUND)) /* destroyed meanwhile */
			return e;
		++*ret_n;
	}
	return KF_OK;
}

static kf_err list_kind(struct key_list *l, const struct key_kind *kind)
{
	int32_t n = LIST_PAGE;
	l->kind = kind;
	for (int32_t offset = 0; n == LIST_PAGE; offset += n)
		KF_TRY(list_page(l, offset, &n));
	return KF_OK;
}

/* --kind: one of them, or all. */
static kf_err find_kind(struct cli *c, const char *word, const struct key_kind **ret)
{
	for (size_t i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i].word, word)) {
			*ret = &kinds[i];
			return KF_OK;
		}
	cli_note(c, "--kind %s: there is private, symmetric, secret, split, pgp, public",
		word);
	return kf_fail(INVALID_FIELD, "no such kind of key");
}

static kf_err list(struct key_list *l, const struct key_kind *only)
{
	if (only)
		return list_kind(l, only);
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].is_usual)
			KF_TRY(list_kind(l, &kinds[i]));
	return KF_OK;
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "NAME", "KIND", "TYPE", "LENGTH", "STATE",
		"CREATED", "ID" };
	const char *word = NULL;
	const struct key_kind *only = NULL;
	const struct cli_option options[] = { { "kind", &word, NULL } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 0, 0));
	if (word)
		KF_TRY(find_kind(c, word, &only));
	struct key_list l = { .cli = c, .table = table_new(c, titles, 7) };
	return table_end(l.table, list(&l, only));
}

/* ---- key show ---- */

/* Of "Object Type = Enumeration Private Key": what stands behind the type, without quotes. */
static const char *value_of(struct buf *line)
{
	while (line->n && line->p[line->n - 1] == '\n')
		line->n--;
	bool is_quoted = line->n && line->p[line->n - 1] == '"';
	line->n -= is_quoted;
	buf_add_u8(line, 0);
	const char *text = kf_ok(buf_err(line)) ? (const char *)line->p : "";
	const char *at = strstr(text, " = ");
	at = at ? at + 3 + strcspn(at + 3, " ") : text;
	at += *at == ' ';
	return at + (is_quoted && *at == '"');
}

/* "Link.Linked Object Identifier", value: a row for each item that is no structure. */
static kf_err show_rows(struct table *t, struct slice items, const char *above)
{
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		const struct ttlv_tag_info *info = ttlv_tag(it.tag);
		char name[512];
		snprintf(name, sizeof(name), "%s%s%s", above, *above ? "." : "",
			info ? info->text : "unknown");
		if (it.type == TTLV_STRUCT) {
			KF_TRY(show_rows(t, it.value, name));
			continue;
		}
		autobuf text = buf_new(4 * CALL_PAYLOAD_MAX);
		KF_TRY(ttlv_print(it.whole, true, &text));
		table_row(t, (const char *const[]){ name, value_of(&text) });
	}
	return r.err;
}

static kf_err show_as_json(struct cli *c, struct slice attrs)
{
	static const char *const titles[] = { "NAME", "VALUE" };
	struct table *t = table_new(c, titles, 2);
	return table_end(t, show_rows(t, attrs, ""));
}

static kf_err run_show(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	struct key_ids ids;
	KF_TRY(key_find(c, c->argv[0], &ids));
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(key_attributes(c, ids.id, &attrs));
	if (c->is_json)
		return show_as_json(c, buf_slice(&attrs));
	autobuf text = buf_new(4 * CALL_PAYLOAD_MAX);
	KF_TRY(ttlv_print(buf_slice(&attrs), true, &text));
	fwrite(text.p, 1, text.n, stdout);
	return KF_OK;
}

const struct command command_key_create = {
	.words = "key create",
	.args = "NAME [--type rsa:2048|ec:P-256|...] [--pool NAME [--copies N]]",
	.summary =
		"make a key pair or a symmetric key; prints the private key's id, or its "
		"own",
	.help = "  --type TYPE  rsa:2048, rsa:3072, rsa:4096, ec:P-256 (also prime256v1, "
		"secp256r1),\n"
		"               ec:P-384, ec:P-521, ec:brainpoolP256r1, P384r1, P512r1, "
		"ec:secp256k1, ed25519,\n"
		"               aes:128, aes:192, aes:256, chacha20:256, "
		"hmac-sha256:256, "
		"hmac-sha384:384,\n"
		"               hmac-sha512:512 [ec:P-256]; rsa:1024 where the key "
		"server\n"
		"               has legacy_rsa_1024 = yes\n" KEY_USAGE_HELP
		"               [sign; RSA: sign,decrypt]; an authority's: "
		"sign,certificate-sign,crl-sign\n"
		"  --inactive   do not activate it: see `keyfleet key activate`\n"
		"  --wraps      of AES: it wraps and unwraps other keys (AES Key Wrap "
		"with "
		"and without\n"
		"               padding) and does nothing else: see `keyfleet key "
		"export`\n"
		"\nOn tokens of a key server, with --pool NAME, or plugged in here, with "
		"--local:\n"
		"  --copies N          so many tokens shall hold it [all of the pool]\n"
		"  --on TOKEN          with --local: the token that makes "
		"it\n" TOKENS_HELP,
	.run = run_create,
};
const struct command command_key_import = {
	.words = "key import",
	.args = "NAME FILE|--pem FILE|--p12 FILE [--wrapped-with KEY --type TYPE]",
	.summary = "store an existing private key (PEM or DER), or a wrapped key; prints "
		   "its id",
	.help = "  --passphrase-file FILE  of an encrypted key; 0600; else it is asked "
		"for\n"
		"  --inactive              do not activate it\n"
		"\nA wrapped symmetric key, as `key export` writes it; the key server "
		"unwraps it, and gives it\nout wrapped only:\n"
		"  --wrapped-with KEY  made by `key create --wraps`, in software or on "
		"tokens; or an RSA pair\n"
		"  --type TYPE         aes:256, chacha20:256, hmac-sha256:256, ...\n"
		"  --mode MODE         padded, nist, cbc, gcm (these two behind the IV) "
		"[the other key's first]\n"
		"  --use LIST          what it is for: encrypt, decrypt, mac, ... [by "
		"its "
		"type]\n"
		"\nTo tokens: the key is wrapped here, under the DKEK of these shares; "
		"the key "
		"server\nsees neither.\n"
		"  --share FILE...     all DKEK shares of the tokens\n"
		"  --p12 FILE          PKCS#12: the key, and its certificate\n"
		"  --certificate FILE  goes to the tokens with the key\n"
		"  --copies N          so many tokens shall hold it [all of the pool]\n"
		"  --to TOKEN...       with --local: these tokens [all]\n"
		"  --overflow-copy     the key server keeps the key itself, too: see "
		"`key overflow`\n" SHARES_HELP TOKENS_HELP
		"\nRemove the file from the web servers afterwards.\n",
	.run = run_import,
};
const struct command command_key_list = {
	.words = "key list",
	.args = "[--kind KIND]",
	.summary = "list keys and secrets",
	.help = "  --kind KIND  private (of a pair), symmetric, secret (data, as pass "
		"phrases), split,\n"
		"               pgp; or public, which are not listed otherwise\n",
	.run = run_list,
};
const struct command command_key_show = { .words = "key show",
	.args = "NAME|ID",
	.summary = "print all attributes of a key",
	.run = run_show };
