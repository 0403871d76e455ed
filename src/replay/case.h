/* SPDX-License-Identifier: Apache-2.0
 *
 * case: a test case of OASIS for KMIP, as its XML file says it: requests and the answers that are expected.
 *
 *     <KMIP>                    (in the profiles of 1.0 to 1.2: <KmipTestCase>)
 *       # TIME 0                a remark, to the end of the line or the next element
 *       <RequestMessage> <BatchItem> <Operation type="Enumeration" value="Get"/> ...
 *       <ResponseMessage> ...
 *     </KMIP>
 *
 * A node is an item that has still to be encoded: its value may name a variable ($UNIQUE_IDENTIFIER_0), so
 * that only the run can (encode.h).  XML is read without document types, hence without entities, without
 * the network, and within limits.
 */
#pragma once
#include "ttlv/ttlv.h"

struct replay_node {
	uint32_t tag;
	enum ttlv_type type;
	unsigned line;
	bool is_empty; /* it has no value, not even "" */
	struct replay_node *parent, *first, *last, *next;
	size_t n;
	char text[]; /* the value as it is written, with NUL */
};

struct replay_case {
	struct replay_node *root; /* its children: request, answer, request, ... */
	size_t exchanges;
	uint16_t version; /* of the first request */
};

enum { REPLAY_FILE_MAX = 16 << 20, REPLAY_NODES_MAX = 1 << 20 };

/* MALFORMED: it is no such case; `why` gets a line: "12: unknown tag `Foo`".  *ret is to be cleared in any
 * case. */
kf_err replay_case_read(struct slice xml, struct buf *why, struct replay_case *ret);
void replay_case_clear(struct replay_case *c);
/* All messages are of another minor version.  CONFLICT: of another major version messages look otherwise. */
kf_err replay_case_set_version(struct replay_case *c, uint16_t version);

/* The first child with the tag; NULL: there is none. */
const struct replay_node *replay_child(const struct replay_node *n, uint32_t tag);
/* The next sibling with the tag of this one. */
const struct replay_node *replay_next(const struct replay_node *n);
/* The same for paths: replay_child_at(message, (uint32_t[]){ TAG_REQUEST_HEADER, TAG_BATCH_COUNT, 0 }). */
const struct replay_node *replay_child_at(
	const struct replay_node *n, const uint32_t *path);
