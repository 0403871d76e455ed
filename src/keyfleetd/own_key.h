/* SPDX-License-Identifier: Apache-2.0
 *
 * own_key: the key server's own TLS key, where it lives on tokens ([tls] key = pool:NAME).
 *
 * Strangers can ask for such signatures, by no more than a greeting: few of them are at the pool at a
 * time, they yield to what clients ask for, and who goes away takes his along.  A handshake whose turn would
 * come too late fails at once, so that its client tries another key server.
 */
#pragma once
#include "base/list.h"
#include "net/tls_remote.h"
#include <pthread.h>
#include <stdatomic.h>

#define OWN_KEY_PREFIX "pool:"

struct server;

struct own_key {
	struct tls_remote remote;
	_Atomic unsigned waiting, most; /* handshakes at the pool */
	_Atomic uint64_t timeout_ns;    /* of a handshake */
	pthread_mutex_t lock;           /* guards keys */
	struct list keys;               /* those of all certificates in use */
};

/* Finds no key before it is asked to sign: tokens may come later. */
void own_key_init(struct own_key *o, struct server *s);
/* This server proves by this key (SHA-256 of its public half) who it is.  Any thread. */
bool own_key_is(struct own_key *o, const uint8_t key_id[32]);
