/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/conf.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

#define ADMIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeFF"

/* Reads a file of this text; what is complained about goes to `errors`. */
static kf_err read_text(const char *text, struct conf *ret, struct buf *errors)
{
	char path[] = "/tmp/keyfleetd-conf-XXXXXX";
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
	kf_err e = config_read(path, ret, errors);
	unlink(path);
	return e;
}

static bool is_refused(const char *text, const char *because)
{
	autobuf errors = buf_new(65536);
	struct conf c;
	kf_err e = read_text(text, &c, &errors);
	config_free(&c);
	buf_add_u8(&errors, 0);
	bool is_named = errors.p && strstr((const char *)errors.p, because);
	return kf_is(e, KF_E_CONFIG) && is_named;
}

static bool settings_of(const char *text, struct settings *ret)
{
	autobuf errors = buf_new(65536);
	struct conf c;
	kf_err e = read_text(text, &c, &errors);
	if (kf_ok(e))
		e = config_settings(&c, 7, ret);
	config_free(&c);
	return kf_ok(e);
}

static bool trusts(const struct settings *s, const char *address)
{
	struct address a;
	return kf_ok(address_parse(address, &a)) && settings_trusts(s, &a);
}

TEST(an_empty_file_means_the_defaults)
{
	autobuf errors = buf_new(65536);
	struct conf c;

	OK(kf_ok(read_text("", &c, &errors)));

	EQ(c.listen.n, 1);
	EQ(c.message_size, 1 << 20);
	EQ(c.audit_sync, CONF_SYNC_FSYNC);
	EQ(c.proxy, CONF_PROXY_OFF);
	OK(strcmp(c.store, "sqlite:keyfleet.db") == 0);
	OK(!c.health && !c.crl);
	config_free(&c);
}

TEST(administrators_are_known_by_fingerprint)
{
	struct settings s;
	uint8_t fingerprint[32];
	for (size_t i = 0; i < 32; i++)
		fingerprint[i] = (uint8_t)(i % 16 * 0x11);

	OK(settings_of("[server]\nadmin = " ADMIN "\n", &s));

	EQ(s.admins, 1);
	EQ(s.generation, 7);
	OK(settings_is_admin(&s, fingerprint));
	fingerprint[31]--;
	OK(!settings_is_admin(&s, fingerprint));
}

TEST(a_fingerprint_has_32_bytes)
{
	OK(is_refused("[server]\nadmin = " ADMIN "0\n", "admin"));
	OK(is_refused("[server]\nadmin = 0011\n", "admin"));
	OK(is_refused("[server]\nadmin = xx\n", "admin"));
}

TEST(trusted_networks_match_by_prefix)
{
	struct settings s;

	OK(settings_of("[proxy]\nprotocol = v2\ntrusted = 192.0.2.0/23 ::1\n", &s));

	OK(s.expects_proxy);
	OK(trusts(&s, "192.0.2.1:1"));
	OK(trusts(&s, "192.0.3.255:1"));
	OK(trusts(&s, "[::ffff:192.0.2.9]:1"));
	OK(trusts(&s, "[::1]:1"));
	OK(!trusts(&s, "192.0.4.0:1"));
	OK(!trusts(&s, "[::2]:1"));
	OK(!trusts(&s, "unix:@nobody"));
}

TEST(proxy_headers_without_trusted_networks_are_refused)
{
	OK(is_refused("[proxy]\nprotocol = v2\n", "trusted"));
	OK(is_refused("[proxy]\ntrusted = 192.0.2.0/33\n", "trusted"));
	OK(is_refused("[proxy]\ntrusted = example\n", "trusted"));
}

TEST(every_option_has_a_line_of_manual)
{
	autobuf manual = buf_new(1 << 20);
	config_manual(&manual);

	buf_add_u8(&manual, 0);
	OK(kf_ok(buf_err(&manual)));
#define X(section, key, type, field, initial, min, max, words, text)                     \
	OK(strstr((const char *)manual.p, key));
#define AT_START          X
#define POOL(key, ...)    OK(strstr((const char *)manual.p, key));
#define CA                POOL
#define LISTENER          POOL
#define LISTENER_AT_START POOL
#include "keyfleetd/option.def"
#undef LISTENER
#undef LISTENER_AT_START
#undef CA
#undef POOL
#undef X
#undef AT_START
}

static const char *const audit_sync_words[] = { "fsync", "write", NULL };
static const char *const audit_export_words[] = { "none", "syslog", NULL };
static const char *const audit_export_lines_words[] = { "all", "checkpoints", NULL };
static const char *const pool_driver_words[] = { "smartcard-hsm", "pkcs11", NULL };
static const char *const pool_overflow_words[] = { "never", "software", NULL };

/* None is the default that is not the first. */
static const char *last_word(const char *const *words)
{
	while (words && words[1])
		words++;
	return words ? *words : NULL;
}

