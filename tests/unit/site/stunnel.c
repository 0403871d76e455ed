/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#define FILES(f) (f), sizeof(f) / sizeof((f)[0])
static const struct file usual[] = {
	{ "/etc/stunnel/stunnel.conf",
		"; the usual\nsetuid = stunnel4\nchroot=/var/lib/stunnel4\n"
		"cert = /etc/stunnel/all.pem\n"
		"include = /etc/stunnel/conf.d\n"
		"[https]\naccept  = 443\nconnect = 80\n"
		"cert = /etc/stunnel/www site.pem \nkey = /etc/stunnel/www.key\n"
		"[imaps]\naccept = :::993\n"
		"[to-smtp]\nclient = yes\ncert = /etc/stunnel/client.pem\n" },
	{ "/etc/stunnel/conf.d/pop.conf",
		"[pop3s]\naccept = 127.0.0.1:995\nkey = /etc/stunnel/pop.key\n" },
};

TEST(services_are_found_with_what_holds_for_all)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_STUNNEL, FILES(usual), &s)));

	EQ(s.n_pairs, 3);
	OK(!strcmp(s.pairs[0].names.item[0].text, "pop3s"));
	OK(!strcmp(s.pairs[0].certificate.text, "/etc/stunnel/all.pem"));
	OK(!strcmp(s.pairs[1].certificate.text, "/etc/stunnel/www site.pem"));
	OK(!strcmp(s.pairs[1].key.text, "/etc/stunnel/www.key"));
	OK(!strcmp(s.pairs[1].listens.item[0].text, "*:443"));
	EQ(s.pairs[1].key.line, 10);
	OK(stands_there(&s.pairs[1].key, FILES(usual)));
	EQ(s.pairs[2].shape, SITE_BUNDLE);
	OK(!strcmp(s.pairs[2].listens.item[0].text, "[::]:993"));
	OK(!strcmp(site_fact(&s, SITE_CHROOT)->value.text, "/var/lib/stunnel4"));
}

TEST(a_line_that_is_no_option_is_named)
{
	static const struct file files[] = { { "/s.conf", "\nnonsense\n" } };
	autosite s = { 0 };

	OK(kf_is(world_site(SITE_STUNNEL, FILES(files), &s), KF_E_CONFIG));

	OK(strstr(said, "/s.conf:2: `option = value` is expected"));
}

TEST(cut_anywhere_it_is_read_or_refused_by_line)
{
	OK(survives_cuts(SITE_STUNNEL, FILES(usual)));
}

static const struct file protocols[] = {
	{ "/etc/stunnel/stunnel.conf",
		"cert = /c.pem\n[mail]\naccept = 465\nprotocol = smtp\n"
		"cert = /a.pem\n[web]\naccept = 443\nprotocol = proxy\n"
		"cert = /b.pem\n" },
};

TEST(another_protocol_may_come_before_tls)
{
	autosite s = { 0 };

	OK(kf_ok(world_site(SITE_STUNNEL, protocols, 1, &s)));

	EQ(s.n_pairs, 2);
	EQ(s.pairs[0].listens.item[0].opening, SITE_OTHER_PROTOCOL);
	EQ(s.pairs[1].listens.item[0].opening, SITE_TLS);
}

TEST_MAIN
