/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/upstream.h"
#include "agent/resolver.h"
#include "base/log.h"
#include <stdlib.h>

enum { FLUSH_ORDER = 100, LOOK_MS = 1000, LOOK_AGAIN_MS = 50 };

struct fd_watch {
	struct loop_watch watch;
	struct upstream *upstream;
	struct list link; /* in upstream.watches, or .spare */
};

struct upstream {
	struct loop *loop;
	struct kf_async *async;
	struct loop_timer timer;
	struct loop_hook hook;
	struct list watches, spare;
	size_t up; /* servers, as last logged */
	struct resolver *resolver;
	struct loop_timer look; /* while servers are away whose addresses may change */
	bool has_names;
	void (*moved)(void *arg, struct upstream *next);
	void *moved_arg;
	bool is_retired, is_freed;
};

/* ---- what the client asks of the loop ---- */

static void ready(struct loop_watch *w, uint32_t events)
{
	struct upstream *u = container_of(w, struct fd_watch, watch)->upstream;
	int what = (events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? KF_READABLE : 0) |
		   (events & EPOLLOUT ? KF_WRITABLE : 0);
	kf_async_ready(u->async, w->fd, what);
}

static struct fd_watch *find_watch(struct upstream *u, int fd)
{
	list_each(l, &u->watches)
	{
		struct fd_watch *f = container_of(l, struct fd_watch, link);
		if (f->watch.fd == fd)
			return f;
	}
	return NULL;
}

static struct fd_watch *new_watch(struct upstream *u, int fd)
{
	struct list *l = list_take(&u->spare);
	struct fd_watch *f =
		l ? container_of(l, struct fd_watch, link) : malloc(sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct fd_watch){ .watch = { .fd = fd, .ready = ready }, .upstream = u };
	list_add_tail(&u->watches, &f->link);
	return f;
}

static void forget(struct upstream *u, struct fd_watch *f)
{
	loop_remove(u->loop, &f->watch);
	list_remove(&f->link);
	/* Not freed: the loop may be within its callback. */
	list_add_tail(&u->spare, &f->link);
}

static uint32_t events_of(int events)
{
	return (events & KF_READABLE ? EPOLLIN : 0) |
	       (events & KF_WRITABLE ? EPOLLOUT : 0);
}

static void watch(void *arg, int fd, int events)
{
	struct upstream *u = arg;
	struct fd_watch *f = find_watch(u, fd);
	if (!events) {
		if (f)
			forget(u, f);
		return;
	}
	kf_err err = KF_OK;
	if (f)
		err = loop_change(u->loop, &f->watch, events_of(events));
	else if ((f = new_watch(u, fd)))
		err = loop_add(u->loop, &f->watch, events_of(events));
	if (!f || !kf_ok(err))
		log_error("connection cannot be watched", LOG_NUM("fd", fd));
}

static void timer(void *arg, int64_t ms)
{
	struct upstream *u = arg;
	if (ms < 0) {
		loop_disarm(u->loop, &u->timer);
		return;
	}
	kf_err err = loop_arm(
		u->loop, &u->timer, loop_now_ns(u->loop) + (uint64_t)ms * 1000000);
	if (!kf_ok(err))
		log_err(err, "timer cannot be set");
}

static void expired(struct loop_timer *t)
{
	kf_async_timer(container_of(t, struct upstream, timer)->async);
}

/* ---- rounds ---- */

static void tell_change(struct upstream *u)
{
	size_t all, up = async_servers_up(u->async, &all);
	if (up == u->up)
		return;
	char why[512];
	async_say_why(u->async, why, sizeof(why));
	if (up == all)
		log_notice("key servers", LOG_NUM("up", up), LOG_NUM("of", all));
	else if (up)
		log_notice("key servers", LOG_NUM("up", up), LOG_NUM("of", all),
			LOG_TEXT("why", why));
	else
		log_warn("no key server can be reached", LOG_NUM("of", all),
			LOG_TEXT("why", why));
	u->up = up;
}

/* ---- servers that move ---- */

static kf_err upstream_make(struct loop *loop, struct settings *take,
	const struct fleet_nodes *found, struct buf *why, struct upstream **ret);

static bool is_complete(const struct upstream *u)
{
	size_t all, up = async_servers_up(u->async, &all);
	return all && up == all;
}

static void look_in(struct upstream *u, int ms)
{
	uint64_t at = loop_now_ns(u->loop) + (uint64_t)ms * 1000000;
	kf_err err = loop_arm(u->loop, &u->look, at);
	if (!kf_ok(err))
		log_err(err, "addresses cannot be looked up again");
}

