/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet bench: how fast the key servers of this configuration, or the agent of this host, answer.
 */
#include "bench/bench.h"
#include "cli/call.h"
#include "client/settings.h"
#include "net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { DEPTH_MAX = 256, ENCRYPT_BYTES = 1024 };

struct bench {
	struct cli *cli;
	const char *what;
	const char *key, *address, *connections, *depth, *seconds, *pids, *socket, *of;
	bool is_rsa;
	char name[256]; /* and digits */
	struct settings settings;
	struct tls_context *tls;
	struct buf messages[DEPTH_MAX];
	struct bench_drive drive;
	struct bench_work work;
	struct bench_result result;
};

static const char *const fleet_alpn[] = { "keyfleet/1", "kmip", NULL };

static size_t number(const char *text, size_t otherwise, size_t max)
{
	if (!text)
		return otherwise;
	unsigned long n = strtoul(text, NULL, 10);
	return n < 1 ? 1 : n > max ? max : n;
}

static void read_pids(const char *text, struct bench_pids *ret)
{
	for (char *end; text && *text && ret->n < BENCH_PIDS; text = *end ? end + 1 : end)
		ret->pid[ret->n++] = (pid_t)strtol(text, &end, 10);
}

static kf_err read_address(struct bench *b)
{
	static char address[256];
	if (b->address)
		return KF_OK;
	const char *first = b->settings.servers.n ? b->settings.servers.item[0] : NULL;
	if (!first)
		return kf_fail(CONFIG, "the configuration names no server");
	b->address = first;
	if (strncmp(first, "file:", 5) != 0)
		return KF_OK;
	FILE *f = fopen(first + 5, "re");
	bool is_read = f && fgets(address, sizeof(address), f);
	if (f)
		fclose(f);
	if (!is_read)
		return kf_fail(
			CONFIG, "the file with the server's address cannot be read");
	address[strcspn(address, "\n")] = 0;
	b->address = address;
	return KF_OK;
}

static kf_err open_tls(struct bench *b)
{
	autobuf why = buf_new(65536);
	kf_err e = settings_read(b->cli->config, &b->settings, &why);
	if (kf_ok(e)) {
		const struct settings *s = &b->settings;
		const struct tls_options options = { .alpn = b->work.alpn };
		const struct tls_files files = {
			.certificate = s->certificate, .key = s->key, .authorities = s->ca
		};
		e = tls_context_open(&options, &files, &why, &b->tls);
	}
	if (!kf_ok(e))
		cli_note_lines(b->cli, &why);
	return e;
}

/* KEY is followed by digits that change. */
static const char *numbered(struct bench *b)
{
	b->work.name = b->key;
	b->work.of = b->of ? number(b->of, 1, 100000000) : 0;
	snprintf(b->name, sizeof(b->name), "%s%0*d", b->key, BENCH_DIGITS, 0);
	return b->name;
}

static kf_err make_messages(struct bench *b)
{
	b->work.message = b->messages;
	b->work.depth = number(b->depth, 1, DEPTH_MAX);
	b->work.alpn = fleet_alpn;
	if (!strcmp(b->what, "sign")) {
		const struct bench_sign s = { b->key, b->is_rsa, b->work.depth };
		return bench_sign_messages(&s, b->messages);
	}
	if (!strcmp(b->what, "encrypt"))
		return bench_encrypt_messages(
			b->key, ENCRYPT_BYTES, b->work.depth, b->messages);
	if (!strcmp(b->what, "get") || !strcmp(b->what, "idle"))
		return bench_get_messages(b->key, b->work.depth, b->messages);
	if (!strcmp(b->what, "locate"))
		return bench_locate_messages(
			b->of ? numbered(b) : b->key, b->work.depth, b->messages);
	if (!strcmp(b->what, "create"))
		return bench_create_messages(numbered(b), b->work.depth, b->messages);
	b->work.alpn = NULL;
	b->work.answer_size = ECHO_ANSWER;
	for (size_t i = 0; i < b->work.depth; i++) {
		uint8_t filler[ECHO_REQUEST] = { 0 };
		b->messages[i] = buf_new(ECHO_REQUEST);
		buf_add(&b->messages[i], filler, sizeof(filler));
	}
	return KF_OK;
}

static void raise_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Nothing that succeeded is a failure, for those who look at the exit status alone. */
static kf_err print_result(const struct bench *b)
{
	static const char *const titles[] = { "WHAT", "PER SECOND",
		"PER SERVER CPU SECOND", "P50 US", "P99 US", "DONE", "FAILED" };
	const struct bench_result *r = &b->result;
	double rate = r->seconds > 0 ? (double)r->done / r->seconds : 0;
	double per_cpu =
		r->server_cpu_seconds > 0 ? (double)r->done / r->server_cpu_seconds : 0;
	char cell[6][32];
	snprintf(cell[0], 32, "%.0f", rate);
	snprintf(cell[1], 32, "%.0f", per_cpu);
	snprintf(cell[2], 32, "%.1f", r->p50_us);
	snprintf(cell[3], 32, "%.1f", r->p99_us);
	snprintf(cell[4], 32, "%llu", (unsigned long long)r->done);
	snprintf(cell[5], 32, "%llu", (unsigned long long)r->failed);
	struct table *t = table_new(b->cli, titles, 7);
	const char *cells[] = { b->what, cell[0], cell[1], cell[2], cell[3], cell[4],
		cell[5] };
	table_row(t, cells);
	KF_TRY(table_end(t, KF_OK));
	if (r->why[0])
		cli_note(b->cli, "first failure: %s", r->why);
	return r->done ? KF_OK : kf_fail(UNAVAILABLE, "no operation succeeded");
}

