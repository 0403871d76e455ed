/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "bench/bench.h"
#include "kmip/message.h"
#include "net/address.h"
#include "net/frame.h"
#include "net/loop.h"
#include "net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MAX = 1 << 20,
	SAMPLES = 1 << 20,
	WARM_UP_NS = 300000000,
	IDLE_WINDOW =
		128, /* connections begun at a time: a server is no better than its processor */
};

static const uint64_t idle_most_ns = 120000000000, idle_rest_ns = 4000000000;

struct line;

struct driver {
	const struct bench_drive *what;
	struct loop *loop;
	struct stream_pad *pad;
	struct line *lines;
	struct buf group; /* all messages of a group, ready to be sent */
	size_t digits_at; /* in its first message; the others are alike */
	uint64_t counted;
	size_t opened, open; /* begun; with an answer */
	struct bench_result *result;
	uint64_t start_ns, stop_ns; /* of the measured part; 0: not begun */
	double cpu_before;
	uint32_t *sample; /* nanoseconds / 16 of groups */
	size_t samples;
	struct loop_timer timer;
	bool is_idle_test;
};

struct line {
	struct loop_watch watch;
	struct driver *driver;
	struct stream *stream;
	struct buf in, out;
	size_t waiting; /* answers of the group */
	uint64_t sent_ns;
	bool is_dead;
};

static void give_up(struct line *l, const char *why)
{
	struct driver *d = l->driver;
	if (l->is_dead)
		return;
	l->is_dead = true;
	d->result->failed += l->waiting ? l->waiting : 1;
	if (!d->result->why[0])
		snprintf(d->result->why, sizeof(d->result->why), "%s", why);
	loop_remove(d->loop, &l->watch);
}

static void flush(struct line *l)
{
	if (!kf_ok(stream_write(l->stream, &l->out))) {
		give_up(l, stream_why(l->stream));
		return;
	}
	uint32_t events = EPOLLIN;
	if (stream_wants_write(l->stream) || l->out.n)
		events |= EPOLLOUT;
	if (!kf_ok(loop_change(l->driver->loop, &l->watch, events)))
		give_up(l, "the loop cannot watch a connection");
}

static uint64_t next_number(struct driver *d)
{
	const uint64_t of = d->what->work->of;
	return of ? ((uint64_t)random() << 31 | (uint64_t)random()) % of : d->counted++;
}

static void number_messages(struct driver *d)
{
	const struct bench_work *work = d->what->work;
	for (size_t i = 0; work->name && i < work->depth; i++) {
		uint8_t *p = d->group.p + i * work->message[0].n + d->digits_at;
		uint64_t n = next_number(d);
		for (size_t k = BENCH_DIGITS; k-- > 0; n /= 10)
			p[k] = (uint8_t)('0' + n % 10);
	}
}

static kf_err find_digits(struct driver *d)
{
	const struct bench_work *work = d->what->work;
	if (!work->name)
		return KF_OK;
	const uint8_t *at =
		memmem(d->group.p, work->message[0].n, work->name, strlen(work->name));
	if (!at || d->group.n != work->depth * work->message[0].n)
		return kf_fail(INTERNAL, "names of the benchmark's messages");
	d->digits_at = (size_t)(at - d->group.p) + strlen(work->name);
	srandom((unsigned)clock_monotonic_ns());
	return KF_OK;
}

static void send_group(struct line *l)
{
	number_messages(l->driver);
	buf_add_slice(&l->out, buf_slice(&l->driver->group));
	l->waiting = l->driver->what->work->depth;
	l->sent_ns = clock_monotonic_ns();
	flush(l);
}

/* Every operation that is driven gives something; a Locate that finds nothing does not. */
static bool is_success(struct slice message, char *why, size_t size)
{
	struct ttlv_reader r = ttlv_read(message);
	struct kmip_response_header h;
	struct kmip_response_item it;
	if (!kf_ok(kmip_get_response_header(&r, &h)) ||
		!kf_ok(kmip_get_response_item(&r, &it)))
		return false;
	if (it.status == KMIP_RESULT_STATUS_SUCCESS && it.payload.n)
		return true;
	if (it.status == KMIP_RESULT_STATUS_SUCCESS)
		it.message = SLICE_LIT("nothing was found");
	snprintf(why, size, "%.*s", (int)it.message.n, (const char *)it.message.p);
	return false;
}

