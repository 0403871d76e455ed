/* SPDX-License-Identifier: Apache-2.0
 *
 * ideal: the best that can be: one queue that costs nothing, whose head goes to the token that is free
 * first, of several idle ones to the fastest.
 */
#include "bench/pool/bench.h"
#include <stdlib.h>

static unsigned pick(
	const double *free_at, const struct draws *token, unsigned n, double now)
{
	unsigned first = 0, fastest = n;
	for (unsigned i = 0; i < n; i++) {
		if (free_at[i] < free_at[first])
			first = i;
		if (free_at[i] <= now &&
			(fastest == n || token[i].mean_ms < token[fastest].mean_ms))
			fastest = i;
	}
	return fastest < n ? fastest : first;
}

void ideal_run(const double *arrived, unsigned n, struct draws *token, unsigned tokens,
	double *ret_finished)
{
	double free_at[CARDS_MAX] = { 0 };
	for (unsigned k = 0; k < n; k++) {
		unsigned i = pick(free_at, token, tokens, arrived[k]);
		double begin = free_at[i] > arrived[k] ? free_at[i] : arrived[k];
		free_at[i] = begin + draws_next_ms(&token[i]) / 1000;
		ret_finished[k] = free_at[i];
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double percentile(const double *arrived, const double *finished, unsigned n, double p)
{
	unsigned warm = n / 10, count = n - warm;
	double *took = calloc(count + 1, sizeof(*took)), result = 0;
	for (unsigned i = 0; took && i < count; i++)
		took[i] = finished[warm + i] - arrived[warm + i];
	if (took && count) {
		qsort(took, count, sizeof(*took), compare);
		result = took[(unsigned)((double)(count - 1) * p)];
	}
	free(took);
	return result;
}
