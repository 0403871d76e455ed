/* SPDX-License-Identifier: Apache-2.0 */
/* keyfleet-agent: the way of a host's programs to the key servers.  Holds no private key of theirs. */
#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/service.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: keyfleet-agent [--config FILE] [--check]\n"
	"\n"
	"The agent of a web host: takes requests of local programs over a Unix socket "
	"and has the key\n"
	"servers do the work, over mutual TLS.\n"
	"\n"
	"  -c, --config FILE  configuration (default $KEYFLEET_CONFIG, then\n"
	"                     /etc/keyfleet/agent.conf)\n"
	"      --check        read everything, print each problem, serve nothing\n"
	"      --metrics      print every metric of the endpoint of [metrics]\n"
	"      --options      print every option of the configuration\n"
	"      --version      print the version\n"
	"      --help         print this\n"
	"\n"
	"SIGHUP reads configuration and certificates again; SIGTERM ends after the "
	"operations under way.\n";

struct program {
	struct agent agent;
	struct loop_watch signals;
	struct loop_timer drain, watchdog;
	uint64_t watchdog_ns;
};

/* ---- signals ---- */

static void tell_lines(const struct buf *why)
{
	fprintf(stderr, "%.*s", (int)why->n, why->n ? (const char *)why->p : "");
}

/* The configuration is in force already, and programs are more important. */
static void open_metrics(struct agent *a, struct buf *why)
{
	kf_err err = agent_metrics_open(a, why);
	if (kf_ok(err))
		return;
	tell_lines(why);
	log_err(err, "no metrics");
}

static void reload(struct program *p)
{
	struct agent *a = &p->agent;
	autobuf why = buf_new(65536);
	struct agent_plan plan;
	service_reloading();
	kf_err err = agent_plan(a, &plan, &why);
	if (kf_ok(err)) {
		agent_adopt(a, &plan);
		log_notice("configuration was read again");
		open_metrics(a, &why);
	} else {
		tell_lines(&why);
		log_err(err, "reload refused, the old configuration stays");
	}
	agent_plan_free(&plan);
	service_ready("running");
}

static void stop_if_idle(struct program *p)
{
	if (p->agent.n_busy == 0)
		loop_stop(p->agent.loop);
}

static void drain(struct program *p)
{
	struct agent *a = &p->agent;
	service_stopping();
	log_notice("ending", LOG_NUM("operations", a->n_busy));
	a->is_draining = true;
	agent_stop_listening(a);
	guests_close(a, false);
	kf_err err = loop_arm(a->loop, &p->drain,
		loop_now_ns(a->loop) + (uint64_t)a->conf.drain_ms * 1000000);
	if (!kf_ok(err))
		loop_stop(a->loop);
	stop_if_idle(p);
}

static void drained(struct loop_timer *t)
{
	loop_stop(container_of(t, struct program, drain)->agent.loop);
}

static void signalled(struct loop_watch *w, uint32_t events)
{
	struct program *p = container_of(w, struct program, signals);
	(void)events;
	for (int s; (s = service_next_signal(w->fd));) {
		if (s == SIGHUP)
			reload(p);
		else if (s == SIGTERM || s == SIGINT)
			drain(p);
	}
}

static void watch_dog(struct loop_timer *t)
{
	struct program *p = container_of(t, struct program, watchdog);
	service_notify("WATCHDOG=1");
	kf_err err =
		loop_arm(p->agent.loop, t, loop_now_ns(p->agent.loop) + p->watchdog_ns);
	if (!kf_ok(err))
		log_err(err, "watchdog cannot be served");
}

struct end_of_round {
	struct loop_hook hook;
	struct program *program;
};

static void round_ends(struct loop_hook *h)
{
	struct program *p = container_of(h, struct end_of_round, hook)->program;
	if (p->agent.is_draining)
		stop_if_idle(p);
}

/* ---- running ---- */

/* What guests send to be decrypted, and its plaintext, pass through here. */
static void protect_memory(void)
{
	mem_forbid_dumps();
	if (!mem_lock_all())
		log_info("memory is not locked; see LimitMEMLOCK");
}