/* A value that the default is not. */
static const char *other_value(const char *type, const char *words)
{
	if (words)
		return words;
	if (!strcmp(type, "INTEGER"))
		return "7";
	if (!strcmp(type, "DURATION"))
		return "1500ms";
	if (!strcmp(type, "BOOL"))
		return "yes";
	if (!strcmp(type, "SIZE"))
		return "2M";
	return !strncmp(type, "ADDRESS", 7) ? "unix:@elsewhere" : "elsewhere";
}

static bool reads_with(
	const char *section, const char *key, const char *value, struct conf *ret)
{
	char text[256];
	autobuf errors = buf_new(65536);
	snprintf(text, sizeof(text), "[%s]\n%s = %s\n", section, key, value);
	if (kf_ok(read_text(text, ret, &errors)))
		return true;
	printf("# %.*s\n", (int)errors.n, (const char *)errors.p);
	return false;
}

static bool is_named(const struct conf *runs, const struct conf *new, const char *section,
	const char *key)
{
	char want[128];
	autobuf late = buf_new(4096);
	config_needs_restart(runs, new, &late);
	snprintf(want, sizeof(want), "%s in [%s]", key, section);
	return slice_is(buf_slice(&late), want);
}

/* Default paths begin at the directory of the file, which is the same one. */
static bool names_pools(const struct conf *runs, const struct conf *new)
{
	autobuf late = buf_new(4096);
	config_needs_restart(runs, new, &late);
	return slice_is(buf_slice(&late), "[pool ...]");
}

TEST(pools_of_tokens_are_read)
{
	autobuf errors = buf_new(65536);
	struct conf c;

	OK(kf_ok(read_text("[pool main]\npin = pin\ntokens = A, B\nqueue = 9\n"
			   "[pool other]\ndriver = pkcs11\nmodule = /lib/x.so\n"
			   "read_only = yes\n",
		&c, &errors)));

	EQ(c.pools.n, 2);
	OK(!strcmp(config_pool(&c, 0)->name, "main"));
	EQ(config_pool(&c, 0)->driver, CONF_DRIVER_SMARTCARD_HSM);
	EQ(config_pool(&c, 0)->tokens.n, 2);
	EQ(config_pool(&c, 0)->queue, 9);
	EQ(config_pool(&c, 0)->timeout_ms, 10000);
	OK(!config_pool(&c, 0)->is_read_only && config_pool(&c, 1)->is_read_only);
	EQ(config_pool(&c, 1)->driver, CONF_DRIVER_PKCS11);
	config_free(&c);
}

TEST(pools_that_contradict_themselves_are_refused)
{
	OK(is_refused("[pool a]\ndriver = pkcs11\n", "name the PKCS#11 module"));
	OK(is_refused("[pool a]\nmodule = /m.so\n", "driver = pkcs11 only"));
	OK(is_refused("[pool a]\ndriver = pkcs11\nmodule = /m.so\nsocket = /s\n",
		"driver = smartcard-hsm only"));
	OK(is_refused("[pool a b]\n", "letters, digits"));
	OK(is_refused("[pool a]\nsocket = /a, /b, /a\n", "names a socket twice"));
	OK(is_refused(
		"[pool a]\nsocket = /1 /2 /3 /4 /5 /6 /7 /8 /9\n", "more than 8 pcscds"));
	OK(is_refused("[pool a]\noverflow = hardware\n", "overflow"));
}

TEST(authorities_are_read_and_count_from_the_next_start_on)
{
	autobuf errors = buf_new(65536), late = buf_new(4096);
	struct conf runs, c;

	OK(kf_ok(read_text("[ca web]\ncertificate = ca.pem\nkey = ca-key\n"
			   "names = .example.com www.example.org\n"
			   "networks = 192.0.2.0/24\nprofiles = server, client\n",
		&c, &errors)));
	EQ(c.cas.n, 1);
	OK(!strcmp(config_ca(&c, 0)->name, "web"));
	EQ(config_ca(&c, 0)->names.n, 2);
	EQ(config_ca(&c, 0)->profiles.n, 2);
	EQ(config_ca(&c, 0)->valid_ms, (int64_t)90 * 86400000);
	EQ(config_ca(&c, 0)->valid_max_ms, (int64_t)398 * 86400000);
	OK(!config_ca(&c, 0)->allows_wildcards);

	OK(kf_ok(read_text("", &runs, &errors)));
	config_needs_restart(&runs, &c, &late);
	OK(slice_is(buf_slice(&late), "[ca ...]"));
	config_free(&runs);
	config_free(&c);
}

#define CA_LINES "[ca web]\ncertificate = ca.pem\nkey = k\n"

