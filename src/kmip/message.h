/* SPDX-License-Identifier: Apache-2.0
 *
 * message: header and batch items of requests and responses, for both ends and every version.
 *
 * A request is written and read in the same order of calls:
 *
 *   kmip_put_request_header()            kmip_get_request_header()
 *   for each item:                       for each of header.batch_count:
 *     kmip_put_request_item_begin()        kmip_get_request_item() -> payload
 *       sign_put_request() ...               sign_get_request() on kmip_payload(&r, item.payload)
 *     kmip_put_request_item_end()
 *   kmip_put_request_end()               kmip_get_request_end()
 *
 * and a response alike.  Every get zeroes *ret before it reads; slices point into the message.
 */
#pragma once
#include "ttlv/ttlv.h"

enum {
	KMIP_1_0 = 0x0100,
	KMIP_1_1 = 0x0101,
	KMIP_1_2 = 0x0102,
	KMIP_1_3 = 0x0103,
	KMIP_1_4 = 0x0104,
	KMIP_2_0 = 0x0200,
	KMIP_2_1 = 0x0201,

	KMIP_HEAD = 8, /* bytes that tell how long a message is */
	KMIP_REQUEST_ID_SIZE = 16,
	KMIP_BATCH_MAX = 1024, /* more items than a message of any sane size holds */
};

bool kmip_knows(uint16_t version);
static inline bool kmip_is_2(uint16_t version) { return version >= KMIP_2_0; }

/* The whole length of the message that begins with these 8 bytes.  MALFORMED if it is neither a
 * request nor a response, TOO_BIG above the limit. */
kf_err kmip_message_length(const uint8_t head[KMIP_HEAD], size_t limit, size_t *ret);

/* Unique Identifier.  2.x knows three forms; text is the only one before. */
enum kmip_uid_kind { KMIP_UID_ABSENT, KMIP_UID_TEXT, KMIP_UID_ENUM, KMIP_UID_INT };
struct kmip_uid {
	enum kmip_uid_kind kind;
	struct slice text; /* KMIP_UID_TEXT */
	int32_t number;    /* KMIP_UNIQUE_IDENTIFIER_..., or n-th batch item */
};
struct kmip_uid kmip_uid_text(struct slice id);
void kmip_put_uid(struct ttlv_writer *w, enum ttlv_tag tag, const struct kmip_uid *uid);
/* Absent if it is not there. */
void kmip_get_uid(struct ttlv_reader *r, enum ttlv_tag tag, struct kmip_uid *ret);

/* Which limit a request is over, as our Message Extension says it: all have one Result Reason. */
enum kmip_limit {
	KMIP_LIMIT_NONE,
	KMIP_LIMIT_CLIENT_RATE,
	KMIP_LIMIT_CLIENT_REQUESTS,
	KMIP_LIMIT_GRANT_RATE,
	KMIP_LIMIT_GRANT_REQUESTS,
};
enum kmip_limit kmip_limit_of(enum kf_code code);

/* What our Message Extension ("keyfleet", not critical) carries.  Servers and clients that do not
 * know it ignore it. */
struct kmip_extension {
	struct slice
		request_id;  /* 16 bytes: the same in every retry and copy; or empty */
	int32_t deadline_ms; /* how long the client will wait; 0: not said */
	/* Milliseconds of the client's own clock, modulo 2^31; only differences mean anything. */
	bool has_sent_at;
	int32_t sent_at_ms;
	/* The user on the client's host on whose behalf it asks, for the audit: its word, no identity. */
	bool has_user;
	int32_t user;
	int32_t limit; /* enum kmip_limit: which one a refused request is over; 0: none */
	bool has_load;
	int32_t load; /* 0..10000, of the server that answers */
	/* What an operation with this key, which is on tokens, would wait for one now. */
	bool has_expected_wait;
	int32_t expected_wait_us;
	/* RSA key exchange of TLS: the version the client asked for and the negotiated one, as on the
	 * wire (0x0303); 0: not a TLS decryption. */
	uint16_t tls_client_version, tls_negotiated_version;
	/* Unique Batch Item ID of an earlier request of this connection that nobody waits for; or empty */
	struct slice abandoned;
};

/* --- requests --- */

