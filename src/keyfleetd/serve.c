/* SPDX-License-Identifier: Apache-2.0
 *
 * The main thread: accepts, obeys signals, tells the supervisor, drains.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include "keyfleetd/tokens.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOCKETS_MAX = 16 };

static struct server *
	served; /* signals, timers and listeners of the main loop have no other way back */

/* ---- accepting ---- */

static struct io *least_loaded(struct server *s)
{
	struct io *best = s->io[s->last_connection % s->ios];
	for (unsigned i = 0; i < s->ios; i++)
		if (atomic_load(&s->io[i]->connections) < atomic_load(&best->connections))
			best = s->io[i];
	return best;
}

static const char *const refusals[REFUSALS] = {
	[REFUSAL_DRAINING] = "server is stopping",
	[REFUSAL_FULL] = "too many connections",
	[REFUSAL_UNTRUSTED] = "not a trusted load balancer",
	[REFUSAL_MEMORY] = "no memory",
};

/* REFUSALS: it may come in. */
static enum metric_refusal refusal(struct server *s, const struct address *a)
{
	const struct settings *set = atomic_load(&s->settings);
	if (atomic_load(&s->is_draining))
		return REFUSAL_DRAINING;
	if (atomic_load(&s->connections) >= set->connections)
		return REFUSAL_FULL;
	if (set->expects_proxy && !settings_trusts(set, a))
		return REFUSAL_UNTRUSTED;
	return REFUSALS;
}

static void refuse(
	struct server *s, int fd, const struct address *a, enum metric_refusal why)
{
	char text[ADDRESS_TEXT_MAX];
	address_print(a, text);
	log_warn("connection refused", LOG_TEXT("peer", text),
		LOG_TEXT("why", refusals[why]));
	count_add(&s->metrics->refused[why], 1);
	close(fd);
}

static void accepted(struct listener *l, int fd, const struct address *a)
{
	struct server *s = served;
	struct peer *p = NULL;
	enum metric_refusal why = refusal(s, a);
	if (why == REFUSALS && !kf_ok(peer_new(least_loaded(s), fd, a, &p)))
		why = REFUSAL_MEMORY;
	if (why == REFUSALS && atomic_load(&s->settings)->expects_proxy &&
		!kf_ok(peer_expect_proxy(p))) {
		free(p);
		why = REFUSAL_MEMORY;
	}
	if (why != REFUSALS) {
		refuse(s, fd, a, why);
		return;
	}
	count_add(&s->metrics->accepted, 1);
	p->gate = container_of(l, struct entrance, listener)->gate;
	p->number = ++s->last_connection;
	atomic_fetch_add(&s->connections, 1);
	atomic_fetch_add(&p->io->connections, 1);
	peer_begin(p);
}

static kf_err start_listener(struct server *s, const struct gate *gate, int fd)
{
	struct entrance *e = &s->entrance[s->entrances];
	e->gate = gate;
	e->listener.accepted = accepted;
	KF_TRY(listener_start(&e->listener, s->loop, fd));
	s->entrances++;
	return KF_OK;
}

static kf_err adopt(struct server *s, const struct service_socket *socket, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		KF_TRY(listen_adopt(socket[i].fd));
		KF_TRY(start_listener(s, s->gate, socket[i].fd));
	}
	return KF_OK;
}

static kf_err open_addresses(struct server *s, const struct gate *g)
{
	struct listen_options options = { 0 };
	for (size_t i = 0; i < g->listen.n; i++) {
		struct address a;
		int fd = -1;
		KF_TRY(address_parse(g->listen.item[i], &a));
		KF_TRY(listen_open(&a, &options, &fd));
		KF_TRY(start_listener(s, g, fd));
	}
	return KF_OK;
}

/* Sockets of the supervisor take the place of those of [server]. */
static kf_err open_listeners(struct server *s)
{
	struct service_socket socket[SOCKETS_MAX];
	size_t n = service_sockets(socket, SOCKETS_MAX);
	size_t most = n;
	for (size_t i = 0; i < s->gates; i++)
		most += s->gate[i].listen.n;
	s->entrance = calloc(most, sizeof(*s->entrance));
	if (!s->entrance)
		return kf_fail(NOMEM, "listeners");
	KF_TRY(n ? adopt(s, socket, n) : open_addresses(s, s->gate));
	for (size_t i = 1; i < s->gates; i++)
		KF_TRY(open_addresses(s, &s->gate[i]));
	return KF_OK;
}

static void stop_listeners(struct server *s)
{
	for (size_t i = 0; i < s->entrances; i++)
		listener_stop(&s->entrance[i].listener);
	s->entrances = 0;
}

/* ---- telling where we are ---- */

static kf_err write_whole(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(IO, "address file cannot be written");
	ssize_t n = (ssize_t)strlen(text);
	bool is_done = write(fd, text, (size_t)n) == n;
	return close(fd) == 0 && is_done ? KF_OK
					 : kf_fail(IO, "address file cannot be written");
}

