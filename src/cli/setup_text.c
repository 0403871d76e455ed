/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/setup_text.h"
#include <string.h>

/* clang-format off */
const struct setup_file setup_file[] = {
	{ "ca.pem",         SETUP_CA,          false, false },
	{ "server.pem",     SETUP_SERVER_CERT, false, false },
	{ "server.key",     SETUP_SERVER_KEY,  true,  true },
	{ "admin.pem",      SETUP_ADMIN_CERT,  false, false },
	{ "admin.key",      SETUP_ADMIN_KEY,   true,  false },
	{ "master.key",     SETUP_MASTER,      true,  true },
	{ "audit.pub",      SETUP_AUDIT_KEY,   false, false },
	{ "client.conf",    SETUP_CLIENT_CONF, false, false },
	{ "agent.conf",     SETUP_AGENT_CONF,  false, false },
	{ "keyfleetd.conf", SETUP_SERVER_CONF, true,  true }, /* the store's password may be in it */
};
/* clang-format on */
const size_t setup_files = sizeof(setup_file) / sizeof(setup_file[0]);

static void put_hex(struct buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		buf_add_u8(b, (uint8_t)digits[p[i] >> 4]);
		buf_add_u8(b, (uint8_t)digits[p[i] & 15]);
	}
}

static void put_server(const struct setup_facts *f, struct buf *b)
{
	buf_add_text(b, "# keyfleetd.conf: see keyfleetd.conf(5).  Check with `keyfleetd "
			"--check`.\n"
			"[server]\n");
	buf_printf(b, "listen = %s\n", f->listen);
	buf_add_text(b, "# SHA-256 of the administrator's certificate\n"
			"admin = ");
	put_hex(b, f->admin, sizeof(f->admin));
	buf_add_text(b, "\n# gets the address once the server accepts: client.conf "
			"refers to it\n");
	buf_printf(b, "address_file = %saddress\n", f->data);
	buf_add_text(b, "\n[tls]\n"
			"certificate = server.pem\n"
			"key = server.key\n"
			"ca = ca.pem\n"
			"\n[store]\n");
	if (strcmp(f->store, "sqlite") == 0)
		buf_printf(b, "location = sqlite:%skeyfleet.db\n", f->data);
	else
		buf_printf(b, "location = \"%s\"\n", f->store);
	buf_printf(b, "seen = %sseen\n", f->data);
	if (strcmp(f->store, "sqlite") != 0)
		buf_printf(b, "snapshot = %ssnapshot\n", f->data);
	buf_add_text(b, "master_key = master.key\n\n[audit]\n");
	buf_printf(b, "directory = %saudit\n", f->data);
}

static void put_client(const struct setup_facts *f, struct buf *b)
{
	buf_add_text(b,
		"# client.conf: the administrator's connection to the key servers.\n"
		"[client]\n"
		"# one or more: HOST:PORT, or a file with the address, which keyfleetd "
		"writes\n"
		"servers = file:address\n"
		"server_name = keyfleetd\n"
		"certificate = admin.pem\n"
		"key = admin.key\n"
		"ca = ca.pem\n"
		"# where `keyfleet client add` finds ca.key\n");
	buf_printf(b, "authority = %s\n", f->ca_dir);
}

static void put_agent(const struct setup_facts *f, struct buf *b)
{
	buf_add_text(b, "# agent.conf: the agent of a web host; see keyfleet-agent(8).  "
			"agent.pem and\n"
			"# agent.key come from `keyfleet client add agent`.\n"
			"[client]\n");
	buf_printf(b, "servers = %s\n", f->reach);
	buf_add_text(b, "server_name = keyfleetd\n"
			"certificate = agent.pem\n"
			"key = agent.key\n"
			"ca = ca.pem\n"
			"\n[agent]\n"
			"sockets = unix:@keyfleet-agent\n"
			"\n"
			"# Who on this host may use which keys.  What is not allowed is "
			"refused.\n"
			"[allow *]\n"
			"users = root, www-data, haproxy\n"
			"operations = sign\n");
}

kf_err setup_text_make(const struct setup_facts *facts, struct setup_text *ret)
{
	*ret = (struct setup_text){ buf_new(8192), buf_new(8192), buf_new(8192) };
	put_server(facts, &ret->server);
	put_client(facts, &ret->client);
	put_agent(facts, &ret->agent);
	KF_TRY(buf_err(&ret->server));
	KF_TRY(buf_err(&ret->client));
	return buf_err(&ret->agent);
}

void setup_text_free(struct setup_text *t)
{
	buf_free(&t->server);
	buf_free(&t->client);
	buf_free(&t->agent);
}
