/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key export: the value of a key into a file, wrapped by another key of the server, in software or on tokens.
 */
#include "cli/call.h"
#include "cli/key_wrapped.h"
#include "kmip/attrs.h"
#include "kmip/get.h"
#include "kmip/key_wrapping.h"
#include <stdio.h>
#include <string.h>

struct export
{
	struct cli *cli;
	const char *by, *mode, *out;
	struct key_wrap_mode how;
	struct key_ids key, kek;
};

/* ---- what is asked for ---- */

static kf_err read_options(struct export *e)
{
	const struct cli_option options[] = { { "wrap-with", &e->by, NULL },
		{ "mode", &e->mode, NULL }, { "out", &e->out, NULL } };
	KF_TRY(cli_options(e->cli, options, sizeof(options) / sizeof(*options)));
	KF_TRY(cli_operands(e->cli, 1, 1));
	if (!e->by)
		return kf_fail(INVALID_FIELD,
			"--wrap-with KEY: keys leave wrapped; see `key create --wraps`");
	if (!e->out)
		return kf_fail(INVALID_FIELD, "--out FILE: where to?");
	return key_wrap_mode(e->cli, e->mode, &e->how);
}

/* A private key leaves as everybody reads it. */
static kf_err read_format(struct export *e, uint32_t *ret)
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	uint32_t type = 0;
	KF_TRY(key_attributes(e->cli, e->key.id, &attrs));
	(void)attrs_get_enum(buf_slice(&attrs), TAG_OBJECT_TYPE, &type);
	*ret = type == KMIP_OBJECT_TYPE_PRIVATE_KEY ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : 0;
	return KF_OK;
}

/* What a pair wraps its public half does. */
static struct key_wrapping wrapping_of(const struct export *e)
{
	const char *id = e->kek.public_key[0] ? e->kek.public_key : e->kek.id;
	return (struct key_wrapping){
		.method = KMIP_WRAPPING_METHOD_ENCRYPT,
		.encryption = { .is_there = true,
			.uid = kmip_uid_text(slice_of(id)),
			.has_parameters = e->how.mode != 0,
			.parameters = { .block_cipher_mode = e->how.mode } },
		.encoding = KMIP_ENCODING_OPTION_NO_ENCODING,
	};
}

static kf_err ask(struct export *e, struct buf *answer)
{
	autobuf how = buf_new(4096);
	autopayload p;
	const struct key_wrapping wrapping = wrapping_of(e);
	struct ttlv_writer w = ttlv_write(&how, KMIP_2_1);
	struct get_request q = { .uid = kmip_uid_text(slice_of(e->key.id)) };
	payload_init(&p);
	KF_TRY(read_format(e, &q.key_format_type));
	key_wrapping_specification_put(&w, &wrapping);
	KF_TRY(ttlv_written(&w));
	q.key_wrapping_specification = buf_slice(&how);
	get_put_request(&p.w, &q);
	return cli_call(e->cli, KMIP_OPERATION_GET, &p, answer);
}

/* ---- what came ---- */

static kf_err write_file(
	const struct export *e, const struct key_block *b, const struct key_wrapping *how)
{
	autobuf file = buf_new(CALL_PAYLOAD_MAX);
	if (!b->is_wrapped || !b->is_encoded)
		return kf_fail(MALFORMED, "the server has not wrapped the key");
	buf_add_slice(&file, how->iv);
	buf_add_slice(&file, b->material);
	KF_TRY(buf_err(&file));
	return cli_file_error(
		e->cli, e->out, file_create(e->out, buf_slice(&file), 0600));
}

static kf_err tell(
	const struct export *e, const struct key_block *b, const struct key_wrapping *how)
{
	static const char *const titles[] = { "FILE", "FORMAT", "BYTES", "IV BYTES",
		"WRAPPED BY" };
	const char *format = ttlv_value_text(TTLV_KIND_KEY_FORMAT_TYPE, b->format);
	char bytes[24], iv[24], by[KEY_ID_TEXT];
	snprintf(bytes, sizeof(bytes), "%zu", how->iv.n + b->material.n);
	snprintf(iv, sizeof(iv), "%zu", how->iv.n);
	KF_TRY(slice_to_text(how->encryption.uid.text, by, sizeof(by)));
	struct table *t = table_new(e->cli, titles, 5);
	table_row(
		t, (const char *const[]){ e->out, format ? format : "?", bytes, iv, by });
	return table_end(t, KF_OK);
}

static kf_err export(struct export *e)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	struct get_response a = { 0 };
	struct key_wrapping how;
	KF_TRY(cli_file_error(e->cli, e->out, file_may_create(e->out)));
	KF_TRY(key_find(e->cli, e->cli->argv[0], &e->key));
	KF_TRY(key_find(e->cli, e->by, &e->kek));
	KF_TRY(ask(e, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(get_get_response(&r, &a));
	KF_TRY(key_wrapping_data_parse(a.object.block.wrapping_data, KMIP_2_1, &how));
	KF_TRY(write_file(e, &a.object.block, &how));
	return tell(e, &a.object.block, &how);
}

static kf_err run_export(struct cli *c)
{
	struct export e = { .cli = c };
	KF_TRY(read_options(&e));
	return export(&e);
}

const struct command command_key_export = {
	.words = "key export",
	.args = "KEY --wrap-with KEY --out FILE [--mode MODE]",
	.summary = "write a key into a file, wrapped by another key",
	.help = "  --wrap-with KEY     made by `key create --wraps`, in software or on "
		"tokens; or an RSA\n"
		"                      pair whose public key wraps (OAEP)\n"
		"  --out FILE          a new file: the wrapped bytes, with CBC and GCM "
		"behind the IV\n"
		"  --mode MODE         padded (RFC 5649), nist (RFC 3394), cbc, gcm [the "
		"wrapping key's first]\n"
		"\nPrivate keys are wrapped as PKCS#8, which nist does not take.  The "
		"key "
		"must be extractable.\n"
		"Whoever has the wrapping key reads it: openssl enc -d "
		"-id-aes256-wrap-pad -iv A65959A6 -K HEX.\n",
	.run = run_export,
};
