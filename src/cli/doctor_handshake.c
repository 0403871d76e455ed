/* SPDX-License-Identifier: Apache-2.0
 *
 * A real TLS handshake with each key reference, in memory, through the real provider and agent, and where
 * its time goes.
 *
 * A child makes it, as the user whom the web server's workers run as: the agent decides by that.  Like
 * the server's master it loads the reference first and gives up root then.
 */
#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/doctor_log.h"
#include <grp.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ROUNDS = 5,
	HANDSHAKES_MAX = 64,
	STEPS_MAX = 64,
	PATIENCE_S = 30,
	SLOW_PART = 2,
	LATE_MAX = 3
};

/* What comes back from the child, through a pipe. */
struct outcome {
	bool is_done;
	double total_ms, key_ms; /* of the quickest handshake */
	char version[16], why[512];
};

struct trial {
	const struct doctor_ref *ref;
	OSSL_LIB_CTX *lib;
	SSL_CTX *server_ctx, *client_ctx;
	SSL *server, *client;
	struct outcome out;
};

static double ms_since(uint64_t start)
{
	return (double)(clock_monotonic_ns() - start) / 1e6;
}

/* Our provider's error before others: those of libssl are its consequences. */
static void take_errors(struct trial *t, const char *otherwise)
{
	const char *data;
	int flags;
	unsigned long e;
	char text[256];
	bool is_ours = false;
	while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags))) {
		if (is_ours)
			continue;
		ERR_error_string_n(e, text, sizeof(text));
		is_ours = strstr(text, ":keyfleet:") != NULL;
		if (is_ours || !t->out.why[0])
			snprintf(t->out.why, sizeof(t->out.why), "%s:%.200s", text,
				flags & ERR_TXT_STRING ? data : "");
	}
	if (!t->out.why[0])
		snprintf(t->out.why, sizeof(t->out.why), "%s", otherwise);
}

/* ---- like the server's master ---- */

static void set(const char *name, const char *value)
{
	if (*value)
		setenv(name, value, 1);
}

static bool load_by_keywords(struct trial *t)
{
	const struct doctor_web *w = t->ref->web;
	const struct site_fact *path = site_fact(&w->site, SITE_PROVIDER_PATH);
	char real[DOCTOR_PATH];
	set("KEYFLEET_AGENT_SOCKET", w->agent_socket);
	set("KEYFLEET_AGENT_UID", doctor_number(w->agent_uid).text);
	set("KEYFLEET_DEADLINE_MS", doctor_number(w->deadline_ms).text);
	if (path && !doctor_may_load(path->value.text, real))
		return false;
	if (path)
		OSSL_PROVIDER_set_default_search_path(t->lib, real);
	return OSSL_PROVIDER_load(t->lib, "default") &&
	       OSSL_PROVIDER_load(t->lib, "keyfleet");
}

static bool load_provider(struct trial *t)
{
	const struct doctor_web *w = t->ref->web;
	char real[DOCTOR_PATH];
	t->lib = OSSL_LIB_CTX_new();
	if (!t->lib)
		return false;
	if (w->openssl.keyfleet.named)
		return doctor_may_load(w->openssl_path, real) &&
		       OSSL_LIB_CTX_load_config(t->lib, real) == 1;
	return load_by_keywords(t);
}

static bool load_pair(struct trial *t)
{
	const struct site_pair *p = t->ref->pair;
	t->server_ctx = SSL_CTX_new_ex(t->lib, NULL, TLS_server_method());
	t->client_ctx = SSL_CTX_new(TLS_client_method());
	if (!t->server_ctx || !t->client_ctx)
		return false;
	SSL_CTX_set_num_tickets(t->server_ctx, 0);
	return SSL_CTX_use_certificate_chain_file(t->server_ctx, p->certificate.text) ==
		       1 &&
	       SSL_CTX_use_PrivateKey_file(
		       t->server_ctx, p->key.text, SSL_FILETYPE_PEM) == 1;
}

/* Without root we stay who we are. */
static bool become_worker(const struct doctor_web *w)
{
	const struct passwd *p = getpwuid(w->uid);
	if (geteuid() || w->uid == 0)
		return true;
	if (p ? initgroups(p->pw_name, w->gid) : setgroups(0, NULL))
		return false;
	return !setgid(w->gid) && !setuid(w->uid);
}

