/* SPDX-License-Identifier: Apache-2.0 */
/* epoch: when may something be freed that other threads may still be reading?
 *
 * Quiescent states: every loop says once a round that it holds no pointer any more.  A writer swaps
 * a pointer (atomic, release), retires the old value, and it is freed once every reader that was
 * online has said so.  Readers pay one load and one store a round; nothing a request.
 *
 *     reader (a loop):  online ... use pointers ... quiescent ... offline, epoll_wait, online ...
 *     writer:           atomic_store(&table, new); epoch_retire(e, old, free_table); epoch_reclaim(e);
 *
 * Why not liburcu: the version of Debian 12 (0.13) is built on fences and volatile accesses, which
 * ThreadSanitizer does not understand; this is C11 atomics and nothing else, 150 lines.
 *
 * Threads: a reader belongs to the thread that uses it; everything else may be called by anyone.
 */
#pragma once
#include "base/err.h"

struct epoch;
struct epoch_reader;

kf_err epoch_new(struct epoch **ret);
void epoch_free(struct epoch *e); /* no readers any more; frees all that was retired */

kf_err epoch_register(struct epoch *e, struct epoch_reader **ret); /* starts offline */
void epoch_unregister(struct epoch_reader *r);                     /* NULL is fine */

/* Between online and offline the reader may hold pointers, from one quiescent to the next. */
void epoch_online(struct epoch_reader *r);
void epoch_offline(struct epoch_reader *r);
void epoch_quiescent(struct epoch_reader *r);

/* After the pointer was swapped.  free_fn runs in the thread that calls reclaim or synchronize. */
void epoch_retire(struct epoch *e, void *p, void (*free_fn)(void *p));
void epoch_reclaim(struct epoch *e); /* frees what every reader has passed; never waits */
/* Waits until every reader has passed, then frees.  Not for a thread that is online itself. */
void epoch_synchronize(struct epoch *e);
