/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: who may do what with which object.  Pure functions: no I/O, no clock, no lock.
 *
 * Deny by default.  Allowed is:
 *   - the administrator everything;
 *   - an owner everything with its own objects, except that a grant with constraints narrows its
 *     owner too, unless another one to sign has none: such a private key signs only what the
 *     constraints allow, and is neither read nor used for decryption unless a grant says so;
 *   - everybody QUERY;
 *   - everything else by a grant, and ADMINISTER not even by a grant.
 * A grant to use a key implies GET_ATTRIBUTES and LOCATE of it.  One to use a private key (SIGN, CSR,
 * DECRYPT, DECRYPT_TLS) implies GET, GET_ATTRIBUTES and LOCATE of the public key and the certificate that belong to it.
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

/* Of several grants that match, the one decides whose constraints the request keeps; of several such,
 * the most generous one. */
struct decision {
	bool is_allowed;
	uint32_t constraints; /* of the grant that decides */
	uint32_t unkept;      /* those of them that the request breaks: it is refused */
	/* A CSR grant matches: PKCS#10 is allowed in spite of TLS_ONLY, and even if SIGN is not. */
	bool may_sign_csr;
	uint32_t
		csr_unkept; /* the CSR grant's other constraints that the request breaks */
	/* What decides, and holds its limits; of owners too.  NULL: no grant. */
	const struct grant_row *grant, *csr_grant;
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

/* May it sign?  `kept`: the constraints that this very request keeps. */
struct decision policy_decide_sign(const struct rights *rights, const struct who *who,
	const struct object *object, uint32_t kept);

/* What only a CSR grant lets through is decided by that one: the decision becomes the grant's.  False:
 * it was not needed, or there is none. */
bool policy_fall_back_to_csr(struct decision *d);

/* Would anybody have a right to `after`, or a limit or constraint less, that he has not to `before`, which is the same
 * object with other names and groups?  Looks at the grants that go by those which only one of the two has; when these
 * are of so many clients (about a thousand) that to compare would hold a loop up, the answer is that it might. */
bool policy_widens(const struct rights *rights, const struct object *before,
	const struct object *after);

/* Does the grant let anybody see objects in Locate? */
bool policy_shows(const struct grant_row *g);

/* In words, for people: why is there no rule that allows it? */
const char *policy_why_not(const struct rights *rights, const struct who *who,
	enum permission wanted, const struct object *object);

/* Does a grant bring limits (store/catalog.h) for a decision?  NULL: it does not. */
const struct grant_limits *policy_limits(const struct decision *d);
/* The limits in words, "rate 100/s, burst 200, concurrency 16"; "" when there are none. */
void limits_print(const struct grant_limits *limits, struct buf *ret);
/* "100/s", "5000/m", "10/h" <-> operations an hour; INVALID_FIELD. */
kf_err rate_parse(struct slice text, uint32_t *ret_per_hour);
void rate_print(uint32_t per_hour, struct buf *ret);

/* The same, and what is implied for public keys and certificates by the private key they belong to:
 * looks it up by Link, and believes the Link if the private key links back or has the same owner. */
struct decision policy_decide_linked(const struct catalog *catalog, const struct who *who,
	enum permission wanted, const struct object *object);

/* "sign,get" <-> mask; unknown words, and administer, are INVALID_FIELD. */
kf_err permissions_parse(struct slice text, uint32_t *ret);
void permissions_print(uint32_t mask, struct buf *ret);
kf_err constraints_parse(struct slice text, uint32_t *ret);
void constraints_print(uint32_t mask, struct buf *ret);
