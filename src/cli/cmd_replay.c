/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet replay: runs OASIS's test cases for KMIP against a server, of ours or of others.
 */
#include "base/conf.h"
#include "cli/replay.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30000, TIMEOUT_MAX_S = 86400, CONNECT_MS = 10000, VERSIONS = 16 };

struct wishes {
	const char *server, *cert, *key, *ca, *name, *version, *timeout;
	bool is_verbose, is_list, is_reset;
};

struct tally {
	uint16_t version;
	size_t passed, failed;
};

struct replay {
	struct cli *cli;
	struct wishes wish;
	struct settings settings;
	struct replay_server server;
	struct replay_files files;
	struct table *table; /* --json, --list */
	uint16_t version;    /* --version; 0: as the files say */
	struct tally tally[VERSIONS];
	size_t versions;
};

/* ---- which server ---- */

static kf_err copy(const char *from, char **ret)
{
	*ret = strdup(from);
	return *ret ? KF_OK : kf_fail(NOMEM, "copying options");
}

static kf_err use_options(struct replay *r)
{
	const struct wishes *o = &r->wish;
	if (!o->cert || !o->key || !o->ca)
		return kf_fail(INVALID_FIELD, "--server comes with --cert, --key and "
					      "--ca, who we are and whom to believe");
	KF_TRY(copy(o->cert, &r->settings.certificate));
	KF_TRY(copy(o->key, &r->settings.key));
	KF_TRY(copy(o->ca, &r->settings.ca));
	r->settings.connect_timeout_ms = CONNECT_MS;
	r->server.address = o->server;
	return KF_OK;
}

static kf_err use_configuration(struct replay *r)
{
	autobuf why = buf_new(65536);
	kf_err e = settings_read(r->cli->config, &r->settings, &why);
	if (!kf_ok(e)) {
		cli_note_lines(r->cli, &why);
		return e;
	}
	if (!r->settings.servers.n)
		return kf_fail(CONFIG, "the configuration names no key server; say "
				       "--server with --cert, --key and --ca");
	r->server.address = r->settings.servers.item[0];
	return KF_OK;
}

static kf_err choose_server(struct replay *r)
{
	KF_TRY(r->wish.server ? use_options(r) : use_configuration(r));
	const char *name = r->wish.name ? r->wish.name : r->settings.server_name;
	r->server.host = name && !strcmp(name, "*") ? NULL : name;
	r->server.settings = &r->settings;
	r->server.is_verbose = r->wish.is_verbose;
	return KF_OK;
}

/* ---- one case ---- */

static const char *version_text(uint16_t version, char ret[8])
{
	snprintf(ret, 8, "%u.%u", version >> 8 & 0xff, version & 0xff);
	return ret;
}

static struct tally *tally_of(struct replay *r, uint16_t version)
{
	for (size_t i = 0; i < r->versions; i++)
		if (r->tally[i].version == version)
			return &r->tally[i];
	if (r->versions < VERSIONS)
		r->tally[r->versions++].version = version;
	return &r->tally[r->versions - 1];
}

static const char *const words[] = { [REPLAY_PASS] = "PASS",
	[REPLAY_DIFFERS] = "FAIL",
	[REPLAY_STATUS] = "FAIL-STATUS",
	[REPLAY_BROKEN] = "FAIL-CONNECTION" };

static void say(struct replay *r, const char *path, uint16_t version,
	struct replay_result *result)
{
	char name[128], exchange[32], v[8];
	replay_name(path, name, sizeof(name));
	snprintf(exchange, sizeof(exchange), "%zu", result->exchange);
	buf_add_u8(&result->text, 0);
	const char *text = (const char *)result->text.p;
	if (r->table) {
		const char *const cells[] = { name, version_text(version, v),
			words[result->verdict],
			result->verdict == REPLAY_PASS ? "" : exchange,
			result->operation ? result->operation : "", text, path };
		table_row(r->table, cells);
	} else if (result->verdict == REPLAY_PASS) {
		printf("PASS %s\n", name);
	} else {
		printf("%s %s: exchange %s %s: %s\n", words[result->verdict], name,
			exchange, result->operation ? result->operation : "", text);
	}
	fflush(stdout);
}

static kf_err read_case(struct replay *r, const char *path, struct replay_case *ret)
{
	autobuf xml = buf_new(REPLAY_FILE_MAX), why = buf_new(65536);
	kf_err e = conf_read_file(path, &xml, &why);
	if (!kf_ok(e)) {
		cli_note_lines(r->cli, &why);
		return e;
	}
	e = replay_case_read(buf_slice(&xml), &why, ret);
	if (!kf_ok(e))
		cli_note(r->cli, "%s:%.*s", path, why.n ? (int)why.n - 1 : 0,
			(const char *)why.p);
	return e;
}

static kf_err reset_before(struct replay *r, bool is_new_version)
{
	autobuf why = buf_new(4096);
	if (!r->wish.is_reset || !is_new_version)
		return KF_OK;
	kf_err e = replay_reset(&r->server, &why);
	if (!kf_ok(e))
		cli_note(r->cli, "--reset: %.*s", (int)why.n, (const char *)why.p);
	return e;
}

static kf_err run_case(struct replay *r, const char *path, struct replay_case *c)
{
	if (r->version)
		KF_TRY(cli_file_error(
			r->cli, path, replay_case_set_version(c, r->version)));
	size_t versions = r->versions;
	struct tally *t = tally_of(r, c->version);
	KF_TRY(reset_before(r, r->versions > versions));
	struct replay_result result = { .text = buf_new(65536) };
	if (r->server.is_verbose)
		printf("== %s\n", path);
	replay_run(&r->server, c, &result);
	say(r, path, c->version, &result);
	*(result.verdict == REPLAY_PASS ? &t->passed : &t->failed) += 1;
	buf_free(&result.text);
	return KF_OK;
}

