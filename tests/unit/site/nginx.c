/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#define FILES(f) (f), sizeof(f) / sizeof((f)[0])
static const struct file usual[] = {
	{ "/etc/nginx/nginx.conf", "user www-data;\n"
				   "worker_processes auto; # not; a { directive\n"
				   "env 'OPENSSL_CONF=/etc/ssl/my conf';\n"
				   "events { worker_connections 768; }\n"
				   "http {\n"
				   "  include sites-enabled/*;\n"
				   "  ssl_certificate \"/etc/ssl/all.pem\";\n"
				   "  ssl_certificate_key private/all.key;\n"
				   "  upstream u { server 127.0.0.1:8080; }\n"
				   "  map $host $x { default 1; ~^a\\{b 2; }\n"
				   "}\n" },
	{ "/etc/nginx/sites-enabled/default",
		"server {\n"
		"  listen 443 ssl http2; listen [::]:443 ssl;\n"
		"  server_name www.example.org example.org;\n"
		"  ssl_certificate /etc/ssl/rsa.pem;\n"
		"  ssl_certificate_key /etc/ssl/rsa.key;\n"
		"  ssl_certificate /etc/ssl/ec.pem; ssl_certificate_key "
		"/etc/ssl/ec.key;\n"
		"}\n" },
	{ "/etc/nginx/sites-enabled/inherits",
		"server { listen 443; server_name other.example.org; }\n"
		"server { listen 80; server_name plain.example.org; return 301; }\n" },
};

TEST(pairs_are_found_with_addresses_and_names)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(usual), &s)));

	EQ(s.n_files, 3);
	EQ(s.n_pairs, 3);
	const struct site_pair *rsa = &s.pairs[0], *ec = &s.pairs[1], *all = &s.pairs[2];
	OK(!strcmp(rsa->certificate.text, "/etc/ssl/rsa.pem"));
	OK(!strcmp(rsa->key.text, "/etc/ssl/rsa.key"));
	OK(!strcmp(ec->certificate.text, "/etc/ssl/ec.pem"));
	OK(!strcmp(ec->key.text, "/etc/ssl/ec.key"));
	EQ(rsa->listens.n, 2);
	EQ(rsa->names.n, 2);
	OK(!strcmp(rsa->names.item[1].text, "example.org"));
	OK(!strcmp(all->certificate.text, "/etc/ssl/all.pem"));
	OK(!strcmp(all->key.text, "/etc/nginx/private/all.key"));
	EQ(all->shape, SITE_SEPARATE);
	OK(!all->why_not);
}

TEST(certificates_said_after_the_server_are_inherited)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(usual), &s)));

	const struct site_pair *all = &s.pairs[2];
	EQ(all->names.n, 1); /* not those of a server without TLS */
	OK(!strcmp(all->names.item[0].text, "other.example.org"));
}

TEST(tls_of_one_server_holds_for_all_at_the_address)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(usual), &s)));

	const struct site_pair *all = &s.pairs[2];
	EQ(all->listens.n, 1);
	OK(!strcmp(all->listens.item[0].text, "*:443"));
}

/* What is asked for at the address of a server with these names. */
static bool asks(const char *names, const char *wanted)
{
	char text[256];
	autosite s = { 0 };
	snprintf(text, sizeof(text),
		"http { server { listen 1 ssl; server_name %s;\n"
		"ssl_certificate a; ssl_certificate_key b; } }",
		names);
	const struct file one[] = { { "/etc/nginx/nginx.conf", text } };
	if (!kf_ok(world_site(SITE_NGINX, FILES(one), &s)) || s.n_pairs != 1)
		return false;
	const char *name = s.pairs[0].listens.item[0].name;
	return !strcmp(name ? name : "", wanted);
}

TEST(a_name_that_is_one_is_asked_for_before_a_wildcard)
{
	OK(asks("*.example.org www.example.org", "www.example.org"));
	OK(asks("_ *.example.org", "*.example.org"));
	OK(asks("'' intranet", "intranet"));
	OK(asks("~^www www.example.*", ""));
	OK(asks(".example.org a_b.example.org", ""));
	OK(asks("* *.*.org", ""));
}

TEST(each_value_knows_its_line_and_bytes)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(usual), &s)));

	for (size_t i = 0; i < s.n_pairs; i++) {
		OK(stands_there(&s.pairs[i].certificate, FILES(usual)));
		OK(stands_there(&s.pairs[i].key, FILES(usual)));
	}
	EQ(s.pairs[2].certificate.line, 7);
	EQ(s.pairs[1].key.line, 6);
	OK(!strncmp(usual[0].text + s.pairs[2].certificate.at, "\"/etc/ssl/all.pem\"",
		s.pairs[2].certificate.n));
}

TEST(facts_are_found)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(usual), &s)));

	OK(!strcmp(site_fact(&s, SITE_USER)->value.text, "www-data"));
	OK(!strcmp(site_fact(&s, SITE_WORKERS)->value.text, "auto"));
	OK(!strcmp(site_fact(&s, SITE_MAX_CONNECTIONS)->value.text, "768"));
	OK(!strcmp(site_fact(&s, SITE_ENVIRONMENT)->value.text,
		"OPENSSL_CONF=/etc/ssl/my conf"));
	OK(!site_fact(&s, SITE_CHROOT));
}

