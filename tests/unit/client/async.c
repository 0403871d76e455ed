/* SPDX-License-Identifier: Apache-2.0 */
/* Calls in flight, through the public functions, with poll() as the loop. */
#include "base/clock.h"
#include "client/async_inside.h"
#include "client/hedge.h"
#include "client/sign.h"
#include "fake.h"
#include "keyfleet.h"
#include "test.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/wait.h>

static struct fake a = { .alpn = fake_both }, b = { .alpn = fake_both };

static void start_both(void) { fake_start_both(&a, &b); }
static void stop_both(void) { fake_stop_both(&a, &b); }

/* ---- a loop ---- */

static struct pollfd fds[64];
static size_t n_fds;
static uint64_t due_ns;

static void watch(void *arg, int fd, int events)
{
	(void)arg;
	size_t i = 0;
	while (i < n_fds && fds[i].fd != fd)
		i++;
	if (!events && i < n_fds)
		fds[i] = fds[--n_fds];
	if (!events)
		return;
	n_fds += i == n_fds;
	fds[i] = (struct pollfd){ .fd = fd,
		.events = (short)((events & KF_READABLE ? POLLIN : 0) |
				  (events & KF_WRITABLE ? POLLOUT : 0)) };
}

static void timer(void *arg, int64_t ms)
{
	(void)arg;
	due_ns = ms < 0 ? UINT64_MAX : clock_monotonic_ns() + (uint64_t)ms * 1000000;
}

static void run_round(kf_async *async)
{
	struct pollfd ready[64];
	uint64_t now = clock_monotonic_ns();
	/* Short, because tests look at what the server thread counts. */
	int ms = due_ns <= now ? 0 : 5;
	size_t n = n_fds;
	poll(fds, n_fds, ms);
	memcpy(ready, fds, sizeof(ready));
	for (size_t i = 0; i < n; i++)
		if (ready[i].revents)
			kf_async_ready(async, ready[i].fd,
				ready[i].revents & POLLOUT ? KF_READABLE | KF_WRITABLE
							   : KF_READABLE);
	if (clock_monotonic_ns() >= due_ns) {
		due_ns = UINT64_MAX;
		kf_async_timer(async);
	}
}

/* ---- calls ---- */

struct caller {
	char data[16];
	kf_result result;
	bool is_done, is_right;
};

static size_t n_done;

static void done(void *arg, const kf_call *outcome, const void *bytes, size_t size)
{
	struct caller *c = arg;
	c->is_done = true;
	c->result = outcome->result;
	c->is_right = size == strlen(c->data) && memcmp(bytes, c->data, size) == 0;
	n_done++;
}

static bool start(kf_async *async, struct caller *c, int i, uint32_t timeout_ms)
{
	*c = (struct caller){ 0 };
	snprintf(c->data, sizeof(c->data), "data %d", i);
	kf_sign_request q = { .key = "key-1",
		.scheme = KF_RSA_PSS_SHA256,
		.data = c->data,
		.size = strlen(c->data) };
	kf_call call = { .timeout_ms = timeout_ms };
	return kf_async_sign(async, &q, &call, done, c) == KF_SUCCESS && !c->is_done;
}

static bool run_until(kf_async *async, size_t n)
{
	uint64_t end = clock_monotonic_ns() + 5000000000;
	while (n_done < n && clock_monotonic_ns() < end)
		run_round(async);
	return n_done >= n;
}

static kf_async *open_async(struct fake *const *f, size_t n, uint32_t connections)
{
	kf_options o = fake_options(f, n);
	o.connections = connections;
	kf_loop loop = { watch, timer, NULL };
	kf_call call = { 0 };
	kf_async *async = NULL;
	n_fds = n_done = 0;
	due_ns = UINT64_MAX;
	if (kf_async_new(&o, &loop, &async, &call) != KF_SUCCESS)
		printf("# %s\n", kf_error_text(&call));
	return async;
}

