/* SPDX-License-Identifier: Apache-2.0 */
/* many: many signatures in flight from one thread, with poll() as the event loop.
 *
 *     cc many.c $(pkg-config --cflags --libs keyfleet) -o many
 *     ./many CLIENT.CONF KEY-ID 1000
 */
#include <keyfleet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FDS_MAX = 256 };

/* What the library asked of us. */
struct program {
	struct pollfd fd[FDS_MAX];
	nfds_t n;
	int timeout_ms; /* -1: none */
	long signatures, failures;
};

static struct pollfd *find(struct program *p, int fd)
{
	nfds_t i;
	for (i = 0; i < p->n; i++)
		if (p->fd[i].fd == fd)
			return &p->fd[i];
	return NULL;
}

static void watch(void *arg, int fd, int events)
{
	struct program *p = (struct program *)arg;
	struct pollfd *f = find(p, fd);

	if (!events) {
		if (f)
			*f = p->fd[--p->n];
		return;
	}
	if (!f && p->n == FDS_MAX)
		abort();
	if (!f)
		f = &p->fd[p->n++];
	f->fd = fd;
	f->revents = 0;
	f->events = (short)((events & KF_READABLE ? POLLIN : 0) |
			    (events & KF_WRITABLE ? POLLOUT : 0));
}

static void timer(void *arg, int64_t ms)
{
	((struct program *)arg)->timeout_ms = ms > 60000 ? 60000 : (int)ms;
}

static void done(void *arg, const kf_call *outcome, const void *bytes, size_t size)
{
	struct program *p = (struct program *)arg;
	(void)bytes;
	(void)size;
	if (outcome->result == KF_SUCCESS)
		p->signatures++;
	else if (p->failures++ == 0)
		fprintf(stderr, "many: %s\n", kf_error_text(outcome));
}

/* One round: wait for what the library asked for, and tell it. */
static void run_round(struct program *p, kf_async *async)
{
	struct pollfd ready[FDS_MAX];
	nfds_t i, n = p->n;
	int events, got;

	got = poll(p->fd, p->n, p->timeout_ms);
	memcpy(ready, p->fd, sizeof(ready)); /* callbacks change the original */
	for (i = 0; got > 0 && i < n; i++) {
		events = (ready[i].revents & POLLOUT ? KF_WRITABLE : 0) |
			 (ready[i].revents & ~POLLOUT ? KF_READABLE : 0);
		if (events)
			kf_async_ready(async, ready[i].fd, events);
	}
	/* Too early is harmless, and it sends what this round has started. */
	p->timeout_ms = -1;
	kf_async_timer(async);
}

static int start(struct program *p, kf_async *async, const char *key, long n)
{
	kf_sign_request request;
	memset(&request, 0, sizeof(request));
	request.key = key;
	request.scheme = KF_ECDSA_SHA256;
	request.data = "some text";
	request.size = 9;
	while (n-- > 0)
		if (kf_async_sign(async, &request, NULL, done, p) != KF_SUCCESS)
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	static struct program p;
	kf_loop loop;
	kf_async *async;
	kf_call call;
	long n;

	if (argc != 4) {
		fprintf(stderr, "usage: many CLIENT.CONF KEY-ID NUMBER\n");
		return 2;
	}
	n = atol(argv[3]);
	p.timeout_ms = -1;
	loop.watch = watch;
	loop.timer = timer;
	loop.arg = &p;
	memset(&call, 0, sizeof(call));
	if (kf_async_open(argv[1], &loop, &async, &call) != KF_SUCCESS) {
		fprintf(stderr, "many: %s\n", kf_error_text(&call));
		return 1;
	}
	if (!start(&p, async, argv[2], n))
		return 1;
	while (p.signatures + p.failures < n)
		run_round(&p, async);
	printf("%ld signatures, %ld failures\n", p.signatures, p.failures);
	kf_async_free(async);
	return p.failures != 0;
}
