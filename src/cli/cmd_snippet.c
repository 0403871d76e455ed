/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet snippet: the lines that make a stock server use key references, ready to paste.
 */
#include "cli/cli.h"
#include "cli/snippet.h"
#include <stdio.h>
#include <string.h>

struct snippet {
	const char *server, *text;
};

static const struct snippet snippets[] = {
	{ "openssl", "# openssl.cnf: what every OpenSSL program on this host loads.  Put "
		     "the first line at\n"
		     "# the end of /etc/ssl/openssl.cnf and the rest into the file that "
		     "it names.\n"
		     "#     .include /etc/keyfleet/openssl.cnf\n"
		     "openssl_conf = openssl_init\n"
		     "[openssl_init]\n"
		     "providers = provider_sect\n"
		     "[provider_sect]\n"
		     "default = default_sect\n"
		     "keyfleet = keyfleet_sect\n"
		     "[default_sect]\n"
		     "# without this line nothing but keyfleet would be loaded\n"
		     "activate = 1\n"
		     "[keyfleet_sect]\n"
		     "# module = /path/to/keyfleet.so       when it is not in OpenSSL's "
		     "modules directory\n"
		     "# agent-socket = @keyfleet-agent\n"
		     "# agent-uid = 0                       the agent's user, "
		     "trusted besides root\n"
		     "# deadline-ms = 2000\n"
		     "activate = 1\n" },
	{ "nginx",
		"# nginx.conf.  The provider comes from openssl.cnf (`keyfleet snippet "
		"openssl`), which must\n"
		"# be in /etc/ssl/openssl.cnf or named by OPENSSL_CONF in nginx's unit:\n"
		"#     systemctl edit nginx   ->   [Service]\n"
		"#                                 "
		"Environment=OPENSSL_CONF=/etc/keyfleet/openssl.cnf\n"
		"# OPENSSL_CONF survives a binary upgrade (USR2) only with this line in "
		"the main context:\n"
		"env OPENSSL_CONF;\n"
		"server {\n"
		"    listen 443 ssl;\n"
		"    ssl_certificate     /etc/keyfleet/www-rsa.pem;\n"
		"    ssl_certificate_key /etc/keyfleet/www-rsa.ref;\n"
		"    ssl_certificate     /etc/keyfleet/www-ec.pem;\n"
		"    ssl_certificate_key /etc/keyfleet/www-ec.ref;\n"
		"}\n" },
	{ "apache", "# Apache httpd.  The provider comes from openssl.cnf (`keyfleet "
		    "snippet openssl`); if that is\n"
		    "# not /etc/ssl/openssl.cnf, put this into /etc/apache2/envvars:\n"
		    "#     export OPENSSL_CONF=/etc/keyfleet/openssl.cnf\n"
		    "SSLEngine on\n"
		    "SSLCertificateFile    /etc/keyfleet/www-rsa.pem\n"
		    "SSLCertificateKeyFile /etc/keyfleet/www-rsa.ref\n"
		    "SSLCertificateFile    /etc/keyfleet/www-ec.pem\n"
		    "SSLCertificateKeyFile /etc/keyfleet/www-ec.ref\n" },
	{ "haproxy",
		"# haproxy.cfg.  No openssl.cnf is needed.  `crt` names a file with "
		"certificate, chain and key\n"
		"# reference:   cat www.pem www.ref > /etc/keyfleet/www.haproxy.pem\n"
		"global\n"
		"    ssl-provider default\n"
		"    ssl-provider keyfleet\n"
		"    # ssl-provider-path /path/to/the/folder/of/keyfleet.so    (before "
		"the two lines above)\n"
		"    # handshakes do not wait for each other, even when keys are slow:\n"
		"    ssl-mode-async\n"
		"defaults\n"
		"    # longer than the provider's deadline (2 s)\n"
		"    timeout client 5s\n"
		"frontend www\n"
		"    bind :443 ssl crt /etc/keyfleet/www.haproxy.pem\n" },
	{ "stunnel", "; stunnel.conf.  The provider comes from openssl.cnf (`keyfleet "
		     "snippet openssl`).\n"
		     "[https]\n"
		     "accept = 443\n"
		     "connect = 127.0.0.1:80\n"
		     "cert = /etc/keyfleet/www.pem\n"
		     "key = /etc/keyfleet/www.ref\n" },
};

const char *snippet_text(const char *server)
{
	for (size_t i = 0; i < sizeof(snippets) / sizeof(snippets[0]); i++)
		if (!strcmp(snippets[i].server, server))
			return snippets[i].text;
	return NULL;
}

static kf_err run(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	const char *text = snippet_text(c->argv[0]);
	if (text) {
		fputs(text, stdout);
		return KF_OK;
	}
	cli_note(c, "no snippet for %s", c->argv[0]);
	return kf_fail(
		INVALID_FIELD, "there is openssl, nginx, apache, haproxy and stunnel");
}

const struct command command_snippet = {
	.words = "snippet",
	.args = "openssl|nginx|apache|haproxy|stunnel",
	.summary = "print the configuration that makes a server use key references",
	.run = run,
};