/* Where requests are counted: on a busy machine some are late, and copies of them would count, too. */
static kf_async *open_without_copies(struct fake *const *f, size_t n)
{
	char path[160], text[2048];
	kf_loop loop = { watch, timer, NULL };
	kf_call call = { 0 };
	kf_async *async = NULL;
	n_fds = n_done = 0;
	due_ns = UINT64_MAX;
	snprintf(path, sizeof(path), "%s/client.conf", fake_pki.dir);
	snprintf(text, sizeof(text),
		"[client]\nservers = %s\nca = %s\ncertificate = %s\nkey = %s\nhedge = "
		"0\n",
		fake_servers(f, n), fake_pki.ca_file, fake_pki.cert_file,
		fake_pki.key_file);
	fake_write(path, slice_of(text));
	if (kf_async_open(path, &loop, &async, &call) != KF_SUCCESS)
		printf("# %s\n", kf_error_text(&call));
	unlink(path);
	return async;
}

static struct caller callers[400];

/* Until both servers have a connection that works. */
static bool warm_up(kf_async *async)
{
	uint64_t end = clock_monotonic_ns() + 5000000000;
	while ((a.requests == 0 || b.requests == 0) && clock_monotonic_ns() < end) {
		size_t before = n_done;
		start(async, &callers[0], 0, 0);
		start(async, &callers[1], 1, 0);
		if (!run_until(async, before + 2))
			return false;
	}
	n_done = 0;
	return a.requests && b.requests;
}

static bool all_are_right(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (callers[i].result != KF_SUCCESS || !callers[i].is_right)
			return false;
	return true;
}

TEST(every_caller_gets_its_own_answer)
{
	start_both();
	kf_async *async = open_without_copies((struct fake *[]){ &a, &b }, 2);

	for (int i = 0; i < 400; i++)
		OK(start(async, &callers[i], i, 0));
	OK(run_until(async, 400));

	OK(all_are_right(400));
	struct async_stats s;
	async_stats(async, &s);
	EQ(s.copies, 0);
	EQ(a.requests + b.requests, 400 + s.retries);
	kf_async_free(async);
	EQ(n_fds, 0);
	stop_both();
}

TEST(answers_out_of_order_find_their_callers)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_REVERSES;
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);

	for (int i = 0; i < 4 * FAKE_HELD; i++)
		OK(start(async, &callers[i], i, 0));
	OK(run_until(async, 4 * FAKE_HELD));

	OK(all_are_right(4 * FAKE_HELD));
	OK(a.deepest >= FAKE_HELD);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(a_foreign_server_gets_one_request_at_a_time)
{
	a = (struct fake){ .alpn = fake_kmip, .newest = KMIP_1_4 };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 2);

	for (int i = 0; i < 50; i++)
		OK(start(async, &callers[i], i, 0));
	OK(run_until(async, 50));

	OK(all_are_right(50));
	EQ(a.deepest, 1);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(what_was_in_flight_at_a_server_that_dies_is_done_by_the_other)
{
	start_both();
	kf_async *async = open_async((struct fake *[]){ &a, &b }, 2, 1);
	OK(warm_up(async));
	a.mood = FAKE_IS_SILENT;
	unsigned before = a.requests;
	for (int i = 0; i < 40; i++)
		OK(start(async, &callers[i], i, 0));
	while (a.requests == before)
		run_round(async);

	fake_stop(&a);
	OK(run_until(async, 40));

	OK(all_are_right(40));
	kf_async_free(async);
	fake_stop(&b);
}

TEST(more_calls_than_a_connection_takes_wait_for_room)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);

	for (int i = 0; i < 400; i++)
		OK(start(async, &callers[i], i, 60000));
	OK(run_until(async, 400));

	OK(all_are_right(400));
	kf_async_free(async);
	fake_stop(&a);
}

