/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: who may do what with which object.  Pure functions: no I/O, no clock, no lock.
 *
 * Deny by default.  Allowed is: the administrator everything; an owner everything with its own
 * objects except what a constraint on them forbids; everybody QUERY; everything else by a grant.
 * A grant of SIGN implies GET and GET_ATTRIBUTES of the public key and the certificate that the
 * private key links to, and GET_ATTRIBUTES and LOCATE of the private key itself.
 */
#pragma once
#include "store/catalog.h"

enum permission {
#define X(name, bit, text, manual) PERM_##name = bit,
#include "policy/permission.def"
#undef X
};

enum constraint {
#define X(name, bit, text, manual) CONSTRAINT_##name = bit,
#include "policy/constraint.def"
#undef X
};

/* The client at the other end of a connection. */
struct who {
	char name[CLIENT_NAME_SIZE];
	uint8_t fingerprint[32];
	bool is_admin;
	int64_t not_after;   /* of its certificate */
	uint64_t generation; /* of the rights it was last checked against */
};

struct decision {
	bool is_allowed;
	uint32_t constraints; /* that hold; 0 when any matching grant has none */
	bool may_sign_csr; /* a CSR grant matches: PKCS#10 is allowed in spite of TLS_ONLY */
	const char *
		rule; /* "admin", "owner", "everybody" or the grant's id; for the audit record */
};

/* object is NULL for operations without one (create, query).  The pointers in the decision live as
 * long as `rights`. */
struct decision policy_decide(const struct rights *rights, const struct who *who,
	enum permission wanted, const struct object *object);

/* "sign,get" <-> mask; unknown words are INVALID_FIELD. */
kf_err permissions_parse(struct slice text, uint32_t *ret);
void permissions_print(uint32_t mask, struct buf *ret);
kf_err constraints_parse(struct slice text, uint32_t *ret);
void constraints_print(uint32_t mask, struct buf *ret);
