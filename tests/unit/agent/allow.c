/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/allow.h"
#include "agent/user.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static struct allow *make(const char *text, struct buf *notes)
{
	char path[] = "/tmp/keyfleet-test-XXXXXX";
	int fd = mkstemp(path);
	dprintf(fd,
		"[client]\nservers = 127.0.0.1:1\nca = a\ncertificate = b\nkey = c\n%s",
		text);
	close(fd);
	autobuf why = buf_new(65536);
	struct agent_conf conf;
	struct allow *a = NULL;
	kf_err err = agent_conf_read(path, &conf, &why);
	if (kf_ok(err))
		err = allow_new(path, &conf, &why, notes, &a);
	agent_conf_free(&conf);
	unlink(path);
	return kf_ok(err) ? a : NULL;
}

static bool may(const struct allow *a, const struct allow_who *who, const char *key,
	enum allow_operation op)
{
	struct allow_set set;
	allow_find(a, who, &set);
	return allow_may(a, &set, slice_of(key), op);
}

static const struct allow_who root = { .uid = 0, .n_groups = 1, .groups = { 0 } };
static const struct allow_who web = { .uid = 333, .n_groups = 2, .groups = { 333, 44 } };

TEST(without_sections_nobody_may_anything)
{
	autobuf notes = buf_new(4096);
	struct allow *a = make("", &notes);

	OK(a != NULL);
	OK(!may(a, &root, "key", ALLOW_SIGN));
	allow_free(a);
}

TEST(a_section_allows_its_key_its_users_and_its_operations)
{
	autobuf notes = buf_new(4096);
	struct allow *a =
		make("[allow one]\nusers = 333\noperations = sign, get\n", &notes);

	OK(may(a, &web, "one", ALLOW_SIGN));
	OK(may(a, &web, "one", ALLOW_GET));
	OK(!may(a, &web, "one", ALLOW_DECRYPT));
	OK(!may(a, &web, "two", ALLOW_SIGN));
	OK(!may(a, &web, "one and more", ALLOW_SIGN));
	OK(!may(a, &web, "on", ALLOW_SIGN));
	OK(!may(a, &root, "one", ALLOW_SIGN));
	allow_free(a);
}

TEST(groups_count_the_further_ones_too)
{
	autobuf notes = buf_new(4096);
	struct allow *a = make("[allow one]\ngroups = 44\nkeys = two\n", &notes);

	OK(may(a, &web, "one", ALLOW_SIGN));
	OK(may(a, &web, "two", ALLOW_SIGN));
	OK(!may(a, &root, "one", ALLOW_SIGN));
	allow_free(a);
}

TEST(locate_needs_a_section_for_every_key)
{
	autobuf notes = buf_new(4096);
	struct allow *a = make("[allow one]\nusers = 333\noperations = locate\n"
			       "[allow *]\nusers = root\noperations = locate\n",
		&notes);

	OK(!may(a, &web, "", ALLOW_LOCATE));
	OK(may(a, &root, "", ALLOW_LOCATE));
	allow_free(a);
}

TEST(names_that_the_host_does_not_have_are_noted)
{
	autobuf notes = buf_new(4096);
	struct allow *a = make("[allow *]\nusers = no-such-user, 333\n", &notes);

	OK(may(a, &web, "any", ALLOW_SIGN));
	OK(slice_is(buf_slice(&notes), "no-such-user\n"));
	allow_free(a);
}

TEST(the_words_of_grants_are_known_too)
{
	autobuf notes = buf_new(4096);
	struct allow *a =
		make("[allow *]\nusers = 333\noperations = decrypt-tls\n", &notes);

	OK(a != NULL);
	OK(a && may(a, &web, "one", ALLOW_DECRYPT));
	OK(a && !may(a, &web, "one", ALLOW_SIGN));
	allow_free(a);
}

TEST(an_unknown_operation_is_a_mistake)
{
	autobuf notes = buf_new(4096);

	OK(make("[allow *]\nusers = root\noperations = everything\n", &notes) == NULL);
}

TEST(a_socket_that_does_not_tell_who_comes_is_a_mistake)
{
	autobuf notes = buf_new(4096);
	struct allow *a = make("[agent]\nsockets = unix:@a, unix:/run/b\n", &notes);

	OK(a != NULL);
	OK(make("[agent]\nsockets = unix:@a, 127.0.0.1:99\n", &notes) == NULL);
	allow_free(a);
}

TEST(a_user_gets_no_more_than_its_rate)
{
	const struct user_limits limits = { .in_flight = 1000,
		.rate = rate_of(36000, 0) };
	struct user u = { .limits = &limits };
	uint64_t now = 5000000000;
	int got = 0;

	for (int i = 0; i < 100; i++)
		got += kf_ok(user_begin(&u, now));
	EQ(got, 10);
	OK(kf_is(user_begin(&u, now), KF_E_USER_RATE));
	EQ(user_refused(&u, now), 91);
	EQ(user_refused(&u, now), 0);
	got = 0;
	for (int i = 1; i <= 100; i++) /* ten more seconds' worth in ten seconds */
		got += kf_ok(user_begin(&u, now += 100000000));

	EQ(got, 100);
}

TEST(a_user_has_no_more_in_flight_than_allowed)
{
	const struct user_limits limits = { .in_flight = 2 };
	struct user u = { .limits = &limits };

	OK(kf_ok(user_begin(&u, 1)));
	OK(kf_ok(user_begin(&u, 1)));
	OK(kf_is(user_begin(&u, 1), KF_E_USER_REQUESTS));
	user_end(&u);

	OK(kf_ok(user_begin(&u, 1)));
}

static char *const seven = (char[]){ "7" }, *const nothing = (char[]){ "0" };

TEST(a_user_section_takes_the_place_of_what_holds_for_all)
{
	struct agent_user some[] = { { .label = (char[]){ "root" }, .rate = seven },
		{ .label = (char[]){ "12345" }, .rate = nothing, .in_flight = seven },
		{ .label = (char[]){ "no-such-user" } } };
	const struct agent_conf conf = { .user_connections = 100,
		.user_in_flight = 50,
		.user_rate = 10,
		.users = { some, 3 } };
	struct user_table *t = NULL;
	autobuf notes = buf_new(4096);
	OK(kf_ok(user_table_new(&conf, &notes, &t)));

	OK(slice_is(buf_slice(&notes), "no-such-user\n"));
	EQ(user_limits(t, 0)->rate.interval_ns, 1000000000 / 7);
	EQ(user_limits(t, 0)->in_flight, 50);
	EQ(user_limits(t, 12345)->rate.interval_ns, 0);
	EQ(user_limits(t, 12345)->in_flight, 7);
	EQ(user_limits(t, 12345)->connections, 100);
	EQ(user_limits(t, 1)->rate.interval_ns, 1000000000 / 10);
	free(t);
}

TEST_MAIN