TEST(a_server_that_was_asked_before_is_asked_again_when_the_other_one_is_gone)
{
	start_both();
	kf_async *async = open_async((struct fake *[]){ &a, &b }, 2, 1);
	OK(warm_up(async));
	a.mood = FAKE_HANGS_UP;
	b.mood = FAKE_IS_SILENT;
	unsigned requests = a.requests, connections = a.connections;
	for (int i = 0; i < 2; i++)
		OK(start(async, &callers[i], i, 60000));
	while (a.requests == requests)
		run_round(async);
	a.mood = FAKE_ANSWERS;
	struct async_server s = { 0 };
	while (a.connections == connections || !s.connections) {
		run_round(async);
		async_server(async, 0, &s);
	}

	fake_stop(&b);
	OK(run_until(async, 2));

	OK(all_are_right(2));
	kf_async_free(async);
	fake_stop(&a);
}

TEST(over_a_limit_one_other_server_is_asked_and_no_server_twice)
{
	struct fake third = { .alpn = fake_both };
	a = b = third;
	fake_start(&a, 0);
	fake_start(&b, 0);
	fake_start(&third, 0);
	kf_async *async = open_async((struct fake *[]){ &a, &b, &third }, 3, 1);
	OK(warm_up(async));
	a.mood = b.mood = third.mood = FAKE_LIMITS;
	unsigned before = a.requests + b.requests + third.requests, busy = 0;

	n_done = 0;
	for (int i = 0; i < 20; i++)
		OK(start(async, &callers[i], i, 0));
	OK(run_until(async, 20));

	for (int i = 0; i < 20; i++)
		busy += callers[i].result == KF_BUSY;
	EQ(busy, 20);
	OK(a.requests + b.requests + third.requests - before <= 40);
	kf_async_free(async);
	stop_both();
	fake_stop(&third);
}

TEST(a_silent_server_is_left_after_half_of_the_time)
{
	start_both();
	kf_async *async = open_async((struct fake *[]){ &a, &b }, 2, 1);
	OK(warm_up(async));
	a.mood = FAKE_IS_SILENT;

	for (int i = 0; i < 20; i++)
		OK(start(async, &callers[i], i, 400));
	OK(run_until(async, 20));

	OK(all_are_right(20));
	kf_async_free(async);
	stop_both();
}

TEST(a_call_ends_by_its_deadline)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_IS_SILENT;
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	uint64_t begin = clock_monotonic_ns();

	OK(start(async, &callers[0], 0, 100));
	OK(run_until(async, 1));

	OK(callers[0].result == KF_TIMEOUT || callers[0].result == KF_UNAVAILABLE);
	OK(clock_monotonic_ns() - begin < 300000000);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(a_call_in_a_hurry_does_not_cost_the_others_their_connection)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	OK(start(async, &callers[0], 0, 0));
	OK(run_until(async, 1));
	a.mood = FAKE_REVERSES; /* the answers come when FAKE_HELD requests are there */

	OK(start(async, &callers[0], 0, 20));
	for (int i = 1; i < FAKE_HELD - 1; i++)
		OK(start(async, &callers[i], i, 5000));
	OK(run_until(async, 2));
	OK(callers[0].is_done);
	OK(start(async, &callers[FAKE_HELD - 1], FAKE_HELD - 1, 5000));
	OK(run_until(async, 1 + FAKE_HELD));

	EQ(callers[0].result, KF_TIMEOUT);
	for (int i = 1; i < FAKE_HELD; i++)
		OK(callers[i].result == KF_SUCCESS && callers[i].is_right);
	EQ(a.connections, 1);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(a_dead_connection_is_found_out_by_calls_in_a_hurry_too)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	OK(start(async, &callers[0], 0, 0));
	OK(run_until(async, 1));
	a.mood = FAKE_IS_SILENT;

	/* More than fit into a connection, so that nothing could be sent over it any more. */
	for (int i = 0; i < 300; i++)
		OK(start(async, &callers[i], i, 20));
	OK(run_until(async, 301));
	a.mood = FAKE_ANSWERS;
	OK(start(async, &callers[0], 0, 5000));
	OK(run_until(async, 302));

	EQ(callers[0].result, KF_SUCCESS);
	EQ(a.connections, 2);
	kf_async_free(async);
	fake_stop(&a);
}

