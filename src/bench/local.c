/* SPDX-License-Identifier: Apache-2.0 */
#include "client/local.h"
#include "base/clock.h"
#include "bench/bench.h"
#include "kmip/message.h"
#include "kmip/sign.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS_MAX = 256, WARM_UP_MS = 300 };

struct callers {
	const struct bench_local *what;
	struct local *local;
	struct buf message;
	_Atomic bool is_measured, is_over;
};

struct caller {
	struct callers *all;
	uint64_t done, failed;
	const char *why;
};

static kf_err call_once(struct callers *all)
{
	struct local_call c;
	KF_TRY(local_begin(all->local, &c));
	struct buf *request = local_request(&c);
	if (request)
		buf_add_slice(request, buf_slice(&all->message));
	local_send(&c);
	local_wait(&c);
	struct slice answer = { 0 };
	struct kmip_response_header h;
	struct kmip_response_item it = { 0 };
	kf_err e = local_answer(&c, &answer);
	if (kf_ok(e)) {
		struct ttlv_reader r = ttlv_read(answer);
		e = kmip_get_response_header(&r, &h);
		if (kf_ok(e))
			e = kmip_get_response_item(&r, &it);
		if (kf_ok(e))
			e = kmip_result(&it);
	}
	local_end(&c);
	return e;
}

static void *caller_run(void *arg)
{
	struct caller *me = arg;
	while (!atomic_load_explicit(&me->all->is_over, memory_order_relaxed)) {
		kf_err e = call_once(me->all);
		bool is_measured =
			atomic_load_explicit(&me->all->is_measured, memory_order_relaxed);
		if (!kf_ok(e)) {
			me->failed++;
			me->why = e.site->text;
		} else if (is_measured) {
			me->done++;
		}
	}
	return NULL;
}

/* The length of the measurement itself. */
static void last(double seconds)
{
	struct timespec t = { (time_t)seconds,
		(long)((seconds - (double)(time_t)seconds) * 1e9) };
	nanosleep(&t, NULL);
}

static void measure(struct callers *all, struct bench_result *ret)
{
	const struct bench_pids *pids = &all->what->pids;
	last(WARM_UP_MS / 1000.0);
	double cpu = bench_cpu_seconds(pids);
	uint64_t start = clock_monotonic_ns();
	atomic_store(&all->is_measured, true);
	last(all->what->seconds);
	atomic_store(&all->is_measured, false);
	ret->seconds = (double)(clock_monotonic_ns() - start) / 1e9;
	ret->server_cpu_seconds = bench_cpu_seconds(pids) - cpu;
	atomic_store(&all->is_over, true);
}

static kf_err run(struct callers *all, struct bench_result *ret)
{
	size_t n = all->what->callers, started = 0;
	struct caller caller[CALLERS_MAX] = { 0 };
	pthread_t thread[CALLERS_MAX];
	for (; started < n; started++) {
		caller[started].all = all;
		if (pthread_create(&thread[started], NULL, caller_run, &caller[started]))
			break;
	}
	if (started == n)
		measure(all, ret);
	atomic_store(&all->is_over, true);
	for (size_t i = 0; i < started; i++) {
		pthread_join(thread[i], NULL);
		ret->done += caller[i].done;
		ret->failed += caller[i].failed;
		if (caller[i].why)
			snprintf(ret->why, sizeof(ret->why), "%s", caller[i].why);
	}
	return started == n ? KF_OK : kf_fail(NOMEM, "threads of the callers");
}

kf_err bench_local(const struct bench_local *what, struct bench_result *ret)
{
	*ret = (struct bench_result){ 0 };
	if (what->callers == 0 || what->callers > CALLERS_MAX)
		return kf_fail(INVALID_FIELD, "1 to 256 callers");
	struct callers all = { .what = what };
	const struct local_conf conf = {
		.socket = what->socket, .agent_uid = getuid(), .idle_max = LOCAL_IDLE_MAX
	};
	KF_TRY(bench_sign_messages(
		&(struct bench_sign){ .id = what->id, .depth = 1 }, &all.message));
	kf_err e = local_new(&conf, &all.local);
	if (kf_ok(e))
		e = run(&all, ret);
	local_free(all.local);
	buf_free(&all.message);
	return e;
}
