/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap_key: the keys that wrap others: found, allowed, and told how.
 */
#pragma once
#include "crypt/keywrap.h"
#include "kmip/key_wrapping.h"
#include "op/step.h"

/* The key that a specification names.  WRAP_NOT_FOUND also for one that this client may not use so;
 * op_is_over_limit() for one that it has used too often.  Borrowed: it lives until the loop's round is over. */
kf_err wrap_key_find(struct op_call *call, const struct kmip_uid *uid,
	enum permission wanted, const struct object **ret);
/* WRAP_DESTROYED, WRAP_ARCHIVED, STATE, USAGE. */
kf_err wrap_key_check(
	const struct object *o, int64_t now_s, enum op_use use, uint32_t usage);

/* What the specification says, among the key's own parameters; its first ones if it says nothing.
 * WRAP_PARAMETERS if there are none like these. */
kf_err wrap_key_parameters(const struct object *o, const struct key_information *i,
	struct cryptographic_parameters *ret);

/* AES; *name is for the audit record. */
kf_err wrap_key_cipher(const struct object *o, const struct cryptographic_parameters *p,
	struct slice key, struct keywrap *ret, const char **ret_name);
/* BAD_PARAMETERS unless they say RSA-OAEP. */
kf_err wrap_key_oaep(const struct cryptographic_parameters *p, struct keywrap_oaep *ret);

/* The MAC of a Key Value, appended. */
kf_err wrap_key_mac(const struct object *o, const struct cryptographic_parameters *p,
	struct slice key, struct slice data, struct buf *ret);

/* FEATURE and MISSING: methods that are not done, keys that are not named. */
kf_err wrap_check_method(const struct key_wrapping *how);
