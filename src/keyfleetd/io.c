/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/io.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/act.h"
#include "keyfleetd/limit.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/req.h"
#include "keyfleetd/server.h"
#include "op/parts.h"
#include "token/soft/engine.h"
#include <stdlib.h>

enum { LOAD_FULL = 10000, HOUSEKEEPING_MS = 1000, STUCK_MS = 5000 };
static const uint64_t load_window_ns = 100000000;

int64_t io_now_s(struct io *io)
{
	if (io->wall_of_ns != loop_now_ns(io->loop)) {
		io->wall_of_ns = loop_now_ns(io->loop);
		io->now_s = clock_wall_s();
	}
	return io->now_s;
}

uint64_t io_latest_ns(const struct io *io)
{
	uint64_t began = loop_now_ns(io->loop);
	return io->latest_ns > began ? io->latest_ns : began;
}

const struct settings *io_settings(struct io *io)
{
	if (io->settings_of_ns == loop_now_ns(io->loop))
		return &io->settings;
	io->settings_of_ns = loop_now_ns(io->loop);
	const struct settings *newest = atomic_load(&io->server->settings);
	if (newest->generation != io->settings.generation)
		io->settings = *newest;
	return &io->settings;
}

/* ---- waiting for the audit ---- */

static struct req *req_of(struct list *run) { return container_of(run, struct req, run); }

void io_wait_for_audit(struct io *io, struct req *r)
{
	struct list *at = io->waiting.prev;
	while (at != &io->waiting && req_of(at)->ticket > r->ticket)
		at = at->prev;
	list_insert(at, &r->run);
	io->waiting_n++;
	r->waits_ns = io_latest_ns(io);
}

void io_store_later(struct io *io, struct req *r)
{
	list_add_tail(&io->storing, &r->run);
	if (r->ticket > io->stored_ticket)
		io->stored_ticket = r->ticket;
}

/* All at once: the store commits what it finds. */
static void store_changes(struct io *io)
{
	for (struct list *l = list_take(&io->storing); l; l = list_take(&io->storing))
		act_submit(req_of(l));
}

static void release_durable(struct io *io)
{
	struct audit *audit = io->server->audit;
	if (list_is_empty(&io->waiting))
		return;
	uint64_t durable = audit_durable(audit, io->number);
	bool is_failing = !audit_is_healthy(audit);
	while (!list_is_empty(&io->waiting)) {
		struct req *r = req_of(io->waiting.next);
		if (r->ticket > durable && !is_failing)
			return;
		list_remove(&r->run);
		io->waiting_n--;
		histogram_add(&io->metrics->stage[STAGE_AUDIT],
			io_latest_ns(io) - r->waits_ns, 1);
		if (r->ticket <= durable)
			req_resume(r);
		else
			req_fail_audit(r);
	}
}

static void audit_came_home(struct loop_message *m)
{
	struct io *io = container_of(m, struct io, audit_home);
	atomic_store(&io->is_audit_home_posted, false);
	release_durable(io);
}

/* On the audit worker.  A second wake may come before the first one was delivered. */
void io_audit_woke(void *server, unsigned number)
{
	struct io *io = ((struct server *)server)->io[number];
	if (!atomic_exchange(&io->is_audit_home_posted, true))
		loop_post(io->loop, &io->audit_home);
}

/* ---- the end of a round ---- */

/* A few a round, so that requests are not kept waiting. */
static void shake_hands(struct io *io)
{
	for (unsigned left = io_settings(io)->handshakes; left; left--) {
		struct list *l = turns_take(&io->turns);
		if (!l)
			return;
		peer_shake_hands(container_of(l, struct peer, turn));
	}
}

/* What is touched meanwhile comes next time. */
static void settle_touched(struct io *io)
{
	struct list now;
	list_move_all(&now, &io->touched);
	for (struct list *l = list_take(&now); l; l = list_take(&now))
		peer_settle(container_of(l, struct peer, touched));
}

