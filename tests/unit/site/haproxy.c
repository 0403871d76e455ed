/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#define FILES(f) (f), sizeof(f) / sizeof((f)[0])
#define CERT     "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define KEY      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
static const struct file usual[] = {
	{ "/etc/haproxy/haproxy.cfg",
		"global\n"
		"\tuser haproxy\n\tchroot /var/lib/haproxy\n\tmaxconn 4000\n"
		"\tstats socket /run/haproxy/admin.sock mode 660 level admin\n"
		"\tcrt-base /etc/haproxy/certs\n"
		"\tssl-mode-async\n"
		"defaults\n\ttimeout client 30s\n\tmaxconn 10\n"
		"frontend www # of all\n"
		"\tbind :443,[::]:443 ssl crt \"site.pem\" alpn h2\n"
		"\tbind 127.0.0.1:8443 ssl crt /etc/haproxy/dir crt /etc/haproxy/dual\n"
		"\tbind ipv4@*:9443 ssl crt-list list.txt\n"
		"\tbind :80 crt not-tls.pem\n" },
	{ "/etc/haproxy/certs/site.pem", CERT KEY },
	{ "/etc/haproxy/dir/a.pem", CERT },
	{ "/etc/haproxy/dir/a.pem.key", KEY },
	{ "/etc/haproxy/dir/b.pem", KEY CERT },
	{ "/etc/haproxy/dir/b.pem.ocsp", "x" },
	{ "/etc/haproxy/dual.ecdsa", CERT KEY },
	{ "/etc/haproxy/dual.rsa", CERT KEY },
	{ "/etc/haproxy/list.txt", "# certificates\n"
				   "site.pem [alpn h2 ssl-min-ver TLSv1.2] "
				   "www.example.org !bad.example.org\n"
				   "/etc/haproxy/certs/site.pem other.example.org\n" },
};

TEST(bundles_folders_variants_and_lists_are_found)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_HAPROXY, FILES(usual), &s)));

	EQ(s.n_pairs, 7);
	OK(!strcmp(s.pairs[0].certificate.text, "/etc/haproxy/certs/site.pem"));
	EQ(s.pairs[0].shape, SITE_BUNDLE);
	EQ(s.pairs[0].source, SITE_NAMED);
	EQ(s.pairs[0].listens.n, 2);
	OK(!strcmp(s.pairs[0].listens.item[0].text, "*:443"));
	OK(!strcmp(s.pairs[1].key.text, "/etc/haproxy/dir/a.pem.key"));
	EQ(s.pairs[1].shape, SITE_BESIDE);
	EQ(s.pairs[1].source, SITE_FOUND);
	OK(!strcmp(s.pairs[2].certificate.text, "/etc/haproxy/dir/b.pem"));
	OK(!strcmp(s.pairs[3].certificate.text, "/etc/haproxy/dual.rsa"));
	EQ(s.pairs[3].source, SITE_FOUND);
	EQ(s.pairs[5].source, SITE_LISTED);
}

TEST(a_list_gives_names_and_its_own_place)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_HAPROXY, FILES(usual), &s)));

	const struct site_pair *p = &s.pairs[5];
	OK(!strcmp(p->certificate.file, "/etc/haproxy/list.txt"));
	EQ(p->certificate.line, 2);
	EQ(p->names.n, 1);
	OK(!strcmp(p->names.item[0].text, "www.example.org"));
	OK(!strcmp(p->listens.item[0].text, "*:9443"));
	OK(stands_there(&p->certificate, FILES(usual)));
	OK(stands_there(&s.pairs[0].certificate, FILES(usual)));
}

TEST(facts_are_found)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_HAPROXY, FILES(usual), &s)));

	OK(!strcmp(site_fact(&s, SITE_CHROOT)->value.text, "/var/lib/haproxy"));
	OK(!strcmp(site_fact(&s, SITE_CLIENT_TIMEOUT)->value.text, "30s"));
	OK(!strcmp(site_fact(&s, SITE_MAX_CONNECTIONS)->value.text, "4000"));
	OK(site_fact(&s, SITE_ASYNC));
	OK(strstr(site_fact(&s, SITE_CONTROL_SOCKET)->value.text, "level admin"));
}

TEST(a_missing_file_is_named_with_its_line)
{
	static const struct file files[] = { { "/h/haproxy.cfg",
		"frontend x\nbind :1 ssl crt no.pem\n" } };
	autosite s = { 0 };

	OK(kf_is(world_site(SITE_HAPROXY, FILES(files), &s), KF_E_CONFIG));

	OK(strstr(said, "/h/haproxy.cfg:2: /h/no.pem: there is no such file"));
}

TEST(cut_anywhere_it_is_read_or_refused_by_line)
{
	OK(survives_cuts(SITE_HAPROXY, FILES(usual)));
}

static const struct file proxied[] = {
	{ "/etc/haproxy/haproxy.cfg",
		"frontend f\n bind :1 accept-proxy ssl crt /a.pem\n"
		" bind :2 ssl crt /b.pem\n"
		" bind :3 accept-netscaler-cip 1 ssl crt /c.pem\n" },
	{ "/a.pem", "x" },
	{ "/b.pem", "x" },
	{ "/c.pem", "x" },
};

TEST(what_a_balancer_says_first_is_known)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_HAPROXY, proxied, 4, &s)));

	EQ(s.n_pairs, 3);
	EQ(s.pairs[0].listens.item[0].opening, SITE_PROXY_LINE);
	EQ(s.pairs[1].listens.item[0].opening, SITE_TLS);
	EQ(s.pairs[2].listens.item[0].opening, SITE_OTHER_PROTOCOL);
}

TEST_MAIN
