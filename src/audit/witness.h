/* SPDX-License-Identifier: Apache-2.0
 *
 * witness: checkpoints of a key server that others have seen and kept: lines of `keyfleet audit head`, and
 * the lines event=witness in the segments of other key servers.  What was seen can be neither changed nor
 * cut off afterwards without somebody noticing who asks.
 */
#pragma once
#include "audit/chain.h"
#include "crypt/signer.h"

struct witness {
	uint64_t number;
	uint8_t chain[CHAIN_SIZE], signature[SIGNER_SIGNATURE_SIZE];
	bool is_met; /* it was found where it should be */
};

struct witnesses {
	/* of the server whose they are; others are left out */
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	char server[80];    /* its name; empty: not known */
	uint64_t strangers; /* checkpoints of other chains under this name */
	struct witness *p;  /* ascending numbers after witnesses_sort() */
	size_t n, room;
};

/* Reads one line; false: it tells of no checkpoint. */
bool witness_read(
	struct slice line, struct witness *ret, uint8_t ret_origin[CHAIN_ORIGIN_SIZE]);
/* All lines of a file, or of all files of a directory. */
kf_err witnesses_read(struct witnesses *w, const char *path);
void witnesses_sort(struct witnesses *w);
void witnesses_free(struct witnesses *w);
/* A witness of this number after `from`; NULL: none. */
struct witness *witnesses_find(
	const struct witnesses *w, uint64_t number, const struct witness *from);
