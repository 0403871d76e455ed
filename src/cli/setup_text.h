/* SPDX-License-Identifier: Apache-2.0
 *
 * setup_text: the files that `keyfleet init` makes, and the text of the configurations.
 */
#pragma once
#include "base/buf.h"

enum setup_content {
	SETUP_CA,
	SETUP_SERVER_CERT,
	SETUP_SERVER_KEY,
	SETUP_ADMIN_CERT,
	SETUP_ADMIN_KEY,
	SETUP_MASTER,
	SETUP_AUDIT_KEY,
	SETUP_SERVER_CONF,
	SETUP_CLIENT_CONF,
	SETUP_AGENT_CONF,
};

struct setup_file {
	const char *name;
	enum setup_content content;
	bool is_secret;
	bool is_daemons; /* the key server reads it */
};

extern const struct setup_file setup_file[];
extern const size_t setup_files;

struct setup_facts {
	const char *listen, *store, *ca_dir;
	const char *reach; /* of the agent's key servers: HOST:PORT or file:address */
	const char *
		data; /* folder of what the server writes, "" (that of the file) or ends with / */
	uint8_t admin[32]; /* SHA-256 of the administrator's certificate */
};

struct setup_text {
	struct buf server, client, agent;
};

kf_err setup_text_make(const struct setup_facts *facts, struct setup_text *ret);
void setup_text_free(struct setup_text *t);
