/* SPDX-License-Identifier: Apache-2.0 */
#include "metric/metric.h"
#include "test.h"
#include <math.h>
#include <stdalign.h>

/* A table of our own, as a program makes it. */
enum { LABEL_side = 2, LABEL_how = 3 };

struct block {
	struct count one, level, two[LABEL_side][LABEL_how];
	struct histogram took[LABEL_side];
};

static const char *side_name(size_t i) { return i ? "right" : "left"; }
static const char *how_name(size_t i)
{
	static const char *const names[] = { "plain", "say \"x\"", "a\\b\nc" };
	return names[i];
}

static const struct metric_label side = { "side", LABEL_side, side_name },
				 how = { "how", LABEL_how, how_name };

static void read_facts(struct metric_out *o)
{
	const double *value = metric_arg(o);
	metric_put(o, *value, "a\"b", NULL);
	metric_put(o, -1, "c", NULL);
}

static const struct metric_row rows[] = {
	{ METRIC_COUNTER, "x_one_total", "counts \\ \"one\"",
		.at = offsetof(struct block, one) },
	{ METRIC_GAUGE, "x_level", "a level", .at = offsetof(struct block, level) },
	{ METRIC_COUNTER, "x_two_total", "two labels", { &side, &how },
		offsetof(struct block, two) },
	{ METRIC_HISTOGRAM, "x_took_seconds", "how long", { &side },
		offsetof(struct block, took) },
	{ METRIC_GAUGE, "x_fact", "read", .read = read_facts, .read_label = { "name" } },
};
static const struct metric_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

static struct block first, second;
static double fact;

static const char *print(enum metric_format f, struct buf *b)
{
	const void *blocks[] = { &first, &second };
	struct metric_source source = { &table, blocks, 2, &fact };
	metric_print(&source, f, b);
	buf_add_u8(b, 0);
	return kf_ok(buf_err(b)) ? (const char *)b->p : "";
}

static void start(void)
{
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	fact = 0;
}

TEST(what_the_owners_have_is_summed)
{
	autobuf b = buf_new(65536);
	start();
	count_add(&first.one, 3);
	count_add(&second.one, 4);
	count_set(&first.level, 9);
	count_set(&first.level, 2);

	const char *text = print(METRIC_TEXT, &b);

	OK(strstr(text, "\nx_one_total 7\n"));
	OK(strstr(text, "\nx_level 2\n"));
}

TEST(every_value_of_a_label_has_its_series_in_a_stable_order)
{
	autobuf b = buf_new(65536);
	start();
	count_add(&second.two[1][0], 5);

	const char *text = print(METRIC_TEXT, &b);

	OK(strstr(text, "# TYPE x_two_total counter\n"
			"x_two_total{side=\"left\",how=\"plain\"} 0\n"
			"x_two_total{side=\"left\",how=\"say \\\"x\\\"\"} 0\n"
			"x_two_total{side=\"left\",how=\"a\\\\b\\nc\"} 0\n"
			"x_two_total{side=\"right\",how=\"plain\"} 5\n"));
}

TEST(help_is_escaped_as_the_format_says)
{
	autobuf text = buf_new(65536), open = buf_new(65536);
	start();

	OK(strstr(print(METRIC_TEXT, &text), "# HELP x_one_total counts \\\\ \"one\"\n"));
	OK(strstr(print(METRIC_OPEN, &open), "# HELP x_one counts \\\\ \\\"one\\\"\n"));
}

TEST(openmetrics_names_the_family_without_total_and_ends_with_eof)
{
	autobuf b = buf_new(65536);
	start();

	const char *text = print(METRIC_OPEN, &b);

	OK(strstr(text, "# TYPE x_one counter\nx_one_total 0\n"));
	OK(!strcmp(text + strlen(text) - 6, "# EOF\n"));
}

