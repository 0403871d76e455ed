/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/change.h"
#include "cli/cli.h"
#include "test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a folder of our own ---- */

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[4][4096];
	static size_t next;
	char *ret = path[next++ % 4];
	snprintf(ret, sizeof(path[0]), "%s/%s", dir, name);
	return ret;
}

static bool put(const char *name, const char *text, unsigned mode)
{
	return kf_ok(file_write(in_dir(name), slice_of(text), mode));
}

static bool has(const char *name, const char *text)
{
	autobuf found = buf_new(65536), why = buf_new(8192);
	return kf_ok(conf_read_file(in_dir(name), &found, &why)) &&
	       slice_is(buf_slice(&found), text);
}

static unsigned mode_of(const char *name)
{
	struct stat st;
	return stat(in_dir(name), &st) ? 0 : st.st_mode & 07777;
}

static bool is_there(const char *name) { return access(in_dir(name), F_OK) == 0; }

/* A change of "site", and a new file "ref". */
static bool begin(struct change *c)
{
	snprintf(dir, sizeof(dir), "/tmp/test-change-XXXXXX");
	return mkdtemp(dir) && put("site", "old", 0600) &&
	       kf_ok(change_new(in_dir("state"), "nginx", in_dir("site"), c)) &&
	       kf_ok(change_add(c, in_dir("site"), slice_of("new"))) &&
	       kf_ok(change_add(c, in_dir("ref"), slice_of("reference"))) &&
	       kf_ok(change_set(c, CHANGE_BEGUN));
}

static void end(struct change *c)
{
	change_discard(c->dir);
	change_free(c);
	unlink(in_dir("site"));
	unlink(in_dir("ref"));
	rmdir(in_dir("state"));
	rmdir(dir);
}

/* ---- there and back ---- */

TEST(all_files_become_new_ones_and_go_back)
{
	struct change c;
	autobuf why = buf_new(8192);
	OK(begin(&c));
	OK(has("site", "old") && !is_there("ref"));
	OK(kf_ok(change_apply(&c, &why)));
	OK(has("site", "new") && has("ref", "reference") && mode_of("site") == 0600);
	OK(kf_ok(change_undo(&c, &why)));
	OK(has("site", "old") && !is_there("ref") && mode_of("site") == 0600);
	end(&c);
	OK(access(dir, F_OK) != 0);
}

TEST(a_file_that_is_gone_comes_back_for_nobody_elses_eyes)
{
	struct change c;
	autobuf why = buf_new(8192);
	OK(begin(&c));
	OK(kf_ok(change_apply(&c, &why)));
	OK(unlink(in_dir("site")) == 0);
	OK(kf_ok(change_undo(&c, &why)));
	OK(has("site", "old"));
	OK(mode_of("site") == 0600);
	end(&c);
}

TEST(what_somebody_changed_since_stays_and_the_rest_goes_back)
{
	struct change c;
	autobuf why = buf_new(8192);
	OK(begin(&c));
	OK(kf_ok(change_apply(&c, &why)));
	OK(put("site", "another's", 0600));
	OK(kf_is(change_undo(&c, &why), KF_E_CONFLICT));
	OK(has("site", "another's") && !is_there("ref"));
	OK(why.n && memmem(why.p, why.n, "/site: ", 7));
	end(&c);
}

TEST(what_somebody_changed_before_is_not_overwritten)
{
	struct change c;
	autobuf why = buf_new(8192);
	OK(begin(&c));
	OK(put("site", "another's", 0600));
	OK(kf_is(change_apply(&c, &why), KF_E_CONFLICT));
	OK(has("site", "another's"));
	end(&c);
}

/* ---- the record ---- */

TEST(a_record_is_read_as_it_was_written)
{
	struct change c, read;
	autobuf why = buf_new(8192);
	OK(begin(&c));
	OK(kf_ok(change_add_key(&c, in_dir("site"), CHANGE_KEY_IN_BUNDLE, "0a1b")));
	OK(kf_ok(change_set(&c, CHANGE_DONE)));
	OK(kf_ok(change_open(c.dir, &read, &why)));
	OK(read.phase == CHANGE_DONE && read.files.n == 2 && read.keys.n == 1);
	const struct change_file *f = read.files.items;
	OK(f[0].was_there && f[0].mode == 0600 && f[0].owner == geteuid());
	OK(!f[1].was_there);
	const struct change_key *k = read.keys.items;
	OK(!strcmp(k->id, "0a1b") && k->place == CHANGE_KEY_IN_BUNDLE);
	OK(!strcmp(k->path, in_dir("site")) && !strcmp(k->name, k->path));
	change_free(&read);
	end(&c);
}

TEST(a_path_that_a_record_cannot_hold_is_refused)
{
	static const char *const bad[] = { "a\nb", "a\"b", "a\\b", "a\rb" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct change c;
		OK(begin(&c));
		OK(kf_ok(change_add(&c, in_dir(bad[i]), slice_of("x"))));
		OK(kf_is(change_set(&c, CHANGE_BEGUN), KF_E_INVALID_FIELD));
		OK(!is_there(bad[i]));
		end(&c);
	}
}

