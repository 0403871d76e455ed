/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check.h"
#include "cli/cli.h"
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 4096, LINE_MAX = 512, TIMEOUT_MAX_S = 600 };

static const char *const states[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

void check_init(struct check *k)
{
	*k = (struct check){ .found = buf_new(TEXT_MAX),
		.facts = buf_new(TEXT_MAX),
		.figures = buf_new(TEXT_MAX) };
}

void check_clear(struct check *k)
{
	buf_free(&k->found);
	buf_free(&k->facts);
	buf_free(&k->figures);
}

/* One line, in which a bar begins the figures. */
__attribute__((format(printf, 2, 0))) static void add(
	struct buf *b, const char *format, va_list args)
{
	char text[LINE_MAX];
	vsnprintf(text, sizeof(text), format, args);
	for (char *p = text; *p; p++)
		if (*p == '|' || *p == '\n')
			*p = ' ';
	buf_printf(b, "%s%s", b->n ? ", " : "", text);
}

/* Unknown is less than what is known to be wrong. */
static int weight(enum check_state s)
{
	return s == CHECK_UNKNOWN ? 1 : s == CHECK_OK ? 0 : (int)s + 1;
}

void check_find(struct check *k, enum check_state state, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(&k->found, format, args);
	va_end(args);
	if (weight(state) > weight(k->state))
		k->state = state;
}

void check_fact(struct check *k, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(&k->facts, format, args);
	va_end(args);
}

static void add_limit(struct buf *b, double limit)
{
	if (isnan(limit))
		buf_add_text(b, ";");
	else
		buf_printf(b, ";%.6g", limit);
}

void check_figure(struct check *k, const char *name, double value, const char *unit,
	struct check_limits limits)
{
	if (isnan(value))
		return;
	buf_printf(
		&k->figures, "%s%s=%.9g%s", k->figures.n ? " " : "", name, value, unit);
	if (isnan(limits.warning) && isnan(limits.critical))
		return;
	add_limit(&k->figures, limits.warning);
	add_limit(&k->figures, limits.critical);
}

void check_end(struct check *k, int *ret_status)
{
	const struct buf *say = k->found.n ? &k->found : &k->facts;
	printf("KEYFLEET %s - %.*s", states[k->state], (int)say->n,
		say->n ? (const char *)say->p : "");
	if (k->figures.n)
		printf(" | %.*s", (int)k->figures.n, (const char *)k->figures.p);
	putchar('\n');
	*ret_status = (int)k->state;
}

/* ---- options ---- */

static bool parse_number(const char *text, char end, double *ret)
{
	char *at;
	*ret = strtod(text, &at);
	return at != text && (*at == 0 || *at == end) && isfinite(*ret) && *ret >= 0;
}

static bool parse_limits(const char *text, struct check_limits *ret)
{
	const char *comma = strchr(text, ',');
	struct check_limits found = { NAN, NAN };
	if (!parse_number(text, ',', &found.warning) ||
		(comma && !parse_number(comma + 1, 0, &found.critical)))
		return false;
	*ret = found;
	return true;
}

static bool take(int option, struct check_options *ret)
{
	switch (option) {
	case 'H': ret->host = optarg; return true;
	case 'p': ret->port = optarg; return true;
	case 'k': ret->key = optarg; return true;
	case 's': ret->socket = optarg; return true;
	case 'V': ret->is_version = true; return true;
	case 'w': return parse_number(optarg, 0, &ret->limits.warning);
	case 'c': return parse_number(optarg, 0, &ret->limits.critical);
	case 'C': return parse_limits(optarg, &ret->certificate);
	case 't':
		return parse_number(optarg, 0, &ret->timeout_s) && ret->timeout_s > 0 &&
		       ret->timeout_s <= TIMEOUT_MAX_S;
	default: return false;
	}
}

kf_err check_options(struct cli *c, struct check *k, struct check_options *ret)
{
	static const struct option options[] = { { "hostname", 1, NULL, 'H' },
		{ "port", 1, NULL, 'p' }, { "timeout", 1, NULL, 't' },
		{ "warning", 1, NULL, 'w' }, { "critical", 1, NULL, 'c' },
		{ "certificate", 1, NULL, 'C' }, { "key", 1, NULL, 'k' },
		{ "socket", 1, NULL, 's' }, { "version", 0, NULL, 'V' }, { 0 } };
	/* getopt wants the name of the program first: there are always the command's words. */
	int argc = c->argc + 1;
	char **argv = c->argv - 1;
	opterr = 0;
	for (int o;
		(o = getopt_long(argc, argv, "H:p:t:w:c:C:k:s:V", options, NULL)) != -1;)
		if (!take(o, ret)) {
			check_find(k, CHECK_UNKNOWN, "%s: what is `%s`? see --help",
				o == '?' ? "unknown option, or no value" : "value",
				argv[optind - 1]);
			return kf_fail(INVALID_FIELD, "options");
		}
	if (optind == argc)
		return KF_OK;
	check_find(k, CHECK_UNKNOWN, "what is `%s`? see --help", argv[optind]);
	return kf_fail(INVALID_FIELD, "operands");
}
