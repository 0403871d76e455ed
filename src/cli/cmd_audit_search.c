/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet audit search: who did what with which key, and which hosts used it.
 */
#include "audit/fields.h"
#include "audit/segment.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/call.h"
#include "cli/cmd_audit.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PROGRESS_LINES = 4096 };

/* ---- search: what is wanted ---- */

struct search {
	struct cli *cli;
	struct audit_log log;
	struct audit_printer printer;
	const char *key, *client, *operation, *rule, *phase, *since, *until;
	char object[KEY_ID_TEXT];
	int64_t since_us, until_us;
	bool is_by_host;
	struct map hosts; /* of struct host, owned */
	struct progress progress;
};

/* "90s", "1h", "7d": so long ago. */
static bool parse_ago(const char *text, int64_t *ret_us)
{
	static const char units[] = "smhd";
	static const int64_t seconds[] = { 1, 60, 3600, 86400 };
	size_t n = strlen(text);
	uint64_t count;
	const char *unit = n > 1 ? strchr(units, text[n - 1]) : NULL;
	if (!unit ||
		!field_number((struct slice){ (const uint8_t *)text, n - 1 }, &count))
		return false;
	if (count > 36500 * 86400ULL)
		return false;
	*ret_us = clock_wall_us() - (int64_t)count * seconds[unit - units] * 1000000;
	return true;
}

/* "2026-11-21T13:18:50", or any beginning of it that ends with a whole number: UTC. */
static bool parse_date(const char *text, int64_t *ret_us)
{
	static const char full[] = "0000-01-01T00:00:00.000000Z";
	char all[sizeof(full)];
	size_t n = strlen(text);
	n -= n && text[n - 1] == 'Z';
	if (n < 10 || n >= sizeof(full) - 1)
		return false;
	memcpy(all, full, sizeof(full));
	memcpy(all, text, n);
	all[10] = 'T';
	return field_time(slice_of(all), ret_us);
}

static kf_err parse_time(const char *text, int64_t *ret_us)
{
	if (!text || parse_ago(text, ret_us) || parse_date(text, ret_us))
		return KF_OK;
	return kf_fail(INVALID_FIELD,
		"a time is so long ago (90s, 15m, 1h, 7d) or a date "
		"in UTC (2026-11-21, 2026-11-21T13:18)");
}

