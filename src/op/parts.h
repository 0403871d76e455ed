/* SPDX-License-Identifier: Apache-2.0
 *
 * parts: cryptographic operations in several requests (KMIP 1.3: Correlation Value, Init Indicator, Final
 * Indicator), from whatever connections of the client, on whatever loops of this server.
 *
 * What is under way lies in a table between two requests, and belongs to the call while one is worked on:
 * so two requests with one Correlation Value do not meet, and whatever fails ends its stream.  It is bound
 * to its client, operation and object.  What nobody asks for any more is wiped when its time is over, when
 * its key is destroyed, or with the server; it is written nowhere, and no other server knows it.
 *
 * Any thread.  The lock guards the table and is held for a search; only streams take it.
 */
#pragma once
#include "base/list.h"
#include "crypt/cipher.h"
#include "crypt/digest.h"
#include "crypt/mac.h"
#include "kmip/message.h"
#include "op/op.h"

struct catalog;
struct op_parts;

struct op_parts_conf {
	size_t most, client_most; /* streams in all, and of one client */
	size_t memory;            /* bytes that all of them may hold back */
	uint64_t idle_ns;
};

kf_err op_parts_new(const struct op_parts_conf *conf, struct op_parts **ret);
void op_parts_free(struct op_parts *s); /* wipes all; NULL is fine */
/* Now and then: ends what was idle for too long, or whose object is destroyed.  By a reader of the catalog. */
void op_parts_sweep(struct op_parts *s, const struct catalog *catalog, int64_t now_s);
size_t op_parts_count(struct op_parts *s);

enum { PARTS_ID_SIZE = 16 };

/* What later parts must be told before they are let in. */
struct parts_facts {
	char object_id[OBJECT_ID_SIZE];
	const struct mech *mech; /* Sign and Signature Verify */
	int salt;
};

struct parts {
	struct list by_id, by_age; /* while it lies in the table */
	uint8_t id[PARTS_ID_SIZE];
	char client[CLIENT_NAME_SIZE];
	struct parts_facts facts;
	uint32_t operation;
	uint64_t touched_ns;
	size_t counted; /* bytes that are charged for what it holds */
	/* what is under way; zeroed until it is begun */
	struct cipher cipher;
	struct mac mac;
	struct digest digest;
	struct buf data; /* of mechanisms that want their message whole */
};

/* What a request says of its stream. */
struct parts_request {
	struct slice correlation_value;
	bool is_first, is_last;
};
/* It has other parts, before or behind it. */
bool parts_are_meant(const struct parts_request *q);

/* The object of a request; of a later part without Unique Identifier the stream's. */
kf_err parts_name_object(
	struct op_call *call, const struct kmip_uid *uid, const struct parts_request *q);

/* A new one for a first part, or the one under way.  FEATURE where there are none; BUSY: too many;
 * CORRELATION: there is none for this client, operation and object.  It is the call's until
 * parts_put() or parts_free(). */
kf_err parts_open(
	struct op_call *call, const struct parts_request *q, struct parts **ret);
/* CORRELATION: there is none for this client and operation. */
kf_err parts_facts(
	struct op_call *call, const struct parts_request *q, struct parts_facts *ret);
/* Before anything is done: CORRELATION if parts_open() would say so now. */
kf_err parts_check(struct op_call *call, const struct parts_request *q);
/* Back into the table, until the next part.  BUSY: it holds too much, and is gone. */
kf_err parts_put(struct op_call *call, struct parts **take);
void parts_free(struct op_call *call, struct parts **take); /* wipes; NULL is fine */