/* Its server may go on to answer over others: the kernel alone notices. */
TEST(a_connection_whose_packets_get_lost_does_not_stay)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	OK(start(async, &callers[0], 0, 0));
	OK(run_until(async, 1));

	EQ(n_fds, 1);
	unsigned ms = 0;
	socklen_t size = sizeof(ms);
	EQ(getsockopt(fds[0].fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
	EQ(ms, CONNECT_UNHEARD_MS);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(calls_wait_for_a_server_that_comes_back)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	OK(start(async, &callers[0], 0, 0));
	OK(run_until(async, 1));
	int port = a.port;
	fake_stop(&a);
	OK(start(async, &callers[1], 1, 2000));
	for (int i = 0; i < 5; i++)
		run_round(async);

	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, port);
	OK(run_until(async, 2));

	OK(all_are_right(2));
	kf_async_free(async);
	fake_stop(&a);
}

TEST(closing_ends_every_call)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_IS_SILENT;
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	for (int i = 0; i < 10; i++)
		OK(start(async, &callers[i], i, 0));
	while (a.requests < 10)
		run_round(async);

	kf_async_free(async);

	EQ(n_done, 10);
	EQ(callers[9].result, KF_UNAVAILABLE);
	fake_stop(&a);
}

TEST(a_child_frees_without_a_word_to_the_server)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	kf_async *async = open_async((struct fake *[]){ &a }, 1, 1);
	OK(start(async, &callers[0], 0, 0));
	OK(run_until(async, 1));

	pid_t pid = fork();
	if (pid == 0) {
		kf_async_free(async);
		_exit(0);
	}
	int status = -1;
	waitpid(pid, &status, 0);

	EQ(status, 0);
	OK(start(async, &callers[1], 1, 0));
	OK(run_until(async, 2));
	EQ(a.connections, 1);
	OK(all_are_right(2));
	kf_async_free(async);
	fake_stop(&a);
}

/* ---- late signatures and slow servers ---- */

/* Until it is known how quick both are. */
static bool measure_both(kf_async *async)
{
	struct async_server s[2] = { 0 };
	uint64_t end = clock_monotonic_ns() + 20000000000;
	while (!(s[0].p99_ns && s[1].p99_ns) && clock_monotonic_ns() < end) {
		n_done = 0;
		for (int i = 0; i < 16; i++)
			start(async, &callers[i], i, 5000);
		if (!run_until(async, 16))
			return false;
		async_server(async, 0, &s[0]);
		async_server(async, 1, &s[1]);
	}
	n_done = 0;
	return s[0].p99_ns && s[1].p99_ns;
}

static bool has_id(const struct fake *f, const uint8_t id[16])
{
	for (unsigned i = 0; i < f->n_ids; i++)
		if (memcmp(f->id[i], id, 16) == 0)
			return true;
	return false;
}

static struct async_stats stats_of(const kf_async *async)
{
	struct async_stats s;
	async_stats(async, &s);
	return s;
}

static kf_async *open_two(void)
{
	start_both();
	return open_async((struct fake *[]){ &a, &b }, 2, 1);
}

static void close_two(kf_async *async)
{
	kf_async_free(async);
	stop_both();
}

static bool sign_one(kf_async *async)
{
	n_done = 0;
	return start(async, &callers[0], 0, 5000) && run_until(async, 1) &&
	       callers[0].is_right;
}

static bool sign_two(kf_async *async)
{
	n_done = 0;
	return start(async, &callers[0], 0, 5000) && start(async, &callers[1], 1, 5000) &&
	       run_until(async, 2) && all_are_right(2);
}

