/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/blob.h"
#include "base/mem.h"
#include "token/schsm/blob_numbers.h"
#include "token/schsm/share.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dkek *kek(void)
{
	static struct dkek *d;
	if (!d && (!kf_ok(secret_init(1 << 16)) || !kf_ok(dkek_new(&d))))
		abort();
	return d;
}

/* What somebody who knows the DKEK may have put into a blob. */
static void read_numbers(enum blob_kind kind, struct slice plain)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	autobuf again = buf_new(BLOB_MAX);
	struct numbers r = { .rest = plain };
	numbers_skip_begin(&r);
	if (kf_ok(numbers_to_key(kind, &r, &pkey)) &&
		EVP_PKEY_get_bits(pkey) % 256 == 0 &&
		!kf_ok(numbers_of_key(pkey, &kind, &again)))
		abort();
}

/* A byte that says what it is, and that. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct slice rest = { data + 1, size - 1 };
	CLEANUP(blob_key_free) struct blob_key k = { 0 };
	struct blob_facts facts;
	struct key_file file = { 0 };
	uint64_t number;
	switch (data[0]) {
	case 0:
		if (kf_ok(key_file_parse(rest, &file)) &&
			file.blob.n + file.description.n + file.certificate.n > rest.n)
			abort();
		break;
	case 1:
		if (!kf_ok(blob_look(rest, &facts)) && kf_ok(blob_open(kek(), rest, &k)))
			abort();
		break;
	case 2: return kf_ok(part_number(rest, &number)) ? 0 : 0;
	default: read_numbers((enum blob_kind)data[0], rest);
	}
	return 0;
}
