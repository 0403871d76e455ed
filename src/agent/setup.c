/* SPDX-License-Identifier: Apache-2.0 */
/* From a configuration to a running agent, at start and at every reload. */
#include "agent/agent.h"
#include "agent/user.h"
#include "base/log.h"
#include "base/service.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Names that this host does not know, one a line. */
static void tell_notes(const struct buf *notes)
{
	struct slice rest = buf_slice(notes);
	while (rest.n)
		log_notice("no such user or group on this host",
			LOG_SLICE("name", slice_take_line(&rest)));
}

kf_err agent_plan(struct agent *a, struct agent_plan *ret, struct buf *why)
{
	autobuf notes = buf_new(65536);
	*ret = (struct agent_plan){ 0 };
	KF_TRY(agent_conf_read(a->path, &ret->conf, why));
	KF_TRY(allow_new(a->path, &ret->conf, why, &notes, &ret->allow));
	KF_TRY(user_table_new(&ret->conf, &notes, &ret->limits));
	KF_TRY(upstream_new(a->loop, &ret->conf.servers, why, &ret->upstream));
	tell_notes(&notes);
	return KF_OK;
}

bool agent_conf_is_wrong(const char *path)
{
	autobuf why = buf_new(65536), notes = buf_new(65536);
	struct agent_conf conf = { 0 };
	struct allow *allow = NULL;
	kf_err err = agent_conf_read(path, &conf, &why);
	if (kf_ok(err))
		err = allow_new(path, &conf, &why, &notes, &allow);
	allow_free(allow);
	agent_conf_free(&conf);
	return kf_is(err, KF_E_CONFIG);
}

void agent_plan_free(struct agent_plan *p)
{
	upstream_free(p->upstream);
	allow_free(p->allow);
	free(p->limits);
	agent_conf_free(&p->conf);
	*p = (struct agent_plan){ 0 };
}

/* generation 0: nothing runs yet; 1: what it was started with. */
static void keep_first(struct agent *a)
{
	if (a->generation == 1)
		a->first = a->conf;
	else
		agent_conf_free(&a->conf);
}

/* At each reload, as long as what runs is not what is written. */
static void tell_late(const struct agent *a)
{
	autobuf late = buf_new(4096);
	if (a->generation < 2)
		return;
	agent_conf_late(&a->first, &a->conf, &late);
	if (late.n)
		log_warn("some options count from the next start on",
			LOG_SLICE("options", buf_slice(&late)));
}

static void use(struct agent *a, struct upstream *u);

static void servers_moved(void *arg, struct upstream *next)
{
	struct agent *a = arg;
	upstream_retire(a->upstream);
	use(a, next);
}

static void use(struct agent *a, struct upstream *u)
{
	a->upstream = u;
	upstream_on_move(u, servers_moved, a);
}

void agent_adopt(struct agent *a, struct agent_plan *take)
{
	upstream_retire(a->upstream);
	allow_free(a->allow);
	free(a->limits);
	keep_first(a);
	a->conf = take->conf;
	a->allow = take->allow;
	a->limits = take->limits;
	use(a, take->upstream);
	a->generation++;
	*take = (struct agent_plan){ 0 };
	tell_late(a);
	log_set_level((enum log_level)(a->conf.log_level + LOG_LEVEL_ERROR));
}

enum { DESCRIPTORS_OF_OUR_OWN = 256 };

/* Guests that take every descriptor would keep us from the key servers when a connection breaks. */
void agent_take_descriptors(struct agent *a)
{
	struct rlimit r;
	a->descriptors = 1024 - DESCRIPTORS_OF_OUR_OWN;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0)
		a->descriptors = r.rlim_cur > 2 * DESCRIPTORS_OF_OUR_OWN
					 ? r.rlim_cur - DESCRIPTORS_OF_OUR_OWN
					 : r.rlim_cur / 2;
}

/* ---- sockets ---- */

static kf_err open_door(struct agent *a, int fd)
{
	struct door *d = &a->door[a->n_doors];
	*d = (struct door){ .listener = { .accepted = guest_accepted }, .agent = a };
	KF_TRY(listener_start(&d->listener, a->loop, fd));
	a->n_doors++;
	return KF_OK;
}

static kf_err listen_at(struct agent *a, const char *text, struct buf *why)
{
	struct address address;
	struct listen_options options = { .unix_mode = (int)strtol(
						  a->conf.socket_mode, NULL, 8) };
	int fd;
	kf_err err = address_parse(text, &address);
	if (kf_ok(err) && !address_is_unix(&address))
		err = kf_fail(CONFIG, "guests come over Unix sockets only");
	if (kf_ok(err))
		err = listen_open(&address, &options, &fd);
	if (!kf_ok(err)) {
		buf_printf(why, "%.200s: %s\n", text, err.site->text);
		return err;
	}
	return open_door(a, fd);
}

kf_err agent_listen(struct agent *a, struct buf *why)
{
	struct service_socket given[AGENT_DOORS_MAX];
	size_t n = service_sockets(given, AGENT_DOORS_MAX);
	for (size_t i = 0; i < n; i++) {
		KF_TRY(listen_adopt(given[i].fd));
		KF_TRY(open_door(a, given[i].fd));
	}
	if (a->conf.sockets.n > AGENT_DOORS_MAX)
		return kf_fail(CONFIG, "too many sockets");
	for (size_t i = 0; !n && i < a->conf.sockets.n; i++)
		KF_TRY(listen_at(a, a->conf.sockets.item[i], why));
	return KF_OK;
}

void agent_stop_listening(struct agent *a)
{
	while (a->n_doors)
		listener_stop(&a->door[--a->n_doors].listener);
}

void agent_clear(struct agent *a)
{
	agent_stop_listening(a);
	agent_metrics_close(a);
	upstream_free(a->upstream); /* ends what is under way */
	guests_close(a, true);
	users_free(a);
	allow_free(a->allow);
	free(a->limits);
	agent_conf_free(&a->conf);
	agent_conf_free(&a->first);
	stream_pad_free(a->pad);
	loop_free(a->loop);
}
