/* SPDX-License-Identifier: Apache-2.0
 *
 * world: files in memory for the readers of src/site.
 */
#pragma once
#include "base/mem.h"
#include "site/site.h"
#include "test.h"
#include <fnmatch.h>
#include <stdlib.h>

struct file {
	const char *path, *text;
	size_t n; /* 0: up to the NUL */
};

struct world {
	const struct file *file;
	size_t n, reads_max, reads;
};

static inline kf_err world_read(void *arg, const char *path, struct buf *ret)
{
	struct world *w = arg;
	if (w->reads_max && ++w->reads > w->reads_max)
		return kf_fail(LIMIT, "enough was read");
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->file[i].path, path) != 0)
			continue;
		const struct file *f = &w->file[i];
		buf_add(ret, f->text, f->n ? f->n : strlen(f->text));
		return buf_err(ret);
	}
	return kf_fail(NOT_FOUND, "there is no such file");
}

static inline kf_err world_glob(void *arg, const char *pattern,
	kf_err (*each)(void *site, const char *path), void *site)
{
	const struct world *w = arg;
	for (size_t i = 0; i < w->n; i++)
		if (!fnmatch(pattern, w->file[i].path, FNM_PATHNAME | FNM_PERIOD))
			KF_TRY(each(site, w->file[i].path));
	return KF_OK;
}

/* A folder is what files lie in. */
static inline bool world_is_dir(void *arg, const char *path)
{
	const struct world *w = arg;
	size_t n = strlen(path);
	while (n && path[n - 1] == '/')
		n--;
	for (size_t i = 0; i < w->n; i++)
		if (!strncmp(w->file[i].path, path, n) && w->file[i].path[n] == '/')
			return true;
	return false;
}

static char said[16384];

/* Reads the first file; what was said about it is in `said`. */
static inline kf_err world_site(
	enum site_kind kind, const struct file *files, size_t n, struct site *ret)
{
	struct world w = { .file = files, .n = n };
	const struct site_files ops = {
		.arg = &w, .read = world_read, .glob = world_glob, .is_dir = world_is_dir
	};
	autobuf why = buf_new(sizeof(said) - 1);
	kf_err e = site_read(kind, files[0].path, &ops, ret, &why);
	if (why.n)
		memcpy(said, why.p, why.n);
	said[why.n] = 0;
	return e;
}

#define autosite CLEANUP(site_free) struct site

/* The bytes that a value stands for are its text, with quotes at most. */
static inline bool stands_there(
	const struct site_value *v, const struct file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(files[i].path, v->file) != 0 ||
			v->at + v->n > strlen(files[i].text))
			continue;
		const char *at = files[i].text + v->at, *base = strrchr(v->text, '/');
		base = base ? base + 1 : v->text;
		char *there = strndup(at, v->n);
		bool is_there = there && strstr(there, base) != NULL;
		free(there);
		size_t line = 1;
		for (const char *p = files[i].text; p < at; p++)
			line += *p == '\n';
		return is_there && line == v->line;
	}
	return false;
}

/* Cut at every byte, the first file is read or refused with its name and line, and nothing else. */
static inline bool survives_cuts(enum site_kind kind, const struct file *files, size_t n)
{
	struct file cut[16];
	memcpy(cut, files, n * sizeof(*files));
	size_t size = strlen(files[0].text);
	for (size_t i = 1; i <= size; i++) {
		cut[0].text = strndup(files[0].text, i);
		struct site s = { 0 };
		kf_err e = world_site(kind, cut, n, &s);
		bool is_named = !strncmp(said, cut[0].path, strlen(cut[0].path));
		free((void *)(uintptr_t)cut[0].text);
		site_free(&s);
		if (!kf_ok(e) && (!kf_is(e, KF_E_CONFIG) || !is_named)) {
			printf("# cut at %zu: %s\n", i, said);
			return false;
		}
	}
	return true;
}
