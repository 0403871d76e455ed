/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/private.h"
#include "audit/segment.h"
#include "audit/verify.h"
#include "keys.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOPS = 3, RECORDS = 3000, SEGMENTS_TURNS = 400, START_LINES = 3, STOP_LINES = 1 };

static char directory[] = "/tmp/keyfleet-audit-XXXXXX";
static sem_t woken[LOOPS];
static _Atomic bool is_disk_full, is_sync_broken;
static bool has_seen; /* the audit remembers its newest checkpoint */
static int64_t keep_s;
static uint64_t keep_size;

/* ---- a disk that fails when told to ---- */

static int allocate(int fd, off_t size)
{
	return atomic_load(&is_disk_full) ? ENOSPC : ftruncate(fd, size);
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

static int sync_data(int fd)
{
	(void)fd;
	if (!atomic_load(&is_sync_broken))
		return 0;
	errno = EIO;
	return -1;
}

static const struct journal_ops disk = { allocate, write_at, sync_data };

/* ---- helpers ---- */

static void remove_files(void)
{
	DIR *d = opendir(directory);
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static const char *seen_path(void)
{
	static char path[sizeof(directory) + 8];
	snprintf(path, sizeof(path), "%s.seen", directory);
	return path;
}

static void start_afresh(void)
{
	static bool is_made;
	if (!is_made)
		is_made = mkdtemp(directory) != NULL;
	remove_files();
	has_seen = false;
	keep_s = 0;
	keep_size = 0;
	unlink(seen_path());
	atomic_store(&is_disk_full, false);
	atomic_store(&is_sync_broken, false);
	for (int i = 0; i < LOOPS; i++)
		sem_init(&woken[i], 0, 0);
}

static void wake(void *arg, unsigned loop)
{
	(void)arg;
	sem_post(&woken[loop]);
}

static struct audit *open_audit(unsigned loops)
{
	struct audit_conf conf = { .directory = directory,
		.segment_size = JOURNAL_SEGMENT_MIN,
		.ring_size = 1 << 20,
		.loops = loops,
		.is_synced = true,
		.server = "kms1",
		.keyring = keys(),
		.seen = has_seen ? seen_path() : NULL,
		.keep_s = keep_s,
		.keep_size = keep_size,
		.checkpoint_ms = 3600000 };
	struct audit_waker waker = { .wake = wake };
	struct audit *a = NULL;
	return kf_ok(audit_open_on(&conf, &disk, &waker, &a)) ? a : NULL;
}

static const struct audit_record record = {
	.client = "web1", .operation = "Sign", .object = "1", .rule = "owner"
};

static void add_some(struct audit *a)
{
	uint64_t ticket;
	for (int i = 0; i < 50; i++)
		if (!kf_ok(audit_add(a, 0, &record, &ticket)))
			return;
}

/* Adds and waits until it is on disk, or until the audit fails closed. */
static bool add_and_wait(struct audit *a, unsigned loop)
{
	uint64_t ticket;
	if (!kf_ok(audit_add(a, loop, &record, &ticket)))
		return false;
	audit_flush(a, loop, ticket);
	while (audit_is_healthy(a) && audit_wait(a, loop, ticket))
		sem_wait(&woken[loop]);
	return audit_durable(a, loop) >= ticket;
}

struct segment {
	size_t lines, size;
	bool has_zeros;
};

static struct segment read_segment(int number)
{
	static char bytes[2 << 20];
	char path[128];
	struct segment s = { 0 };
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, number);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));
	if (fd >= 0)
		close(fd);
	s.size = n > 0 ? (size_t)n : 0;
	for (size_t i = 0; i < s.size; i++) {
		s.lines += bytes[i] == '\n';
		s.has_zeros |= bytes[i] == 0;
	}
	return s;
}

static void append_to_segment(int number, const void *p, size_t n)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, number);
	int fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static void found(void *arg, const struct replay_finding *f)
{
	(void)arg;
	printf("# segment %d line %d: %s\n", (int)f->segment, (int)f->line, f->text);
}

