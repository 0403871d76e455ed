/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/replay.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS_DEEP = 8, FILES_MAX = 65536, PATH_MAX_HERE = 4096 };

static kf_err add_file(struct replay_files *f, const char *path)
{
	if (f->n == FILES_MAX)
		return kf_fail(TOO_BIG, "too many test cases");
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		char **grown = reallocarray(f->path, cap, sizeof(char *));
		if (!grown)
			return kf_fail(NOMEM, "listing test cases");
		f->path = grown;
		f->cap = cap;
	}
	if (!(f->path[f->n] = strdup(path)))
		return kf_fail(NOMEM, "listing test cases");
	f->n++;
	return KF_OK;
}

static bool is_case(const char *name)
{
	size_t n = strlen(name);
	return n > 4 && !strcmp(name + n - 4, ".xml") && name[0] != '.';
}

static int is_visible(const struct dirent *e) { return e->d_name[0] != '.'; }

static kf_err add_folder(struct replay_files *f, const char *path, int depth);

static kf_err add_entry(
	struct replay_files *f, const char *dir, const char *name, int depth)
{
	char path[PATH_MAX_HERE];
	struct stat st;
	KF_TRY(path_join(dir, name, path, sizeof(path)));
	if (stat(path, &st))
		return KF_OK;
	if (S_ISDIR(st.st_mode))
		return depth ? add_folder(f, path, depth - 1) : KF_OK;
	return is_case(name) ? add_file(f, path) : KF_OK;
}

static kf_err add_folder(struct replay_files *f, const char *path, int depth)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_visible, versionsort);
	if (n < 0)
		return kf_fail(IO, "the folder cannot be read");
	kf_err e = KF_OK;
	for (int i = 0; i < n; i++) {
		if (kf_ok(e))
			e = add_entry(f, path, entry[i]->d_name, depth);
		free(entry[i]);
	}
	free(entry);
	return e;
}

kf_err replay_files_add(const struct cli *c, struct replay_files *f, const char *path)
{
	struct stat st;
	if (stat(path, &st))
		return cli_file_error(
			c, path, kf_fail(NOT_FOUND, "there is no such file or folder"));
	if (!S_ISDIR(st.st_mode))
		return add_file(f, path);
	return cli_file_error(c, path, add_folder(f, path, FOLDERS_DEEP));
}

void replay_files_clear(struct replay_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->path[i]);
	free(f->path);
	*f = (struct replay_files){ 0 };
}

void replay_name(const char *path, char *ret, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t n = strlen(name);
	snprintf(ret, size, "%.*s", (int)(is_case(name) ? n - 4 : n), name);
}
