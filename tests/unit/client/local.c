/* SPDX-License-Identifier: Apache-2.0
 *
 * The other end is a thread that serves each connection as its row of the script says.
 */
#include "client/local.h"
#include "base/clock.h"
#include "test.h"
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum deed {
	END,
	ANSWER,       /* every request, until the client hangs up */
	ANSWER_ONCE,  /* then hang up */
	ANSWER_BYTES, /* one byte at a time */
	HANG_UP,      /* without reading */
	READ_AND_HANG_UP,
	CUT_ANSWER, /* half an answer, then hang up */
	STAY_SILENT,
	ANSWER_ONCE_THEN_SILENT,
	HUGE_LENGTH,
	TOO_MUCH, /* two answers at once */
};

struct responder {
	const enum deed *script;
	int listener;
	char name[64];
	pthread_t thread;
};

static const uint8_t reply[] = { 0x42, 0, 0x7b, 1, 0, 0, 0, 8, 'a', 'n', 's', 'w', 'e',
	'r', '!', '\n' };

static void say(int fd, const void *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL) < 0)
		return;
}

static bool hear(int fd)
{
	char request[LOCAL_REQUEST_MAX];
	return recv(fd, request, sizeof(request), 0) > 0;
}

static void answer_all(int fd)
{
	while (hear(fd))
		say(fd, reply, sizeof(reply));
}

static void answer_bytes(int fd)
{
	hear(fd);
	for (size_t i = 0; i < sizeof(reply); i++)
		say(fd, reply + i, 1);
	answer_all(fd);
}

static void lie_about_length(int fd)
{
	static const uint8_t lie[] = { 0x42, 0, 0x7b, 1, 0xff, 0xff, 0xff, 0xf0 };
	hear(fd);
	say(fd, lie, sizeof(lie));
	hear(fd);
}

static void say_too_much(int fd)
{
	uint8_t both[2 * sizeof(reply)];
	memcpy(both, reply, sizeof(reply));
	memcpy(both + sizeof(reply), reply, sizeof(reply));
	hear(fd);
	say(fd, both, sizeof(both));
	hear(fd);
}

static void serve(int fd, enum deed deed)
{
	switch (deed) {
	case ANSWER: answer_all(fd); break;
	case ANSWER_BYTES: answer_bytes(fd); break;
	case READ_AND_HANG_UP: hear(fd); break;
	case HUGE_LENGTH: lie_about_length(fd); break;
	case TOO_MUCH: say_too_much(fd); break;
	case ANSWER_ONCE:
		hear(fd);
		say(fd, reply, sizeof(reply));
		break;
	case CUT_ANSWER:
		hear(fd);
		say(fd, reply, 11);
		break;
	case ANSWER_ONCE_THEN_SILENT:
		hear(fd);
		say(fd, reply, sizeof(reply));
		hear(fd);
		hear(fd);
		break;
	case STAY_SILENT:
		hear(fd);
		hear(fd);
		break;
	case HANG_UP:
	case END: break;
	}
}

static void *respond(void *arg)
{
	struct responder *r = arg;
	for (const enum deed *deed = r->script; *deed != END; deed++) {
		int fd = accept(r->listener, NULL, NULL);
		serve(fd, *deed);
		close(fd);
	}
	return NULL;
}

