/* SPDX-License-Identifier: Apache-2.0 */
#include "metric/metric.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Round numbers from what a P-256 signature takes to what nobody waits for. */
const uint64_t histogram_bound_ns[HISTOGRAM_BOUNDS] = { 25000, 50000, 100000, 250000,
	500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000,
	250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000 };

static const char *const type_names[] = { "counter", "gauge", "histogram" };
#define TOTAL "_total"

struct metric_out {
	struct buf *buf;
	const struct metric_source *source;
	const struct metric_row *row;
	enum metric_format format;
};

/* ---- text ---- */

static void add_escaped(struct buf *b, const char *s, bool is_label)
{
	for (; *s; s++) {
		bool is_quoted = *s == '\\' || (is_label && *s == '"');
		if (*s == '\n')
			buf_add_text(b, "\\n");
		else
			buf_printf(b, "%s%c", is_quoted ? "\\" : "", *s);
	}
}

/* Both formats take what strtod() takes; whole numbers are printed as people write them. */
static void add_number(struct buf *b, double v)
{
	if (isnan(v))
		buf_add_text(b, "NaN");
	else if (isinf(v))
		buf_add_text(b, v < 0 ? "-Inf" : "+Inf");
	else if (v == floor(v) && fabs(v) < 9e15)
		buf_printf(b, "%.0f", v);
	else
		buf_printf(b, "%.12g", v);
}

static const char *name_of_label(const struct metric_row *r, size_t i)
{
	return r->read ? r->read_label[i] : r->label[i] ? r->label[i]->name : NULL;
}

struct pair {
	const char *name, *value;
};

/* {a="1",b="2"}, or nothing */
static void add_labels(struct buf *b, const struct pair *pairs, size_t n)
{
	bool has_any = false;
	for (size_t i = 0; i < n; i++) {
		if (!pairs[i].name || !pairs[i].value)
			continue;
		buf_printf(b, "%s%s=\"", has_any ? "," : "{", pairs[i].name);
		add_escaped(b, pairs[i].value, true);
		buf_add_text(b, "\"");
		has_any = true;
	}
	if (has_any)
		buf_add_text(b, "}");
}

/* Under OpenMetrics a counter's family has no _total, its samples have. */
static int family_length(const struct metric_out *o)
{
	size_t n = strlen(o->row->name);
	bool is_cut = o->format == METRIC_OPEN && o->row->type == METRIC_COUNTER;
	return (int)(is_cut ? n - (sizeof(TOTAL) - 1) : n);
}

static void add_head(const struct metric_out *o)
{
	int n = family_length(o);
	buf_printf(o->buf, "# HELP %.*s ", n, o->row->name);
	add_escaped(o->buf, o->row->help, o->format == METRIC_OPEN);
	buf_printf(
		o->buf, "\n# TYPE %.*s %s\n", n, o->row->name, type_names[o->row->type]);
}

static void add_sample(const struct metric_out *o, const char *suffix,
	const struct pair *pairs, size_t n, double value)
{
	buf_printf(o->buf, "%s%s", o->row->name, suffix);
	add_labels(o->buf, pairs, n);
	buf_add_text(o->buf, " ");
	add_number(o->buf, value);
	buf_add_text(o->buf, "\n");
}

/* ---- cells ---- */

static size_t values_of(const struct metric_row *r, size_t i)
{
	return r->label[i] ? r->label[i]->n : 1;
}

static uint64_t sum_count(const struct metric_source *s, size_t at)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < s->n_blocks; i++)
		sum += count_get((const struct count *)(const void
				*)((const uint8_t *)s->blocks[i] + at));
	return sum;
}

static const struct histogram *histogram_at(const void *block, size_t at)
{
	return (const struct histogram *)(const void *)((const uint8_t *)block + at);
}

static uint64_t since(const struct count *now, const struct count *before)
{
	uint64_t a = count_get(now), b = before ? count_get(before) : 0;
	return a > b ? a - b : 0;
}

void metric_sum(
	struct metric_sums *s, const struct histogram *h, const struct histogram *before)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		uint64_t n = since(&h->bucket[i], before ? &before->bucket[i] : NULL);
		s->bucket[i] += n;
		s->n += n;
	}
	s->ns += since(&h->sum_ns, before ? &before->sum_ns : NULL);
}

/* "0.00025"; both formats have the same, for it is the name of a series. */
static void print_bound(size_t i, char ret[32])
{
	if (i == HISTOGRAM_BOUNDS) {
		strcpy(ret, "+Inf");
		return;
	}
	snprintf(ret, 32, "%.9f", (double)histogram_bound_ns[i] / 1e9);
	size_t n = strlen(ret);
	while (ret[n - 1] == '0' && ret[n - 2] != '.')
		ret[--n] = 0;
}