TEST(a_late_signature_is_asked_for_at_a_second_server_under_the_same_id)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	struct async_stats before = stats_of(async);
	a.n_ids = b.n_ids = 0;
	a.mood = FAKE_IS_SILENT;
	uint64_t begin = clock_monotonic_ns();

	for (int i = 0; i < 10; i++)
		OK(sign_two(async)); /* one goes to each server */

	OK(a.n_ids > 0);
	/* Half a second passes before a connection counts as dead. */
	OK(clock_monotonic_ns() - begin < 2500000000);
	struct async_stats after = stats_of(async);
	OK(after.copies > before.copies || after.retries > before.retries);
	OK(after.copies_won >= before.copies_won);
	for (unsigned i = 0; i < a.n_ids; i++)
		OK(has_id(&b, a.id[i]));
	close_two(async);
}

TEST(what_the_first_refuses_does_not_wait_for_the_copy)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	a.mood = FAKE_REFUSES_SLOWLY;
	b.mood = FAKE_IS_SILENT;

	/* One goes to each server, its copy to the other. */
	for (int i = 0; i < 2; i++)
		OK(start(async, &callers[i], i, 60000));
	OK(run_until(async, 1));

	OK(callers[0].result == KF_NOT_FOUND || callers[1].result == KF_NOT_FOUND);
	close_two(async);
}

TEST(a_silent_server_gets_a_handful_of_signatures_and_is_out)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	unsigned before = a.requests;
	a.mood = FAKE_IS_SILENT;

	for (int i = 0; i < 30; i++)
		OK(sign_two(async));

	OK(a.requests - before <= 12);
	struct async_server s = { .breaker = NODE_CLOSED };
	for (uint64_t end = clock_monotonic_ns() + 3000000000;
		s.breaker == NODE_CLOSED && clock_monotonic_ns() < end;) {
		OK(sign_two(async));
		async_server(async, 0, &s);
	}
	OK(s.breaker != NODE_CLOSED && s.why[0]);
	close_two(async);
}

TEST(what_is_in_flight_at_a_server_that_falls_silent_is_done_soon_and_within_the_budget)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	struct async_stats before = stats_of(async);
	a.mood = FAKE_IS_SILENT;

	for (int i = 0; i < 200; i++)
		OK(start(async, &callers[i], i, 10000));
	OK(run_until(async, 200));

	OK(all_are_right(200));
	struct async_stats after = stats_of(async);
	OK(after.copies - before.copies <= HEDGE_BURST + after.calls * 2 / 100);
	OK(after.in_flight == 0);
	close_two(async);
}

TEST(a_slow_server_is_left_and_comes_back_when_it_is_quick_again)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	a.mood = FAKE_IS_SLOW;
	struct async_server s = { 0 };
	uint64_t end = clock_monotonic_ns() + 10000000000;
	while (!s.is_slow && clock_monotonic_ns() < end) {
		OK(sign_two(async));
		async_server(async, 0, &s);
	}
	OK(s.is_slow);

	a.mood = FAKE_ANSWERS;
	end = clock_monotonic_ns() + 20000000000;
	while (s.breaker != NODE_CLOSED && clock_monotonic_ns() < end) {
		OK(sign_two(async));
		async_server(async, 0, &s);
	}

	EQ(s.breaker, NODE_CLOSED);
	OK(stats_of(async).probes > 0);
	close_two(async);
}

/* ---- encryption ---- */

static void encrypted(
	void *arg, const kf_call *outcome, const kf_encrypted_bytes *encrypted)
{
	struct caller *c = arg;
	c->result = outcome->result;
	c->is_right = encrypted && encrypted->iv.size == 12 && encrypted->tag.size == 16;
	n_done++;
}

static kf_result encrypt(kf_async *async, struct caller *c)
{
	const kf_cipher_request q = {
		.key = "key-1", .cipher = KF_AES_GCM, .data = "data", .size = 4
	};
	*c = (struct caller){ 0 };
	return kf_async_cipher_encrypt(async, &q, NULL, encrypted, c);
}

