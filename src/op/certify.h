/* SPDX-License-Identifier: Apache-2.0
 *
 * certify: what the files of Certify and Re-certify share.
 */
#pragma once
#include "kmip/certify.h"
#include "op/authority.h"
#include "op/make.h"

struct certify_call {
	struct certify_request q;
	bool is_renewal, is_named; /* an object is: call->object */
	const struct authority *by;
	enum cert_role role;
	/* references, or NULL: the authority's key; those that are certified, whose Links change */
	struct object *signer, *public_key, *private_key;
	struct object *parent; /* the authority's certificate */
	struct issue_request *request;
	struct make make;
	struct buf text; /* for the record */
	int64_t not_before, not_after;
	bool has_serial;
	uint8_t serial[ISSUE_SERIAL_SIZE];
};

static inline struct certify_call *certify_of(struct op_call *call)
{
	return OP_REQUEST(call, struct certify_call);
}

/* May this client have a certificate for the object? */
bool certify_is_allowed(const struct op_call *call, const struct object *o);
/* c->request, c->public_key and c->private_key: from a PKCS#10 request, in the message or registered; or from what
 * the server has itself.  INVALID_CSR, OBJECT_TYPE, FEATURE, NOT_ISSUED. */
kf_err certify_find_request(struct op_call *call);
