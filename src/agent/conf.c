/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/conf.h"
#include "base/log.h"
#include "http/http.h"
#include <string.h>

static const char *check_mode(const char *value)
{
	return strlen(value) == 4 && value[0] == '0' && strspn(value, "01234567") == 4
		       ? NULL
		       : "is not a mode; write 0666 or 0660";
}

static const char *check_listen(const char *value)
{
	return http_may_listen(value) ? NULL : "is neither loopback nor unix:";
}

static const char *check_number(const char *value)
{
	size_t n = strlen(value);
	return n > 0 && n < 8 && strspn(value, "0123456789") == n
		       ? NULL
		       : "is not a number up to 9999999; 0 in rate and burst: no limit";
}

/* clang-format off */
static const struct conf_section sections[] = {
	{ "client", 0, 0, "where the key servers are and who this host is to them" },
	{ "agent", 0, 0, "the sockets of this host's programs, and limits" },
	{ "metrics", 0, 0, "for Prometheus" },
	{ "user", sizeof(struct agent_user), offsetof(struct agent_conf, users), "limits of one user instead of those in [agent]: [user www-data]" },
	{ "allow", sizeof(struct agent_rule), offsetof(struct agent_conf, rules), "who may use a key: [allow KEY] or [allow *]" },
};

#define AGENT(name, field, kind, first, low, high, text) \
	{ .section = "agent", .key = (name), .type = kind, .initial = first, .min = low, .max = high, .manual = text, \
	  .offset = offsetof(struct agent_conf, field) }
#define AGENT_AT_START(name, field, kind, first, check_, text) \
	{ .section = "agent", .key = (name), .type = kind, .initial = first, .check = check_, .manual = text, .needs_restart = true, \
	  .offset = offsetof(struct agent_conf, field) }
#define ALLOW(name, field, first, text) \
	{ .section = "allow", .key = (name), .type = CONF_LIST, .initial = first, .manual = text, \
	  .offset = offsetof(struct agent_rule, field) }

/* NONE: as in [agent].  As text, so that 0 and nothing are different. */
#define USER(name, field, text) \
	{ .section = "user", .key = (name), .type = CONF_TEXT, .check = check_number, .manual = text "; default: as in [agent]", \
	  .offset = offsetof(struct agent_user, field) }

static const struct conf_option options[] = {
	SETTINGS_ROWS("client", offsetof(struct agent_conf, servers)),
	AGENT_AT_START("sockets", sockets, CONF_ADDRESSES, "unix:@keyfleet-agent", NULL, "where programs of this host reach us; not used when systemd hands sockets over"),
	AGENT_AT_START("socket_mode", socket_mode, CONF_TEXT, "0666", check_mode, "permissions of path sockets"),
	AGENT("deadline",        deadline_ms,     CONF_DURATION, "2s",    10, 600000,  "how long an operation may take unless its program wants it sooner"),
	AGENT("drain",           drain_ms,        CONF_DURATION, "5s",    0, 600000,   "how long operations may go on after SIGTERM"),
	AGENT("connections_max", connections_max, CONF_INTEGER,  "16384", 1, 1000000,  "connections of programs"),
	AGENT("user_connections", user_connections, CONF_INTEGER, "8192", 1, 1000000,  "connections of one user; of one whom no section allows anything: 16"),
	AGENT("user_in_flight",  user_in_flight,  CONF_INTEGER,  "1024",  1, 1000000,  "operations of one user at the same time"),
	AGENT("user_rate",       user_rate,       CONF_INTEGER,  "0",     0, 1000000,  "operations of one user in a second; 0: no limit"),
	AGENT("user_burst",      user_burst,      CONF_INTEGER,  "0",     0, 1000000,  "how many of them may come at once; 0: what a second allows"),
	{ .section = "agent", .key = "log_level", .type = CONF_ENUM, .initial = "notice", .words = log_level_words,
	  .offset = offsetof(struct agent_conf, log_level), .manual = "what is logged" },
	{ .section = "metrics", .key = "listen", .type = CONF_ADDRESS, .check = check_listen,
	  .offset = offsetof(struct agent_conf, metrics), .manual = "address of an HTTP endpoint with /metrics and /up, loopback or unix:; default: none" },
	USER("connections", connections, "connections"),
	USER("in_flight",   in_flight,   "operations at the same time"),
	USER("rate",        rate,        "operations in a second"),
	USER("burst",       burst,       "how many of them may come at once"),
	ALLOW("keys",       keys,       NULL,   "further Unique Identifiers of keys"),
	ALLOW("users",      users,      NULL,   "names or numbers of users"),
	ALLOW("groups",     groups,     NULL,   "names or numbers of groups"),
	ALLOW("operations", operations, "sign", "sign, decrypt (or decrypt-tls), get, get-attributes, locate"),
};
/* clang-format on */

static const struct conf_table table = CONF_TABLE(sections, options);

/* Guests are known by their uid, which other sockets do not tell. */
static kf_err check_sockets(const char *path, const struct agent_conf *c, struct buf *why)
{
	for (size_t i = 0; i < c->sockets.n; i++)
		if (strncmp(c->sockets.item[i], "unix:", 5) != 0) {
			conf_complain(why, path, "agent", "sockets",
				"names another socket than unix:@NAME or unix:/PATH");
			return kf_fail(CONFIG, "guests come over Unix sockets only");
		}
	return KF_OK;
}

kf_err agent_conf_read(const char *path, struct agent_conf *ret, struct buf *why)
{
	*ret = (struct agent_conf){ 0 };
	KF_TRY(conf_read(&table, path, ret, why));
	KF_TRY(check_sockets(path, ret, why));
	return settings_check(path, "client", &ret->servers, why);
}

void agent_conf_late(
	const struct agent_conf *runs, const struct agent_conf *new, struct buf *to)
{
	conf_print_late(&table, runs, new, to);
}

void agent_conf_free(struct agent_conf *c) { conf_free(&table, c); }
void agent_conf_print_manual(struct buf *to) { conf_print_manual(&table, to); }