TEST(buckets_of_a_histogram_are_cumulative)
{
	autobuf b = buf_new(65536);
	start();
	histogram_add(&first.took[0], 25000, 1); /* the bound belongs to its bucket */
	histogram_add(&second.took[0], 25001, 2);
	histogram_add(&first.took[0], 60000000000, 1);

	const char *text = print(METRIC_TEXT, &b);

	OK(strstr(text, "x_took_seconds_bucket{side=\"left\",le=\"0.000025\"} 1\n"
			"x_took_seconds_bucket{side=\"left\",le=\"0.00005\"} 3\n"));
	OK(strstr(text, "le=\"1.0\"} 3\n"));
	OK(strstr(text, "x_took_seconds_bucket{side=\"left\",le=\"+Inf\"} 4\n"
			"x_took_seconds_sum{side=\"left\"} 60.000075002\n"
			"x_took_seconds_count{side=\"left\"} 4\n"));
	OK(!strstr(text, "side=\"right\",le"));
}

TEST(numbers_that_are_none_are_written_as_prometheus_reads_them)
{
	static const struct {
		double value;
		const char *line;
	} cases[] = { { NAN, "} NaN\n" }, { INFINITY, "} +Inf\n" },
		{ -INFINITY, "} -Inf\n" }, { 0.25, "} 0.25\n" },
		{ 1795273960, "} 1795273960\n" }, { 1795273960.5, "} 1795273960.5\n" } };
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autobuf b = buf_new(65536);
		fact = cases[i].value;
		const char *text = print(METRIC_TEXT, &b);
		const char *at = strstr(text, "x_fact{name=\"a\\\"b\"} ");
		OK(at && !strncmp(at + 18, cases[i].line, strlen(cases[i].line)));
		OK(strstr(text, "x_fact{name=\"c\"} -1\n"));
	}
}

TEST(the_format_is_the_one_asked_for)
{
	EQ(metric_format_of(NULL), METRIC_TEXT);
	EQ(metric_format_of("*/*"), METRIC_TEXT);
	EQ(metric_format_of("text/plain;version=0.0.4"), METRIC_TEXT);
	EQ(metric_format_of(
		   "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
		METRIC_OPEN);
}

TEST(a_summary_finds_the_bucket_of_a_quantile)
{
	struct metric_sums none = { 0 }, all = { 0 };
	start();
	metric_sum(&none, &first.took[0], NULL);
	EQ(metric_summarise(&none).n, 0);
	OK(metric_summarise(&none).p99_s == 0);

	histogram_add(&first.took[0], 60000, 98);
	histogram_add(&second.took[0], 2000000, 2);
	metric_sum(&all, &first.took[0], NULL);
	metric_sum(&all, &second.took[0], NULL);
	struct metric_summary s = metric_summarise(&all);

	EQ(s.n, 100);
	OK(s.p50_s > 50e-6 && s.p50_s <= 100e-6);
	OK(s.p99_s > 1e-3 && s.p99_s <= 2.5e-3);
}

TEST(a_summary_leaves_out_what_was_before)
{
	struct metric_sums sums = { 0 };
	start();
	histogram_add(&first.took[0], 5000000000, 1000);
	histogram_copy(&second.took[0], &first.took[0]);
	histogram_add(&first.took[0], 60000, 10);

	metric_sum(&sums, &first.took[0], &second.took[0]);

	EQ(metric_summarise(&sums).n, 10);
	OK(metric_summarise(&sums).p99_s <= 100e-6);
}

TEST(every_code_has_a_result)
{
	EQ(metric_result_of(KF_E_NONE), METRIC_OK);
	EQ(metric_result_of(KF_E_NOT_FOUND), metric_result_of(KF_E_DENIED));
	EQ(metric_result_of(KF_E_AUDIT), METRIC_FAILED);
	OK(!strcmp(metric_result_name(METRIC_BUSY), "busy"));
}

TEST(the_manual_names_type_and_values)
{
	autobuf b = buf_new(65536);

	metric_print_manual(&table, &b);
	buf_add_u8(&b, 0);

	OK(strstr((const char *)b.p, "  x_two_total counter\n      two labels.\n"
				     "      side: left, right\n"));
	OK(strstr((const char *)b.p, "  x_fact gauge\n      read.\n      name\n"));
}

TEST_MAIN