static void print_idle(const struct bench *b, double kib)
{
	static const char *const titles[] = { "CONNECTIONS", "KIB EACH" };
	char n[32], each[32];
	snprintf(n, sizeof(n), "%zu", b->drive.connections);
	snprintf(each, sizeof(each), "%.1f", kib);
	struct table *t = table_new(b->cli, titles, 2);
	const char *cells[] = { n, each };
	table_row(t, cells);
	(void)table_end(t, KF_OK);
}

static kf_err over_network(struct bench *b)
{
	KF_TRY(make_messages(b));
	KF_TRY(open_tls(b));
	KF_TRY(read_address(b));
	raise_descriptors();
	b->drive.address = b->address;
	b->drive.tls = b->tls;
	b->drive.work = &b->work;
	b->drive.connections = number(b->connections, 64, 100000);
	if (!strcmp(b->what, "idle")) {
		double kib = 0;
		KF_TRY(bench_idle(&b->drive, &kib));
		print_idle(b, kib);
		return KF_OK;
	}
	KF_TRY(bench_drive(&b->drive, &b->result));
	return print_result(b);
}

static kf_err through_agent(struct bench *b)
{
	const struct bench_local l = {
		.socket = b->socket,
		.id = b->key,
		.callers = number(b->connections, 1, 256),
		.seconds = b->drive.seconds,
		.pids = b->drive.pids,
	};
	KF_TRY(bench_local(&l, &b->result));
	return print_result(b);
}

static kf_err echo_server(struct bench *b)
{
	autobuf why = buf_new(65536);
	kf_err e = settings_read(b->cli->config, &b->settings, &why);
	cli_note_lines(b->cli, &why);
	KF_TRY(e);
	char certificate[4096], key[4096];
	const char *slash = strrchr(b->cli->config, '/');
	int n = slash ? (int)(slash - b->cli->config) : 0;
	snprintf(certificate, sizeof(certificate), "%.*s/server.pem", n, b->cli->config);
	snprintf(key, sizeof(key), "%.*s/server.key", n, b->cli->config);
	return bench_echo(&(struct bench_echo){ certificate, key, b->settings.ca });
}

static kf_err run_one(struct bench *b)
{
	static const char *const known[] = { "sign", "get", "encrypt", "locate", "create",
		"idle", "echo" };
	if (!strcmp(b->what, "echo-server"))
		return echo_server(b);
	if (!strcmp(b->what, "agent"))
		return b->key ? through_agent(b)
			      : kf_fail(INVALID_FIELD, "--key ID is needed");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(b->what, known[i]))
			return b->key || !strcmp(b->what, "echo")
				       ? over_network(b)
				       : kf_fail(INVALID_FIELD, "--key ID is needed");
	return kf_fail(INVALID_FIELD, "there is sign, get, encrypt, locate, create, "
				      "agent, idle, echo and echo-server");
}

static kf_err run(struct cli *c)
{
	static struct bench b; /* large, and one a program */
	b.cli = c;
	const struct cli_option options[] = {
		{ "key", &b.key, NULL },
		{ "address", &b.address, NULL },
		{ "connections", &b.connections, NULL },
		{ "depth", &b.depth, NULL },
		{ "seconds", &b.seconds, NULL },
		{ "pid", &b.pids, NULL },
		{ "socket", &b.socket, NULL },
		{ "of", &b.of, NULL },
		{ "rsa", NULL, &b.is_rsa },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 1, 1));
	b.what = c->argv[0];
	b.drive.seconds = b.seconds ? strtod(b.seconds, NULL) : 3;
	if (!(b.drive.seconds > 0 && b.drive.seconds <= 86400))
		return kf_fail(INVALID_FIELD, "--seconds is a number up to 86400");
	read_pids(b.pids, &b.drive.pids);

	kf_err e = run_one(&b);
	for (size_t i = 0; i < DEPTH_MAX; i++)
		buf_free(&b.messages[i]);
	tls_context_free(b.tls);
	settings_free(&b.settings);
	return e;
}

const struct command command_bench = {
	.words = "bench",
	.args = "sign|get|encrypt|locate|create|agent|idle|echo|echo-server [--key ID] "
		"[OPTION...]",
	.summary = "measure signatures, Gets, Encrypts, Locates or Creates a second in a "
		   "closed loop",
	.help = "  --key ID           the object's id (a private key for sign and "
		"agent),\n"
		"                     its name (locate), or what new names begin with "
		"(create)\n"
		"  --of N             names are KEY and eight digits, at random below N "
		"(locate)\n"
		"  --rsa              it is an RSA key (PKCS#1 v1.5 is asked for)\n"
		"  --connections N    connections, or blocking callers for agent [64; "
		"1]\n"
		"  --depth N          requests in one TLS record [1]\n"
		"  --seconds S        how long it is measured [3]\n"
		"  --address A:P      another server than the configuration's first\n"
		"  --socket NAME      the agent's socket, @name or /path\n"
		"  --pid PID,...      local processes whose CPU time is counted\n"
		"\nencrypt is AES-GCM of 1 KiB; idle opens connections and prints the "
		"memory each costs; echo-server "
		"is the no-op TLS\n"
		"server that echo measures, for comparison.\n",
	.run = run,
};
