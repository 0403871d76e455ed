/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: where clients come in: what TLS and which KMIP versions are spoken there (profile.def), with which
 * certificate, and who is let through.
 *
 * The first one is that of [server] and [tls], for everybody; each [listener NAME] adds one for the clients
 * that it names.  Gates live as long as the server; a reload brings new certificates.
 */
#pragma once
#include "keyfleetd/conf.h"
#include "net/tls.h"

struct server;
struct profile; /* a row of profile.def */

struct gate {
	const char *name; /* of its section; NULL: the first */
	const struct profile *profile;
	struct conf_list listen, clients; /* of the configuration at the start */
	struct tls_context *tls;
};

/* All of the configuration, into s->gate.  CONFIG: `why` says what is wrong with which. */
kf_err gates_open(struct server *s, struct buf *why);
void gates_close(struct server *s);
/* Certificates, keys and authorities once more; on failure nothing changes. */
kf_err gates_reopen(struct server *s, const struct conf *new, struct buf *why);

/* AUTH: this client has no business there. */
kf_err gate_admit(const struct gate *g, const char *client);
/* The newest KMIP version that is offered there. */
uint16_t gate_newest(const struct gate *g);
/* VERSION: the major version is not spoken there. */
kf_err gate_admit_version(const struct gate *g, uint16_t version);
