/* SPDX-License-Identifier: Apache-2.0
 *
 * A TLS stream.  OpenSSL reads what was received from the pad of the thread and leaves what is to be
 * sent there, through a BIO of our own; every call below ends with the pad empty.
 */
#include "base/check.h"
#include "base/clock.h"
#include "net/tls_private.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_MIN = 256, READS_BUSY = 16 };

static struct tls_stream *of(struct stream *s) { return (struct tls_stream *)s; }

/* ---- the transport OpenSSL sees ---- */

static size_t take_pending(struct tls_stream *t, char *to, size_t max)
{
	size_t n = t->pending.n < max ? t->pending.n : max;
	if (!n)
		return 0;
	memcpy(to, t->pending.p, n);
	buf_consume(&t->pending, n);
	if (!t->pending.n)
		buf_free(&t->pending);
	return n;
}

static size_t take_pad(struct stream_pad *p, char *to, size_t max)
{
	size_t n = p->in_n - p->in_at < max ? p->in_n - p->in_at : max;
	memcpy(to, p->in + p->in_at, n);
	p->in_at += n;
	return n;
}

static int bio_read(BIO *b, char *to, size_t max, size_t *ret)
{
	struct tls_stream *t = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	*ret = take_pending(t, to, max);
	if (!*ret)
		*ret = take_pad(t->base.pad, to, max);
	if (*ret)
		return 1;
	BIO_set_retry_read(b);
	return 0;
}

/* All or nothing; STREAM_CHUNK sees to it that it is all. */
static int bio_write(BIO *b, const char *from, size_t n, size_t *ret)
{
	struct tls_stream *t = BIO_get_data(b);
	struct stream_pad *p = t->base.pad;
	BIO_clear_retry_flags(b);
	if (n > PAD_OUT - p->out_n) {
		BIO_set_retry_write(b);
		return 0;
	}
	memcpy(p->out + p->out_n, from, n);
	p->out_n += n;
	*ret = n;
	return 1;
}

static long bio_control(BIO *b, int command, long number, void *p)
{
	(void)b, (void)number, (void)p;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "keyfleet stream");
	if (!m)
		return NULL;
	BIO_meth_set_read_ex(m, bio_read);
	BIO_meth_set_write_ex(m, bio_write);
	BIO_meth_set_ctrl(m, bio_control);
	return m;
}

/* ---- between pad and socket ---- */

static kf_err send_unsent(struct stream *s)
{
	size_t sent;
	s->is_blocked = false;
	if (!s->unsent.n)
		return KF_OK;
	KF_TRY(stream_send(s, s->unsent.p, s->unsent.n, &sent));
	buf_consume(&s->unsent, sent);
	if (!s->unsent.n) {
		buf_free(&s->unsent);
		s->unsent = buf_new(UNSENT_MAX);
	}
	return KF_OK;
}

/* Sends what OpenSSL left in the pad, behind what did not go before; keeps what does not go now. */
static kf_err flush(struct stream *s)
{
	struct stream_pad *p = s->pad;
	size_t n = p->out_n, sent = 0;
	p->out_n = 0;
	if (s->unsent.n)
		KF_TRY(send_unsent(s));
	if (n && !s->unsent.n)
		KF_TRY(stream_send(s, p->out, n, &sent));
	buf_add(&s->unsent, p->out + sent, n - sent);
	s->is_blocked = s->unsent.n > 0;
	return buf_err(&s->unsent);
}

/* What OpenSSL did not take, since nobody asked it for more, waits with the stream. */
static kf_err save_rest(struct tls_stream *t)
{
	struct stream_pad *p = t->base.pad;
	size_t n = p->in_n - p->in_at;
	if (n && !t->pending.limit)
		t->pending = buf_new(PAD_IN);
	buf_add(&t->pending, p->in + p->in_at, n);
	p->in_at = p->in_n = 0;
	return buf_err(&t->pending);
}

