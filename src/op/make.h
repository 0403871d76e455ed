/* SPDX-License-Identifier: Apache-2.0
 *
 * make: a new managed object: what the client said about it, what the server adds, and its material.
 *
 * Defaults where the client says nothing: a private key that was created here is Sensitive and not
 * Extractable, everything else is neither sensitive nor locked in.
 */
#pragma once
#include "op/step.h"

struct make {
	enum object_type type;
	char id[OBJECT_ID_SIZE];
	struct buf attrs;    /* what the client said; make_object() adds the server's */
	struct buf material; /* the whole managed object; see op/material.h */

	/* facts that the server knows better than the client; 0: none */
	uint32_t algorithm, format, usage;
	int32_t length;
	const struct alg
		*curve; /* whose Cryptographic Domain Parameters are added; or NULL */
	bool has_digest;
	uint8_t digest[32];      /* see make_digest() */
	uint32_t default_format; /* see make_default_digest(); 0: none */
	uint8_t default_digest[32];
	bool is_secret_by_default;
	bool is_generated; /* by our random number generator */
	bool is_foreign; /* it was made elsewhere, nobody knows when unless the client says it */
	/* Whose names, owner and place it takes (op/replace.h); NULL: nobody's.  Set before make_check(). */
	const struct object *replaces;

	/* Import: what the client says holds, also where only the server may say so elsewhere */
	bool is_import;
	const struct object
		*overwrites; /* the same object as it was; borrowed; NULL: none */
};

/* With a fresh id and empty buffers. */
struct make make_new(const struct op_call *call, enum object_type type);
void make_free(struct make *m);

/* The client's attributes: known, well formed, settable, consistent, and the names are free.  The Count of
 * Usage Limits is set. */
kf_err make_check(const struct op_call *call, struct make *m);

/* m->format of what is made here: the Key Format Type that the client wants, the first of `formats` if it says
 * nothing.  They end with 0. */
kf_err make_choose_format(struct make *m, const uint32_t *formats);

/* SHA-256 of the key material, the certificate or the data: the Digest attribute. */
void make_digest(struct make *m, struct slice bytes);
/* Another one, of a key that came otherwise, in the format that is the default (KMIP 2.0, Digest). */
void make_default_digest(struct make *m, struct slice bytes, uint32_t format);

/* The server's random number generator, as an RNG Parameters structure. */
void make_put_rng(struct ttlv_writer *w, enum ttlv_tag tag);

/* Adds what the server sets, and the mutation; the material goes with it. */
kf_err make_object(struct op_call *call, struct make *m);
