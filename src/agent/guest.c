/* SPDX-License-Identifier: Apache-2.0 */
/* A guest: a connection of a program on this host.  It has one request under way at most.
 *
 *     readable -> request -> allowed? -> upstream -> answer -> readable ...
 *
 * A guest that leaves while its request is under way stays, closed, until the answer comes: key servers are told
 * that nobody waits for it, but as long as they have it, it counts in its user's limits.
 */
#include "agent/agent.h"
#include "agent/request.h"
#include "agent/user.h"
#include "base/log.h"
#include "net/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Edge triggered, which spares the kernel a second look after each request.  One read takes all there may be:
 * more than a request is a reason to close. */
enum { ANSWER_MAX = 1 << 20, WATCHED = EPOLLIN | EPOLLRDHUP | (int)EPOLLET };

struct guest {
	struct list link; /* in agent.guests; of a closed one by itself */
	struct loop_watch watch;
	struct agent *agent;
	struct stream *stream; /* NULL: closed */
	struct buf in, out;
	struct user *user;
	pid_t pid;
	struct allow_who who;
	struct allow_set allowed;
	uint64_t generation; /* of the allow-list that `allowed` is from */
	bool is_busy;
	struct flight *call;    /* while busy */
	uint64_t since_ns;      /* when it was forwarded, while busy */
	struct request request; /* while busy; its slices are not valid any more */
};

/* ---- end ---- */

static void guest_free(struct guest *g)
{
	buf_free(&g->in);
	buf_free(&g->out);
	free(g);
}

static void guest_close(struct guest *g)
{
	struct agent *a = g->agent;
	if (!g->stream)
		return;
	loop_remove(a->loop, &g->watch);
	stream_free(g->stream);
	g->stream = NULL;
	list_remove(&g->link);
	a->n_guests--;
	user_disconnect(g->user);
	if (g->is_busy)
		async_abandon(g->call);
	else
		guest_free(g);
}

void guests_close(struct agent *a, bool is_forced)
{
	list_each_safe(l, &a->guests)
	{
		struct guest *g = container_of(l, struct guest, link);
		if (is_forced || !g->is_busy)
			guest_close(g);
	}
}

void users_free(struct agent *a)
{
	for (struct user *u; (u = a->users);) {
		a->users = u->next;
		free(u);
	}
}

/* ---- answers ---- */

/* False: the guest is gone. */
static bool send_out(struct guest *g)
{
	kf_err err = stream_write(g->stream, &g->out);
	if (kf_ok(err))
		err = loop_change(g->agent->loop, &g->watch,
			WATCHED | (stream_wants_write(g->stream) || g->out.n ? EPOLLOUT
									     : 0));
	if (kf_ok(err))
		return true;
	guest_close(g);
	return false;
}

static bool finish(struct guest *g, kf_err err)
{
	if (!kf_ok(err)) {
		log_err(err, "answer cannot be written", LOG_NUM("pid", g->pid));
		guest_close(g);
		return false;
	}
	return send_out(g);
}

static void count(const struct guest *g, enum kf_code code)
{
	struct agent_metrics *m = &g->agent->metrics;
	count_add(&m->requests[agent_operation(&g->request)][metric_result_of(code)], 1);
}

static void count_refusal(struct agent *a, enum agent_refusal why)
{
	count_add(&a->metrics.refused[why], 1);
}

static bool refuse(struct guest *g, enum kf_code code)
{
	count(g, code);
	return finish(g, request_refuse(&g->request, code, &g->out));
}

static void log_failure(const struct guest *g, const struct async_outcome *o)
{
	log_info("operation failed", LOG_ERR(o->err), LOG_NUM("uid", g->who.uid),
		LOG_NUM("pid", g->pid), LOG_TEXT("message", o->report->message),
		LOG_NUM("attempts", o->report->attempts));
}

/* What the guest can make of it: a way that is blocked is a server that is busy. */
static enum kf_code code_for_guest(enum kf_code code)
{
	return code == KF_E_TIMEOUT || code == KF_E_CLOSED || code == KF_E_IO ? KF_E_BUSY
									      : code;
}