static void count_answer(struct line *l, struct slice message)
{
	struct driver *d = l->driver;
	bool is_good = d->what->work->answer_size ||
		       is_success(message, d->result->why, sizeof(d->result->why));
	l->waiting--;
	if (!is_good)
		d->result->failed++;
	else if (d->start_ns)
		d->result->done++;
}

/* Whole answers at the front of l->in; what is left is the beginning of the next one. */
static bool cut_answers(struct line *l)
{
	size_t fixed = l->driver->what->work->answer_size;
	struct slice rest = buf_slice(&l->in), message;
	enum frame_result found = FRAME_MORE;
	for (; fixed && rest.n >= fixed && l->waiting; rest.p += fixed, rest.n -= fixed)
		count_answer(l, rest);
	while (!fixed && l->waiting &&
		(found = frame_next(&rest, ANSWER_MAX, &message)) == FRAME_READY)
		count_answer(l, message);
	buf_consume(&l->in, l->in.n - rest.n);
	return found == FRAME_MORE || found == FRAME_READY;
}

static kf_err open_line(struct driver *d, struct line *l);

/* When all are there they are left alone for a while: only then are they idle. */
static void one_more_idle(struct driver *d)
{
	kf_err e = KF_OK;
	d->open++;
	if (d->opened < d->what->connections)
		e = open_line(d, &d->lines[d->opened++]);
	else if (d->open == d->what->connections)
		e = loop_arm(d->loop, &d->timer, clock_monotonic_ns() + idle_rest_ns);
	if (!kf_ok(e))
		loop_stop(d->loop);
}

static void group_done(struct line *l)
{
	struct driver *d = l->driver;
	uint64_t took = clock_monotonic_ns() - l->sent_ns;
	if (d->start_ns && d->samples < SAMPLES)
		d->sample[d->samples++] = (uint32_t)(took / 16);
	if (!d->is_idle_test)
		send_group(l);
	else
		one_more_idle(d);
}

static void read_answers(struct line *l)
{
	kf_err e = stream_read(l->stream, &l->in);
	if (!cut_answers(l)) {
		give_up(l, "the server sent something that is no message");
		return;
	}
	if (!kf_ok(e)) {
		give_up(l, "the server closed the connection");
		return;
	}
	if (l->waiting == 0)
		group_done(l);
}

