/* SPDX-License-Identifier: Apache-2.0 */
#include "client/settings.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 5696 };

/* clang-format off */
static const struct conf_section sections[] = {
	{ "client", 0, 0, "where the key servers are and who we are to them" },
};

static const struct conf_option options_of_client[] = {
	SETTINGS_ROWS("client", 0),
	SETTINGS_ROW("client", 0, "agent",     agent,     CONF_ADDRESS, NULL, 0, 0, "instead of servers: the socket of the host's keyfleet-agent"),
	SETTINGS_ROW("client", 0, "authority", authority, CONF_PATH,    NULL, 0, 0, "where `keyfleet client add` finds the authority's key"),
};
/* clang-format on */

static const struct conf_table table = CONF_TABLE(sections, options_of_client);

void settings_free(struct settings *s) { conf_free(&table, s); }
void settings_print_manual(struct buf *to) { conf_print_manual(&table, to); }

static const char *default_path(void)
{
	const char *path = secure_getenv("KEYFLEET_CONFIG");
	return path && *path ? path : "/etc/keyfleet/client.conf";
}

kf_err settings_read(const char *path, struct settings *ret, struct buf *why)
{
	if (!path)
		path = default_path();
	kf_err e = conf_read(&table, path, ret, why);
	if (!kf_ok(e) && !kf_is(e, KF_E_NOMEM) && !kf_is(e, KF_E_CONFIG))
		return kf_fail(CONFIG, "the configuration cannot be read");
	KF_TRY(e);
	return settings_check(path, "client", ret, why);
}

static kf_err complain(struct buf *why, const char *path, const char *in, const char *key,
	const char *text)
{
	conf_complain(why, path, in, key, text);
	return kf_fail(CONFIG, "the servers' section is not complete");
}

kf_err settings_check(
	const char *path, const char *in, const struct settings *s, struct buf *why)
{
	if (s->agent)
		return s->servers.n ? complain(why, path, in, "agent",
					      "stands beside servers; choose one of them")
				    : KF_OK;
	if (!s->servers.n)
		return complain(why, path, in, "servers", "is missing; write HOST:PORT");
	if (!s->ca)
		return complain(why, path, in, "ca", "is missing");
	if (!s->certificate)
		return complain(why, path, in, "certificate", "is missing");
	if (!s->key)
		return complain(why, path, in, "key", "is missing");
	return KF_OK;
}

static bool clone_list(struct conf_list *l)
{
	char **from = l->item;
	size_t n = l->n;
	*l = (struct conf_list){ .item = calloc(n + 1, sizeof(char *)) };
	for (; l->item && l->n < n; l->n++)
		if (!(l->item[l->n] = strdup(from[l->n])))
			return false;
	return l->item != NULL;
}

kf_err settings_clone(const struct settings *s, struct settings *ret)
{
	struct settings c = *s;
	char **const texts[] = { &c.server_name, &c.ca, &c.certificate, &c.key, &c.agent,
		&c.authority };
	bool is_whole = clone_list(&c.servers);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (!*texts[i])
			continue;
		*texts[i] = strdup(*texts[i]);
		is_whole &= *texts[i] != NULL;
	}
	if (!is_whole) {
		settings_free(&c);
		return kf_fail(NOMEM, "copying settings");
	}
	*ret = c;
	return KF_OK;
}

/* ---- from options: written as a file, so that there is one parser, one set of limits ---- */

static void put_text(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_add_text(b, key);
	buf_add_text(b, " = \"");
	buf_add_text(b, value);
	buf_add_text(b, "\"\n");
}

static void put_number(struct buf *b, const char *key, uint32_t value, const char *unit)
{
	if (value)
		buf_printf(b, "%s = %u%s\n", key, value, unit);
}

static bool has_port(const char *host, size_t n)
{
	const char *colon = memrchr(host, ':', n), *bracket = memrchr(host, ']', n);
	return colon && (!bracket || colon > bracket);
}

static void put_servers(struct buf *b, const kf_options *o)
{
	static const char blanks[] = " \t,";
	buf_add_text(b, "servers =");
	for (const char *s = o->servers ? o->servers : ""; *(s += strspn(s, blanks));) {
		size_t n = strcspn(s, blanks);
		buf_add_text(b, " ");
		buf_add(b, s, n);
		if (!has_port(s, n))
			buf_printf(b, ":%d", PORT);
		s += n;
	}
	if (o->address_file) {
		buf_add_text(b, " file:");
		buf_add_text(b, o->address_file);
	}
	buf_add_text(b, "\n");
}

static void put_options(struct buf *b, const kf_options *o)
{
	buf_add_text(b, "[client]\n");
	if (o->servers || o->address_file)
		put_servers(b, o);
	put_text(b, "server_name", o->server_name);
	put_text(b, "ca", o->ca);
	put_text(b, "certificate", o->certificate);
	put_text(b, "key", o->key);
	if (o->agent) {
		buf_add_text(b, "agent = \"unix:");
		buf_add_text(b, o->agent);
		buf_add_text(b, "\"\n");
	}
	put_number(b, "timeout", o->timeout_ms, "ms");
	put_number(b, "connect_timeout", o->connect_timeout_ms, "ms");
	put_number(b, "idle_time", o->idle_ms, "ms");
	put_number(b, "pool_size", o->pool_size, "");
	put_number(b, "connections", o->connections, "");
	put_number(b, "message_max", o->message_max, "");
}

static bool is_clean(const char *s) { return !s || !strpbrk(s, "\"\n\r"); }

kf_err settings_copy(const kf_options *o, struct settings *ret, struct buf *why)
{
	if (!is_clean(o->servers) || !is_clean(o->address_file) || !is_clean(o->ca) ||
		!is_clean(o->certificate) || !is_clean(o->key) || !is_clean(o->agent) ||
		!is_clean(o->server_name))
		return kf_fail(CONFIG, "an option holds a quote or a line break");
	autobuf text = buf_new(65536);
	put_options(&text, o);
	KF_TRY(buf_err(&text));
	KF_TRY(conf_parse(&table, "options", buf_slice(&text), ret, why));
	return settings_check("options", "client", ret, why);
}
