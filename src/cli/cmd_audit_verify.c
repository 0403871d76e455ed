/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet audit verify, key and head: is the record of what was done whole?
 */
#include "audit/chain.h"
#include "audit/fields.h"
#include "audit/seal.h"
#include "audit/segment.h"
#include "audit/verify.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cli/call.h"
#include "cli/cmd_audit.h"
#include "cli/config.h"
#include "kmip/admin.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEYS_MAX = 64, FINDINGS_SHOWN = 100, KEY_FILE_MAX = 65536, HEAD_PAGE = 4096 };

struct verification {
	struct cli *cli;
	const char *key, *master_key, *witness, *from, *origin, *directory;
	uint8_t chains[CHAIN_ORIGIN_SIZE]; /* the origin, read */
	uint8_t trusted[KEYS_MAX][SIGNER_PUBLIC_SIZE];
	size_t n_trusted;
	struct keyring *keyring;
	struct table *table; /* with --json */
	uint64_t shown;
	struct progress progress;
};

/* ---- whose signatures count ---- */

/* Lines begin with a key in hexadecimal; what follows on a line is for people. */
static kf_err take_keys(struct verification *v, struct slice text)
{
	while (text.n) {
		const struct slice line = slice_take_line(&text);
		struct slice word = { line.p, 0 };
		while (word.n < line.n && line.p[word.n] > ' ')
			word.n++;
		if (word.n == 0 || word.p[0] == '#')
			continue;
		if (v->n_trusted == KEYS_MAX)
			return kf_fail(LIMIT, "too many audit keys");
		if (!chain_from_hex(word, v->trusted[v->n_trusted], SIGNER_PUBLIC_SIZE))
			return kf_fail(CONFIG,
				"an audit key is 64 hexadecimal digits, as `keyfleet "
				"audit key` prints them");
		v->n_trusted++;
	}
	return KF_OK;
}

static kf_err read_keys(struct verification *v, const char *path)
{
	autobuf text = buf_new(KEY_FILE_MAX), why = buf_new(4096);
	kf_err e = conf_read_file(path, &text, &why);
	if (!kf_ok(e)) {
		cli_note_lines(v->cli, &why);
		return e;
	}
	return cli_file_error(v->cli, path, take_keys(v, buf_slice(&text)));
}

static kf_err load_master(struct cli *c, const char *path, struct keyring **ret)
{
	unsigned line = 0;
	KF_TRY(secret_init(1 << 16));
	kf_err e = keyring_load(path, &line, ret);
	if (!kf_ok(e))
		cli_note(c, line ? "%s:%u: %s" : "%s:%.0u %s", path, line, e.site->text);
	return e;
}

/* audit.pub beside the configuration is what `keyfleet init` has left there. */
static kf_err find_keys(struct verification *v)
{
	char dir[4096], path[4096];
	struct stat st;
	if (v->master_key)
		return load_master(v->cli, v->master_key, &v->keyring);
	uint8_t one[SIGNER_PUBLIC_SIZE];
	if (v->key && chain_from_hex(slice_of(v->key), one, sizeof(one)))
		return take_keys(v, slice_of(v->key));
	if (v->key)
		return read_keys(v, v->key);
	KF_TRY(config_dir(v->cli, NULL, dir, sizeof(dir)));
	KF_TRY(path_join(dir, "audit.pub", path, sizeof(path)));
	return stat(path, &st) == 0 ? read_keys(v, path) : KF_OK;
}

/* ---- what is found ---- */

static void print_finding(struct verification *v, const char *file, const char *line,
	const struct replay_finding *f)
{
	const char *cells[] = { file, line, f->text };
	if (v->table)
		table_row(v->table, cells);
	else if (v->shown++ < FINDINGS_SHOWN)
		printf("%s%s%s%s%s\n", file, line[0] ? ":" : "", line,
			file[0] ? ": " : "", f->text);
}

static void found(void *arg, const struct replay_finding *f)
{
	struct verification *v = arg;
	char file[SEGMENT_NAME_SIZE] = "", line[24] = "";
	if (f->segment)
		segment_name(file, f->segment);
	if (f->line)
		snprintf(line, sizeof(line), "%" PRIu64, f->line);
	if (f->is_note && !v->cli->is_quiet)
		cli_note(v->cli, "%s", f->text);
	if (!f->is_note)
		print_finding(v, file, line, f);
}

