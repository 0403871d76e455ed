/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: who may do what with which object.  Pure functions: no I/O, no clock, no lock.
 *
 * Deny by default.  Allowed is:
 *   - the administrator everything;
 *   - an owner everything with its own objects, except that a grant with constraints narrows its
 *     owner too: such a private key signs only what the constraint allows, and is neither read nor
 *     used for decryption unless a grant says so;
 *   - everybody QUERY;
 *   - everything else by a grant, and ADMINISTER not even by a grant.
 * A grant to use a private key (SIGN, CSR, DECRYPT, DECRYPT_TLS) implies GET_ATTRIBUTES and LOCATE of
 * it, and GET, GET_ATTRIBUTES and LOCATE of the public key and the certificate that belong to it.
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

/* Owner of what administrators make.  No client may have this name: an owner may do everything with its
 * own. */
#define ADMIN_NAME "admin"

/* The client at the other end of a connection. */
struct who {
	char name[CLIENT_NAME_SIZE];
	uint8_t fingerprint[32];
	bool is_admin;
	int64_t not_after;   /* of its certificate */
	uint64_t generation; /* of the rights it was last checked against */

	/* by policy_bind(): its grants in rights->grant, good while the generation is the same */
	uint32_t first_grant, grants, first_for_all, grants_for_all;
};

struct decision {
	bool is_allowed;
	uint32_t constraints; /* that hold; 0 when any matching grant has none */
	/* A CSR grant matches: PKCS#10 is allowed in spite of TLS_ONLY, and even if SIGN is not. */
	bool may_sign_csr;
	/* "admin", "owner", "everybody" or the grant's id; for the audit record.  NULL: denied */
	const char *rule;
};

/* Call it when a connection begins and whenever rights->generation differs from who->generation.
 * False: it is a client no longer (revoked, or its certificate is not, or no longer, enrolled);
 * the administrator is pinned by configuration and always true.  Remembers where the grants are, so
 * that policy_decide() need not search; an unbound client gets the same decisions, more slowly. */
bool policy_bind(const struct rights *rights, struct who *who);

/* object is NULL for operations without one (create, query).  The pointers in the decision live as
 * long as `rights`. */
struct decision policy_decide(const struct rights *rights, const struct who *who,
	enum permission wanted, const struct object *object);

/* The same, and what is implied for public keys and certificates by the private key they belong to:
 * looks it up by Link, and believes the Link if the private key links back or has the same owner. */
struct decision policy_decide_linked(const struct catalog *catalog, const struct who *who,
	enum permission wanted, const struct object *object);

/* "sign,get" <-> mask; unknown words, and administer, are INVALID_FIELD. */
kf_err permissions_parse(struct slice text, uint32_t *ret);
void permissions_print(uint32_t mask, struct buf *ret);
kf_err constraints_parse(struct slice text, uint32_t *ret);
void constraints_print(uint32_t mask, struct buf *ret);
