/* SPDX-License-Identifier: Apache-2.0
 *
 * pem: what is in a PEM text, unchecked: importing a key tests its primes, which takes long.
 */
#pragma once
#include "base/buf.h"
#include <openssl/pem.h>

static void pem_to_der(const char *pem, struct buf *ret)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	if (PEM_read_bio(in, &name, &header, &der, &n))
		buf_add(ret, der, (size_t)n);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(in);
}
