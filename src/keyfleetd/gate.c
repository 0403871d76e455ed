/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/gate.h"
#include "keyfleetd/server.h"
#include "kmip/message.h"
#include <stdlib.h>
#include <string.h>

static const char *const protocols[] = { "keyfleet/1", "kmip", NULL };

static const struct profile {
	const char *ciphers_1_2;
	uint16_t newest;
} profiles[] = {
#define X(id, name, suites, newest, text) { suites, newest },
#include "keyfleetd/profile.def"
#undef X
};

/* ---- files ---- */

static const struct listener_options *section_of(
	const struct conf *c, const struct gate *g)
{
	for (size_t i = 0; g->name && i < c->listeners.n; i++)
		if (!strcmp(config_listener(c, i)->name, g->name))
			return config_listener(c, i);
	return NULL;
}

/* What a section does not say is that of [tls]. */
static struct tls_files files_of(const struct conf *c, const struct gate *g)
{
	struct tls_files f = { c->certificate, c->key, c->ca, c->crl };
	const struct listener_options *o = section_of(c, g);
	if (o && o->certificate)
		f.certificate = o->certificate;
	if (o && o->key)
		f.key = o->key;
	return f;
}

static kf_err open_context(struct server *s, const struct conf *c, const struct gate *g,
	struct buf *why, struct tls_context **ret)
{
	struct tls_options options = { .is_server = true,
		.remote = &s->own_key.remote,
		.alpn = protocols,
		.ciphers_1_2 = g->profile->ciphers_1_2,
		.ticket_lifetime_s = c->ticket_lifetime_ms / 1000 };
	struct tls_files files = files_of(c, g);
	size_t before = why->n;
	kf_err e = tls_context_open(&options, &files, why, ret);
	if (!kf_ok(e) && g->name && why->n > before)
		buf_printf(why, "(of [listener %s])\n", g->name);
	return e;
}

/* ---- opening and closing ---- */

static struct gate first_gate(const struct conf *c)
{
	return (struct gate){ .profile = &profiles[0], .listen = c->listen };
}

static struct gate gate_of(const struct listener_options *o)
{
	return (struct gate){ .name = o->name,
		.profile = &profiles[o->profile],
		.listen = o->listen,
		.clients = o->clients };
}

kf_err gates_open(struct server *s, struct buf *why)
{
	const struct conf *c = &s->conf;
	own_key_init(&s->own_key, s);
	s->gate = calloc(c->listeners.n + 1, sizeof(*s->gate));
	if (!s->gate)
		return kf_fail(NOMEM, "listeners");
	for (size_t i = 0; i <= c->listeners.n; i++) {
		struct gate *g = &s->gate[i];
		*g = i ? gate_of(config_listener(c, i - 1)) : first_gate(c);
		s->gates = i + 1;
		KF_TRY(open_context(s, c, g, why, &g->tls));
	}
	return KF_OK;
}

void gates_close(struct server *s)
{
	for (size_t i = 0; i < s->gates; i++)
		tls_context_free(s->gate[i].tls);
	free(s->gate);
	s->gate = NULL;
	s->gates = 0;
}

/* Whether all can be read, before any is taken over. */
static kf_err try_all(struct server *s, const struct conf *new, struct buf *why)
{
	for (size_t i = 1; i < s->gates; i++) {
		struct tls_context *trial = NULL;
		KF_TRY(open_context(s, new, &s->gate[i], why, &trial));
		tls_context_free(trial);
	}
	return KF_OK;
}

kf_err gates_reopen(struct server *s, const struct conf *new, struct buf *why)
{
	KF_TRY(try_all(s, new, why));
	for (size_t i = 0; i < s->gates; i++) {
		struct tls_files files = files_of(new, &s->gate[i]);
		KF_TRY(tls_context_reopen(s->gate[i].tls, &files, why));
	}
	return KF_OK;
}

/* ---- who is let through ---- */

kf_err gate_admit(const struct gate *g, const char *client)
{
	if (!g->name)
		return KF_OK;
	for (size_t i = 0; i < g->clients.n; i++)
		if (!strcmp(g->clients.item[i], client))
			return KF_OK;
	return kf_fail(AUTH, "this listener is not for this client");
}

uint16_t gate_newest(const struct gate *g) { return g->profile->newest; }

kf_err gate_admit_version(const struct gate *g, uint16_t version)
{
	if (kmip_is_2(version) && !kmip_is_2(g->profile->newest))
		return kf_fail(VERSION, "this listener speaks 1.x alone");
	return KF_OK;
}