static void print_histogram(
	const struct metric_out *o, struct pair pairs[METRIC_LABELS + 1], size_t at)
{
	struct metric_sums s = { 0 };
	char bound[32];
	uint64_t below = 0;
	for (size_t i = 0; i < o->source->n_blocks; i++)
		metric_sum(&s, histogram_at(o->source->blocks[i], at), NULL);
	if (s.n == 0)
		return;
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		below += s.bucket[i];
		print_bound(i, bound);
		pairs[METRIC_LABELS] = (struct pair){ "le", bound };
		add_sample(o, "_bucket", pairs, METRIC_LABELS + 1, (double)below);
	}
	add_sample(o, "_sum", pairs, METRIC_LABELS, (double)s.ns / 1e9);
	add_sample(o, "_count", pairs, METRIC_LABELS, (double)s.n);
}

static void print_cell(const struct metric_out *o, size_t i, size_t j)
{
	const struct metric_row *r = o->row;
	bool is_histogram = r->type == METRIC_HISTOGRAM;
	size_t size = is_histogram ? sizeof(struct histogram) : sizeof(struct count);
	size_t at = r->at + (i * values_of(r, 1) + j) * size;
	struct pair pairs[METRIC_LABELS + 1] = {
		{ name_of_label(r, 0), r->label[0] ? r->label[0]->value(i) : NULL },
		{ name_of_label(r, 1), r->label[1] ? r->label[1]->value(j) : NULL },
	};
	if (is_histogram)
		print_histogram(o, pairs, at);
	else
		add_sample(o, "", pairs, METRIC_LABELS, (double)sum_count(o->source, at));
}

static void print_cells(const struct metric_out *o)
{
	for (size_t i = 0; i < values_of(o->row, 0); i++)
		for (size_t j = 0; j < values_of(o->row, 1); j++)
			print_cell(o, i, j);
}

/* ---- what is read ---- */

void metric_put(
	struct metric_out *o, double value, const char *value0, const char *value1)
{
	const struct pair pairs[METRIC_LABELS] = {
		{ o->row->read_label[0], value0 },
		{ o->row->read_label[1], value1 },
	};
	add_sample(o, "", pairs, METRIC_LABELS, value);
}

void *metric_arg(const struct metric_out *o) { return o->source->arg; }

/* ---- all ---- */

void metric_print(const struct metric_source *s, enum metric_format f, struct buf *ret)
{
	for (size_t i = 0; i < s->table->n; i++) {
		struct metric_out o = { ret, s, &s->table->rows[i], f };
		add_head(&o);
		if (o.row->read)
			o.row->read(&o);
		else
			print_cells(&o);
	}
	if (f == METRIC_OPEN)
		buf_add_text(ret, "# EOF\n");
}

/* Prometheus names OpenMetrics first when it takes it at all; quality values do not matter then. */
enum metric_format metric_format_of(const char *accept)
{
	return accept && strstr(accept, "application/openmetrics-text") ? METRIC_OPEN
									: METRIC_TEXT;
}

const char *metric_content_type(enum metric_format f)
{
	return f == METRIC_OPEN ? "application/openmetrics-text; version=1.0.0; "
				  "charset=utf-8"
				: "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- manual ---- */

static void print_values(const struct metric_label *l, struct buf *to)
{
	buf_printf(to, "      %s: ", l->name);
	for (size_t i = 0; i < l->n; i++)
		buf_printf(to, "%s%s", i ? ", " : "", l->value(i));
	buf_add_text(to, "\n");
}

void metric_print_manual(const struct metric_table *t, struct buf *to)
{
	for (const struct metric_row *r = t->rows; r < t->rows + t->n; r++) {
		buf_printf(to, "  %s %s\n      %s.\n", r->name, type_names[r->type],
			r->help);
		for (size_t i = 0; i < METRIC_LABELS; i++)
			if (!r->read && r->label[i])
				print_values(r->label[i], to);
			else if (r->read && r->read_label[i])
				buf_printf(to, "      %s\n", r->read_label[i]);
	}
}

/* ---- summary ---- */

/* Within a bucket as if evenly spread. */
static double quantile(const struct metric_sums *s, double p)
{
	double want = p * (double)s->n, below = 0;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		double n = (double)s->bucket[i];
		double low = i ? (double)histogram_bound_ns[i - 1] : 0;
		if (n > 0 && below + n >= want)
			return (low + ((double)histogram_bound_ns[i] - low) *
					       (want - below) / n) /
			       1e9;
		below += n;
	}
	return (double)histogram_bound_ns[HISTOGRAM_BOUNDS - 1] / 1e9;
}

struct metric_summary metric_summarise(const struct metric_sums *s)
{
	if (s->n == 0)
		return (struct metric_summary){ 0 };
	return (struct metric_summary){ s->n, quantile(s, 0.5), quantile(s, 0.99) };
}

/* ---- results ---- */

enum metric_result metric_result_of(enum kf_code code)
{
	/* clang-format off */
#define CODE(from, to) case KF_E_##from: return METRIC_##to;
	/* clang-format on */
	switch (code) {
#include "metric/result.def"
	}
	return METRIC_FAILED;
}

const char *metric_result_name(size_t result)
{
	static const char *const names[] = {
#define RESULT(name, text, manual) text,
#include "metric/result.def"
	};
	return result < METRIC_RESULTS ? names[result] : "";
}