/* What `keyfleet audit verify` finds; all that is there must stand in a checkpoint. */
static struct verify_result verified(void)
{
	struct verify v = { .directory = directory, .keyring = keys(), .tell = found };
	struct verify_result result = { .findings = UINT64_MAX };
	if (!kf_ok(verify_directory(&v, &result)))
		result.findings = UINT64_MAX;
	return result;
}

static bool is_whole(uint64_t records)
{
	struct verify_result r = verified();
	return r.findings == 0 && r.unsigned_lines == 0 && r.records == records;
}

/* ---- somebody who can write the files and has no key ---- */

static void run_once(void)
{
	struct audit *a = open_audit(1);
	if (!a || !add_and_wait(a, 0))
		abort();
	audit_close(a);
}

static int open_segment(int number)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, number);
	return open(path, O_RDWR);
}

/* The newest segment that was deleted.  It looks between the records. */
static uint64_t retired_in_a_run(void)
{
	enum { TIMES = 200 };
	struct audit_status s;
	struct audit *a = open_audit(1);
	for (int i = 0; i < TIMES; i++)
		if (!a || !add_and_wait(a, 0))
			abort();
	audit_status(a, &s);
	audit_close(a);
	return s.retired;
}

static void cut_last_line(int number)
{
	static char bytes[2 << 20];
	int fd = open_segment(number);
	ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));
	while (n > 1 && bytes[n - 2] != '\n')
		n--;
	if (n < 2 || ftruncate(fd, n - 1) != 0)
		abort();
	close(fd);
}

/* Where the journal's chain is at the end of a segment. */
static struct chain journal_at_end(int number)
{
	CLEANUP(replay_freep) struct replay *r = replay_new(found, NULL);
	struct segment_reader reader;
	struct slice line;
	int fd = open(directory, O_RDONLY | O_DIRECTORY);
	if (!r || !kf_ok(segment_open(fd, (uint64_t)number, &reader)))
		abort();
	replay_segment(r, (uint64_t)number);
	while (segment_next(&reader, &line))
		replay_line(r, line);
	segment_close(&reader);
	close(fd);
	return r->at.journal;
}

/* A line that fits its chain, as anybody can compute it. */
static void append_forged(int number, const char *event)
{
	struct chain c = journal_at_end(number);
	char line[1024], value[2 * CHAIN_SHOWN];
	int n = snprintf(line, sizeof(line),
		"time=2026-11-21T13:18:50.087909Z event=%.*s number=%d%s",
		(int)strcspn(event, " "), event, (int)c.sequence + 1,
		event + strcspn(event, " "));
	chain_add(&c, (struct slice){ (const uint8_t *)line, (size_t)n });
	chain_to_hex(c.head, CHAIN_SHOWN, value);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " chain=%.*s\n",
		(int)sizeof(value), value);
	append_to_segment(number, line, (size_t)n);
}

static void wait_until_healthy(struct audit *a)
{
	while (!audit_is_healthy(a))
		sched_yield();
}

static void wait_for_spare(struct audit *a)
{
	struct audit_status s;
	do
		audit_status(a, &s);
	while (s.reserve_bytes <= JOURNAL_SEGMENT_MIN);
}

/* ---- claims ---- */

TEST(a_durable_record_is_in_the_file)
{
	start_afresh();
	struct audit *a = open_audit(1);
	OK(a);

	OK(add_and_wait(a, 0));

	struct segment s = read_segment(1);
	EQ(s.lines, START_LINES + 1);
	EQ(s.size, JOURNAL_SEGMENT_MIN);
	audit_close(a);
	s = read_segment(1);
	EQ(s.lines, START_LINES + 1 + STOP_LINES);
	OK(!s.has_zeros);
}