static void line_ready(struct loop_watch *w, uint32_t events)
{
	struct line *l = container_of(w, struct line, watch);
	if (!stream_is_open(l->stream)) {
		if (!kf_ok(stream_handshake(l->stream))) {
			give_up(l, stream_why(l->stream));
			return;
		}
		if (!stream_is_open(l->stream)) {
			flush(l);
			return;
		}
		send_group(l);
		return;
	}
	if (events & EPOLLOUT)
		flush(l);
	if (!l->is_dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_answers(l);
}

static kf_err open_line(struct driver *d, struct line *l)
{
	struct address a;
	int fd;
	*l = (struct line){ .driver = d,
		.in = buf_new(ANSWER_MAX),
		.out = buf_new(ANSWER_MAX),
		.waiting = 0 };
	KF_TRY(address_parse(d->what->address, &a));
	KF_TRY(connect_start(&a, &fd));
	l->watch = (struct loop_watch){ .fd = fd, .ready = line_ready };
	KF_TRY(tls_connect(d->what->tls, fd, &(struct tls_connect_options){ 0 }, d->pad,
		&l->stream));
	return loop_add(d->loop, &l->watch, EPOLLIN | EPOLLOUT);
}

static void phase_over(struct loop_timer *t)
{
	struct driver *d = container_of(t, struct driver, timer);
	uint64_t now = clock_monotonic_ns();
	if (d->is_idle_test) {
		loop_stop(d->loop);
		return;
	}
	if (d->start_ns) {
		d->result->server_cpu_seconds =
			bench_cpu_seconds(&d->what->pids) - d->cpu_before;
		d->stop_ns = now;
		loop_stop(d->loop);
		return;
	}
	d->cpu_before = bench_cpu_seconds(&d->what->pids);
	d->start_ns = now;
	if (!kf_ok(loop_arm(d->loop, t, now + (uint64_t)(d->what->seconds * 1e9))))
		loop_stop(d->loop);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void finish(struct driver *d)
{
	struct bench_result *r = d->result;
	r->seconds = (double)(d->stop_ns - d->start_ns) / 1e9;
	qsort(d->sample, d->samples, sizeof(*d->sample), compare);
	if (d->samples) {
		r->p50_us = d->sample[d->samples / 2] * 16 / 1e3;
		r->p99_us = d->sample[d->samples - 1 - d->samples / 100] * 16 / 1e3;
	}
}

static kf_err start(struct driver *d)
{
	const struct bench_work *work = d->what->work;
	d->group = buf_new(64 << 20);
	for (size_t i = 0; i < work->depth; i++)
		buf_add_slice(&d->group, buf_slice(&work->message[i]));
	KF_TRY(buf_err(&d->group));
	KF_TRY(find_digits(d));
	d->lines = calloc(d->what->connections, sizeof(*d->lines));
	d->sample = calloc(SAMPLES, sizeof(*d->sample));
	if (!d->lines || !d->sample)
		return kf_fail(NOMEM, "connections of the benchmark");
	KF_TRY(stream_pad_new(&d->pad));
	KF_TRY(loop_new(&(struct loop_options){ 0 }, &d->loop));
	size_t first = d->what->connections;
	if (d->is_idle_test && first > IDLE_WINDOW)
		first = IDLE_WINDOW;
	while (d->opened < first)
		KF_TRY(open_line(d, &d->lines[d->opened++]));
	return KF_OK;
}

static void clear(struct driver *d)
{
	for (size_t i = 0; d->lines && i < d->opened; i++) {
		if (d->lines[i].stream && !d->lines[i].is_dead)
			loop_remove(d->loop, &d->lines[i].watch);
		stream_free(d->lines[i].stream);
		buf_free(&d->lines[i].in);
		buf_free(&d->lines[i].out);
	}
	loop_free(d->loop);
	stream_pad_free(d->pad);
	buf_free(&d->group);
	free(d->lines);
	free(d->sample);
}

static kf_err run(struct driver *d)
{
	KF_TRY(start(d));
	d->timer.expired = phase_over;
	uint64_t first = d->is_idle_test ? idle_most_ns : WARM_UP_NS;
	KF_TRY(loop_arm(d->loop, &d->timer, clock_monotonic_ns() + first));
	return loop_run(d->loop);
}

kf_err bench_drive(const struct bench_drive *what, struct bench_result *ret)
{
	*ret = (struct bench_result){ 0 };
	struct driver d = { .what = what, .result = ret };
	kf_err e = run(&d);
	if (kf_ok(e))
		finish(&d);
	clear(&d);
	return e;
}

static double resident_kib(const struct bench_pids *pids)
{
	double sum = 0;
	for (size_t i = 0; i < pids->n; i++) {
		char path[64], line[256];
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pids->pid[i]);
		FILE *f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (!strncmp(line, "VmRSS:", 6))
				sum += strtod(line + 6, NULL);
		if (f)
			fclose(f);
	}
	return sum;
}

kf_err bench_idle(const struct bench_drive *what, double *ret_kib_each)
{
	struct bench_result result = { 0 };
	struct driver d = { .what = what, .result = &result, .is_idle_test = true };
	double before = resident_kib(&what->pids);
	kf_err e = run(&d);
	double after = resident_kib(&what->pids);
	if (kf_ok(e) && (result.failed || d.open < what->connections))
		e = kf_fail(UNAVAILABLE, "not all connections were accepted");
	clear(&d);
	if (kf_ok(e))
		*ret_kib_each = (after - before) / (double)what->connections;
	return e;
}
