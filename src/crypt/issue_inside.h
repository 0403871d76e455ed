/* SPDX-License-Identifier: Apache-2.0
 *
 * issue_inside: what the files of issue.h share.
 */
#pragma once
#include "crypt/issue.h"
#include "crypt/names.h"

struct issue_ca {
	X509 *cert;
	STACK_OF(X509) * above; /* up to its root, as far as the file has them */
	struct pubkey *key;
	struct buf chain; /* PEM */
	int below;        /* how many of them path lengths count */
	bool is_constrained;
	uint8_t key_id[KEY_ID_SIZE], digest[FINGERPRINT_SIZE];
	int64_t not_before, not_after;
};

struct issue_request {
	X509_REQ *csr; /* NULL: there was none */
	X509 *old;     /* what is renewed; or NULL */
	X509_NAME *subject;
	GENERAL_NAMES *names; /* NULL: none */
	struct pubkey *key;
	bool wants_to_be_ca;
};

/* The last common name, as verifiers take it; false: there is none. */
bool issue_common_name(const X509_NAME *subject, struct slice *ret);

/* For records: printable, without spaces. */
void issue_print_text(struct buf *to, struct slice text);
void issue_print_name(struct buf *to, const GENERAL_NAME *name);
