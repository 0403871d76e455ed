/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#define FILES(f) (f), sizeof(f) / sizeof((f)[0])
static const struct file usual[] = {
	{ "/etc/apache2/apache2.conf", "DefaultRuntimeDir ${APACHE_RUN_DIR}\n"
				       "User ${APACHE_RUN_USER}\n"
				       "PidFile ${APACHE_PID_FILE}\n"
				       "Include mods-enabled/*.load\n"
				       "IncludeOptional sites-enabled/*.conf\n"
				       "IncludeOptional nothing/*.conf\n" },
	{ "/etc/apache2/envvars",
		"export APACHE_RUN_USER=www-data\n"
		"export APACHE_PID_FILE=/var/run/apache2$SUFFIX/apache2.pid\n" },
	{ "/etc/apache2/mods-enabled/ssl.load",
		"LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n" },
	{ "/etc/apache2/sites-enabled/default-ssl.conf",
		"Define CERTS /etc/ssl\n"
		"<IfModule mod_ssl.c>\n"
		"<IfModule !gnutls_module>\n"
		"\t<VirtualHost _default_:443 [::1]:8443>\n"
		"\t\tServerName https://www.example.org:443\n"
		"\t\tServerAlias example.org \\\n"
		"\t\t\t*.example.org\n"
		"\t\tSSLEngine on\n"
		"\t\tSSLCertificateFile\t\"${CERTS}/a b.pem\"\n"
		"\t\tSSLCertificateKeyFile ${CERTS}/a.key\n"
		"\t\tsslcertificatefile /etc/ssl/both.pem\n"
		"\t\t<Directory />\n\t\t</Directory>\n"
		"\t</VirtualHost>\n"
		"</IfModule>\n"
		"</IfModule>\n"
		"<IfModule mod_gnutls.c>\n<VirtualHost *:444>\nSSLEngine on\n"
		"SSLCertificateFile /no\n</VirtualHost>\n</IfModule>\n"
		"<VirtualHost *:80>\nSSLCertificateFile /not/served\n</VirtualHost>\n" },
};

TEST(pairs_of_virtual_hosts_are_found)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(usual), &s)));

	EQ(s.n_pairs, 2);
	const struct site_pair *p = &s.pairs[0];
	OK(!strcmp(p->certificate.text, "/etc/ssl/a b.pem"));
	OK(!strcmp(p->key.text, "/etc/ssl/a.key"));
	EQ(p->shape, SITE_SEPARATE);
	EQ(p->listens.n, 2);
	OK(!strcmp(p->listens.item[0].text, "*:443"));
	OK(!strcmp(p->listens.item[1].text, "[::1]:8443"));
	EQ(p->names.n, 3);
	OK(!strcmp(p->names.item[0].text, "www.example.org"));
	OK(!strcmp(p->names.item[2].text, "*.example.org"));
	OK(!p->why_not);
}

static const struct file balanced[] = {
	{ "/etc/apache2/apache2.conf",
		"SSLCertificateFile /a.pem\nSSLEngine on\n"
		"<VirtualHost *:443>\nServerName a.example.org\n</VirtualHost>\n"
		"<VirtualHost *:443>\nRemoteIPProxyProtocol On\n</VirtualHost>\n"
		"<VirtualHost *:444>\n</VirtualHost>\n" },
};

TEST(the_proxy_protocol_is_that_of_an_address)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(balanced), &s)));

	EQ(s.n_pairs, 1);
	EQ(s.pairs[0].listens.n, 2);
	EQ(s.pairs[0].listens.item[0].opening, SITE_PROXY_LINE);
	EQ(s.pairs[0].listens.item[1].opening, SITE_TLS);
}

static const struct file excepted[] = {
	{ "/etc/apache2/apache2.conf",
		"SSLCertificateFile /a.pem\nSSLEngine on\nRemoteIPProxyProtocol On\n"
		"<VirtualHost *:443>\nRemoteIPProxyProtocolExceptions 127.0.0.1\n"
		"</VirtualHost>\n"
		"<VirtualHost *:444>\nRemoteIPProxyProtocol off\n</VirtualHost>\n" },
};