TEST(authorities_that_make_no_sense_are_refused)
{
	OK(is_refused("[ca web]\nkey = k\n", "certificate"));
	OK(is_refused("[ca web]\ncertificate = ca.pem\n", "private key"));
	OK(is_refused("[ca w/b]\ncertificate = a\nkey = k\n", "letters, digits"));
	OK(is_refused(CA_LINES "names = .\n", "names"));
	OK(is_refused(CA_LINES "names = *\n", "names"));
	OK(is_refused(CA_LINES "names = *.example.com\n", "names"));
	OK(is_refused(CA_LINES "names = ..com\n", "names"));
	OK(is_refused(CA_LINES "networks = 1.2.3.4/33\n", "networks"));
	OK(is_refused(CA_LINES "profiles = server, ca\n", "server and client"));
	OK(is_refused(CA_LINES "valid = 400d\n", "valid_max"));
	OK(is_refused(CA_LINES "rsa_bits = 1024\n", "rsa_bits"));
	OK(is_refused(CA_LINES "hash = sha1\n", "hash"));
}

TEST(what_needs_a_restart_is_named_and_nothing_else)
{
	autobuf errors = buf_new(65536);
	struct conf runs, before, c;
	char lines[256];
	OK(kf_ok(read_text("", &runs, &errors)));
	OK(!is_named(&runs, &runs, "server", "loops"));

#define X(...)
#define AT_START(section, key, type, field, initial, min, max, words, text)              \
	OK(reads_with(section, key, other_value(#type, last_word(words)), &c));          \
	OK(is_named(&runs, &c, section, key));                                           \
	config_free(&c);
#define POOL(key, type, field, initial, min, max, words, text)                           \
	if (strcmp(key, "module")) {                                                     \
		const char *value = other_value(#type, last_word(words));                \
		const char *module = strcmp(key, "driver") ? "" : "module = /m.so\n";    \
		snprintf(lines, sizeof(lines), "[pool main]\n%s = %s\n%s", key, value,   \
			module);                                                         \
		OK(kf_ok(read_text("[pool main]\n", &before, &errors)));                 \
		OK(kf_ok(read_text(lines, &c, &errors)));                                \
		OK(names_pools(&before, &c) && !names_pools(&c, &c));                    \
		config_free(&before);                                                    \
		config_free(&c);                                                         \
	}
#define CA(...)
#define LISTENER(...)
#define LISTENER_AT_START(...)
#include "keyfleetd/option.def"
#undef LISTENER
#undef LISTENER_AT_START
#undef POOL
#undef X
#undef AT_START
	OK(reads_with("limits", "requests", "5", &c));
	autobuf late = buf_new(4096);
	config_needs_restart(&runs, &c, &late);
	EQ(late.n, 0);
	config_free(&c);
	config_free(&runs);
}

/* drain is the main thread's, which asks when it stops; token_handshakes is the server's TLS key's, lease_time
 * the operations'. */
TEST(every_limit_is_in_the_settings_that_loops_look_at)
{
	struct settings before, after;
	memset(&before, 0, sizeof(before)); /* what lies between fields, too */
	OK(settings_of("", &before));

#define AT_START(...)
#define X(section, key, type, field, initial, min, max, words, text)                     \
	if (!strcmp(section, "limits") && strcmp(key, "drain") &&                        \
		strcmp(key, "token_handshakes") && strcmp(key, "lease_time")) {          \
		char line[128];                                                          \
		snprintf(line, sizeof(line), "[%s]\n%s = %s\n%s", section, key,          \
			strcmp(key, "round_cost") ? other_value(#type, NULL) : "5ms",    \
			strcmp(key, "client_burst") ? "" : "client_rate = 1\n");         \
		memset(&after, 0, sizeof(after));                                        \
		OK(settings_of(line, &after));                                           \
		OK(memcmp(&before, &after, sizeof(before)) != 0);                        \
	}
#define POOL(...)
#define LISTENER(...)
#define LISTENER_AT_START(...)
#include "keyfleetd/option.def"
#undef LISTENER
#undef LISTENER_AT_START
#undef CA
#undef POOL
#undef X
#undef AT_START
}

/* Of the file with this section: the complaint, or "". */
static const char *complaint(const char *section)
{
	static char text[4096];
	autobuf errors = buf_new(sizeof(text) - 1);
	struct conf c = { 0 };
	(void)read_text(section, &c, &errors);
	config_free(&c);
	if (errors.n)
		memcpy(text, errors.p, errors.n);
	text[errors.n] = 0;
	return text;
}

TEST(a_listener_names_addresses_and_clients_and_a_key_of_its_own_has_a_certificate)
{
	const char *whole = "[listener old]\nprofile = kmip-1.4\nlisten = 127.0.0.1:1\n"
			    "clients = array\n";
	EQ(strlen(complaint(whole)), 0);
	OK(strstr(complaint("[listener old]\nclients = array\n"), "names no address"));
	OK(strstr(complaint("[listener old]\nlisten = 127.0.0.1:1\n"), "clients"));
	OK(strstr(complaint("[listener old]\nlisten = 127.0.0.1:1\nclients = array\n"
			    "key = old.key\n"),
		"belong together"));
	OK(strstr(complaint("[listener old]\nprofile = kmip-0.9\n"), "profile"));
}
TEST_MAIN
