/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: all segments of a directory, held against their chains, their checkpoints, what was lawfully deleted
 * and what others have seen.  The server may go on writing meanwhile.
 */
#pragma once
#include "audit/replay.h"
#include "audit/witness.h"

struct verify {
	const char *directory;
	uint64_t from; /* begin with this segment; 0: with the first */
	/* Whose signatures count; none: the first segment's key is believed. */
	const uint8_t (*trusted)[SIGNER_PUBLIC_SIZE];
	size_t n_trusted;
	const struct keyring *keyring; /* or these; NULL: none */
	const uint8_t *origin;         /* of the chains that have to be here; NULL: any */
	/* Files or directories of witnesses. */
	const char *const *witness;
	size_t n_witness;
	replay_tell tell;
	void (*progress)(void *arg, double part); /* may be NULL */
	void *arg;
};

struct verify_result {
	uint64_t segments, records, checkpoints, findings;
	uint64_t unsigned_lines; /* behind the last checkpoint */
	uint64_t retired;        /* segments up to this were deleted by the server */
	uint64_t witnesses;      /* checkpoints that others have seen and that are here */
	uint64_t number;         /* of the last line of the journal */
	bool is_stopped;         /* the server had stopped in order */
	char server[80];
	uint8_t origin[CHAIN_ORIGIN_SIZE], public[SIGNER_PUBLIC_SIZE];
};

/* The segments have another line in the place of this checkpoint.  False, too, if its segment is not there any more. */
bool verify_contradicts(const char *directory, const struct witness *w);

/* What does not fit is a finding; an error is that something could not be read. */
kf_err verify_directory(const struct verify *v, struct verify_result *ret);
