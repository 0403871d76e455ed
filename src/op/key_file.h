/* SPDX-License-Identifier: Apache-2.0
 *
 * key_file: PKCS#12 (KMIP 1.4, Key Format Type): a private key and its certificates under a password.
 *
 * The password is a Secret Data object of type Password, to which the key's one PKCS#12 Password Link leads; the client
 * must be allowed to get it, or files would tell strangers what it is not.
 *
 * Register opens the file: the key is kept as PKCS#8 beside the file as it came, and every certificate of its
 * chain becomes an object of its own.  Get makes a new file, of the chain as the Links have it then.
 */
#pragma once
#include "crypt/pkcs12.h"
#include "kmip/get.h"
#include "op/take.h"

/* --- taking one --- */

struct key_file_taking {
	struct object *password; /* owned reference */
	size_t n;
	struct make chain[PKCS12_CHAIN_MAX]; /* objects to be made of its certificates */
};

/* On the loop.  t->file stays NULL, and no error, when what comes is no such file, and for Import where the password
 * is not known here: then it is kept as it is.  BAD_PASSWORD: no Link leads to a password that may be used. */
kf_err key_file_find(struct op_call *call, struct taking *t);
/* On a worker: t->object's block becomes the key itself, t->make has it and the file as it came. */
kf_err key_file_open(struct op_call *call, struct taking *t);
/* The mutations that make its certificates; the key's own comes besides. */
kf_err key_file_make_chain(struct op_call *call, struct taking *t);
void key_file_free(struct key_file_taking *f); /* NULL is fine */

/* --- giving one --- */

struct key_file_giving {
	struct pkcs12 content;
	struct buf password;
};

static inline bool key_file_is_wanted(const struct get_request *q)
{
	return q->key_format_type == KMIP_KEY_FORMAT_TYPE_PKCS_12;
}
/* KEY_FORMAT, KEY_COMPRESSION, FEATURE: such a file is not made of the call's object, or not like this. */
kf_err key_file_check_wish(const struct op_call *call, const struct get_request *q);
/* On the loop: everything that goes into it; `key` is the key as PKCS#8.  KEY_FORMAT: there is no password, or not one
 * chain. */
kf_err key_file_gather(
	struct op_call *call, const struct key_block *key, struct key_file_giving **ret);
/* On a worker: the block points to the file, in call->scratch. */
kf_err key_file_seal(
	struct op_call *call, const struct key_file_giving *f, struct key_block *block);
void key_file_giving_free(struct key_file_giving *f); /* NULL is fine */