TEST(one_snippet_for_several_servers_is_one_pair)
{
	static const struct file files[] = {
		{ "/n/nginx.conf", "http { server { listen 1.2.3.4:443 ssl; server_name "
				   "a; include pair.conf; }\n"
				   "server { listen unix:/run/x ssl; server_name b a; "
				   "include pair.conf; } }" },
		{ "/n/pair.conf", "ssl_certificate a.pem; ssl_certificate_key a.key;" },
	};
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(files), &s)));

	EQ(s.n_pairs, 1);
	EQ(s.pairs[0].names.n, 2);
	EQ(s.pairs[0].listens.n, 2);
	OK(!strcmp(s.pairs[0].listens.item[1].text, "unix:/run/x"));
	OK(!strcmp(s.pairs[0].certificate.text, "/n/a.pem"));
}

static const char *why_not(const char *pair)
{
	char text[512];
	snprintf(text, sizeof(text), "http { server { listen 443 ssl; %s } }", pair);
	const struct file files[] = { { "/n/nginx.conf", text } };
	autosite s = { 0 };
	if (!kf_ok(world_site(SITE_NGINX, FILES(files), &s)) || s.n_pairs != 1)
		return said;
	return s.pairs[0].why_not;
}

TEST(what_is_known_at_run_time_only_is_not_adoptable)
{
	OK(strstr(
		why_not("ssl_certificate $ssl_server_name.pem; ssl_certificate_key /k;"),
		"variable"));
	OK(strstr(why_not("ssl_certificate /c; ssl_certificate_key engine:pkcs11:x;"),
		"engine"));
	OK(strstr(
		why_not("ssl_certificate /c; ssl_certificate_key data:$k;"), "variable"));
	OK(strstr(why_not("ssl_certificate /c; ssl_certificate_key store:pkcs11:x;"),
		"store"));
	OK(!why_not("ssl_certificate /c; ssl_certificate_key /k;"));
}

static bool refused(const char *text, const char *what)
{
	const struct file files[] = { { "/n/nginx.conf", text } };
	autosite s = { 0 };
	kf_err e = world_site(SITE_NGINX, FILES(files), &s);
	if (kf_is(e, KF_E_CONFIG) && strstr(said, what))
		return true;
	printf("# said: %s\n", said);
	return false;
}

TEST(mistakes_are_named_with_file_and_line)
{
	OK(refused("http {\n server {", "/n/nginx.conf:2: the file ends inside a block"));
	OK(refused("a;\n}\n", "/n/nginx.conf:2: unexpected `}`"));
	OK(refused("a 'b;\n", "nginx.conf:2: the file ends inside a directive"));
	OK(refused("\n\ninclude /n/missing;",
		"nginx.conf:3: /n/missing: there is no such file"));
	OK(refused("http { server {\nssl_certificate /a; } }",
		"nginx.conf:2: ssl_certificate without"));
	OK(refused("include nginx.conf;", "too many blocks and included files"));
}

TEST(other_languages_are_stepped_over_and_told)
{
	static const struct file files[] = { { "/n/nginx.conf",
		"http { init_by_lua_block { x = { 'ssl_certificate' } }\n"
		"server { listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k; } "
		"}" } };
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(files), &s)));

	EQ(s.n_pairs, 1);
	OK(site_fact(&s, SITE_UNREAD));
}

TEST(cut_anywhere_it_is_read_or_refused_by_line)
{
	OK(survives_cuts(SITE_NGINX, FILES(usual)));
}

static const struct file proxied[] = {
	{ "/etc/nginx/nginx.conf",
		"http { ssl_certificate a; ssl_certificate_key b;\n"
		"server { listen 1 ssl proxy_protocol; listen 2 ssl; }\n"
		"server { listen 1 ssl; ssl_certificate c; ssl_certificate_key d; }}\n" },
};

TEST(proxy_protocol_holds_for_all_servers_at_the_address)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(proxied), &s)));

	EQ(s.n_pairs, 2);
	for (size_t i = 0; i < s.n_pairs; i++)
		for (size_t k = 0; k < s.pairs[i].listens.n; k++) {
			const struct site_value *v = &s.pairs[i].listens.item[k];
			EQ(v->opening,
				strcmp(v->text, "*:1") ? SITE_TLS : SITE_PROXY_LINE);
		}
	EQ(s.pairs[1].listens.n, 1);
}

static const struct file shared[] = {
	{ "/etc/nginx/nginx.conf",
		"http { ssl_certificate a; ssl_certificate_key b;\n"
		"server { listen 1 ssl; listen 2 ssl; server_name one; }\n"
		"server { listen 2 ssl; listen 3 ssl; server_name two; }\n"
		"server { listen 4 ssl; }\n"
		"server { listen 4 ssl; server_name four; } }\n" },
};

TEST(at_each_address_a_name_is_asked_for_that_is_served_there)
{
	static const char *const names[] = { "one", "one", "two", "four" };
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_NGINX, FILES(shared), &s)));

	EQ(s.n_pairs, 1);
	EQ(s.pairs[0].listens.n, 4);
	for (size_t i = 0; i < s.pairs[0].listens.n; i++) {
		const struct site_value *v = &s.pairs[0].listens.item[i];
		OK(!strcmp(v->name, names[atoi(v->text + 2) - 1]));
	}
}

TEST_MAIN
