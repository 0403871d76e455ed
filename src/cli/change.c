/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/change.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHANGE_FILE_MAX = 32 << 20, RECORD_MAX = 64 << 20 };

static const char *const phases[] = { "begun", "done", "undone", "finished", NULL };
static const char *const places[] = { "file", "bundle", NULL };

const char *change_phase_name(enum change_phase phase) { return phases[phase]; }

static const struct conf_section sections[] = {
	{ "change", 0, 0, "a change of several files" },
	{ "file", sizeof(struct change_file), offsetof(struct change, files), "a file" },
	{ "key", sizeof(struct change_key), offsetof(struct change, keys), "a key" },
};
#define AT(f)   .offset = offsetof(struct change, f)
#define FILE(f) .offset = offsetof(struct change_file, f)
#define KEY(f)  .offset = offsetof(struct change_key, f)
static const struct conf_option options[] = {
	{ "change", "kind", CONF_TEXT, AT(kind), .is_required = true },
	{ "change", "file", CONF_TEXT, AT(file), .is_required = true },
	{ "change", "began", CONF_TEXT, AT(began), .initial = "" },
	{ "change", "phase", CONF_ENUM, AT(phase), .words = phases, .initial = "begun" },
	{ "file", "path", CONF_TEXT, FILE(path), .is_required = true },
	{ "file", "was_there", CONF_BOOL, FILE(was_there), .initial = "yes" },
	{ "file", "mode", CONF_INTEGER, FILE(mode), .initial = "384", .max = 07777 },
	{ "file", "owner", CONF_INTEGER, FILE(owner) },
	{ "file", "group", CONF_INTEGER, FILE(group) },
	{ "key", "path", CONF_TEXT, KEY(path), .is_required = true },
	{ "key", "name", CONF_TEXT, KEY(name), .is_required = true },
	{ "key", "id", CONF_TEXT, KEY(id), .is_required = true },
	{ "key", "place", CONF_ENUM, KEY(place), .words = places, .initial = "file" },
};
static const struct conf_table table = CONF_TABLE(sections, options);

void change_free(struct change *c)
{
	conf_free(&table, c);
	*c = (struct change){ 0 };
}

static struct change_file *file_at(const struct change *c, size_t i)
{
	return (struct change_file *)c->files.items + i;
}

static struct change_key *key_at(const struct change *c, size_t i)
{
	return (struct change_key *)c->keys.items + i;
}

/* ---- folders ---- */

static kf_err make_folder(const char *path)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return file_failed(errno);
	struct stat st;
	if (lstat(path, &st) || !S_ISDIR(st.st_mode) || (st.st_mode & 077) ||
		(st.st_uid != geteuid() && st.st_uid != 0))
		return kf_fail(DENIED,
			"the folder of records must be private: a folder of yours, mode "
			"0700");
	return KF_OK;
}

/* DATE-NUMBER, the first number that is free: the order of names is that of time. */
static kf_err make_own_folder(struct change *c, const char *state_dir)
{
	time_t now = time(NULL);
	struct tm day;
	char date[16];
	strftime(date, sizeof(date), "%Y%m%d", gmtime_r(&now, &day));
	for (int i = 1; i < 10000; i++) {
		int n = snprintf(c->dir, sizeof(c->dir), "%s/%s-%d", state_dir, date, i);
		if (n < 0 || (size_t)n >= sizeof(c->dir))
			return kf_fail(TOO_BIG, "the path of the record is too long");
		if (mkdir(c->dir, 0700) == 0)
			return file_sync_folder(c->dir);
		if (errno != EEXIST)
			return file_failed(errno);
	}
	return kf_fail(LIMIT, "too many records of this day");
}

static kf_err copy_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? KF_OK : kf_fail(NOMEM, "no memory for a record");
}

kf_err change_new(
	const char *state_dir, const char *kind, const char *file, struct change *ret)
{
	char began[32];
	time_t now = time(NULL);
	struct tm day;
	strftime(began, sizeof(began), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &day));
	*ret = (struct change){ 0 };
	KF_TRY(copy_text(kind, &ret->kind));
	KF_TRY(copy_text(file, &ret->file));
	KF_TRY(copy_text(began, &ret->began));
	KF_TRY(make_folder(state_dir));
	return make_own_folder(ret, state_dir);
}

kf_err change_open(const char *dir, struct change *ret, struct buf *why)
{
	struct change c = { 0 };
	char path[4096];
	KF_TRY(slice_to_text(slice_of(dir), c.dir, sizeof(c.dir)));
	KF_TRY(path_join(dir, "record", path, sizeof(path)));
	kf_err e = conf_read(&table, path, &c, why);
	if (!kf_ok(e)) {
		change_free(&c);
		return e;
	}
	*ret = c;
	return KF_OK;
}

