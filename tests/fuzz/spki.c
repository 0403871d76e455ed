/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/point.h"
#include "crypt/pubkey.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(kf_err e)
{
	if (!kf_ok(e))
		abort();
}

/* A point that a good key holds goes through every form and comes back. */
static void turn(const struct alg *alg, struct slice point, enum point_form form)
{
	autobuf other = buf_new(SPKI_MAX), spki = buf_new(SPKI_MAX);
	autobuf same = buf_new(SPKI_MAX), back = buf_new(SPKI_MAX);

	must(point_convert(alg, point, form, &other));
	must(point_to_spki(alg, buf_slice(&other), &spki));
	must(point_of_spki(buf_slice(&spki), &same));
	must(point_convert(alg, buf_slice(&same), POINT_UNCOMPRESSED, &back));
	if (!slice_eq(buf_slice(&same), buf_slice(&other)) ||
		!slice_eq(buf_slice(&back), point))
		abort();
}

/* One key, one encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	autobuf point = buf_new(65536);
	struct slice spki = { data, size };

	const bool is_good = kf_ok(pubkey_parse(spki, &k));
	if (is_good && !slice_eq(pubkey_spki(k), spki))
		abort();
	const bool has_point = kf_ok(point_of_spki(spki, &point));
	if (!is_good || pubkey_alg(k)->family != FAMILY_EC)
		return 0;
	if (!has_point)
		abort();
	turn(pubkey_alg(k), buf_slice(&point), POINT_COMPRESSED);
	turn(pubkey_alg(k), buf_slice(&point), POINT_HYBRID);
	return 0;
}
