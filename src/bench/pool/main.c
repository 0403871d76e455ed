/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "bench/pool/bench.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 8, TIMEOUT_MS = 20000, SLOW_FACTOR = 3 };

struct options {
	const char *json, *socket;
	double seconds;
	uint64_t signatures, ec_signatures;
	unsigned fault_ms;
};

/* What 8 SmartCard-HSMs behind a USB hub did, as published: signatures a second by 1, 2, 4, 8 tokens. */
static const unsigned sizes[] = { 1, 2, 4, 8 };
static const double published[FLEET_KEYS][4] = { { 1.5, 3.0, 6.1, 12.1 },
	{ 4.1, 8.4, 16.6, 32.9 } };
static const double real_ms[FLEET_KEYS] = { 660, 240 };
static const char *const names[FLEET_KEYS] = { "rsa:2048", "ec:brainpoolP256r1" };

static kf_err set_times(const struct fleet *f, const char *times)
{
	for (unsigned i = 0; i < f->tokens; i++)
		KF_TRY(cards_tell(i, times));
	return KF_OK;
}

/* As many rounds of every token as there is time for. */
static kf_err measure(
	unsigned tokens, int key, double ms, double seconds, double *ret_rate)
{
	struct fleet f;
	char times[64];
	KF_TRY(fleet_open(tokens, TIMEOUT_MS, NULL, &f));
	snprintf(times, sizeof(times), "time rsa2048=%g,ec=%g", ms, ms);
	kf_err e = set_times(&f, times);
	struct load l = { .fleet = &f,
		.key = key,
		.callers = 3 * tokens,
		.total = tokens * (uint64_t)(seconds * 1000 / ms + 1) };
	if (kf_ok(e))
		e = load_run(&l);
	if (kf_ok(e) && (l.failed || l.wrong)) {
		fprintf(stderr, "%s\n", l.why);
		e = kf_fail(INTERNAL, "a signature failed");
	}
	fleet_close(&f);
	*ret_rate = l.rate;
	return e;
}

static kf_err run_scaling(const struct options *o, struct report *r)
{
	char name[64];
	for (int key = 0; key < FLEET_KEYS; key++) {
		double one = 0, rate = 0;
		for (size_t i = 0; i < 4; i++) {
			KF_TRY(measure(sizes[i], key, real_ms[key], o->seconds, &rate));
			one = i ? one : rate;
			snprintf(name, sizeof(name), "%s, %u token%s", names[key],
				sizes[i], i ? "s" : "");
			report_add(
				r, name, rate, "/s", one, sizes[i] == TOKENS ? 7.9 : 0);
			strcat(name, ", published");
			report_add(r, name, published[key][i], "/s", 0, 0);
		}
	}
	return KF_OK;
}

static kf_err run_constant(const struct options *o, struct report *r)
{
	double one = 0, all = 0;
	KF_TRY(measure(1, FLEET_EC, 100, o->seconds, &one));
	KF_TRY(measure(TOKENS, FLEET_EC, 100, o->seconds, &all));
	report_add(r, "100 ms, 1 token", one, "/s", 10, 0);
	report_add(r, "100 ms, 8 tokens", all, "/s", TOKENS * one, 0.99);
	return KF_OK;
}

/* ---- against an ideal queue ---- */

/* The same draws for cards and for the ideal tokens. */
static void deal(const double *mean_ms, struct draws *ret)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		cards_draw(i, mean_ms[i], i + 1);
		draws_init(&ret[i], mean_ms[i], i + 1);
	}
}

static double capacity(const double *mean_ms)
{
	double sum = 0;
	for (unsigned i = 0; i < TOKENS; i++)
		sum += 1000 / mean_ms[i];
	return sum;
}

/* The pool shall know how fast its tokens are, as after the first minutes of a day. */
static kf_err get_to_know(struct fleet *f, const double *mean_ms, double seconds)
{
	struct load l = {
		.fleet = f, .key = FLEET_EC, .callers = 2 * TOKENS, .seconds = seconds
	};
	struct draws unused[TOKENS];
	deal(mean_ms, unused);
	return load_run(&l);
}

static kf_err compare_waits(
	const struct options *o, struct fleet *f, const double *mean_ms, double ret[2])
{
	double rate = 0.8 * capacity(mean_ms);
	unsigned n = (unsigned)(rate * o->seconds * 4);
	double *t = calloc(3 * n, sizeof(*t));
	struct draws draws[TOKENS];
	if (!t)
		return kf_fail(NOMEM, "times");
	struct arrivals a = { .fleet = f,
		.key = FLEET_EC,
		.rate = rate,
		.n = n,
		.seed = 4711,
		.arrived = t,
		.finished = t + n };
	deal(mean_ms, draws);
	kf_err e = arrivals_run(&a);
	if (kf_ok(e) && a.failed)
		e = kf_fail(INTERNAL, "a signature failed");
	if (kf_ok(e)) {
		ideal_run(t, n, draws, TOKENS, t + 2 * n);
		ret[0] = percentile(t, t + n, n, 0.99);
		ret[1] = percentile(t, t + 2 * n, n, 0.99);
	}
	free(t);
	return e;
}

