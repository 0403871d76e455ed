/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pki.h"
#include "test.h"
#include <fcntl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = { "keyfleet/1", "kmip", NULL };
static const char *const only_kmip[] = { "kmip", NULL };
static const char *const foreign[] = { "h2", NULL };

static struct pki_ca ca, other_ca;
static struct pki_leaf server_leaf, client_leaf, bare_leaf, expired_leaf, stranger_leaf;
static struct stream_pad *pad;

static void make_pki(void)
{
	if (pad)
		return;
	kf_err e = stream_pad_new(&pad);
	(void)e;
	ca = pki_ca_new("test authority");
	other_ca = pki_ca_new("other authority");
	server_leaf = pki_issue(
		&ca, "server", "serverAuth", "IP:127.0.0.1,DNS:keys.test", 3600);
	client_leaf = pki_issue(&ca, "web 1", "clientAuth", NULL, 3600);
	bare_leaf = pki_issue(&ca, "bare", NULL, NULL, 3600);
	expired_leaf = pki_issue(&ca, "late", "clientAuth", NULL, -60);
	stranger_leaf = pki_issue(&other_ca, "stranger", "clientAuth", NULL, 3600);
}

__attribute__((destructor)) static void drop_pki(void)
{
	struct pki_leaf *leaves[] = { &server_leaf, &client_leaf, &bare_leaf,
		&expired_leaf, &stranger_leaf };
	for (size_t i = 0; pad && i < sizeof(leaves) / sizeof(leaves[0]); i++)
		pki_leaf_free(leaves[i]);
	if (pad) {
		pki_ca_free(&ca);
		pki_ca_free(&other_ca);
		stream_pad_free(pad);
	}
}

static struct tls_identity identity_of(const struct pki_leaf *l)
{
	return (struct tls_identity){ buf_slice(&l->certificate), buf_slice(&l->key),
		buf_slice(&ca.pem), { 0 } };
}

static char said[1024];

static struct tls_context *context_with(
	bool is_server, const struct tls_identity *i, const char *const *alpn)
{
	autobuf why = buf_new(sizeof(said) - 1);
	struct tls_context *c = NULL;
	struct tls_options o = { .is_server = is_server, .alpn = alpn };
	make_pki();
	kf_err e = tls_context_new(&o, i, &why, &c);
	if (why.n)
		memcpy(said, why.p, why.n);
	said[why.n] = 0;
	return kf_ok(e) ? c : NULL;
}

static struct tls_context *context(bool is_server, const struct pki_leaf *l)
{
	make_pki();
	struct tls_identity i = identity_of(l);
	return context_with(is_server, &i, names);
}

static void context_freep(struct tls_context **c) { tls_context_free(*c); }
#define autocontext CLEANUP(context_freep) struct tls_context

/* Both ends of a connection, in one thread. */
struct link {
	struct stream *client, *server;
	struct buf in; /* what the reader of the last transfer got */
};

static void link_free(struct link *k)
{
	stream_free(k->client);
	stream_free(k->server);
	buf_free(&k->in);
}
#define autolink CLEANUP(link_free) struct link

static kf_err open_link(struct link *k, struct tls_context *c, struct tls_context *s,
	const struct tls_connect_options *o)
{
	int fd[2];
	*k = (struct link){ .in = buf_new(1 << 22) };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return kf_fail(IO, "socketpair");
	KF_TRY(tls_connect(c, fd[0], o, pad, &k->client));
	return tls_accept(s, fd[1], pad, &k->server);
}

/* The client learns of the server's refusal by its first read. */
static kf_err shake(struct link *k)
{
	for (int i = 0; i < 10; i++) {
		KF_TRY(stream_handshake(k->client));
		kf_err e = stream_handshake(k->server);
		if (!kf_ok(e)) {
			kf_err client = stream_is_open(k->client)
						? stream_read(k->client, &k->in)
						: stream_handshake(k->client);
			(void)client;
			return e;
		}
	}
	if (stream_is_open(k->client) && stream_is_open(k->server))
		return KF_OK;
	return kf_fail(TIMEOUT, "handshake does not end");
}

static kf_err connect_both(struct link *k, struct tls_context *c, struct tls_context *s,
	const struct tls_connect_options *o)
{
	KF_TRY(open_link(k, c, s, o));
	return shake(k);
}