static void list_case(struct replay *r, const char *path, const struct replay_case *c)
{
	char name[128], exchanges[32], version[8];
	replay_name(path, name, sizeof(name));
	snprintf(exchanges, sizeof(exchanges), "%zu", c->exchanges);
	const char *const cells[] = { name, version_text(c->version, version), exchanges,
		path };
	table_row(r->table, cells);
}

static kf_err take(struct replay *r, const char *path)
{
	struct replay_case c;
	kf_err e = read_case(r, path, &c);
	if (kf_ok(e) && r->wish.is_list)
		list_case(r, path, &c);
	else if (kf_ok(e))
		e = run_case(r, path, &c);
	replay_case_clear(&c);
	return e;
}

/* ---- the run ---- */

static kf_err parse_version(const char *text, uint16_t *ret)
{
	if (!text)
		return KF_OK;
	if (strlen(text) != 3 || text[0] < '1' || text[0] > '2' || text[1] != '.' ||
		text[2] < '0' || text[2] > (text[0] == '1' ? '4' : '1'))
		return kf_fail(INVALID_FIELD, "--version is 1.0 to 1.4, 2.0 or 2.1");
	*ret = (uint16_t)((text[0] - '0') << 8 | (text[2] - '0'));
	return KF_OK;
}

/* Digits alone; what a number cannot hold is above every limit. */
static kf_err parse_timeout(const char *text, int64_t *ret_ms)
{
	const size_t digits = strspn(text, "0123456789");
	errno = 0;
	const unsigned long seconds = strtoul(text, NULL, 10);
	if (!digits || text[digits] || errno || seconds < 1 || seconds > TIMEOUT_MAX_S)
		return kf_fail(
			INVALID_FIELD, "--timeout is in whole seconds, from 1 to 86400");
	*ret_ms = (int64_t)seconds * 1000;
	return KF_OK;
}

static void print_tally(struct replay *r)
{
	char version[8];
	for (size_t i = 0; i < r->versions; i++) {
		const struct tally *t = &r->tally[i];
		if (!r->table)
			printf("%s: %zu passed, %zu failed\n",
				version_text(t->version, version), t->passed, t->failed);
		if (t->failed)
			r->cli->exit_status = 1;
	}
}

static kf_err run_all(struct replay *r)
{
	static const char *const results[] = { "Case", "Version", "Result", "Exchange",
		"Operation", "Difference", "File" };
	static const char *const list[] = { "Case", "Version", "Exchanges", "File" };
	if (r->wish.is_list)
		r->table = table_new(r->cli, list, 4);
	else if (r->cli->is_json)
		r->table = table_new(r->cli, results, 7);
	kf_err e = KF_OK;
	for (size_t i = 0; i < r->files.n && kf_ok(e); i++)
		e = take(r, r->files.path[i]);
	print_tally(r);
	return r->table ? table_end(r->table, e) : e;
}

static kf_err prepare(struct replay *r)
{
	struct wishes *o = &r->wish;
	const struct cli_option options[] = { { "server", &o->server },
		{ "cert", &o->cert }, { "key", &o->key }, { "ca", &o->ca },
		{ "server-name", &o->name }, { "version", &o->version },
		{ "timeout", &o->timeout }, { "verbose", NULL, &o->is_verbose },
		{ "list", NULL, &o->is_list }, { "reset", NULL, &o->is_reset } };
	KF_TRY(cli_options(r->cli, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(r->cli, 1, 4096));
	KF_TRY(parse_version(o->version, &r->version));
	r->server.timeout_ms = TIMEOUT_MS;
	if (o->timeout)
		KF_TRY(parse_timeout(o->timeout, &r->server.timeout_ms));
	for (int i = 0; i < r->cli->argc; i++)
		KF_TRY(replay_files_add(r->cli, &r->files, r->cli->argv[i]));
	if (!r->files.n)
		return kf_fail(NOT_FOUND, "there are no test cases (*.xml)");
	return o->is_list ? KF_OK : choose_server(r);
}

static kf_err run(struct cli *c)
{
	struct replay r = { .cli = c };
	kf_err e = prepare(&r);
	if (kf_ok(e))
		e = run_all(&r);
	replay_files_clear(&r.files);
	replay_vars_clear(&r.server.scope.vars);
	replay_vars_clear(&r.server.scope.objects);
	settings_free(&r.settings);
	return e;
}

const struct command command_replay = {
	.words = "replay",
	.args = "FILE|FOLDER... [--server HOST:PORT --cert FILE --key FILE --ca FILE] "
		"[--version V]\n"
		"                       [--reset] [--verbose] [--list] [--timeout "
		"SECONDS]",
	.summary = "run OASIS's test cases for KMIP against a server",
	.help = "Prints PASS or FAIL for each case, with the first difference; the "
		"status is 1 if one failed.\n\n"
		"  --server HOST:PORT  instead of the first key server of the "
		"configuration\n"
		"  --cert, --key FILE  who we are, PEM\n"
		"  --ca FILE           who has signed the server's certificate, PEM\n"
		"  --server-name NAME  what that certificate must show; * for any name "
		"(default with --server)\n"
		"  --version V         speak this version, 1.0 to 1.4 or 2.0 to 2.1 "
		"(default: as each file says)\n"
		"  --reset             DESTROYS ALL OBJECTS of the server, before the "
		"first case of each version;\n"
		"                      only servers in their test mode can do it "
		"(Interop)\n"
		"  --timeout SECONDS   how long to wait for an answer, 1 to 86400 "
		"(default 30)\n"
		"  --verbose           print all messages, secrets too\n"
		"  --list              print what there is, and do nothing\n",
	.run = run,
};
