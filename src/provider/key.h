/* SPDX-License-Identifier: Apache-2.0
 *
 * key: a key as OpenSSL holds it here.  A reference has an id; its private half is in the key servers.
 * A key without an id is a public key that OpenSSL brought to compare it with one of ours.
 *
 * Immutable once complete, counted, shared by threads.
 */
#pragma once
#include "client/keyref.h"
#include "crypt/alg.h"
#include "provider/provider.h"
#include <openssl/evp.h>

struct key;

struct key *key_new(
	const struct provider *p, enum alg_family family); /* NULL: no memory */
struct key *key_share(const struct key *key);
void key_free(struct key *key); /* gives up one share; NULL is fine */

/* The public half, DER, of a reference; false and no error in the queue if it is not of the family. */
bool key_set_reference(struct key *key, const struct keyref *ref);
void key_take_public(struct key *key, EVP_PKEY *pub);

const struct provider *key_provider(const struct key *key);
enum alg_family key_family(const struct key *key);
const char *key_type(const struct key *key); /* "RSA", "EC", "ED25519" */
EVP_PKEY *key_public(
	const struct key *key); /* in the provider's own context; NULL: none yet */
struct slice key_id(const struct key *key); /* empty: not a reference */
size_t key_size(
	const struct key *key); /* of the largest signature, and of RSA's modulus */
