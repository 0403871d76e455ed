/* SPDX-License-Identifier: Apache-2.0
 *
 * key_csr: a certification request for a key of the key servers, which sign it.
 */
#pragma once
#include "cli/call.h"
#include "crypt/x509.h"

enum { KEY_CSR_NAMES_MAX = 4096 }; /* bytes of all names */

struct key_csr {
	const char *key;     /* as it was named */
	const char *names;   /* "www.example.org,192.0.2.1"; NULL: none */
	const char *subject; /* NULL: CN= the first DNS name, or the key's name */
};
/* PEM. */
kf_err key_csr_make(struct cli *c, const struct key_csr *q, const struct key_ids *ids,
	struct buf *ret);

/* Cuts the text at commas and blanks; NULL at the end.  TOO_BIG: more than max - 1. */
kf_err key_csr_names(char *text, const char **ret, size_t max);
