/* SPDX-License-Identifier: Apache-2.0
 *
 * key_source: a private key in a file of its owner's, PEM, DER or PKCS#12, and the certificate that belongs to it.
 */
#pragma once
#include "cli/cli.h"
#include "crypt/keygen.h"

struct key_source {
	struct cli *cli;
	const char *pem, *p12, *certificate, *passphrase_file; /* NULL: none */
	struct keypair pair;
	struct buf der; /* the certificate; empty: none */
};

/* After tokens_secrets() or the like; notes what is wrong with which file.  key_source_clear() always. */
kf_err key_source_read(struct key_source *s);
void key_source_clear(struct key_source *s);
