/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet backup and restore.  A backup comes over the connection, sealed as it lies in the store; a
 * restore writes an empty store directly, with no key server running.
 */
#include "base/clock.h"
#include "base/epoch.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/call.h"
#include "crypt/keygen.h"
#include "crypt/keyring.h"
#include "kmip/admin.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static kf_err fetch_chunk(
	struct cli *c, int64_t offset, struct buf *answer, struct backup_response *ret)
{
	autopayload p;
	payload_init(&p);
	const struct backup_request q = { .offset = offset };
	backup_put_request(&p.w, &q);
	KF_TRY(cli_call(c, KMIP_OPERATION_BACKUP, &p, answer));
	struct ttlv_reader r = answer_reader(answer);
	return backup_get_response(&r, ret);
}

static kf_err fetch_all(struct cli *c, FILE *out)
{
	struct progress progress = progress_start("backup");
	int64_t offset = 0;
	for (;;) {
		autobuf answer = buf_new(2 * CALL_PAYLOAD_MAX);
		struct backup_response a = { 0 };
		KF_TRY(fetch_chunk(c, offset, &answer, &a));
		if (a.offset != offset)
			return kf_fail(
				MALFORMED, "the server sent another part of the copy");
		if (a.chunk.n && fwrite(a.chunk.p, 1, a.chunk.n, out) != a.chunk.n)
			return kf_fail(IO, "the file cannot be written");
		offset += (int64_t)a.chunk.n;
		if (a.chunk.n == 0 || offset >= a.size)
			break;
		progress_show(&progress, c, (double)offset / (double)a.size);
	}
	progress_done(&progress, c);
	return KF_OK;
}

/* Does not replace a file that came while the copy was made, where the file system can do that. */
static int rename_to_new(const char *from, const char *to)
{
	int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
	return result && (errno == EINVAL || errno == ENOSYS) ? rename(from, to) : result;
}

/* Whole or not at all: written beside it, made durable, then given its name. */
static kf_err save(struct cli *c, const char *path)
{
	char temporary[4096];
	int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(temporary))
		return kf_fail(TOO_BIG, "the path is too long");
	int fd = mkostemp(temporary, O_CLOEXEC);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return file_failed(errno);
	kf_err e = fetch_all(c, out);
	if (kf_ok(e) && (fflush(out) || fsync(fd)))
		e = kf_fail(IO, "the file cannot be made durable");
	if (fclose(out) && kf_ok(e))
		e = kf_fail(IO, "the file cannot be written");
	if (kf_ok(e) && rename_to_new(temporary, path))
		e = file_failed(errno);
	if (!kf_ok(e))
		unlink(temporary);
	return kf_ok(e) ? file_sync_folder(path) : e;
}

static kf_err run_backup(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	struct stat st;
	if (lstat(c->argv[0], &st) == 0)
		return cli_file_error(c, c->argv[0],
			kf_fail(EXISTS, "a backup never overwrites; name another file"));
	KF_TRY(cli_file_error(c, c->argv[0], save(c, c->argv[0])));
	if (c->is_quiet)
		return KF_OK;
	cli_note(c,
		"%s is of no use without master.key: keep a copy of that in another "
		"place",
		c->argv[0]);
	return KF_OK;
}

static kf_err read_some(void *arg, uint8_t *p, size_t size, size_t *ret)
{
	FILE *in = arg;
	size_t n = fread(p, 1, size, in);
	if (n == 0 && ferror(in))
		return kf_fail(IO, "the backup cannot be read");
	*ret = n;
	return KF_OK;
}

static void closep(FILE **f)
{
	if (*f)
		fclose(*f);
}

struct restore {
	const char *file, *store, *master_key;
	bool is_verify;
	struct store_backup_facts facts;
};

static kf_err load_keyring(const struct cli *c, const char *path, struct keyring **ret)
{
	unsigned line = 0;
	kf_err e = keyring_load(path, &line, ret);
	if (!kf_ok(e) && line)
		cli_note(c, "%s:%u: %s", path, line, e.site->text);
	else if (!kf_ok(e))
		cli_note(c, "%s: %s", path, e.site->text);
	return e;
}

static kf_err restore(const struct cli *c, struct restore *r)
{
	CLEANUP(keyring_freep) struct keyring *keyring = NULL;
	KF_TRY(load_keyring(c, r->master_key, &keyring));
	CLEANUP(closep) FILE *in = fopen(r->file, "re");
	if (!in)
		return cli_file_error(c, r->file, file_failed(errno));
	if (r->is_verify)
		return cli_file_error(c, r->file,
			store_backup_verify(keyring, read_some, in, &r->facts));
	const struct store_conf conf = { .location = r->store, .keyring = keyring };
	return cli_file_error(c, r->file, store_restore(&conf, read_some, in, &r->facts));
}

static kf_err print_facts(struct cli *c, const struct store_backup_facts *f)
{
	static const char *const titles[] = { "MADE", "OBJECTS", "CLIENTS", "GRANTS",
		"SEQUENCE" };
	char made[32], number[4][24];
	time_t when = (time_t)f->made_s;
	struct tm day;
	strftime(made, sizeof(made), "%Y-%m-%d %H:%M:%S", gmtime_r(&when, &day));
	const uint64_t value[] = { f->objects, f->clients, f->grants, f->sequence };
	for (size_t i = 0; i < 4; i++)
		snprintf(number[i], sizeof(number[i]), "%llu",
			(unsigned long long)value[i]);
	struct table *t = table_new(c, titles, 5);
	const char *cells[] = { made, number[0], number[1], number[2], number[3] };
	table_row(t, cells);
	return table_end(t, KF_OK);
}

static kf_err run_restore(struct cli *c)
{
	struct restore r = { 0 };
	const struct cli_option options[] = {
		{ "store", &r.store, NULL },
		{ "master-key", &r.master_key, NULL },
		{ "verify", NULL, &r.is_verify },
	};
	KF_TRY(cli_options(c, options, 3));
	KF_TRY(cli_operands(c, 1, 1));
	r.file = c->argv[0];
	if (!r.master_key || (!r.store && !r.is_verify))
		return kf_fail(INVALID_FIELD,
			"--master-key and --store (or --verify) are needed");
	KF_TRY(secret_init(1 << 16));
	KF_TRY(restore(c, &r));
	return print_facts(c, &r.facts);
}

const struct command command_backup = {
	.words = "backup",
	.args = "FILE",
	.summary = "copy the whole store, sealed, while the server goes on working",
	.help = "Keep beside it, in another place: master.key (without it the copy "
		"cannot be read)\n"
		"and the authority's ca.pem and ca.key (to add clients and servers).\n",
	.run = run_backup,
};
const struct command command_restore = {
	.words = "restore",
	.args = "FILE --master-key FILE (--store sqlite:PATH|postgresql:CONNINFO | "
		"--verify)",
	.summary = "check a backup, and write it into an empty store",
	.help = "  --master-key FILE  the master keys of the store that was copied\n"
		"  --store LOCATION   an empty store, as in keyfleetd.conf; no server "
		"may use it yet\n"
		"  --verify           read and check everything, write nothing\n",
	.run = run_restore,
};
