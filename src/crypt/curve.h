/* SPDX-License-Identifier: Apache-2.0
 *
 * curve: elliptic curves by their domain parameters, which is how cards name them.
 */
#pragma once
#include "crypt/ossl.h"
#include <openssl/ec.h>

struct curve {
	const char *name; /* OpenSSL's */
	size_t bits;
};

static inline size_t curve_size(const struct curve *c) { return (c->bits + 7) / 8; }
static inline void curve_group_freep(EC_GROUP **g) { EC_GROUP_free(*g); }
static inline void curve_point_freep(EC_POINT **p) { EC_POINT_free(*p); }

/* Numbers of the field's length, G as an uncompressed point. */
struct curve_numbers {
	struct buf p, a, b, g, n;
};
void curve_numbers_free(struct curve_numbers *c);

const struct curve *curve_by_name(const char *name); /* NULL when it is none of ours */
/* By its prime and its order: together they tell all curves apart.  NULL: none of ours. */
const struct curve *curve_by_numbers(struct slice p, struct slice n);
EC_GROUP *curve_group(const struct curve *c);
kf_err curve_get_numbers(const struct curve *c, struct curve_numbers *ret);
/* Encodes a point uncompressed. */
kf_err curve_put_point(const EC_GROUP *group, const EC_POINT *point, struct buf *to);
