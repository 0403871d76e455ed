/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_conf.h"
#include "cli/doctor_log.h"
#include "cli/doctor_openssl.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

/* ---- error lines ---- */

static const char *cause_of(const char *line)
{
	const struct log_text *t = log_explain(slice_of(line));
	return t ? t->cause : "";
}

static bool says(const char *line, const char *part)
{
	return strstr(cause_of(line), part) != NULL;
}

TEST(each_row_explains_a_line_that_is_its_pattern)
{
	const struct log_text *t;
	for (size_t i = 0; (t = log_text_at(i)); i++) {
		const struct log_text *found = log_explain(slice_of(t->pattern));
		OK(found);
		OK(t->cause[0] && t->remedy[0]);
		/* A row that a general one above it hides would never be told. */
		if (found != t)
			FAIL_("`%s` is hidden by `%s`", t->pattern, found->pattern);
	}
}

TEST(lines_of_the_stock_servers_are_explained)
{
	OK(says("2026/11/21 15:01:43 [emerg] 1206#1206: cannot load certificate key "
		"\"/x/www.ref\": PEM_read_bio_PrivateKey() failed (SSL: "
		"error:1E08010C:DECODER routines::unsupported:No supported data to "
		"decode. "
		"Input type: PEM)",
		"provider is not loaded"));
	OK(says("[ssl:emerg] [pid 1:tid 1] AH02564: Failed to configure encrypted (?) "
		"private key localhost:443:0, check /x/www.ref",
		"provider is not loaded"));
	OK(says("[ALERT] (1) : config : parsing [/x:10] : 'bind 127.0.0.1:1' in section "
		"'frontend' : No Private Key found in '/x.pem.key'.",
		"provider is not loaded"));
	OK(says("'bind :1' : must contain at least a certificate and a private key",
		"lacks certificate or reference"));
	OK(says("SSL_CTX_use_PrivateKey(\"/x\") failed (SSL: error:05800074:x509 "
		"certificate routines::key values mismatch)",
		"do not belong together"));
	OK(says("cannot load certificate key \"engine:pkcs11:x\": "
		"ENGINE_load_private_key() "
		"failed (SSL: error:13000075:engine routines::not initialised)",
		"engine pkcs11"));
	OK(says("SSL_CTX_use_PrivateKey_file: ../src/client/keyref.c:65: "
		"error:40800004:keyfleet::message is malformed",
		"damaged"));
}

TEST(the_particular_cause_wins_over_the_general_one)
{
	OK(says("cannot load certificate key \"/x\": PEM_read_bio_PrivateKey() failed "
		"(SSL: error:40800004:keyfleet::message is malformed:key reference has "
		"an unexpected field (KEYFLEET KEY REFERENCE))",
		"damaged"));
	OK(says("SSL_CTX_new() failed (SSL: error:0A0000A1:SSL routines::library has no "
		"ciphers)",
		"default provider"));
}

TEST(other_lines_are_passed_over)
{
	OK(!log_explain(slice_of("")));
	OK(!log_explain(slice_of("GET / HTTP/1.1")));
	OK(!log_explain((struct slice){ 0 }));
}

TEST(a_star_stands_for_anything_in_between_only)
{
	OK(log_matches(slice_of("xxaYYbzz"), "a*b"));
	OK(log_matches(slice_of("ab"), "a*b"));
	OK(!log_matches(slice_of("ba"), "a*b"));
	OK(!log_matches(slice_of("a"), "a*a"));
}

TEST(lines_are_cut_without_their_ends)
{
	struct slice text = SLICE_LIT("one\r\n\ntwo");
	OK(slice_is(log_next_line(&text), "one"));
	OK(slice_is(log_next_line(&text), ""));
	OK(slice_is(log_next_line(&text), "two"));
	EQ(text.n, 0);
}

/* ---- our configurations ---- */

static const char agent_conf[] = "# agent\n[client]\nservers = a:1, b:2  # both\n"
				 "key = web1.key\n\n[allow *]\nusers = root, www-data\n"
				 "[allow \"x y\"]\nusers = \"a#b\"\nnonsense\n";

TEST(options_are_found_with_their_lines)
{
	struct doctor_conf c;
	OK(kf_ok(doctor_conf_parse("/etc/k/agent.conf", slice_of(agent_conf), &c)));

	EQ(c.n, 4);
	OK(!strcmp(doctor_conf_get(&c, "client", "servers", ""), "a:1, b:2"));
	EQ(doctor_conf_find(&c, "client", "key")->line, 4);
	OK(!strcmp(c.item[2].label, "*") && !strcmp(c.item[3].label, "x y"));
	OK(!strcmp(c.item[3].value, "a#b"));
	OK(!doctor_conf_find(&c, "agent", "key"));
	doctor_conf_free(&c);
}

TEST(a_configuration_cut_anywhere_is_read_as_far_as_it_goes)
{
	for (size_t n = 0; n < sizeof(agent_conf); n++) {
		struct doctor_conf c;
		const struct slice cut = { (const uint8_t *)agent_conf, n };
		OK(kf_ok(doctor_conf_parse("x", cut, &c)));
		OK(c.n <= 4);
		doctor_conf_free(&c);
	}
}

