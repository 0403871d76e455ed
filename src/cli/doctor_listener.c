/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes with the server that runs, as a visitor makes them: by the address and the name of the
 * configuration.
 */
#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "cli/doctor_log.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENERS_MAX = 64, TIMEOUT_S = 10, LATE_MAX = 3 };

struct visit {
	const struct site_value *listen;
	char name[256]; /* SNI; "" without one */
	int fd;
	SSL_CTX *context;
	SSL *ssl;
	double ms;
	char why[256], version[16];
};

/* "*:443" and "443" are all addresses of this host: the loopback one is as good as any. */
static bool split(const char *listen, char host[256], char port[16])
{
	const char *colon = strrchr(listen, ':');
	const char *digits = colon ? colon + 1 : listen;
	size_t n = colon ? (size_t)(colon - listen) : 0;
	if (!strncmp(listen, "unix:", 5) || strchr(listen, '@') || !*digits ||
		strspn(digits, "0123456789") != strlen(digits))
		return false;
	if (n > 2 && listen[0] == '[')
		snprintf(host, 256, "%.*s", (int)n - 2, listen + 1);
	else
		snprintf(host, 256, "%.*s", (int)n, listen);
	if (!*host || !strcmp(host, "*") || !strcmp(host, "0.0.0.0"))
		strcpy(host, "127.0.0.1");
	if (!strcmp(host, "::"))
		strcpy(host, "::1");
	snprintf(port, 16, "%s", digits);
	return true;
}

