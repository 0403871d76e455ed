/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], from[80], to[80];

static void begin(void)
{
	snprintf(folder, sizeof(folder), "/tmp/keyfleet-file-XXXXXX");
	OK(mkdtemp(folder) != NULL);
	snprintf(from, sizeof(from), "%s/new", folder);
	snprintf(to, sizeof(to), "%s/old", folder);
}

static void end(void)
{
	unlink(from);
	unlink(to);
	OK(rmdir(folder) == 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	OK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static bool has(const char *path, const char *text)
{
	char got[16] = "";
	FILE *f = fopen(path, "r");
	bool is = f && fgets(got, sizeof(got), f) && !strcmp(got, text);
	if (f)
		fclose(f);
	return is;
}

TEST(the_new_file_takes_the_place_of_the_old_one)
{
	begin();
	put(from, "new");
	put(to, "old");

	OK(kf_ok(file_put_in_place(from, to)));

	OK(has(to, "new"));
	OK(access(from, F_OK) != 0);
	end();
}

TEST(what_is_not_there_replaces_nothing)
{
	begin();
	put(to, "old");

	OK(kf_is(file_put_in_place(from, to), KF_E_IO));

	OK(has(to, "old"));
	end();
}

TEST(a_path_without_a_folder_lies_in_this_one)
{
	OK(kf_ok(file_sync_folder("nobody-looks-at-the-name")));
}

TEST(a_folder_that_is_not_there_is_an_error)
{
	OK(kf_is(file_sync_folder("/nowhere/at/all"), KF_E_IO));
}

TEST(a_path_that_is_too_long_is_cut_nowhere)
{
	char path[5000];
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	OK(kf_is(file_sync_folder(path), KF_E_TOO_BIG));
}

TEST_MAIN
