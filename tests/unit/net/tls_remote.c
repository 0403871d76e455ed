/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"
#include "net/tls.h"
#include "pki.h"
#include "test.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The signer: what it is asked for it keeps, until the test lets it sign. */
enum { ASKED_MAX = 8 };

struct signer {
	struct tls_remote remote;
	EVP_PKEY *key;
	struct tls_signing *asked[ASKED_MAX];
	size_t n;
	unsigned found, released, forgotten, cancelled;
	bool refuses, takes_back, refuses_to_find;
};

struct rig {
	struct pki_ca ca;
	struct pki_leaf server_leaf, client_leaf;
	struct signer signer;
	struct stream_pad *pad;
	struct loop *loop;
	struct tls_context *server, *client;
	unsigned woken;
	char said[256];
};

static kf_err find(void *arg, const char *name, struct slice spki, void **ret)
{
	struct signer *s = arg;
	if (s->refuses_to_find || strcmp(name, "here") != 0 || spki.n < 50)
		return kf_fail(NOT_FOUND, "nobody has it");
	s->found++;
	*ret = s;
	return KF_OK;
}

static kf_err sign(void *key, struct tls_signing *g)
{
	struct signer *s = key;
	if (s->refuses || s->n == ASKED_MAX || *(uint64_t *)g->job)
		return kf_fail(BUSY, "the signer is busy");
	s->asked[s->n++] = g;
	return KF_OK;
}

static bool cancel(void *key, struct tls_signing *g)
{
	struct signer *s = key;
	(void)g;
	s->cancelled++;
	return s->takes_back;
}

static struct rig *forgets;
static void forget(struct tls_signing *g)
{
	(void)g;
	forgets->signer.forgotten++;
}

static void release(void *key) { ((struct signer *)key)->released++; }

static void make_signature(struct signer *s, size_t i)
{
	struct tls_signing *g = s->asked[i];
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(s->key, NULL);
	g->sig_n = sizeof(g->sig);
	bool is_done = c && EVP_PKEY_sign_init(c) == 1 &&
		       EVP_PKEY_sign(c, g->sig, &g->sig_n, g->digest, g->n) == 1;
	EVP_PKEY_CTX_free(c);
	g->err = is_done ? KF_OK : kf_fail(CRYPTO, "signature of the test");
	tls_signed(g);
}

static void woken(void *arg) { ++*(unsigned *)arg; }

static void rig_free(struct rig *r)
{
	tls_context_free(r->server);
	tls_context_free(r->client);
	loop_free(r->loop);
	stream_pad_free(r->pad);
	EVP_PKEY_free(r->signer.key);
	pki_leaf_free(&r->server_leaf);
	pki_leaf_free(&r->client_leaf);
	pki_ca_free(&r->ca);
}
#define autorig CLEANUP(rig_free) struct rig

static kf_err rig_open(struct rig *r, bool refuses_to_find)
{
	autobuf why = buf_new(sizeof(r->said) - 1);
	struct loop_options lo = { 0 };
	*r = (struct rig){ .ca = pki_ca_new("authority") };
	forgets = r;
	r->server_leaf = pki_issue(&r->ca, "server", "serverAuth", "IP:127.0.0.1", 3600);
	r->client_leaf = pki_issue(&r->ca, "web", "clientAuth", NULL, 3600);
	r->signer.refuses_to_find = refuses_to_find;
	r->signer.remote = (struct tls_remote){ "far:", 64, find, sign, cancel, forget,
		release, &r->signer };
	BIO *b = BIO_new_mem_buf(r->server_leaf.key.p, (int)r->server_leaf.key.n);
	r->signer.key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	struct tls_options so = { .is_server = true, .remote = &r->signer.remote },
			   co = { 0 };
	struct tls_identity si = { buf_slice(&r->server_leaf.certificate),
		slice_of("far:here"), buf_slice(&r->ca.pem), { 0 } };
	struct tls_identity ci = { buf_slice(&r->client_leaf.certificate),
		buf_slice(&r->client_leaf.key), buf_slice(&r->ca.pem), { 0 } };
	KF_TRY(loop_new(&lo, &r->loop));
	KF_TRY(stream_pad_new(&r->pad));
	KF_TRY(tls_context_new(&co, &ci, &why, &r->client));
	kf_err e = tls_context_new(&so, &si, &why, &r->server);
	memcpy(r->said, why.p ? why.p : (const uint8_t *)"", why.n);
	return e;
}

struct link {
	struct stream *client, *server;
};

static void link_free(struct link *k)
{
	stream_free(k->client);
	stream_free(k->server);
}
#define autolink CLEANUP(link_free) struct link

