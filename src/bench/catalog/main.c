/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/catalog/bench.h"
#include "bench/report.h"
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FEW = 1000, TIMES = 20000, SCANS = 3, CLIENTS = 16, CLIENTS_RUN = 4000 };

struct options {
	uint64_t objects;
	double slack; /* goals are so many times easier */
	const char *json;
	bool is_there, is_fill, is_put;
};

static const char usage[] = "usage: bench-catalog [--objects N] [--location STORE] "
			    "[--slack X] [--json FILE]\n"
			    "                     [--there|--fill|--put] "
			    "[--master-key FILE]\n"
			    "What a catalog of N objects (1000000) takes: finding by "
			    "name, memory, loading, durable Creates.\n"
			    "STORE is new; default: sqlite: in a folder that is removed. "
			    " --slack 2: goals twice as easy.\n"
			    "--there: STORE is full; --fill: only fills it; --put: "
			    "only puts N more into it, 16 at a time.\n";

static double resident_bytes(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	malloc_trim(0);
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double process_work(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct times {
	double us[WAYS], get_us;
	uint64_t found[WAYS];
};

static kf_err look(struct bench *b, struct times *ret)
{
	KF_TRY(bench_locate(b, BY_NAME, TIMES, &ret->us[BY_NAME], &ret->found[BY_NAME]));
	KF_TRY(bench_locate(
		b, BY_GROUP, TIMES / 10, &ret->us[BY_GROUP], &ret->found[BY_GROUP]));
	KF_TRY(bench_locate(
		b, BY_STATE, SCANS, &ret->us[BY_STATE], &ret->found[BY_STATE]));
	KF_TRY(bench_locate(
		b, BY_NOTHING, SCANS, &ret->us[BY_NOTHING], &ret->found[BY_NOTHING]));
	return bench_get(b, TIMES, &ret->get_us);
}

static void tell_times(
	struct report *r, const struct times *few, const struct times *many)
{
	report_add(r, "locate_by_name", many->us[BY_NAME], "us; of 1000",
		few->us[BY_NAME], -1.5);
	report_add(r, "locate_by_group", many->us[BY_GROUP], "us; of 1000",
		few->us[BY_GROUP], 0);
	report_add(r, "get", many->get_us, "us; of 1000", few->get_us, -2);
	report_add(r, "locate_by_state", many->us[BY_STATE] / 1000, "ms", 0, 0);
}

/* In turns, so that what else the machine does hits both alike. */
static kf_err compare_making(struct bench *b, uint64_t objects, struct report *r)
{
	const uint64_t n = objects / 20 < CLIENTS_RUN ? objects / 20 : CLIENTS_RUN;
	double created = 0, bare = 0;
	for (int i = 0; i < 4; i++) {
		double rate;
		KF_TRY(bench_put(b, n, CLIENTS, &rate));
		bare += rate / 4;
		KF_TRY(bench_create(b, n, CLIENTS, &rate));
		created += rate / 4;
	}
	report_add(r, "create", created, "/s, 16 at a time", bare, 0.8);
	return KF_OK;
}

/* Of a store that is there, and full. */
static kf_err measure_loaded(struct bench *b, struct report *r, const struct times *few)
{
	const double empty = resident_bytes();
	double seconds;
	struct times many;

	const double worked = process_work(), alone = work_now();
	KF_TRY(bench_open(b, &seconds));
	report_add(r, "load_work", process_work() - worked, "s of processors", 0, 0);
	report_add(r, "load_alone", work_now() - alone, "s of the thread that publishes",
		0, 0);
	b->made = catalog_count(b->server.catalog);
	report_add(r, "load", seconds, "s", 0, 0);
	report_add(r, "memory", (resident_bytes() - empty) / (double)b->made,
		"bytes an object", 0, 0);
	KF_TRY(look(b, &many));
	report_add(r, "look_at_all", many.us[BY_NOTHING] / 1000, "ms", 0, 0);
	report_add(r, "locate_by_name_loaded", many.us[BY_NAME], "us; of 1000",
		few ? few->us[BY_NAME] : 0, few ? -1.5 : 0);
	bench_close(b);
	return KF_OK;
}

/* For key servers that are measured beside. */
static kf_err fill(struct bench *b, const struct options *o, struct report *r)
{
	double seconds, rate;
	KF_TRY(bench_open(b, &seconds));
	KF_TRY(bench_create(b, o->objects, SLOTS, &rate));
	report_add(r, "fill", rate, "/s, 256 at a time", 0, 0);
	bench_close(b);
	return KF_OK;
}

static kf_err put(struct bench *b, const struct options *o, struct report *r)
{
	double seconds, rate;
	KF_TRY(bench_open(b, &seconds));
	b->made = catalog_count(b->server.catalog);
	if (!b->made)
		return kf_fail(NOT_FOUND, "the store is empty: --fill it");
	KF_TRY(bench_put(b, o->objects, CLIENTS, &rate));
	report_add(r, "put", rate, "/s, 16 at a time", 0, 0);
	bench_close(b);
	return KF_OK;
}

static kf_err measure(struct bench *b, const struct options *o, struct report *r)
{
	double seconds, rate;
	struct times few, many;

	if (o->is_fill)
		return fill(b, o, r);
	if (o->is_put)
		return put(b, o, r);
	if (o->is_there)
		return measure_loaded(b, r, NULL);
	KF_TRY(bench_open(b, &seconds));
	KF_TRY(bench_create(b, FEW, SLOTS, &rate));
	KF_TRY(look(b, &few));
	KF_TRY(bench_create(b, o->objects - FEW, SLOTS, &rate));
	KF_TRY(look(b, &many));
	if (many.found[BY_NAME] != TIMES || few.found[BY_NAME] != TIMES)
		return kf_fail(INTERNAL, "not every name was found");
	tell_times(r, &few, &many);
	report_add(r, "fill", rate, "/s, 256 at a time", 0, 0);
	KF_TRY(compare_making(b, o->objects, r));
	bench_close(b);
	return measure_loaded(b, r, &few);
}

/* --- from the command line --- */

static char folder[] = "/tmp/bench-catalog-XXXXXX", location[64];

static void remove_folder(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command) != 0)
		fprintf(stderr, "%s is left behind\n", folder);
}