/* ---- folders that hold more than records ---- */

static kf_err count(void *arg, const char *path, const char *id)
{
	(void)path;
	(void)id;
	++*(size_t *)arg;
	return KF_OK;
}

TEST(folders_without_the_name_of_a_record_are_none)
{
	static const char *const others[] = { "state/mail", "state/20260101",
		"state/20260101-", "state/20260101-1x", "state/2026010-1",
		"state/.20260101-1" };
	struct change c;
	size_t n = 0;
	OK(begin(&c));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		OK(mkdir(in_dir(others[i]), 0700) == 0);
	OK(kf_ok(change_each(in_dir("state"), count, &n)));
	EQ(n, (size_t)1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		OK(rmdir(in_dir(others[i])) == 0);
	end(&c);
}

TEST(discarding_a_record_leaves_what_is_not_ours)
{
	static const char *const others[] = { "state/x/letter", "state/x/1.older",
		"state/x/old", "state/x/.record", "state/x/.profile",
		"state/x/record.keyfleet-new" };
	static const char *const ours[] = { "state/x/record", "state/x/0.old",
		"state/x/17.new", "state/x/.record.keyfleet-new",
		"state/x/.0.old.keyfleet-new" };
	struct change c;
	OK(begin(&c));
	OK(mkdir(in_dir("state/x"), 0700) == 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		OK(put(others[i], "mine", 0600));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		OK(put(ours[i], "copy", 0600));
	change_discard(in_dir("state/x"));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		OK(!is_there(ours[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		OK(has(others[i], "mine") && unlink(in_dir(others[i])) == 0);
	OK(rmdir(in_dir("state/x")) == 0);
	end(&c);
}

/* ---- private keys that a reference replaces under their own name ---- */

#define KEY "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"

/* A change of "site", which holds a key now; the descriptor of the file that has it. */
static int begin_key(struct change *c)
{
	snprintf(dir, sizeof(dir), "/tmp/test-change-XXXXXX");
	bool is_fine = mkdtemp(dir) && put("site", KEY, 0600) &&
		       kf_ok(change_new(in_dir("state"), "haproxy", in_dir("site"), c)) &&
		       kf_ok(change_add(c, in_dir("site"), slice_of("reference"))) &&
		       kf_ok(change_set(c, CHANGE_BEGUN));
	return is_fine ? open(in_dir("site"), O_RDONLY | O_CLOEXEC) : -1;
}

/* What is on the disk where the key was. */
static bool still_holds_key(int fd)
{
	char text[sizeof(KEY)] = "";
	return pread(fd, text, sizeof(text) - 1, 0) > 0 && !strcmp(text, KEY);
}

TEST(a_key_that_became_a_reference_is_overwritten_where_it_was)
{
	struct change c;
	autobuf why = buf_new(8192);
	int fd = begin_key(&c);
	OK(kf_ok(change_apply(&c, &why)));
	OK(has("site", "reference") && still_holds_key(fd));
	change_forget(&c);
	OK(!still_holds_key(fd) && !is_there(".site.keyfleet-old"));
	OK(has("site", "reference"));
	close(fd);
	end(&c);
}

TEST(a_key_that_goes_back_leaves_no_other_copy)
{
	struct change c;
	autobuf why = buf_new(8192);
	int fd = begin_key(&c);
	OK(kf_ok(change_apply(&c, &why)));
	OK(kf_ok(change_undo(&c, &why)));
	OK(has("site", KEY) && !still_holds_key(fd) && !is_there(".site.keyfleet-old"));
	close(fd);
	end(&c);
}

TEST(a_key_that_cannot_go_back_is_not_overwritten)
{
	struct change c;
	autobuf why = buf_new(8192);
	int fd = begin_key(&c);
	char copy[4096];
	OK(kf_ok(change_apply(&c, &why)));
	OK(kf_ok(path_join(c.dir, "0.old", copy, sizeof(copy))) && !unlink(copy));
	OK(!kf_ok(change_undo(&c, &why)));
	OK(still_holds_key(fd) && is_there(".site.keyfleet-old"));
	change_forget(&c);
	OK(!still_holds_key(fd) && !is_there(".site.keyfleet-old"));
	close(fd);
	end(&c);
}

TEST(a_key_whose_second_name_is_all_that_was_made_is_not_touched)
{
	struct change c;
	autobuf why = buf_new(8192);
	int fd = begin_key(&c);
	OK(link(in_dir("site"), in_dir(".site.keyfleet-old")) == 0); /* and then killed */
	OK(kf_ok(change_undo(&c, &why)));
	OK(has("site", KEY) && still_holds_key(fd) && !is_there(".site.keyfleet-old"));
	OK(link(in_dir("site"), in_dir(".site.keyfleet-old")) == 0);
	OK(kf_ok(change_apply(&c, &why)));
	OK(has("site", "reference") && still_holds_key(fd));
	change_forget(&c);
	OK(!still_holds_key(fd));
	close(fd);
	end(&c);
}

TEST_MAIN
