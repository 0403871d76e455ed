/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet adopt list, rollback, finish: what happens to adoptions afterwards.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct wish {
	struct cli *cli;
	const char *state_dir, *openssl_conf;
	bool is_sure, has_no_reload, keeps_keys;
};

/* ---- which ---- */

struct newest {
	char id[256];
	int phase; /* that is looked for */
};

static kf_err take_newest(void *arg, const char *dir, const char *id)
{
	struct newest *n = arg;
	struct change change = { 0 };
	autobuf why = buf_new(8192);
	if (!kf_ok(change_open(dir, &change, &why)))
		return KF_OK;
	bool fits = change.phase == CHANGE_DONE || change.phase == n->phase;
	change_free(&change);
	return fits ? slice_to_text(slice_of(id), n->id, sizeof(n->id)) : KF_OK;
}

/* The one that was said, or the newest that is done (or `phase`). */
static kf_err choose(const struct wish *w, int phase, struct change *ret)
{
	struct newest n = { .phase = phase };
	char dir[4096];
	autobuf why = buf_new(8192);
	if (w->cli->argc)
		KF_TRY(slice_to_text(slice_of(w->cli->argv[0]), n.id, sizeof(n.id)));
	else
		KF_TRY(change_each(w->state_dir, take_newest, &n));
	if (!n.id[0] || strchr(n.id, '/') || n.id[0] == '.') {
		cli_note(w->cli, "there is no such adoption: see `keyfleet adopt list`");
		return kf_fail(NOT_FOUND, "there is no such adoption");
	}
	KF_TRY(path_join(w->state_dir, n.id, dir, sizeof(dir)));
	kf_err e = change_open(dir, ret, &why);
	cli_note_lines(w->cli, &why);
	return e;
}

static kf_err with_change(const struct wish *w, int phase,
	kf_err (*act)(const struct wish *w, struct change *change))
{
	struct change change = { 0 };
	kf_err e = choose(w, phase, &change);
	if (kf_ok(e))
		e = act(w, &change);
	change_free(&change);
	return e;
}

/* ---- list ---- */

static kf_err add_row(void *arg, const char *dir, const char *id)
{
	struct change change = { 0 };
	autobuf why = buf_new(8192);
	if (!kf_ok(change_open(dir, &change, &why)))
		return KF_OK;
	table_row(arg, (const char *const[]){ id, change.kind, change.file, change.began,
			       change_phase_name((enum change_phase)change.phase) });
	change_free(&change);
	return KF_OK;
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "ID", "SERVER", "FILE", "BEGAN", "STATE" };
	struct wish w = { .cli = c, .state_dir = ADOPT_STATE_DIR };
	const struct cli_option options[] = { { "state", &w.state_dir, NULL } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 0, 0));
	struct table *t = table_new(c, titles, 5);
	return table_end(t, change_each(w.state_dir, add_row, t));
}

/* ---- rollback ---- */

static kf_err roll_back(const struct wish *w, struct change *change)
{
	if (change->phase == CHANGE_FINISHED)
		return kf_fail(STATE, "it is finished: the old key files are destroyed");
	if (change->phase == CHANGE_UNDONE)
		return kf_fail(STATE, "it was undone already");
	KF_TRY(adopt_undo(w->cli, change, w->has_no_reload));
	if (!w->cli->is_quiet)
		puts("everything is as it was; the key servers keep their copies of the "
		     "keys");
	return KF_OK;
}

/* Also of one that was killed before its record was there. */
static kf_err release_include(const struct wish *w)
{
	struct adopt a = { .cli = w->cli, .openssl_conf = w->openssl_conf };
	KF_TRY(adopt_find_openssl_conf(&a));
	return adopt_release_include(w->cli, w->state_dir, a.openssl_path);
}

static kf_err run_rollback(struct cli *c)
{
	struct wish w = { .cli = c, .state_dir = ADOPT_STATE_DIR };
	const struct cli_option options[] = {
		{ "state", &w.state_dir, NULL },
		{ "openssl-conf", &w.openssl_conf, NULL },
		{ "no-reload", NULL, &w.has_no_reload },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 0, 1));
	CLEANUP(mem_closep) int lock = -1;
	KF_TRY(adopt_lock(c, w.state_dir, false, &lock));
	const kf_err e = with_change(&w, CHANGE_BEGUN, roll_back);
	const kf_err released = release_include(&w);
	return kf_ok(e) ? released : e;
}

