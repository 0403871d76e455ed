/* SPDX-License-Identifier: Apache-2.0 */
/* settings: where the key servers are and who we are to them: the section [client] of client.conf, and
 * the same section of agent.conf. */
#pragma once
#include "base/conf.h"
#include "keyfleet.h"

struct settings {
	struct conf_list servers;
	char *server_name, *ca, *certificate, *key, *agent, *authority;
	int64_t timeout_ms, connect_timeout_ms, patience_ms, idle_ms;
	int64_t pool_size, connections, message_max;
	int64_t hedge_percent, hedge_after_ms;
};

enum { SETTINGS_TIMEOUT_MAX_MS = 600000 };

/* clang-format off */
#define SETTINGS_ROW(in, base, name, field, kind, first, low, high, text) \
	{ .section = (in), .key = (name), .type = kind, .initial = first, .min = low, .max = high, .manual = text, \
	  .offset = (base) + offsetof(struct settings, field) }

/* Rows of a conf_option table, in the section `in`, whose target has a struct settings at `base`. */
#define SETTINGS_ROWS(in, base) \
	SETTINGS_ROW(in, base, "servers", servers, CONF_ADDRESSES, NULL,  0, 0,           "key servers: HOST:PORT, [IPV6]:PORT or file:PATH of a file that holds one"), \
	SETTINGS_ROW(in, base, "server_name", server_name, CONF_TEXT,      NULL,  0, 0,           "what a server's certificate must show; the host of its address when absent; * for any name"), \
	SETTINGS_ROW(in, base, "ca", ca, CONF_PATH,      NULL,  0, 0,           "who may sign the servers' certificates, PEM"), \
	SETTINGS_ROW(in, base, "certificate", certificate, CONF_PATH,      NULL,  0, 0,           "our certificate and its chain, PEM"), \
	SETTINGS_ROW(in, base, "key", key, CONF_PATH,      NULL,  0, 0,           "our private key, PEM, readable by us alone"), \
	SETTINGS_ROW(in, base, "timeout", timeout_ms, CONF_DURATION,  "10s", 1, 600000,      "how long a call may take, all attempts together"), \
	SETTINGS_ROW(in, base, "connect_timeout", connect_timeout_ms, CONF_DURATION,  "2s",  1, 60000,       "how long connecting to a server may take, TLS included"), \
	SETTINGS_ROW(in, base, "patience", patience_ms, CONF_DURATION,  "2s",  0, 600000,      "how long a call keeps trying while no server can be reached; the agent: for so long after its start, or a reload"), \
	SETTINGS_ROW(in, base, "idle_time", idle_ms, CONF_DURATION,  "60s", 1000, 86400000, "an unused connection is closed after this time"), \
	SETTINGS_ROW(in, base, "pool_size", pool_size, CONF_INTEGER,   "8",   0, 1024,        "unused connections kept open a server (blocking calls)"), \
	SETTINGS_ROW(in, base, "connections", connections, CONF_INTEGER,   "2",   1, 64,          "connections a server (event loops, agent)"), \
	SETTINGS_ROW(in, base, "message_max", message_max, CONF_SIZE,      "1M",  4096, 67108864, "the largest answer that is accepted"), \
	SETTINGS_ROW(in, base, "hedge", hedge_percent, CONF_INTEGER,   "2",   0, 20,          "a signature that is late is asked for at a second server too, for at most so many in a hundred; 0: never (event loops, agent)"), \
	SETTINGS_ROW(in, base, "hedge_after", hedge_after_ms, CONF_DURATION,  "1ms", 1, 60000,       "no signature is late sooner, however quick the servers are; else it is late after their 99th percentile")
/* clang-format on */

/* client.conf.  path NULL: $KEYFLEET_CONFIG, else /etc/keyfleet/client.conf.  CONFIG with a line a
 * mistake in `why`; *ret is to be freed in any case. */
kf_err settings_read(const char *path, struct settings *ret, struct buf *why);
kf_err settings_copy(const kf_options *options, struct settings *ret, struct buf *why);
/* Says neither too much nor too little; `in` is the section. */
kf_err settings_check(
	const char *path, const char *in, const struct settings *s, struct buf *why);
void settings_free(struct settings *s);
kf_err settings_clone(const struct settings *s, struct settings *ret);
void settings_print_manual(struct buf *to);
