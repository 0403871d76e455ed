/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/conf.h"
#include "base/log.h"
#include "keyfleetd/authorities.h"
#include "keyfleetd/own_key.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const audit_sync_words[] = { "fsync", "write", NULL };
static const char *const audit_export_words[] = { "none", "syslog", "journal", NULL };
static const char *const audit_export_lines_words[] = { "all", "checkpoints", NULL };
static const char *const pool_driver_words[] = { "smartcard-hsm", "pkcs11", NULL };
static const char *const pool_overflow_words[] = { "never", "software", NULL };
static const char *const profile_words[] = {
#define X(id, name, suites, newest, text) name,
#include "keyfleetd/profile.def"
#undef X
	NULL
};
static const char *const ca_subject_words[] = { "name", "whole", NULL };
static const char *const ca_hash_words[] = { "auto", "sha256", "sha384", "sha512", NULL };
static const char *const proxy_words[] = { "off", "v2", NULL };

static const struct conf_section sections[] = {
	{ .kind = "server", .manual = "the daemon" },
	{ .kind = "tls", .manual = "who we are and whom we let in" },
	{ .kind = "store", .manual = "where objects and rights are kept" },
	{ .kind = "rotation", .manual = "keys that are replaced in time" },
	{ .kind = "audit", .manual = "the record of what was done" },
	{ .kind = "health", .manual = "for load balancers" },
	{ .kind = "proxy", .manual = "load balancers in front of us" },
	{ .kind = "limits", .manual = "what one client, and all, may take" },
	{ .kind = "pool",
		.entry_size = sizeof(struct pool_options),
		.group_offset = offsetof(struct conf, pools),
		.manual = "tokens (HSMs) that are used as one: [pool NAME]" },
	{ .kind = "listener",
		.entry_size = sizeof(struct listener_options),
		.group_offset = offsetof(struct conf, listeners),
		.manual = "more addresses, for clients that need something else: "
			  "[listener NAME]" },
	{ .kind = "ca",
		.entry_size = sizeof(struct ca_options),
		.group_offset = offsetof(struct conf, cas),
		.manual = "small authorities, which issue certificates (KMIP: Certify): "
			  "[ca NAME]" },
};

static const struct conf_option options[] = {
#define ENTRY(kind_, late_, offset_, key_, type_, initial_, min_, max_, words_, manual_) \
	{ .section = kind_,                                                              \
		.key = key_,                                                             \
		.type = CONF_##type_,                                                    \
		.offset = offset_,                                                       \
		.initial = initial_,                                                     \
		.min = min_,                                                             \
		.max = max_,                                                             \
		.words = words_,                                                         \
		.needs_restart = late_,                                                  \
		.manual = manual_ },
#define ROW(late_, section_, key_, type_, field_, ...)                                   \
	ENTRY(section_, late_, offsetof(struct conf, field_), key_, type_, __VA_ARGS__)
#define X(...)        ROW(false, __VA_ARGS__)
#define AT_START(...) ROW(true, __VA_ARGS__)
#define POOL(key_, type_, field_, ...)                                                   \
	ENTRY("pool", true, offsetof(struct pool_options, field_), key_, type_,          \
		__VA_ARGS__)
#define CA(key_, type_, field_, ...)                                                     \
	ENTRY("ca", true, offsetof(struct ca_options, field_), key_, type_, __VA_ARGS__)
#define LISTENER_ROW(late_, key_, type_, field_, ...)                                    \
	ENTRY("listener", late_, offsetof(struct listener_options, field_), key_, type_, \
		__VA_ARGS__)
#define LISTENER(...)          LISTENER_ROW(false, __VA_ARGS__)
#define LISTENER_AT_START(...) LISTENER_ROW(true, __VA_ARGS__)
#include "keyfleetd/option.def"
#undef X
#undef AT_START
#undef POOL
#undef CA
#undef LISTENER
#undef LISTENER_AT_START
#undef LISTENER_ROW
#undef ENTRY
#undef ROW
};

static const struct conf_table table = CONF_TABLE(sections, options);

void config_manual(struct buf *to) { conf_print_manual(&table, to); }

void config_needs_restart(const struct conf *runs, const struct conf *new, struct buf *to)
{
	conf_print_late(&table, runs, new, to);
}

