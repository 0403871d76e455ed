/* SPDX-License-Identifier: Apache-2.0
 *
 * authority: the certificate authority's folder (ca.pem, ca.key), which only the administrator's tools
 * ever open.
 */
#pragma once
#include "cli/cli.h"
#include "crypt/x509.h"

struct authority {
	struct buf ca_pem, ca_key;
};

/* Opens what is there, else makes it.  Half an authority (one of two files) is refused. */
kf_err authority_open_or_make(
	const struct cli *c, const char *dir, struct authority *ret);
/* NOT_FOUND with a note that says where it was looked for. */
kf_err authority_open(const struct cli *c, const char *dir, struct authority *ret);
void authority_close(struct authority *a);

kf_err authority_issue(
	const struct authority *a, const struct cert_wish *wish, struct cert *ret);
