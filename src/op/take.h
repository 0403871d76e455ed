/* SPDX-License-Identifier: Apache-2.0
 *
 * take: an object that Register or Import brings.  What comes is kept byte for byte.  Keys of algorithms
 * and formats that we know are checked: that they can be read, that the numbers belong together, and
 * that the attributes say the same; checking a private RSA key is slow, so a worker does it.  Others are
 * kept as they are.
 *
 * A wrapped key is unwrapped when the key that wraps it is here and this client may unwrap with it;
 * then it can be used, and is kept both ways.  Otherwise it stays wrapped.
 */
#pragma once
#include "op/make.h"
#include "op/wrap.h"

struct key_file_taking;

/* The operation's own struct begins with it. */
struct taking {
	struct kmip_object object; /* as it came; its block becomes the unwrapped one */
	struct slice attributes;   /* what the client says */
	struct make make;
	struct unwrapping *unwrapping; /* NULL: nothing is unwrapped */
	struct buf plain;              /* what was unwrapped */
	struct key_file_taking *file;  /* NULL: what comes is no file that is opened */
	bool must_unwrap;              /* WRAP_TYPE if it cannot be */
	bool keeps_wrapped;            /* it is not unwrapped even if it could be */
	/* The last step, perhaps on a worker, with a make that is complete. */
	enum op_next (*finish)(struct op_call *call);
};

/* `make` is new, from make_new(); call->release must call taking_free(). */
enum op_next take_start(struct op_call *call);
void taking_free(struct taking *t);