static kf_err run_waits(const struct options *o, struct report *r, double slow_factor,
	const char *name, double goal)
{
	double mean_ms[TOKENS], p99[2];
	char row[64];
	struct fleet f;
	for (unsigned i = 0; i < TOKENS; i++)
		mean_ms[i] = 100;
	mean_ms[TOKENS - 1] *= slow_factor;
	KF_TRY(fleet_open(TOKENS, TIMEOUT_MS, NULL, &f));
	kf_err e = get_to_know(&f, mean_ms, 2);
	if (kf_ok(e))
		e = compare_waits(o, &f, mean_ms, p99);
	if (kf_ok(e)) {
		snprintf(row, sizeof(row), "%s: p99 at 80 %%", name);
		report_add(r, row, 1000 * p99[0], "ms", 1000 * p99[1], -goal);
	}
	struct load l = { .fleet = &f,
		.key = FLEET_EC,
		.callers = 4 * TOKENS,
		.warm_s = 1,
		.seconds = o->seconds };
	if (kf_ok(e))
		e = load_run(&l);
	if (kf_ok(e)) {
		snprintf(row, sizeof(row), "%s: throughput", name);
		report_add(r, row, l.rate, "/s", capacity(mean_ms), 0.98);
	}
	fleet_close(&f);
	return e;
}

static kf_err run_slow(const struct options *o, struct report *r)
{
	return run_waits(o, r, SLOW_FACTOR, "one token 3 x slower", 1.3);
}

static kf_err run_equal(const struct options *o, struct report *r)
{
	return run_waits(o, r, 1, "equal tokens", 1.15);
}

static kf_err run_burn(const struct options *o, struct report *r)
{
	struct burn b = { .signatures = { o->signatures, o->ec_signatures },
		.fault_ms = o->fault_ms,
		.socket = o->socket };
	return burn_run(&b, r);
}

static const struct {
	const char *name, *what;
	kf_err (*run)(const struct options *o, struct report *r);
} runs[] = {
	{ "scaling", "1, 2, 4, 8 tokens as slow as real ones", run_scaling },
	{ "constant", "1 and 8 tokens of 100 ms", run_constant },
	{ "slow", "one of 8 tokens three times slower, beside an ideal queue", run_slow },
	{ "equal", "8 equal tokens, beside an ideal queue", run_equal },
	{ "burn-in", "8 tokens as fast as they go, with faults", run_burn },
};
enum { RUNS = sizeof(runs) / sizeof(*runs) };

static int usage(FILE *to)
{
	fprintf(to, "bench-pool [OPTION...] [NAME...]\n\n");
	for (size_t i = 0; i < RUNS; i++)
		fprintf(to, "  %-12s %s\n", runs[i].name, runs[i].what);
	fprintf(to,
		"\n"
		"  --seconds S           of each measurement (default 10)\n"
		"  --signatures N        of the burn-in with RSA-2048 (20000)\n"
		"  --ec-signatures N     of the burn-in with brainpoolP256r1 (20000)\n"
		"  --fault-ms MS         between two faults of the burn-in (500)\n"
		"  --socket PATH         burn-in with 8 blank cards of this pcscd\n"
		"  --json FILE\n");
	return to == stderr ? 64 : 0;
}

static bool is_wanted(const char *name, char **wanted)
{
	bool any = !*wanted;
	for (; *wanted; wanted++)
		any = any || !strcmp(*wanted, name);
	return any;
}

static kf_err run_all(const struct options *o, char **wanted, struct report *r)
{
	for (size_t i = 0; i < RUNS; i++)
		if (is_wanted(runs[i].name, wanted))
			KF_TRY(runs[i].run(o, r));
	return report_write(r, o->json);
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option options[] = { { "json", 1, NULL, 'j' },
		{ "socket", 1, NULL, 'k' }, { "seconds", 1, NULL, 's' },
		{ "signatures", 1, NULL, 'n' }, { "ec-signatures", 1, NULL, 'e' },
		{ "fault-ms", 1, NULL, 'f' }, { "help", 0, NULL, 'h' }, { 0 } };
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j': o->json = optarg; break;
		case 'k': o->socket = optarg; break;
		case 's': o->seconds = strtod(optarg, NULL); break;
		case 'n': o->signatures = strtoull(optarg, NULL, 10); break;
		case 'e': o->ec_signatures = strtoull(optarg, NULL, 10); break;
		case 'f': o->fault_ms = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'h': exit(usage(stdout));
		default: return false;
		}
	}
	return o->seconds > 0 && o->fault_ms > 0;
}

int main(int argc, char **argv)
{
	struct options o = { .seconds = 10,
		.signatures = 20000,
		.ec_signatures = 20000,
		.fault_ms = 500 };
	struct report r = { .json = buf_new(1 << 20) };
	if (!parse(argc, argv, &o))
		return usage(stderr);
	kf_err e = secret_init(1 << 20);
	if (kf_ok(e))
		e = run_all(&o, argv + optind, &r);
	if (!kf_ok(e))
		fprintf(stderr, "bench-pool: %s (%s:%d)\n", e.site->text, e.site->file,
			e.site->line);
	buf_free(&r.json);
	cards_close();
	return !kf_ok(e) || r.missed;
}
