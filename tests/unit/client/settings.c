/* SPDX-License-Identifier: Apache-2.0 */
#include "client/settings.h"
#include "test.h"

static kf_err copy(const kf_options *o, struct settings *ret, char why[1024])
{
	autobuf text = buf_new(1024);
	kf_err err = settings_copy(o, ret, &text);
	snprintf(why, 1024, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
	return err;
}

static const kf_options good = { .servers = "keys1.example, [::1]:7000 10.0.0.1:5696",
	.ca = "/ca.pem",
	.certificate = "/client.pem",
	.key = "/client.key" };

TEST(servers_get_the_standard_port_when_they_name_none)
{
	struct settings s = { 0 };
	char why[1024];

	OK(kf_ok(copy(&good, &s, why)));

	EQ(s.servers.n, 3);
	OK(strcmp(s.servers.item[0], "keys1.example:5696") == 0);
	OK(strcmp(s.servers.item[1], "[::1]:7000") == 0);
	OK(strcmp(s.servers.item[2], "10.0.0.1:5696") == 0);
	EQ(s.timeout_ms, 10000);
	settings_free(&s);
}

TEST(limits_hold_for_options_too)
{
	struct settings s = { 0 };
	char why[1024];
	kf_options o = good;
	o.pool_size = 100000;

	OK(kf_is(copy(&o, &s, why), KF_E_CONFIG));
	OK(strstr(why, "pool_size"));
	settings_free(&s);
}

TEST(what_is_missing_is_named)
{
	struct settings s = { 0 };
	char why[1024];
	kf_options o = good;
	o.key = NULL;

	OK(kf_is(copy(&o, &s, why), KF_E_CONFIG));
	OK(strstr(why, "`key`"));
	settings_free(&s);
}

TEST(an_agent_needs_nothing_else)
{
	struct settings s = { 0 };
	char why[1024];
	kf_options o = { .agent = "@keyfleet-agent" };

	OK(kf_ok(copy(&o, &s, why)));

	OK(strcmp(s.agent, "unix:@keyfleet-agent") == 0);
	settings_free(&s);
}

TEST(agent_and_servers_exclude_each_other)
{
	struct settings s = { 0 };
	char why[1024];
	kf_options o = good;
	o.agent = "/run/agent.sock";

	OK(kf_is(copy(&o, &s, why), KF_E_CONFIG));
	settings_free(&s);
}

TEST(an_option_cannot_smuggle_a_line_in)
{
	struct settings s = { 0 };
	char why[1024];
	kf_options o = good;
	o.ca = "/ca.pem\"\nserver_name = \"*";

	OK(kf_is(copy(&o, &s, why), KF_E_CONFIG));
	settings_free(&s);
}

TEST(a_clone_is_the_same_and_its_own)
{
	struct settings s = { 0 }, c = { 0 };
	char why[1024];
	OK(kf_ok(copy(&good, &s, why)));

	OK(kf_ok(settings_clone(&s, &c)));
	settings_free(&s);

	EQ(c.servers.n, 3);
	OK(strcmp(c.servers.item[2], "10.0.0.1:5696") == 0);
	OK(strcmp(c.ca, "/ca.pem") == 0 && strcmp(c.key, "/client.key") == 0);
	OK(c.agent == NULL && c.server_name == NULL);
	EQ(c.timeout_ms, 10000);
	settings_free(&c);
}

TEST_MAIN
