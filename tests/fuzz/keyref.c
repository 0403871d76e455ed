/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever keyref_get() accepts without extensions is exactly what keyref_put() writes, and PEM never
 * crashes.
 */
#include "client/keyref.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct slice der)
{
	struct keyref ref = { 0 }, again = { 0 };
	if (!kf_ok(keyref_get(der, &ref)))
		return;
	autobuf b = buf_new(KEYREF_DER_MAX);
	keyref_put(&b, &ref);
	if (!kf_ok(buf_err(&b)) || !kf_ok(keyref_get(buf_slice(&b), &again)))
		abort();
	if (!slice_eq(ref.id, again.id) || !slice_eq(ref.spki, again.spki))
		abort();
	bool has_extensions = ref.spki.p + ref.spki.n != der.p + der.n;
	if (!has_extensions && !slice_eq(der, buf_slice(&b)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { data, size };
	check_round_trip(in);

	autobuf der = buf_new(KEYREF_DER_MAX);
	struct keyref ref;
	if (kf_ok(keyref_get_pem(in, &der, &ref)))
		check_round_trip(buf_slice(&der));
	return 0;
}