static bool dial(struct visit *v, const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const struct timeval patience = { .tv_sec = TIMEOUT_S };
	struct addrinfo *all = NULL;
	int error = getaddrinfo(host, port, &hints, &all);
	if (error) {
		snprintf(v->why, sizeof(v->why), "%s", gai_strerror(error));
		return false;
	}
	v->fd = socket(all->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (v->fd < 0)
		error = errno;
	setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(v->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!error && connect(v->fd, all->ai_addr, all->ai_addrlen))
		error = errno;
	freeaddrinfo(all);
	if (error)
		snprintf(v->why, sizeof(v->why), "nobody accepts connections: %s",
			strerror(error));
	return !error;
}

static bool introduce(struct visit *v)
{
	const char *text = site_introduction(v->listen->opening);
	snprintf(v->why, sizeof(v->why), "the server closed the connection");
	return send(v->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool shake_hands(struct visit *v)
{
	uint64_t start = clock_monotonic_ns();
	v->context = SSL_CTX_new(TLS_client_method());
	if (!v->context)
		return false;
	SSL_CTX_set_min_proto_version(v->context, 0);
	v->ssl = SSL_new(v->context);
	SSL_set_fd(v->ssl, v->fd);
	if (v->name[0])
		SSL_set_tlsext_host_name(v->ssl, v->name);
	ERR_clear_error();
	int rc = SSL_connect(v->ssl);
	v->ms = (double)(clock_monotonic_ns() - start) / 1e6;
	snprintf(v->version, sizeof(v->version), "%s", SSL_get_version(v->ssl));
	const char *text = ERR_reason_error_string(ERR_peek_error());
	if (rc != 1)
		snprintf(v->why, sizeof(v->why), "the TLS handshake fails: %s",
			text ? text : "the server closed the connection");
	ERR_clear_error();
	return rc == 1;
}

static void leave(struct visit *v)
{
	SSL_free(v->ssl);
	SSL_CTX_free(v->context);
	if (v->fd >= 0)
		close(v->fd);
}

/* ---- does it serve what is configured? ---- */

static bool listens_there(const struct site_pair *p, const struct visit *v)
{
	for (size_t i = 0; i < p->listens.n; i++)
		if (!strcmp(p->listens.item[i].text, v->listen->text))
			return true;
	return false;
}

static bool is_of_pair(const struct site_pair *p, X509 *shown)
{
	const char *why;
	X509 *x =
		p->certificate.text ? doctor_cert_open(p->certificate.text, &why) : NULL;
	bool is_same = x && X509_cmp(x, shown) == 0;
	X509_free(x);
	return is_same;
}

/* Two pairs of one server serve RSA and ECDSA: any of them will do, the first is tried first. */
static bool serves_a_pair(
	const struct doctor_web *w, const struct visit *v, const struct site_pair *first)
{
	X509 *shown = SSL_get0_peer_certificate(v->ssl);
	if (shown && is_of_pair(first, shown))
		return true;
	for (size_t i = 0; shown && i < w->site.n_pairs; i++)
		if (listens_there(&w->site.pairs[i], v) &&
			is_of_pair(&w->site.pairs[i], shown))
			return true;
	return false;
}

static bool is_modern(const char *version)
{
	return !strcmp(version, "TLSv1.2") || !strcmp(version, "TLSv1.3");
}

static void judge(struct doctor *d, const struct doctor_web *w, const struct visit *v,
	const struct site_pair *p)
{
	const struct doctor_place at = doctor_at(v->listen->file, v->listen->line);
	const char *name = v->name[0] ? v->name : "none", *listen = v->listen->text;
	char of[512];
	doctor_fine(d, CHECK_LISTENER, at.text);
	if (is_modern(v->version))
		doctor_fine(d, CHECK_LISTENER_VERSION, at.text);
	else
		doctor_tell(d, LISTENER_VERSION, at.text, listen, name, v->version,
			w->site.file);
	if (serves_a_pair(w, v, p))
		doctor_fine(d, CHECK_LISTENER_SERVES, at.text);
	else
		doctor_tell(d, LISTENER_SERVES, at.text, listen, name,
			p->certificate.text, doctor_service(w->site.kind));
	snprintf(of, sizeof(of), "%.200s (SNI %.200s)", listen, name);
	doctor_stage(d, &(struct stage){ of, "handshake with the running server", v->ms,
				"measured: as a visitor on this host" });
}

/* The first one that a visitor can reach by TCP. */
static const struct site_value *choose_listen(
	const struct site_pair *p, char host[256], char port[16])
{
	for (size_t i = 0; i < p->listens.n; i++)
		if (split(p->listens.item[i].text, host, port))
			return &p->listens.item[i];
	return NULL;
}

static void visit(struct doctor *d, const struct doctor_web *w, const struct site_pair *p)
{
	char host[256], port[16];
	struct visit v = { .fd = -1, .listen = choose_listen(p, host, port) };
	if (!v.listen)
		return;
	snprintf(v.name, sizeof(v.name), "%s", v.listen->name ? v.listen->name : "");
	const struct doctor_place at = doctor_at(v.listen->file, v.listen->line);
	if (!site_introduction(v.listen->opening))
		doctor_unseen(d, CHECK_LISTENER, at.text,
			"it speaks another protocol before TLS");
	else if (dial(&v, host, port) && introduce(&v) && shake_hands(&v))
		judge(d, w, &v, p);
	else
		doctor_tell(d, LISTENER, at.text, v.listen->text,
			v.name[0] ? v.name : "none", v.why,
			"keyfleet doctor --log LOGFILE explains what the server says");
	leave(&v);
}

static bool has_reference(
	const struct doctor *d, const struct doctor_web *w, const struct site_pair *p)
{
	for (size_t i = 0; i < d->n_refs; i++)
		if (d->refs[i].web == w && d->refs[i].pair == p)
			return true;
	return false;
}

void doctor_listeners(struct doctor *d, struct doctor_web *w)
{
	size_t visited = 0, late = 0;
	if (w->agent_is_away) {
		doctor_unseen(d, CHECK_LISTENER, w->site.file, "not without the agent");
		return;
	}
	for (size_t i = 0; w->pid && i < w->site.n_pairs && late < LATE_MAX; i++) {
		const struct site_pair *p = &w->site.pairs[i];
		uint64_t start = clock_monotonic_ns();
		if (p->listens.n && has_reference(d, w, p) && visited++ < LISTENERS_MAX)
			visit(d, w, p);
		late += clock_monotonic_ns() - start > DOCTOR_LATE_NS;
	}
	if (late == LATE_MAX)
		doctor_unseen(d, CHECK_LISTENER, w->site.file,
			"three were so slow that the others were left out");
}
