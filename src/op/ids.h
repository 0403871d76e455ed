/* SPDX-License-Identifier: Apache-2.0
 *
 * ids: the Unique Identifiers that the answers of one batch have named so far: what the ID Placeholder
 * and, since KMIP 2.0, the other forms of a Unique Identifier stand for.  One loop's.
 *
 *   ID Placeholder   the object that was made, or the only one that was located
 *   Enumeration      the same of the last such operation: Create, Locate, Create Key Pair Public Key ...
 *   Integer          the n-th Unique Identifier in the response, from 0; below 0: counted backwards from
 *                    where the item itself begins
 */
#pragma once
#include "op/op.h"

enum { OP_IDS_KINDS = 0x12 }; /* KMIP_UNIQUE_IDENTIFIER_..., 0 unused */

struct op_ids {
	char last[OP_IDS_KINDS][OBJECT_ID_SIZE];
	struct buf all; /* OBJECT_ID_SIZE bytes each */
};

void op_ids_init(struct op_ids *ids, size_t most_bytes);
void op_ids_free(struct op_ids *ids);

/* An item is answered: `payload` is the content of its response, empty if it failed.  Sets or empties the
 * call's placeholder where the operation made something, or failed to. */
void op_ids_note(struct op_ids *ids, struct op_call *call, uint32_t operation,
	struct slice payload);

/* NOT_FOUND, INVALID_FIELD.  `number` may be below 0. */
kf_err op_ids_last(const struct op_ids *ids, uint32_t kind, char ret[OBJECT_ID_SIZE]);
kf_err op_ids_nth(const struct op_ids *ids, int32_t number, char ret[OBJECT_ID_SIZE]);
