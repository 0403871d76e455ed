/* SPDX-License-Identifier: Apache-2.0
 *
 * call: KMIP operations as the commands need them.  Messages about failures are printed here.
 */
#pragma once
#include "cli/cli.h"
#include "ttlv/ttlv.h"

enum { CALL_PAYLOAD_MAX = 1 << 20 };

/* A payload under construction: write with `w`, then cli_call(). */
struct payload {
	struct buf bytes;
	struct ttlv_writer w;
};
#define autopayload CLEANUP(payload_clear) struct payload
void payload_init(struct payload *p);
void payload_clear(struct payload *p);

/* Sends the payload; the answer's reader is over ret, which the caller made with buf_new(). */
kf_err cli_call(
	struct cli *c, uint32_t operation, const struct payload *p, struct buf *ret);
/* The same where the answer says no more than that it is done. */
kf_err cli_tell(struct cli *c, uint32_t operation, const struct payload *p);
/* The same for what tokens do: minutes. */
kf_err cli_call_slow(
	struct cli *c, uint32_t operation, const struct payload *p, struct buf *ret);
/* A message in several requests (Correlation Value), all to one server; begins zeroed.  Behind the first, which begins
 * anew wherever it is sent, no part is sent twice, for it would be counted twice. */
struct cli_stream {
	uint32_t server;
	struct buf id; /* of the next part; cli_stream_clear() */
};
kf_err cli_call_part(struct cli *c, uint32_t operation, const struct payload *p,
	struct cli_stream *s, struct buf *ret);
kf_err cli_stream_next(struct cli_stream *s, struct slice correlation_value);
void cli_stream_clear(struct cli_stream *s);
struct ttlv_reader answer_reader(const struct buf *answer);

enum { KEY_ID_TEXT = 129 };

/* INVALID_FIELD: no name for a key. */
kf_err key_name_check(const char *name);

/* A private key by its name or id, or what else has this name or id: a symmetric key, secret data, ... */
struct key_ids {
	char id[KEY_ID_TEXT],            /* of the private key, or of the other object */
		public_key[KEY_ID_TEXT]; /* may be empty */
};
/* NOT_FOUND with a note if there is no such key, CONFLICT if several have the name. */
kf_err key_find(struct cli *c, const char *name_or_id, struct key_ids *ret);
/* Without a note: NOT_FOUND when no private key has the name. */
kf_err key_has_name(struct cli *c, const char *name, struct key_ids *ret);
/* The pair whose public half this is; NOT_FOUND without a note.  Keys that were revoked do not count. */
kf_err key_find_spki(struct cli *c, struct slice spki, struct key_ids *ret);
/* The object of these bytes (DER of a certificate), by its Digest; NOT_FOUND without a note. */
kf_err certificate_find(struct cli *c, struct slice der, char ret[KEY_ID_TEXT]);
/* All attributes, canonical. */
kf_err key_attributes(struct cli *c, const char *id, struct buf *ret);
/* SubjectPublicKeyInfo of a key pair. */
kf_err key_spki(struct cli *c, const struct key_ids *ids, struct buf *ret);

/* Pages of an administration list: while (list_next_page(c, &pages, &e)) read pages.items. */
struct list_pages {
	uint32_t operation;
	int32_t offset, total;
	bool is_started;
	struct buf answer;
	struct slice items;
};
bool list_next_page(struct cli *c, struct list_pages *p, kf_err *ret_err);