TEST(nothing_is_durable_before_its_flush)
{
	start_afresh();
	struct audit *a = open_audit(1);
	uint64_t first, second;

	OK(kf_ok(audit_add(a, 0, &record, &first)));
	OK(kf_ok(audit_add(a, 0, &record, &second)));

	EQ(second, first + 1);
	EQ(audit_durable(a, 0), 0);
	audit_close(a); /* writes them all the same */
	EQ(read_segment(1).lines, START_LINES + 2 + STOP_LINES);
}

TEST(a_restart_cuts_a_torn_record_and_begins_a_new_segment)
{
	start_afresh();
	struct audit *a = open_audit(1);
	OK(add_and_wait(a, 0));
	audit_close(a);
	append_to_segment(1, "time=torn\0\0\0behind\n", 19);

	a = open_audit(1);
	OK(a);
	OK(add_and_wait(a, 0));
	audit_close(a);

	EQ(read_segment(1).lines, START_LINES + 1 + STOP_LINES);
	OK(!read_segment(1).has_zeros);
	EQ(read_segment(2).lines, START_LINES + 1 + STOP_LINES);
	OK(is_whole(2));
}

TEST(a_directory_has_one_writer)
{
	start_afresh();
	struct audit *a = open_audit(1);

	OK(a);
	OK(!open_audit(1));
	audit_close(a);
}

TEST(a_full_disk_is_outlived_on_the_reserve_then_it_fails_closed_and_recovers)
{
	start_afresh();
	struct audit *a = open_audit(1);
	OK(a);
	wait_for_spare(a);
	atomic_store(&is_disk_full, true);

	size_t taken = 0;
	while (add_and_wait(a, 0)) {
		add_some(a);
		taken += 51;
	}

	OK(taken > JOURNAL_SEGMENT_MIN / 200);
	OK(!audit_is_healthy(a));
	uint64_t ticket;
	OK(kf_is(audit_add(a, 0, &record, &ticket), KF_E_AUDIT));

	atomic_store(&is_disk_full, false);
	wait_until_healthy(a);
	OK(add_and_wait(a, 0));
	audit_close(a);
	EQ(verified().findings, 0);
}

TEST(an_alarm_is_on_record_and_in_the_status)
{
	struct audit_status s;
	start_afresh();
	struct audit *a = open_audit(1);
	audit_status(a, &s);
	OK(s.is_intact);

	OK(kf_ok(audit_alarm(a, NULL, "a test")));

	audit_status(a, &s);
	OK(!s.is_intact);
	audit_close(a);
	EQ(verified().findings, 1);
}

TEST(an_alarm_about_another_server_is_no_finding_here)
{
	start_afresh();
	struct audit *a = open_audit(1);

	OK(kf_ok(audit_alarm(a, "kms2", "a test")));

	audit_close(a);
	EQ(verified().findings, 0);
}

TEST(an_end_that_was_cut_off_and_filled_up_again_is_noticed_at_the_start)
{
	start_afresh();
	has_seen = true;
	run_once();
	struct audit *a = open_audit(1);
	OK(!audit_finding(a));
	audit_close(a);
	cut_last_line(2); /* the stop, which is the newest that the server remembers */
	append_forged(2, "note detail=x");
	append_forged(2, "note detail=x");

	a = open_audit(1);

	OK(audit_finding(a));
	audit_close(a);
	OK(verified().findings > 0);
}

TEST(a_deletion_that_nobody_has_signed_is_a_removal)
{
	start_afresh();
	for (int i = 0; i < 3; i++)
		run_once();
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, 1);
	OK(unlink(path) == 0);
	cut_last_line(3);
	append_forged(3, "retired upto=1");

	OK(verified().findings > 0);
	run_once(); /* whose checkpoints stand behind that line */
	OK(verified().findings > 0);
}

