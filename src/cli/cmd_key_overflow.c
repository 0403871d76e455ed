/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key overflow: the copy in software of a key on tokens.
 */
#include "cli/call.h"
#include "cli/key_token.h"
#include "kmip/token_admin.h"
#include <string.h>

static kf_err send(struct cli *c, const char *key, struct slice pkcs8)
{
	struct key_ids ids;
	autopayload p;
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	payload_init(&p);
	KF_TRY(key_find(c, key, &ids));
	const struct key_overflow q = { .uid = kmip_uid_text(slice_of(ids.id)),
		.key = pkcs8 };
	key_overflow_put_request(&p.w, &q);
	kf_err e = cli_call(c, KMIP_OPERATION_KEY_OVERFLOW, &p, &answer);
	if (kf_is(e, KF_E_INVALID_FIELD))
		cli_note(c, "%s: its key is not on tokens", key);
	if (kf_is(e, KF_E_KEY_FORMAT))
		cli_note(c, "%s: this is another key than that of its tokens", key);
	if (kf_is(e, KF_E_DENIED) && pkcs8.n)
		cli_note(c,
			"%s: its pool at this key server does not overflow; set "
			"`overflow "
			"= software` in its section of keyfleetd.conf first",
			key);
	return e;
}

kf_err key_overflow_give(struct cli *c, const char *key, const struct key_source *s)
{
	KF_TRY(send(c, key, buf_slice(&s->pair.pkcs8)));
	if (!c->is_quiet)
		cli_note(c,
			"%s: the key server keeps the key itself, too, and uses it when "
			"tokens cannot in time",
			key);
	return KF_OK;
}

static kf_err run_overflow(struct cli *c)
{
	CLEANUP(key_source_clear) struct key_source s = { c };
	bool drops = false;
	const struct cli_option options[] = { { "pem", &s.pem, NULL },
		{ "p12", &s.p12, NULL }, { "passphrase-file", &s.passphrase_file, NULL },
		{ "drop", NULL, &drops } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(c, 1, 1));
	if (!!s.pem + !!s.p12 + drops != 1)
		return kf_fail(INVALID_FIELD, "one of --pem FILE, --p12 FILE and --drop");
	if (drops)
		return send(c, c->argv[0], (struct slice){ 0 });
	KF_TRY(tokens_secrets());
	KF_TRY(key_source_read(&s));
	return key_overflow_give(c, c->argv[0], &s);
}

const struct command command_key_overflow = { .words = "key overflow",
	.args = "KEY --pem FILE|--p12 FILE|--drop",
	.summary =
		"give a key of tokens a copy in software for times of need, or take it "
		"away",
	.help = "  --pem FILE          the same private key, PEM or DER\n"
		"  --p12 FILE          ..., PKCS#12\n"
		"  --passphrase-file FILE  of an encrypted key; 0600; else it is asked "
		"for\n"
		"  --drop              tokens alone have the key from then on\n"
		"\nWhere [pool] overflow = software, the copy signs when tokens cannot "
		"in "
		"time. The key is\nthen as safe as the key server, and no more: without "
		"this command it never leaves\nthe tokens.\n",
	.run = run_overflow };
