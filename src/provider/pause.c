/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/pause.h"
#include "base/clock.h"
#include "base/mem.h"
#include <errno.h>
#include <openssl/async.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Our fd in an ASYNC_WAIT_CTX is found again by this address. */
static const char wait_key;

static void close_watch(
	ASYNC_WAIT_CTX *ctx, const void *key, OSSL_ASYNC_FD fd, void *custom)
{
	(void)ctx, (void)key, (void)custom;
	close(fd);
}

/* What an ASYNC job waits for: an epoll set with the agent's socket and a timer in it.  Not the socket
 * itself, for connections to the agent go back to the pool after each operation, and may change
 * during one. */
struct watch {
	ASYNC_WAIT_CTX *ctx;
	bool is_known; /* to the server: it stays, see register_watch() */
	int epoll, timer, socket;
};

static void watch_close(struct watch *w)
{
	if (w->epoll >= 0 && w->socket >= 0)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->socket, NULL);
	mem_closep(&w->timer);
	if (!w->is_known)
		mem_closep(&w->epoll);
}

/* Being in the set already is fine. */
static kf_err add(const struct watch *w, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) && errno != EEXIST
		       ? kf_fail(IO, "descriptor of an asynchronous job")
		       : KF_OK;
}

/* Without it a job whose agent is stopped would never be resumed, and never be freed. */
static kf_err add_deadline(struct watch *w, uint64_t deadline_ns)
{
	struct itimerspec at = { .it_value = {
					 .tv_sec = (time_t)(deadline_ns / 1000000000),
					 .tv_nsec = (long)(deadline_ns % 1000000000) } };
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->timer < 0 || timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &at, NULL))
		return kf_fail(IO, "timer of an asynchronous job");
	return add(w, w->timer);
}

/* Each time: a new connection may have the number of the old one, which left the set when it closed. */
static kf_err follow_socket(struct watch *w, int fd)
{
	w->socket = fd;
	return add(w, fd);
}

static kf_err watch_open(struct watch *w, const struct local_call *c)
{
	void *custom;
	w->is_known = ASYNC_WAIT_CTX_get_fd(w->ctx, &wait_key, &w->epoll, &custom);
	if (!w->is_known)
		w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return kf_fail(IO, "descriptor of an asynchronous job");
	KF_TRY(add_deadline(w, c->deadline_ns));
	return follow_socket(w, local_fd(c));
}

/* HAProxy 2.6 holds us to two rules, and dies when they are broken.  What is registered stays the same
 * until the TLS connection is freed: it keeps the number in its table.  And what is registered is
 * paused for at least once: only then does it enter the number, which it will look for at the end. */
static kf_err register_watch(struct watch *w)
{
	if (!w->is_known && !ASYNC_WAIT_CTX_set_wait_fd(
				    w->ctx, &wait_key, w->epoll, NULL, close_watch))
		return kf_fail(NOMEM, "descriptor of an asynchronous job");
	w->is_known = true;
	return KF_OK;
}

enum { RESUMES_MAX = 1000 };

/* Resumes are spurious when the TLS client sends something, so look before believing.  Where pausing is
 * blocked (ASYNC_block_pause), every pause returns at once: that must not become a busy loop. */
static kf_err pause_job(struct watch *w, struct local_call *c)
{
	for (int i = 0; i < RESUMES_MAX; i++) {
		if (!ASYNC_pause_job())
			break;
		if (local_is_done(c))
			return KF_OK;
		KF_TRY(follow_socket(w, local_fd(c)));
	}
	return kf_fail(INTERNAL, "asynchronous job cannot be paused");
}

static kf_err pause_with(struct local_call *c, ASYNC_JOB *job)
{
	CLEANUP(watch_close)
	struct watch w = {
		.ctx = ASYNC_get_wait_ctx(job), .epoll = -1, .timer = -1, .socket = -1
	};
	if (local_is_done(c))
		return KF_OK;
	KF_TRY(watch_open(&w, c));
	KF_TRY(register_watch(&w));
	return pause_job(&w, c);
}

/* Whatever goes wrong with pausing, blocking still works. */
void pause_until_done(struct local_call *c)
{
	ASYNC_JOB *job = ASYNC_get_current_job();
	if (!job || !kf_ok(pause_with(c, job)))
		local_wait(c);
}
