/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key derive: a key out of others, at the key server (KMIP 2.1, Derive Key).
 *
 * A pass phrase and a stranger's public key have no object of their own.  They get one for as long as the derivation
 * takes, and it is destroyed, whatever comes of it.
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/call.h"
#include "cli/data.h"
#include "cli/key_usage.h"
#include "crypt/pubkey.h"
#include "keyfleet.h"
#include "kmip/attrs.h"
#include "kmip/derive_key.h"
#include "kmip/register.h"
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 1 << 16, ITERATIONS = 600000, PASSWORD_MAX = 1024 };

/* ---- methods ---- */

/* `hash`: what it computes with unless --hash says; 0: nothing, then SP 800-108 takes CMAC with an AES key. */
static const struct method {
	const char *name;
	uint32_t kmip, hash;
} methods[] = {
	{ "hkdf", KMIP_DERIVATION_METHOD_HKDF, KMIP_HASHING_ALGORITHM_SHA_256 },
	{ "pbkdf2", KMIP_DERIVATION_METHOD_PBKDF2, KMIP_HASHING_ALGORITHM_SHA_256 },
	{ "hmac", KMIP_DERIVATION_METHOD_HMAC, KMIP_HASHING_ALGORITHM_SHA_256 },
	{ "hash", KMIP_DERIVATION_METHOD_HASH, KMIP_HASHING_ALGORITHM_SHA_256 },
	{ "encrypt", KMIP_DERIVATION_METHOD_ENCRYPT, 0 },
	{ "counter", KMIP_DERIVATION_METHOD_NIST800_108_C, 0 },
	{ "feedback", KMIP_DERIVATION_METHOD_NIST800_108_F, 0 },
	{ "double-pipeline", KMIP_DERIVATION_METHOD_NIST800_108_DPI, 0 },
	{ "ecdh", KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, 0 },
	{ "aws4", KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4, 0 },
};

static const struct method *method_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (!strcmp(methods[i].name, name))
			return &methods[i];
	return NULL;
}

/* ---- what is said ---- */

/* --NAME TEXT, --NAME-hex HEX or --NAME-file FILE. */
struct input {
	const char *name, *text, *hex, *file;
	struct buf bytes;
	bool is_there;
};

struct derivation {
	struct cli *cli;
	const char *from, *with, *password_file, *peer, *method_name, *type, *hash, *mode,
		*iterations, *use;
	struct input data, salt, iv;
	bool is_inactive;

	const struct method *method;
	struct symmetric_type symmetric; /* bits 0: secret data of so many bits */
	int32_t secret_bits;
	uint32_t usage;
	struct key_ids base[2];
	bool is_lent[2]; /* destroyed at the end */
	bool holds_signals;
	sigset_t signals_before;
	size_t bases;
	struct derive_key_request q;
	struct buf attrs;
};

static kf_err read_hex(struct input *in)
{
	size_t n = strlen(in->hex) / 2;
	uint8_t *to = buf_reserve(&in->bytes, n + 1);
	if (!to)
		return buf_err(&in->bytes);
	if (OPENSSL_hexstr2buf_ex(to, n + 1, &n, in->hex, 0) != 1)
		return kf_fail(INVALID_FIELD, "these are no bytes in hex");
	buf_commit(&in->bytes, n);
	return KF_OK;
}

static kf_err read_file(struct cli *c, struct input *in)
{
	struct data_in file = { .cli = c };
	kf_err e = data_open(c, in->file, in->name, &file);
	if (kf_ok(e))
		e = data_read(&file, BYTES_MAX + 1, &in->bytes);
	data_close(&file);
	return kf_ok(e) && in->bytes.n > BYTES_MAX
		       ? cli_file_error(c, in->file,
				 kf_fail(TOO_BIG, "it is longer than 64 KiB"))
		       : e;
}