/* The audit worker syncs while we compute; what it has finished leaves between two pieces. */
static void sign(struct io *io)
{
	uint64_t left = io_settings(io)->round_cost_ns;
	while (left > 0) {
		uint64_t took = batch_step(&io->batch, left);
		if (took == 0)
			return;
		left -= took < left ? took : left;
		release_durable(io);
		settle_touched(io);
	}
}

/* The newest record that an answer or a change waits for, or waited for; 0: none. */
static uint64_t awaited(const struct io *io)
{
	uint64_t by_answers =
		list_is_empty(&io->waiting) ? 0 : req_of(io->waiting.prev)->ticket;
	return by_answers > io->stored_ticket ? by_answers : io->stored_ticket;
}

static void wait_for_audit(struct io *io)
{
	struct audit *audit = io->server->audit;
	store_changes(io); /* a refusal may wait for a record, too */
	audit_flush(audit, io->number, awaited(io));
	while (!list_is_empty(&io->waiting) &&
		!audit_wait(audit, io->number, req_of(io->waiting.next)->ticket)) {
		release_durable(io);
		settle_touched(io);
		store_changes(io);
		audit_flush(audit, io->number, awaited(io));
	}
}

static void measure(struct io *io)
{
	uint64_t began = loop_now_ns(io->loop), now = clock_monotonic_ns();
	metrics_count_quick(io->metrics, now - began);
	count_set(&io->metrics->in_flight, io->in_flight);
	count_set(&io->metrics->parked, io->waiting_n);
	count_set(&io->metrics->batched, io->batch.n);
	io->busy_ns += now - began;
	uint64_t window = now - io->window_ns;
	if (window < load_window_ns)
		return;
	uint64_t load = io->busy_ns * LOAD_FULL / window;
	atomic_store_explicit(&io->load, (uint32_t)(load < LOAD_FULL ? load : LOAD_FULL),
		memory_order_relaxed);
	io->window_ns = now;
	io->busy_ns = 0;
}

static void report_drained(struct io *io)
{
	if (!io->is_draining || io->has_reported || io->in_flight ||
		!list_is_empty(&io->peers))
		return;
	io->has_reported = true;
	limit_report(io); /* the last second's */
	io->drained.deliver = server_drained;
	loop_post(io->server->loop, &io->drained);
}

static void round_ends(struct loop_hook *h)
{
	struct io *io = container_of(h, struct io, hook);
	shake_hands(io);
	uint64_t due = batch_first_ticket(&io->batch), waited = awaited(io);
	audit_flush(io->server->audit, io->number, due > waited ? due : waited);
	store_changes(io);
	settle_touched(io);
	sign(io);
	release_durable(io);
	settle_touched(io);
	wait_for_audit(io);
	measure(io);
	report_drained(io);
	if (io->batch.n || !list_is_empty(&io->touched) || turns_wait(&io->turns))
		loop_hurry(io->loop);
}

/* ---- draining ---- */

static void drain(struct loop_message *m)
{
	struct io *io = container_of(m, struct io, drain);
	io->is_draining = true;
	list_each(l, &io->peers) peer_drain(container_of(l, struct peer, link));
}

static void close_all(struct loop_message *m)
{
	struct io *io = container_of(m, struct io, close);
	while (!list_is_empty(&io->peers))
		peer_free(container_of(io->peers.next, struct peer, link));
}

void io_drain(struct io *io)
{
	io->drain.deliver = drain;
	loop_post(io->loop, &io->drain);
}

void io_close(struct io *io)
{
	io->close.deliver = close_all;
	loop_post(io->loop, &io->close);
}

/* ---- life ---- */

static void watch_audit(struct io *io)
{
	bool is_healthy = audit_is_healthy(io->server->audit);
	if (is_healthy == io->was_audit_healthy)
		return;
	io->was_audit_healthy = is_healthy;
	if (is_healthy)
		log_notice("audit is written again");
	else
		log_error("audit cannot be written: what needs a record is refused");
}

