/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/checks.h"
#include <netinet/in.h>
#include <string.h>

enum { NETWORK = 8 }; /* bytes of an IPv6 address that one customer is given */

void checks_init(struct checks *c)
{
	*c = (struct checks){ 0 };
	pthread_mutex_init(&c->lock, NULL);
}

void checks_clear(struct checks *c) { pthread_mutex_destroy(&c->lock); }

static void key_of_4(const struct address *a, uint8_t ret[16])
{
	struct sockaddr_in in;
	memcpy(&in, &a->sa, sizeof(in));
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &in.sin_addr, 4);
}

/* A socket of both families shows IPv4 addresses as IPv6 ones. */
static void key_of_6(const struct address *a, uint8_t ret[16])
{
	struct sockaddr_in6 in;
	memcpy(&in, &a->sa, sizeof(in));
	memcpy(ret, &in.sin6_addr, IN6_IS_ADDR_V4MAPPED(&in.sin6_addr) ? 16 : NETWORK);
}

static void key_of(const struct address *a, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (a->sa.ss_family == AF_INET)
		key_of_4(a, ret);
	else if (a->sa.ss_family == AF_INET6)
		key_of_6(a, ret);
}

static kf_err add(
	struct checks *c, const struct checks_limits *limits, const uint8_t key[16])
{
	unsigned of_one = 0;
	if (c->n >= limits->most || c->n >= CHECKS_MAX)
		return kf_fail(BUSY, "too many passwords are being checked");
	for (unsigned i = 0; i < c->n; i++)
		of_one += memcmp(c->of[i], key, 16) == 0;
	if (of_one >= limits->of_one)
		return kf_fail(
			BUSY, "too many passwords of this address are being checked");
	memcpy(c->of[c->n++], key, 16);
	return KF_OK;
}

kf_err checks_begin(
	struct checks *c, const struct checks_limits *limits, const struct address *a)
{
	uint8_t key[16];
	key_of(a, key);
	pthread_mutex_lock(&c->lock);
	kf_err e = add(c, limits, key);
	pthread_mutex_unlock(&c->lock);
	return e;
}

static void drop(struct checks *c, const uint8_t key[16])
{
	for (unsigned i = 0; i < c->n; i++) {
		if (memcmp(c->of[i], key, 16) != 0)
			continue;
		memcpy(c->of[i], c->of[--c->n], 16);
		return;
	}
}

void checks_end(struct checks *c, const struct address *a)
{
	uint8_t key[16];
	key_of(a, key);
	pthread_mutex_lock(&c->lock);
	drop(c, key);
	pthread_mutex_unlock(&c->lock);
}