/* Moves `n` bytes from one end to the other; the receiver has k->in. */
static kf_err transfer(struct link *k, struct stream *from, struct stream *to, size_t n)
{
	autobuf out = buf_new(1 << 22);
	uint8_t *p = buf_reserve(&out, n);
	if (!p)
		return buf_err(&out);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
	buf_commit(&out, n);
	buf_clear(&k->in);
	for (int i = 0; i < 10000 && k->in.n < n; i++) {
		KF_TRY(stream_write(from, &out));
		KF_TRY(stream_read(to, &k->in));
	}
	for (size_t i = 0; i < n; i++)
		if (k->in.n != n || k->in.p[i] != (uint8_t)(i * 7 + i / 251))
			return kf_fail(INTERNAL, "bytes were changed on their way");
	return KF_OK;
}

TEST(both_ends_know_each_other_and_bytes_pass)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	struct tls_peer p;
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	static const size_t sizes[] = { 1, 300, 16384, 16385, 70000, 1000000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(kf_ok(transfer(&k, k.client, k.server, sizes[i])));
		OK(kf_ok(transfer(&k, k.server, k.client, sizes[i])));
	}

	OK(kf_ok(tls_get_peer(k.server, &p)));
	OK(strcmp(p.common_name, "web 1") == 0);
	OK(strcmp(p.subject, "CN=web 1") == 0);
	OK(strcmp(p.serial, "03") == 0);
	OK(!p.is_resumed && p.not_after_s > clock_wall_s());
	autobuf der = buf_new(4096);
	uint8_t digest[32];
	OK(kf_ok(tls_get_peer_der(k.server, &der)));
	EVP_Digest(der.p, der.n, digest, NULL, EVP_sha256(), NULL);
	OK(memcmp(digest, p.fingerprint, 32) == 0);
	OK(strcmp(tls_version(k.server), "TLSv1.3") == 0);
}

TEST(the_servers_best_protocol_wins)
{
	make_pki();
	struct tls_identity si = identity_of(&server_leaf),
			    ci = identity_of(&client_leaf);
	autocontext *s = context_with(true, &si, names);
	autocontext *both = context_with(false, &ci, names);
	autocontext *one = context_with(false, &ci, only_kmip);
	autocontext *none = context_with(false, &ci, NULL);
	autocontext *alien = context_with(false, &ci, foreign);
	struct tls_context *clients[] = { both, one, none, alien };
	static const char *const want[] = { "keyfleet/1", "kmip", "", "" };
	for (int i = 0; i < 4; i++) {
		autolink k = { 0 };
		OK(kf_ok(connect_both(&k, clients[i], s, NULL)));
		OK(strcmp(tls_alpn(k.server), want[i]) == 0);
		OK(strcmp(tls_alpn(k.client), want[i]) == 0);
	}
}

/* A server's SSL_CTX with a client of plain OpenSSL that claims to be somebody else. */
static const char *refusal_of_client(const struct pki_leaf *l, long versions)
{
	static const char *why;
	autocontext *s = context(true, &server_leaf);
	int fd[2];
	if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return "no set-up";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_max_proto_version(ctx, (int)versions);
	BIO *b = l ? BIO_new_mem_buf(l->certificate.p, (int)l->certificate.n) : NULL;
	BIO *kb = l ? BIO_new_mem_buf(l->key.p, (int)l->key.n) : NULL;
	X509 *x = l ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = l ? PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL) : NULL;
	if (l) {
		SSL_CTX_use_certificate(ctx, x);
		SSL_CTX_use_PrivateKey(ctx, key);
	}
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd[0]);
	struct stream *server = NULL;
	kf_err e = tls_accept(s, fd[1], pad, &server);
	for (int i = 0; i < 10 && kf_ok(e) && !stream_is_open(server); i++) {
		SSL_connect(ssl);
		e = stream_handshake(server);
	}
	why = kf_ok(e) ? "accepted" : stream_why(server);
	ERR_clear_error();
	stream_free(server);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd[0]);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(b);
	BIO_free(kb);
	return why;
}

