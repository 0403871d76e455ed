/* SPDX-License-Identifier: Apache-2.0
 *
 * point: how a point of an elliptic curve is written (ANSI X9.62, 4.3.6): its first byte says in which form.
 * Keys are kept and known by the uncompressed one.
 */
#pragma once
#include "crypt/alg.h"

enum point_form { POINT_COMPRESSED = 2, POINT_UNCOMPRESSED = 4, POINT_HYBRID = 6 };

enum { POINT_SIZE_MAX = 1 + 2 * 66 };

bool point_is(struct slice point, enum point_form form);

/* From any form; INVALID_FIELD: it is no point of this curve. */
kf_err point_convert(
	const struct alg *alg, struct slice point, enum point_form form, struct buf *ret);

/* In and out of a SubjectPublicKeyInfo, in whatever form it is there.  KEY_FORMAT: it holds none. */
kf_err point_of_spki(struct slice spki, struct buf *ret);
kf_err point_to_spki(const struct alg *alg, struct slice point, struct buf *ret);