static void show_progress(void *arg, double part)
{
	struct verification *v = arg;
	progress_show(&v->progress, v->cli, part);
}

static void summarise(const struct verification *v, const struct verify_result *r)
{
	char key[2 * SIGNER_PUBLIC_SIZE];
	bool is_pinned = v->n_trusted || v->keyring;
	chain_to_hex(r->public, sizeof(r->public), key);
	if (v->shown > FINDINGS_SHOWN)
		printf("and %" PRIu64 " more\n", v->shown - FINDINGS_SHOWN);
	if (v->cli->is_quiet)
		return;
	cli_note(v->cli,
		"%s: %" PRIu64 " segments, %" PRIu64 " records, %" PRIu64
		" checkpoints, %" PRIu64 " seen by witnesses; %s",
		r->server, r->segments, r->records, r->checkpoints, r->witnesses,
		r->findings ? "this is not what the server has written"
			    : "this is what the server has written");
	if (r->retired)
		cli_note(v->cli, "segments up to %" PRIu64 " were deleted by the server",
			r->retired);
	if (r->unsigned_lines)
		cli_note(v->cli, "the last %" PRIu64 " lines are not signed yet",
			r->unsigned_lines);
	if (!is_pinned)
		cli_note(v->cli,
			"the key %.*s is believed because the segments name it; pin it "
			"with --key",
			(int)sizeof(key), key);
}

/* ---- the command ---- */

/* Where `keyfleet init` puts it: beside the configuration, or with a system-wide set-up in /var/lib. */
kf_err audit_directory(const struct cli *c, char *ret, size_t size)
{
	char dir[4096];
	struct stat st;
	if (c->argc > 0)
		return slice_to_text(slice_of(c->argv[0]), ret, size);
	KF_TRY(config_dir(c, NULL, dir, sizeof(dir)));
	KF_TRY(path_join(dir, "audit", ret, size));
	return stat(ret, &st) == 0
		       ? KF_OK
		       : slice_to_text(slice_of("/var/lib/keyfleet/audit"), ret, size);
}

static kf_err verify(struct verification *v, uint64_t from, struct verify_result *ret)
{
	const struct verify work = { .directory = v->directory,
		.from = from,
		.trusted = v->trusted,
		.n_trusted = v->n_trusted,
		.keyring = v->keyring,
		.origin = v->origin ? v->chains : NULL,
		.witness = &v->witness,
		.n_witness = v->witness ? 1 : 0,
		.tell = found,
		.progress = show_progress,
		.arg = v };
	v->progress = progress_start("audit verify");
	kf_err e = verify_directory(&work, ret);
	progress_done(&v->progress, v->cli);
	return cli_file_error(v->cli, v->directory, e);
}

static kf_err run_with(struct verification *v)
{
	static const char *const titles[] = { "FILE", "LINE", "FINDING" };
	struct verify_result result = { 0 };
	char directory[4096];
	uint64_t from = 0;
	if (v->from && !field_number(slice_of(v->from), &from))
		return kf_fail(INVALID_FIELD, "--from is the number of a segment");
	if (v->origin &&
		!chain_from_hex(slice_of(v->origin), v->chains, sizeof(v->chains)))
		return kf_fail(INVALID_FIELD,
			"--origin is 32 hexadecimal digits, as `keyfleet audit head` "
			"prints them");
	KF_TRY(audit_directory(v->cli, directory, sizeof(directory)));
	v->directory = directory;
	KF_TRY(find_keys(v));
	v->table = v->cli->is_json ? table_new(v->cli, titles, 3) : NULL;
	kf_err e = verify(v, from, &result);
	if (v->table)
		e = table_end(v->table, e);
	KF_TRY(e);
	summarise(v, &result);
	*v->cli->has_told = true;
	return result.findings ? kf_fail(TAMPERED, "the audit was changed") : KF_OK;
}

