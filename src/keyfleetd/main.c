/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleetd: the key server.  It stays in the foreground, logs to standard error and prints one line,
 * "ready ADDR:PORT", to standard output when it accepts connections.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/service.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/server.h"
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static const char usage[] =
	"usage: keyfleetd [--config FILE] [--check]\n"
	"\n"
	"  -c, --config FILE  configuration (default $KEYFLEET_CONFIG, then\n"
	"                     /etc/keyfleet/keyfleetd.conf)\n"
	"      --check        read everything, print each problem, serve nothing\n"
	"      --metrics      print every metric of the health endpoint\n"
	"      --options      print every option of the configuration\n"
	"      --version      print the version\n"
	"      --help         print this\n";

struct command {
	const char *config;
	bool is_check;
	int exit_status; /* -1: go on */
};

static int print_manual(void (*print)(struct buf *to))
{
	autobuf text = buf_new(1 << 20);
	print(&text);
	fwrite(text.p, 1, text.n, stdout);
	return EXIT_SUCCESS;
}

static const char *default_config(void)
{
	const char *path = getenv("KEYFLEET_CONFIG");
	return path && *path ? path : "/etc/keyfleet/keyfleetd.conf";
}

static struct command parse(int argc, char **argv)
{
	enum { CHECK = 256, METRICS, OPTIONS, VERSION, HELP };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, CHECK },
		{ "metrics", no_argument, NULL, METRICS },
		{ "options", no_argument, NULL, OPTIONS },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	struct command c = { default_config(), false, -1 };
	for (int o; (o = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
		switch (o) {
		case 'c': c.config = optarg; break;
		case CHECK: c.is_check = true; break;
		case METRICS: c.exit_status = print_manual(metrics_manual); return c;
		case OPTIONS: c.exit_status = print_manual(config_manual); return c;
		case VERSION:
			printf("keyfleetd %s\n", KEYFLEET_VERSION);
			c.exit_status = EXIT_SUCCESS;
			return c;
		case HELP:
			fputs(usage, stdout);
			c.exit_status = EXIT_SUCCESS;
			return c;
		default: c.exit_status = EXIT_USAGE; break;
		}
	}
	if (optind < argc)
		c.exit_status = EXIT_USAGE;
	if (c.exit_status == EXIT_USAGE)
		fputs(usage, stderr);
	return c;
}

static void print_problems(const struct buf *problems)
{
	fwrite(problems->p, 1, problems->n, stderr);
}

static int check(struct server *s, struct buf *problems)
{
	server_check(s, problems);
	print_problems(problems);
	if (problems->n)
		return EXIT_FAILURE;
	printf("%s: fine\n", s->conf_path);
	return EXIT_SUCCESS;
}

static int serve(struct server *s, struct buf *problems)
{
	kf_err e = server_open(s, problems);
	if (!kf_ok(e)) {
		print_problems(problems);
		log_err(e, "cannot start");
		if (server_settle(s))
			server_close(s);
		return EXIT_FAILURE;
	}
	e = server_run(s);
	if (!kf_ok(e)) {
		/* Threads may still hold what we would free. */
		log_err(e, "stopped in disorder");
		fflush(NULL);
		_exit(EXIT_FAILURE);
	}
	server_close(s);
	log_notice("stopped");
	return EXIT_SUCCESS;
}

/* Before there are threads: they inherit the signal mask. */
static kf_err prepare(struct server *s)
{
	umask(077);
	mem_forbid_dumps();
	if (CRYPTO_set_mem_functions(
		    mem_library_malloc, mem_library_realloc, mem_library_free) != 1)
		return kf_fail(CRYPTO, "libcrypto has taken memory already");
	if (!mem_lock_all())
		log_info("memory beside that of secrets is not locked; see LimitMEMLOCK");
	KF_TRY(service_signals(&s->signals.fd));
	struct loop_options options = { 0 };
	return loop_new(&options, &s->loop);
}

int main(int argc, char **argv)
{
	static struct server server;
	struct command command = parse(argc, argv);
	if (command.exit_status >= 0)
		return command.exit_status;

	autobuf problems = buf_new(1 << 20);
	server.conf_path = command.config;
	kf_err e = prepare(&server);
	if (kf_ok(e))
		e = config_read(command.config, &server.conf, &problems);
	if (!kf_ok(e)) {
		print_problems(&problems);
		log_err(e, "cannot start");
		return kf_is(e, KF_E_CONFIG) && !command.is_check ? SERVICE_MISCONFIGURED
								  : EXIT_FAILURE;
	}
	log_set_level((enum log_level)(server.conf.log_level + LOG_LEVEL_ERROR));
	int status =
		command.is_check ? check(&server, &problems) : serve(&server, &problems);
	loop_free(server.loop);
	free(server.entrance);
	config_free(&server.conf);
	return status;
}
