/* SPDX-License-Identifier: Apache-2.0
 *
 * burn: as many signatures as they go, while one token after another is pulled, reset, hangs, answers
 * nonsense or signs wrongly.
 */
#include "base/clock.h"
#include "bench/pool/bench.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 8, CALLERS = 24, TIMEOUT_MS = 3000, MEMORY_SLACK_KIB = 4096 };

static const char *const faults[] = { "unplug", "reset", "hang", "short 1", "wrong 1",
	"garbage 1" };
enum { FAULTS = sizeof(faults) / sizeof(*faults) };

struct tormentor {
	struct fleet *fleet;
	unsigned fault_ms, made[FAULTS];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t enough;
	bool is_over;
};

/* False: it is over. */
static bool pause_ms(struct tormentor *t, unsigned ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&t->lock);
	int status = 0;
	while (!t->is_over && !status)
		status = pthread_cond_timedwait(&t->enough, &t->lock, &until);
	bool goes_on = !t->is_over;
	pthread_mutex_unlock(&t->lock);
	return goes_on;
}

static void tell(unsigned card, const char *line)
{
	if (!kf_ok(cards_tell(card, line)))
		abort();
}

/* What signed wrongly waits for a person. */
static void resume_all(struct fleet *f)
{
	static struct pool_token_status row[CARDS_MAX];
	size_t n = pool_tokens(f->pools, row, CARDS_MAX);
	for (size_t i = 0; i < n && i < CARDS_MAX; i++)
		if (row[i].state == POOL_TOKEN_WRONG &&
			!kf_ok(pool_resume(f->pools, row[i].facts.serial)))
			abort();
}

static void *torment(void *arg)
{
	struct tormentor *t = arg;
	for (unsigned i = 0; pause_ms(t, t->fault_ms); i++) {
		unsigned card = i % TOKENS, fault = i % FAULTS;
		tell(card, faults[fault]);
		t->made[fault]++;
		if (!strcmp(faults[fault], "unplug")) {
			pause_ms(t, t->fault_ms / 2);
			tell(card, "replug");
		}
		resume_all(t->fleet);
	}
	for (unsigned card = 0; card < TOKENS; card++)
		tell(card, "resume"); /* one that hangs is waited for by its thread */
	return NULL;
}

static long memory_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static uint64_t sum(const struct tormentor *t)
{
	uint64_t n = 0;
	for (int i = 0; i < FAULTS; i++)
		n += t->made[i];
	return n;
}

struct totals {
	uint64_t made, failed, wrong, retried;
	char why[160];
};

static kf_err burn_key(struct fleet *f, int key, uint64_t n, struct totals *t)
{
	struct load l = { .fleet = f, .key = key, .callers = CALLERS, .total = n };
	if (n)
		KF_TRY(load_run(&l));
	t->made += l.made;
	t->failed += l.failed;
	t->wrong += l.wrong;
	t->retried += l.retried;
	if (l.failed && !t->why[0])
		memcpy(t->why, l.why, sizeof(t->why));
	return KF_OK;
}

static void print(struct report *r, const struct totals *t, const struct tormentor *by,
	const long kib[2])
{
	report_add(r, "burn-in signatures", (double)t->made, "", 0, 0);
	report_add(r, "burn-in faults made", (double)sum(by), "here", 0, 0);
	report_add(r, "burn-in done by another token", (double)t->retried, "", 0, 0);
	report_none(r, "burn-in failed", t->failed);
	report_none(r, "burn-in wrong", t->wrong);
	report_add(r, "burn-in memory before", (double)kib[0], "KiB", 0, 0);
	report_add(r, "burn-in memory after", (double)kib[1], "KiB",
		(double)(kib[0] + MEMORY_SLACK_KIB), -1);
	if (t->failed)
		printf("first failure: %s\n", t->why);
}

kf_err burn_run(const struct burn *b, struct report *r)
{
	struct fleet f;
	struct totals t = { 0 };
	struct tormentor by = { .fleet = &f,
		.fault_ms = b->fault_ms,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.enough = PTHREAD_COND_INITIALIZER };
	long kib[2];
	KF_TRY(fleet_open(TOKENS, TIMEOUT_MS, b->socket, &f));
	if (!b->socket && pthread_create(&by.thread, NULL, torment, &by))
		return kf_fail(NOMEM, "thread");
	printf("burn-in ready\n");
	fflush(stdout);
	kf_err e = KF_OK;
	for (int i = 0; kf_ok(e) && i < FLEET_KEYS; i++) /* warms up */
		e = burn_key(&f, i, b->signatures[i] / 5, &t);
	kib[0] = memory_kib();
	for (int i = 0; kf_ok(e) && i < FLEET_KEYS; i++)
		e = burn_key(&f, i, b->signatures[i] - b->signatures[i] / 5, &t);
	kib[1] = memory_kib();
	pthread_mutex_lock(&by.lock);
	by.is_over = true;
	pthread_cond_signal(&by.enough);
	pthread_mutex_unlock(&by.lock);
	if (!b->socket)
		pthread_join(by.thread, NULL);
	print(r, &t, &by, kib);
	fleet_close(&f);
	return e;
}
