/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/identity.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "crypt/password.h"
#include "keyfleetd/checks.h"
#include "keyfleetd/limit.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FAILURES_MAX = 3, TRIES_MAX = 10, TRIES_S = 600, SLOTS = 1024 };

struct identity {
	bool is_known;
	uint64_t by; /* generation of the passwords it was checked with */
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct who who;
	unsigned failures;
};

void identity_free(struct identity *i)
{
	if (i)
		OPENSSL_cleanse(i, sizeof(*i));
	free(i);
}

/* ---- who has tried what ---- */

struct guard {
	struct checks checks;
	pthread_mutex_t lock; /* guards slot */
	uint64_t seed[2];
	struct {
		uint64_t since_ns;
		unsigned n;
	} slot[SLOTS];
};

kf_err guard_new(struct guard **ret)
{
	struct guard *g = calloc(1, sizeof(*g));
	if (!g)
		return kf_fail(NOMEM, "failed passwords");
	if (getrandom(g->seed, sizeof(g->seed), 0) != sizeof(g->seed)) {
		free(g);
		return kf_fail(CRYPTO, "random numbers");
	}
	pthread_mutex_init(&g->lock, NULL);
	checks_init(&g->checks);
	*ret = g;
	return KF_OK;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	checks_clear(&g->checks);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* By the certificate's client and the name it tried: nobody locks out another. */
static size_t slot_of(const struct guard *g, const struct req *r)
{
	const uint64_t a = map_siphash(g->seed, slice_of(r->peer->who.name));
	const uint64_t b = map_siphash(g->seed, r->credential.username);
	return (a ^ (b << 1 | b >> 63)) % SLOTS;
}

static bool has_tries(struct guard *g, size_t i, uint64_t now_ns)
{
	if (now_ns - g->slot[i].since_ns > TRIES_S * UINT64_C(1000000000))
		g->slot[i].n = 0;
	return g->slot[i].n < TRIES_MAX;
}

static bool may_try(struct guard *g, const struct req *r)
{
	const size_t i = slot_of(g, r);
	pthread_mutex_lock(&g->lock);
	const bool may = has_tries(g, i, loop_now_ns(r->io->loop));
	pthread_mutex_unlock(&g->lock);
	return may;
}

/* Once it is known whether the password was right.  False: others that were checked at the same time have used
 * up the tries, so that nothing is learned from this one. */
static bool settle_try(struct guard *g, const struct req *r, bool is_right)
{
	const uint64_t now_ns = loop_now_ns(r->io->loop);
	const size_t i = slot_of(g, r);
	pthread_mutex_lock(&g->lock);
	const bool counts = has_tries(g, i, now_ns);
	if (counts && !is_right && !g->slot[i].n++)
		g->slot[i].since_ns = now_ns;
	pthread_mutex_unlock(&g->lock);
	return counts;
}

/* ---- the result ---- */

static void record_denial(struct req *r, kf_err why)
{
	uint64_t ticket;
	const struct audit_record a = {
		.phase = AUDIT_DENIED,
		.client = r->peer->who.name,
		.operation = "Authentication",
		.why = why.site->text,
		.correlation = r->header.client_correlation_value,
		.server_correlation = req_server_correlation(r),
		.connection = r->peer->number,
	};
	/* As with every refusal: it is none the less true when the audit cannot take it. */
	kf_err ignored = audit_add(r->io->server->audit, r->io->number, &a, &ticket);
	(void)ignored;
}

static enum step_result fail(struct req *r, kf_err why)
{
	struct identity *i = r->peer->identity;
	record_denial(r, why);
	r->auth_err = why;
	r->is_last |= !i || ++i->failures >= FAILURES_MAX;
	return STEP_NEXT;
}

/* Which of the client's certificates lasts the longest. */
static size_t newest_of(const struct client_row *row)
{
	size_t newest = 0;
	for (size_t i = 1; i < row->certificates; i++)
		if (row->certificate[i].not_after > row->certificate[newest].not_after)
			newest = i;
	return newest;
}

/* The client must be one that is let in, though not with this certificate. */
static kf_err bind_name(struct req *r, struct who *who)
{
	const struct rights *rights = catalog_rights(r->io->server->op.catalog);
	if (who->generation == rights->generation)
		return KF_OK;
	const struct client_row *row = rights_client(rights, who->name);
	if (!row || row->is_revoked || !row->certificates)
		return kf_fail(AUTH, "the user is no client, or a revoked one");
	const size_t i = newest_of(row);
	memcpy(who->fingerprint, row->certificate[i].fingerprint,
		sizeof(who->fingerprint));
	who->not_after = row->certificate[i].not_after;
	if (!policy_bind(rights, who))
		return kf_fail(AUTH, "the user is a revoked client");
	who->generation = rights->generation;
	return KF_OK;
}

/* A password is no way around the end of a client: it lasts as long as its certificates do. */
static kf_err bind_again(struct req *r, struct who *who)
{
	KF_TRY(bind_name(r, who));
	return io_now_s(r->io) <= who->not_after
		       ? KF_OK
		       : kf_fail(AUTH, "the user's certificates have expired");
}

static enum step_result succeed(struct req *r)
{
	struct identity *i = r->peer->identity;
	kf_err e = bind_again(r, &i->who);
	if (!kf_ok(e)) {
		i->is_known = false;
		return fail(r, e);
	}
	r->told = i->who;
	r->is_as_told = true;
	return STEP_NEXT;
}

const struct who *identity_of(const struct req *r)
{
	return r->is_as_told ? &r->told : &r->peer->who;
}

/* ---- checking ---- */

static void check(struct work *w, struct token_session *token)
{
	struct req *r = container_of(w, struct req, work);
	(void)token;
	struct server *s = r->io->server;
	/* A reload in between makes it be checked once more. */
	r->auth_by = atomic_load(&s->passwords_generation);
	r->auth_err = passwords_check(atomic_load(&s->passwords), r->credential.username,
		r->credential.password);
	checks_end(&s->guard->checks, &r->auth_from);
	loop_post(r->io->loop, &r->home);
}

static void learn(struct req *r)
{
	struct identity *i = r->peer->identity;
	*i = (struct identity){
		.is_known = true, .by = r->auth_by, .failures = i->failures
	};
	SHA256(r->header.authentication.p, r->header.authentication.n, i->digest);
	(void)slice_to_text(r->credential.username, i->who.name, sizeof(i->who.name));
	log_notice("client known by its password", LOG_TEXT("client", i->who.name),
		LOG_TEXT("certificate", r->peer->who.name),
		LOG_NUM("connection", r->peer->number));
}

static kf_err too_many(void)
{
	return kf_fail(AUTH, "too many wrong passwords for this user");
}

static enum step_result checked(struct req *r)
{
	kf_err e = r->auth_err;
	if (!r->peer)
		return STEP_NEXT;
	if ((kf_ok(e) || kf_is(e, KF_E_AUTH)) &&
		!settle_try(r->io->server->guard, r, kf_ok(e)))
		return fail(r, too_many());
	if (!kf_ok(e))
		return fail(r, e);
	learn(r);
	return succeed(r);
}

static void come_home(struct loop_message *m)
{
	struct req *r = container_of(m, struct req, home);
	assert(r->magic == REQ_MAGIC);
	enum step_result next = checked(r);
	assert(next == STEP_NEXT);
	req_resume(r);
}

static bool is_known(const struct req *r)
{
	const struct identity *i = r->peer->identity;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256(r->header.authentication.p, r->header.authentication.n, digest);
	return i->is_known &&
	       i->by == atomic_load(&r->io->server->passwords_generation) &&
	       CRYPTO_memcmp(digest, i->digest, sizeof(digest)) == 0;
}

static kf_err choose(struct req *r)
{
	struct kmip_authentication a;
	KF_TRY(kmip_get_authentication(&r->reader, r->header.authentication, &a));
	for (size_t i = 0; i < a.n; i++) {
		if (a.credential[i].type != KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD)
			continue;
		r->credential = a.credential[i];
		return KF_OK;
	}
	return kf_fail(AUTH, "no credential of a kind that is known here");
}

/* The connection may be gone when it is over. */
static kf_err admit_check(struct req *r)
{
	if (r->is_busy)
		return kf_fail(BUSY, "too many requests in flight");
	KF_TRY(limit_client(r, false));
	r->auth_from = r->peer->address;
	return checks_begin(&r->io->server->guard->checks, &io_settings(r->io)->checks,
		&r->auth_from);
}

static enum step_result begin_check(struct req *r)
{
	r->work.run = check;
	r->work.client = NULL; /* that is the question */
	r->work.is_long = false;
	r->home.deliver = come_home;
	r->step++;
	workers_submit(r->io->server->workers, &r->work);
	return STEP_PARKED;
}

enum step_result identity_step(struct req *r)
{
	struct peer *p = r->peer;
	if (!p->identity)
		p->identity = calloc(1, sizeof(*p->identity));
	if (!p->identity)
		return fail(r, kf_fail(NOMEM, "a client's identity"));
	kf_err e = choose(r);
	if (!kf_ok(e))
		return fail(r, e);
	if (is_known(r))
		return succeed(r);
	if (!may_try(r->io->server->guard, r))
		return fail(r, too_many());
	/* It is dear, so the client's limits are asked before, and not only for what it wants then. */
	r->auth_err = admit_check(r);
	return kf_ok(r->auth_err) ? begin_check(r) : STEP_NEXT;
}
