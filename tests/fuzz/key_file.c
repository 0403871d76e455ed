/* SPDX-License-Identifier: Apache-2.0 */
#include "provision/provision.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEAR = 100, SHARE = 8 };

/* What was read of a file can be written, and is read alike again.  Public keys take long to check: of files
 * that may have one, one in eight is looked at. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 }, again = { 0 };
	autobuf file = buf_new(2 * PROVISION_FILE_MAX);
	uint8_t sum = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum * 31 + data[i]);
	if (size > DEAR && sum % SHARE)
		return 0;
	if (!kf_ok(provision_read_file((struct slice){ data, size }, &b)))
		return 0;
	if (b.wrapping == WRAPPING_DKEK && !b.certificate.n)
		return 0; /* its certificate is not kept */
	if (!kf_ok(provision_write_file(&b, (struct slice){ NULL, 0 }, &file)) ||
		!kf_ok(provision_read_file(buf_slice(&file), &again)))
		abort();
	if (memcmp(b.kcv, again.kcv, sizeof(b.kcv)) || b.alg != again.alg ||
		strcmp(b.label, again.label) || b.id_n != again.id_n ||
		!slice_eq(buf_slice(&b.wrapped), buf_slice(&again.wrapped)))
		abort();
	return 0;
}
