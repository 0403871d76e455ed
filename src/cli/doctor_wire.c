/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_wire.h"
#include "base/clock.h"
#include "base/conf.h"
#include "kmip/message.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, ANSWER_TIMEOUT_MS = 5000 };

static double ms_since(uint64_t start)
{
	return (double)(clock_monotonic_ns() - start) / 1e6;
}

static void say(struct wire *w, const char *why)
{
	snprintf(w->why, sizeof(w->why), "%s", why ? why : "for no reason that it gave");
}

/* ---- the address ---- */

static bool read_address_file(const char *path, char *ret, size_t size)
{
	autobuf text = buf_new(4096), why = buf_new(65536);
	if (!kf_ok(conf_read_file(path, &text, &why)) || !text.n)
		return false;
	struct slice rest = buf_slice(&text);
	return kf_ok(slice_to_text(slice_take_line(&rest), ret, size));
}

static bool split(struct wire *w, const char *address)
{
	char room[512];
	if (!strncmp(address, "file:", 5)) {
		if (!read_address_file(address + 5, room, sizeof(room)))
			return false;
		address = room;
	}
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : strlen(address);
	bool is_bracketed = n > 2 && address[0] == '[' && address[n - 1] == ']';
	snprintf(w->port, sizeof(w->port), "%s", colon ? colon + 1 : "5696");
	snprintf(w->host, sizeof(w->host), "%.*s", (int)(is_bracketed ? n - 2 : n),
		is_bracketed ? address + 1 : address);
	return w->host[0] != 0;
}

/* ---- TCP ---- */

