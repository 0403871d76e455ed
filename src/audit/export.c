/* SPDX-License-Identifier: Apache-2.0
 *
 * One datagram a line: to syslog in the form of RFC 3164, which every local syslog takes, to the journal in
 * its native protocol.
 */
#include "audit/export.h"
#include "audit/fields.h"
#include "audit/ring.h"
#include "base/clock.h"
#include "base/mem.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	RING_SIZE = 4 << 20,
	PIECE = 64 << 10,
	RETRY_MS = 100,
	PATIENCE_MS = 1000,    /* with a socket that is away, before lines are given up */
	PRIORITY = 10 * 8 + 6, /* authpriv, informational */
};
#define MS_NS 1000000L

struct exporter {
	struct ring ring;
	enum audit_export kind;
	bool has_checkpoints_only;
	struct sockaddr_un to;
	int fd;
	pthread_t thread;
	sem_t woken;
	_Atomic bool is_stopping;
	_Atomic uint64_t exported, lost;
	uint8_t piece[PIECE];
};

/* ---- one line ---- */

static bool is_wanted(const struct exporter *e, struct slice line)
{
	struct slice signature;
	return !e->has_checkpoints_only || fields_are_signed(line, &signature);
}

static void put_syslog(struct buf *b, struct slice line)
{
	char time[32];
	time_t now = (time_t)clock_wall_s();
	struct tm tm;
	localtime_r(&now, &tm);
	strftime(time, sizeof(time), "%b %e %H:%M:%S", &tm);
	buf_printf(b, "<%d>%s keyfleetd-audit[%d]: ", PRIORITY, time, (int)getpid());
	buf_add_slice(b, line);
}

static void put_journal(struct buf *b, struct slice line)
{
	buf_printf(b, "PRIORITY=6\nSYSLOG_IDENTIFIER=keyfleetd-audit\nMESSAGE=");
	buf_add_slice(b, line);
	buf_add_u8(b, '\n');
}

/* A socket that is full or away may be there again in a moment. */
static bool try_to_send(struct exporter *e, const struct buf *b)
{
	const struct sockaddr *to = (const struct sockaddr *)&e->to;
	return sendto(e->fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL, to,
		       sizeof(e->to)) >= 0;
}

static bool send_patiently(struct exporter *e, const struct buf *b)
{
	struct timespec pause = { 0, RETRY_MS * MS_NS };
	for (int waited_ms = 0; !try_to_send(e, b); waited_ms += RETRY_MS) {
		bool may_pass = errno == EAGAIN || errno == ENOBUFS || errno == ENOENT ||
				errno == ECONNREFUSED;
		if (!may_pass || waited_ms >= PATIENCE_MS || atomic_load(&e->is_stopping))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static void export_line(struct exporter *e, struct slice line)
{
	if (!is_wanted(e, line))
		return;
	autobuf b = buf_new(PIECE + 256);
	if (e->kind == AUDIT_EXPORT_SYSLOG)
		put_syslog(&b, line);
	else
		put_journal(&b, line);
	bool is_sent = kf_ok(buf_err(&b)) && send_patiently(e, &b);
	atomic_fetch_add(is_sent ? &e->exported : &e->lost, 1);
}

/* ---- the thread ---- */

static void export_piece(struct exporter *e, size_t n)
{
	const uint8_t *p = e->piece, *end = p + n, *stop;
	while ((stop = memchr(p, '\n', (size_t)(end - p)))) {
		export_line(e, (struct slice){ p, (size_t)(stop - p) });
		p = stop + 1;
	}
}

static void *work(void *arg)
{
	struct exporter *e = arg;
	for (;;) {
		bool is_stopping = atomic_load(&e->is_stopping);
		size_t n = ring_peek(&e->ring, e->piece, sizeof(e->piece));
		if (n == 0 && is_stopping)
			return NULL;
		if (n == 0)
			sem_wait(&e->woken);
		export_piece(e, n);
		ring_take(&e->ring, n);
	}
}

/* ---- the audit worker's side ---- */

static size_t count_lines(struct slice s)
{
	size_t lines = 0;
	for (const uint8_t *p = s.p, *end = s.p + s.n;
		(p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

void exporter_put(struct exporter *e, struct slice lines)
{
	if (!ring_put(&e->ring, lines)) {
		atomic_fetch_add(&e->lost, count_lines(lines));
		return;
	}
	ring_publish(&e->ring);
	sem_post(&e->woken);
}

void exporter_status(const struct exporter *e, uint64_t *ret_exported, uint64_t *ret_lost)
{
	*ret_exported = atomic_load(&e->exported);
	*ret_lost = atomic_load(&e->lost);
}

/* ---- life ---- */

static const char *system_socket(enum audit_export kind)
{
	return kind == AUDIT_EXPORT_JOURNAL ? "/run/systemd/journal/socket" : "/dev/log";
}

static kf_err start(struct exporter *e, const struct audit_conf *conf)
{
	const char *path =
		conf->export_socket ? conf->export_socket : system_socket(conf->export);
	e->to.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(e->to.sun_path))
		return kf_fail(CONFIG, "path of the audit's export socket is too long");
	strcpy(e->to.sun_path, path);
	e->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (e->fd < 0)
		return kf_fail(IO, "no socket for the audit's export");
	KF_TRY(ring_init(&e->ring, RING_SIZE));
	if (pthread_create(&e->thread, NULL, work, e) != 0)
		return kf_fail(NOMEM, "no thread for the audit's export");
	return KF_OK;
}

static void release(struct exporter *e)
{
	ring_clear(&e->ring);
	mem_closep(&e->fd);
	sem_destroy(&e->woken);
	free(e);
}

kf_err exporter_open(const struct audit_conf *conf, struct exporter **ret)
{
	struct exporter *e = aligned_alloc(64, (sizeof(*e) + 63) / 64 * 64);
	if (!e)
		return kf_fail(NOMEM, "the audit's export");
	*e = (struct exporter){ .kind = conf->export,
		.has_checkpoints_only = conf->exports_checkpoints_only,
		.fd = -1 };
	sem_init(&e->woken, 0, 0);
	kf_err err = start(e, conf);
	if (kf_ok(err))
		*ret = e;
	else
		release(e);
	return err;
}

void exporter_close(struct exporter *e)
{
	if (!e)
		return;
	atomic_store(&e->is_stopping, true);
	sem_post(&e->woken);
	pthread_join(e->thread, NULL);
	release(e);
}
