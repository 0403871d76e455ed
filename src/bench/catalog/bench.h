/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-catalog: a key server without a network, with as many objects as one likes: what it takes to find one, to keep
 * them in memory, to load them, to make more.
 */
#pragma once
#include "op/op.h"
#include <semaphore.h>

enum { SLOTS = 256 };

/* One request at a time. */
struct slot {
	struct bench *bench;
	struct op_call call;
	struct change bare; /* without the operation */
	struct buf question, answer;
	uint64_t number;
	struct slot *next; /* that are done */
};

struct bench {
	const char *location;
	const char *master_key; /* a file; NULL: one that everybody knows */
	struct epoch *epoch;
	struct epoch_reader *reader;
	struct keyring *keyring;
	struct store *store;
	struct op_server server;
	struct who who;
	int64_t now_s;
	uint64_t made; /* objects so far; their numbers are in their names */
	struct slot slot[SLOTS];
	_Atomic(struct slot *) done;
	sem_t is_done;
};

/* server.c */
kf_err bench_open(struct bench *b, double *ret_seconds);
void bench_close(struct bench *b);
double seconds_now(void);
double work_now(void); /* of this thread */

/* drive.c */

/* `objects` more, by Create, `slots` at a time; returns how many a second. */
kf_err bench_create(struct bench *b, uint64_t objects, size_t slots, double *ret_rate);
/* The same objects put into the store as they are. */
kf_err bench_put(struct bench *b, uint64_t objects, size_t slots, double *ret_rate);

enum { BY_NAME, BY_GROUP, BY_STATE, BY_NOTHING, WAYS };
/* Locates of one kind, of objects at random; returns microseconds each, and how many were found. */
kf_err bench_locate(
	struct bench *b, int way, unsigned times, double *ret_us, uint64_t *ret_found);
kf_err bench_get(struct bench *b, unsigned times, double *ret_us);