void config_free(struct conf *c) { conf_free(&table, c); }

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 64 hex digits; colons between bytes as openssl prints them are welcome. */
static bool parse_fingerprint(const char *text, uint8_t ret[32])
{
	for (size_t i = 0; i < 32; i++) {
		if (i > 0 && *text == ':')
			text++;
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == 0;
}

static bool parse_bits(const char *text, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long bits = strtoul(text, &end, 10);
	if (end == text || *end || bits > most)
		return false;
	*ret = (unsigned)bits;
	return true;
}

bool config_network(const char *text, struct network *ret)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = 0;

	struct in_addr v4;
	*ret = (struct network){ .bits = 128 };
	bool is_v4 = inet_pton(AF_INET, address, &v4) == 1;
	if (is_v4) {
		ret->address[10] = ret->address[11] = 0xff;
		memcpy(ret->address + 12, &v4, 4);
	} else if (inet_pton(AF_INET6, address, ret->address) != 1) {
		return false;
	}
	unsigned bits = 0, most = is_v4 ? 32 : 128;
	if (slash && !parse_bits(slash + 1, most, &bits))
		return false;
	ret->bits = slash ? bits + 128 - most : 128;
	return true;
}

static void check_lists(const struct conf *c, const char *path, struct buf *errors)
{
	uint8_t fingerprint[32];
	struct network network;
	for (size_t i = 0; i < c->admin.n; i++)
		if (!parse_fingerprint(c->admin.item[i], fingerprint))
			conf_complain(errors, path, "server", "admin",
				"not a list of SHA-256 fingerprints (64 hex digits "
				"each)");
	for (size_t i = 0; i < c->proxy_trusted.n; i++)
		if (!config_network(c->proxy_trusted.item[i], &network))
			conf_complain(errors, path, "proxy", "trusted",
				"not a list of networks like 192.0.2.0/24");
	if (c->admin.n > ADMINS_MAX)
		conf_complain(errors, path, "server", "admin", "more than 16 entries");
	if (c->proxy_trusted.n > TRUSTED_MAX)
		conf_complain(errors, path, "proxy", "trusted", "more than 32 entries");
	if (c->proxy == CONF_PROXY_V2 && c->proxy_trusted.n == 0)
		conf_complain(errors, path, "proxy", "trusted",
			"with protocol = v2 nobody gets in unless listed here");
	if (c->listen.n == 0)
		conf_complain(errors, path, "server", "listen", "names no address");
}

static bool is_pool_name(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n < POOL_NAME_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == n;
}

static bool has_twice(const struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(l->item[i], l->item[k]))
				return true;
	return false;
}

/* Each is another pcscd: its cards would come twice. */
static void check_sockets(const struct pool_options *p, const char *path,
	const char *section, struct buf *errors)
{
	if (p->driver == CONF_DRIVER_PKCS11 && p->socket.n)
		conf_complain(errors, path, section, "socket",
			"is for driver = smartcard-hsm only");
	if (p->socket.n > POOL_SOURCES_MAX)
		conf_complain(
			errors, path, section, "socket", "names more than 8 pcscds");
	if (has_twice(&p->socket))
		conf_complain(errors, path, section, "socket", "names a socket twice");
}

static void check_pools(const struct conf *c, const char *path, struct buf *errors)
{
	char section[96];
	if (c->pools.n > POOLS_MAX)
		conf_complain(errors, path, "pool", "driver", "more than 16 pools");
	for (size_t i = 0; i < c->pools.n; i++) {
		const struct pool_options *p = config_pool(c, i);
		snprintf(section, sizeof(section), "pool %.64s", p->name);
		if (!is_pool_name(p->name))
			conf_complain(errors, path, section, "driver",
				"the pool's name has letters, digits, . _ and - only");
		if (p->driver == CONF_DRIVER_PKCS11 && !p->module)
			conf_complain(errors, path, section, "module",
				"is missing; name the PKCS#11 module");
		check_sockets(p, path, section, errors);
		if (p->driver != CONF_DRIVER_PKCS11 && p->module)
			conf_complain(errors, path, section, "module",
				"is for driver = pkcs11 only");
	}
}

static void check_listeners(const struct conf *c, const char *path, struct buf *errors)
{
	char section[96];
	if (c->listeners.n > LISTENERS_MAX)
		conf_complain(
			errors, path, "listener", "listen", "more than 16 listeners");
	for (size_t i = 0; i < c->listeners.n; i++) {
		const struct listener_options *o = config_listener(c, i);
		snprintf(section, sizeof(section), "listener %.64s", o->name);
		if (o->listen.n == 0)
			conf_complain(
				errors, path, section, "listen", "names no address");
		if (o->clients.n == 0)
			conf_complain(errors, path, section, "clients",
				"is missing: name the clients that are let in there");
		if (!o->certificate != !o->key)
			conf_complain(errors, path, section,
				o->key ? "certificate" : "key",
				"is missing: a certificate and its key belong together");
	}
}