/* ---- what is in it ---- */

static kf_err copy_path(
	const struct change *c, const char *label, const char *ending, char ret[4096])
{
	char name[64];
	snprintf(name, sizeof(name), "%.40s.%s", label, ending);
	return path_join(c->dir, name, ret, 4096);
}

static kf_err grow(struct conf_group *g, size_t size)
{
	void *items = reallocarray(g->items, g->n + 1, size);
	if (!items)
		return kf_fail(NOMEM, "no memory for a record");
	memset((char *)items + g->n * size, 0, size);
	g->items = items;
	g->n++;
	return KF_OK;
}

static kf_err new_label(size_t number, char **ret)
{
	char label[24];
	snprintf(label, sizeof(label), "%zu", number);
	return copy_text(label, ret);
}

/* Whole, whoever may read it; NOT_FOUND is news for the caller alone. */
static kf_err read_whole(const char *path, struct buf *ret)
{
	autobuf why = buf_new(8192);
	struct stat st;
	if (stat(path, &st))
		return file_failed(errno);
	return conf_read_file(path, ret, &why);
}

static kf_err keep_old(const struct change *c, struct change_file *f)
{
	autobuf old = buf_new(CHANGE_FILE_MAX);
	char copy[4096];
	struct stat st = { 0 };
	kf_err e = stat(f->path, &st) ? file_failed(errno) : read_whole(f->path, &old);
	f->mode = st.st_mode & 07777;
	f->owner = st.st_uid;
	f->group = st.st_gid;
	f->was_there = kf_ok(e);
	if (kf_is(e, KF_E_NOT_FOUND))
		return KF_OK;
	KF_TRY(e);
	KF_TRY(copy_path(c, f->label, "old", copy));
	return file_write(copy, buf_slice(&old), 0600);
}

kf_err change_add(struct change *c, const char *path, struct slice now)
{
	char real[PATH_MAX], copy[4096];
	if (!realpath(path, real))
		KF_TRY(slice_to_text(slice_of(path), real, sizeof(real)));
	KF_TRY(grow(&c->files, sizeof(struct change_file)));
	struct change_file *f = file_at(c, c->files.n - 1);
	KF_TRY(new_label(c->files.n - 1, &f->label));
	KF_TRY(copy_text(real, &f->path));
	KF_TRY(keep_old(c, f));
	KF_TRY(copy_path(c, f->label, "new", copy));
	return file_write(copy, now, 0600);
}

kf_err change_add_key(
	struct change *c, const char *path, enum change_place place, const char *id)
{
	char real[PATH_MAX];
	if (!realpath(path, real))
		return file_failed(errno);
	for (size_t i = 0; i < c->keys.n; i++)
		if (!strcmp(key_at(c, i)->name, path))
			return KF_OK;
	KF_TRY(grow(&c->keys, sizeof(struct change_key)));
	struct change_key *k = key_at(c, c->keys.n - 1);
	k->place = (int)place;
	KF_TRY(new_label(c->keys.n - 1, &k->label));
	KF_TRY(copy_text(path, &k->name));
	KF_TRY(copy_text(id, &k->id));
	return copy_text(real, &k->path);
}

static bool is_plain(const char *s) { return !strpbrk(s, "\"\\\n\r"); }

static bool print_file(const struct change_file *f, struct buf *to)
{
	buf_printf(to, "[file %s]\npath = \"%s\"\nwas_there = %s\n", f->label, f->path,
		f->was_there ? "yes" : "no");
	buf_printf(to, "mode = %d\nowner = %lld\ngroup = %lld\n", (int)f->mode,
		(long long)f->owner, (long long)f->group);
	return is_plain(f->path);
}

static bool print_key(const struct change_key *k, struct buf *to)
{
	buf_printf(to, "[key %s]\npath = \"%s\"\nname = \"%s\"\n", k->label, k->path,
		k->name);
	buf_printf(to, "id = \"%s\"\nplace = %s\n", k->id, places[k->place]);
	return is_plain(k->path) && is_plain(k->name);
}

kf_err change_set(struct change *c, enum change_phase phase)
{
	autobuf text = buf_new(RECORD_MAX);
	char path[4096];
	bool is_fine = is_plain(c->file);
	buf_printf(&text, "[change]\nkind = %s\nfile = \"%s\"\nbegan = %s\n", c->kind,
		c->file, c->began);
	buf_printf(&text, "phase = %s\n", phases[phase]);
	for (size_t i = 0; i < c->files.n; i++)
		is_fine &= print_file(file_at(c, i), &text);
	for (size_t i = 0; i < c->keys.n; i++)
		is_fine &= print_key(key_at(c, i), &text);
	if (!is_fine)
		return kf_fail(INVALID_FIELD, "a path with quotes, backslashes or line "
					      "breaks");
	KF_TRY(buf_err(&text));
	KF_TRY(path_join(c->dir, "record", path, sizeof(path)));
	KF_TRY(file_write(path, buf_slice(&text), 0600));
	c->phase = (int)phase;
	return KF_OK;
}

