/* SPDX-License-Identifier: Apache-2.0
 *
 * handshakes: full TLS handshakes with a web server of this machine, many at once, and how long each took.
 *
 *     handshakes PORT AT-ONCE COUNT SECONDS [CERTIFICATE KEY]
 *
 * With a client's certificate and key, all connections stay open until the end, and one that failed is tried
 * again: what a fleet does after a restart.  Ends after COUNT handshakes (0: no limit) or SECONDS, and prints
 * one line of JSON:
 *     {"done": N, "failed": N, "per_s": X, "p50_ms": X, "p99_ms": X, "max_ms": X, "why": "..."}
 * Neither sessions nor certificates are of interest: nothing is resumed, nothing is verified.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE_MAX = 16384, TIMEOUT_S = 60 };

struct visit {
	bool is_done;
	int fd;
	SSL *ssl;
	double began;
};

static struct visit visits[AT_ONCE_MAX];
static int poller, port;
static unsigned at_once, active;
static SSL_CTX *context;
static double *took;
static size_t done, room, failed, begun, wanted;
static bool is_kept;
static char why[256];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(1);
}

static void note(double seconds)
{
	if (done == room) {
		room = room ? 2 * room : 4096;
		took = realloc(took, room * sizeof *took);
		if (!took)
			give_up("realloc");
	}
	took[done++] = seconds;
}

static void note_failure(const char *what)
{
	unsigned long e = ERR_peek_last_error();
	if (!failed++)
		snprintf(why, sizeof why, "%s: %s", what,
			e ? ERR_reason_error_string(e) : strerror(errno));
	ERR_clear_error();
}

/* The port is free at once: thousands of these a second would use up all there are. */
static void end(struct visit *v)
{
	SSL_free(v->ssl);
	if (v->fd >= 0) {
		setsockopt(v->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			sizeof(struct linger));
		close(v->fd);
	}
	*v = (struct visit){ .fd = -1 };
	active--;
}

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (!connect(fd, (struct sockaddr *)&to, sizeof to) || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

static bool begin(struct visit *v)
{
	static char name[] = "localhost";
	active++;
	begun++;
	*v = (struct visit){ .fd = dial(), .ssl = SSL_new(context), .began = now() };
	if (v->fd < 0 || !v->ssl) {
		note_failure("connect");
		end(v);
		return false;
	}
	SSL_set_fd(v->ssl, v->fd);
	SSL_set_app_data(v->ssl, v);
	SSL_ctrl(v->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name);
	SSL_set_connect_state(v->ssl);
	struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLET, { .ptr = v } };
	if (epoll_ctl(poller, EPOLL_CTL_ADD, v->fd, &e))
		give_up("epoll_ctl");
	return true;
}

/* A server sends tickets when it has found the client's certificate good, and not before. */
static int is_let_in(SSL *ssl, SSL_SESSION *session)
{
	struct visit *v = SSL_get_app_data(ssl);
	(void)session;
	if (!v->is_done)
		note(now() - v->began);
	v->is_done = true;
	return 0;
}

/* True: it is over, well or not. */
static bool go_on(struct visit *v)
{
	int result = SSL_do_handshake(v->ssl);
	if (result == 1 && !is_kept) {
		note(now() - v->began);
		return true;
	}
	if (result == 1)
		result = SSL_peek(v->ssl, &(char){ 0 }, 1); /* takes the tickets in */
	int reason = SSL_get_error(v->ssl, result);
	if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
		return false;
	note_failure("handshake");
	begun -= is_kept;
	done -= v->is_done;
	return true;
}

static void give_up_on_late(void)
{
	double late = now() - TIMEOUT_S;
	for (unsigned i = 0; i < at_once; i++)
		if (visits[i].ssl && !visits[i].is_done && visits[i].began < late) {
			errno = ETIMEDOUT;
			note_failure("handshake");
			begun -= is_kept;
			end(&visits[i]);
		}
}

static void fill(void)
{
	for (unsigned i = 0; i < at_once && (!wanted || begun < wanted); i++)
		if (!visits[i].ssl)
			begin(&visits[i]);
}

static void round_of(struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct visit *v = events[i].data.ptr;
		if (v->ssl && go_on(v))
			end(v);
	}
}

static void run(double until)
{
	struct epoll_event events[256];
	while (now() < until &&
		(!wanted || (is_kept ? done < wanted : active || begun < wanted))) {
		fill();
		round_of(events, epoll_wait(poller, events, 256, 100));
		give_up_on_late();
	}
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double share(double part)
{
	return done ? took[(size_t)((double)(done - 1) * part)] * 1e3 : 0;
}

int main(int argc, char **argv)
{
	if (argc != 5 && argc != 7)
		return 2;
	port = atoi(argv[1]);
	at_once = (unsigned)atoi(argv[2]);
	wanted = (size_t)atoll(argv[3]);
	if (!at_once || at_once > AT_ONCE_MAX)
		return 2;
	poller = epoll_create1(EPOLL_CLOEXEC);
	context = SSL_CTX_new(TLS_client_method());
	if (poller < 0 || !context)
		give_up("set-up");
	is_kept = argc == 7;
	signal(SIGPIPE, SIG_IGN);
	if (is_kept && (SSL_CTX_use_certificate_chain_file(context, argv[5]) != 1 ||
			       SSL_CTX_use_PrivateKey_file(
				       context, argv[6], SSL_FILETYPE_PEM) != 1))
		give_up("certificate and key");
	SSL_CTX_set_session_cache_mode(
		context, is_kept ? SSL_SESS_CACHE_CLIENT : SSL_SESS_CACHE_OFF);
	if (is_kept)
		SSL_CTX_sess_set_new_cb(context, is_let_in);
	for (unsigned i = 0; i < at_once; i++)
		visits[i].fd = -1;
	double began = now();
	run(began + atof(argv[4]));
	double lasted = now() - began;
	qsort(took, done, sizeof *took, order);
	printf("{\"done\": %zu, \"failed\": %zu, \"per_s\": %.1f, \"p50_ms\": %.3f, "
	       "\"p99_ms\": %.3f, "
	       "\"max_ms\": %.3f, \"why\": \"%s\"}\n",
		done, failed, (double)done / lasted, share(0.5), share(0.99), share(1),
		why);
	return 0;
}
