/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_cert: certificates and keys in files, as far as their dates, roles and belonging together go.
 */
#pragma once
#include "base/buf.h"
#include <openssl/x509.h>

/* The first certificate of a PEM file; NULL: `why` says it. */
X509 *doctor_cert_open(const char *path, const char **ret_why);
/* The private key of a PEM file, which must not be encrypted; NULL: `why` says it. */
EVP_PKEY *doctor_key_open(const char *path, const char **ret_why);

enum doctor_validity { CERT_FINE, CERT_SOON, CERT_EXPIRED, CERT_FUTURE };

/* CERT_SOON: less than three weeks and less than a third of its life are left. */
struct doctor_dates {
	enum doctor_validity validity;
	const char *word; /* "has expired on", "is not valid before" */
	char date[64];    /* "2026-12-01, in 10 days" */
};
struct doctor_dates doctor_dates(const X509 *certificate);
/* CERT_SOON: less than so many days are left. */
struct doctor_dates doctor_dates_between(int64_t from, int64_t to, int soon_days);

void doctor_common_name(const X509 *certificate, char *ret, size_t size);
/* A mode with rights for others than the owner (and, if may_group, the group): writes "0644". */
bool doctor_is_open(const char *path, bool may_group, char ret[8]);