TEST(where_a_proxy_line_may_be_missing_nobody_is_asked)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(excepted), &s)));

	EQ(s.pairs[0].listens.item[0].opening, SITE_OTHER_PROTOCOL);
	EQ(s.pairs[0].listens.item[1].opening, SITE_TLS);
}

TEST(a_certificate_without_a_key_holds_it)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(usual), &s)));

	EQ(s.pairs[1].shape, SITE_BUNDLE);
	OK(!s.pairs[1].key.file);
	OK(!strcmp(s.pairs[1].key.text, "/etc/ssl/both.pem"));
}

TEST(arguments_know_their_lines_behind_continued_ones)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(usual), &s)));

	const struct site_value *v = &s.pairs[0].key;
	EQ(v->line, 10);
	OK(!strncmp(usual[3].text + v->at, "${CERTS}/a.key", v->n));
	EQ(v->n, 14);
	EQ(s.pairs[0].certificate.n, strlen("\"${CERTS}/a b.pem\""));
}

TEST(facts_come_with_variables_of_the_environment)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(usual), &s)));

	OK(!strcmp(site_fact(&s, SITE_USER)->value.text, "www-data"));
	OK(!strcmp(site_fact(&s, SITE_PID_FILE)->value.text,
		"/var/run/apache2/apache2.pid"));
}

TEST(hosts_inherit_place_by_place)
{
	static const struct file files[] = { { "/a/httpd.conf",
		"SSLEngine on\nSSLCertificateFile m1\nSSLCertificateKeyFile k1\n"
		"SSLCertificateFile m2\nSSLCertificateKeyFile k2\n"
		"<VirtualHost *:1>\nSSLCertificateFile own\nSSLCertificateKeyFile "
		"own.key\n"
		"</VirtualHost>\n<VirtualHost *:2>\nSSLEngine off\n</VirtualHost>\n" } };
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(files), &s)));

	EQ(s.n_pairs, 2);
	OK(!strcmp(s.pairs[0].key.text, "/a/own.key"));
	OK(!strcmp(s.pairs[1].certificate.text, "/a/m2"));
	OK(!strcmp(s.pairs[1].key.text, "/a/k2"));
}

TEST(what_nobody_defines_and_tokens_are_not_adoptable)
{
	static const struct file files[] = { { "/a/httpd.conf",
		"<VirtualHost *:1>\nSSLEngine on\nSSLCertificateFile ${WHERE}/c\n"
		"SSLCertificateKeyFile ${WHERE}/k\nSSLCertificateFile /c\n"
		"SSLCertificateKeyFile pkcs11:token=x\n</VirtualHost>\n" } };
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_APACHE, FILES(files), &s)));

	EQ(s.n_pairs, 2);
	OK(strstr(s.pairs[0].why_not, "variable"));
	OK(strstr(s.pairs[1].why_not, "token"));
}

static bool refused(const char *text, const char *what)
{
	const struct file files[] = { { "/a/httpd.conf", text } };
	autosite s = { 0 };
	kf_err e = world_site(SITE_APACHE, FILES(files), &s);
	if (kf_is(e, KF_E_CONFIG) && strstr(said, what))
		return true;
	printf("# said: %s\n", said);
	return false;
}

TEST(mistakes_are_named_with_file_and_line)
{
	OK(refused("\n</VirtualHost>\n", "/a/httpd.conf:2: a section ends"));
	OK(refused("<VirtualHost *>\n", "the file ends inside a section"));
	OK(refused("\nInclude missing/*.conf\n", "/a/httpd.conf:2: /a/missing/*.conf"));
	OK(refused("Include httpd.conf\n", "too many files include each other"));
}

TEST(cut_anywhere_it_is_read_or_refused_by_line)
{
	static const struct file first[] = { { "/a/httpd.conf",
		"<IfModule !x>\n<VirtualHost \"*:1\">\nSSLEngine on\nSSLCertificateFile "
		"\\\n '/c' \n"
		"</VirtualHost></IfModule>\n<IfDefine !Y>\n</IfDefine >\n" } };
	OK(survives_cuts(SITE_APACHE, FILES(usual)));
	OK(survives_cuts(SITE_APACHE, FILES(first)));
}

TEST_MAIN
