/* SPDX-License-Identifier: Apache-2.0
 *
 * admin: administration as vendor operations (0x806b66xx): clients, grants, status and backup.
 *
 * The masks of grants are numbers here; what a bit means is policy's.  Every list is pageable: ask
 * with offset 0, then with offset += n until it reaches `total`.  Lists travel as encoded items;
 * X_add() appends one, X_next() reads one with a reader over the slice (ttlv_read()).
 */
#pragma once
#include "kmip/message.h"

struct page {
	int32_t offset;
	int32_t maximum; /* 0: as many as the server likes */
};

/* Client Add: lets a certificate in under a name, or adds one to a name that is there. */
struct client_add_request {
	struct slice name;
	struct slice fingerprint; /* SHA-256 of the DER certificate, 32 bytes */
	int64_t not_after;
};
void client_add_put_request(struct ttlv_writer *w, const struct client_add_request *q);
kf_err client_add_get_request(struct ttlv_reader *r, struct client_add_request *ret);

/* Client Revoke: nothing of this name is let in any more. */
struct client_revoke_request {
	struct slice name;
};
void client_revoke_put_request(
	struct ttlv_writer *w, const struct client_revoke_request *q);
kf_err client_revoke_get_request(
	struct ttlv_reader *r, struct client_revoke_request *ret);

/* Client List, Grant List, Status: the request is a page. */
void page_put_request(struct ttlv_writer *w, const struct page *q);
kf_err page_get_request(struct ttlv_reader *r, struct page *ret);

/* Their answer: a page of items and how many there are in all. */
struct list_response {
	int32_t total;
	struct slice items;
};
void list_put_response(struct ttlv_writer *w, const struct list_response *a);
kf_err list_get_response(struct ttlv_reader *r, struct list_response *ret);

struct admin_client {
	struct slice name;
	bool is_revoked;
	struct slice fingerprint; /* of its newest certificate; one item a certificate */
	int64_t not_after;
};
void admin_client_add(struct buf *items, const struct admin_client *c);
bool admin_client_next(struct ttlv_reader *r, struct admin_client *ret);

/* Grant Add.  In a list the id is there too. */
struct admin_grant {
	struct slice id;  /* empty in Grant Add */
	struct slice who; /* a client's name, or "*" */
	struct slice key; /* an object's id, "name:NAME", "group:GROUP" or "*" */
	uint32_t permissions, constraints;
	/* 0: no limit; at most INT32_MAX.  See struct grant_limits of store/catalog.h. */
	uint32_t rate_per_hour, burst, concurrency;
};
void grant_add_put_request(struct ttlv_writer *w, const struct admin_grant *q);
kf_err grant_add_get_request(struct ttlv_reader *r, struct admin_grant *ret);
void admin_grant_add(struct buf *items, const struct admin_grant *g);
bool admin_grant_next(struct ttlv_reader *r, struct admin_grant *ret);

/* Grant Add's answer and Grant Remove's question: the grant's id. */
struct grant_id {
	struct slice id;
};
void grant_id_put(struct ttlv_writer *w, const struct grant_id *g);
kf_err grant_id_get(struct ttlv_reader *r, struct grant_id *ret);

/* Client Add, Client Revoke and Grant Remove answer with nothing. */
kf_err empty_get(struct ttlv_reader *r);

/* Status: facts as pairs of text. */
struct status_pair {
	struct slice name, value;
};
void status_pair_add(struct buf *items, const struct status_pair *p);
bool status_pair_next(struct ttlv_reader *r, struct status_pair *ret);

/* Policy Test: might this client do this with this key?  Answered with pairs, as Status is. */
struct policy_test_request {
	struct slice who;    /* a client's name, or "admin" */
	struct slice key;    /* an object's id or name */
	uint32_t permission; /* one bit of policy/permission.def */
};
void policy_test_put_request(struct ttlv_writer *w, const struct policy_test_request *q);
kf_err policy_test_get_request(struct ttlv_reader *r, struct policy_test_request *ret);

/* Backup: the copy, a chunk at a time.  The first request (offset 0) makes the copy. */
struct backup_request {
	int64_t offset;
	int32_t maximum; /* bytes; 0: as many as the server likes */
};
struct backup_response {
	int64_t offset, size; /* of this chunk; of the whole copy */
	struct slice chunk;   /* empty at the end */
};
void backup_put_request(struct ttlv_writer *w, const struct backup_request *q);
kf_err backup_get_request(struct ttlv_reader *r, struct backup_request *ret);
void backup_put_response(struct ttlv_writer *w, const struct backup_response *a);
kf_err backup_get_response(struct ttlv_reader *r, struct backup_response *ret);