/* ---- there and back ---- */

struct three {
	struct buf now, old, new;
};

static void three_free(struct three *t)
{
	buf_free(&t->now);
	buf_free(&t->old);
	buf_free(&t->new);
}

/* What the file is, was and becomes. */
static kf_err read_three(const struct change *c, const struct change_file *f,
	bool *ret_is_there, struct three *ret)
{
	char path[4096];
	*ret = (struct three){ buf_new(CHANGE_FILE_MAX), buf_new(CHANGE_FILE_MAX),
		buf_new(CHANGE_FILE_MAX) };
	kf_err e = read_whole(f->path, &ret->now);
	*ret_is_there = kf_ok(e);
	if (!kf_ok(e) && !kf_is(e, KF_E_NOT_FOUND))
		return e;
	KF_TRY(copy_path(c, f->label, "new", path));
	KF_TRY(read_whole(path, &ret->new));
	KF_TRY(copy_path(c, f->label, "old", path));
	return f->was_there ? read_whole(path, &ret->old) : KF_OK;
}

/* Old ones may hold keys: who could read them before, and nobody else. */
static kf_err put_old(const struct change_file *f, bool is_there, const struct buf *bytes)
{
	const struct stat like = { .st_mode = (mode_t)f->mode,
		.st_uid = (uid_t)f->owner,
		.st_gid = (gid_t)f->group };
	return is_there ? file_replace(f->path, buf_slice(bytes))
			: file_write_like(f->path, &like, buf_slice(bytes));
}

/* Where the bytes of a private key lie on the disk that a reference has replaced under its name: they are
 * overwritten in the end.  Hidden: HAProxy reads all other files of a folder. */
static kf_err aside_of(const char *path, char *ret, size_t size)
{
	const char *base = strrchr(path, '/') + 1;
	int n = snprintf(
		ret, size, "%.*s.%s.keyfleet-old", (int)(base - path), path, base);
	return n < 0 || (size_t)n >= size ? kf_fail(TOO_BIG, "the path is too long")
					  : KF_OK;
}

static void shred_quietly(const char *path)
{
	file_clean(path);
	kf_err e = file_shred(path);
	(void)e; /* it may be gone already */
}

/* Of a name that still is the file's own, which file_shred() sees by the number of names, only the name goes. */
static void shred_aside(const char *path)
{
	char aside[4096];
	if (kf_ok(aside_of(path, aside, sizeof(aside))))
		shred_quietly(aside);
}

static kf_err set_aside(const char *path, const struct buf *old)
{
	static const char mark[] = "PRIVATE KEY-----";
	char aside[4096];
	if (!old->n || !memmem(old->p, old->n, mark, sizeof(mark) - 1))
		return KF_OK;
	shred_aside(path); /* of somebody who was killed here */
	KF_TRY(aside_of(path, aside, sizeof(aside)));
	/* A file system without second names forgets the bytes as it likes: no reason to keep the key there. */
	bool is_fine = link(path, aside) == 0 || errno == EPERM || errno == EOPNOTSUPP;
	return is_fine ? KF_OK : file_failed(errno);
}

static kf_err replace(const char *path, const struct three *t)
{
	KF_TRY(set_aside(path, &t->old));
	return file_replace(path, buf_slice(&t->new));
}

static kf_err apply_one(const struct change *c, const struct change_file *f)
{
	CLEANUP(three_free) struct three t = { 0 };
	bool is_there;
	KF_TRY(read_three(c, f, &is_there, &t));
	if (is_there && slice_eq(buf_slice(&t.now), buf_slice(&t.new)))
		return KF_OK;
	if (is_there != f->was_there || !slice_eq(buf_slice(&t.now), buf_slice(&t.old)))
		return kf_fail(CONFLICT, "somebody changed the file meanwhile");
	return is_there ? replace(f->path, &t)
			: file_write(f->path, buf_slice(&t.new), 0644);
}

static kf_err restore(const struct change *c, const struct change_file *f)
{
	CLEANUP(three_free) struct three t = { 0 };
	bool is_there;
	KF_TRY(read_three(c, f, &is_there, &t));
	if (is_there == f->was_there && slice_eq(buf_slice(&t.now), buf_slice(&t.old)))
		return KF_OK;
	if (is_there && !slice_eq(buf_slice(&t.now), buf_slice(&t.new)))
		return kf_fail(
			CONFLICT, "somebody changed the file since; it stays as it is");
	if (f->was_there)
		return put_old(f, is_there, &t.old);
	return unlink(f->path) ? file_failed(errno) : KF_OK;
}