static void answered(void *arg, const struct async_outcome *o)
{
	struct guest *g = arg;
	struct agent *a = g->agent;
	g->is_busy = false;
	a->n_busy--;
	histogram_add(&a->metrics.request[agent_operation(&g->request)],
		loop_now_ns(a->loop) - g->since_ns, 1);
	user_end(g->user);
	if (!g->stream) {
		guest_free(g);
		return;
	}
	bool is_there;
	if (!kf_ok(o->err)) {
		log_failure(g, o);
		count(g, o->err.code);
		enum kf_code told = code_for_guest(o->err.code);
		is_there = finish(g, request_refuse(&g->request, told, &g->out));
	} else if (request_may_see(&g->request, o->payload)) {
		count(g, KF_E_NONE);
		is_there = finish(g, request_answer(&g->request, o->payload, &g->out));
	} else {
		is_there = refuse(g, KF_E_NOT_FOUND);
	}
	if (is_there && a->is_draining && !g->out.n)
		guest_close(g);
}

/* ---- requests ---- */

static const struct allow_set *find_allowed(struct guest *g)
{
	const struct agent *a = g->agent;
	if (g->generation != a->generation) {
		allow_find(a->allow, &g->who, &g->allowed);
		g->generation = a->generation;
	}
	return &g->allowed;
}

static bool is_allowed(struct guest *g)
{
	const struct request *q = &g->request;
	return allow_may(g->agent->allow, find_allowed(g), q->key, q->kind);
}

/* The answer has to be back before the guest stops waiting. */
static uint32_t timeout_of(const struct guest *g)
{
	uint64_t ms = (uint64_t)g->agent->conf.deadline_ms;
	if (g->request.deadline_ms && g->request.deadline_ms < ms)
		ms = g->request.deadline_ms;
	ms -= ms / 20;
	return ms ? (uint32_t)ms : 1;
}

static bool forward(struct guest *g)
{
	struct agent *a = g->agent;
	const struct request *q = &g->request;
	struct async_request r = { .operation = q->operation,
		.payload = q->payload,
		.options = { .timeout_ms = timeout_of(g),
			.tls_client_version = q->tls_client_version,
			.tls_negotiated_version = q->tls_negotiated_version,
			.has_user = g->who.uid <= INT32_MAX,
			.user = (int32_t)g->who.uid },
		.done = answered,
		.arg = g,
		.held = &g->call };
	kf_err err = upstream_call(a->upstream, &r);
	if (!kf_ok(err)) {
		user_end(g->user);
		return refuse(g, err.code);
	}
	g->is_busy = true;
	g->since_ns = loop_now_ns(a->loop);
	a->n_busy++;
	return true;
}

/* What is over its user's limits is logged once a second. */
static kf_err begin(struct guest *g)
{
	struct agent *a = g->agent;
	uint64_t now = loop_now_ns(a->loop);
	user_adopt(g->user, a->limits, a->generation);
	kf_err err = user_begin(g->user, now);
	if (kf_ok(err))
		return err;
	count_refusal(a, AGENT_REFUSED_RATE);
	uint64_t n = user_refused(g->user, now);
	if (n)
		log_notice("a user is over a limit", LOG_ERR(err),
			LOG_NUM("uid", g->who.uid), LOG_NUM("refused", n));
	return err;
}

static bool serve(struct guest *g, struct slice message)
{
	kf_err err = request_read(message, &g->request);
	if (!kf_ok(err)) {
		count_refusal(g->agent, AGENT_REFUSED_MALFORMED);
		log_warn("request cannot be read", LOG_ERR(err),
			LOG_NUM("uid", g->who.uid), LOG_NUM("pid", g->pid));
		guest_close(g);
		return false;
	}
	if (!g->request.kind) {
		count_refusal(g->agent, AGENT_REFUSED_NOT_ALLOWED);
		return refuse(g, KF_E_UNSUPPORTED);
	}
	if (!is_allowed(g)) {
		count_refusal(g->agent, AGENT_REFUSED_NOT_ALLOWED);
		log_notice("refused", LOG_NUM("uid", g->who.uid), LOG_NUM("pid", g->pid),
			LOG_SLICE("key", g->request.key));
		return refuse(g, KF_E_NOT_FOUND); /* as if there were no such key */
	}
	if (g->request.is_unfit) {
		count_refusal(g->agent, AGENT_REFUSED_NOT_ALLOWED);
		return refuse(g, KF_E_FEATURE);
	}
	err = begin(g);
	return kf_ok(err) ? forward(g) : refuse(g, err.code);
}

