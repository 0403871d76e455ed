/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/prkd.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and is read alike again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prkd d, again;
	autobuf b = buf_new(4096);
	if (!kf_ok(prkd_parse((struct slice){ data, size }, &d)) || d.subject.n > 400)
		return 0;
	d.usage &= 0xffff;
	d.access &= 0xffff;
	if (!kf_ok(prkd_put(&d, &b)) || !kf_ok(prkd_parse(buf_slice(&b), &again)))
		abort();
	if (strcmp(d.label, again.label) || d.id_n != again.id_n ||
		d.usage != again.usage || d.key_reference != again.key_reference ||
		d.bits != again.bits)
		abort();
	return 0;
}
