/* SPDX-License-Identifier: Apache-2.0
 *
 * answer: how a request's outcome becomes a response.
 *
 * A single item is written when its turn has come, straight into the connection's buffer.  The items
 * of a batch are written one after the other into a buffer of the request.
 */
#pragma once
#include "keyfleetd/req.h"

/* Maximum Response Size, before anything is done that cannot be taken back: RESPONSE_TOO_BIG if an answer
 * with a payload of so many bytes would be too large. */
kf_err answer_check_room(const struct req *r, size_t payload);

/* The item has failed. */
enum step_result answer_fail(struct req *r, kf_err e);
/* Step: the item is done, or will have been once its answer is written. */
enum step_result answer_item(struct req *r);
/* An item of a batch has failed that is undone in such a case; that was tried. */
enum step_result answer_undone(struct req *r, bool is_undone);
/* Of a request that is_later: for whoever will ask. */
void answer_later(struct req *r);
/* The whole response into the peer's buffer. */
void answer_write(struct req *r);
