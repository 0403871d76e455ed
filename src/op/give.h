/* SPDX-License-Identifier: Apache-2.0
 *
 * give: the value of the call's object, in the form that Get or Export asks for: as it was registered,
 * in another Key Format Type, compressed, wrapped.  What is not extractable never leaves; what is
 * sensitive leaves encrypted only.
 */
#pragma once
#include "kmip/get.h"
#include "op/wrap.h"

struct key_file_giving;

/* The operation's own struct begins with it. */
struct giving {
	struct get_request q;
	struct get_response a;     /* the object; the rest is the operation's to say */
	struct wrapping *wrapping; /* what a token is still to wrap, or NULL */
	struct unwrapping
		*unwrapping; /* what a worker or a token is still to unwrap, or NULL */
	struct key_file_giving
		*file; /* what a worker is still to make a PKCS#12 file of, or NULL */
};

/* What the object points to lives as long as the call: in call->scratch, or where the store has it open.  With
 * `wrapping`, `unwrapping` or `file` it is whole when the call comes to its answer. */
kf_err op_give(struct op_call *call, struct giving *g);
/* The last thing that the start does. */
enum op_next op_given(struct op_call *call, const struct giving *g);
/* It took longer than the start did. */
static inline bool giving_waited(const struct giving *g)
{
	return g->wrapping || g->unwrapping || g->file;
}
