/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's way to the key servers, in the test's own loop. */
#include "agent/upstream.h"
#include "../client/fake.h"
#include "base/clock.h"
#include "test.h"
#include <sys/inotify.h>

static struct fake server = { .alpn = fake_both };
static struct loop *loop;
static char place[128];
static int moves, answers;
static kf_err last;
static struct upstream *moved_to;

static void moved(void *arg, struct upstream *next)
{
	struct upstream *old = arg;
	moves++;
	moved_to = next;
	upstream_retire(old);
}

static void answered(void *arg, const struct async_outcome *outcome)
{
	(void)arg;
	last = outcome->err;
	answers++;
}

static struct upstream *reach_servers(const char *servers)
{
	autobuf why = buf_new(4096), text = buf_new(4096);
	buf_printf(&text, "[client]\nservers = %s\n", servers);
	buf_printf(&text, "ca = %s\ncertificate = %s\nkey = %s\n", fake_pki.ca_file,
		fake_pki.cert_file, fake_pki.key_file);
	char conf[128];
	snprintf(conf, sizeof(conf), "%s/client.conf", fake_pki.dir);
	fake_write(conf, buf_slice(&text));
	struct settings s = { 0 };
	struct upstream *u = NULL;
	if (!kf_ok(settings_read(conf, &s, &why)) ||
		!kf_ok(upstream_new(loop, &s, &why, &u)))
		abort();
	unlink(conf);
	moves = answers = 0;
	upstream_on_move(u, moved, u);
	return u;
}

/* One server that is there, and one whose address file says where nobody listens. */
static struct upstream *reach(void)
{
	char servers[256];
	fake_write(place, SLICE_LIT("127.0.0.1:1\n"));
	snprintf(servers, sizeof(servers), "127.0.0.1:%d, file:%s", server.port, place);
	return reach_servers(servers);
}

static void run_while_ms(uint64_t ms, const int *until)
{
	uint64_t end = clock_monotonic_ns() + ms * 1000000;
	while (!*until && clock_monotonic_ns() < end)
		OK(kf_ok(loop_round(loop, 20)));
}

static void set_up(void)
{
	server = (struct fake){ .alpn = fake_both };
	fake_start(&server, 0);
	snprintf(place, sizeof(place), "%s/place", fake_pki.dir);
	OK(kf_ok(loop_new(&(struct loop_options){ 0 }, &loop)));
}

static void clean_up(void)
{
	loop_free(loop);
	fake_stop(&server);
	unlink(place);
}

static void move_away(void) { fake_write(place, SLICE_LIT("127.0.0.1:2\n")); }

TEST(a_server_that_moved_while_it_was_away_is_found)
{
	set_up();
	reach();
	move_away();

	run_while_ms(20000, &moves);

	EQ(moves, 1);
	OK(kf_ok(loop_round(loop, 0))); /* nothing is under way: the old one ends */
	upstream_free(moved_to);
	clean_up();
}

/* Until its thread has the address file open. */
static void run_until_it_looks(void)
{
	char event[sizeof(struct inotify_event) + 256];
	uint64_t end = clock_monotonic_ns() + 20000000000;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	OK(fd >= 0 && inotify_add_watch(fd, place, IN_OPEN) >= 0);
	while (read(fd, event, sizeof(event)) < 0 && clock_monotonic_ns() < end)
		OK(kf_ok(loop_round(loop, 1)));
	OK(clock_monotonic_ns() < end);
	close(fd);
}

/* A call keeps it: the answer comes when its first connection counts as dead. */
static kf_err call_for_long(struct upstream *u)
{
	struct async_request q = { .operation = KMIP_OPERATION_QUERY,
		.payload = { (const uint8_t *)"", 0 },
		.options = { .timeout_ms = 4000 },
		.done = answered };
	return upstream_call(u, &q);
}

TEST(one_whose_configuration_was_replaced_does_not_take_its_place_back)
{
	set_up();
	server.mood = FAKE_IS_SILENT;
	struct upstream *u = reach();
	move_away();
	run_until_it_looks();
	OK(kf_ok(call_for_long(u)));

	upstream_retire(u);
	moves = 0;
	run_while_ms(20000, &answers);

	EQ(answers, 1);
	EQ(moves, 0);
	OK(kf_ok(loop_round(loop, 0)));
	clean_up();
}

TEST(a_call_made_before_any_address_is_known_waits_for_one)
{
	char servers[160];
	set_up();
	snprintf(servers, sizeof(servers), "file:%s", place);
	struct upstream *u = reach_servers(servers);
	OK(kf_ok(call_for_long(u)));
	OK(kf_ok(loop_round(loop, 0)));
	EQ(answers, 0);
	snprintf(servers, sizeof(servers), "127.0.0.1:%d\n", server.port);
	fake_write(place, slice_of(servers));

	run_while_ms(20000, &answers);

	EQ(answers, 1);
	OK(kf_ok(last));
	EQ(moves, 1);
	upstream_free(moved_to);
	clean_up();
}

TEST_MAIN
