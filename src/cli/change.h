/* SPDX-License-Identifier: Apache-2.0
 *
 * change: several files become new ones together, or all go back to what they were.
 *
 * The record is a folder: what the files were (N.old), what they become (N.new) and `record`, which names them,
 * is rewritten at each step and is there before the first file changes.  Whoever is killed in between leaves a
 * record from which change_undo() restores everything.  Old files may hold private keys: the folder is its
 * owner's alone.
 */
#pragma once
#include "base/conf.h"

enum change_phase {
	CHANGE_BEGUN,    /* files may be old or new */
	CHANGE_DONE,     /* all are new, and serve */
	CHANGE_UNDONE,   /* all are old again */
	CHANGE_FINISHED, /* what they were is forgotten */
};
const char *change_phase_name(enum change_phase phase);

/* A key file that nobody needs once the change is finished. */
struct change_key {
	char *label;
	char *path; /* the file itself */
	char *name; /* what the configuration called it: perhaps a link to it */
	char *id; /* of the key in it, hexadecimal: another key that is there later is none of ours */
	int place; /* enum change_place */
};
enum change_place { CHANGE_KEY_FILE, CHANGE_KEY_IN_BUNDLE };

struct change_file {
	char *label; /* "0", "1", ...: names its copies */
	char *path;
	bool was_there;
	int64_t mode, owner,
		group; /* what it had, for the case that it is gone when it comes back */
};

struct change {
	char *kind, *file; /* the server, and its main file */
	char *began;
	int phase;
	struct conf_group files, keys; /* struct change_file, struct change_key */
	char dir[4096];
};

/* A new record DIR/ID; the folders are made.  The id is DATE-NUMBER. */
kf_err change_new(
	const char *state_dir, const char *kind, const char *file, struct change *ret);
/* Reads one.  `why` gets the mistakes of a damaged record. */
kf_err change_open(const char *dir, struct change *ret, struct buf *why);
void change_free(struct change *c);

/* A file and its new content, written to the record; nothing else happens yet.  Links are followed. */
kf_err change_add(struct change *c, const char *path, struct slice now);
kf_err change_add_key(
	struct change *c, const char *path, enum change_place place, const char *id);
/* From here on change_undo() knows what to do. */
kf_err change_set(struct change *c, enum change_phase phase);
/* Puts the new files into place.  CONFLICT if one is not what it was.  One that held a private key leaves its
 * bytes as .NAME.keyfleet-old, which change_undo() and change_forget() overwrite and remove. */
kf_err change_apply(const struct change *c, struct buf *why);
/* Puts the old ones back.  CONFLICT if one is neither old nor new: it stays, and `why` names it; the others are
 * restored all the same. */
kf_err change_undo(const struct change *c, struct buf *why);
/* Overwrites and removes the copies, and what change_apply() has left. */
void change_forget(const struct change *c);

/* Removes what somebody left who was killed, or failed, before his record was there: copies and the folder; what is
 * not ours stays. */
void change_discard(const char *dir);

/* Each record of the folder, oldest first; each() may free nothing.  A folder that is not there holds none; what has
 * not the name of a record is none. */
kf_err change_each(const char *state_dir,
	kf_err (*each)(void *arg, const char *dir, const char *id), void *arg);

/* Overwrites a file, then removes it. */
kf_err file_shred(const char *path);
