/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that go before their answer comes, and those that come before the key servers do. */
#include "whole.h"
#include <semaphore.h>

enum { SOON_NS = 1000000000 };

/* Until it is so, or ten seconds are over. */
#define UNTIL(what)                                                                      \
	for (uint64_t end_ = clock_monotonic_ns() + 10ull * SOON_NS;                     \
		!(what) && clock_monotonic_ns() < end_;)                                 \
		sched_yield();                                                           \
	OK(what)

/* On the agent's thread. */
struct look {
	struct loop_message message;
	size_t busy;
	sem_t done;
};

static void look(struct loop_message *m)
{
	struct look *l = container_of(m, struct look, message);
	l->busy = agent.n_busy;
	sem_post(&l->done);
}

static size_t busy(void)
{
	struct look l = { .message = { .deliver = look } };
	sem_init(&l.done, 0, 0);
	loop_post(agent.loop, &l.message);
	sem_wait(&l.done);
	sem_destroy(&l.done);
	return l.busy;
}

static unsigned asked(void) { return first.requests + second.requests; }

static int ask_and_stay(int32_t deadline_ms)
{
	autobuf message = buf_new(4096);
	int fd = connect_raw();
	put(&message, KMIP_OPERATION_SIGN, "key-1", deadline_ms);
	return fd >= 0 && write(fd, message.p, message.n) == (ssize_t)message.n ? fd : -1;
}

TEST(servers_are_told_of_what_nobody_waits_for_and_nobody_else_is_asked)
{
	start_servers(fake_both);
	write_conf(both(), "deadline = 10s", allow_me("*", "sign"));
	first.mood = second.mood = FAKE_IS_SILENT;
	OK(start_agent());
	int fd = ask_and_stay(10000);
	OK(fd >= 0);
	UNTIL(asked() == 1);

	close(fd);

	UNTIL(first.abandoned + second.abandoned == 1);
	first.mood = second.mood = FAKE_ANSWERS;
	struct local *l = open_local(10000);
	OK(kf_ok(sign(l, "key-1")));
	EQ(asked(), 2);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(what_no_server_has_yet_goes_with_its_guest)
{
	start_servers(fake_both);
	write_conf(both(), "deadline = 10s", allow_me("*", "sign"));
	int ports[2] = { first.port, second.port };
	stop_servers();
	OK(start_agent());
	int fd = ask_and_stay(10000);
	OK(fd >= 0);
	UNTIL(busy() == 1);

	close(fd);

	UNTIL(busy() == 0);
	first = second = (struct fake){ .alpn = fake_both };
	fake_start(&first, ports[0]);
	fake_start(&second, ports[1]);
	struct local *l = open_local(10000);
	OK(kf_ok(sign(l, "key-1")));
	EQ(asked(), 1);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(what_a_server_has_counts_for_its_user_until_its_deadline)
{
	start_servers(fake_both);
	write_conf(both(), "deadline = 10s", allow_me("*", "sign"));
	first.mood = second.mood = FAKE_IS_SILENT;
	OK(start_agent());
	uint64_t begun = clock_monotonic_ns();
	int fd = ask_and_stay(800); /* after half of it others would be asked */
	OK(fd >= 0);
	UNTIL(asked() == 1);

	close(fd);

	UNTIL(busy() == 0);
	OK(clock_monotonic_ns() - begun >= SOON_NS / 10 * 7);
	EQ(asked(), 1);
	stop_agent();
	stop_servers();
}

/* Ask at once: the agent has no connection yet. */
static void first_request_succeeds(void)
{
	write_conf(both(), "deadline = 10s", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(10000);

	kf_err err = ask(l, KMIP_OPERATION_SIGN, "key-1", 10000);

	OK(kf_ok(err));
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(the_first_request_waits_for_servers_that_are_slow_to_connect)
{
	start_servers(fake_both);
	first.handshake_ms = second.handshake_ms = 700;

	first_request_succeeds();
}

TEST(a_server_that_failed_may_be_slow_to_connect_as_well)
{
	start_servers(fake_both);
	first.handshake_ms = second.handshake_ms = 700;
	first.hang_ups = second.hang_ups = 2;

	first_request_succeeds();
}

TEST_MAIN