/* ---- finish ---- */

/* What the servers of this host read, links resolved: one that was not adopted may use the same key. */
struct uses {
	struct use {
		char *path;
		bool is_key;
	} * item;
	size_t n;
};

static void uses_free(struct uses *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->item[i].path);
	free(u->item);
}

static kf_err add_use(struct uses *u, const char *path, bool is_key)
{
	struct use *bigger = reallocarray(u->item, u->n + 1, sizeof(*bigger));
	u->item = bigger ? bigger : u->item;
	char *real = bigger ? realpath(path, NULL) : NULL;
	real = bigger && !real ? strdup(path) : real;
	if (!real)
		return kf_fail(NOMEM, "no memory for a list of files");
	u->item[u->n++] = (struct use){ real, is_key };
	return KF_OK;
}

static kf_err add_pair(struct uses *u, const struct site_pair *p)
{
	KF_TRY(add_use(u, p->key.text ? p->key.text : p->certificate.text, true));
	return add_use(u, p->certificate.text, false);
}

static kf_err add_site(
	const struct wish *w, enum site_kind kind, const char *file, struct uses *ret)
{
	struct site site = { 0 };
	autobuf why = buf_new(65536);
	kf_err e = site_read(kind, file, NULL, &site, &why);
	cli_note_lines(w->cli, &why);
	for (size_t i = 0; kf_ok(e) && i < site.n_pairs; i++)
		e = add_pair(ret, &site.pairs[i]);
	site_free(&site);
	return e;
}

static kf_err find_uses(
	const struct wish *w, const struct change *change, struct uses *ret)
{
	enum site_kind kind;
	if (!site_kind_find(change->kind, &kind))
		return kf_fail(MALFORMED, "the record names no server that we know");
	KF_TRY(add_site(w, kind, change->file, ret));
	for (size_t i = 0; i < SITE_KINDS; i++) {
		const char *file = site_default_file((enum site_kind)i);
		if (strcmp(file, change->file) != 0 && access(file, F_OK) == 0)
			KF_TRY(add_site(w, (enum site_kind)i, file, ret));
	}
	return KF_OK;
}

/* A bundle loses its key alone: whoever reads it as a certificate may go on. */
static bool is_in_use(const struct uses *u, const struct change_key *k)
{
	for (size_t i = 0; i < u->n; i++)
		if ((u->item[i].is_key || k->place == CHANGE_KEY_FILE) &&
			!strcmp(u->item[i].path, k->path))
			return true;
	return false;
}

/* The file goes on as a certificate: its text without the key takes its place, and the old bytes are
 * overwritten behind it. */
static kf_err strip_bundle(const char *path)
{
	autobuf text = buf_new(ADOPT_PEM_MAX), rest = buf_new(ADOPT_PEM_MAX);
	KF_TRY(site_disk.read(NULL, path, &text));
	pem_without_keys(buf_slice(&text), &rest);
	KF_TRY(buf_err(&rest));
	char old[4096];
	if (snprintf(old, sizeof(old), "%s.keyfleet-old", path) >= (int)sizeof(old))
		return kf_fail(TOO_BIG, "the path is too long");
	kf_err e = file_shred(old); /* of somebody who was killed here */
	if (!kf_ok(e) && !kf_is(e, KF_E_NOT_FOUND))
		return e;
	if (link(path, old))
		return kf_fail(IO, "the file cannot be renamed");
	e = file_replace(path, buf_slice(&rest));
	return kf_ok(e) ? file_shred(old) : (unlink(old), e);
}

/* Whether the file holds the key that was moved, and no other that came since. */
static bool is_that_key(const struct change_key *k)
{
	autobuf text = buf_new(ADOPT_PEM_MAX);
	struct keypair key = { 0 };
	char id[2 * KEY_ID_SIZE + 1] = "";
	if (kf_ok(site_disk.read(NULL, k->path, &text)) &&
		kf_ok(keypair_import(buf_slice(&text), NULL, NULL, &key)))
		adopt_key_id(buf_slice(&key.spki), id);
	keypair_free(&key);
	return !strcmp(id, k->id);
}

/* A link that leads nowhere now. */
static void remove_link(const char *name)
{
	struct stat st;
	if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode) && stat(name, &st))
		unlink(name);
}