/* A destroyed key leaves the contexts of this loop within a second. */
static void keep_house(struct loop_timer *t)
{
	struct io *io = container_of(t, struct io, housekeeping);
	atomic_store_explicit(&io->alive_ns, loop_now_ns(io->loop), memory_order_relaxed);
	soft_forget(io->batch.token);
	metrics_count_second(io->metrics);
	limit_report(io);
	admit_sweep(io);
	if (io->number == 0) {
		watch_audit(io);
		clients_sweep(io->server->clients, loop_now_ns(io->loop));
		op_parts_sweep(io->server->parts, io->server->op.catalog, io_now_s(io));
	}
	uint64_t next = loop_now_ns(io->loop) + HOUSEKEEPING_MS * 1000000ULL;
	if (!kf_ok(loop_arm(io->loop, &io->housekeeping, next)))
		log_error("housekeeping stops", LOG_TEXT("why", "no memory for a timer"));
}

bool io_is_alive(const struct io *io, uint64_t now_ns)
{
	uint64_t then = atomic_load_explicit(&io->alive_ns, memory_order_relaxed);
	return now_ns < then + STUCK_MS * 1000000ULL;
}

static kf_err make_loop(struct io *io)
{
	KF_TRY(metrics_new(&io->metrics));
	KF_TRY(epoch_register(io->server->epoch, &io->reader));
	struct loop_options options = { .reader = io->reader };
	KF_TRY(loop_new(&options, &io->loop));
	KF_TRY(stream_pad_new(&io->pad));
	KF_TRY(batch_init(&io->batch));
	KF_TRY(hasher_init(&io->hasher));
	io->hook.round_ends = round_ends;
	loop_add_hook(io->loop, &io->hook);
	io->housekeeping.expired = keep_house;
	return loop_arm(io->loop, &io->housekeeping, clock_monotonic_ns());
}

kf_err io_new(struct server *s, unsigned number, struct io **ret)
{
	struct io *io = calloc(1, sizeof(*io));
	if (!io)
		return kf_fail(NOMEM, "loop");
	io->server = s;
	io->number = number;
	io->audit_home.deliver = audit_came_home;
	io->window_ns = clock_monotonic_ns();
	atomic_store(&io->alive_ns, io->window_ns);
	io->was_audit_healthy = true;
	list_init(&io->peers);
	list_init(&io->touched);
	turns_init(&io->turns);
	list_init(&io->free_reqs);
	list_init(&io->waiting);
	list_init(&io->storing);
	list_init(&io->refusing);
	io->settings = *atomic_load(&s->settings);
	kf_err e = make_loop(io);
	if (kf_ok(e))
		*ret = io;
	else
		io_free(io);
	return e;
}

static void *run(void *arg)
{
	struct io *io = arg;
	kf_err e = loop_run(io->loop);
	if (!kf_ok(e)) {
		log_err(e, "loop failed", LOG_NUM("loop", io->number));
		abort();
	}
	return NULL;
}

kf_err io_start(struct io *io)
{
	if (pthread_create(&io->thread, NULL, run, io) != 0)
		return kf_fail(NOMEM, "loop thread");
	io->is_running = true;
	return KF_OK;
}

void io_stop(struct io *io)
{
	if (!io->is_running)
		return;
	loop_stop(io->loop);
	pthread_join(io->thread, NULL);
	io->is_running = false;
}

void io_free(struct io *io)
{
	if (!io)
		return;
	while (!list_is_empty(&io->peers))
		peer_free(container_of(io->peers.next, struct peer, link));
	req_free_all(&io->free_reqs);
	hasher_clear(&io->hasher);
	batch_clear(&io->batch);
	if (io->loop)
		loop_free(io->loop);
	epoch_unregister(io->reader);
	stream_pad_free(io->pad);
	metrics_free(io->metrics);
	free(io);
}
