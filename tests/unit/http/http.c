/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"
#include "base/clock.h"
#include "net/loop.h"
#include "test.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BURN_MS = 4, PATIENCE_S = 20 };

static void make_hello(void *arg, struct http_page *page)
{
	buf_printf(&page->body, "hello %s, %s\n", (const char *)arg,
		page->accept ? page->accept : "anybody");
}

static void make_sick(void *arg, struct http_page *page)
{
	(void)arg;
	page->status = HTTP_UNAVAILABLE;
	page->type = "text/strange";
	buf_add_text(&page->body, "no\n");
}

static void make_half(void *arg, struct http_page *page)
{
	(void)arg;
	buf_add_text(&page->body, "half");
	page->body.err = kf_fail(NOMEM, "the other half");
}

/* Takes its time. */
static void make_slow(void *arg, struct http_page *page)
{
	uint64_t end = clock_monotonic_ns() + BURN_MS * 1000000ULL;
	(void)arg;
	while (clock_monotonic_ns() < end)
		buf_add_text(&page->body, ".");
}

static const struct http_route routes[] = { { "/hello", make_hello },
	{ "/sick", make_sick }, { "/half", make_half }, { "/slow", make_slow } };

static char path[64], address[80];

static struct http_options options(struct loop *loop)
{
	static char name[] = "you";
	snprintf(path, sizeof(path), "/tmp/keyfleet-http-%d", (int)getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	return (struct http_options){ routes, sizeof(routes) / sizeof(routes[0]), name,
		loop };
}

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, path, sizeof(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The whole answer to one request, until the server closes. */
static const char *ask(const char *request)
{
	static char answer[1 << 20];
	size_t n = 0;
	int fd = dial();
	if (fd < 0 || write(fd, request, strlen(request)) < 0)
		return "";
	for (ssize_t got; n < sizeof(answer) - 1 &&
			  (got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0;)
		n += (size_t)got;
	answer[n] = 0;
	close(fd);
	return answer;
}

#define GET(what, more)                                                                  \
	"GET " what " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more "\r\n"

static bool has(const char *answer, const char *status, const char *text)
{
	bool is_fine =
		strncmp(answer, status, strlen(status)) == 0 && strstr(answer, text);
	if (!is_fine)
		printf("# got: %.200s\n", answer);
	return is_fine;
}

/* What both kinds must do. */
static bool all_is_answered(void)
{
	return has(ask(GET("/hello", "")), "HTTP/1.1 200 ",
		       "\r\n\r\nhello you, anybody\n") &&
	       has(ask(GET("/hello", "Accept: text/x\r\n")), "HTTP/1.1 200 ",
		       "you, text/x\n") &&
	       has(ask(GET("/sick", "")), "HTTP/1.1 503 ",
		       "Content-Type: text/strange\r\n") &&
	       has(ask(GET("/else", "")), "HTTP/1.1 404 ",
		       "ask for one of: /hello /sick") &&
	       has(ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
		       "Connection: close\r\n\r\n"),
		       "HTTP/1.1 405 ", "ask for one of") &&
	       ask(GET("/half", ""))[0] == 0;
}

TEST(pages_are_served_on_a_thread)
{
	struct http *h = NULL;
	struct http_options o = options(NULL);
	OK(kf_ok(http_open(address, &o, &h)));

	OK(all_is_answered());

	http_close(h);
	unlink(path);
}

/* ---- on a loop ---- */

static bool result;
static struct loop *loop;

static void *check_all(void *arg)
{
	(void)arg;
	result = all_is_answered();
	loop_stop(loop);
	return NULL;
}

static uint64_t apart_ns;

static void *ask_slowly(void *arg)
{
	(void)arg;
	uint64_t began = clock_monotonic_ns();
	result = has(ask(GET("/slow", "")), "HTTP/1.1 200 ", "...") &&
		 has(ask(GET("/slow", "")), "HTTP/1.1 200 ", "...") &&
		 has(ask(GET("/slow", "")), "HTTP/1.1 200 ", "...");
	apart_ns = clock_monotonic_ns() - began;
	loop_stop(loop);
	return NULL;
}

static bool run_with(void *(*client)(void *arg))
{
	struct http *h = NULL;
	pthread_t thread;
	struct http_options o;
	result = false;
	if (!kf_ok(loop_new(&(struct loop_options){ 0 }, &loop)))
		return false;
	o = options(loop);
	if (!kf_ok(http_open(address, &o, &h)) ||
		pthread_create(&thread, NULL, client, NULL) != 0)
		return false;
	bool is_run = kf_ok(loop_run(loop));
	pthread_join(thread, NULL);
	http_close(h);
	loop_free(loop);
	unlink(path);
	return is_run;
}

TEST(pages_are_served_on_a_loop)
{
	OK(run_with(check_all));
	OK(result);
}

enum { CROWD = 100, ROUNDS = 20 };

static bool turn(unsigned rounds)
{
	bool is_fine = true;
	for (unsigned i = 0; i < rounds && is_fine; i++)
		is_fine = kf_ok(loop_round(loop, 10));
	return is_fine;
}

/* All that may come in are in, and more wait, with half a request each; then they leave. */
static void crowd_and_leave(void)
{
	int fd[CROWD];
	for (int i = 0; i < CROWD; i++) {
		fd[i] = dial();
		ssize_t n = write(fd[i], "GET /hel", 8);
		(void)n;
	}
	turn(ROUNDS);
	for (int i = 0; i < CROWD; i++)
		close(fd[i]);
	turn(ROUNDS);
}

static bool is_answered(void)
{
	static const char request[] = GET("/hello", "");
	uint64_t end = clock_monotonic_ns() + PATIENCE_S * 1000000000ULL;
	char answer[1024];
	int fd = dial();
	ssize_t n = write(fd, request, sizeof(request) - 1);
	do
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	while (n < 0 && turn(1) && clock_monotonic_ns() < end);
	close(fd);
	return n > 0;
}

TEST(a_crowd_that_has_left_keeps_nobody_out)
{
	struct http *h = NULL;
	struct http_options o;
	OK(kf_ok(loop_new(&(struct loop_options){ 0 }, &loop)));
	o = options(loop);
	OK(kf_ok(http_open(address, &o, &h)));

	crowd_and_leave();
	OK(is_answered());

	http_close(h);
	loop_free(loop);
	unlink(path);
}

/* ---- who holds all places ---- */

enum { PLACES = 32 };

static bool is_shut(int fd)
{
	char c;
	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* As the user, until there are `n`, each with half a request. */
static void hold(int *fd, unsigned n, uid_t user)
{
	const uid_t own = geteuid();
	if (seteuid(user) != 0)
		abort();
	for (unsigned i = 0; i < n; i++) {
		fd[i] = dial();
		ssize_t sent = write(fd[i], "GET /hel", 8);
		(void)sent;
	}
	if (seteuid(own) != 0)
		abort();
	turn(ROUNDS);
}

static void let_go(const int *fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
}

static struct http *serve_on_a_loop(void)
{
	struct http *h = NULL;
	struct http_options o;
	if (!kf_ok(loop_new(&(struct loop_options){ 0 }, &loop)))
		abort();
	o = options(loop);
	if (!kf_ok(http_open(address, &o, &h)))
		abort();
	return h;
}

static void end_serving(struct http *h)
{
	http_close(h);
	loop_free(loop);
	unlink(path);
}

/* With nothing but a limit it would wait until the others' time is up. */
TEST(who_holds_all_places_keeps_nobody_out)
{
	struct http *h = serve_on_a_loop();
	int fd[PLACES];
	hold(fd, PLACES, geteuid());
	OK(!is_shut(fd[0]));

	OK(is_answered());

	OK(is_shut(fd[0]));
	OK(!is_shut(fd[1]) && !is_shut(fd[PLACES - 1]));
	let_go(fd, PLACES);
	end_serving(h);
}

TEST(the_place_of_a_newcomer_is_that_of_the_user_who_has_most)
{
	enum { OLD = 2, MANY = PLACES - OLD, NOBODY = 65534 };
	if (geteuid() != 0)
		SKIP("who is not root is one user only");
	struct http *h = serve_on_a_loop();
	int old[OLD], fd[MANY];
	hold(old, OLD, 0);
	chmod(path, 0666);
	hold(fd, MANY, NOBODY);

	OK(is_answered());

	OK(!is_shut(old[0]) && !is_shut(old[1]));
	OK(is_shut(fd[0]) && !is_shut(fd[1]));
	let_go(old, OLD);
	let_go(fd, MANY);
	end_serving(h);
}

TEST(who_asks_without_end_gets_a_tenth_of_the_loop)
{
	OK(run_with(ask_slowly));

	OK(result);
	OK(apart_ns >= 2 * 10 * BURN_MS * 1000000ULL);
}

TEST(only_the_host_itself_may_be_served)
{
	struct http *h = NULL;
	struct http_options o = options(NULL);
	OK(http_may_listen("127.0.0.1:80") && http_may_listen("[::1]:80"));
	OK(http_may_listen("unix:/run/x") && http_may_listen("127.255.0.1:1"));
	OK(!http_may_listen("0.0.0.0:80") && !http_may_listen("192.0.2.1:80"));
	OK(!http_may_listen("[::]:80") && !http_may_listen("nonsense"));

	OK(kf_is(http_open("0.0.0.0:0", &o, &h), KF_E_CONFIG));
	OK(kf_ok(http_open(NULL, &o, &h)) && !h);
}

TEST_MAIN