struct kmip_request_header {
	uint16_t version;
	bool is_lenient; /* same major version, a minor that we do not know */
	int32_t maximum_response_size; /* 0: none given */
	struct slice client_correlation_value, server_correlation_value;
	/* KMIP_ASYNCHRONOUS_INDICATOR_...; 0: absent, means Prohibited.  The Boolean of 1.x is Optional. */
	uint32_t asynchronous;
	struct slice authentication;       /* the whole item, unread; empty: none */
	uint32_t batch_error_continuation; /* 0: absent, means Stop */
	bool is_ordered; /* Batch Order Option, or the default of the version */
	bool has_time_stamp;
	int64_t time_stamp;
	int32_t batch_count; /* 1..KMIP_BATCH_MAX */
};

struct kmip_request_item {
	uint32_t operation;
	struct slice batch_id; /* Unique Batch Item ID; empty: none */
	struct slice
		payload; /* content of Request Payload; read it with kmip_payload() */
	bool is_ephemeral;
	bool has_unknown_critical_extension; /* answer with FEATURE */
	struct kmip_extension extension;
};

/* The version a message says it is, found with as little trust as possible; 0: none found. */
uint16_t kmip_version(struct slice message);

/* The reader becomes one of the message's version.  VERSION for a major version that we do not know. */
kf_err kmip_get_request_header(struct ttlv_reader *r, struct kmip_request_header *ret);
kf_err kmip_get_request_item(struct ttlv_reader *r, struct kmip_request_item *ret);
kf_err kmip_get_request_end(struct ttlv_reader *r); /* nothing may follow */
struct ttlv_reader kmip_payload(const struct ttlv_reader *message, struct slice payload);

/* `is_ordered`, `version` and the rest as above; the writer takes the header's version. */
void kmip_put_request_header(struct ttlv_writer *w, const struct kmip_request_header *h);
void kmip_put_request_item_begin(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id);
void kmip_put_request_item_end(
	struct ttlv_writer *w, const struct kmip_extension *ext); /* or NULL */
kf_err kmip_put_request_end(struct ttlv_writer *w);

/* --- responses --- */

struct kmip_response_header {
	uint16_t version;
	int64_t time_stamp;
	struct slice client_correlation_value, server_correlation_value;
	int32_t batch_count;
};

struct kmip_response_item {
	uint32_t operation;    /* 0: none was understood */
	struct slice batch_id; /* echo */
	uint32_t status;       /* KMIP_RESULT_STATUS_... */
	uint32_t reason;       /* when failed */
	struct slice message;
	struct slice asynchronous_correlation_value;
	struct slice payload; /* content of Response Payload; empty where there is none */
	struct kmip_extension extension;
};

/* *ret_count_at (may be NULL) is where the batch count can be corrected once it is known. */
void kmip_put_response_header(struct ttlv_writer *w, const struct kmip_response_header *h,
	size_t *ret_count_at);
void kmip_set_batch_count(struct buf *out, size_t count_at, int32_t count);
/* A success: what follows is the payload's content. */
void kmip_put_response_item_begin(
	struct ttlv_writer *w, uint32_t operation, struct slice batch_id);
void kmip_put_response_item_end(
	struct ttlv_writer *w, const struct kmip_extension *ext); /* or NULL */
/* A failure, whole.  The Result Message is the text of the code (err.def), never more. */
void kmip_put_response_failure(struct ttlv_writer *w, uint32_t operation,
	struct slice batch_id, enum kf_code code, const struct kmip_extension *ext);
/* It is being carried out: `id` is what to Poll for. */
void kmip_put_response_pending(struct ttlv_writer *w, uint32_t operation,
	struct slice batch_id, struct slice id);
/* Batch Undo: an earlier success that was taken back.  `payload` is the content of its payload. */
void kmip_put_response_undone(struct ttlv_writer *w, uint32_t operation,
	struct slice batch_id, struct slice payload);
kf_err kmip_put_response_end(struct ttlv_writer *w);

/* The whole answer to a message that cannot be answered in its own terms: it cannot be parsed, is
 * of a major version that we do not know, or may not be served at all.  `version` 0 or unknown:
 * the newest of ours with the same major, or 1.4. */
kf_err kmip_put_refusal(
	struct buf *out, uint16_t version, enum kf_code code, int64_t now_s);

kf_err kmip_get_response_header(struct ttlv_reader *r, struct kmip_response_header *ret);
kf_err kmip_get_response_item(struct ttlv_reader *r, struct kmip_response_item *ret);
kf_err kmip_get_response_end(struct ttlv_reader *r);
/* KF_OK for Success; what a Result Reason means to the caller otherwise. */
kf_err kmip_result(const struct kmip_response_item *item);
