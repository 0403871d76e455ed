/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/admit.h"
#include "base/log.h"
#include "keyfleetd/client.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/req.h"
#include "keyfleetd/server.h"
#include <string.h>

/* Of connections looked at in a second without being asked; each costs a verification at worst. */
enum { SWEEP_MAX = 500 };

static const struct rights *rights_of(const struct peer *p)
{
	return catalog_rights(p->io->server->op.catalog);
}

static uint64_t configuration_of(const struct peer *p)
{
	return io_settings(p->io)->generation;
}

/* ---- the certificate ---- */

static struct verified *place_of(struct peer *p)
{
	return &p->io->verified[p->who.fingerprint[0] % VERIFIED_MAX];
}

/* Only what is good is kept: what fails may lack the intermediates of a resumed session. */
static kf_err verify(struct peer *p)
{
	const uint64_t now = configuration_of(p);
	struct verified *v = place_of(p);
	bool is_known = v->generation == now &&
			memcmp(v->fingerprint, p->who.fingerprint, 32) == 0;
	if (!is_known)
		KF_TRY(tls_recheck(p->stream));
	v->generation = now;
	memcpy(v->fingerprint, p->who.fingerprint, 32);
	p->tls_generation = now;
	return KF_OK;
}

/* ---- the name ---- */

static kf_err name_client(struct peer *p, const struct rights *rights)
{
	struct who *who = &p->who;
	who->is_admin = settings_is_admin(io_settings(p->io), who->fingerprint);
	if (who->is_admin) {
		strcpy(who->name, ADMIN_NAME);
		return KF_OK;
	}
	const struct client_row *row = rights_certificate(rights, who->fingerprint);
	if (!row || row->is_revoked)
		return kf_fail(
			AUTH, "certificate belongs to no client, or to a revoked one");
	memcpy(who->name, row->name, sizeof(who->name));
	return KF_OK;
}

kf_err admit(struct peer *p)
{
	struct who *who = &p->who;
	const struct rights *rights = rights_of(p);
	p->settings_generation = configuration_of(p);
	KF_TRY(name_client(p, rights));
	/* What it uses is counted under the name that it came with. */
	if (p->slot && strcmp(p->slot->name, who->name) != 0)
		return kf_fail(AUTH, "certificate belongs to another client now");
	if (!policy_bind(rights, who))
		return kf_fail(AUTH, "client is revoked");
	who->generation = rights->generation;
	if (io_now_s(p->io) > who->not_after)
		return kf_fail(AUTH, "certificate has expired");
	return KF_OK;
}

static bool is_as_before(const struct peer *p)
{
	const uint64_t configuration = configuration_of(p);
	return rights_of(p)->generation == p->who.generation &&
	       configuration == p->settings_generation &&
	       configuration == p->tls_generation && io_now_s(p->io) <= p->who.not_after;
}

kf_err admit_again(struct peer *p)
{
	if (is_as_before(p))
		return KF_OK;
	kf_err e = admit(p);
	if (kf_ok(e) && configuration_of(p) != p->tls_generation)
		e = verify(p);
	if (kf_ok(e))
		return e;
	if (p->state == PEER_OPEN) /* else it has been told already */
		log_notice("client refused", LOG_NUM("connection", p->number),
			LOG_TEXT("client", p->who.name), LOG_ERR(e));
	return e;
}

/* ---- answers ---- */

/* Of a change that was made the client is told. */
static bool may_be_taken_back(const struct req *r, const struct rights *now)
{
	const struct op *op = r->call.op;
	return now->generation != r->who.generation && op->needs_object &&
	       !op->changes_store && !r->call.is_pending;
}

kf_err admit_answer(struct req *r)
{
	const bool is_batch = r->header.batch_count > 1;
	if (r->is_refused || (!is_batch && !kf_ok(r->err)))
		return KF_OK; /* tells nothing */
	KF_TRY(admit_again(r->peer));
	if (is_batch || !may_be_taken_back(r, rights_of(r->peer)))
		return KF_OK;
	KF_TRY(op_authorise(&r->call));
	return r->call.decision.unkept
		       ? kf_fail(DENIED, "the grant's constraints do not allow it")
		       : KF_OK;
}

/* ---- those who ask for nothing ---- */

static void sweep_next(struct io *io)
{
	struct peer *p = container_of(io->peers.next, struct peer, link);
	list_remove(&p->link);
	list_add_tail(&io->peers, &p->link);
	if (p->state == PEER_OPEN && !kf_ok(admit_again(p)))
		peer_end(p);
}

/* Whoever comes later than the change stands behind, and has been looked at already. */
static void begin_sweep(struct io *io)
{
	struct sweep now = { .rights = catalog_rights(io->server->op.catalog)->generation,
		.configuration = io_settings(io)->generation };
	if (now.rights == io->sweep.rights &&
		now.configuration == io->sweep.configuration)
		return;
	now.left = atomic_load(&io->connections);
	io->sweep = now;
}

void admit_sweep(struct io *io)
{
	begin_sweep(io);
	for (int i = 0; i < SWEEP_MAX && io->sweep.left && !list_is_empty(&io->peers);
		i++, io->sweep.left--)
		sweep_next(io);
}
