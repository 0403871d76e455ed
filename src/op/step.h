/* SPDX-License-Identifier: Apache-2.0
 *
 * step: what the operations' own files share.
 */
#pragma once
#include "kmip/attrs.h"
#include "op/op.h"
#include <assert.h>

#define X(code, name, permission, audit, since, object, change, decide, fn)              \
	kf_err op_##fn##_decode(struct op_call *call);                                   \
	enum op_next op_##fn##_start(struct op_call *call);                              \
	void op_##fn##_answer(struct op_call *call, struct ttlv_writer *w);
#include "op/op.def"
#undef X

struct decision op_certify_decide(struct op_call *call);
struct decision op_locate_decide(struct op_call *call);
struct decision op_sign_decide(struct op_call *call);
struct decision op_decrypt_decide(struct op_call *call);

/* The operation's own struct, zeroed by op_decode(). */
#define OP_REQUEST(call, type)                                                           \
	__extension__({                                                                  \
		static_assert(sizeof(type) <= OP_REQUEST_SIZE, "OP_REQUEST_SIZE");       \
		(type *)(void *)(call)->request;                                         \
	})

struct ttlv_reader op_payload(const struct op_call *call);
/* The same for Sign and Get: see ttlv_start(). */
void op_start_payload(const struct op_call *call, struct ttlv_reader *ret);

/* Takes the object that the request names, or the ID Placeholder if it names none.  An object that is
 * not there is no error yet: op_authorise() answers for it. */
kf_err op_name_object(struct op_call *call, const struct kmip_uid *uid);
/* Another object that the request names besides its own; NULL: it is not there.  Borrowed: it lives until
 * the loop's round is over. */
kf_err op_find_named(const struct op_call *call, const struct kmip_uid *uid,
	const struct object **ret);
/* May this client use it so?  Then that counts, as the request's own object does.  NOT_FOUND also if it is NULL;
 * op_is_over_limit().  On the loop. */
kf_err op_use_other(struct op_call *call, const struct object *o, enum permission wanted);
struct kmip_uid op_uid(const struct op_call *call); /* of the call's object */

/* `next`, or OP_FAIL with the error. */
enum op_next op_then(struct op_call *call, kf_err err, enum op_next next);

/* DESTROYED or ARCHIVED: there is no material. */
kf_err op_check_material(const struct object *o, int64_t now_s);

/* ARCHIVED: it serves nobody until it is recovered. */
kf_err op_check_present(const struct object *o);

/* SENSITIVE or NOT_EXTRACTABLE: its value never leaves. */
kf_err op_check_secrecy(const struct object *o);
/* The same when it would leave encrypted: sensitive objects may. */
kf_err op_check_secrecy_wrapped(const struct object *o);

/* Protecting (signing) wants an active key before Protect Stop; processing (decrypting, verifying)
 * goes on after deactivation and compromise (KMIP 2.1, State). */
enum op_use { OP_PROTECT, OP_PROCESS };
kf_err op_check_use(const struct op_call *call, enum op_use use, uint32_t usage);
/* The same for another object that the request names. */
kf_err op_check_use_of(
	const struct object *o, int64_t now_s, enum op_use use, uint32_t usage);

/* INVALID_FIELD for private keys of algorithms that are too weak, unless the server allows them. */
kf_err op_check_legacy(const struct op_call *call, const struct alg *alg);

/* DENIED: the client was let in to something else, and may not read the object's attributes. */
kf_err op_check_tells(const struct op_call *call);
/* The attributes of the call's object as they are shown: what time brings is in them, and what the
 * server knows without keeping it (Short Unique Identifier, Lease Time, Protection Storage Mask). */
void op_attrs_now(const struct op_call *call, struct buf *ret);

void op_new_id(char ret[OBJECT_ID_SIZE]); /* a new UUID, by time */
enum { SHORT_ID_SIZE = 16 };
/* The same as bytes, Short Unique Identifier; false: it is no UUID. */
bool op_short_id(const char *id, uint8_t ret[SHORT_ID_SIZE]);

/* Room for so many mutations where there may be more than CHANGE_MUTATIONS.  Before the first one. */
kf_err op_mutate_room(struct op_call *call, size_t n);
/* One more mutation of call->change; its fields are the caller's to fill. */
struct mutation *op_mutate(struct op_call *call, enum mutation_kind kind);
/* A new version of the call's object with these attributes.  Without `keeps_material` the sealed bytes
 * are gone with the commit. */
kf_err op_replace_object(
	struct op_call *call, const struct buf *attrs, bool keeps_material);
/* The same of another object that the call changes. */
kf_err op_replace_other(struct op_call *call, const struct object *was,
	const struct buf *attrs, bool keeps_material);