TEST(every_refusal_has_its_reason)
{
	make_pki();
	OK(strcmp(refusal_of_client(&client_leaf, TLS1_3_VERSION), "accepted") == 0);
	OK(strcmp(refusal_of_client(&client_leaf, TLS1_2_VERSION), "accepted") == 0);
	OK(strcmp(refusal_of_client(NULL, TLS1_3_VERSION),
		   "peer showed no certificate") == 0);
	OK(strcmp(refusal_of_client(NULL, TLS1_2_VERSION),
		   "peer showed no certificate") == 0);
	OK(strcmp(refusal_of_client(&server_leaf, TLS1_3_VERSION),
		   "peer's certificate is not meant for its role (extended key usage)") ==
		0);
	OK(strcmp(refusal_of_client(&bare_leaf, TLS1_3_VERSION),
		   "peer's certificate is not meant for its role (extended key usage)") ==
		0);
	OK(strcmp(refusal_of_client(&expired_leaf, TLS1_3_VERSION),
		   "peer's certificate has expired") == 0);
	OK(strcmp(refusal_of_client(&stranger_leaf, TLS1_3_VERSION),
		   "peer's certificate is of an authority we do not know") == 0);
	OK(strcmp(refusal_of_client(&client_leaf, TLS1_1_VERSION),
		   "peer is limited to TLS older than 1.2") == 0);
}

/* A server of plain OpenSSL with any certificate, against our client. */
static const char *refusal_of_server(const struct pki_leaf *l, const char *host)
{
	autocontext *c = context(false, &client_leaf);
	struct tls_connect_options o = { .host = host };
	int fd[2];
	if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return "no set-up";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	BIO *b = BIO_new_mem_buf(l->certificate.p, (int)l->certificate.n);
	BIO *kb = BIO_new_mem_buf(l->key.p, (int)l->key.n);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd[1]);
	struct stream *client = NULL;
	kf_err e = tls_connect(c, fd[0], &o, pad, &client);
	for (int i = 0; i < 10 && kf_ok(e) && !stream_is_open(client); i++) {
		e = stream_handshake(client);
		SSL_accept(ssl);
	}
	const char *why = kf_ok(e) ? "accepted" : stream_why(client);
	ERR_clear_error();
	stream_free(client);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd[1]);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(b);
	BIO_free(kb);
	return why;
}

TEST(a_client_cannot_pose_as_a_server)
{
	make_pki();
	OK(strcmp(refusal_of_server(&server_leaf, NULL), "accepted") == 0);
	OK(strcmp(refusal_of_server(&client_leaf, NULL),
		   "peer's certificate is not meant for its role (extended key usage)") ==
		0);
	OK(strcmp(refusal_of_server(&bare_leaf, NULL),
		   "peer's certificate is not meant for its role (extended key usage)") ==
		0);
	OK(strcmp(refusal_of_server(&stranger_leaf, NULL),
		   "peer's certificate is of an authority we do not know") == 0);
}

TEST(a_certificate_for_both_roles_is_good_for_neither)
{
	make_pki();
	static const char *const usages[] = { "serverAuth,clientAuth",
		"clientAuth,anyExtendedKeyUsage", "serverAuth,anyExtendedKeyUsage" };
	for (size_t i = 0; i < 3; i++) {
		struct pki_leaf both =
			pki_issue(&ca, "both", usages[i], "IP:127.0.0.1", 3600);
		OK(strcmp(refusal_of_server(&both, NULL),
			   "peer's certificate is not meant for its role (extended key "
			   "usage)") == 0);
		OK(strcmp(refusal_of_client(&both, TLS1_3_VERSION),
			   "peer's certificate is not meant for its role (extended key "
			   "usage)") == 0);
		pki_leaf_free(&both);
	}
}

TEST(a_server_must_be_the_one_that_was_asked_for)
{
	make_pki();
	OK(strcmp(refusal_of_server(&server_leaf, "127.0.0.1"), "accepted") == 0);
	OK(strcmp(refusal_of_server(&server_leaf, "keys.test"), "accepted") == 0);
	OK(strcmp(refusal_of_server(&server_leaf, "127.0.0.2"),
		   "peer's certificate is for another address") == 0);
	OK(strcmp(refusal_of_server(&server_leaf, "other.test"),
		   "peer's certificate is for another host") == 0);
}

