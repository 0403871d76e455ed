/* SPDX-License-Identifier: Apache-2.0 */
/* settings: the section [client], which says where the key servers are and who we are to them.  It is
 * all of client.conf and a part of agent.conf. */
#pragma once
#include "base/conf.h"
#include "keyfleet.h"

struct settings {
	struct conf_list servers;
	char *server_name, *ca, *certificate, *key, *agent, *authority;
	int64_t timeout_ms, connect_timeout_ms, patience_ms, idle_ms;
	int64_t pool_size, connections, message_max;
};

enum { SETTINGS_TIMEOUT_MAX_MS = 600000 };

/* clang-format off */
#define SETTINGS_SECTION { "client", 0, 0, "where the key servers are and who we are to them" }

#define SETTINGS_ROW(base, name, field, kind, first, low, high, text) \
	{ .section = "client", .key = (name), .type = kind, .initial = first, .min = low, .max = high, .manual = text, \
	  .offset = (base) + offsetof(struct settings, field) }

/* Rows of a conf_option table whose target has a struct settings at `base`. */
#define SETTINGS_ROWS(base) \
	SETTINGS_ROW(base, "servers", servers, CONF_ADDRESSES, NULL,  0, 0,           "key servers: HOST:PORT, [IPV6]:PORT or file:PATH of a file that holds one"), \
	SETTINGS_ROW(base, "server_name", server_name, CONF_TEXT,      NULL,  0, 0,           "what a server's certificate must show; the host of its address when absent; * for any name"), \
	SETTINGS_ROW(base, "ca", ca, CONF_PATH,      NULL,  0, 0,           "who may sign the servers' certificates, PEM"), \
	SETTINGS_ROW(base, "certificate", certificate, CONF_PATH,      NULL,  0, 0,           "our certificate and its chain, PEM"), \
	SETTINGS_ROW(base, "key", key, CONF_PATH,      NULL,  0, 0,           "our private key, PEM, readable by us alone"), \
	SETTINGS_ROW(base, "agent", agent, CONF_ADDRESS,   NULL,  0, 0,           "instead of servers: the socket of the host's keyfleet-agent"), \
	SETTINGS_ROW(base, "timeout", timeout_ms, CONF_DURATION,  "10s", 1, 600000,      "how long a call may take, all attempts together"), \
	SETTINGS_ROW(base, "connect_timeout", connect_timeout_ms, CONF_DURATION,  "2s",  1, 60000,       "how long connecting to a server may take, TLS included"), \
	SETTINGS_ROW(base, "patience", patience_ms, CONF_DURATION,  "2s",  0, 600000,      "how long a call keeps trying while no server can be reached"), \
	SETTINGS_ROW(base, "idle_time", idle_ms, CONF_DURATION,  "60s", 1000, 86400000, "an unused connection is closed after this time"), \
	SETTINGS_ROW(base, "pool_size", pool_size, CONF_INTEGER,   "8",   0, 1024,        "unused connections kept open a server (blocking calls)"), \
	SETTINGS_ROW(base, "connections", connections, CONF_INTEGER,   "2",   1, 64,          "connections a server (event loops, agent)"), \
	SETTINGS_ROW(base, "message_max", message_max, CONF_SIZE,      "1M",  4096, 67108864, "the largest answer that is accepted"), \
	SETTINGS_ROW(base, "authority", authority, CONF_PATH,    NULL,  0, 0,           "folder of the authority's ca.pem and ca.key, for keyfleet client add")
/* clang-format on */

/* client.conf.  path NULL: $KEYFLEET_CONFIG, else /etc/keyfleet/client.conf.  CONFIG with a line a
 * mistake in `why`; *ret is to be freed in any case. */
kf_err settings_read(const char *path, struct settings *ret, struct buf *why);
kf_err settings_copy(const kf_options *options, struct settings *ret, struct buf *why);
/* Says neither too much nor too little. */
kf_err settings_check(const char *path, const struct settings *s, struct buf *why);
void settings_free(struct settings *s);
void settings_print_manual(struct buf *to);
