/* SPDX-License-Identifier: Apache-2.0
 *
 * check: what a monitoring plug-in says (Nagios, Icinga and their kin): a state, a line for people, figures.
 *
 *     KEYFLEET WARNING - certificate ends in 9 days | load=3%;90;98;0;100 certificate_days=9;14;3
 *
 * Exit status: 0 ok, 1 warning, 2 critical, 3 unknown (it could not be found out, or was called wrongly).
 */
#pragma once
#include "base/buf.h"

struct cli;

enum check_state { CHECK_OK, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN };

struct check {
	enum check_state state; /* the worst that was found */
	struct buf found;       /* what is not well, "a, b" */
	struct buf facts;       /* what is worth saying when all is */
	struct buf figures;
};

/* "14,3"; a bare number is the warning alone.  NAN: none. */
struct check_limits {
	double warning, critical;
};

void check_init(struct check *k);
void check_clear(struct check *k);
#define autocheck CLEANUP(check_clear) struct check

void check_find(struct check *k, enum check_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_fact(struct check *k, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* unit: "s", "%", "B", "c" (a counter), "". */
void check_figure(struct check *k, const char *name, double value, const char *unit,
	struct check_limits limits);
/* Prints the line; *ret_status gets the exit status. */
void check_end(struct check *k, int *ret_status);

/* The options that plug-ins have in common. */
struct check_options {
	const char *host, *port;         /* -H, -p */
	double timeout_s;                /* -t */
	struct check_limits limits;      /* -w, -c */
	struct check_limits certificate; /* -C, days */
	const char *key, *socket;        /* -k, -s */
	bool is_version;                 /* -V */
};
/* INVALID_FIELD: what is wrong was found in k.  What `ret` holds before are the defaults. */
kf_err check_options(struct cli *c, struct check *k, struct check_options *ret);

/* ---- check_page.c ---- */

/* The metrics of a program, by HTTP. */
kf_err check_fetch(struct check *k, const struct check_options *o, struct buf *ret);
/* Of an HTTP answer leaves the body, with a zero byte behind it. */
kf_err page_cut_head(struct buf *b);
/* The value of a series as it is written, keyfleet_up or a{b="c"}; NAN if it is not there. */
double page_value(const struct buf *page, const char *series);
/* The sum over all series that begin so; NAN if there is none. */
double page_sum(const struct buf *page, const char *prefix);
