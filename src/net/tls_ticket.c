/* SPDX-License-Identifier: Apache-2.0
 *
 * Session tickets: sealed with AES-256-CBC and HMAC-SHA-256 (RFC 5077, section 4) under keys that
 * live in this process only, change twice a day and survive a reload of the certificates.
 */
#include "base/clock.h"
#include "net/tls_private.h"
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 16, KEY = 32, LIFE_S = 12 * 3600 };

struct ticket_key {
	uint8_t name[NAME], seal[KEY], mac[KEY];
	uint64_t made_s; /* monotonic; 0: none */
};

struct tls_tickets {
	pthread_mutex_t lock; /* guards both */
	struct ticket_key now, before;
};

static uint64_t now_s(void) { return clock_monotonic_ns() / 1000000000 + 1; }

static bool make_key(struct ticket_key *k)
{
	k->made_s = now_s();
	return RAND_bytes(k->name, NAME) == 1 && RAND_priv_bytes(k->seal, KEY) == 1 &&
	       RAND_priv_bytes(k->mac, KEY) == 1;
}

struct tls_tickets *tls_tickets_new(void)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	if (make_key(&t->now))
		return t;
	tls_tickets_free(t);
	return NULL;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

/* Without randomness the old key stays: tickets are a convenience, handshakes are not. */
static void rotate(struct tls_tickets *t)
{
	struct ticket_key fresh;
	if (now_s() - t->now.made_s < LIFE_S || !make_key(&fresh))
		return;
	t->before = t->now;
	t->now = fresh;
	OPENSSL_cleanse(&fresh, sizeof(fresh));
}

static bool is_key(const struct ticket_key *k, const uint8_t *name)
{
	return k->made_s && now_s() - k->made_s < 2 * LIFE_S &&
	       memcmp(k->name, name, NAME) == 0;
}

/* Copies the key to use; false: not one of ours. */
static bool pick_key(struct tls_tickets *t, const uint8_t *name, bool is_sealing,
	struct ticket_key *ret)
{
	const struct ticket_key *k = NULL;
	pthread_mutex_lock(&t->lock);
	rotate(t);
	if (is_sealing || is_key(&t->now, name))
		k = &t->now;
	else if (is_key(&t->before, name))
		k = &t->before;
	if (k)
		*ret = *k;
	pthread_mutex_unlock(&t->lock);
	return k != NULL;
}

static bool start_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end() };
	return EVP_MAC_init(mac, k->mac, KEY, params) == 1;
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
	struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key k;
	if (!pick_key(c->tickets, name, is_sealing, &k))
		return 0;
	bool is_fine = start_mac(mac, &k);
	if (is_sealing) {
		memcpy(name, k.name, NAME);
		is_fine = is_fine && RAND_bytes(iv, 16) == 1;
	}
	is_fine = is_fine && EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.seal,
				     iv, is_sealing) == 1;
	OPENSSL_cleanse(&k, sizeof(k));
	return is_fine ? 1 : -1;
}

SSL_TICKET_RETURN tls_ticket_opened(SSL *ssl, SSL_SESSION *session,
	const unsigned char *name, size_t name_n, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl, (void)name, (void)name_n, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	X509 *peer = SSL_SESSION_get0_peer(session);
	if (!peer || tls_not_after_s(peer) < clock_wall_s())
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return SSL_TICKET_RETURN_USE_RENEW;
}
