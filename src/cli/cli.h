/* SPDX-License-Identifier: Apache-2.0
 *
 * cli: what the commands of `keyfleet` share: options, tables, messages, files.
 *
 * A command returns a kf_err; main() prints it once.  What people should know beyond the error's
 * own text goes to cli_note() before returning it.
 */
#pragma once
#include "base/buf.h"
#include <stddef.h>

struct kf_client;

struct cli {
	const char *config; /* --config, $KEYFLEET_CONFIG or /etc/keyfleet/client.conf */
	bool is_json;       /* --json: arrays of objects instead of tables */
	bool is_quiet;      /* --quiet: no notes, no progress */
	bool *has_told;     /* set by cli_note(): main() need not say it again */
	struct kf_client *client; /* made at the first cli_client() */
	int exit_status; /* of a command that succeeded in saying that something is wrong */
	int argc;        /* the command's own arguments, without its words */
	char **argv;
};

struct command {
	const char *words;   /* "key create" */
	const char *args;    /* "NAME --type rsa:2048|ec:P-256|..." */
	const char *summary; /* one line */
	const char *help;    /* the options, a line each; NULL: none */
	kf_err (*run)(struct cli *c);
};

#define COMMAND(id) extern const struct command id;
#include "cli/command.def"
#undef COMMAND

enum { CLI_LIST_MAX = 128 };
struct cli_list {
	size_t n;
	const char *item[CLI_LIST_MAX];
};

/* An option of a command: `--name VALUE`, a flag when `value` is NULL, or `--name VALUE...` up to the next
 * option (`--name VALUE` as often as one likes with `takes_one`). */
struct cli_option {
	const char *name;
	const char **value;
	bool *flag;
	struct cli_list *list;
	bool takes_one;
};

/* Takes the options out of c->argc/argv, wherever they stand; what is left are the operands.
 * INVALID_FIELD with a note for an unknown option or a missing value. */
kf_err cli_options(struct cli *c, const struct cli_option *options, size_t n);
/* INVALID_FIELD with a note unless there are min..max operands. */
kf_err cli_operands(struct cli *c, int min, int max);

/* A message for people, to standard error, "keyfleet: " before it. */
void cli_note(const struct cli *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The lines that a reader of files or configurations has collected. */
void cli_note_lines(const struct cli *c, const struct buf *why);
/* A file with a secret, readable by its owner only, without the newline at its end; notes what is wrong with it. */
kf_err cli_read_secret(const struct cli *c, const char *file, struct buf *ret);
/* The same with the place in front, for an error that is about a file. */
kf_err cli_file_error(const struct cli *c, const char *path, kf_err e);

/* The client of --config; made once, freed by main(). */
kf_err cli_client(struct cli *c, struct kf_client **ret);

/* Asks for a secret at the terminal, which does not show it; Ctrl-C leaves the terminal as it was.  Its
 * length, or -1 when there is no terminal or no line that fits. */
int terminal_ask(const char *what, char *into, int size);

/* A table: header once, then rows; printed aligned, or as a JSON array of objects whose keys are the
 * column titles in lower case with underscores. */
/* How long the character at the start is, if it is UTF-8 and can be shown: 0 for what a terminal would take
 * as a command. */
size_t cli_char(struct slice s);
struct table;
struct table *table_new(const struct cli *c, const char *const *titles, size_t columns);
void table_row(struct table *t, const char *const *cells);
/* Prints and frees it; after a failure nothing is printed, for part of a list looks like all of it. */
kf_err table_end(struct table *t, kf_err e);

/* Whole files (conf.h reads them).  Writing is atomic and durable: a new file is renamed into place;
 * written by root, it belongs to whom the old one belonged to. */
kf_err file_write(const char *path, struct slice bytes, unsigned mode);
/* The same for a file that is there: its owner and mode stay. */
kf_err file_replace(const char *path, struct slice bytes);
/* Could it, or make a file that is not there?  EXISTS: what is there is no plain file. */
kf_err file_may_replace(const char *path);
/* For file_create(). */
kf_err file_may_create(const char *path);
/* The same with the owner, group and mode of `like`. */
struct stat;
kf_err file_write_like(const char *path, const struct stat *like, struct slice bytes);
/* The same in pieces: a file that appears when it is whole; whoever is killed before leaves nothing, where the file
 * system can do that.  `path` is borrowed.  EXISTS: what is there is no plain file. */
struct file_new {
	const char *path;
	char temporary[4096];
	int fd;          /* -1: over */
	bool is_unnamed; /* until its end */
};
kf_err file_begin(const char *path, unsigned mode, struct file_new *ret);
kf_err file_add(struct file_new *f, struct slice bytes);
kf_err file_end(struct file_new *f);
void file_drop(struct file_new *f); /* always; removes what did not end */
/* Removes what a write of this file left that was killed. */
void file_clean(const char *path);
/* EXISTS if there is one already. */
kf_err file_create(const char *path, struct slice bytes, unsigned mode);
/* Gives it to a user of this host, by name; root only.  NOT_FOUND: there is no such user.  Whether it
 * can be done is asked before anything is made that would be useless otherwise. */
kf_err file_may_give(const char *user);
kf_err file_give(const char *path, const char *user);
/* Why a file could not be opened or made, by errno. */
kf_err file_failed(int error);
/* DIR "/" NAME into ret. */
kf_err path_join(const char *dir, const char *name, char *ret, size_t size);

/* A progress bar on standard error, when it is a terminal and the work takes over two seconds. */
struct progress {
	const char *what;
	uint64_t started_ns, shown_ns;
};
struct progress progress_start(const char *what);
void progress_show(struct progress *p, const struct cli *c, double part);
void progress_done(struct progress *p, const struct cli *c);