/* Whoever threw the plain text away then would have lost it. */
TEST(what_nobody_could_decrypt_was_not_encrypted)
{
	kf_async *async = open_two();
	struct caller whole, part;

	EQ(encrypt(async, &whole), KF_SUCCESS);
	OK(run_until(async, 1));
	a.tells_no_tag = b.tells_no_tag = true;
	EQ(encrypt(async, &part), KF_SUCCESS);
	OK(run_until(async, 2));

	EQ(whole.result, KF_SUCCESS);
	OK(whole.is_right);
	EQ(part.result, KF_PROTOCOL);
	OK(!part.is_right);
	close_two(async);
}

/* ---- what nobody waits for ---- */

static void ended(void *arg, const struct async_outcome *outcome)
{
	(void)arg;
	(void)outcome;
	n_done++;
}

static struct flight *begin(kf_async *async, uint32_t timeout_ms)
{
	autobuf payload = buf_new(1024);
	struct flight *held = NULL;
	kf_sign_request q = {
		.key = "key-1", .scheme = KF_ECDSA_SHA256, .data = "data", .size = 4
	};
	struct sign_plan plan;
	struct ttlv_writer w = ttlv_write(&payload, KMIP_2_1);
	if (sign_plan(&q, &plan) || !kf_ok(sign_put(&w, &plan.q)))
		return NULL;
	struct async_request r = { .operation = KMIP_OPERATION_SIGN,
		.payload = buf_slice(&payload),
		.options = { .timeout_ms = timeout_ms },
		.done = ended,
		.held = &held };
	return kf_ok(async_call(async, &r)) ? held : NULL;
}

static bool run_until_counts(kf_async *async, const _Atomic unsigned *count, unsigned n)
{
	uint64_t end = clock_monotonic_ns() + 10000000000;
	while (*count < n && clock_monotonic_ns() < end)
		run_round(async);
	return *count == n;
}

/* Where everything waits is most to be abandoned. */
TEST(a_full_connection_still_says_what_nobody_waits_for)
{
	a = (struct fake){ .alpn = fake_both, .mood = FAKE_IS_SILENT };
	fake_start(&a, 0);
	kf_async *async = open_async(&(struct fake *){ &a }, 1, 1);
	struct flight *last = NULL;
	for (int i = 0; i < CONN_DEPTH; i++)
		last = begin(async, 60000);
	OK(run_until_counts(async, &a.requests, CONN_DEPTH));
	const struct conn *c = async->lane[0].conn;
	OK(c && !conn_has_room(c));

	async_abandon(last);

	OK(run_until_counts(async, &a.abandoned, 1));
	uint64_t end = clock_monotonic_ns() + 10000000000;
	while (async->lane[0].conn == c && c->answers < c->notes &&
		clock_monotonic_ns() < end)
		run_round(async);
	OK(async->lane[0].conn == c && c->answers >= c->notes);
	EQ(c->in_flight, CONN_DEPTH);
	EQ(n_done, 0);
	kf_async_free(async);
	fake_stop(&a);
}

TEST(copies_are_paid_for_when_they_are_sent)
{
	kf_async *async = open_two();
	OK(measure_both(async));
	a.mood = b.mood = FAKE_IS_SILENT;
	struct flight *first = begin(async, 1000), *second = begin(async, 1000);
	OK(first && second);
	uint32_t tokens_p = async->hedge.tokens_p;
	struct async_stats before = stats_of(async);

	async_abandon(first);
	async_abandon(second);
	OK(run_until(async, 2));

	struct async_stats after = stats_of(async);
	EQ(after.copies, before.copies);
	EQ(async->hedge.tokens_p, tokens_p);
	close_two(async);
}

TEST(without_anybody_the_reason_names_every_server)
{
	kf_async *async = open_two();
	OK(sign_one(async));
	int ports[2] = { a.port, b.port };
	stop_both();
	n_done = 0;
	OK(start(async, &callers[0], 0, 500));
	OK(run_until(async, 1));
	char text[300], name[32];

	async_say_why(async, text, sizeof(text));

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "127.0.0.1:%d: ", ports[i]);
		OK(strstr(text, name));
	}
	OK(!strstr(text, "not asked yet"));
	kf_async_free(async);
}

TEST_MAIN