/* The socket of a connection that was made in time, or -1 with errno. */
static int dial(const struct addrinfo *a, int timeout_ms)
{
	int error = 0;
	socklen_t size = sizeof(error);
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
		error = errno;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	if (!error && poll(&p, 1, timeout_ms) != 1)
		error = ETIMEDOUT;
	if (!error)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (!error)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static void set_patience(int fd, int64_t ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

void wire_set_patience(struct wire *w, int64_t ms) { set_patience(w->fd, ms); }

static void make_blocking(int fd)
{
	int one = 1;
	fcntl(fd, F_SETFL, 0);
	set_patience(fd, ANSWER_TIMEOUT_MS);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static bool reach(struct wire *w, int timeout_ms)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *all = NULL;
	int error = getaddrinfo(w->host, w->port, &hints, &all);
	if (error) {
		say(w, gai_strerror(error));
		return false;
	}
	w->step = WIRE_TCP;
	uint64_t start = clock_monotonic_ns();
	for (const struct addrinfo *a = all; a && w->fd < 0; a = a->ai_next)
		w->fd = dial(a, timeout_ms);
	say(w, w->fd < 0 ? strerror(errno) : "");
	freeaddrinfo(all);
	w->tcp_ms = ms_since(start);
	if (w->fd >= 0)
		make_blocking(w->fd);
	return w->fd >= 0;
}

/* ---- TLS ---- */

static struct wire *wire_of(X509_STORE_CTX *store)
{
	SSL *ssl =
		X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	return SSL_get_app_data(ssl);
}

/* The first thing that is wrong is the cause; then it goes on. */
static int note_verification(int is_ok, X509_STORE_CTX *store)
{
	struct wire *w = wire_of(store);
	if (!is_ok && w->verify_error == X509_V_OK)
		w->verify_error = X509_STORE_CTX_get_error(store);
	return 1;
}

/* The first error of the queue is the cause, later ones are its consequences. */
static void say_tls(struct wire *w)
{
	unsigned long e = ERR_peek_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;
	if (!text)
		text = errno == EAGAIN ? "no answer in time"
				       : "the peer closed the connection";
	say(w, text);
	ERR_clear_error();
}

static bool make_context(struct wire *w, const struct settings *s)
{
	w->context = SSL_CTX_new(TLS_client_method());
	if (!w->context)
		return false;
	SSL_CTX_set_verify(w->context, SSL_VERIFY_PEER, note_verification);
	if (s->ca && SSL_CTX_load_verify_locations(w->context, s->ca, NULL) != 1)
		ERR_clear_error();
	if (s->certificate && s->key &&
		(SSL_CTX_use_certificate_chain_file(w->context, s->certificate) != 1 ||
			SSL_CTX_use_PrivateKey_file(
				w->context, s->key, SSL_FILETYPE_PEM) != 1))
		ERR_clear_error();
	return true;
}

static bool shake_hands(struct wire *w, const struct settings *s)
{
	static const unsigned char alpn[] = "\x04kmip";
	uint64_t start = clock_monotonic_ns();
	if (!make_context(w, s) || !(w->ssl = SSL_new(w->context)))
		return false;
	SSL_set_app_data(w->ssl, w);
	SSL_set_alpn_protos(w->ssl, alpn, sizeof(alpn) - 1);
	SSL_set_fd(w->ssl, w->fd);
	errno = 0;
	int rc = SSL_connect(w->ssl);
	w->tls_ms = ms_since(start);
	if (rc != 1)
		say_tls(w);
	return rc == 1;
}

void wire_open(struct wire *w, const struct settings *s, const char *address)
{
	*w = (struct wire){ .fd = -1, .verify_error = X509_V_OK };
	if (!split(w, address)) {
		say(w, "this is no address, or its file cannot be read");
		return;
	}
	if (!reach(w, (int)s->connect_timeout_ms))
		return;
	w->step = WIRE_TLS;
	if (s->certificate && shake_hands(w, s))
		w->step = WIRE_OPEN;
}

void wire_close(struct wire *w)
{
	SSL_free(w->ssl);
	SSL_CTX_free(w->context);
	if (w->fd >= 0)
		close(w->fd);
	w->ssl = NULL;
	w->context = NULL;
	w->fd = -1;
}

/* ---- messages ---- */

static bool read_exactly(struct wire *w, struct buf *to, size_t n)
{
	while (n) {
		uint8_t part[4096];
		errno = 0;
		int got = SSL_read(
			w->ssl, part, (int)(n < sizeof(part) ? n : sizeof(part)));
		if (got <= 0) {
			say_tls(w);
			return false;
		}
		buf_add(to, part, (size_t)got);
		n -= (size_t)got;
	}
	return true;
}

static kf_err read_message(struct wire *w, struct buf *ret)
{
	size_t n;
	if (!read_exactly(w, ret, KMIP_HEAD))
		return kf_fail(CLOSED, "the key server ended the connection");
	KF_TRY(kmip_message_length(ret->p, ret->limit, &n));
	if (!read_exactly(w, ret, n - KMIP_HEAD))
		return kf_fail(CLOSED, "the key server ended the connection");
	return buf_err(ret);
}

static kf_err read_answer(struct wire_answer *ret)
{
	struct ttlv_reader r = ttlv_read(buf_slice(&ret->bytes));
	struct kmip_response_header h;
	struct kmip_response_item item;
	KF_TRY(kmip_get_response_header(&r, &h));
	KF_TRY(kmip_get_response_item(&r, &item));
	ret->time_stamp = h.time_stamp;
	ret->payload = item.payload;
	ret->result = kmip_result(&item);
	return KF_OK;
}

kf_err wire_exchange(struct wire *w, struct slice message, struct buf *ret)
{
	errno = 0;
	if (SSL_write(w->ssl, message.p, (int)message.n) <= 0) {
		say_tls(w);
		return kf_fail(CLOSED, "the key server ended the connection");
	}
	return read_message(w, ret);
}

kf_err wire_ask(
	struct wire *w, uint32_t operation, struct slice payload, struct wire_answer *ret)
{
	autobuf message = buf_new(65536);
	struct ttlv_writer out = ttlv_write(&message, KMIP_2_1);
	kmip_put_request_header(&out,
		&(struct kmip_request_header){ .version = KMIP_2_1, .batch_count = 1 });
	kmip_put_request_item_begin(&out, operation, (struct slice){ 0 });
	ttlv_put_items(&out, payload);
	kmip_put_request_item_end(&out, NULL);
	KF_TRY(kmip_put_request_end(&out));
	ret->bytes = buf_new(ANSWER_MAX);
	uint64_t start = clock_monotonic_ns();
	KF_TRY(wire_exchange(w, buf_slice(&message), &ret->bytes));
	ret->ms = ms_since(start);
	return read_answer(ret);
}
