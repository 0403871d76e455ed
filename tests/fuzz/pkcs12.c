/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pkcs12.h"
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each that gets beyond the MAC is decrypted, and its chain verified. */
extern const int fuzz_mutations;
const int fuzz_mutations = 1500;

static const struct slice password = { (const uint8_t *)"password", 8 };

static void open(struct slice file)
{
	CLEANUP(pkcs12_clear) struct pkcs12 p = { 0 };
	const kf_err err = pkcs12_open(file, password, (struct slice){ 0 }, &p);
	if (kf_ok(err) != (p.pkcs8.n > 0) || ERR_peek_error())
		abort();
}

/* What follows a right MAC only. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *p = data;
	unsigned char *der = NULL;
	int n = 0;

	open((struct slice){ data, size });
	PKCS12 *f = d2i_PKCS12(NULL, &p, (long)size);
	if (f && PKCS12_set_mac(f, "password", 8, NULL, 0, 1, EVP_sha256()))
		n = i2d_PKCS12(f, &der);
	PKCS12_free(f);
	ERR_clear_error();
	if (n > 0)
		open((struct slice){ der, (size_t)n });
	OPENSSL_free(der);
	return 0;
}
