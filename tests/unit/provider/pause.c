/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent is the other end of a socket that the test itself serves between two resumes of the job.
 */
#include "provider/pause.h"
#include "test.h"
#include <openssl/async.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const uint8_t message[] = { 0x42, 0, 0x7b, 1, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8 };

struct scene {
	int listener;
	struct local *local;
	ASYNC_WAIT_CTX *ctx;
	ASYNC_JOB *job;
	kf_err outcome;
};

static int job(void *arg)
{
	struct scene *s = *(struct scene **)arg;
	struct local_call c;
	struct slice answer;
	s->outcome = local_begin(s->local, &c);
	if (!kf_ok(s->outcome))
		return 0;
	buf_add(local_request(&c), message, sizeof(message));
	local_send(&c);
	pause_until_done(&c);
	s->outcome = local_answer(&c, &answer);
	local_end(&c);
	return 1;
}

/* Starts or resumes the job; true when it has paused. */
static bool turn(struct scene *s)
{
	int returned = 0;
	return ASYNC_start_job(&s->job, s->ctx, &returned, job, &s, sizeof(s)) ==
	       ASYNC_PAUSE;
}

/* What a server polls for the job; -1: nothing is registered. */
static int registered(struct scene *s)
{
	OSSL_ASYNC_FD fds[4];
	size_t n = 0;
	ASYNC_WAIT_CTX_get_all_fds(s->ctx, NULL, &n);
	if (n != 1)
		return -1;
	ASYNC_WAIT_CTX_get_all_fds(s->ctx, fds, &n);
	return fds[0];
}

static bool is_ready(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, ms) == 1;
}

static bool open_scene(struct scene *s, unsigned deadline_ms)
{
	static int count;
	char name[64];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(name, sizeof(name), "@keyfleet-pause-%d-%d", getpid(), count++);
	memcpy(a.sun_path + 1, name + 1, (size_t)n - 1);
	*s = (struct scene){ .listener = socket(AF_UNIX, SOCK_STREAM, 0),
		.ctx = ASYNC_WAIT_CTX_new() };
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
	struct local_conf conf = {
		.socket = name, .agent_uid = geteuid(), .deadline_ms = deadline_ms
	};
	return !bind(s->listener, (struct sockaddr *)&a, size) &&
	       !listen(s->listener, 4) && kf_ok(local_new(&conf, &s->local));
}

static void close_scene(struct scene *s)
{
	ASYNC_WAIT_CTX_free(s->ctx);
	local_free(s->local);
	close(s->listener);
	ASYNC_cleanup_thread();
}

static int take_request(struct scene *s)
{
	uint8_t request[64];
	int fd = accept(s->listener, NULL, NULL);
	return recv(fd, request, sizeof(request), 0) == sizeof(message) ? fd : -1;
}

static void answer(int fd)
{
	if (send(fd, message, sizeof(message), MSG_NOSIGNAL) < 0)
		return;
}

TEST(a_job_pauses_and_its_descriptor_wakes_it)
{
	struct scene s;
	OK(open_scene(&s, 5000));

	bool has_paused = turn(&s);
	int fd = registered(&s);
	bool is_early = is_ready(fd, 0);
	int agent = take_request(&s);
	answer(agent);
	bool is_woken = is_ready(fd, 5000);
	bool has_paused_again = turn(&s);
	bool is_quiet = !is_ready(fd, 0);

	close_scene(&s);
	close(agent);
	OK(has_paused && !is_early && is_woken && !has_paused_again);
	OK(kf_ok(s.outcome));
	OK(is_quiet);
}

TEST(a_spurious_resume_pauses_again)
{
	struct scene s;
	OK(open_scene(&s, 5000));

	bool has_paused = turn(&s) && turn(&s) && turn(&s);
	int agent = take_request(&s);
	answer(agent);
	bool has_ended = !turn(&s);

	close_scene(&s);
	close(agent);
	OK(has_paused && has_ended && kf_ok(s.outcome));
}

TEST(the_descriptor_stays_the_same_from_job_to_job)
{
	struct scene s;
	OK(open_scene(&s, 5000));
	turn(&s);
	int first = registered(&s), agent = take_request(&s);
	answer(agent);
	turn(&s);

	bool has_paused = turn(&s);
	int second = registered(&s);
	uint8_t request[64];
	ssize_t n = recv(agent, request, sizeof(request), 0);
	answer(agent);
	bool is_woken = is_ready(second, 5000);
	turn(&s);

	close_scene(&s);
	close(agent);
	OK(has_paused && is_woken && first >= 0);
	EQ(first, second);
	EQ(n, sizeof(message));
	OK(kf_ok(s.outcome));
}

/* HAProxy dies at the end of a connection that has a descriptor it was never told of. */
TEST(nothing_is_registered_without_a_pause)
{
	struct scene s;
	OK(open_scene(&s, 5000));
	local_free(s.local);
	kf_err e = local_new(
		&(struct local_conf){ .socket = "@keyfleet-pause-nobody" }, &s.local);

	bool has_paused = turn(&s);

	int fd = registered(&s);
	close_scene(&s);
	OK(kf_ok(e) && !has_paused);
	EQ(fd, -1);
	OK(kf_is(s.outcome, KF_E_UNAVAILABLE));
}

TEST(a_restarted_agent_is_waited_for_at_its_new_connection)
{
	struct scene s;
	OK(open_scene(&s, 5000));

	turn(&s);
	close(take_request(&s));
	bool has_noticed = is_ready(registered(&s), 5000);
	bool has_paused = turn(&s);
	bool is_quiet = !is_ready(registered(&s), 0);
	int agent = take_request(&s);
	answer(agent);
	bool is_woken = is_ready(registered(&s), 5000);
	bool has_ended = !turn(&s);

	close_scene(&s);
	close(agent);
	OK(has_noticed && has_paused && is_quiet && is_woken && has_ended);
	OK(kf_ok(s.outcome));
}

TEST(the_deadline_wakes_a_job_whose_agent_is_silent)
{
	struct scene s;
	OK(open_scene(&s, 20));

	turn(&s);
	bool is_woken = is_ready(registered(&s), 5000);
	bool has_ended = !turn(&s);

	close_scene(&s);
	OK(is_woken && has_ended);
	OK(kf_is(s.outcome, KF_E_TIMEOUT));
}

TEST(outside_of_a_job_the_thread_blocks)
{
	struct scene s, *self = &s;
	OK(open_scene(&s, 20));

	int returned = job(&self);

	close_scene(&s);
	EQ(returned, 1);
	OK(kf_is(s.outcome, KF_E_TIMEOUT));
}
TEST_MAIN