static bool has_more(const struct stream *s)
{
	const struct tls_stream *t = (const struct tls_stream *)s;
	return t->pending.n > 0 || SSL_pending(t->ssl) > 0;
}

/* Looking is cheap, clearing is not. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

/* ---- handshake ---- */

static kf_err ended_early(struct stream *s)
{
	s->why = "connection ended during the handshake";
	s->fault = STREAM_PEER_GONE;
	return kf_fail(CLOSED, "connection ended during the handshake");
}

static kf_err handshake_failed(struct tls_stream *t, int result)
{
	int kind = SSL_get_error(t->ssl, result);
	if (kind == SSL_ERROR_WANT_READ)
		return t->base.is_ended ? ended_early(&t->base) : KF_OK;
	t->base.is_waiting = kind == SSL_ERROR_WANT_ASYNC;
	if (t->base.is_waiting)
		return KF_OK;
	if (t->waiting && !kf_ok(t->waiting->why)) {
		t->base.fault = STREAM_KEY_AWAY;
		t->base.why = t->waiting->why.site->text;
		return kf_fail(UNAVAILABLE, "our own key could not sign");
	}
	t->base.fault = tls_fault();
	t->base.why = tls_reason(t->ssl);
	return kf_fail(AUTH, "TLS handshake was refused");
}

static kf_err tls_handshake(struct stream *s)
{
	struct tls_stream *t = of(s);
	if (s->is_waiting)
		return KF_OK;
	kf_err received = t->pending.n ? KF_OK : stream_receive(s, PAD_IN);
	if (kf_is(received, KF_E_CLOSED))
		return ended_early(s);
	KF_TRY(received);
	forget_errors();
	int result = tls_remote_handshake(t);
	kf_err e = result == 1 ? KF_OK : handshake_failed(t, result);
	s->is_open = result == 1;
	if (s->is_open)
		tls_remote_end(t);
	kf_err saved = save_rest(t), flushed = flush(s); /* an alert should go out, too */
	KF_TRY(e);
	KF_TRY(saved);
	return flushed;
}

/* ---- memory ---- */

/* SSL_MODE_RELEASE_BUFFERS wipes, frees and allocates 16 KiB for each record.  That is right for those who
 * ask once in a while, and a twentieth of a Get: who has read so often since it last rested keeps its buffers. */
static void note_read(struct tls_stream *t)
{
	if (t->reads < READS_BUSY && ++t->reads == READS_BUSY)
		SSL_clear_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
}

/* Not while OpenSSL holds something that nobody has read: it would free it all the same. */
static void relax(struct stream *s)
{
	struct tls_stream *t = of(s);
	if (!s->is_open || s->is_failed || SSL_has_pending(t->ssl))
		return;
	t->reads = 0;
	SSL_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_free_buffers(t->ssl);
}

/* ---- reading ---- */

static kf_err read_failed(struct tls_stream *t, int result)
{
	int kind = SSL_get_error(t->ssl, result);
	if (kind == SSL_ERROR_WANT_READ)
		return KF_OK;
	if (kind == SSL_ERROR_ZERO_RETURN) {
		t->base.is_ended = true;
		return KF_OK;
	}
	t->base.why = tls_reason(t->ssl);
	return kf_fail(AUTH, "TLS failed after the handshake");
}

static size_t at_hand(const struct tls_stream *t)
{
	const struct stream_pad *p = t->base.pad;
	return t->pending.n + (p->in_n - p->in_at) + (size_t)SSL_pending(t->ssl);
}

/* Plaintext is never longer than the ciphertext it comes in, so one reservation is usually enough. */
static kf_err decrypt(struct tls_stream *t, struct buf *in)
{
	while (in->n < in->limit && !t->base.is_ended) {
		size_t room = in->limit - in->n, want = at_hand(t);
		if (!want && !SSL_has_pending(t->ssl))
			return KF_OK;
		want = want < READ_MIN ? READ_MIN : want;
		uint8_t *to = buf_reserve(in, want < room ? want : room);
		if (!to)
			return buf_err(in);
		int n = SSL_read(t->ssl, to, (int)(want < room ? want : room));
		if (n <= 0)
			return read_failed(t, n);
		buf_commit(in, (size_t)n);
	}
	return KF_OK;
}