static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(fd, (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	return listen(fd, 8) ? -1 : fd;
}

/* Nobody accepts. */
static void listen_only(struct responder *r)
{
	static int count;
	snprintf(r->name, sizeof(r->name), "@keyfleet-test-%d-%d", getpid(), count++);
	r->listener = listen_at(r->name);
}

static void start(struct responder *r, const enum deed *script)
{
	listen_only(r);
	r->script = script;
	pthread_create(&r->thread, NULL, respond, r);
}

/* The pool is freed first: that ends what ANSWER waits for. */
static void stop(struct responder *r, struct local *l)
{
	local_free(l);
	pthread_join(r->thread, NULL);
	close(r->listener);
}

static struct local *pool_to(const char *name, unsigned deadline_ms)
{
	struct local *l = NULL;
	kf_err e = local_new(&(struct local_conf){ .socket = name,
				     .agent_uid = geteuid(),
				     .deadline_ms = deadline_ms },
		&l);
	return kf_ok(e) ? l : NULL;
}

static kf_err ask(struct local *l, bool *ret_is_right)
{
	struct local_call c;
	struct slice answer = { 0 };
	KF_TRY(local_begin(l, &c));
	buf_add(local_request(&c), reply, sizeof(reply));
	local_send(&c);
	local_wait(&c);
	kf_err e = local_answer(&c, &answer);
	*ret_is_right =
		kf_ok(e) && slice_eq(answer, (struct slice){ reply, sizeof(reply) });
	local_end(&c);
	return e;
}

/* One call against a script; how it ended. */
static kf_err ask_script(const enum deed *script, bool *ret_is_right)
{
	struct responder r;
	start(&r, script);
	struct local *l = pool_to(r.name, 5000);
	kf_err e = ask(l, ret_is_right);
	stop(&r, l);
	return e;
}
#define SCRIPT(...) ((const enum deed[]){ __VA_ARGS__, END })

TEST(many_calls_share_one_connection)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER));
	struct local *l = pool_to(r.name, 5000);
	int right = 0;

	for (int i = 0; i < 100; i++) {
		bool is_right = false;
		right += kf_ok(ask(l, &is_right)) && is_right;
	}

	stop(&r, l);
	EQ(right, 100);
}

TEST(a_call_in_steady_state_allocates_nothing)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER));
	struct local *l = pool_to(r.name, 5000);
	bool is_right = false;
	kf_err first = ask(l, &is_right);

	size_t before = mallinfo2().uordblks;
	kf_err second = ask(l, &is_right);
	size_t after = mallinfo2().uordblks;

	stop(&r, l);
	OK(kf_ok(first) && kf_ok(second));
	EQ(after, before);
}

TEST(an_answer_in_pieces_is_put_together)
{
	bool is_right = false;
	OK(kf_ok(ask_script(SCRIPT(ANSWER_BYTES), &is_right)));
	OK(is_right);
}

TEST(an_agent_that_restarted_is_met_again)
{
	bool is_right = false;
	OK(kf_ok(ask_script(SCRIPT(READ_AND_HANG_UP, ANSWER), &is_right)));
	OK(is_right);
	OK(kf_ok(ask_script(SCRIPT(HANG_UP, ANSWER), &is_right)));
	OK(is_right);
}

TEST(an_idle_connection_that_died_is_replaced)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER_ONCE, ANSWER_ONCE));
	struct local *l = pool_to(r.name, 5000);
	bool is_right = false;

	kf_err first = ask(l, &is_right);
	kf_err second = ask(l, &is_right);

	stop(&r, l);
	OK(kf_ok(first) && kf_ok(second) && is_right);
}

TEST(an_agent_that_keeps_hanging_up_is_given_up)
{
	bool is_right = false;
	OK(kf_is(ask_script(SCRIPT(READ_AND_HANG_UP, READ_AND_HANG_UP), &is_right),
		KF_E_CLOSED));
}

TEST(an_answer_cut_off_is_not_asked_for_again)
{
	bool is_right = false;
	OK(kf_is(ask_script(SCRIPT(CUT_ANSWER), &is_right), KF_E_CLOSED));
}

TEST(a_huge_answer_is_refused_by_its_length)
{
	bool is_right = false;
	OK(kf_is(ask_script(SCRIPT(HUGE_LENGTH), &is_right), KF_E_TOO_BIG));
}

TEST(more_than_one_answer_is_refused)
{
	bool is_right = false;
	OK(kf_is(ask_script(SCRIPT(TOO_MUCH), &is_right), KF_E_MALFORMED));
}

TEST(a_silent_agent_costs_no_more_than_the_deadline)
{
	struct responder r;
	start(&r, SCRIPT(STAY_SILENT, ANSWER));
	struct local *l = pool_to(r.name, 30);
	bool is_right = false;

	kf_err silent = ask(l, &is_right);
	kf_err next = ask(l, &is_right);

	stop(&r, l);
	OK(kf_is(silent, KF_E_TIMEOUT));
	OK(kf_ok(next) && is_right);
}

