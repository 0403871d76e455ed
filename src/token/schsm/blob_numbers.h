/* SPDX-License-Identifier: Apache-2.0
 *
 * blob_numbers: the inside of a key blob: numbers, each after its length in two bytes.  Inside this
 * folder only.
 */
#pragma once
#include "crypt/ossl.h"
#include "token/schsm/blob.h"

/* A reader that remembers its first failure. */
struct numbers {
	struct slice rest;
	bool failed;
};
struct slice numbers_take(struct numbers *r, size_t n);
struct slice numbers_next(struct numbers *r); /* after its length */
void numbers_put(struct buf *to, struct slice number);

/* Random bytes and the size, with which every plaintext begins. */
kf_err numbers_begin(size_t size, struct buf *to);
size_t numbers_skip_begin(struct numbers *r);

/* KEY_FORMAT: a key that cards do not know. */
kf_err numbers_of_key(const EVP_PKEY *pkey, enum blob_kind *ret_kind, struct buf *to);
/* The numbers must make a consistent key: halves that belong together. */
kf_err numbers_to_key(enum blob_kind kind, struct numbers *r, EVP_PKEY **ret);