static kf_err read_input(struct cli *c, struct input *in)
{
	in->is_there = in->text || in->hex || in->file;
	if ((in->text != NULL) + (in->hex != NULL) + (in->file != NULL) > 1) {
		cli_note(c, "--%s is said twice", in->name);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	in->bytes = buf_new(BYTES_MAX + 1);
	if (in->text)
		buf_add_text(&in->bytes, in->text);
	if (in->hex)
		KF_TRY(read_hex(in));
	if (in->file)
		KF_TRY(read_file(c, in));
	return buf_err(&in->bytes);
}

static void forget(struct derivation *d)
{
	buf_free(&d->data.bytes);
	buf_free(&d->salt.bytes);
	buf_free(&d->iv.bytes);
	buf_free(&d->attrs);
}

/* What people remember is guessed, unless trying it takes long. */
static kf_err read_method(struct derivation *d)
{
	if (!d->method_name)
		d->method_name = d->password_file ? "pbkdf2" : "hkdf";
	d->method = method_by_name(d->method_name);
	if (d->method)
		return KF_OK;
	cli_note(d->cli,
		"%s: the methods are hkdf, pbkdf2, hmac, hash, encrypt, counter, "
		"feedback, double-pipeline, ecdh, aws4",
		d->method_name);
	return kf_fail(INVALID_FIELD, "see --help");
}

/* "secret" for as many bits as the method gives at once, or "secret:256" */
static bool is_secret(const char *type, int32_t *ret_bits)
{
	if (strncmp(type, "secret", 6) != 0 || (type[6] && type[6] != ':'))
		return false;
	char *end = NULL;
	long bits = type[6] ? strtol(type + 7, &end, 10) : 0;
	*ret_bits = (int32_t)bits;
	return !type[6] || (!*end && bits > 0 && bits <= 65536);
}

static kf_err read_type(struct derivation *d)
{
	if (symmetric_type_read(d->type, &d->symmetric) ||
		is_secret(d->type, &d->secret_bits))
		return KF_OK;
	cli_note(d->cli,
		"%s: what is derived is like aes:256, chacha20:256, hmac-sha256:256, "
		"secret:256 or secret",
		d->type);
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err check(struct derivation *d)
{
	bool is_agreement = d->method->kmip == KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY;
	bool is_pbkdf2 = d->method->kmip == KMIP_DERIVATION_METHOD_PBKDF2;
	if ((d->from != NULL) == (d->password_file != NULL))
		return kf_fail(
			INVALID_FIELD, "one of --from KEY and --password-file FILE");
	if (d->with && d->peer)
		return kf_fail(INVALID_FIELD, "one of --with KEY and --peer FILE");
	if (is_agreement && !d->with && !d->peer)
		return kf_fail(INVALID_FIELD,
			"ecdh is with somebody: --with KEY or --peer FILE");
	if (d->peer && !is_agreement)
		return kf_fail(INVALID_FIELD, "--peer is for ecdh");
	if (is_pbkdf2 && !d->salt.is_there)
		return kf_fail(INVALID_FIELD, "pbkdf2 wants a salt: --salt-hex HEX");
	return KF_OK;
}

/* ---- objects that are lent ---- */

/* Whoever loses patience would leave them, and a pass phrase has no name by which it could be found. */
static void hold_signals(struct derivation *d)
{
	static const int those[] = { SIGHUP, SIGINT, SIGTERM };
	sigset_t set;
	if (d->holds_signals)
		return;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(those) / sizeof(*those); i++)
		sigaddset(&set, those[i]);
	d->holds_signals = sigprocmask(SIG_BLOCK, &set, &d->signals_before) == 0;
}

static void let_signals_come(struct derivation *d)
{
	if (d->holds_signals)
		sigprocmask(SIG_SETMASK, &d->signals_before, NULL);
	d->holds_signals = false;
}

static kf_err lend(struct derivation *d, const struct kmip_object *o)
{
	autobuf attrs = buf_new(1024), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct register_response a = { 0 };

	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, clock_wall_s() - 1);
	payload_init(&p);
	const struct register_request q = { .attributes = buf_slice(&attrs),
		.object = *o };
	register_put_request(&p.w, &q);
	hold_signals(d);
	KF_TRY(cli_call(d->cli, KMIP_OPERATION_REGISTER, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(register_get_response(&r, &a));
	struct key_ids *ids = &d->base[d->bases];
	KF_TRY(slice_to_text(a.uid.text, ids->id, sizeof(ids->id)));
	d->is_lent[d->bases++] = true;
	return KF_OK;
}

static kf_err lend_password(struct derivation *d)
{
	autobuf password = buf_new(PASSWORD_MAX);
	KF_TRY(cli_read_secret(d->cli, d->password_file, &password));
	if (!password.n)
		return cli_file_error(d->cli, d->password_file,
			kf_fail(INVALID_FIELD, "there is no password in it"));
	return lend(d, &(struct kmip_object){
			       .type = KMIP_OBJECT_TYPE_SECRET_DATA,
			       .secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD,
			       .block = { .format = KMIP_KEY_FORMAT_TYPE_OPAQUE,
				       .has_value = true,
				       .material = buf_slice(&password) },
		       });
}

static kf_err read_peer(struct derivation *d, struct pubkey **ret)
{
	autobuf pem = buf_new(BYTES_MAX), why = buf_new(4096);
	kf_err e = conf_read_file(d->peer, &pem, &why);
	if (!kf_ok(e)) {
		cli_note_lines(d->cli, &why);
		return e;
	}
	return cli_file_error(d->cli, d->peer, pubkey_from_pem(buf_slice(&pem), ret));
}

static kf_err lend_peer(struct derivation *d)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(read_peer(d, &key));
	const struct alg *alg = pubkey_alg(key);
	return lend(d, &(struct kmip_object){
			       .type = KMIP_OBJECT_TYPE_PUBLIC_KEY,
			       .block = { .format = KMIP_KEY_FORMAT_TYPE_X_509,
				       .algorithm = alg->kmip_algorithm,
				       .length = (int32_t)alg->bits,
				       .has_value = true,
				       .material = pubkey_spki(key) },
		       });
}

static kf_err find_base(struct derivation *d, const char *name)
{
	KF_TRY(key_find(d->cli, name, &d->base[d->bases]));
	d->bases++;
	return KF_OK;
}

/* ecdh --with the name of a pair means its public half. */
static kf_err find_other(struct derivation *d)
{
	struct key_ids *ids = &d->base[d->bases];
	KF_TRY(find_base(d, d->with));
	if (d->method->kmip == KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY &&
		ids->public_key[0])
		memcpy(ids->id, ids->public_key, sizeof(ids->id));
	return KF_OK;
}

static kf_err find_bases(struct derivation *d)
{
	KF_TRY(d->from ? find_base(d, d->from) : lend_password(d));
	if (d->with)
		return find_other(d);
	return d->peer ? lend_peer(d) : KF_OK;
}

/* What remains is of no use to anybody, but a secret: its id is told. */
static void give_back(struct derivation *d)
{
	for (size_t i = 0; i < d->bases; i++) {
		kf_call call = { 0 };
		if (!d->is_lent[i])
			continue;
		kf_revoke(d->cli->client, d->base[i].id,
			KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION, NULL, &call);
		if (kf_destroy(d->cli->client, d->base[i].id, &call) != KF_SUCCESS)
			cli_note(d->cli,
				"%s was for this derivation alone, and is left: %s",
				d->base[i].id, kf_error_text(&call));
	}
	let_signals_come(d);
}

/* ---- the request ---- */

static kf_err set_word(
	const struct derivation *d, enum ttlv_kind kind, const char *word, uint32_t *ret)
{
	if (!word || ttlv_value_find(kind, slice_of(word), ret))
		return KF_OK;
	cli_note(d->cli, "%s is not known to KMIP", word);
	return kf_fail(INVALID_FIELD, "see --help");
}

/* "sha256" as well as "SHA-256". */
static kf_err set_hash(const struct derivation *d, uint32_t *ret)
{
	const struct hash *h = d->hash ? hash_by_name(d->hash) : NULL;
	if (!h)
		return set_word(d, TTLV_KIND_HASHING_ALGORITHM, d->hash, ret);
	*ret = h->kmip;
	return KF_OK;
}

static kf_err set_iterations(const struct derivation *d, int32_t *ret)
{
	const char *text = d->iterations;
	const unsigned long n = text ? strtoul(text, NULL, 10) : ITERATIONS;
	if (text && (!*text || text[strspn(text, "0123456789")]))
		return kf_fail(INVALID_FIELD, "--iterations takes a number");
	if (n < 1 || n > INT32_MAX)
		return kf_fail(INVALID_FIELD, "--iterations: 1 to 2147483647");
	*ret = (int32_t)n;
	return KF_OK;
}

static kf_err set_parameters(struct derivation *d)
{
	struct derivation_parameters *how = &d->q.how;
	how->parameters.hashing_algorithm = d->method->hash;
	KF_TRY(set_hash(d, &how->parameters.hashing_algorithm));
	KF_TRY(set_word(d, TTLV_KIND_BLOCK_CIPHER_MODE, d->mode,
		&how->parameters.block_cipher_mode));
	how->has_parameters =
		how->parameters.hashing_algorithm || how->parameters.block_cipher_mode;
	how->iv = buf_slice(&d->iv.bytes);
	how->data[0] = buf_slice(&d->data.bytes);
	how->data_n = d->data.is_there;
	how->salt = buf_slice(&d->salt.bytes);
	how->has_salt = d->salt.is_there;
	how->has_iterations = d->method->kmip == KMIP_DERIVATION_METHOD_PBKDF2;
	return set_iterations(d, &how->iterations);
}

static kf_err set_attributes(struct derivation *d)
{
	uint32_t usage = d->usage ? d->usage : d->symmetric.usage;
	int32_t bits = d->symmetric.bits ? d->symmetric.bits : d->secret_bits;
	d->attrs = buf_new(4096);
	attrs_add_name(&d->attrs, slice_of(d->cli->argv[0]));
	if (d->symmetric.bits)
		attrs_add_enum(
			&d->attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, d->symmetric.algorithm);
	if (bits)
		attrs_add_int(&d->attrs, TAG_CRYPTOGRAPHIC_LENGTH, bits);
	attrs_add_int(&d->attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)usage);
	if (!d->is_inactive)
		attrs_add_date(&d->attrs, TAG_ACTIVATION_DATE, clock_wall_s() - 1);
	d->q.attributes = buf_slice(&d->attrs);
	return buf_err(&d->attrs);
}

