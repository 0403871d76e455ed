/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that is full, read-only or broken: changes are refused by name, nothing is half done, what is
 * known is still served, and all goes on when the disk is right again.
 */
#include "fixture.h"
#include "test.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { OBJECTS_MAX = 2000 };
#define DISK "size=4m"

static char place[96], location[128], filler[128];

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return is_done;
}

/* A file system of our own, as root or as root of a name space. */
static bool make_disk(void)
{
	char map[32];
	unsigned uid = getuid();
	snprintf(map, sizeof(map), "0 %u 1", uid);
	snprintf(place, sizeof(place), "%s/disk", temporary_directory());
	snprintf(location, sizeof(location), "sqlite:%s/db", place);
	snprintf(filler, sizeof(filler), "%s/filler", place);
	if (uid && (unshare(CLONE_NEWUSER) || !write_file("/proc/self/uid_map", map)))
		return false;
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mkdir(place, 0700) == 0 && mount("none", place, "tmpfs", 0, DISK) == 0;
}

static void free_disk(void) { umount2(place, MNT_DETACH); }

/* The store lies on it. */
static bool has_disk(void)
{
	static int has = -1;
	if (has < 0) {
		has = make_disk();
		atexit(free_disk); /* before the directory is removed */
	}
	if (!has)
		printf("# skipped: no file system of our own\n");
	return has;
}

static bool remount(unsigned long flags, const char *size)
{
	return mount("none", place, NULL, MS_REMOUNT | flags, size) == 0;
}

static void fill_disk(void)
{
	static const char block[4096];
	int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		continue;
	close(fd);
}

enum { MATERIAL_SIZE = 2048 };

static void make_material(int i, char to[static MATERIAL_SIZE])
{
	memset(to, 'a' + i % 26, MATERIAL_SIZE - 1);
	to[MATERIAL_SIZE - 1] = 0;
}

static kf_err put_number(struct fixture *f, int i)
{
	char id[16], material[MATERIAL_SIZE];
	snprintf(id, sizeof(id), "o%d", i);
	make_material(i, material);
	struct spec spec = { .id = id, .name = id, .material = material };
	return put(f->store, &spec);
}

/* How many were acknowledged from this number on; *ret is why the next one was not. */
static int put_until_refused(struct fixture *f, int from, kf_err *ret)
{
	int n = from;
	while (n < OBJECTS_MAX && kf_ok(*ret = put_number(f, n)))
		n++;
	return n;
}

static bool has_exactly(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		char id[16];
		snprintf(id, sizeof(id), "o%d", i);
		const struct object *o =
			catalog_find(store_catalog(f->store), slice_of(id));
		autobuf plain = buf_new(4096);
		if (!o || !kf_ok(store_unseal(f->store, o, &plain)))
			return false;
	}
	return catalog_count(store_catalog(f->store)) == (size_t)n;
}

static bool becomes(struct fixture *f, bool is_writable)
{
	struct store_status status;
	for (int i = 0; i < 500; i++) {
		store_status(f->store, &status);
		if (status.is_writable == is_writable)
			return true;
		usleep(10000);
	}
	return false;
}

static bool is_there_after_a_restart(int n)
{
	struct fixture f = { 0 };
	bool is_there = kf_ok(fixture_open(&f, location, KEY_A)) && has_exactly(&f, n);
	fixture_close(&f);
	return is_there;
}

TEST(a_full_disk_refuses_changes_and_nothing_else)
{
	struct fixture f = { .conf.poll_ms = 20 };
	kf_err why = KF_OK;
	if (!has_disk())
		return;
	OK(kf_ok(fixture_open(&f, location, KEY_A)));

	int n = put_until_refused(&f, 0, &why);

	OK(n > 0 && n < OBJECTS_MAX);
	OK(says(why, KF_E_FULL, "no space"));
	fill_disk();
	OK(says(put_number(&f, n), KF_E_FULL, "no space"));
	OK(becomes(&f, false));
	OK(was_told(&f, "store"));
	OK(has_exactly(&f, n));

	OK(remount(0, "size=16m"));
	OK(becomes(&f, true));
	OK(kf_ok(put_number(&f, n)));
	OK(kf_ok(put_number(&f, n + 1)));
	fixture_close(&f);
	OK(is_there_after_a_restart(n + 2));
}

static kf_err put_by_request(struct fixture *f, uint8_t id)
{
	char material[MATERIAL_SIZE];
	make_material(id, material);
	struct spec spec = { .id = "by-request", .material = material };
	struct change c = request(id, 1, "answer");
	KF_TRY(add_put(&c, &spec, NULL));
	kf_err err = submit_and_wait(f->store, &c);
	buf_free(&c.answer);
	return err;
}

/* A client that asks again and again for what cannot be done has used up nothing. */
TEST(request_ids_that_were_not_written_do_not_count)
{
	struct fixture f = { .conf.poll_ms = 20, .conf.request_ids_max = 3 };
	kf_err why = KF_OK;
	if (!has_disk())
		return;
	OK(remount(0, DISK) && unlink(filler) == 0);
	OK(kf_ok(fixture_open(&f, location, KEY_A)));
	fill_disk();
	/* What SQLite has of the disk already takes some, and some more once it was copied. */
	for (int i = 0; i < 3; i++) {
		(void)put_until_refused(
			&f, (int)catalog_count(store_catalog(f.store)), &why);
		OK(says(why, KF_E_FULL, "no space"));
	}

	for (uint8_t i = 0; i < 5; i++)
		OK(says(put_by_request(&f, i), KF_E_FULL, "no space"));

	OK(remount(0, "size=16m"));
	OK(becomes(&f, true));
	OK(kf_ok(put_by_request(&f, 5)));
	fixture_close(&f);
}

TEST(a_server_does_not_start_on_a_read_only_disk_and_says_why)
{
	struct fixture f = { 0 }, again = { 0 };
	if (!has_disk())
		return;
	OK(remount(MS_RDONLY, DISK));
	kf_err why = fixture_open(&f, location, KEY_A);
	fixture_close(&f);
	OK(says(why, KF_E_STORE, "cannot be made: check its directory"));

	OK(remount(0, "size=16m"));
	OK(kf_ok(fixture_open(&again, location, KEY_A)));
	fixture_close(&again);
}

/* A limit stands for a disk that fails in the middle of a write: nobody knows what is on it. */
TEST(a_write_that_fails_is_found_out_about)
{
	struct fixture f = { .conf.poll_ms = 20, .conf.deadline_ms = 300 };
	struct rlimit was, small;
	char path[128];
	kf_err why = KF_OK;
	signal(SIGXFSZ, SIG_IGN);
	snprintf(path, sizeof(path), "sqlite:%s/io.db", temporary_directory());
	OK(kf_ok(fixture_open(&f, path, KEY_A)));
	getrlimit(RLIMIT_FSIZE, &was);
	small = (struct rlimit){ 400000, was.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);

	int n = put_until_refused(&f, 0, &why);

	OK(n > 0 && n < OBJECTS_MAX);
	OK(kf_is(why, KF_E_OUTCOME_UNKNOWN));
	setrlimit(RLIMIT_FSIZE, &was);
	OK(becomes(&f, true));
	why = put_number(&f, n);
	OK(kf_ok(why) || kf_is(why, KF_E_EXISTS));
	OK(has_exactly(&f, n + 1));
	fixture_close(&f);
	OK(kf_ok(fixture_open(&f, path, KEY_A)));
	OK(has_exactly(&f, n + 1));
	fixture_close(&f);
}
TEST_MAIN
