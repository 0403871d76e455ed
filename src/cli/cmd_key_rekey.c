/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key rekey: a new key takes the place and the names of one, by KMIP's Re-key and Re-key Key Pair.
 */
#include "cli/call.h"
#include "kmip/rekey.h"
#include <stdlib.h>
#include <string.h>

struct renewal {
	struct cli *cli;
	struct key_ids old;
	bool is_pair, has_offset;
	uint32_t offset_s;
	char private_key[KEY_ID_TEXT], public_key[KEY_ID_TEXT];
};

static kf_err read_offset(struct renewal *r, const char *text)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;
	r->has_offset = text != NULL;
	if (text && (text[0] < '0' || text[0] > '9' || *end || n > UINT32_MAX)) {
		cli_note(r->cli, "--offset %s: a number of seconds", text);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	r->offset_s = (uint32_t)n;
	return KF_OK;
}

static kf_err look_at_old(struct renewal *r, const char *name)
{
	uint32_t type = 0;
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(key_find(r->cli, name, &r->old));
	KF_TRY(key_attributes(r->cli, r->old.id, &attrs));
	(void)attrs_get_enum(buf_slice(&attrs), TAG_OBJECT_TYPE, &type);
	r->is_pair = type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
	return KF_OK;
}

static kf_err rekey_key(struct renewal *r)
{
	autopayload p;
	payload_init(&p);
	rekey_put_request(
		&p.w, &(struct rekey_request){ .uid = kmip_uid_text(slice_of(r->old.id)),
			      .has_offset = r->has_offset,
			      .offset_s = r->offset_s });
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(r->cli, KMIP_OPERATION_RE_KEY, &p, &answer));
	struct ttlv_reader reader = answer_reader(&answer);
	struct rekey_response a;
	KF_TRY(rekey_get_response(&reader, &a));
	return slice_to_text(a.uid.text, r->private_key, sizeof(r->private_key));
}

/* A key on tokens may take minutes. */
static kf_err rekey_pair(struct renewal *r)
{
	autopayload p;
	payload_init(&p);
	rekey_pair_put_request(&p.w,
		&(struct rekey_pair_request){ .uid = kmip_uid_text(slice_of(r->old.id)),
			.has_offset = r->has_offset,
			.offset_s = r->offset_s });
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call_slow(r->cli, KMIP_OPERATION_RE_KEY_KEY_PAIR, &p, &answer));
	struct ttlv_reader reader = answer_reader(&answer);
	struct create_key_pair_response a;
	KF_TRY(create_key_pair_get_response(&reader, &a));
	KF_TRY(slice_to_text(a.public_key.text, r->public_key, sizeof(r->public_key)));
	return slice_to_text(a.private_key.text, r->private_key, sizeof(r->private_key));
}

static kf_err run_rekey(struct cli *c)
{
	static const char *const titles[] = { "ID", "PUBLIC KEY", "REPLACES" };
	struct renewal r = { .cli = c };
	const char *offset = NULL;
	const struct cli_option options[] = { { "offset", &offset, NULL } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(read_offset(&r, offset));
	KF_TRY(look_at_old(&r, c->argv[0]));
	KF_TRY(r.is_pair ? rekey_pair(&r) : rekey_key(&r));
	struct table *t = table_new(c, titles, 3);
	table_row(t, (const char *const[]){ r.private_key, r.public_key, r.old.id });
	return table_end(t, KF_OK);
}

const struct command command_key_rekey = {
	.words = "key rekey",
	.args = "NAME|ID [--offset SECONDS]",
	.summary = "make a new key in the place of one, whose names it takes over",
	.help = "  --offset SECONDS    the new key is active so much later; its other "
		"dates move along\n"
		"                      [the dates of the old one]\n"
		"\nThe old key keeps its identifier and its state: what it protected can "
		"be read by that.  Key\n"
		"references and certificates are of one key: for those `keyfleet key "
		"rotate`.\n",
	.run = run_rekey,
};