TEST(who_does_not_speak_tls_is_named)
{
	autocontext *s = context(true, &server_leaf);
	static const char *const lines[] = { "GET / HTTP/1.0\r\n\r\n",
		"SSH-2.0-OpenSSH_9\r\n" };
	static const char *const want[] = { "peer speaks HTTP without TLS",
		"peer does not speak TLS" };
	for (int i = 0; i < 2; i++) {
		int fd[2];
		struct stream *server;
		OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
		OK(kf_ok(tls_accept(s, fd[1], pad, &server)));
		OK(write(fd[0], lines[i], strlen(lines[i])) > 0);
		kf_err e = stream_handshake(server);
		OK(kf_is(e, KF_E_AUTH));
		OK(strcmp(stream_why(server), want[i]) == 0);
		OK(kf_is(stream_handshake(server), KF_E_CLOSED));
		stream_free(server);
		close(fd[0]);
	}
}

/* Connects, exchanges a few bytes so that the ticket arrives, and takes it. */
static struct tls_session *session_of(
	struct tls_context *c, struct tls_context *s, const char *host)
{
	autolink k = { 0 };
	struct tls_connect_options o = { .host = host };
	if (!kf_ok(connect_both(&k, c, s, &o)) ||
		!kf_ok(transfer(&k, k.server, k.client, 10)))
		return NULL;
	return tls_take_session(k.client);
}

/* 1: resumed on both ends, 0: not, -1: failed. */
static int resumes(struct tls_context *c, struct tls_context *s, const char *host,
	struct tls_session *session)
{
	autolink k = { 0 };
	struct tls_peer at_server, at_client;
	struct tls_connect_options o = { .host = host, .session = session };
	if (!kf_ok(connect_both(&k, c, s, &o)) ||
		!kf_ok(transfer(&k, k.client, k.server, 10)) ||
		!kf_ok(tls_get_peer(k.server, &at_server)) ||
		!kf_ok(tls_get_peer(k.client, &at_client)) ||
		strcmp(at_server.common_name, "web 1") != 0)
		return -1;
	return at_server.is_resumed && at_client.is_resumed;
}

TEST(a_session_is_resumed_with_the_same_peer)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct tls_session *session = session_of(c, s, NULL);
	OK(session != NULL);
	EQ(resumes(c, s, NULL, session), 1);
	tls_session_free(session);
}

TEST(a_session_is_good_for_its_host_only)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct tls_session *session = session_of(c, s, "keys.test");
	EQ(resumes(c, s, "keys.test", session), 1);
	EQ(resumes(c, s, "127.0.0.1", session), 0);
	EQ(resumes(c, s, NULL, session), 0);
	tls_session_free(session);
}

TEST(tickets_survive_a_reload_of_the_certificate)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct tls_session *session = session_of(c, s, NULL);
	struct pki_leaf renewed = pki_issue(&ca, "server 2", "serverAuth", NULL, 3600);
	struct tls_identity i = identity_of(&renewed);
	autobuf why = buf_new(1024);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	EQ(resumes(c, s, NULL, session), 1);
	tls_session_free(session);
	pki_leaf_free(&renewed);
}

TEST(a_new_revocation_list_ends_sessions_and_refuses_the_revoked)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct tls_session *session = session_of(c, s, NULL);
	autobuf nobody = pki_crl(&ca, 0), him = pki_crl(&ca, client_leaf.serial),
		why = buf_new(1024);
	struct tls_identity i = identity_of(&server_leaf);

	i.revoked = buf_slice(&nobody);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	EQ(resumes(c, s, NULL, session), 0);
	i.revoked = buf_slice(&him);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	autolink k = { 0 };
	struct tls_connect_options o = { .session = session };
	OK(kf_is(connect_both(&k, c, s, &o), KF_E_AUTH));
	OK(strcmp(stream_why(k.server), "peer's certificate is revoked") == 0);
	OK(strcmp(stream_why(k.client), "peer refused our certificate: revoked") == 0);
	tls_session_free(session);
}

/* Both contexts are shared; each thread has its own pad and streams. */
struct shaker {
	struct tls_context *server, *client;
	int failed;
};

static kf_err shake_once(struct shaker *s, struct stream_pad *own)
{
	autolink k = { 0 };
	KF_TRY(open_link(&k, s->client, s->server, NULL));
	stream_set_pad(k.client, own);
	stream_set_pad(k.server, own);
	return shake(&k);
}

