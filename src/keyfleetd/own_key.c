/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/own_key.h"
#include "base/clock.h"
#include "keyfleetd/server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key {
	struct list link; /* of the server's */
	struct server *server;
	uint8_t id[KEY_ID_SIZE];
	struct token_key *token_key;
};

struct job {
	struct pool_job pool;
	struct sign_job sign;
	struct tls_signing *signing;
	struct own_key *own;
};

/* Pools are opened at the start only, after the TLS context: a reload can name one that is not in use. */
static kf_err check_pool(const struct server *s, const char *name)
{
	if (!s->io || (s->pools && kf_ok(pool_check(s->pools, name, false))))
		return KF_OK;
	return kf_fail(CONFIG, "this pool is in use from the next start on only");
}

static void enlist(struct own_key *o, struct key *k)
{
	pthread_mutex_lock(&o->lock);
	list_add_tail(&o->keys, &k->link);
	pthread_mutex_unlock(&o->lock);
}

bool own_key_is(struct own_key *o, const uint8_t key_id[32])
{
	bool is = false;
	pthread_mutex_lock(&o->lock);
	list_each(l, &o->keys) is |=
		!memcmp(container_of(l, struct key, link)->id, key_id, KEY_ID_SIZE);
	pthread_mutex_unlock(&o->lock);
	return is;
}

static kf_err find(void *arg, const char *name, struct slice spki, void **ret)
{
	struct pool_key in = { .spki = spki };
	KF_TRY(check_pool(arg, name));
	struct key *k = calloc(1, sizeof(*k));
	if (!k)
		return kf_fail(NOMEM, "key of this server");
	snprintf(in.pool, sizeof(in.pool), "%s", name);
	kf_err e = pool_key_new(&in, &k->token_key);
	if (!kf_ok(e)) {
		free(k);
		return e;
	}
	k->server = arg;
	spki_id(spki, k->id);
	enlist(&k->server->own_key, k);
	*ret = k;
	return KF_OK;
}

static void release(void *key)
{
	struct key *k = key;
	pthread_mutex_lock(&k->server->own_key.lock);
	list_remove(&k->link);
	pthread_mutex_unlock(&k->server->own_key.lock);
	token_key_put(k->token_key);
	free(k);
}

/* Until then the pool may be asked to cancel it, for which it needs the key. */
static void forget(struct tls_signing *s)
{
	struct job *j = s->job;
	struct token_key *key = j->sign.key;
	sign_job_clear(&j->sign);
	token_key_put(key);
	atomic_fetch_sub(&j->own->waiting, 1);
}

/* On a thread of the pool's. */
static void done(struct pool_job *p)
{
	struct job *j = container_of(p, struct job, pool);
	struct tls_signing *s = j->signing;
	s->err = j->sign.err;
	if (kf_ok(s->err) && j->sign.sig_n <= sizeof(s->sig)) {
		memcpy(s->sig, j->sign.sig, j->sign.sig_n);
		s->sig_n = j->sign.sig_n;
	}
	tls_signed(s);
}

static const struct mech *mech_of(const struct tls_signing *s, const struct alg *alg)
{
	const struct hash *hash = hash_by_name(s->hash);
	enum mech_scheme scheme = alg->family == FAMILY_EC ? SCHEME_ECDSA
				  : s->is_pss              ? SCHEME_RSA_PSS
							   : SCHEME_RSA_PKCS1;
	return hash ? mech_find(scheme, hash->id) : NULL;
}

static kf_err enter(struct own_key *o)
{
	if (atomic_fetch_add(&o->waiting, 1) < atomic_load(&o->most))
		return KF_OK;
	atomic_fetch_sub(&o->waiting, 1);
	return kf_fail(BUSY, "too many handshakes wait for the key of this server");
}

static kf_err sign(void *key, struct tls_signing *s)
{
	const struct key *k = key;
	struct job *j = s->job;
	const struct mech *mech = mech_of(s, k->token_key->alg);
	if (!k->server->pools)
		return kf_fail(UNAVAILABLE, "no pool for the key of this server");
	if (!mech)
		return kf_fail(UNSUPPORTED, "digest for the key of this server");
	KF_TRY(enter(&k->server->own_key));
	j->own = &k->server->own_key;
	j->signing = s;
	j->sign = (struct sign_job){ .key = token_key_get(k->token_key),
		.mech = mech,
		.salt = SALT_AS_DIGEST,
		.is_digest = true,
		.n = s->n };
	memcpy(j->sign.data, s->digest, s->n);
	j->pool = (struct pool_job){ .sign = &j->sign,
		.yields = true,
		.deadline_ns = clock_monotonic_ns() + atomic_load(&j->own->timeout_ns),
		.done = done };
	kf_err e = pool_submit(k->server->pools, &j->pool);
	if (!kf_ok(e))
		forget(s);
	return e;
}

static bool cancel(void *key, struct tls_signing *s)
{
	const struct key *k = key;
	struct job *j = s->job;
	return pool_cancel(k->server->pools, &j->pool);
}

void own_key_init(struct own_key *o, struct server *s)
{
	o->remote = (struct tls_remote){ .prefix = OWN_KEY_PREFIX,
		.job_size = sizeof(struct job),
		.find = find,
		.sign = sign,
		.cancel = cancel,
		.forget = forget,
		.release = release,
		.arg = s };
	pthread_mutex_init(&o->lock, NULL);
	list_init(&o->keys);
}
