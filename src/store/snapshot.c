/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot: a backup of the shared store on this server's own disk, sealed like every backup, so that
 * the server can start and sign while the database is away.  A thread of its own writes it, because
 * that takes as long as the store is big; a new one replaces the old by rename.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/backup.h"
#include "store/work.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { REST_MS = 60000 };

/* --- writing --- */

static kf_err write_all(void *arg, struct slice s)
{
	while (s.n) {
		ssize_t n = write(*(int *)arg, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOSPC
				       ? kf_fail(FULL, "no space left for the snapshot")
				       : kf_fail(IO, "snapshot cannot be written");
		s.p += n;
		s.n -= (size_t)n;
	}
	return KF_OK;
}

static kf_err write_file(struct store *s, const char *temporary)
{
	struct store_backup_facts facts;
	CLEANUP(mem_closep)
	int fd = open(
		temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(IO, "snapshot cannot be made: check its directory");
	KF_TRY(store_backup(s, write_all, &fd, &facts));
	return fsync(fd) == 0 ? KF_OK : kf_fail(IO, "snapshot cannot be synced");
}

static kf_err replace_snapshot(struct store *s)
{
	autobuf temporary = buf_new(4096);
	buf_add_text(&temporary, s->conf.snapshot);
	buf_add(&temporary, ".new", sizeof(".new"));
	KF_TRY(buf_err(&temporary));
	const char *name = (const char *)temporary.p;
	kf_err err = write_file(s, name);
	if (kf_ok(err))
		err = file_put_in_place(name, s->conf.snapshot);
	if (!kf_ok(err))
		unlink(name); /* half of one is of no use, and the disk may be full */
	return err;
}

/* --- the thread --- */

/* True if something came. */
static bool wait_for(struct store *s, int timeout_ms)
{
	struct pollfd fd = { .fd = s->snapshot.wake, .events = POLLIN };
	uint64_t n;
	return poll(&fd, 1, timeout_ms) > 0 && read(fd.fd, &n, sizeof(n)) > 0;
}

static void renew(struct store *s)
{
	kf_err err = replace_snapshot(s);
	if (kf_ok(err))
		return;
	atomic_store(&s->snapshot.is_wanted, true);
	store_event(s, err, s->conf.snapshot);
}

static void rest(struct store *s)
{
	uint64_t until = clock_monotonic_ns() + REST_MS * UINT64_C(1000000);
	while (!atomic_load(&s->is_stopping) && clock_monotonic_ns() < until)
		(void)wait_for(s, 1000);
}

/* A change asks for a new one; after each the thread rests. */
static void *snapshot_work(void *arg)
{
	struct store *s = arg;
	while (!atomic_load(&s->is_stopping)) {
		if (!atomic_exchange(&s->snapshot.is_wanted, false)) {
			(void)wait_for(s, -1);
			continue;
		}
		renew(s);
		rest(s);
	}
	return NULL;
}

static void wake(struct store *s)
{
	uint64_t one = 1;
	if (s->snapshot.has_thread && write(s->snapshot.wake, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

void snapshot_want(struct store *s)
{
	if (s->snapshot.has_thread && !atomic_exchange(&s->snapshot.is_wanted, true))
		wake(s);
}

kf_err snapshot_start(struct store *s)
{
	if (!s->conf.snapshot || !s->driver->is_shared)
		return KF_OK;
	s->snapshot.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->snapshot.wake < 0 ||
		pthread_create(&s->snapshot.thread, NULL, snapshot_work, s) != 0)
		return kf_fail(NOMEM, "no thread for snapshots");
	s->snapshot.has_thread = true;
	return KF_OK;
}

void snapshot_stop(struct store *s)
{
	if (s->snapshot.has_thread) {
		wake(s);
		pthread_join(s->snapshot.thread, NULL);
	}
	mem_closep(&s->snapshot.wake);
}

/* --- reading --- */

static kf_err read_some(void *arg, uint8_t *p, size_t size, size_t *ret)
{
	ssize_t n = read(*(int *)arg, p, size);
	if (n < 0)
		return kf_fail(IO, "snapshot cannot be read");
	*ret = (size_t)n;
	return KF_OK;
}

kf_err snapshot_load(struct store *s)
{
	CLEANUP(mem_closep)
	int fd = open(s->conf.snapshot, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return kf_fail(UNAVAILABLE,
			"database cannot be reached, and there is no snapshot");
	struct backup_reader r = {
		.keyring = s->conf.keyring, .source = read_some, .source_arg = &fd
	};
	return load_backup(s, &r);
}