/* The bytes beside a key go when it is back, not before: who cannot read the record has them. */
static kf_err undo_one(const struct change *c, const struct change_file *f)
{
	file_clean(f->path);
	KF_TRY(restore(c, f));
	shred_aside(f->path);
	return KF_OK;
}

kf_err change_apply(const struct change *c, struct buf *why)
{
	for (size_t i = 0; i < c->files.n; i++) {
		kf_err e = apply_one(c, file_at(c, i));
		if (!kf_ok(e)) {
			buf_printf(why, "%s: %s\n", file_at(c, i)->path, e.site->text);
			return e;
		}
	}
	return KF_OK;
}

kf_err change_undo(const struct change *c, struct buf *why)
{
	kf_err first = KF_OK;
	for (size_t i = c->files.n; i > 0; i--) {
		kf_err e = undo_one(c, file_at(c, i - 1));
		if (kf_ok(e))
			continue;
		buf_printf(why, "%s: %s (as it was: %s/%s.old)\n",
			file_at(c, i - 1)->path, e.site->text, c->dir,
			file_at(c, i - 1)->label);
		first = kf_ok(first) ? e : first;
	}
	return first;
}

/* ---- the end ---- */

/* Overwriting is the best that a program can do; what a file system keeps elsewhere (copies on write, a
 * solid-state disk's spare blocks) it cannot reach. */
static kf_err overwrite(int fd, off_t size)
{
	static const char zeros[4096];
	for (off_t at = 0; at < size; at += (off_t)sizeof(zeros)) {
		size_t n = size - at < (off_t)sizeof(zeros) ? (size_t)(size - at)
							    : sizeof(zeros);
		if (pwrite(fd, zeros, n, at) != (ssize_t)n)
			return kf_fail(IO, "the file cannot be overwritten");
	}
	return fsync(fd) ? kf_fail(IO, "the file cannot be overwritten") : KF_OK;
}

kf_err file_shred(const char *path)
{
	CLEANUP(mem_closep) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0)
		return file_failed(errno);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return kf_fail(IO, "this is no file");
	/* Another name of it is another's business: only ours goes. */
	if (st.st_nlink == 1)
		KF_TRY(overwrite(fd, st.st_size));
	return unlink(path) ? file_failed(errno) : KF_OK;
}

void change_forget(const struct change *c)
{
	char path[4096];
	for (size_t i = 0; i < c->files.n; i++) {
		shred_aside(file_at(c, i)->path);
		if (kf_ok(copy_path(c, file_at(c, i)->label, "old", path)))
			shred_quietly(path);
		if (kf_ok(copy_path(c, file_at(c, i)->label, "new", path)))
			shred_quietly(path);
	}
}

/* "20260131-12" */
static bool is_record_name(const char *name)
{
	const char *rest = name + strspn(name, "0123456789");
	return rest == name + 8 && *rest == '-' && rest[1] &&
	       !rest[1 + strspn(rest + 1, "0123456789")];
}

/* "record", "12.old", "12.new", and what file_write() calls them until they are whole. */
static bool is_copy_name(const char *name)
{
	static const char temporary[] = ".keyfleet-new";
	const char *rest = name + (*name == '.'), *end = strstr(rest, temporary);
	size_t n = end && *name == '.' ? (size_t)(end - rest) : strlen(rest);
	if ((*name == '.') != (end && !end[sizeof(temporary) - 1]))
		return false;
	if (n == 6 && !strncmp(rest, "record", n))
		return true;
	size_t digits = strspn(rest, "0123456789");
	return digits && n == digits + 4 &&
	       (!strncmp(rest + digits, ".old", 4) || !strncmp(rest + digits, ".new", 4));
}

void change_discard(const char *dir)
{
	DIR *d = opendir(dir);
	char path[4096];
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		if (is_copy_name(e->d_name) &&
			kf_ok(path_join(dir, e->d_name, path, sizeof(path))))
			shred_quietly(path);
	if (d)
		closedir(d);
	rmdir(dir);
}

kf_err change_each(const char *state_dir,
	kf_err (*each)(void *arg, const char *dir, const char *id), void *arg)
{
	struct dirent **names = NULL;
	int n = scandir(state_dir, &names, NULL, versionsort);
	if (n < 0)
		return errno == ENOENT ? KF_OK : file_failed(errno);
	kf_err e = KF_OK;
	for (int i = 0; i < n; i++) {
		char dir[4096];
		bool is_next = kf_ok(e) && is_record_name(names[i]->d_name);
		if (is_next)
			e = path_join(state_dir, names[i]->d_name, dir, sizeof(dir));
		if (is_next && kf_ok(e))
			e = each(arg, dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return e;
}