static void *shake_often(void *arg)
{
	struct shaker *s = arg;
	struct stream_pad *own = NULL;
	if (!kf_ok(stream_pad_new(&own)))
		s->failed++;
	for (int i = 0; i < 8; i++)
		s->failed += !kf_ok(shake_once(s, own));
	stream_pad_free(own);
	return NULL;
}

TEST(threads_share_contexts_while_they_are_reloaded)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct shaker shaker[2] = { { s, c, 0 }, { s, c, 0 } };
	struct tls_identity i = identity_of(&server_leaf);
	autobuf why = buf_new(1024);
	pthread_t thread[2];
	for (int t = 0; t < 2; t++)
		pthread_create(&thread[t], NULL, shake_often, &shaker[t]);
	int reloaded = 0;
	for (int n = 0; n < 5; n++)
		reloaded += kf_ok(tls_context_reload(s, &i, &why));
	for (int t = 0; t < 2; t++)
		pthread_join(thread[t], NULL);
	EQ(reloaded, 5);
	EQ(shaker[0].failed + shaker[1].failed, 0);
}

TEST(a_live_stream_is_checked_again_after_a_reload)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autobuf nobody = pki_crl(&ca, 0), him = pki_crl(&ca, client_leaf.serial),
		why = buf_new(1024);
	struct tls_identity i = identity_of(&server_leaf);
	autolink k = { 0 };
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	OK(kf_ok(tls_recheck(k.server)) && kf_ok(tls_recheck(k.client)));

	i.revoked = buf_slice(&nobody);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	OK(kf_ok(tls_recheck(k.server)));
	clock_turn(0, 4000);
	kf_err late = tls_recheck(k.server);
	clock_turn(0, -4000);
	OK(kf_is(late, KF_E_AUTH));
	OK(strcmp(stream_why(k.server), "peer's certificate has expired") == 0);
	i.revoked = buf_slice(&him);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	OK(kf_is(tls_recheck(k.server), KF_E_AUTH));
	OK(strcmp(stream_why(k.server), "peer's certificate is revoked") == 0);
	OK(kf_ok(transfer(&k, k.client, k.server, 100)));

	i.revoked = (struct slice){ 0 };
	i.authorities = buf_slice(&other_ca.pem);
	OK(kf_ok(tls_context_reload(s, &i, &why)));
	OK(kf_is(tls_recheck(k.server), KF_E_AUTH));
	OK(strcmp(stream_why(k.server),
		   "peer's certificate is of an authority we do not know") == 0);
}

TEST(a_ticket_dies_with_its_certificate)
{
	struct pki_leaf brief = pki_issue(&ca, "brief", "clientAuth", NULL, 600);
	autocontext *s = context(true, &server_leaf), *c = context(false, &brief);
	struct tls_session *session = session_of(c, s, NULL);
	autolink k = { 0 };
	struct tls_connect_options o = { .session = session };
	OK(session != NULL);

	clock_turn(0, 700);
	kf_err e = connect_both(&k, c, s, &o);
	clock_turn(0, -700);

	OK(kf_is(e, KF_E_AUTH));
	OK(strcmp(stream_why(k.server), "peer's certificate has expired") == 0);
	tls_session_free(session);
	pki_leaf_free(&brief);
}

TEST(ticket_keys_are_changed_and_kept_for_a_while)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct tls_session *session = session_of(c, s, NULL);
	const int64_t hour = 3600LL * 1000000000;
	clock_turn(13 * hour, 0);
	EQ(resumes(c, s, NULL, session), 1);
	clock_turn(13 * hour, 0);
	EQ(resumes(c, s, NULL, session), 0);
	clock_turn(-26 * hour, 0);
	tls_session_free(session);
}

