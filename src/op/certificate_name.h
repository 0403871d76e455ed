/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate_name: the names of X.509 certificates, as fields of the attributes about subject and issuer.
 */
#pragma once
#include "ttlv/ttlv.h"
#include <openssl/x509v3.h>

/* More than these are not shown as attributes: each lies in memory as long as its certificate. */
enum { CERTIFICATE_NAMES_MAX = 256 };

/* A distinguished name in words (RFC 2253, without escapes for UTF-8). */
void certificate_put_name(
	struct ttlv_writer *w, enum ttlv_tag tag, const X509_NAME *name);
/* Each alternative name as DER of its GeneralName (RFC 5280), as KMIP 1.1 and later have them. */
void certificate_put_alternatives(
	struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAMES *names);
/* In words, as 1.0 has them: names, addresses and URIs; other kinds have none. */
void certificate_put_alternatives_text(
	struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAMES *names);
