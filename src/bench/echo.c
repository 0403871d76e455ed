/* SPDX-License-Identifier: Apache-2.0
 *
 * The no-op echo: OpenSSL, epoll, memory BIOs and nothing of ours, so that it shows what the transport
 * alone costs.
 */
#include "bench/bench.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 1 << 17, EVENTS = 256 };

struct echo {
	SSL_CTX *ctx;
	int epoll, listener;
};

struct echo_line {
	int fd;
	SSL *ssl;
	BIO *in, *out;
	size_t partial; /* bytes of a request that is not whole yet */
};

static uint8_t burst[BURST], answers[BURST / ECHO_REQUEST * ECHO_ANSWER];

static kf_err make_context(const struct bench_echo *e, SSL_CTX **ret)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, e->certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, e->key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_load_verify_locations(ctx, e->ca, NULL) != 1) {
		SSL_CTX_free(ctx);
		return kf_fail(CONFIG,
			"certificate, key or authority of the echo cannot be used");
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"echo", 4);
	*ret = ctx;
	return KF_OK;
}

static kf_err open_listener(int *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 4096) ||
		getsockname(fd, (struct sockaddr *)&a, &n))
		return kf_fail(IO, "the echo cannot listen");
	printf("ready %d\n", ntohs(a.sin_port));
	fflush(stdout);
	*ret = fd;
	return KF_OK;
}

static void watch(const struct echo *e, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
	epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(const struct echo *e)
{
	int fd, on = 1;
	while ((fd = accept4(e->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
		0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		struct echo_line *l = calloc(1, sizeof(*l));
		SSL *ssl = SSL_new(e->ctx);
		if (!l || !ssl)
			abort();
		*l = (struct echo_line){ .fd = fd,
			.ssl = ssl,
			.in = BIO_new(BIO_s_mem()),
			.out = BIO_new(BIO_s_mem()) };
		SSL_set_bio(ssl, l->in, l->out);
		SSL_set_accept_state(ssl);
		watch(e, fd, l);
	}
}

static void end(struct echo_line *l)
{
	close(l->fd);
	SSL_free(l->ssl);
	free(l);
}

static void send_all(struct echo_line *l)
{
	char *p;
	long n = BIO_get_mem_data(l->out, &p);
	while (n > 0) {
		ssize_t sent = send(l->fd, p, (size_t)n, MSG_NOSIGNAL);
		if (sent < 0)
			break; /* a closed loop never fills the socket */
		p += sent;
		n -= sent;
	}
	(void)BIO_reset(l->out);
}

/* As many answers as requests have become whole. */
static size_t answer(struct echo_line *l)
{
	size_t whole = 0;
	int n;
	while ((n = SSL_read(l->ssl, burst, sizeof(burst))) > 0) {
		whole += (l->partial + (size_t)n) / ECHO_REQUEST;
		l->partial = (l->partial + (size_t)n) % ECHO_REQUEST;
	}
	return whole;
}

static void serve(struct echo_line *l)
{
	ssize_t n = recv(l->fd, burst, sizeof(burst), 0);
	if (n <= 0) {
		end(l);
		return;
	}
	BIO_write(l->in, burst, (int)n);
	if (!SSL_is_init_finished(l->ssl)) {
		int done = SSL_do_handshake(l->ssl);
		if (done <= 0 && SSL_get_error(l->ssl, done) != SSL_ERROR_WANT_READ) {
			end(l);
			return;
		}
	}
	if (SSL_is_init_finished(l->ssl)) {
		size_t whole = answer(l);
		if (whole)
			SSL_write(l->ssl, answers, (int)(whole * ECHO_ANSWER));
	}
	send_all(l);
}

kf_err bench_echo(const struct bench_echo *conf)
{
	struct echo e = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	KF_TRY(make_context(conf, &e.ctx));
	KF_TRY(open_listener(&e.listener));
	watch(&e, e.listener, NULL);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(e.epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				accept_all(&e);
		}
	}
}