/* ---- the handshake ---- */

static bool make_ends(struct trial *t)
{
	BIO *server, *client;
	t->server = SSL_new(t->server_ctx);
	t->client = SSL_new(t->client_ctx);
	if (!t->server || !t->client || BIO_new_bio_pair(&server, 0, &client, 0) != 1)
		return false;
	SSL_set_bio(t->server, server, server);
	SSL_set_bio(t->client, client, client);
	SSL_set_accept_state(t->server);
	SSL_set_connect_state(t->client);
	return true;
}

static bool want_more(SSL *ssl, int rc)
{
	int error = SSL_get_error(ssl, rc);
	return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ ||
	       error == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(struct trial *t)
{
	for (int step = 0; step < STEPS_MAX; step++) {
		int client = SSL_do_handshake(t->client);
		if (client != 1 && !want_more(t->client, client))
			return false;
		int server = SSL_do_handshake(t->server);
		if (server != 1 && !want_more(t->server, server))
			return false;
		if (client == 1 && server == 1)
			return true;
	}
	return false;
}

static bool one_round(struct trial *t, bool is_first)
{
	ERR_clear_error();
	uint64_t start = clock_monotonic_ns();
	bool is_done = make_ends(t) && shake_hands(t);
	double ms = ms_since(start);
	if (is_done && (is_first || ms < t->out.total_ms)) {
		t->out.total_ms = ms;
		snprintf(t->out.version, sizeof(t->out.version), "%s",
			SSL_get_version(t->server));
	}
	if (!is_done)
		take_errors(t, "the handshake came to no end");
	SSL_free(t->server);
	SSL_free(t->client);
	return is_done;
}

/* ---- the key operation by itself ---- */

/* What a server signs in TLS 1.3 (RFC 8446 4.4.3): a grant for TLS alone allows it. */
static const char certificate_verify[] =
	"                                                                "
	"TLS 1.3, server CertificateVerify\0"
	"0123456789abcdef0123456789abcdef";

static const char *digest_of(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "ED25519"))
		return NULL;
	int bits = EVP_PKEY_is_a(key, "EC") ? EVP_PKEY_get_bits(key) : 256;
	return bits > 384 ? "SHA512" : bits > 256 ? "SHA384" : "SHA256";
}

static bool sign_once(const struct trial *t, EVP_PKEY *key, double *ret_ms)
{
	unsigned char signature[1024];
	size_t n = sizeof(signature);
	EVP_PKEY_CTX *ctx = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint64_t start = clock_monotonic_ns();
	bool ok = md && EVP_DigestSignInit_ex(
				md, &ctx, digest_of(key), t->lib, NULL, key, NULL) == 1;
	if (ok && EVP_PKEY_is_a(key, "RSA"))
		ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	ok = ok &&
	     EVP_DigestSign(md, signature, &n, (const unsigned char *)certificate_verify,
		     sizeof(certificate_verify) - 1) == 1;
	*ret_ms = ms_since(start);
	EVP_MD_CTX_free(md);
	return ok;
}

static void time_signature(struct trial *t)
{
	EVP_PKEY *key = SSL_CTX_get0_privatekey(t->server_ctx);
	for (int i = 0; i < ROUNDS; i++) {
		double ms;
		if (!key || !sign_once(t, key, &ms))
			return;
		if (t->out.key_ms <= 0 || ms < t->out.key_ms)
			t->out.key_ms = ms;
	}
}

static void try_it(struct trial *t)
{
	ERR_clear_error();
	if (!load_provider(t) || !load_pair(t)) {
		take_errors(t, "certificate and reference cannot be loaded");
		return;
	}
	if (!become_worker(t->ref->web)) {
		snprintf(t->out.why, sizeof(t->out.why), "cannot become uid %u",
			t->ref->web->uid);
		return;
	}
	for (int i = 0; i < ROUNDS; i++)
		if (!one_round(t, i == 0))
			return;
	time_signature(t);
	t->out.is_done = true;
}

/* The child leaves without a farewell: what it has is its parent's, too. */
static void run_child(const struct doctor_ref *ref, int to)
{
	struct trial t = { .ref = ref };
	alarm(PATIENCE_S);
	try_it(&t);
	ssize_t n = write(to, &t.out, sizeof(t.out));
	_exit(n == (ssize_t)sizeof(t.out) ? 0 : 1);
}