TEST(the_deadline_holds_on_a_connection_that_was_used_before)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER_ONCE_THEN_SILENT));
	struct local *l = pool_to(r.name, 30);
	bool is_right = false;

	kf_err first = ask(l, &is_right);
	kf_err silent = ask(l, &is_right);

	stop(&r, l);
	OK(kf_ok(first));
	OK(kf_is(silent, KF_E_TIMEOUT));
}

TEST(a_call_keeps_a_deadline_of_its_own_on_a_connection_that_was_used_before)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER_ONCE_THEN_SILENT));
	struct local *l = pool_to(r.name, 20000);
	struct local_call c;
	bool is_right = false;
	kf_err first = ask(l, &is_right);
	time_t begin = time(NULL);

	kf_err begun = local_begin(l, &c);
	local_set_deadline(&c, 30);
	buf_add(local_request(&c), reply, sizeof(reply));
	local_send(&c);
	local_wait(&c);
	struct slice answer;
	kf_err silent = local_answer(&c, &answer);
	local_end(&c);

	stop(&r, l);
	OK(kf_ok(first) && kf_ok(begun));
	OK(kf_is(silent, KF_E_TIMEOUT));
	OK(time(NULL) - begin < 10);
}

enum { CROWD = 16 };

/* Until there is no room for another one, which has waited in vain. */
static int fill_queue(struct local *l, struct local_call *calls)
{
	for (int n = 0; n < CROWD; n++) {
		if (!kf_ok(local_begin(l, &calls[n])))
			abort();
		buf_add(local_request(&calls[n]), reply, sizeof(reply));
		local_send(&calls[n]);
		if (calls[n].is_done)
			return n + 1;
	}
	return CROWD;
}

static void nothing(int signal) { (void)signal; }

/* As nginx has with timer_resolution. */
static void set_interval(int us)
{
	struct itimerval often = { { 0, us }, { 0, us } };
	struct sigaction act = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

TEST(a_guest_with_a_timer_does_not_wait_for_ever_for_room_at_the_agent)
{
	struct responder r;
	listen_only(&r);
	struct local *l = pool_to(r.name, 100);
	struct local_call waiting[CROWD];
	int status = 0, n = fill_queue(l, waiting);
	bool is_full = waiting[n - 1].is_done;
	/* A child, so that a failure is seen and not waited for. */
	struct local *fresh = pool_to(r.name, 100);
	pid_t child = fork();
	if (child == 0) {
		bool is_right;
		set_interval(10000);
		_exit(kf_is(ask(fresh, &is_right), KF_E_TIMEOUT) ? 0 : 1);
	}
	struct timespec t = { 0, 10000000 };
	for (int i = 0; i < 500 && waitpid(child, &status, WNOHANG) == 0; i++) {
		status = -1;
		nanosleep(&t, NULL);
	}
	if (status == -1)
		kill(child, SIGKILL);

	OK(is_full);
	EQ(status, 0);
	while (n--)
		local_end(&waiting[n]);
	local_free(fresh);
	local_free(l);
	close(r.listener);
}

TEST(an_agent_without_room_is_waited_for_once_a_second)
{
	struct responder r;
	listen_only(&r);
	struct local *l = pool_to(r.name, 300);
	struct local_call waiting[CROWD];
	int n = fill_queue(l, waiting);
	bool is_full = waiting[n - 1].is_done, is_right;
	uint64_t begin = clock_monotonic_ns();

	kf_err next = ask(l, &is_right);

	OK(is_full);
	OK(kf_is(next, KF_E_TIMEOUT));
	OK(clock_monotonic_ns() - begin < 150000000);
	while (n--)
		local_end(&waiting[n]);
	local_free(l);
	close(r.listener);
}

TEST(a_call_can_be_waited_for_by_its_descriptor)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER_BYTES));
	struct local *l = pool_to(r.name, 5000);
	struct local_call c;
	struct slice answer = { 0 };
	kf_err begun = local_begin(l, &c);
	buf_add(local_request(&c), reply, sizeof(reply));

	local_send(&c);
	while (!local_is_done(&c)) {
		struct pollfd p = { .fd = local_fd(&c), .events = POLLIN };
		poll(&p, 1, 1000);
	}
	kf_err e = local_answer(&c, &answer);
	bool is_right = slice_eq(answer, (struct slice){ reply, sizeof(reply) });
	local_end(&c);

	stop(&r, l);
	OK(kf_ok(begun) && kf_ok(e) && is_right);
}