/* In its own file descriptors and calls the old one ends by itself. */
static void move_to(struct upstream *u, const struct fleet_nodes *found)
{
	autobuf why = buf_new(65536);
	struct settings settings;
	struct upstream *next = NULL;
	kf_err err = settings_clone(async_settings(u->async), &settings);
	if (kf_ok(err))
		err = upstream_make(u->loop, &settings, found, &why, &next);
	if (!kf_ok(err)) {
		log_err(err, "key servers have moved, but cannot be used");
		return;
	}
	log_notice("key servers have moved", LOG_NUM("addresses", found->n));
	async_hand_over(u->async, next->async);
	u->moved(u->moved_arg, next);
}

static void take_answer(struct upstream *u)
{
	struct fleet_nodes *found = resolver_answer(u->resolver);
	if (!found)
		return;
	async_add_known(u->async, found);
	if (found->n && !async_is_at(u->async, found))
		move_to(u, found);
	resolver_free(u->resolver);
	u->resolver = NULL;
}

static void look(struct loop_timer *t)
{
	struct upstream *u = container_of(t, struct upstream, look);
	if (u->resolver) {
		take_answer(u);
	} else if (!is_complete(u)) {
		kf_err err = resolver_start(async_settings(u->async), &u->resolver);
		if (!kf_ok(err))
			log_err(err, "addresses cannot be looked up again");
	}
	if (!u->is_retired && (u->resolver || !is_complete(u)))
		look_in(u, u->resolver ? LOOK_AGAIN_MS : LOOK_MS);
}

static void round_ends(struct loop_hook *h)
{
	struct upstream *u = container_of(h, struct upstream, hook);
	kf_async_flush(u->async);
	tell_change(u);
	if (u->has_names && !u->is_retired && u->moved && !u->look.place &&
		!is_complete(u))
		look_in(u, LOOK_MS);
	if (u->is_retired && async_in_flight(u->async) == 0)
		upstream_free(u);
}

/* ---- beginning and end ---- */

static kf_err upstream_make(struct loop *loop, struct settings *take,
	const struct fleet_nodes *found, struct buf *why, struct upstream **ret)
{
	const struct async_options options = {
		.is_flushed = true, .is_patient = true, .found = found
	};
	struct upstream *u = calloc(1, sizeof(*u));
	if (!u)
		return kf_fail(NOMEM, "reaching for key servers");
	u->loop = loop;
	u->timer.expired = expired;
	u->look.expired = look;
	u->hook = (struct loop_hook){ .order = FLUSH_ORDER, .round_ends = round_ends };
	list_init(&u->watches);
	list_init(&u->spare);
	struct kf_loop callbacks = { watch, timer, u };
	kf_err err = async_new(take, &callbacks, &options, why, &u->async);
	if (!kf_ok(err)) {
		free(u);
		return err;
	}
	u->has_names = fleet_has_names(async_settings(u->async));
	loop_add_hook(loop, &u->hook);
	*ret = u;
	return KF_OK;
}

kf_err upstream_new(
	struct loop *loop, struct settings *take, struct buf *why, struct upstream **ret)
{
	return upstream_make(loop, take, NULL, why, ret);
}

void upstream_on_move(
	struct upstream *u, void (*moved)(void *arg, struct upstream *next), void *arg)
{
	u->moved = moved;
	u->moved_arg = arg;
}

void upstream_retire(struct upstream *u)
{
	if (!u)
		return;
	u->is_retired = true; /* the hook frees it */
	/* Where its servers are now is not worth knowing: they may not be the ones of today's configuration. */
	u->moved = NULL;
	loop_disarm(u->loop, &u->look);
	resolver_free(u->resolver);
	u->resolver = NULL;
}

void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	loop_remove_hook(&u->hook);
	kf_async_free(u->async);
	loop_disarm(u->loop, &u->timer);
	loop_disarm(u->loop, &u->look);
	resolver_free(u->resolver);
	list_each_safe(l, &u->watches) forget(u, container_of(l, struct fd_watch, link));
	for (struct list *l; (l = list_take(&u->spare));)
		free(container_of(l, struct fd_watch, link));
	free(u);
}

kf_err upstream_call(struct upstream *u, const struct async_request *q)
{
	return async_call(u->async, q);
}

size_t upstream_servers_up(const struct upstream *u, size_t *ret_all)
{
	return async_servers_up(u->async, ret_all);
}

void upstream_expiry(struct upstream *u, struct tls_expiry *ret)
{
	async_expiry(u->async, ret);
}

void upstream_stats(const struct upstream *u, struct async_stats *ret)
{
	async_stats(u->async, ret);
}

void upstream_server(const struct upstream *u, size_t i, struct async_server *ret)
{
	async_server(u->async, i, ret);
}