TEST(a_reload_leaves_old_streams_alone)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	struct pki_leaf renewed = pki_issue(&ca, "server 2", "serverAuth", NULL, 3600);
	struct tls_identity i = identity_of(&renewed);
	autobuf why = buf_new(1024);
	autolink old = { 0 }, new = { 0 };
	struct tls_peer p;
	OK(kf_ok(connect_both(&old, c, s, NULL)));
	OK(kf_ok(tls_context_reload(s, &i, &why)));

	OK(kf_ok(transfer(&old, old.client, old.server, 1000)));
	OK(kf_ok(connect_both(&new, c, s, NULL)));
	OK(kf_ok(tls_get_peer(new.client, &p)) && strcmp(p.common_name, "server 2") == 0);
	OK(kf_ok(tls_get_peer(old.client, &p)) && strcmp(p.common_name, "server") == 0);

	i.key = buf_slice(&client_leaf.key);
	OK(kf_is(tls_context_reload(s, &i, &why), KF_E_CONFIG));
	autolink still = { 0 };
	OK(kf_ok(connect_both(&still, c, s, NULL)));
	pki_leaf_free(&renewed);
}

TEST(a_context_may_go_before_its_streams)
{
	struct tls_context *s = context(true, &server_leaf),
			   *c = context(false, &client_leaf);
	autolink k = { 0 };
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	tls_context_free(s);
	tls_context_free(c);
	OK(kf_ok(transfer(&k, k.client, k.server, 1000)));
	OK(strcmp(tls_alpn(k.server), "keyfleet/1") == 0);
}

TEST(an_identity_that_cannot_work_is_refused_with_the_reason)
{
	make_pki();
	struct tls_identity i = identity_of(&client_leaf);
	OK(!context_with(true, &i, NULL));
	OK(strstr(said, "certificate: its extended key usage is not serverAuth alone\n"));
	i = identity_of(&server_leaf);
	i.key = buf_slice(&client_leaf.key);
	OK(!context_with(true, &i, NULL));
	OK(strstr(said, "key: does not belong to the certificate"));
	i.key = SLICE_LIT("nonsense");
	OK(!context_with(true, &i, NULL));
	OK(strstr(said, "key: no PEM private key"));
	i = identity_of(&server_leaf);
	i.authorities = (struct slice){ 0 };
	OK(!context_with(true, &i, NULL));
	OK(strstr(said, "authorities: no PEM certificate found"));
	i = identity_of(&server_leaf);
	i.revoked = SLICE_LIT("nonsense");
	OK(!context_with(true, &i, NULL));
	OK(strstr(said, "revocation list: no PEM list found"));
}

TEST(a_reader_that_is_full_loses_nothing)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	autobuf out = buf_new(1 << 20), little = buf_new(100);
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	uint8_t *p = buf_reserve(&out, 50000);
	for (size_t i = 0; i < 50000; i++)
		p[i] = (uint8_t)(i % 253);
	buf_commit(&out, 50000);
	OK(kf_ok(stream_write(k.client, &out)));
	EQ(out.n, 0);

	size_t got = 0;
	for (int i = 0; i < 2000 && got < 50000; i++) {
		OK(kf_ok(stream_read(k.server, &little)));
		for (size_t j = 0; j < little.n; j++, got++)
			OK(little.p[j] == (uint8_t)(got % 253));
		OK(got == 50000 || stream_has_more(k.server));
		stream_relax(k.server); /* what nobody has read yet stays */
		buf_clear(&little);
	}
	EQ(got, 50000);
	OK(!stream_has_more(k.server));
}

TEST(a_peer_that_does_not_read_bounds_what_we_keep)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	enum { MUCH = 4 << 20 };
	autobuf out = buf_new(MUCH);
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	memset(buf_reserve(&out, MUCH), 'x', MUCH);
	buf_commit(&out, MUCH);

	OK(kf_ok(stream_write(k.server, &out)));
	OK(stream_wants_write(k.server));
	size_t left = out.n;
	OK(left > MUCH / 2);
	OK(kf_ok(stream_write(k.server, &out)));
	EQ(out.n, left); /* nothing more is taken while the socket is full */

	size_t got = 0;
	autobuf in = buf_new(1 << 20);
	for (int i = 0; i < 10000 && got < MUCH; i++) {
		OK(kf_ok(stream_read(k.client, &in)));
		got += in.n;
		buf_clear(&in);
		OK(kf_ok(stream_write(k.server, &out)));
	}
	EQ(got, MUCH);
	OK(!stream_wants_write(k.server));
}