static bool make_location(const char **ret)
{
	if (*ret)
		return true;
	if (!mkdtemp(folder))
		return false;
	atexit(remove_folder);
	snprintf(location, sizeof(location), "sqlite:%s/store.db", folder);
	*ret = location;
	return true;
}

static bool parse(int argc, char **argv, struct bench *b, struct options *o)
{
	enum { OBJECTS = 1, LOCATION, SLACK, JSON, THERE, FILL, PUT, MASTER_KEY };
	static const struct option options[] = {
		{ "objects", required_argument, NULL, OBJECTS },
		{ "location", required_argument, NULL, LOCATION },
		{ "slack", required_argument, NULL, SLACK },
		{ "json", required_argument, NULL, JSON },
		{ "there", no_argument, NULL, THERE },
		{ "fill", no_argument, NULL, FILL },
		{ "put", no_argument, NULL, PUT },
		{ "master-key", required_argument, NULL, MASTER_KEY },
		{ 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (c) {
		case OBJECTS: o->objects = strtoull(optarg, NULL, 10); break;
		case LOCATION: b->location = optarg; break;
		case SLACK: o->slack = atof(optarg); break;
		case JSON: o->json = optarg; break;
		case THERE: o->is_there = true; break;
		case FILL: o->is_fill = true; break;
		case PUT: o->is_put = true; break;
		case MASTER_KEY: b->master_key = optarg; break;
		default: return false;
		}
	return optind == argc && o->slack >= 1 &&
	       (o->is_fill || o->is_put || o->objects > FEW);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct options o = { .objects = 1000000, .slack = 1 };
	struct report r = { .json = buf_new(1 << 16) };

	if (!parse(argc, argv, &b, &o) || !make_location(&b.location)) {
		fputs(usage, stderr);
		return 2;
	}
	r.slack = o.slack;
	kf_err e = measure(&b, &o, &r);
	if (!kf_ok(e)) { /* threads still use what we would free */
		fprintf(stderr, "bench-catalog: %s\n", e.site->text);
		if (b.location == location)
			remove_folder();
		_exit(EXIT_FAILURE);
	}
	bool is_written = kf_ok(report_write(&r, o.json));
	buf_free(&r.json);
	return is_written && !r.missed ? EXIT_SUCCESS : EXIT_FAILURE;
}