TEST(files_made_older_or_larger_drive_none_out)
{
	static const struct timespec long_ago[2] = { { 0 }, { 0 } };
	start_afresh();
	for (int i = 0; i < 3; i++)
		run_once();
	for (int i = 1; i <= 3; i++) {
		int fd = open_segment(i);
		OK(ftruncate(fd, (off_t)1 << 40) == 0 && futimens(fd, long_ago) == 0);
		close(fd);
	}
	keep_s = INT64_C(30) * 86400;
	keep_size = 5 * JOURNAL_SEGMENT_MIN;

	EQ(retired_in_a_run(), 0);
}

TEST(what_cannot_be_deleted_keeps_nothing_else_and_is_told_once)
{
	start_afresh();
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, 1);
	for (int i = 0; i < 4; i++)
		run_once();
	OK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	keep_size = 1;

	EQ(retired_in_a_run(), 3);

	OK(open_segment(2) < 0);
	OK(rmdir(path) == 0);
	EQ(retired_in_a_run(), 4);
	EQ(verified().findings, 0);
}

/* While the first segment is read. */
static void delete_meanwhile(void *arg, double part)
{
	(void)part;
	uint64_t *retired = arg;
	keep_size = 1;
	if (!*retired)
		*retired = retired_in_a_run();
}

static struct verify_result verified_while(void (*progress)(void *, double), void *arg)
{
	struct verify v = { .directory = directory,
		.keyring = keys(),
		.tell = found,
		.progress = progress,
		.arg = arg };
	struct verify_result result = { .findings = UINT64_MAX };
	if (!kf_ok(verify_directory(&v, &result)))
		abort();
	return result;
}

static void write_segments(void)
{
	struct audit *a = open_audit(1);
	for (int i = 0; i < SEGMENTS_TURNS; i++) {
		add_some(a);
		if (!add_and_wait(a, 0))
			abort();
	}
	audit_close(a);
}

TEST(what_the_server_deletes_while_it_is_verified_is_no_finding)
{
	uint64_t retired = 0;
	start_afresh();
	write_segments();

	EQ(verified_while(delete_meanwhile, &retired).findings, 0);

	OK(retired >= 2);
}

static void remove_meanwhile(void *arg, double part)
{
	(void)arg;
	(void)part;
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, 2);
	unlink(path);
}

TEST(what_somebody_removes_while_it_is_verified_is_found)
{
	start_afresh();
	write_segments();

	OK(verified_while(remove_meanwhile, NULL).findings > 0);
}

TEST(a_key_that_the_old_one_has_not_signed_is_none)
{
	start_afresh();
	run_once();
	struct verify_result before = verified();
	cut_last_line(1);
	append_forged(1,
		"key key=mine public="
		"0101010101010101010101010101010101010101010101010101010101010101");

	run_once();

	struct verify_result after = verified();
	EQ(after.findings, 0);
	OK(memcmp(before.public, after.public, sizeof(before.public)) == 0);
}

TEST(a_segment_of_the_last_number_of_all_is_not_counted_on_from)
{
	start_afresh();
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-18446744073709551615.log", directory);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	OK(fd >= 0);
	close(fd);

	OK(!open_audit(1));
}

TEST(other_loops_than_before_go_on_with_the_chains)
{
	start_afresh();
	for (unsigned loops = 3; loops >= 1; loops--) {
		struct audit *a = open_audit(loops);
		for (unsigned i = 0; i < loops; i++)
			OK(add_and_wait(a, i));
		audit_close(a);
	}
	struct audit *a = open_audit(3);
	OK(add_and_wait(a, 2));
	audit_close(a);

	OK(is_whole(3 + 2 + 1 + 1));
}