static void check_own_key(const struct conf *c, const char *path, struct buf *errors)
{
	size_t n = strlen(OWN_KEY_PREFIX);
	if (strncmp(c->key, OWN_KEY_PREFIX, n) != 0)
		return;
	for (size_t i = 0; i < c->pools.n; i++)
		if (!strcmp(config_pool(c, i)->name, c->key + n))
			return;
	conf_complain(errors, path, "tls", "key",
		"names a pool that has no section [pool NAME]");
}

kf_err config_read(const char *path, struct conf *ret, struct buf *errors)
{
	*ret = (struct conf){ 0 };
	size_t before = errors->n;
	kf_err e = conf_read(&table, path, ret, errors);
	if (!kf_ok(e))
		return e;
	check_lists(ret, path, errors);
	check_pools(ret, path, errors);
	check_listeners(ret, path, errors);
	check_own_key(ret, path, errors);
	authorities_check_conf(ret, path, errors);
	return errors->n == before ? KF_OK
				   : kf_fail(CONFIG, "configuration has mistakes");
}

static uint64_t ns(int64_t ms) { return (uint64_t)ms * 1000000; }

static struct rate a_second(int64_t rate, int64_t burst)
{
	return rate_of((uint64_t)rate * 3600, (uint64_t)burst);
}

kf_err config_settings(const struct conf *c, uint64_t generation, struct settings *ret)
{
	*ret = (struct settings){
		.generation = generation,
		.admins = c->admin.n,
		.expects_proxy = c->proxy == CONF_PROXY_V2,
		.trusted_n = c->proxy_trusted.n,
		.message_size = (size_t)c->message_size,
		.output = (size_t)c->output,
		.connections = (unsigned)c->connections,
		.client_connections = (unsigned)c->client_connections,
		.requests = (unsigned)c->requests,
		.connection_requests = (unsigned)c->connection_requests,
		.handshakes = (unsigned)c->handshakes,
		.client_requests = (unsigned)c->client_requests,
		.checks = { (unsigned)c->password_checks,
			(unsigned)c->address_password_checks },
		.client_rate = a_second(c->client_rate, c->client_burst),
		.client_limits = { (uint32_t)c->client_rate * 3600,
			(uint32_t)c->client_burst, (uint32_t)c->client_requests },
		.client_refusals = a_second(c->client_refusals, 0),
		.round_cost_ns = ns(c->round_cost_ms),
		.handshake_timeout_ns = ns(c->handshake_timeout_ms),
		.message_timeout_ns = ns(c->message_timeout_ms),
		.idle_timeout_ns = ns(c->idle_timeout_ms),
	};
	for (size_t i = 0; i < ret->admins; i++)
		if (!parse_fingerprint(c->admin.item[i], ret->admin[i]))
			return kf_fail(CONFIG, "admin fingerprint");
	for (size_t i = 0; i < ret->trusted_n; i++)
		if (!config_network(c->proxy_trusted.item[i], &ret->trusted[i]))
			return kf_fail(CONFIG, "trusted network");
	return KF_OK;
}

bool settings_is_admin(const struct settings *s, const uint8_t fingerprint[32])
{
	for (size_t i = 0; i < s->admins; i++)
		if (memcmp(s->admin[i], fingerprint, 32) == 0)
			return true;
	return false;
}

static bool is_in(const struct network *net, const uint8_t address[16])
{
	size_t whole = net->bits / 8;
	unsigned rest = net->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);
	return memcmp(net->address, address, whole) == 0 &&
	       (rest == 0 || ((net->address[whole] ^ address[whole]) & mask) == 0);
}

bool settings_trusts(const struct settings *s, const struct address *a)
{
	struct sockaddr_in6 v6 = { 0 };
	if (a->sa.ss_family == AF_INET6) {
		memcpy(&v6, &a->sa, sizeof(v6));
	} else if (a->sa.ss_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, &a->sa, sizeof(v4));
		v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(v6.sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
	} else {
		return false;
	}
	for (size_t i = 0; i < s->trusted_n; i++)
		if (is_in(&s->trusted[i], v6.sin6_addr.s6_addr))
			return true;
	return false;
}
