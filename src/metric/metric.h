/* SPDX-License-Identifier: Apache-2.0
 *
 * metric: a program's numbers as Prometheus and OpenMetrics read them, and their manual, from one table.
 *
 * A program has a table PROGRAM/metric.def.  Its rows are of two kinds:
 *
 *   CELLS   counted as it happens.  The table makes a struct of cells (metric/count.h), and each
 *           thread owns one such block; printing sums over the blocks:
 *
 *             CELLS0(COUNTER,   accepted, "keyfleet_connections_total",  "...")
 *             CELLS1(HISTOGRAM, stage,    "keyfleet_stage_seconds",      stage, "...")
 *             CELLS2(COUNTER,   requests, "keyfleet_requests_total",     operation, result, "...")
 *
 *             count_add(&m->accepted, 1);
 *             histogram_add(&m->stage[STAGE_QUEUE], ns, 1);
 *             count_add(&m->requests[op][result], 1);
 *
 *           `operation`, `result` are labels: LABEL(operation, "operation", NUMBER-OF-VALUES,
 *           function that names value i), also in the table.
 *
 *   READ    asked when somebody prints: a function calls metric_put() for each series.
 *
 *             READ(GAUGE, objects, "keyfleet_store_objects", NULL, NULL, "...")
 *             static void read_objects(struct metric_out *o) { metric_put(o, n, NULL, NULL); }
 *
 * Labels have few values that we choose: never the name of a client, a key or an address of a client.
 * Names are keyfleet_THING_UNIT, keyfleet_agent_THING_UNIT; units are seconds and bytes; counters end
 * in _total.
 */
#pragma once
#include "base/buf.h"
#include "metric/count.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* What a cell of each type is. */
#define METRIC_CELL_COUNTER   struct count
#define METRIC_CELL_GAUGE     struct count
#define METRIC_CELL_HISTOGRAM struct histogram

enum { METRIC_LABELS = 2 };

struct metric_label {
	const char *name;
	size_t n;
	const char *(*value)(size_t i);
};

struct metric_out;

struct metric_row {
	enum metric_type type;
	const char *name, *help; /* help: one sentence, without its full stop */
	/* of cells */
	const struct metric_label *label[METRIC_LABELS]; /* NULL: none */
	size_t at; /* of the first cell in a block */
	/* of what is read; NULL: cells */
	void (*read)(struct metric_out *o);
	const char *read_label[METRIC_LABELS]; /* names */
};

struct metric_table {
	const struct metric_row *rows;
	size_t n;
};

struct metric_source {
	const struct metric_table *table;
	const void *const *blocks; /* one an owner */
	size_t n_blocks;
	void *arg; /* for read() */
};

enum metric_format {
	METRIC_TEXT, /* Prometheus text format 0.0.4 */
	METRIC_OPEN, /* OpenMetrics 1.0.0 */
};

/* What the client asked for (RFC 9110, Accept); NULL is fine. */
enum metric_format metric_format_of(const char *accept);
const char *metric_content_type(enum metric_format f);

/* All rows in the order of the table.  Histograms that have seen nothing are left out. */
void metric_print(const struct metric_source *s, enum metric_format f, struct buf *ret);

/* By read(): one series; as many label values as the row has labels, the rest is NULL. */
void metric_put(
	struct metric_out *o, double value, const char *value0, const char *value1);
void *metric_arg(const struct metric_out *o);

/* The table for people: lines "NAME TYPE {labels}", deeper lines of text. */
void metric_print_manual(const struct metric_table *t, struct buf *to);

/* What several owners' histograms have in common, for people: how many, and the quantiles in seconds as
 * Prometheus estimates them; 0 without observations. */
struct metric_sums {
	uint64_t bucket[HISTOGRAM_BOUNDS + 1], n, ns;
};
/* Adds what came since `before`; NULL: all. */
void metric_sum(
	struct metric_sums *s, const struct histogram *h, const struct histogram *before);

struct metric_summary {
	uint64_t n;
	double p50_s, p99_s;
};
struct metric_summary metric_summarise(const struct metric_sums *s);

/* ---- results ---- */

/* How a request ended, in few words: what to look for, and where. */
enum metric_result {
#define RESULT(name, text, manual) METRIC_##name,
#include "metric/result.def"
	METRIC_RESULTS
};

enum metric_result metric_result_of(enum kf_code code);
const char *metric_result_name(size_t result);