static kf_err tls_read(struct stream *s, struct buf *in)
{
	struct tls_stream *t = of(s);
	bool had_end = false;
	if (!has_more(s)) {
		KF_TRY(stream_receive(s, PAD_IN));
		had_end = s->is_ended;
		s->is_ended = false;
	}
	forget_errors();
	note_read(t);
	kf_err e = decrypt(t, in);
	KF_TRY(save_rest(t));
	if (s->pad->out_n || s->unsent.n)
		KF_TRY(flush(s));
	KF_TRY(e);
	s->is_ended |= had_end;
	return s->is_ended ? kf_fail(CLOSED, "peer has ended the connection") : KF_OK;
}

/* ---- writing ---- */

static kf_err write_failed(struct tls_stream *t, int result)
{
	SSL_get_error(t->ssl, result);
	t->base.why = tls_reason(t->ssl);
	return kf_fail(IO, "TLS cannot send");
}

static kf_err tls_write(struct stream *s, struct buf *out)
{
	struct tls_stream *t = of(s);
	KF_TRY(send_unsent(s));
	size_t done = 0;
	while (done < out->n && !s->is_blocked) {
		size_t n = out->n - done < STREAM_CHUNK ? out->n - done : STREAM_CHUNK;
		forget_errors();
		int written = SSL_write(t->ssl, out->p + done, (int)n);
		if (written <= 0)
			return write_failed(t, written);
		done += (size_t)written;
		KF_TRY(flush(s));
	}
	if (done)
		buf_consume(out, done);
	return KF_OK;
}

/* ---- life ---- */

/* Says goodbye if that is possible at once: an error or a full socket makes it pointless. */
static void say_goodbye(struct stream *s)
{
	size_t sent;
	if (!s->is_open || s->is_failed || s->unsent.n)
		return;
	SSL_shutdown(of(s)->ssl);
	if (s->pad->out_n) {
		kf_err e = stream_send(s, s->pad->out, s->pad->out_n, &sent);
		(void)e; /* the peer is gone already */
	}
	s->pad->out_n = 0;
}

static void tls_free(struct stream *s)
{
	struct tls_stream *t = of(s);
	tls_remote_end(t);
	if (t->ssl)
		say_goodbye(s);
	/* Without a proper end OpenSSL would forbid to resume; a server that was killed is no reason. */
	if (s->is_open && !s->is_failed)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	SSL_SESSION_free(t->ticket);
	buf_free(&t->pending);
	buf_free(&s->unsent);
	if (t->context)
		tls_context_put(t->context);
	forget_errors();
	free(t);
}

const struct stream_ops tls_stream_ops = { tls_free, tls_handshake, tls_read, tls_write,
	has_more, relax };

static kf_err attach(struct tls_stream *t, struct tls_context *c)
{
	t->ssl = tls_context_ssl(c, t->scope);
	t->context = t->ssl ? c : NULL;
	BIO *b = t->ssl ? BIO_new(c->bio_method) : NULL;
	if (!b)
		return kf_fail(NOMEM, "TLS stream");
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	SSL_set_app_data(t->ssl, t);
	X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), clock_wall_s());
	return KF_OK;
}

static kf_err new_stream(
	struct tls_context *c, int fd, struct stream_pad *pad, struct tls_stream **ret)
{
	struct tls_stream *t = calloc(1, sizeof(*t));
	if (!t) {
		close(fd);
		return kf_fail(NOMEM, "TLS stream");
	}
	stream_init(&t->base, &tls_stream_ops, fd, pad);
	kf_err e = attach(t, c);
	if (!kf_ok(e)) {
		stream_free(&t->base);
		return e;
	}
	*ret = t;
	return KF_OK;
}

