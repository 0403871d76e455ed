/* SPDX-License-Identifier: Apache-2.0
 *
 * authority: the small authorities of this server, [ca NAME] of its configuration, and how their keys sign.
 *
 * The key is a private key object of this server, in software or on tokens, looked up anew for each certificate:
 * it may be revoked, destroyed or replaced at any time, and grants to `certify` go by it.
 */
#pragma once
#include "crypt/issue.h"
#include "kmip/certify.h"
#include "op/step.h"

enum { AUTHORITY_NAME_SIZE = 65, AUTHORITIES_MAX = 16 };

/* Constant while the server runs. */
struct authority {
	char name[AUTHORITY_NAME_SIZE];
	const char *key; /* Unique Identifier, or a name */
	struct issue_ca *ca;
	struct issue_policy policy;
	bool may_issue[CERT_CLIENT + 1]; /* by role */
	enum cert_role role;             /* when none is asked for */
	enum hash_id hash;               /* HASH_NONE: as the key's strength has it */
	int64_t valid_s, valid_max_s;
};

/* "server", "client"; false: neither. */
bool authority_role(struct slice text, enum cert_role *ret);
const char *authority_role_name(enum cert_role role);

/* The one that the attributes ask for (Vendor attribute "ca", X.509 Certificate Issuer), those of the second set
 * where the first says nothing; else the first one of the configuration.  NO_AUTHORITY: there is no such. */
kf_err authority_choose(const struct op_server *server, struct slice wish,
	struct slice otherwise, const struct authority **ret);

/* Its key; NULL: it is not there.  Borrowed, as all that comes from the catalog. */
const struct object *authority_key(
	const struct op_server *server, const struct authority *a);
/* May it issue now, and if not, why?  Metrics and `keyfleet doctor` show the word. */
enum authority_state {
	AUTHORITY_READY,
#define X(id, word, text) AUTHORITY_##id,
#include "op/authority.def"
#undef X
};
enum authority_state authority_state(
	const struct authority *a, const struct object *key, int64_t now_s);
const char *authority_state_word(enum authority_state s);
/* The same for who asks: AUTHORITY, with the reason, unless it is ready. */
kf_err authority_check(
	const struct authority *a, const struct object *key, int64_t now_s);
/* The object of its certificate, if it is registered and the key leads to it; or NULL. */
const struct object *authority_certificate(const struct op_server *server,
	const struct authority *a, const struct object *key);

/* On a worker; waits for tokens.  For struct issue. */
struct authority_signer {
	const struct op_call *call;
	struct token_key *key;
};
kf_err authority_sign(
	void *signer, const struct mech *mech, struct slice data, struct buf *sig);