static bool looks_like_id(const char *s)
{
	return strlen(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-';
}

/* Records name keys by their ids; a name is looked up at the key server. */
static kf_err find_object(struct search *s)
{
	struct key_ids ids;
	if (!s->key)
		return KF_OK;
	if (looks_like_id(s->key))
		return slice_to_text(slice_of(s->key), s->object, sizeof(s->object));
	KF_TRY(key_find(s->cli, s->key, &ids));
	memcpy(s->object, ids.id, sizeof(s->object));
	return KF_OK;
}

/* ---- search: lines ---- */

struct record {
	struct slice time, client, phase, operation, object, rule;
};

static void read_record(struct slice line, struct record *ret)
{
	const struct {
		const char *key;
		struct slice *to;
	} wanted[] = { { "time", &ret->time }, { "client", &ret->client },
		{ "phase", &ret->phase }, { "operation", &ret->operation },
		{ "object", &ret->object }, { "rule", &ret->rule } };
	struct field f;
	*ret = (struct record){ 0 };
	while (field_next(&line, &f))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (slice_is(f.key, wanted[i].key))
				*wanted[i].to = f.value;
}

static bool is_like(const char *wanted, struct slice value)
{
	char text[FIELD_TEXT_SIZE];
	if (!wanted || !wanted[0])
		return true;
	field_text(value, text, sizeof(text));
	return strcasecmp(text, wanted) == 0;
}

/* Times are compared last: they take longest to read. */
static bool is_wanted(const struct search *s, const struct record *r)
{
	int64_t us;
	if (!r->client.p || !is_like(s->object, r->object) ||
		!is_like(s->client, r->client) || !is_like(s->operation, r->operation) ||
		!is_like(s->rule, r->rule) || !is_like(s->phase, r->phase))
		return false;
	if (!s->since && !s->until)
		return true;
	return field_time(r->time, &us) && us >= s->since_us && us <= s->until_us;
}

/* ---- search: hosts ---- */

struct host {
	char name[FIELD_TEXT_SIZE], first[32], last[32];
	uint64_t allowed, denied, failed;
};

static struct host *host_of(struct search *s, const char *name)
{
	struct slice key = slice_of(name);
	struct host *h = map_get(&s->hosts, key);
	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	snprintf(h->name, sizeof(h->name), "%s", name);
	if (kf_ok(map_put(&s->hosts, slice_of(h->name), h)))
		return h;
	free(h);
	return NULL;
}

static kf_err count_host(struct search *s, const struct record *r)
{
	char name[FIELD_TEXT_SIZE], time[32];
	field_text(r->client, name, sizeof(name));
	field_text(r->time, time, sizeof(time));
	struct host *h = host_of(s, name);
	if (!h)
		return kf_fail(NOMEM, "table of hosts");
	h->allowed += slice_is(r->phase, "allowed");
	h->denied += slice_is(r->phase, "denied");
	h->failed += slice_is(r->phase, "failed");
	if (!h->first[0] || strcmp(time, h->first) < 0)
		memcpy(h->first, time, sizeof(time));
	if (strcmp(time, h->last) > 0)
		memcpy(h->last, time, sizeof(time));
	return KF_OK;
}

static int by_count(const void *a, const void *b)
{
	const struct host *x = *(struct host *const *)a, *y = *(struct host *const *)b;
	if (x->allowed != y->allowed)
		return x->allowed < y->allowed ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void add_host(struct table *t, const struct host *h)
{
	char number[3][24];
	const uint64_t count[] = { h->allowed, h->denied, h->failed };
	for (size_t i = 0; i < 3; i++)
		snprintf(number[i], sizeof(number[i]), "%" PRIu64, count[i]);
	const char *cells[] = { h->name, number[0], number[1], number[2], h->first,
		h->last };
	table_row(t, cells);
}

static kf_err print_hosts(struct search *s)
{
	static const char *const titles[] = { "CLIENT", "ALLOWED", "DENIED", "FAILED",
		"FIRST", "LAST" };
	struct host **all = calloc(s->hosts.n ? s->hosts.n : 1, sizeof(struct host *));
	if (!all)
		return kf_fail(NOMEM, "table of hosts");
	size_t n = 0, at = 0;
	for (struct host *h; (h = map_next(&s->hosts, &at));)
		all[n++] = h;
	qsort(all, n, sizeof(struct host *), by_count);
	struct table *t = table_new(s->cli, titles, 6);
	for (size_t i = 0; i < n; i++)
		add_host(t, all[i]);
	free(all);
	return table_end(t, KF_OK);
}

static void free_hosts(struct search *s)
{
	size_t at = 0;
	for (struct host *h; (h = map_next(&s->hosts, &at));)
		free(h);
	map_free(&s->hosts);
}

/* ---- search: segments ---- */

static kf_err heed_line(struct search *s, struct slice line)
{
	struct record r;
	read_record(line, &r);
	if (!is_wanted(s, &r))
		return KF_OK;
	if (s->is_by_host)
		return count_host(s, &r);
	audit_print_line(&s->printer, line);
	return KF_OK;
}

/* Another one had begun by then.  (The time of a file can be set by whoever would have us leave it out; what a
 * segment's first line says is verified.) */
static bool is_too_old(const struct search *s, size_t i)
{
	struct segment_reader r;
	struct slice line;
	int64_t us;
	if (!s->since || i + 1 == s->log.n ||
		!kf_ok(segment_open(s->log.directory, s->log.number[i + 1], &r)))
		return false;
	bool is_older = segment_next(&r, &line) &&
			field_time(field_find(line, "time"), &us) && us < s->since_us;
	segment_close(&r);
	return is_older;
}

static void show(struct search *s, size_t i, const struct segment_reader *r)
{
	double part = r->size ? (double)segment_place(r) / (double)r->size : 1;
	progress_show(&s->progress, s->cli, ((double)i + part) / (double)s->log.n);
}

static kf_err search_segment(struct search *s, size_t i)
{
	struct segment_reader r;
	struct slice line;
	kf_err e = segment_open(s->log.directory, s->log.number[i], &r);
	if (kf_is(e, KF_E_NOT_FOUND))
		return KF_OK; /* deleted by the server since we looked */
	KF_TRY(e);
	uint64_t lines = 0;
	while (kf_ok(e) && segment_next(&r, &line)) {
		e = heed_line(s, line);
		if (++lines % PROGRESS_LINES == 0)
			show(s, i, &r);
	}
	segment_close(&r);
	return e;
}

static kf_err search_all(struct search *s)
{
	s->progress = progress_start("audit search");
	for (size_t i = 0; i < s->log.n; i++)
		if (!is_too_old(s, i))
			KF_TRY(search_segment(s, i));
	progress_done(&s->progress, s->cli);
	if (s->is_by_host)
		return print_hosts(s);
	audit_print_end(&s->printer);
	return KF_OK;
}

/* ---- search: the command ---- */

static kf_err prepare(struct search *s)
{
	s->until_us = INT64_MAX;
	s->printer.is_json = s->cli->is_json;
	KF_TRY(parse_time(s->since, &s->since_us));
	KF_TRY(parse_time(s->until, &s->until_us));
	KF_TRY(find_object(s));
	return audit_log_open(s->cli, &s->log);
}

static kf_err run_search(struct cli *c)
{
	struct search s = { .cli = c, .log.directory = -1, .hosts = map_new() };
	const struct cli_option options[] = {
		{ "key", &s.key, NULL },
		{ "client", &s.client, NULL },
		{ "op", &s.operation, NULL },
		{ "rule", &s.rule, NULL },
		{ "phase", &s.phase, NULL },
		{ "since", &s.since, NULL },
		{ "until", &s.until, NULL },
		{ "hosts", NULL, &s.is_by_host },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 0, 1));
	kf_err e = prepare(&s);
	if (kf_ok(e))
		e = search_all(&s);
	audit_log_close(&s.log);
	free_hosts(&s);
	return e;
}

const struct command command_audit_search = {
	.words = "audit search",
	.args = "[DIR] [--key KEY] [--client NAME] [--op OPERATION] [--rule RULE]\n"
		"                             [--phase PHASE] [--since TIME] [--until "
		"TIME] "
		"[--hosts]",
	.summary = "find records: who did what with which key",
	.help = "  DIR             as for audit verify\n"
		"  --key KEY       a key's id, or its name (asked of the key server)\n"
		"  --client NAME   who asked\n"
		"  --op OPERATION  Sign, Decrypt, Get, Create Key Pair, ...\n"
		"  --rule RULE     the grant's id that allowed it, or admin\n"
		"  --phase PHASE   allowed, denied or failed\n"
		"  --since TIME    so long ago (90s, 15m, 1h, 7d), or a date in UTC "
		"(2026-11-21,\n"
		"                  2026-11-21T13:18)\n"
		"  --until TIME    the same\n"
		"  --hosts         not the records, but how many each client has, its "
		"first "
		"and its\n"
		"                  last\n"
		"Search believes what is written; `keyfleet audit verify` says whether "
		"it "
		"may.\n",
	.run = run_search,
};