TEST(an_event_is_durable_once_it_is_on_disk_and_not_before)
{
	uint64_t first, second;
	start_afresh();
	struct audit *a = open_audit(1);
	atomic_store(&is_sync_broken, true);

	OK(kf_ok(audit_event_first(a, "erase", SLICE_LIT(" object=x"), &first)));
	while (audit_is_healthy(a))
		usleep(1000);
	OK(kf_is(audit_event_wait(a, first, 0), KF_E_AUDIT));
	OK(kf_ok(audit_event_first(a, "erase", SLICE_LIT(" object=y"), &second)));
	OK(second == first + 1);
	OK(kf_is(audit_event_wait(a, second, 1), KF_E_AUDIT));
	atomic_store(&is_sync_broken, false);

	OK(kf_ok(audit_event_wait(a, second, 20000)));
	OK(kf_ok(audit_event_wait(a, first, 0)));
	audit_close(a);
	EQ(verified().findings, 0);
}

TEST(too_many_events_are_refused_and_spoil_nothing)
{
	start_afresh();
	struct audit *a = open_audit(1);
	kf_err e = KF_OK;
	for (int i = 0; i < 100000 && kf_ok(e); i++)
		e = audit_event(a, "note", SLICE_LIT(" detail=x"));
	OK(kf_is(e, KF_E_BUSY));
	audit_close(a);
	EQ(verified().findings, 0);
}

TEST(a_segment_that_cannot_be_read_begins_new_chains_and_is_told)
{
	start_afresh();
	struct audit *a = open_audit(1);
	audit_close(a);
	append_to_segment(1, "time=x event=segment\n", 21);
	char path[128];
	snprintf(path, sizeof(path), "%s/audit-%010d.log", directory, 1);
	OK(truncate(path, 5) == 0);
	append_to_segment(1, " event=segment\n", 15);

	a = open_audit(1);

	OK(a);
	OK(audit_finding(a));
	audit_close(a);
}

TEST(a_failed_sync_is_repeated_in_another_segment)
{
	start_afresh();
	struct audit *a = open_audit(1);
	OK(add_and_wait(a, 0));
	atomic_store(&is_sync_broken, true);
	OK(!add_and_wait(a, 0));

	atomic_store(&is_sync_broken, false);
	wait_until_healthy(a);
	OK(add_and_wait(a, 0));
	audit_close(a);

	OK(is_whole(3));
	EQ(read_segment(1).lines, START_LINES + 1);
	OK(!read_segment(1).has_zeros);
}

struct writer {
	struct audit *audit;
	unsigned loop;
};

static void *be_a_loop(void *arg)
{
	struct writer *w = arg;
	uint64_t ticket = 0;
	for (int i = 0; i < RECORDS; i++) {
		while (!kf_ok(audit_add(w->audit, w->loop, &record, &ticket)))
			audit_flush(w->audit, w->loop, UINT64_MAX);
		if (i % 7 == 0)
			audit_flush(w->audit, w->loop, UINT64_MAX);
	}
	audit_flush(w->audit, w->loop, UINT64_MAX);
	while (audit_wait(w->audit, w->loop, ticket))
		sem_wait(&woken[w->loop]);
	return NULL;
}

TEST(loops_lose_nothing_to_each_other)
{
	start_afresh();
	struct audit *a = open_audit(LOOPS);
	struct writer writer[LOOPS];
	pthread_t thread[LOOPS];
	for (unsigned i = 0; i < LOOPS; i++) {
		writer[i] = (struct writer){ a, i };
		pthread_create(&thread[i], NULL, be_a_loop, &writer[i]);
	}
	for (int i = 0; i < LOOPS; i++)
		pthread_join(thread[i], NULL);
	audit_close(a);

	size_t lines = 0;
	for (int i = 1; i < 10; i++)
		lines += read_segment(i).lines;
	int segments = 0;
	for (int i = 1; i < 10; i++)
		segments += read_segment(i).lines > 0;
	EQ(lines, LOOPS * RECORDS + START_LINES + (segments - 1) + STOP_LINES);
	OK(segments > 1);
	OK(is_whole(LOOPS * RECORDS));
}

int main(void)
{
	int result = test_main_();
	remove_files();
	unlink(seen_path());
	rmdir(directory);
	return result;
}