/* False: the guest is gone. */
static bool read_requests(struct guest *g)
{
	struct slice rest = buf_slice(&g->in), message;
	enum frame_result got = frame_next(&rest, REQUEST_MAX, &message);
	if (got == FRAME_MORE)
		return true;
	/* Who does not read an answer gets no further one: they would pile up here. */
	bool is_second = got == FRAME_READY && (g->is_busy || g->out.n || rest.n);
	if (got != FRAME_READY || is_second) {
		count_refusal(g->agent, AGENT_REFUSED_MALFORMED);
		log_warn(is_second ? "more than one request at a time" : "not a request",
			LOG_NUM("uid", g->who.uid), LOG_NUM("pid", g->pid));
		guest_close(g);
		return false;
	}
	if (!serve(g, message))
		return false;
	buf_clear(&g->in);
	return true;
}

static void ready(struct loop_watch *w, uint32_t events)
{
	struct guest *g = container_of(w, struct guest, watch);
	/* It has hung up: whatever it asked for is not wanted any more. */
	if (events & EPOLLHUP) {
		guest_close(g);
		return;
	}
	if (events & EPOLLOUT && !send_out(g))
		return;
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	kf_err err = stream_read(g->stream, &g->in);
	if (g->in.n && !read_requests(g))
		return;
	/* Of the end there may be no further report. */
	if (!kf_ok(err) || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		guest_close(g);
}

/* ---- beginning ---- */

static bool find_who(int fd, struct guest *g)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 || cred.pid < 0)
		return false;
	g->who.uid = cred.uid;
	g->pid = cred.pid;
	g->who.groups[0] = cred.gid;
	g->who.n_groups = 1;
	socklen_t room = (ALLOW_GROUPS_MAX - 1) * sizeof(gid_t);
	/* More groups than fit, or an old kernel: the primary one counts. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &g->who.groups[1], &room) == 0)
		g->who.n_groups += room / sizeof(gid_t);
	return true;
}

static bool open_guest(struct guest *g, int fd)
{
	struct agent *a = g->agent;
	if (!find_who(fd, g) || !kf_ok(user_find(&a->users, g->who.uid, &g->user)))
		return false;
	user_adopt(g->user, a->limits, a->generation);
	if (!user_connect(g->user, find_allowed(g)->is_empty)) {
		count_refusal(a, AGENT_REFUSED_USER);
		log_warn("too many connections of a user", LOG_NUM("uid", g->who.uid),
			LOG_NUM("pid", g->pid));
		return false;
	}
	return true;
}

/* Takes fd, whatever happens. */
static struct guest *guest_new(struct agent *a, int fd)
{
	struct guest *g = calloc(1, sizeof(*g));
	if (g)
		g->agent = a;
	if (!g || !open_guest(g, fd)) {
		close(fd);
		free(g);
		return NULL;
	}
	if (!kf_ok(stream_plain(fd, a->pad, &g->stream))) {
		user_disconnect(g->user);
		free(g);
		return NULL;
	}
	g->watch = (struct loop_watch){ .fd = fd, .ready = ready };
	g->in = buf_new(REQUEST_MAX + 8);
	g->out = buf_new(ANSWER_MAX);
	list_init(&g->link);
	return g;
}

static bool is_full(const struct agent *a)
{
	return a->n_guests >= (size_t)a->conf.connections_max ||
	       (a->descriptors && a->n_guests >= a->descriptors);
}

void guest_accepted(struct listener *l, int fd, const struct address *peer)
{
	(void)peer;
	struct agent *a = container_of(l, struct door, listener)->agent;
	if (is_full(a)) {
		count_refusal(a, AGENT_REFUSED_FULL);
		log_warn("too many connections", LOG_NUM("connections", a->n_guests));
		close(fd);
		return;
	}
	struct guest *g = guest_new(a, fd);
	if (!g)
		return;
	list_add_tail(&a->guests, &g->link);
	a->n_guests++;
	count_add(&a->metrics.accepted, 1);
	if (!kf_ok(loop_add(a->loop, &g->watch, WATCHED)))
		guest_close(g);
}