TEST(an_end_is_told_after_everything_before_it)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	autobuf out = buf_new(100), in = buf_new(100);
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	OK(kf_ok(transfer(&k, k.server, k.client, 1))); /* the ticket is read */
	buf_add_text(&out, "goodbye");
	OK(kf_ok(stream_write(k.client, &out)));
	stream_free(k.client);
	k.client = NULL;

	kf_err e = stream_read(k.server, &in);
	if (kf_ok(e))
		e = stream_read(k.server, &in);
	OK(kf_is(e, KF_E_CLOSED));
	MEMEQ(in.p, in.n, "goodbye");
}

TEST(a_cut_within_the_handshake_is_an_end)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	OK(kf_ok(open_link(&k, c, s, NULL)));
	OK(kf_ok(stream_handshake(k.client)));
	OK(kf_ok(stream_handshake(k.server)));
	stream_free(k.client);
	k.client = NULL;
	OK(kf_is(stream_handshake(k.server), KF_E_CLOSED));
	OK(strcmp(stream_why(k.server), "connection ended during the handshake") == 0);
}

/* Every byte of a burst is spoilt once: the record must be refused, never delivered. */
TEST(a_changed_byte_is_never_delivered)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	for (size_t at = 0; at < 40; at += 3) {
		autolink k = { 0 };
		uint8_t record[256];
		autobuf out = buf_new(100), in = buf_new(1000);
		OK(kf_ok(connect_both(&k, c, s, NULL)));
		buf_add_text(&out, "attack at dawn, retreat at dusk");
		OK(kf_ok(stream_write(k.client, &out)));
		ssize_t n = recv(stream_fd(k.server), record, sizeof(record), 0);
		OK(n > (ssize_t)at);
		record[at] ^= 1;
		OK(send(stream_fd(k.client), record, (size_t)n, 0) == n);
		shutdown(stream_fd(k.client), SHUT_WR);
		kf_err e = stream_read(k.server, &in);
		if (kf_ok(e)) /* a longer length waits for what never comes */
			e = stream_read(k.server, &in);
		OK(!kf_ok(e));
		EQ(in.n, 0);
	}
}

TEST(files_are_loaded_and_an_open_key_is_refused)
{
	char dir[] = "/tmp/kf-tls-XXXXXX", path[3][64];
	static const char *const file[] = { "server.pem", "server.key", "ca.pem" };
	make_pki();
	const struct buf *text[] = { &server_leaf.certificate, &server_leaf.key,
		&ca.pem };
	OK(mkdtemp(dir) != NULL);
	for (int i = 0; i < 3; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, file[i]);
		CLEANUP(mem_closep) int fd = open(path[i], O_CREAT | O_WRONLY, 0600);
		OK(write(fd, text[i]->p, text[i]->n) == (ssize_t)text[i]->n);
	}
	struct tls_files files = { path[0], path[1], path[2], NULL };
	struct tls_options o = { .is_server = true };
	autobuf why = buf_new(1024);
	autocontext *c = NULL;

	OK(kf_ok(tls_context_open(&o, &files, &why, &c)));
	chmod(path[1], 0644);
	OK(kf_is(tls_context_reopen(c, &files, &why), KF_E_DENIED));

	for (int i = 0; i < 3; i++)
		unlink(path[i]);
	rmdir(dir);
}

/* Passes on one byte after the other and lets the receiver look at each. */
static kf_err trickle(int from, int to, struct stream *s, struct buf *in)
{
	uint8_t byte;
	while (recv(from, &byte, 1, 0) == 1) {
		if (send(to, &byte, 1, 0) != 1)
			return kf_fail(IO, "relay");
		KF_TRY(stream_is_open(s) ? stream_read(s, in) : stream_handshake(s));
	}
	return KF_OK;
}

TEST(a_handshake_and_data_may_come_byte_by_byte)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { .in = buf_new(1000) };
	autobuf out = buf_new(1000);
	int a[2], b[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a) == 0);
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b) == 0);
	OK(kf_ok(tls_connect(c, a[0], NULL, pad, &k.client)));
	OK(kf_ok(tls_accept(s, b[0], pad, &k.server)));
	CLEANUP(mem_closep) int relay_a = a[1], relay_b = b[1];

	OK(kf_ok(stream_handshake(k.client)));
	for (int i = 0; i < 4; i++) {
		OK(kf_ok(trickle(relay_a, relay_b, k.server, &k.in)));
		OK(kf_ok(trickle(relay_b, relay_a, k.client, &k.in)));
	}
	OK(stream_is_open(k.server) && stream_is_open(k.client));
	buf_add_text(&out, "drop by drop");
	OK(kf_ok(stream_write(k.client, &out)));
	OK(kf_ok(trickle(relay_a, relay_b, k.server, &k.in)));
	MEMEQ(k.in.p, k.in.n, "drop by drop");
}

