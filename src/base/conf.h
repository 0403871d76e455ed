/* SPDX-License-Identifier: Apache-2.0 */
/* conf: configuration files, described by a table.
 *
 *     # comment                     The table says which sections and options exist, their types,
 *     [server]                      limits, defaults and one line of manual.  All mistakes of a file
 *     listen = 127.0.0.1:5696       are reported at once, each with line and remedy:
 *     [limit www]
 *     rate = 100                    keyfleetd.conf:12: unknown option `prot` in [server]; did you mean `port`?
 *
 * A value ends with its line; a # after white space starts a comment; "..." keeps # and outer spaces.
 * What was read belongs to the target and is freed by conf_free().
 */
#pragma once
#include "base/buf.h"

enum conf_type {
	CONF_TEXT, /* char *       any text */
	CONF_PATH, /* char *       made absolute from the directory of the file; credential:NAME: systemd's */
	CONF_INTEGER, /* int64_t      min..max */
	CONF_SIZE,    /* int64_t      bytes, with K, M or G (1024) */
	CONF_DURATION, /* int64_t      milliseconds, with ms, s, m, h or d; bare numbers but 0 are refused */
	CONF_BOOL, /* bool         yes/no, true/false, on/off */
	CONF_ADDRESS, /* char *       HOST:PORT, [IPV6]:PORT, unix:PATH, unix:@NAME, or file:PATH of a
		        file that holds one; paths are made absolute */
	CONF_ENUM,     /* int          index into words[] */
	CONF_LIST,     /* struct conf_list   texts separated by commas or white space */
	CONF_PATHS,    /* struct conf_list   the same of paths */
	CONF_ADDRESSES /* struct conf_list   the same of addresses */
};

struct conf_list {
	char **item;
	size_t n;
};

/* The entries of a section that may be repeated, [kind label], in the order of the file. */
struct conf_group {
	void *items; /* array of the section's struct, which starts with char *label */
	size_t n;
};

struct conf_section {
	const char *kind; /* "server" */
	/* For [kind label] only: size of an entry, and where the struct conf_group is in the target.
	 * 0 means: at most once, without label, options are fields of the target itself. */
	size_t entry_size, group_offset;
	const char *manual; /* one line */
};

struct conf_option {
	const char *section, *key;
	enum conf_type type;
	size_t offset; /* of the field in the target, or in the entry of a repeated section */
	const char *
		initial; /* default, as one would write it in the file; NULL: 0, NULL, empty */
	int64_t min, max;         /* of numbers; both 0: not negative, no upper limit */
	const char *const *words; /* of CONF_ENUM, NULL at the end */
	bool is_required;
	bool needs_restart; /* a reload does not change it; see conf_print_late() */
	/* Further check (NULL: none): NULL when the value is fine, else why it is not and what to do,
	 * a constant text. */
	const char *(*check)(const char *value);
	const char *manual; /* one line */
};

struct conf_table {
	const struct conf_section *sections;
	size_t n_sections;
	const struct conf_option *options;
	size_t n_options;
};

#define CONF_TABLE(s, o)                                                                 \
	{                                                                                \
		(s), sizeof(s) / sizeof((s)[0]), (o), sizeof(o) / sizeof((o)[0])         \
	}

/* Fills the target, which the caller has zeroed, with defaults and then the file.  On CONFIG every
 * mistake stands in `errors` as a line of its own, and the target still has to be freed. */
kf_err conf_read(
	const struct conf_table *t, const char *path, void *target, struct buf *errors);
/* The same for text in memory; `path` names it in messages and gives the directory. */
kf_err conf_parse(const struct conf_table *t, const char *path, struct slice text,
	void *target, struct buf *errors);
void conf_free(const struct conf_table *t, void *target);

/* For programs that find a mistake later: adds "path: `key` in [section]: why". */
void conf_complain(struct buf *errors, const char *path, const char *section,
	const char *key, const char *why);

/* The table for people: section, option, type, limits, default, manual line. */
void conf_print_manual(const struct conf_table *t, struct buf *to);

/* "key in [section], ..." of the options that need a restart and differ between two targets; "[kind ...]" for
 * repeated sections. */
void conf_print_late(
	const struct conf_table *t, const void *runs, const void *new, struct buf *to);

/* A whole file, at most the limit of the buf (TOO_BIG).  IO, NOT_FOUND, DENIED; `why` gets a line that
 * names the file and the remedy. */
kf_err conf_read_file(const char *path, struct buf *ret, struct buf *why);
/* The same for files that hold secrets: refuses (DENIED) what others than its owner can read, what
 * is not a regular file, and what belongs neither to us nor to root. */
kf_err conf_read_secret(const char *path, struct buf *ret, struct buf *why);
/* $CREDENTIALS_DIRECTORY/name when systemd gave one; NOT_FOUND otherwise. */
kf_err conf_read_credential(const char *name, struct buf *ret, struct buf *why);