static kf_err run_verify(struct cli *c)
{
	struct verification v = { .cli = c };
	const struct cli_option options[] = {
		{ "key", &v.key, NULL },
		{ "master-key", &v.master_key, NULL },
		{ "witness", &v.witness, NULL },
		{ "from", &v.from, NULL },
		{ "origin", &v.origin, NULL },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 0, 1));
	kf_err e = run_with(&v);
	keyring_free(v.keyring);
	return e;
}

const struct command command_audit_verify = {
	.words = "audit verify",
	.args = "[DIR] [--key KEY|FILE | --master-key FILE] [--witness FILE|DIR] [--from "
		"SEGMENT]\n"
		"                             [--origin ORIGIN]",
	.summary = "find any change, removal, insertion or cut in a server's audit log",
	.help = "  DIR                where the segments are [audit beside client.conf, "
		"or\n"
		"                     /var/lib/keyfleet/audit]; the server may run\n"
		"  --key KEY|FILE     the server's audit key, or a file of them "
		"[audit.pub "
		"beside\n"
		"                     client.conf; else the key that the segments name]\n"
		"  --master-key FILE  take the key from the master keys instead\n"
		"  --witness PATH     what others have seen of this server: lines of "
		"`keyfleet audit\n"
		"                     head`, or the audit directory of another key "
		"server\n"
		"  --origin ORIGIN    of the chains that must be here, as `keyfleet "
		"audit "
		"head`\n"
		"                     prints it\n"
		"  --from SEGMENT     leave out the segments before this number\n"
		"Every finding is a line with its file and line.  Exit status 1: "
		"something "
		"was found.\n",
	.run = run_verify,
};

/* ---- key ---- */

kf_err audit_key_lines(const struct keyring *k, struct buf *ret)
{
	for (size_t i = 0; i < keyring_count(k); i++) {
		CLEANUP(signer_freep) struct signer *s = NULL;
		uint8_t public[SIGNER_PUBLIC_SIZE];
		char hex[2 * SIGNER_PUBLIC_SIZE];
		KF_TRY(seal_signer(k, slice_of(keyring_id(k, i)), &s));
		signer_public(s, public);
		chain_to_hex(public, sizeof(public), hex);
		buf_printf(ret, "%.*s master key %s\n", (int)sizeof(hex), hex,
			keyring_id(k, i));
	}
	return buf_err(ret);
}

static kf_err run_key(struct cli *c)
{
	CLEANUP(keyring_freep) struct keyring *k = NULL;
	autobuf text = buf_new(KEY_FILE_MAX);
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(load_master(c, c->argv[0], &k));
	KF_TRY(audit_key_lines(k, &text));
	fwrite(text.p, 1, text.n, stdout);
	return KF_OK;
}

const struct command command_audit_key = {
	.words = "audit key",
	.args = "MASTER-KEY-FILE",
	.summary = "print the public keys by which audit logs are verified",
	.help = "One line for each master key.  They are no secret; keep them where the "
		"servers\n"
		"cannot change them: audit.pub beside client.conf, or --key of audit "
		"verify.\n",
	.run = run_key,
};

/* ---- head ---- */

static bool is_head(const struct status_pair *s, char *ret, size_t size)
{
	return slice_is(s->name, "audit.head") &&
	       kf_ok(slice_to_text(s->value, ret, size));
}

static kf_err run_head(struct cli *c)
{
	char head[HEAD_PAGE] = "";
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 0));
	struct list_pages pages = { .operation = KMIP_OPERATION_STATUS };
	kf_err e;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct status_pair s;
		while (status_pair_next(&r, &s) && !is_head(&s, head, sizeof(head)))
			;
	}
	KF_TRY(e);
	if (!head[0])
		return kf_fail(NOT_FOUND, "the server has written no checkpoint yet");
	puts(head);
	return KF_OK;
}

const struct command command_audit_head = {
	.words = "audit head",
	.args = "",
	.summary = "print the newest signed checkpoint of a server's audit log",
	.help = "Kept elsewhere, it is a witness for `audit verify --witness`: what the "
		"server "
		"has\n"
		"written up to then can be neither changed nor cut off unnoticed.\n",
	.run = run_head,
};
