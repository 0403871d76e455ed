/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose code may run as root?  What a web server is configured with, or what a process that looks like one
 * has in its environment, may be anybody's: a module of his, loaded by the doctor, would be root.
 */
#include "cli/doctor.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a folder like /tmp others make files of their own, but change no others. */
static bool is_roots(const char *path)
{
	struct stat st;
	if (lstat(path, &st) || st.st_uid != 0)
		return false;
	bool is_shared = (st.st_mode & S_IWOTH) || (st.st_mode & S_IWGRP && st.st_gid);
	return !is_shared || (S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX);
}

bool doctor_may_load(const char *path, char ret[DOCTOR_PATH])
{
	char real[PATH_MAX];
	if (!realpath(path, real) || strlen(real) >= DOCTOR_PATH)
		return false;
	strcpy(ret, real);
	bool may = true;
	for (char *end = real + strlen(real); geteuid() == 0 && may && end > real;
		end = strrchr(real, '/')) {
		*end = 0;
		may = is_roots(real);
	}
	return may;
}