static kf_err derive(struct derivation *d)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct derive_key_response a = { 0 };
	char id[KEY_ID_TEXT];

	d->q.object_type = d->symmetric.bits ? KMIP_OBJECT_TYPE_SYMMETRIC_KEY
					     : KMIP_OBJECT_TYPE_SECRET_DATA;
	d->q.method = d->method->kmip;
	d->q.bases = d->bases;
	for (size_t i = 0; i < d->bases; i++)
		d->q.base[i] = kmip_uid_text(slice_of(d->base[i].id));
	payload_init(&p);
	derive_key_put_request(&p.w, &d->q);
	KF_TRY(cli_call(d->cli, KMIP_OPERATION_DERIVE_KEY, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(derive_key_get_response(&r, &a));
	KF_TRY(slice_to_text(a.uid.text, id, sizeof(id)));
	puts(id);
	return KF_OK;
}

/* All of the command line before anything is sent. */
static kf_err prepare(struct derivation *d)
{
	KF_TRY(cli_operands(d->cli, 1, 1));
	KF_TRY(key_name_check(d->cli->argv[0]));
	KF_TRY(read_method(d));
	KF_TRY(read_type(d));
	KF_TRY(key_usage_read(d->cli, d->use, &d->usage));
	KF_TRY(read_input(d->cli, &d->data));
	KF_TRY(read_input(d->cli, &d->salt));
	KF_TRY(read_input(d->cli, &d->iv));
	KF_TRY(check(d));
	KF_TRY(set_parameters(d));
	return set_attributes(d);
}

static kf_err run_derive(struct cli *c)
{
	CLEANUP(forget)
	struct derivation d = { .cli = c,
		.type = "aes:256",
		.data = { .name = "data" },
		.salt = { .name = "salt" },
		.iv = { .name = "iv" } };
	const struct cli_option options[] = { { "from", &d.from, NULL },
		{ "with", &d.with, NULL }, { "peer", &d.peer, NULL },
		{ "password-file", &d.password_file, NULL },
		{ "method", &d.method_name, NULL }, { "type", &d.type, NULL },
		{ "hash", &d.hash, NULL }, { "mode", &d.mode, NULL },
		{ "iterations", &d.iterations, NULL }, { "use", &d.use, NULL },
		{ "data", &d.data.text, NULL }, { "data-hex", &d.data.hex, NULL },
		{ "data-file", &d.data.file, NULL }, { "salt", &d.salt.text, NULL },
		{ "salt-hex", &d.salt.hex, NULL }, { "salt-file", &d.salt.file, NULL },
		{ "iv-hex", &d.iv.hex, NULL }, { "inactive", NULL, &d.is_inactive } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(prepare(&d));
	kf_err e = find_bases(&d);
	if (kf_ok(e))
		e = derive(&d);
	give_back(&d);
	return e;
}

const struct command command_key_derive = {
	.words = "key derive",
	.args = "NAME --from KEY|--password-file FILE [--method hkdf|...] [--type "
		"aes:256]",
	.summary = "make a key out of another one, which does not leave the server; "
		   "prints its "
		   "id",
	.help = "  --from KEY            the key that it is made of\n"
		"  --password-file FILE  or a pass phrase, 0600; it is not kept\n"
		"  --method METHOD       hkdf, pbkdf2, hmac, hash, encrypt; counter, "
		"feedback,\n"
		"                        double-pipeline (SP 800-108); ecdh, aws4\n"
		"                        [hkdf; of a pass phrase pbkdf2, with a salt]\n"
		"  --with KEY            ecdh: whose public key; else: secret data that "
		"is the "
		"data\n"
		"  --peer FILE           ecdh: a public key or a certificate in a file, "
		"PEM\n"
		"  --type TYPE           aes:256, chacha20:256, hmac-sha256:256, "
		"secret:256, ... "
		"[aes:256]\n"
		"  --data TEXT           hkdf: the info; else: the derivation data; "
		"--data-hex "
		"HEX,\n                        --data-file FILE\n"
		"  --salt TEXT           --salt-hex HEX, --salt-file FILE\n"
		"  --hash NAME           SHA-256, SHA-384, SHA-512, ... [SHA-256]\n"
		"  --iterations N        pbkdf2 [600000]; a keyfleetd takes as "
		"many as\n                        its `[limits] derive_iterations` says "
		"(2000000)\n"
		"  --mode NAME           encrypt: CBC, CTR, ...; SP 800-108: CMAC\n"
		"  --iv-hex HEX          encrypt, feedback: what it begins with\n"
		"  --use LIST            what it is for: encrypt, decrypt, mac, derive, "
		"... [by "
		"its type]\n"
		"  --inactive            do not activate it\n"
		"\nThe key that it is made of must be for deriving: `key create NAME "
		"--use "
		"derive`.\n",
	.run = run_derive,
};
