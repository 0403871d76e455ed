/* SPDX-License-Identifier: Apache-2.0
 *
 * make-keyref ID PUBLIC-KEY-PEM: writes a key reference, as `keyfleet key ref` does for keys in servers.
 */
#include "client/keyref.h"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	FILE *f = argc == 3 ? fopen(argv[2], "r") : NULL;
	EVP_PKEY *pub = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
	unsigned char *spki = NULL;
	int n = pub ? i2d_PUBKEY(pub, &spki) : 0;
	if (n <= 0) {
		fprintf(stderr, "usage: make-keyref ID PUBLIC-KEY-PEM\n");
		return 1;
	}
	autobuf pem = buf_new(KEYREF_PEM_MAX);
	struct keyref ref = { slice_of(argv[1]), { spki, (size_t)n } };
	keyref_put_pem(&pem, &ref);
	if (!kf_ok(buf_err(&pem))) {
		fprintf(stderr, "make-keyref: %s\n", buf_err(&pem).site->text);
		return 1;
	}
	fwrite(pem.p, 1, pem.n, stdout);
	OPENSSL_free(spki);
	EVP_PKEY_free(pub);
	fclose(f);
	return 0;
}