/* A client limited to TLS 1.2, of plain OpenSSL; the session of one run is for the next. */
static int connect_1_2(struct tls_context *s, SSL_CTX *ctx, SSL_SESSION **session)
{
	struct stream *server = NULL;
	struct tls_peer p = { .is_resumed = false };
	int fd[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0 ||
		!kf_ok(tls_accept(s, fd[1], pad, &server)))
		return -1;
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd[0]);
	if (*session)
		SSL_set_session(ssl, *session);
	SSL_SESSION_free(*session);
	kf_err e = KF_OK;
	for (int i = 0; i < 10 && kf_ok(e); i++) {
		SSL_connect(ssl);
		e = stream_handshake(server);
	}
	bool is_fine = kf_ok(e) && kf_ok(tls_get_peer(server, &p)) &&
		       strcmp(p.common_name, "web 1") == 0 &&
		       strcmp(tls_version(server), "TLSv1.2") == 0;
	*session = SSL_get1_session(ssl);
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN);
	SSL_free(ssl);
	close(fd[0]);
	stream_free(server);
	return is_fine ? p.is_resumed : -1;
}

TEST(tls_1_2_is_resumed_with_the_same_peer_too)
{
	autocontext *s = context(true, &server_leaf);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *b = BIO_new_mem_buf(
		client_leaf.certificate.p, (int)client_leaf.certificate.n);
	BIO *kb = BIO_new_mem_buf(client_leaf.key.p, (int)client_leaf.key.n);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);
	SSL_SESSION *session = NULL;
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);

	int first = connect_1_2(s, ctx, &session), second = connect_1_2(s, ctx, &session);

	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(b);
	BIO_free(kb);
	EQ(first, 0);
	EQ(second, 1);
}

/* Bytes a pair of streams takes after so many requests and answers: both ends live here. */
static void measure(int requests, bool is_resting, size_t *ret)
{
	enum { PAIRS = 40 };
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	static struct link k[PAIRS];
	OK(kf_ok(connect_both(&k[0], c, s, NULL)) &&
		kf_ok(transfer(&k[0], k[0].server, k[0].client, 9)));
	size_t before = mallinfo2().uordblks;
	for (int i = 1; i < PAIRS; i++) {
		OK(kf_ok(connect_both(&k[i], c, s, NULL)));
		for (int n = 0; n < requests; n++) {
			OK(kf_ok(transfer(&k[i], k[i].client, k[i].server, 300)));
			OK(kf_ok(transfer(&k[i], k[i].server, k[i].client, 450)));
		}
		if (is_resting) {
			stream_relax(k[i].client);
			stream_relax(k[i].server);
		}
		buf_free(&k[i].in);
	}
	*ret = (mallinfo2().uordblks - before) / (PAIRS - 1);
	printf("# %zu bytes a pair of streams\n", *ret);
	for (int i = 0; i < PAIRS; i++)
		link_free(&k[i]);
}

TEST(idle_streams_are_small)
{
	size_t each = SIZE_MAX;
	measure(2, false, &each);
	OK(each < 2 * 24 * 1024);
}

TEST(busy_streams_are_small_again_when_they_rest)
{
	size_t busy = 0, resting = SIZE_MAX;
	measure(40, false, &busy);
	measure(40, true, &resting);
	OK(busy == 0 || busy > 2 * 40 * 1024); /* sanitizers do not count */
	OK(resting < 2 * 24 * 1024);
}

TEST(a_stream_that_rested_goes_on)
{
	autocontext *s = context(true, &server_leaf), *c = context(false, &client_leaf);
	autolink k = { 0 };
	OK(kf_ok(connect_both(&k, c, s, NULL)));
	for (int i = 0; i < 100; i++) {
		OK(kf_ok(transfer(&k, k.client, k.server, 300)));
		OK(kf_ok(transfer(&k, k.server, k.client, 20000)));
		if (i % 30 == 0)
			stream_relax(k.server);
	}
}
TEST_MAIN