static kf_err start(struct program *p, struct buf *why)
{
	struct agent *a = &p->agent;
	struct agent_plan plan = { 0 };
	list_init(&a->guests);
	KF_TRY(loop_new(&(struct loop_options){ 0 }, &a->loop));
	KF_TRY(stream_pad_new(&a->pad));
	kf_err err = agent_plan(a, &plan, why);
	if (kf_ok(err))
		agent_adopt(a, &plan);
	agent_plan_free(&plan);
	return err;
}

static kf_err open_to_all(struct program *p, struct buf *why)
{
	struct agent *a = &p->agent;
	p->signals.ready = signalled;
	p->drain.expired = drained;
	p->watchdog.expired = watch_dog;
	KF_TRY(service_signals(&p->signals.fd));
	KF_TRY(loop_add(a->loop, &p->signals, EPOLLIN));
	KF_TRY(agent_listen(a, why));
	KF_TRY(agent_metrics_open(a, why));
	p->watchdog_ns = service_watchdog_ns();
	if (p->watchdog_ns)
		KF_TRY(loop_arm(a->loop, &p->watchdog, loop_now_ns(a->loop)));
	service_ready("running");
	log_notice("ready", LOG_NUM("sockets", a->n_doors));
	return KF_OK;
}

static kf_err run(struct program *p, struct buf *why)
{
	struct end_of_round end = { .hook = { .order = 200, .round_ends = round_ends },
		.program = p };
	protect_memory();
	agent_take_descriptors(&p->agent);
	KF_TRY(start(p, why));
	KF_TRY(open_to_all(p, why));
	loop_add_hook(p->agent.loop, &end.hook);
	kf_err err = loop_run(p->agent.loop);
	loop_remove_hook(&end.hook);
	return err;
}

static int end_with(const struct program *p, kf_err err, const struct buf *why)
{
	if (kf_ok(err))
		return EXIT_SUCCESS;
	tell_lines(why);
	if (why->n) /* the lines say what and where */
		fprintf(stderr, "keyfleet-agent: %s cannot be used\n", p->agent.path);
	else
		fprintf(stderr, "keyfleet-agent: %s: %s\n", p->agent.path,
			err.site && err.site->text ? err.site->text
						   : kf_code_name(err.code));
	return EXIT_FAILURE;
}

/* For a supervisor: whether it is worth another try. */
static int status_of_service(const struct program *p, int status)
{
	if (status == EXIT_SUCCESS)
		return status;
	if (agent_conf_is_wrong(p->agent.path))
		return SERVICE_MISCONFIGURED;
	service_hold_back();
	return status;
}

static const char *default_path(void)
{
	const char *path = getenv("KEYFLEET_CONFIG");
	return path && *path ? path : "/etc/keyfleet/agent.conf";
}

static void print_manual(void (*print)(struct buf *to))
{
	autobuf text = buf_new(65536);
	print(&text);
	fwrite(text.p, 1, text.n, stdout);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = { { "config", 1, NULL, 'c' },
		{ "check", 0, NULL, 'k' }, { "metrics", 0, NULL, 'm' },
		{ "options", 0, NULL, 'o' }, { "help", 0, NULL, 'h' },
		{ "version", 0, NULL, 'v' }, { 0 } };
	static struct program p;
	bool is_check = false;
	p.agent.path = default_path();
	for (int o; (o = getopt_long(argc, argv, "c:", long_options, NULL)) != -1;)
		switch (o) {
		case 'c': p.agent.path = optarg; break;
		case 'k': is_check = true; break;
		case 'm': print_manual(agent_metrics_manual); return EXIT_SUCCESS;
		case 'o': print_manual(agent_conf_print_manual); return EXIT_SUCCESS;
		case 'h': fputs(usage, stdout); return EXIT_SUCCESS;
		case 'v': puts("keyfleet-agent " KEYFLEET_VERSION); return EXIT_SUCCESS;
		default: fputs(usage, stderr); return 2;
		}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	autobuf why = buf_new(65536);
	kf_err err = is_check ? start(&p, &why) : run(&p, &why);
	int status = end_with(&p, err, &why);
	if (!is_check)
		status = status_of_service(&p, status);
	if (is_check && kf_ok(err))
		printf("%s: no mistakes found\n", p.agent.path);
	agent_clear(&p.agent);
	return status;
}