TEST(nobody_listening_is_unavailable)
{
	struct local *l = pool_to("@keyfleet-test-nobody", 1000);
	struct local *path = pool_to("/nonexistent/agent.sock", 1000);
	bool is_right = false;

	kf_err e = ask(l, &is_right), f = ask(path, &is_right);

	local_free(l);
	local_free(path);
	OK(kf_is(e, KF_E_UNAVAILABLE) && kf_is(f, KF_E_UNAVAILABLE));
}

/* The child's stand-in for a squatter: a listener of a user whom nobody configured. */
static pid_t start_squatter(const char *name)
{
	int ready[2];
	if (pipe(ready))
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534))
			_exit(1);
		if (listen_at(name) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	char byte;
	bool is_up = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	close(ready[1]);
	return is_up ? pid : -1;
}

TEST(a_foreign_listener_is_told_nothing)
{
	pid_t squatter = start_squatter("@keyfleet-test-squatter");
	struct local *l = NULL;
	kf_err made = local_new(&(struct local_conf){ .socket = "@keyfleet-test-squatter",
					.agent_uid = 12345 },
		&l);
	bool is_right = false;

	kf_err e = kf_ok(made) ? ask(l, &is_right) : made;

	local_free(l);
	if (squatter > 0) {
		kill(squatter, SIGKILL);
		waitpid(squatter, NULL, 0);
	}
	OK(squatter > 0);
	OK(kf_is(e, KF_E_AUTH));
}

TEST(a_fork_leaves_both_sides_working)
{
	struct responder r;
	start(&r, SCRIPT(ANSWER));
	struct local *l = pool_to(r.name, 5000);
	bool is_right = false;
	kf_err before = ask(l, &is_right);
	struct responder other = { .script = SCRIPT(ANSWER), .listener = r.listener };
	pthread_create(&other.thread, NULL, respond, &other);

	pid_t pid = fork();
	if (pid == 0) {
		bool ok = kf_ok(ask(l, &is_right)) && is_right;
		local_free(l);
		_exit(ok ? 0 : 1);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	kf_err after = ask(l, &is_right);

	stop(&r, l);
	pthread_join(other.thread, NULL);
	EQ(status, 0);
	OK(kf_ok(before) && kf_ok(after) && is_right);
}

TEST(a_name_that_is_no_socket_is_refused)
{
	char longest[200] = "/";
	struct local *l = NULL;
	memset(longest + 1, 'x', sizeof(longest) - 2);

	OK(kf_is(local_new(&(struct local_conf){ .socket = "agent" }, &l),
		KF_E_INVALID_FIELD));
	OK(kf_is(local_new(&(struct local_conf){ .socket = "@" }, &l),
		KF_E_INVALID_FIELD));
	OK(kf_is(local_new(&(struct local_conf){ .socket = longest }, &l),
		KF_E_INVALID_FIELD));
}

TEST(a_request_that_failed_is_not_sent)
{
	struct local *l = pool_to("@keyfleet-test-nobody", 1000);
	struct local_call c;
	struct slice answer;
	kf_err begun = local_begin(l, &c);
	static const uint8_t big[LOCAL_REQUEST_MAX + 1];
	buf_add(local_request(&c), big, sizeof(big));

	local_send(&c);
	local_wait(&c);
	kf_err e = local_answer(&c, &answer);
	local_end(&c);

	local_free(l);
	OK(kf_ok(begun) && kf_is(e, KF_E_TOO_BIG));
}
TEST_MAIN