/* Takes fd if it fails. */
static kf_err check_side(const struct tls_context *c, bool is_server, int fd)
{
	kf_err err = KF_OK;
	if (!KF_HOLDS(&err, c->options.is_server == is_server,
		    "the TLS context is for the other side"))
		close(fd);
	return err;
}

kf_err tls_accept(
	struct tls_context *c, int fd, struct stream_pad *pad, struct stream **ret)
{
	struct tls_stream *t;
	KF_TRY(check_side(c, true, fd));
	KF_TRY(new_stream(c, fd, pad, &t));
	SSL_set_accept_state(t->ssl);
	*ret = &t->base;
	return KF_OK;
}

/* ---- the client's side ---- */

/* What a session is good for: the same authorities, revocation list and host. */
static kf_err set_scope(struct tls_stream *t, const char *host)
{
	uint8_t text[TLS_SCOPE + TLS_NAME_MAX], scope[TLS_SCOPE];
	size_t n = host ? strlen(host) : 0;
	if (n >= TLS_NAME_MAX)
		return kf_fail(TOO_BIG, "name of a host");
	memcpy(text, t->scope, TLS_SCOPE);
	memcpy(text + TLS_SCOPE, n ? host : "", n);
	if (EVP_Digest(text, TLS_SCOPE + n, scope, NULL, EVP_sha256(), NULL) != 1 ||
		SSL_set_session_id_context(t->ssl, scope, TLS_SCOPE) != 1)
		return kf_fail(CRYPTO, "scope of a session");
	memcpy(t->scope, scope, TLS_SCOPE);
	return KF_OK;
}

static kf_err expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	char name[TLS_NAME_MAX]; /* OpenSSL's macro takes no constant text */
	if (!host || X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1)
		return KF_OK;
	forget_errors();
	KF_TRY(slice_to_text(slice_of(host), name, sizeof(name)));
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(p, name, 0) != 1 ||
		SSL_set_tlsext_host_name(ssl, name) != 1)
		return kf_fail(INVALID_FIELD, "name of a host is not valid");
	return KF_OK;
}

static bool is_usable(const struct tls_stream *t, SSL_SESSION *session)
{
	unsigned int n = 0;
	const uint8_t *scope = SSL_SESSION_get0_id_context(session, &n);
	X509 *peer = SSL_SESSION_get0_peer(session);
	return n == TLS_SCOPE && memcmp(scope, t->scope, n) == 0 && peer &&
	       tls_not_after_s(peer) >= clock_wall_s();
}

static kf_err prepare(struct tls_stream *t, const struct tls_connect_options *o)
{
	SSL_SESSION *session = o ? (SSL_SESSION *)o->session : NULL;
	const char *host = o ? o->host : NULL;
	SSL_set_connect_state(t->ssl);
	KF_TRY(set_scope(t, host));
	KF_TRY(expect_host(t->ssl, host));
	if (session && is_usable(t, session))
		SSL_set_session(t->ssl, session); /* refused: then a full handshake */
	return KF_OK;
}

kf_err tls_connect(struct tls_context *c, int fd,
	const struct tls_connect_options *options, struct stream_pad *pad,
	struct stream **ret)
{
	struct tls_stream *t;
	KF_TRY(check_side(c, false, fd));
	KF_TRY(new_stream(c, fd, pad, &t));
	kf_err e = prepare(t, options);
	if (!kf_ok(e)) {
		stream_free(&t->base);
		return e;
	}
	*ret = &t->base;
	return KF_OK;
}

int tls_keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct tls_stream *t = SSL_get_app_data(ssl);
	SSL_SESSION_free(t->ticket);
	t->ticket = session;
	return 1; /* the reference is ours */
}

struct tls_session *tls_take_session(struct stream *s)
{
	if (s->ops != &tls_stream_ops)
		return NULL;
	SSL_SESSION *session = of(s)->ticket;
	of(s)->ticket = NULL;
	return (struct tls_session *)session;
}

void tls_session_free(struct tls_session *s) { SSL_SESSION_free((SSL_SESSION *)s); }
