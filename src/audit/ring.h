/* SPDX-License-Identifier: Apache-2.0
 *
 * ring: bytes on their way from one loop to the audit worker.  One producer, one consumer, no lock.
 * What the producer puts is seen by the consumer after ring_publish(), whole records at a time.
 */
#pragma once
#include "base/buf.h"
#include <stdalign.h>
#include <stdatomic.h>

struct ring {
	/* the producer's */
	alignas(64) uint8_t *p;
	size_t size;         /* a power of two */
	uint64_t put;        /* bytes ever put */
	uint64_t seen_taken; /* what `taken` was when last read */
	_Atomic uint64_t published;

	/* the consumer's */
	alignas(64) _Atomic uint64_t taken; /* bytes ever taken */
};

kf_err ring_init(struct ring *r, size_t size); /* rounded up to a power of two */
void ring_clear(struct ring *r);

/* producer */
bool ring_put(struct ring *r, struct slice s); /* false: no room */
void ring_publish(struct ring *r);

/* consumer */
size_t ring_length(const struct ring *r); /* bytes that are published and not taken */
/* Copies at most `size` bytes, whole lines only, without taking them; returns how many. */
size_t ring_peek(const struct ring *r, uint8_t *ret, size_t size);
void ring_take(struct ring *r, size_t n);
