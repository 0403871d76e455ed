/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet bench stall: does a slow key hold up the rest of a web server?
 */
#include "bench/bench.h"
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256 };

struct words {
	const char *slow, *fast, *slow_name, *fast_name;
	const char *slow_n, *fast_n, *lead, *timeout, *limit;
};

static kf_err number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
	char *end;
	if (!text)
		return KF_OK;
	unsigned long n = strtoul(text, &end, 10);
	if (*end || end == text || n < least || n > most)
		return kf_fail(INVALID_FIELD, "a number is not in its range; see --help");
	*ret = (unsigned)n;
	return KF_OK;
}

/* The host of HOST:PORT. */
static void name_of(const char *address, char ret[NAME_SIZE])
{
	const char *colon = strrchr(address, ':');
	snprintf(ret, NAME_SIZE, "%.*s", colon ? (int)(colon - address) : 0, address);
}

static kf_err read_numbers(const struct words *w, struct bench_stall *s, unsigned *limit)
{
	KF_TRY(number(w->slow_n, 1, STALL_AT_ONCE_MAX, &s->slow_n));
	KF_TRY(number(w->fast_n, 1, STALL_AT_ONCE_MAX, &s->fast_n));
	KF_TRY(number(w->lead, 0, 60000, &s->lead_ms));
	KF_TRY(number(w->timeout, 1, 3600, &s->timeout_ms));
	s->timeout_ms *= 1000;
	return number(w->limit, 1, 3600000, limit);
}

/* ---- the table ---- */

static void row(struct table *t, const char *what, const struct bench_times *b)
{
	char done[16], failed[16], median[24], slowest[24];
	snprintf(done, sizeof(done), "%u", b->done);
	snprintf(failed, sizeof(failed), "%u", b->failed);
	snprintf(median, sizeof(median), "%.1f", b->median_ms);
	snprintf(slowest, sizeof(slowest), "%.1f", b->max_ms);
	const char *cells[] = { what, done, failed, median, slowest };
	table_row(t, cells);
}

static kf_err print(struct cli *c, const struct bench_stall_result *r)
{
	static const char *const titles[] = { "WHAT", "DONE", "FAILED", "MEDIAN MS",
		"MAX MS" };
	struct table *t = table_new(c, titles, 5);
	row(t, "fast key, at rest", &r->rest);
	row(t, "slow key, alone", &r->slow_alone);
	row(t, "fast key, beside the slow one", &r->fast);
	row(t, "pages, beside the slow key", &r->page);
	row(t, "slow key, at once", &r->slow);
	KF_TRY(table_end(t, KF_OK));
	if (r->why[0])
		cli_note(c, "first failure: %s", r->why);
	return KF_OK;
}

/* For people: what the figures say. */
static void judge(struct cli *c, const struct bench_stall_result *r)
{
	double longer = r->fast.median_ms - r->rest.median_ms;
	double key = r->slow_alone.median_ms - r->rest.median_ms;
	if (key < 20)
		cli_note(c,
			"the slow key is not slow (%.0f ms more than the fast one): "
			"nothing can be said",
			key);
	else if (longer < key / 4)
		cli_note(c, "handshakes with the fast key do not wait for the slow one");
	else
		cli_note(c,
			"handshakes with the fast key wait %.0f ms for the slow one "
			"(%.0f ms alone): more workers, or HAProxy with "
			"ssl-mode-async",
			longer, key);
}

static void check_limit(struct cli *c, const struct bench_stall_result *r, unsigned limit)
{
	if (!limit || (r->fast.done && !r->fast.failed && !r->page.failed &&
			      r->fast.median_ms <= limit))
		return;
	cli_note(
		c, "fast handshakes beside the slow key: over the limit of %u ms", limit);
	c->exit_status = 1;
}

static kf_err run(struct cli *c)
{
	struct words w = { 0 };
	char slow_name[NAME_SIZE], fast_name[NAME_SIZE];
	struct bench_stall s = {
		.slow_n = 8, .fast_n = 10, .lead_ms = 50, .timeout_ms = 30
	};
	struct bench_stall_result r;
	unsigned limit = 0;
	const struct cli_option options[] = {
		{ "slow", &w.slow, NULL },
		{ "fast", &w.fast, NULL },
		{ "slow-name", &w.slow_name, NULL },
		{ "fast-name", &w.fast_name, NULL },
		{ "slow-at-once", &w.slow_n, NULL },
		{ "fast-at-once", &w.fast_n, NULL },
		{ "lead", &w.lead, NULL },
		{ "timeout", &w.timeout, NULL },
		{ "limit", &w.limit, NULL },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 0, 0));
	if (!w.slow || !w.fast)
		return kf_fail(INVALID_FIELD, "--slow and --fast HOST:PORT are needed");
	KF_TRY(read_numbers(&w, &s, &limit));
	name_of(w.slow, slow_name);
	name_of(w.fast, fast_name);
	s.slow = (struct bench_site){ w.slow, w.slow_name ? w.slow_name : slow_name };
	s.fast = (struct bench_site){ w.fast, w.fast_name ? w.fast_name : fast_name };
	kf_err err = bench_stall(&s, &r);
	if (!kf_ok(err) && r.why[0])
		cli_note(c, "%s: %s", err.site->text, r.why);
	KF_TRY(err);
	KF_TRY(print(c, &r));
	judge(c, &r);
	check_limit(c, &r, limit);
	return KF_OK;
}

const struct command command_bench_stall = {
	.words = "bench stall",
	.args = "--slow HOST:PORT --fast HOST:PORT [OPTION...]",
	.summary = "how a slow key of a web server holds up its other visitors",
	.help = "  --slow HOST:PORT   a site whose key is slow, as on a token\n"
		"  --fast HOST:PORT   one of the same web server with a fast key\n"
		"  --slow-name NAME   the site's name (SNI), if several share a port "
		"[HOST]\n"
		"  --fast-name NAME\n"
		"  --slow-at-once N   handshakes with the slow key at once, up to 256 "
		"[8]\n"
		"  --fast-at-once N   with the fast key, and pages on open connections "
		"[10]\n"
		"  --lead MS          the slow ones begin so long before [50]\n"
		"  --timeout S        what takes longer has failed [30]\n"
		"  --limit MS         exit status 1 if the fast ones' median is above "
		"it\n"
		"\nAt rest, then beside the slow handshakes. Nothing is resumed, "
		"certificates are not verified.\n",
	.run = run,
};
