/* SPDX-License-Identifier: Apache-2.0
 *
 * later: requests that are carried out while their client does something else: what was asked, how far it
 * is, and, once it is done, the answer, until it has been fetched or has grown old.  Known by the
 * Asynchronous Correlation Value; only the client that asked may ask about it, by any connection to this
 * server.  Forgotten when the server stops.  Any thread.
 */
#pragma once
#include "base/buf.h"
#include "store/object.h"

struct op_later;

enum { LATER_ID_SIZE = 16 };

/* Zero means the default in brackets. */
struct op_later_conf {
	unsigned most;        /* of all clients; more are answered with busy [256] */
	unsigned client_most; /* of one [32] */
	int64_t keep_s;       /* how long an answer is kept [600] */
	size_t bytes;         /* all answers together [16 MiB] */
};

/* KMIP Processing Stage */
enum later_stage { LATER_SUBMITTED = 1, LATER_IN_PROCESS, LATER_COMPLETED };

kf_err op_later_new(const struct op_later_conf *conf, struct op_later **ret);
void op_later_free(struct op_later *l); /* NULL is fine */

/* --- by whoever carries it out --- */

/* What its client must still be allowed when it fetches the answer. */
struct later_right {
	char object
		[OBJECT_ID_SIZE]; /* "": nothing; it tells of no object that was there */
	uint32_t permission;
	uint32_t constraints; /* of a signature: those that are kept */
};
struct op_call;
/* Of an operation that has been authorised; on the loop. */
struct later_right later_right_of(const struct op_call *call);

struct later_request {
	struct later_right right;
	const char *client;
	uint32_t operation;
	uint16_t version;
	int64_t now_s;
};
/* BUSY: too many. */
kf_err op_later_add(
	struct op_later *l, const struct later_request *q, uint8_t ret_id[LATER_ID_SIZE]);
/* It is about to be done.  CANCELED: it must not be any more; then comes op_later_end() with that. */
kf_err op_later_begin(struct op_later *l, const uint8_t id[LATER_ID_SIZE]);
/* `take` is the content of the response payload. */
void op_later_end(struct op_later *l, const uint8_t id[LATER_ID_SIZE], int64_t now_s,
	kf_err result, struct buf *take);

/* --- by its client; NOT_OUTSTANDING for whatever is not known, or another's --- */

struct later_name {
	const char *client;
	struct slice id;
	int64_t now_s;
};

struct later_answer {
	struct later_right right; /* whoever fetches it must still have it */
	bool is_pending;
	uint32_t operation;
	uint16_t version;
	enum kf_code code; /* KF_E_NONE: payload */
};
/* `payload` gets a copy: whoever did not get the answer may ask again until it is too old. */
kf_err op_later_poll(struct op_later *l, const struct later_name *name,
	struct later_answer *ret, struct buf *payload);

/* KMIP_CANCELLATION_RESULT_...; what is not known is Unavailable. */
uint32_t op_later_cancel(struct op_later *l, const struct later_name *name);

/* Tells when it is done, on any thread, once; at once if it is.  DUPLICATE: somebody waits already. */
struct later_wait {
	void (*done)(struct later_wait *w);
};
kf_err op_later_wait(
	struct op_later *l, const struct later_name *name, struct later_wait *w);

struct later_row {
	uint8_t id[LATER_ID_SIZE];
	uint32_t operation;
	int64_t submitted_s;
	enum later_stage stage;
};
/* The client's i-th, oldest first; false: no more.  What comes and goes meanwhile may be missed. */
bool op_later_row(struct op_later *l, const char *client, size_t i, int64_t now_s,
	struct later_row *ret);
