/* SPDX-License-Identifier: Apache-2.0
 *
 * wire: small pieces that the messages and operations of this folder share.
 */
#pragma once
#include "kmip/message.h"

void wire_put_version(struct ttlv_writer *w, uint16_t version);
void wire_get_version(struct ttlv_reader *r, uint16_t *ret);
void wire_adopt_version(struct ttlv_reader *r, uint16_t version);

void wire_put_extension(struct ttlv_writer *w, const struct kmip_extension *e);
void wire_get_extensions(
	struct ttlv_reader *r, struct kmip_extension *ret, bool *ret_unknown_critical);
void wire_put_operation(struct ttlv_writer *w, uint32_t operation);

/* Nothing is written for an empty value or 0. */
void wire_put_text(struct ttlv_writer *w, enum ttlv_tag tag, struct slice s);
void wire_put_bytes(struct ttlv_writer *w, enum ttlv_tag tag, struct slice s);
void wire_put_enum(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t v);
bool wire_knows(const struct ttlv_writer *w, uint32_t tag);
/* False only for a value that the standard gave to another version. */
bool wire_knows_value(const struct ttlv_writer *w, uint32_t tag, uint32_t value);
/* The items that are left, unread. */
struct slice wire_rest(const struct ttlv_reader *r);

/* Correlation Value, Init Indicator and Final Indicator of a stream. */
void wire_put_stream(
	struct ttlv_writer *w, struct slice correlation, bool is_first, bool is_last);
void wire_get_stream(
	struct ttlv_reader *r, struct slice *correlation, bool *is_first, bool *is_last);
/* Data.  2.x also allows references to the output of another batch item: FEATURE. */
bool wire_opt_data(struct ttlv_reader *r, struct slice *ret);

/* The request or response that is one Unique Identifier. */
kf_err wire_get_only_uid(struct ttlv_reader *r, struct kmip_uid *ret);

/* What a buffer got since it had `at` bytes. */
struct slice wire_since(const struct buf *b, size_t at);
/* Protection Storage Masks are a wish that we do not keep. */
void wire_skip_masks(struct ttlv_reader *r, enum ttlv_tag tag);
/* 1.x: attributes that the server set, echoed in its answer. */
void wire_skip_template(struct ttlv_reader *r, enum ttlv_tag tag);