/* To where the server has to sign; the error is the server's. */
static kf_err greet(struct rig *r, struct link *k)
{
	int fd[2];
	*k = (struct link){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return kf_fail(IO, "socketpair");
	KF_TRY(tls_connect(r->client, fd[0], NULL, r->pad, &k->client));
	KF_TRY(tls_accept(r->server, fd[1], r->pad, &k->server));
	tls_wake_on(
		k->server, &(struct tls_waker){ loop_post, r->loop, woken, &r->woken });
	KF_TRY(stream_handshake(k->client));
	return stream_handshake(k->server);
}

static kf_err finish(struct link *k)
{
	for (int i = 0; i < 5; i++) {
		KF_TRY(stream_handshake(k->server));
		KF_TRY(stream_handshake(k->client));
	}
	return stream_is_open(k->client) && stream_is_open(k->server)
		       ? KF_OK
		       : kf_fail(TIMEOUT, "handshake does not end");
}

static kf_err deliver(struct rig *r) { return loop_round(r->loop, 0); }

TEST(a_handshake_waits_for_its_signature_and_others_go_on)
{
	autorig r;
	autolink first = { 0 }, second = { 0 };
	OK(kf_ok(rig_open(&r, false)));
	OK(kf_ok(greet(&r, &first)) && stream_is_waiting(first.server));
	OK(kf_ok(greet(&r, &second)) && stream_is_waiting(second.server));
	OK(kf_ok(stream_handshake(first.server)) && stream_is_waiting(first.server));
	OK(r.signer.n == 2 && r.woken == 0);
	make_signature(&r.signer, 1);
	OK(kf_ok(deliver(&r)) && r.woken == 1);
	OK(stream_is_waiting(first.server) && !stream_is_waiting(second.server));
	OK(kf_ok(finish(&second)));
	make_signature(&r.signer, 0);
	OK(kf_ok(deliver(&r)) && r.woken == 2);
	OK(kf_ok(finish(&first)));
	OK(r.signer.forgotten == 2 && r.signer.n == 2);
}

TEST(a_signer_that_refuses_or_fails_is_the_reason)
{
	autorig r;
	autolink first = { 0 }, second = { 0 };
	OK(kf_ok(rig_open(&r, false)));
	r.signer.refuses = true;
	OK(kf_is(greet(&r, &first), KF_E_UNAVAILABLE));
	OK(!strcmp(stream_why(first.server), "the signer is busy"));
	OK(stream_fault(first.server) == STREAM_KEY_AWAY);
	OK(r.signer.forgotten == 0);
	r.signer.refuses = false;
	OK(kf_ok(greet(&r, &second)) && r.signer.n == 1);
	r.signer.asked[0]->err = kf_fail(TOKEN, "the token was pulled");
	tls_signed(r.signer.asked[0]);
	OK(kf_ok(deliver(&r)));
	OK(kf_is(stream_handshake(second.server), KF_E_UNAVAILABLE));
	OK(!strcmp(stream_why(second.server), "the token was pulled"));
	OK(r.signer.forgotten == 1);
}

TEST(a_stream_freed_while_it_waits_takes_its_job_along)
{
	autorig r;
	OK(kf_ok(rig_open(&r, false)));
	r.signer.takes_back = true;
	{
		autolink k = { 0 };
		OK(kf_ok(greet(&r, &k)) && stream_is_waiting(k.server));
	}
	OK(r.signer.cancelled == 1 && r.signer.forgotten == 1);
}

TEST(a_signature_that_comes_for_nobody_is_forgotten)
{
	autorig r;
	OK(kf_ok(rig_open(&r, false)));
	{
		autolink k = { 0 };
		OK(kf_ok(greet(&r, &k)) && stream_is_waiting(k.server));
	}
	OK(r.signer.cancelled == 1 && r.signer.forgotten == 0);
	make_signature(&r.signer, 0);
	OK(kf_ok(deliver(&r)));
	OK(r.woken == 0 && r.signer.forgotten == 1);
}

TEST(a_signature_delivered_to_a_stream_that_ends_is_forgotten)
{
	autorig r;
	OK(kf_ok(rig_open(&r, false)));
	{
		autolink k = { 0 };
		OK(kf_ok(greet(&r, &k)));
		make_signature(&r.signer, 0);
		OK(kf_ok(deliver(&r)) && r.woken == 1);
	}
	OK(r.signer.cancelled == 0 && r.signer.forgotten == 1);
}

TEST(nobody_waits_without_a_loop)
{
	autorig r;
	int fd[2];
	autolink k = { 0 };
	OK(kf_ok(rig_open(&r, false)));
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	OK(kf_ok(tls_connect(r.client, fd[0], NULL, r.pad, &k.client)));
	OK(kf_ok(tls_accept(r.server, fd[1], r.pad, &k.server)));
	OK(kf_ok(stream_handshake(k.client)));
	OK(!kf_ok(stream_handshake(k.server)));
	OK(r.signer.n == 0);
}

TEST(a_key_that_is_not_found_is_no_identity)
{
	autorig r;
	OK(kf_is(rig_open(&r, true), KF_E_CONFIG));
	OK(strstr(r.said, "far:here: nobody has it") != NULL);
}

TEST(a_reload_lets_the_old_key_go)
{
	autorig r;
	autolink k = { 0 };
	autobuf why = buf_new(1024);
	OK(kf_ok(rig_open(&r, false)));
	struct tls_identity i = { buf_slice(&r.server_leaf.certificate),
		buf_slice(&r.server_leaf.key), buf_slice(&r.ca.pem), { 0 } };
	OK(kf_ok(greet(&r, &k)));
	OK(kf_ok(tls_context_reload(r.server, &i, &why)));
	OK(r.signer.found == 1 && r.signer.released == 0);
	make_signature(&r.signer, 0);
	OK(kf_ok(deliver(&r)) && kf_ok(finish(&k)));
	link_free(&k);
	OK(r.signer.released == 1);
	k = (struct link){ 0 };
	OK(kf_ok(greet(&r, &k)) && kf_ok(finish(&k)) && r.signer.n == 1);
}

TEST_MAIN
