/* SPDX-License-Identifier: Apache-2.0 */
/* frame: where one TTLV message ends and the next begins, without copying or allocating.
 *
 * These are the first eight bytes that a stranger controls: tag 0x42...., type Structure, length.
 * Everything is checked as soon as it is there, the length before anybody waits for it.
 */
#pragma once
#include "base/buf.h"

enum frame_result {
	FRAME_MORE,  /* not all there yet; nothing is wrong so far */
	FRAME_READY, /* *ret is the message, and rest has moved behind it */
	FRAME_TOO_BIG, /* the stream cannot be used any more: where the next begins is unknown */
	FRAME_MALFORMED, /* the same */
};

enum { FRAME_HEADER = 8 };

/* `max` is the largest message in bytes, header included.
 *
 *     struct slice rest = buf_slice(&in), message;
 *     while ((r = frame_next(&rest, max, &message)) == FRAME_READY)
 *             handle(message);
 *     buf_consume(&in, in.n - rest.n);
 */
enum frame_result frame_next(struct slice *rest, size_t max, struct slice *ret);