/* Whoever reads it sees the old address or the new one, never half of it. */
static kf_err write_address(const char *path, const char *address)
{
	char line[ADDRESS_TEXT_MAX + 2];
	char aside[4096];
	snprintf(line, sizeof(line), "%s\n", address);
	if (snprintf(aside, sizeof(aside), "%s.new", path) >= (int)sizeof(aside))
		return kf_fail(CONFIG, "path of the address file is too long");
	KF_TRY(write_whole(aside, line));
	return rename(aside, path) == 0 ? KF_OK
					: kf_fail(IO, "address file cannot be renamed");
}

static kf_err announce(struct server *s)
{
	struct address a;
	char text[ADDRESS_TEXT_MAX], status[ADDRESS_TEXT_MAX + 32];
	KF_TRY(address_of_socket(s->entrance[0].listener.watch.fd, &a));
	address_print(&a, text);
	if (s->conf.address_file)
		KF_TRY(write_address(s->conf.address_file, text));
	printf("ready %s\n", text);
	fflush(stdout);
	snprintf(status, sizeof(status), "serving on %s", text);
	service_ready(status);
	log_notice("ready", LOG_TEXT("address", text), LOG_NUM("loops", s->ios));
	return KF_OK;
}

/* ---- stopping ---- */

static void deadline_passed(struct loop_timer *t)
{
	struct server *s = container_of(t, struct server, deadline);
	if (s->is_given_up) {
		loop_stop(s->loop);
		return;
	}
	s->is_given_up = true;
	pools_interrupt(s->pools); /* what a token hangs at */
	log_warn("drain takes too long, connections are closed");
	for (unsigned i = 0; i < s->ios; i++)
		io_close(s->io[i]);
	/* What the store was asked to do ends with its own deadline. */
	uint64_t rest = 2 * (uint64_t)s->conf.commit_timeout_ms * 1000000;
	if (!kf_ok(loop_arm(s->loop, &s->deadline, clock_monotonic_ns() + rest)))
		loop_stop(s->loop);
}

static void begin_drain(struct server *s)
{
	if (atomic_exchange(&s->is_draining, true))
		return;
	log_notice("stopping", LOG_NUM("connections", atomic_load(&s->connections)));
	service_stopping();
	stop_listeners(s);
	for (unsigned i = 0; i < s->ios; i++)
		io_drain(s->io[i]);
	uint64_t at = clock_monotonic_ns() + (uint64_t)s->conf.drain_ms * 1000000;
	if (!kf_ok(loop_arm(s->loop, &s->deadline, at)))
		loop_stop(s->loop);
}

void server_drained(struct loop_message *m)
{
	(void)m;
	struct server *s = served;
	if (++s->drained < s->ios)
		return;
	s->is_given_up = false;
	loop_stop(s->loop);
}

/* ---- signals ---- */

static void reload(struct server *s)
{
	autobuf why = buf_new(65536);
	service_reloading();
	kf_err e = server_reload(s, &why);
	if (kf_ok(e))
		log_notice("reloaded");
	else
		log_err(e, "reload failed, nothing has changed",
			LOG_SLICE("problems", buf_slice(&why)));
	service_ready(kf_ok(e) ? "reloaded" : "reload failed, see the log");
}

static void obey(struct loop_watch *w, uint32_t events)
{
	(void)events;
	struct server *s = container_of(w, struct server, signals);
	for (int signal = service_next_signal(w->fd); signal;
		signal = service_next_signal(w->fd)) {
		if (signal == SIGHUP)
			reload(s);
		if (signal == SIGTERM || signal == SIGINT)
			begin_drain(s);
	}
}

/* One loop that is stuck keeps its clients waiting: to be restarted is better. */
static bool is_alive(const struct server *s)
{
	uint64_t now = clock_monotonic_ns();
	for (unsigned i = 0; i < s->ios; i++) {
		if (io_is_alive(s->io[i], now))
			continue;
		log_error("a loop is stuck: the watchdog is not fed", LOG_NUM("loop", i));
		return false;
	}
	return true;
}

static void feed_watchdog(struct loop_timer *t)
{
	struct server *s = container_of(t, struct server, watchdog);
	if (is_alive(s))
		service_notify("WATCHDOG=1");
	uint64_t next = clock_monotonic_ns() + service_watchdog_ns();
	if (!kf_ok(loop_arm(s->loop, t, next)))
		log_error("watchdog stops", LOG_TEXT("why", "no memory for a timer"));
}

static kf_err start(struct server *s)
{
	KF_TRY(loop_add(s->loop, &s->signals, EPOLLIN));
	if (service_watchdog_ns())
		feed_watchdog(&s->watchdog);
	tokens_watch(s->tokens, s->loop);
	KF_TRY(open_listeners(s));
	return announce(s);
}

kf_err server_run(struct server *s)
{
	served = s;
	s->signals.ready = obey;
	s->watchdog.expired = feed_watchdog;
	s->deadline.expired = deadline_passed;
	KF_TRY(start(s));
	KF_TRY(loop_run(s->loop));
	if (s->is_given_up)
		return kf_fail(TIMEOUT, "something is still in flight");
	if (!server_settle(s))
		return kf_fail(TIMEOUT, "a token hangs");
	return KF_OK;
}
