/* SPDX-License-Identifier: Apache-2.0
 *
 * When was the last backup?  The audit log knows: making one is an operation.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

enum { SEGMENTS_MAX = 10000, AGE_MAX_DAYS = 7, DAY_S = 86400 };

struct segments {
	struct dirent **item;
	int n;
};

static int is_segment(const struct dirent *e)
{
	return !strncmp(e->d_name, "audit-", 6) && strstr(e->d_name, ".log");
}

/* The time of the line around `at`: time=2026-11-21T13:18:50.087909Z; 0: none. */
static int64_t time_of(const char *text, const char *at)
{
	struct tm tm = { 0 };
	while (at > text && at[-1] != '\n')
		at--;
	const char *end = memchr(at, ' ', 256);
	if (!end || strncmp(at, "time=", 5) != 0 ||
		!strptime(at + 5, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	return timegm(&tm);
}

static const char *find_last(const char *text, size_t n, const char *what)
{
	const char *found = NULL, *at = text;
	while ((at = memmem(at, n - (size_t)(at - text), what, strlen(what)))) {
		found = at;
		at += strlen(what);
	}
	return found;
}

/* Of one segment: when the last backup was, and when it begins. */
static void look_into(const char *path, int64_t *ret_backup, int64_t *ret_begin)
{
	struct stat st;
	CLEANUP(mem_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	*ret_backup = *ret_begin = 0;
	if (fd < 0 || fstat(fd, &st) || st.st_size <= 4096 || !S_ISREG(st.st_mode))
		return;
	size_t n = (size_t)st.st_size;
	char *text = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return;
	const char *last = find_last(text, n - 256, " operation=Backup ");
	*ret_begin = time_of(text, text);
	*ret_backup = last ? time_of(text, last) : 0;
	munmap(text, n);
}

static void judge(struct doctor *d, const char *dir, int64_t backup, int64_t begin)
{
	int64_t now = clock_wall_s(), days = (now - backup) / DAY_S;
	char text[256];
	if (backup && days < AGE_MAX_DAYS) {
		doctor_fine(d, CHECK_BACKUP_AGE, dir);
		return;
	}
	if (!backup && begin && now - begin < DAY_S) {
		doctor_unseen(d, CHECK_BACKUP_AGE, dir, "the audit log began today");
		return;
	}
	if (backup)
		snprintf(text, sizeof(text), "the last backup was made %ld days ago",
			(long)days);
	else
		snprintf(text, sizeof(text), "no backup is in the audit log");
	doctor_tell(d, BACKUP_AGE, dir, text);
}

void doctor_backup_age(struct doctor *d, const char *dir)
{
	struct segments s = { 0 };
	int64_t backup = 0, begin = 0, first = 0;
	s.n = scandir(dir, &s.item, is_segment, alphasort);
	for (int i = s.n; i > 0 && !backup; i--) {
		char path[DOCTOR_PATH];
		snprintf(path, sizeof(path), "%s/%s", dir, s.item[i - 1]->d_name);
		look_into(path, &backup, &begin);
		first = begin ? begin : first;
	}
	for (int i = 0; i < s.n; i++)
		free(s.item[i]);
	free(s.item);
	if (s.n <= 0)
		doctor_unseen(d, CHECK_BACKUP_AGE, dir, "no audit log can be seen");
	else
		judge(d, dir, backup, first);
}