static kf_err destroy_key(const struct change_key *k)
{
	if (k->place == CHANGE_KEY_IN_BUNDLE)
		return strip_bundle(k->path);
	KF_TRY(file_shred(k->path));
	remove_link(k->name);
	return KF_OK;
}

/* `proved`: ids of the keys that the key servers have used just now. */
static const char *why_it_stays(
	const struct uses *u, const struct change_key *k, const struct buf *proved)
{
	if (is_in_use(u, k))
		return "is still in use";
	if (!is_that_key(k))
		return "does not hold the key that was moved";
	return *k->id && memmem(proved->p, proved->n, k->id, strlen(k->id))
		       ? NULL
		       : "may be the last copy (no reference to its key is served)";
}

static kf_err prove_served(
	const struct wish *w, const struct change *change, struct buf *ret)
{
	struct adopt a = {
		.cli = w->cli, .file = change->file, .openssl_conf = w->openssl_conf
	};
	if (!site_kind_find(change->kind, &a.kind))
		return kf_fail(MALFORMED, "the record names no server that we know");
	kf_err e = adopt_prove_served(&a, ret);
	OSSL_LIB_CTX_free(a.lib);
	adopt_clear(&a);
	return e;
}

static kf_err destroy_keys(const struct wish *w, const struct change *change)
{
	CLEANUP(uses_free) struct uses uses = { 0 };
	autobuf proved = buf_new(1 << 20);
	KF_TRY(find_uses(w, change, &uses));
	KF_TRY(prove_served(w, change, &proved));
	for (size_t i = 0; i < change->keys.n; i++) {
		const struct change_key *k = (struct change_key *)change->keys.items + i;
		if (access(k->path, F_OK))
			continue; /* gone already: a second try */
		const char *why = why_it_stays(&uses, k, &proved);
		if (why)
			cli_note(w->cli, "%s %s and stays", k->path, why);
		else
			KF_TRY(cli_file_error(w->cli, k->path, destroy_key(k)));
	}
	return KF_OK;
}

static kf_err finish(const struct wish *w, struct change *change)
{
	if (change->phase != CHANGE_DONE)
		return kf_fail(STATE, "this adoption is not done");
	for (size_t i = 0; !w->keeps_keys && !w->cli->is_quiet && i < change->keys.n; i++)
		printf("%s\n", ((struct change_key *)change->keys.items + i)->path);
	KF_TRY(adopt_ask_sure(w->cli, w->is_sure,
		w->keeps_keys ? "Forget how to go back?" : "Destroy these keys?"));
	if (!w->keeps_keys)
		KF_TRY(destroy_keys(w, change));
	change_forget(change);
	return change_set(change, CHANGE_FINISHED);
}

static kf_err run_finish(struct cli *c)
{
	struct wish w = { .cli = c, .state_dir = ADOPT_STATE_DIR };
	const struct cli_option options[] = {
		{ "state", &w.state_dir, NULL },
		{ "openssl-conf", &w.openssl_conf, NULL },
		{ "yes", NULL, &w.is_sure },
		{ "keep-keys", NULL, &w.keeps_keys },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 0, 1));
	CLEANUP(mem_closep) int lock = -1;
	KF_TRY(adopt_lock(c, w.state_dir, false, &lock));
	return with_change(&w, CHANGE_DONE, finish);
}

const struct command command_adopt_list = {
	.words = "adopt list",
	.args = "[--state DIR]",
	.summary = "list adoptions and how far they are",
	.run = run_list,
};
const struct command command_adopt_rollback = {
	.words = "adopt rollback",
	.args = "[ID] [--no-reload] [--state DIR] [--openssl-conf FILE]",
	.summary = "give a web server its old keys and configuration back",
	.help = "Without ID: the newest that is not finished.  Keys and grants stay in "
		"the key servers.\n",
	.run = run_rollback,
};
const struct command command_adopt_finish = {
	.words = "adopt finish",
	.args = "[ID] [--yes] [--keep-keys] [--state DIR] [--openssl-conf FILE]",
	.summary = "destroy the old key files; there is no way back then",
	.help = "  --keep-keys  forget the way back, but leave the key files alone\n"
		"\nA key is destroyed only after a handshake with its reference, so that "
		"it "
		"cannot be the last copy.\nFiles are overwritten and removed.  Backups, "
		"snapshots and copies on "
		"other hosts are not reached:\n"
		"whoever has one has the key.\n",
	.run = run_finish,
};
