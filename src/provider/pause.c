/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/pause.h"
#include "base/clock.h"
#include "base/mem.h"
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

/* One descriptor a TLS connection, made at its first operation and left in place until the connection
 * is freed: HAProxy keeps it in its table, and dies when the number turns up again as something else.
 * An epoll set, not the agent's socket: connections to the agent go back to the pool after each
 * operation, and may change during one. */
static kf_err get_watch(ASYNC_WAIT_CTX *ctx, int *ret)
{
	void *custom;
	if (ASYNC_WAIT_CTX_get_fd(ctx, &wait_key, ret, &custom))
		return KF_OK;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return kf_fail(IO, "no descriptor for an asynchronous job");
	if (!ASYNC_WAIT_CTX_set_wait_fd(ctx, &wait_key, fd, NULL, close_watch)) {
		close(fd);
		return kf_fail(NOMEM, "descriptor of an asynchronous job");
	}
	*ret = fd;
	return KF_OK;
}

static kf_err watch_fd(int watch, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	return epoll_ctl(watch, EPOLL_CTL_ADD, fd, &e)
		       ? kf_fail(IO, "descriptor of an asynchronous job")
		       : KF_OK;
}

/* Without it a job whose agent is stopped would never be resumed, and never be freed. */
static kf_err watch_deadline(int watch, const struct local_call *c, int *ret_timer)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer < 0)
		return kf_fail(IO, "timer of an asynchronous job");
	*ret_timer = timer;
	struct itimerspec at = { .it_value = {
					 .tv_sec = (time_t)(c->deadline_ns / 1000000000),
					 .tv_nsec = (long)(c->deadline_ns % 1000000000),
				 } };
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL))
		return kf_fail(IO, "timer of an asynchronous job");
	return watch_fd(watch, timer);
}

enum { RESUMES_MAX = 1000 };

/* Resumes are spurious when the TLS client sends something, so look before believing.  Where pausing is
 * blocked (ASYNC_block_pause), every pause returns at once: that must not become a busy loop. */
static kf_err pause_job(struct local_call *c, int watch)
{
	int watched = -1;
	for (int i = 0; !local_is_done(c); i++) {
		if (local_fd(c) != watched)
			KF_TRY(watch_fd(watch, local_fd(c)));
		watched = local_fd(c);
		if (i == RESUMES_MAX || !ASYNC_pause_job())
			return kf_fail(INTERNAL, "asynchronous job cannot be paused");
	}
	return KF_OK;
}

static kf_err pause_with(struct local_call *c, ASYNC_JOB *job)
{
	CLEANUP(mem_closep) int timer = -1;
	int watch;
	KF_TRY(get_watch(ASYNC_get_wait_ctx(job), &watch));
	KF_TRY(watch_deadline(watch, c, &timer));
	kf_err e = pause_job(c, watch);
	if (local_fd(c) >= 0)
		epoll_ctl(watch, EPOLL_CTL_DEL, local_fd(c), NULL);
	return e;
}

/* Whatever goes wrong with pausing, blocking still works. */
void pause_until_done(struct local_call *c)
{
	ASYNC_JOB *job = ASYNC_get_current_job();
	if (!job || !kf_ok(pause_with(c, job)))
		local_wait(c);
}
