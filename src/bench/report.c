/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/report.h"
#include <stdio.h>

void report_add(struct report *r, const char *name, double value, const char *unit,
	double reference, double goal)
{
	double ratio = reference != 0 ? value / reference : 0;
	double slack = r->slack > 1 ? r->slack : 1;
	bool is_missed =
		(goal > 0 && ratio < goal / slack) || (goal < 0 && ratio > -goal * slack);
	printf("%-34s %14.3f %-18s", name, value, unit);
	if (reference != 0)
		printf(" %7.4f x %.3f", ratio, reference);
	if (goal != 0)
		printf("   %s %g%s", goal > 0 ? ">=" : "<=", goal > 0 ? goal : -goal,
			is_missed ? "   MISSED" : "");
	printf("\n");
	fflush(stdout);
	r->missed += is_missed;
	buf_printf(&r->json,
		"%s{\"name\": \"%s\", \"value\": %.4f, \"unit\": \"%s\", "
		"\"reference\": %.4f, \"ratio\": %.4f, \"goal\": %g, \"met\": %s}",
		r->rows++ ? ",\n " : "", name, value, unit, reference, ratio, goal,
		is_missed ? "false" : "true");
}

void report_none(struct report *r, const char *name, uint64_t n)
{
	printf("%-34s %14llu%s\n", name, (unsigned long long)n, n ? "   MISSED" : "");
	r->missed += n != 0;
	buf_printf(&r->json, "%s{\"name\": \"%s\", \"value\": %llu, \"met\": %s}",
		r->rows++ ? ",\n " : "", name, (unsigned long long)n,
		n ? "false" : "true");
}

kf_err report_write(const struct report *r, const char *path)
{
	FILE *f = path ? fopen(path, "we") : NULL;
	if (!path)
		return KF_OK;
	if (!f || !kf_ok(buf_err(&r->json))) {
		if (f)
			fclose(f);
		return kf_fail(IO, "the report cannot be written");
	}
	fprintf(f, "[%.*s]\n", (int)r->json.n, (const char *)r->json.p);
	return fclose(f) == 0 ? KF_OK : kf_fail(IO, "the report cannot be written");
}