TEST(paths_begin_at_the_file_and_sizes_have_units)
{
	char path[64];
	const struct doctor_conf c = { .path = "/etc/k/agent.conf" };
	OK(kf_ok(doctor_conf_path(&c, "web1.key", path, sizeof(path))));
	OK(!strcmp(path, "/etc/k/web1.key"));
	OK(kf_ok(doctor_conf_path(&c, "/x", path, sizeof(path))) && !strcmp(path, "/x"));
	OK(!kf_ok(doctor_conf_path(&c, "web1.key", path, 10)));

	EQ(doctor_conf_size("64M"), 64 << 20);
	EQ(doctor_conf_size("16384"), 16384);
	EQ(doctor_conf_size("1G"), 1 << 30);
	EQ(doctor_conf_size("1X"), -1);
	EQ(doctor_conf_size("-1"), -1);
	EQ(doctor_conf_size("99999999999999999999G"), -1);
}

TEST(words_of_a_list_are_whole)
{
	OK(doctor_conf_lists("root, www-data", "www-data"));
	OK(doctor_conf_lists("33", "33"));
	OK(!doctor_conf_lists("www-data2", "www-data"));
	OK(!doctor_conf_lists("root,www", ""));
}

/* ---- openssl.cnf ---- */

static const char good_cnf[] =
	"openssl_conf = openssl_init\n[openssl_init]\nproviders = provider_sect\n"
	"[provider_sect]\ndefault = default_sect\nkeyfleet = keyfleet_sect\n"
	"[default_sect]\nactivate = 1\n[keyfleet_sect]\nmodule = /m/keyfleet.so\n"
	"agent-socket = @x # ours\nactivate = 1\n";

static struct openssl_conf parsed(const char *text)
{
	struct openssl_conf c;
	if (!kf_ok(openssl_conf_parse("/x/openssl.cnf", slice_of(text), &c)))
		abort();
	return c;
}

TEST(providers_are_found_with_their_lines)
{
	struct openssl_conf c = parsed(good_cnf);
	OK(c.keyfleet.is_active && c.base.is_active);
	EQ(c.keyfleet.named->line, 6);
	OK(c.base.named < c.keyfleet.named);
	OK(!strcmp(openssl_conf_keyfleet(&c, "module"), "/m/keyfleet.so"));
	OK(!strcmp(openssl_conf_keyfleet(&c, "agent-socket"), "@x"));
	OK(!openssl_conf_keyfleet(&c, "deadline-ms"));
	openssl_conf_free(&c);
}

TEST(our_provider_is_known_by_its_module_too)
{
	struct openssl_conf c =
		parsed("openssl_conf=i\n[i]\nproviders=p\n[p]\nours=o\n[o]\n"
		       "module=/m/keyfleet.so\n");
	OK(c.keyfleet.named && !c.keyfleet.is_active && !c.base.named);
	openssl_conf_free(&c);
}

TEST(a_file_without_providers_names_none)
{
	struct openssl_conf c = parsed("HOME = .\n[req]\nkeyfleet = x\n");
	OK(!c.keyfleet.named && !openssl_conf_keyfleet(&c, "module"));
	openssl_conf_free(&c);
}

TEST(what_is_not_activated_is_not_active)
{
	struct openssl_conf c =
		parsed("openssl_conf=i\n[i]\nproviders=p\n[p]\ndefault=d\nkeyfleet=k\n"
		       "[d]\nactivate=0\n[k]\n#activate=1\n");
	OK(!c.base.is_active && !c.keyfleet.is_active && !c.keyfleet.activate);
	openssl_conf_free(&c);
}

TEST(an_included_file_goes_on_with_the_section)
{
	char path[] = "/tmp/doctor-XXXXXX", text[256];
	int fd = mkstemp(path);
	static const char inside[] = "keyfleet = k\n[k]\nactivate = 1\n";
	OK(write(fd, inside, sizeof(inside) - 1) == (ssize_t)sizeof(inside) - 1);
	snprintf(text, sizeof(text),
		"openssl_conf=i\n[i]\nproviders=p\n[p]\n.include %s\n[d]\nx=1\n", path);

	struct openssl_conf c = parsed(text);
	OK(c.keyfleet.is_active && !strcmp(c.keyfleet.named->file, path));
	EQ(c.keyfleet.named->line, 1);
	openssl_conf_free(&c);

	snprintf(text, sizeof(text), ".include %s\n", path);
	close(fd);
	FILE *f = fopen(path, "w"); /* one that includes itself comes to an end */
	fputs(text, f);
	fclose(f);
	c = parsed(text);
	openssl_conf_free(&c);
	unlink(path);
}

TEST(an_openssl_cnf_cut_anywhere_is_read_as_far_as_it_goes)
{
	for (size_t n = 0; n < sizeof(good_cnf); n++) {
		struct openssl_conf c;
		const struct slice cut = { (const uint8_t *)good_cnf, n };
		OK(kf_ok(openssl_conf_parse("x", cut, &c)));
		openssl_conf_free(&c);
	}
}

TEST(files_that_include_themselves_often_come_to_an_end)
{
	char path[] = "/tmp/doctor-XXXXXX", text[64];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	for (int i = 0; i < 100; i++)
		fprintf(f, ".include %s\n", path);
	fclose(f);
	snprintf(text, sizeof(text), ".include %s\n", path);

	struct openssl_conf c = parsed(text);
	OK(c.n_files <= 1000);
	openssl_conf_free(&c);
	unlink(path);
}

TEST_MAIN
