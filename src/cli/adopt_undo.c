/* SPDX-License-Identifier: Apache-2.0
 *
 * Back to what it was: files from the record, then the server reads them again.
 */
#include "cli/adopt.h"
#include <stdlib.h>
#include <string.h>

static kf_err reload_old(struct cli *c, const struct change *change)
{
	struct server s;
	enum site_kind kind;
	if (!site_kind_find(change->kind, &kind))
		return kf_fail(MALFORMED, "the record names no server that we know");
	if (!kf_ok(server_find(c, kind, change->file, &s)))
		return KF_OK; /* it will read them when it starts */
	KF_TRY(server_test(&s));
	s.has_provider =
		true; /* no key reference is left: any process can load these files */
	return server_reload(&s);
}

kf_err adopt_undo(struct cli *c, struct change *change, bool has_no_reload)
{
	autobuf why = buf_new(65536);
	kf_err e = change_undo(change, &why);
	cli_note_lines(c, &why);
	KF_TRY(e);
	if (!has_no_reload)
		KF_TRY(reload_old(c, change));
	KF_TRY(change_set(change, CHANGE_UNDONE));
	change_forget(change);
	return KF_OK;
}

/* ---- records ---- */

struct census {
	struct cli *cli;
	size_t live; /* begun, done or finished: their references are in use */
};

static kf_err count_live(void *arg, const char *dir, const char *id)
{
	(void)id;
	struct census *census = arg;
	struct change change = { 0 };
	autobuf why = buf_new(8192);
	kf_err e = change_open(dir, &change, &why);
	/* One that cannot be read may be of references that are in use. */
	census->live +=
		kf_ok(e) ? change.phase != CHANGE_UNDONE : !kf_is(e, KF_E_NOT_FOUND);
	change_free(&change);
	return KF_OK;
}

kf_err adopt_release_include(
	struct cli *c, const char *state_dir, const char *openssl_conf)
{
	struct census census = { .cli = c };
	KF_TRY(change_each(state_dir, count_live, &census));
	return census.live ? KF_OK : adopt_remove_include(c, openssl_conf);
}

/* A record without its text is of somebody who was killed before he changed anything. */
static kf_err undo_if_begun(void *arg, const char *dir, const char *id)
{
	struct adopt *a = arg;
	struct change change = { 0 };
	autobuf why = buf_new(8192);
	kf_err e = change_open(dir, &change, &why);
	if (kf_is(e, KF_E_NOT_FOUND)) {
		change_discard(dir);
		return KF_OK;
	}
	if (!kf_ok(e)) {
		cli_note_lines(a->cli, &why);
		return e;
	}
	bool is_ours = !strcmp(change.kind, site_kind_name(a->kind)) &&
		       !strcmp(change.file, a->file);
	if (change.phase == CHANGE_BEGUN && is_ours) {
		cli_note(a->cli, "%s was begun and never done: it is undone first", id);
		e = adopt_undo(a->cli, &change, a->has_no_reload);
	}
	change_free(&change);
	return e;
}

kf_err adopt_undo_begun(struct adopt *a)
{
	return change_each(a->state_dir, undo_if_begun, a);
}
