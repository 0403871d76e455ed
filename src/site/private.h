/* SPDX-License-Identifier: Apache-2.0
 *
 * private: what the readers of the four servers' configurations share while they read.
 */
#pragma once
#include "site/site.h"

enum {
	SITE_FILE_MAX = 16 << 20,  /* bytes of one file */
	SITE_TOTAL_MAX = 64 << 20, /* of all, as often as they are included */
	SITE_READS_MAX = 100000,   /* files, the same */
	SITE_DEPTH_MAX = 32,       /* files that include files, blocks in blocks */
	SITE_PATH_MAX = 4096,
};

/* One reading.  Sticky: after the first failure that is not the file's fault nothing is added. */
struct reading {
	struct site *site;
	const struct site_files *files;
	struct buf *why;
	struct chunk *memory;
	size_t total, reads; /* bytes and files so far */
	size_t mistakes;
	unsigned depth;
	kf_err err;
};

/* Memory of the site, zeroed; NULL once the reading has failed. */
void *reading_take(struct reading *r, size_t n);
const char *reading_text(struct reading *r, struct slice s);
const char *reading_format(struct reading *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* `path` under the folder of `base` unless it is absolute. */
const char *reading_path(struct reading *r, const char *base_dir, const char *path);
/* The folder of a file. */
const char *reading_dir(struct reading *r, const char *file);

/* "FILE:LINE: ..." */
void reading_complain(struct reading *r, const char *file, size_t line,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Appends to `ret`; the file becomes one of the site's, and *ret_name its name with the site's life.
 * What cannot be read is a mistake of the line that names it (line 0: of nobody, an error). */
bool reading_file(struct reading *r, const char *path, const struct site_value *by,
	struct buf *ret, const char **ret_name);

void reading_add(struct reading *r, struct site_values *list, struct site_value v);
/* The same unless a value of the same text is there. */
void reading_add_once(struct reading *r, struct site_values *list, struct site_value v);
/* The pair is served there, under these names. */
void reading_listen(struct reading *r, struct site_pair *p, struct site_value listen,
	const struct site_values *names);
void reading_fact(struct reading *r, enum site_fact_id id, const char *directive,
	struct site_value v);
/* The pair of these two directives, made at its first use. */
struct site_pair *reading_pair(struct reading *r, const struct site_value *certificate,
	const struct site_value *key);

/* The words of one directive, used again for the next one.  A word is begun, filled byte by byte and ended;
 * what the site keeps of it is copied. */
struct words {
	struct word {
		size_t text, at, n, line;
	} * item;
	size_t n, cap;
	struct buf text;
	const char *file;
};
struct words words_new(const char *file);
void words_free(struct words *w);
#define autowords CLEANUP(words_free) struct words
void words_clear(struct words *w);
bool words_begin(struct words *w, size_t at, size_t line);
void words_put(struct words *w, uint8_t byte);
void words_end(struct words *w, size_t at);
/* "" where there is no such word. */
const char *words_text(const struct words *w, size_t i);
bool words_is(const struct words *w, size_t i, const char *text);
struct site_value words_value(struct reading *r, const struct words *w, size_t i);
/* From word i to the last, joined by blanks. */
struct site_value words_joined(struct reading *r, const struct words *w, size_t i);

/* A table of directives that are facts, in the letters of the server's manual. */
struct fact_row {
	const char *directive;
	enum site_fact_id id;
};
/* Apache does not care for upper and lower case. */
typedef int compare_fn(const char *a, const char *b);
void words_fact(struct reading *r, const struct words *w, const struct fact_row *rows,
	size_t n, compare_fn *compare);

void nginx_read(struct reading *r, const char *file);
void apache_read(struct reading *r, const char *file);
void haproxy_read(struct reading *r, const char *file);
void stunnel_read(struct reading *r, const char *file);
