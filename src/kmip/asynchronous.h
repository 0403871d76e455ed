/* SPDX-License-Identifier: Apache-2.0
 *
 * Poll, Cancel, Process and Query Asynchronous Requests.
 */
#pragma once
#include "kmip/message.h"

enum { ASYNCHRONOUS_ID_SIZE = 16, ASYNCHRONOUS_FILTER_MAX = 64 };

/* The answer to Poll is that of the operation itself, the one to Process is empty. */
struct asynchronous_request {
	struct slice id; /* Asynchronous Correlation Value */
};

struct cancel_response {
	struct slice id;
	uint32_t result; /* KMIP_CANCELLATION_RESULT_... */
};

struct query_asynchronous_request {
	bool has_ids, has_operations; /* which are wanted; without both: all */
	size_t ids, operations;
	struct slice id[ASYNCHRONOUS_FILTER_MAX];
	uint32_t operation[ASYNCHRONOUS_FILTER_MAX];
};

struct asynchronous_row {
	struct slice id;
	uint32_t operation;
	int64_t submitted_s;
	uint32_t stage; /* KMIP_PROCESSING_STAGE_... */
};

void asynchronous_put_request(
	struct ttlv_writer *w, const struct asynchronous_request *q);
kf_err asynchronous_get_request(struct ttlv_reader *r, struct asynchronous_request *ret);
void cancel_put_response(struct ttlv_writer *w, const struct cancel_response *a);
kf_err cancel_get_response(struct ttlv_reader *r, struct cancel_response *ret);
void query_asynchronous_put_request(
	struct ttlv_writer *w, const struct query_asynchronous_request *q);
kf_err query_asynchronous_get_request(
	struct ttlv_reader *r, struct query_asynchronous_request *ret);

/* A response is any number of rows.  False: no more; the reader says whether that is right. */
void asynchronous_put_row(struct ttlv_writer *w, const struct asynchronous_row *row);
bool asynchronous_next_row(struct ttlv_reader *r, struct asynchronous_row *ret);