static struct outcome run(const struct doctor_ref *ref)
{
	struct outcome out = { .why = "the trial ended without a word" };
	int pipes[2];
	if (pipe(pipes))
		return out;
	pid_t child = fork();
	if (child == 0)
		run_child(ref, pipes[1]);
	close(pipes[1]);
	struct outcome got;
	if (child > 0 && read(pipes[0], &got, sizeof(got)) == (ssize_t)sizeof(got))
		out = got;
	close(pipes[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return out;
}

/* ---- what is told ---- */

static const char *remedy_of(const char *why)
{
	const struct log_text *text = log_explain(slice_of(why));
	return text ? text->remedy
		    : "the findings above; keyfleet doctor --log FILE "
		      "explains the server's own log";
}

static void add_stage(
	struct doctor *d, const char *of, const char *name, double ms, const char *how)
{
	char room[DOCTOR_PATH];
	snprintf(room, sizeof(room), "%s", of);
	doctor_stage(d, &(struct stage){ room, name, ms, how });
}

/* What is measured is called so; the key server's own part is what is left. */
static void tell_stages(struct doctor *d, const char *of, const struct outcome *o)
{
	add_stage(d, of, "handshake, both ends", o->total_ms,
		"measured: in memory, the quickest of five");
	add_stage(d, of, "  key operation", o->key_ms,
		"measured: a signature alone, the quickest of five");
	if (d->agent_ms > 0)
		add_stage(d, of, "    provider, agent and back", d->agent_ms,
			"measured: a request that the agent refuses itself");
	if (d->network_ms > 0)
		add_stage(d, of, "    network and key server's front", d->network_ms,
			"measured: a KMIP Query over TLS, the nearest server");
	double rest = o->key_ms - d->agent_ms - d->network_ms;
	if (d->agent_ms > 0 && d->network_ms > 0)
		add_stage(d, of, "    queue, audit record, signature",
			rest > 0 ? rest : 0, "inferred: what is left");
	rest = o->total_ms - o->key_ms;
	add_stage(d, of, "  TLS itself", rest > 0 ? rest : 0,
		"inferred: handshake without the key operation");
}

static void tell(struct doctor *d, const struct doctor_ref *ref, const struct outcome *o)
{
	const struct site_value *v = &ref->pair->key;
	const struct doctor_place at = doctor_at(v->file ? v->file : v->text, v->line);
	const struct passwd *p = geteuid() ? NULL : getpwuid(ref->web->uid);
	const struct doctor_number ms = doctor_number((int64_t)o->key_ms),
				   deadline = doctor_number(ref->web->deadline_ms);
	if (!o->is_done) {
		doctor_tell(d, HANDSHAKE, at.text, v->text, p ? p->pw_name : "this user",
			o->why, remedy_of(o->why));
		return;
	}
	doctor_fine(d, CHECK_HANDSHAKE, at.text);
	if (o->key_ms * SLOW_PART > (double)ref->web->deadline_ms)
		doctor_tell(d, HANDSHAKE_SLOW, at.text, ms.text, deadline.text);
	tell_stages(d, v->text, o);
}

void doctor_handshakes(struct doctor *d, struct doctor_web *w)
{
	size_t tried = 0, late = 0;
	if (w->agent_is_away) {
		doctor_unseen(d, CHECK_HANDSHAKE, w->site.file, "not without the agent");
		return;
	}
	for (size_t i = 0; i < d->n_refs; i++) {
		if (d->refs[i].web != w || !w->has_provider || !w->may_load)
			continue;
		if (++tried > HANDSHAKES_MAX || late == LATE_MAX) {
			doctor_unseen(d, CHECK_HANDSHAKE, w->site.file,
				late == LATE_MAX ? "three were so slow that the others "
						   "were left out"
						 : "the first 64 references were tried, "
						   "not the others");
			return;
		}
		uint64_t start = clock_monotonic_ns();
		const struct outcome o = run(&d->refs[i]);
		tell(d, &d->refs[i], &o);
		late += clock_monotonic_ns() - start > DOCTOR_LATE_NS;
	}
}
