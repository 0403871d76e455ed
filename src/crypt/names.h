/* SPDX-License-Identifier: Apache-2.0
 *
 * names: subjects and alternative names, from texts that people type, and what a certificate is for.  Inside src/crypt only.
 */
#pragma once
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include <openssl/x509v3.h>

/* Adds CN=text. */
kf_err names_add_cn(X509_NAME *name, const char *text);
/* "CN=www.example,O=Example": attributes that OpenSSL knows, commas escaped by a backslash. */
kf_err names_add_subject(X509_NAME *name, const char *text);
/* "dns:NAME", "ip:ADDRESS" or either of them bare; NULL-terminated.  The caller frees. */
kf_err names_make_sans(const char *const *texts, GENERAL_NAMES **ret);
/* Basic constraints, key usage, extended key usage and key identifiers of the role. */
kf_err names_add_extensions(X509 *x, enum cert_role role, X509 *issuer);
