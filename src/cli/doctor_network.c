/* SPDX-License-Identifier: Apache-2.0
 *
 * The way from this host to each key server, and whether this host's keys may be used at its end.
 */
#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "cli/doctor_wire.h"
#include "kmip/get_attributes.h"
#include "kmip/query.h"
#include "net/tls.h"
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PINGS = 5, SKEW_MAX_S = 10, LOAD_HIGH = 9000 };

struct way {
	struct doctor *d;
	const char *path, *server; /* of the configuration; "ks1:5696" */
	struct doctor_place at;
	struct wire wire;
	char client[128]; /* our name in the certificate */
};

/* Not there is another matter than not for us, or for the unit alone. */
static bool is_hidden(const char *path)
{
	return path &&
	       (doctor_is_credential(path) || (access(path, R_OK) && errno == EACCES));
}

/* ---- who we are ---- */

static struct doctor_place at_option(const struct doctor *d, const char *key)
{
	const struct doctor_option *o = doctor_conf_find(&d->agent_conf, "client", key);
	return doctor_at(d->agent_conf.path, o ? o->line : 0);
}

static void check_our_dates(struct doctor *d, const X509 *x, const char *name)
{
	const char *path = d->servers.certificate;
	const struct doctor_place at = at_option(d, "certificate");
	const struct doctor_dates dates = doctor_dates(x);
	if (dates.validity == CERT_SOON)
		doctor_tell(d, CLIENT_EXPIRES, at.text, path, dates.date, name);
	else if (dates.validity == CERT_FINE)
		doctor_fine(d, CHECK_CLIENT_VALID, at.text);
	else
		doctor_tell(d, CLIENT_VALID, at.text, path, dates.word, dates.date, name);
}

static void check_our_key(struct doctor *d, const X509 *x)
{
	const char *why = NULL, *path = d->servers.key;
	const struct doctor_place at = at_option(d, "key");
	EVP_PKEY *key = doctor_key_open(path, &why);
	if (!key)
		doctor_unseen(d, CHECK_CLIENT_PAIR, path, why);
	else if (EVP_PKEY_eq(key, X509_get0_pubkey(x)) == 1)
		doctor_fine(d, CHECK_CLIENT_PAIR, at.text);
	else
		doctor_tell(d, CLIENT_PAIR, at.text, path, d->servers.certificate);
	EVP_PKEY_free(key);
}

static void check_identity(struct doctor *d, char *ret_name, size_t size)
{
	const char *why = NULL, *path = d->servers.certificate;
	const struct doctor_place at = at_option(d, "certificate");
	X509 *x = doctor_cert_open(path, &why);
	snprintf(ret_name, size, "NAME");
	if (!x && is_hidden(path)) {
		doctor_unseen(d, CHECK_CLIENT_VALID, path, why);
		return;
	}
	if (!x) {
		doctor_tell(d, CLIENT_FILES, at.text, path, why);
		return;
	}
	doctor_common_name(x, ret_name, size);
	check_our_dates(d, x, ret_name);
	check_our_key(d, x);
	if (tls_has_role(x, false))
		doctor_fine(d, CHECK_CLIENT_ROLE, at.text);
	else
		doctor_tell(d, CLIENT_ROLE, at.text, path);
	X509_free(x);
}

static void check_ca(struct doctor *d)
{
	const char *why = NULL, *path = d->servers.ca;
	X509 *x = path ? doctor_cert_open(path, &why) : NULL;
	if (!x && path && !is_hidden(path))
		doctor_tell(d, CLIENT_FILES, at_option(d, "ca").text, path, why);
	X509_free(x);
}

static bool is_anonymous(const struct doctor *d)
{
	return is_hidden(d->servers.key) || is_hidden(d->servers.certificate);
}

/* ---- who they are ---- */

static void check_authority(struct way *y)
{
	const char *ca = y->d->servers.ca;
	long e = y->wire.verify_error;
	/* Dates are told with their own remedy. */
	if (is_hidden(ca))
		doctor_unseen(
			y->d, CHECK_SERVER_AUTHORITY, ca, "this user may not read it");
	else if (e == X509_V_OK || e == X509_V_ERR_CERT_HAS_EXPIRED ||
		 e == X509_V_ERR_CERT_NOT_YET_VALID || e == X509_V_ERR_INVALID_PURPOSE)
		doctor_fine(y->d, CHECK_SERVER_AUTHORITY, y->server);
	else
		doctor_tell(y->d, SERVER_AUTHORITY, y->at.text, y->server,
			X509_verify_cert_error_string(e), ca);
}

static void check_their_dates(struct way *y, const X509 *x)
{
	const struct doctor_dates dates = doctor_dates(x);
	if (dates.validity == CERT_SOON)
		doctor_tell(y->d, SERVER_EXPIRES, y->at.text, y->server, dates.date);
	else if (dates.validity == CERT_FINE)
		doctor_fine(y->d, CHECK_SERVER_VALID, y->server);
	else
		doctor_tell(y->d, SERVER_VALID, y->at.text, y->server, dates.word,
			dates.date);
}

static void first_name(X509 *x, char *ret, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool is_found = false;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_found; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type != GEN_DNS)
			continue;
		snprintf(ret, size, "%.*s", ASN1_STRING_length(n->d.dNSName),
			ASN1_STRING_get0_data(n->d.dNSName));
		is_found = true;
	}
	GENERAL_NAMES_free(names);
	if (!is_found)
		doctor_common_name(x, ret, size);
}

static void check_their_name(struct way *y, X509 *x)
{
	const char *wanted = y->d->servers.server_name;
	char shown[256];
	if (!wanted)
		wanted = y->wire.host;
	if (!strcmp(wanted, "*") || X509_check_host(x, wanted, 0, 0, NULL) == 1 ||
		X509_check_ip_asc(x, wanted, 0) == 1) {
		doctor_fine(y->d, CHECK_SERVER_HOST, y->server);
		return;
	}
	first_name(x, shown, sizeof(shown));
	doctor_tell(y->d, SERVER_HOST, y->at.text, y->server, shown, wanted, y->path);
}

static void check_peer(struct way *y)
{
	X509 *x = SSL_get0_peer_certificate(y->wire.ssl);
	if (!x)
		return;
	check_authority(y);
	check_their_dates(y, x);
	check_their_name(y, x);
	if (tls_has_role(x, true))
		doctor_fine(y->d, CHECK_SERVER_ROLE, y->server);
	else
		doctor_tell(y->d, SERVER_ROLE, y->at.text, y->server);
}

/* ---- talking to them ---- */

/* An alert that is about our certificate, or an end without a word. */
static void tell_refused(struct way *y)
{
	const char *why = y->wire.why;
	if (strstr(why, "alert"))
		doctor_tell(y->d, CLIENT_REFUSED, y->at.text, y->server, why);
	else
		doctor_tell(y->d, CLIENT_ENROLLED, y->at.text, y->server, y->client);
}

static bool query(struct way *y, struct wire_answer *ret)
{
	autobuf payload = buf_new(4096);
	struct ttlv_writer w = ttlv_write(&payload, KMIP_2_1);
	const struct query_request q = { .n = 1,
		.function = { KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION } };
	query_put_request(&w, &q);
	kf_err e = wire_ask(&y->wire, KMIP_OPERATION_QUERY, buf_slice(&payload), ret);
	return kf_ok(e) && kf_ok(ret->result);
}

static void check_clock(struct way *y, int64_t theirs)
{
	int64_t skew = theirs - clock_wall_s();
	if (llabs(skew) <= SKEW_MAX_S) {
		doctor_fine(y->d, CHECK_CLOCK_AGREES, y->server);
		return;
	}
	doctor_tell(y->d, CLOCK_AGREES, y->at.text, y->server,
		doctor_number(llabs(skew)).text, skew > 0 ? "ahead of" : "behind");
}

static void check_load(struct way *y, const struct wire_answer *a)
{
	struct ttlv_reader r = ttlv_read_as(a->payload, KMIP_2_1, false);
	struct query_response q;
	char load[16];
	if (!kf_ok(query_get_response(&r, &q)) ||
		!kf_ok(slice_to_text(q.server_load, load, sizeof(load))) || !load[0])
		return;
	if (atoi(load) >= LOAD_HIGH)
		doctor_tell(y->d, SERVER_LOAD, y->at.text, y->server, load);
	else
		doctor_fine(y->d, CHECK_SERVER_LOAD, y->server);
}

/* The shortest of some: what the way takes when nothing else is under way. */
static bool ping(struct way *y)
{
	double best = 0;
	for (int i = 0; i < PINGS; i++) {
		struct wire_answer a = { 0 };
		bool is_answered = query(y, &a);
		if (is_answered && i == 0) {
			check_clock(y, a.time_stamp);
			check_load(y, &a);
		}
		best = i == 0 || a.ms < best ? a.ms : best;
		buf_free(&a.bytes);
		if (!is_answered)
			return false;
	}
	doctor_fine(y->d, CHECK_CLIENT_ENROLLED, y->server);
	if (!y->d->network_ms || best < y->d->network_ms)
		y->d->network_ms = best;
	return true;
}

/* ---- keys ---- */

static kf_err ask_state(struct way *y, const char *id, uint32_t *ret)
{
	autobuf payload = buf_new(4096), attrs = buf_new(1 << 20);
	struct ttlv_writer w = ttlv_write(&payload, KMIP_2_1);
	const struct get_attributes_request q = { .uid = kmip_uid_text(slice_of(id)) };
	get_attributes_put_request(&w, &q);
	KF_TRY(ttlv_written(&w));
	struct wire_answer a = { 0 };
	kf_err e = wire_ask(
		&y->wire, KMIP_OPERATION_GET_ATTRIBUTES, buf_slice(&payload), &a);
	if (kf_ok(e))
		e = a.result;
	struct get_attributes_response got;
	struct ttlv_reader r = ttlv_read_as(a.payload, KMIP_2_1, false);
	if (kf_ok(e))
		e = get_attributes_get_response(&r, &got, &attrs);
	*ret = 0;
	if (kf_ok(e))
		attrs_get_enum(buf_slice(&attrs), TAG_STATE, ret);
	buf_free(&a.bytes);
	return e;
}

static void what_to_do(uint32_t state, const char *id, char ret[256])
{
	if (state == KMIP_STATE_PRE_ACTIVE)
		snprintf(ret, 256,
			"on the administrator's machine: keyfleet key activate %s", id);
	else
		snprintf(ret, 256,
			"it stays so: make a new key (keyfleet key create), its "
			"certificate (keyfleet key csr) and its reference (keyfleet key "
			"ref)");
}

static void tell_not_granted(
	struct way *y, const struct doctor_ref *ref, const struct doctor_place *at)
{
	char why[512], reason[600] = "";
	if (kf_ok(doctor_policy(y->d->cli, y->client, ref->id, why, sizeof(why))) &&
		why[0])
		snprintf(reason, sizeof(reason), " (policy: %s)", why);
	doctor_tell(y->d, KEY_GRANTED, at->text, ref->id, y->client, reason);
}

static void check_key(struct way *y, const struct doctor_ref *ref)
{
	uint32_t state = 0;
	const struct site_value *v = &ref->pair->key;
	const struct doctor_place at = doctor_at(v->file ? v->file : v->text, v->line);
	kf_err e = ask_state(y, ref->id, &state);
	if (kf_is(e, KF_E_NOT_FOUND))
		tell_not_granted(y, ref, &at);
	else if (!kf_ok(e))
		doctor_unseen(y->d, CHECK_KEY_ACTIVE, at.text, e.site->text);
	else if (state != KMIP_STATE_ACTIVE) {
		char remedy[256];
		what_to_do(state, ref->id, remedy);
		doctor_tell(y->d, KEY_ACTIVE, at.text, ref->id,
			ttlv_value_text(TTLV_KIND_STATE, state), remedy);
	} else
		doctor_fine(y->d, CHECK_KEY_ACTIVE, at.text);
}

/* ---- one server after the other ---- */

static void tell_closed(struct way *y)
{
	struct wire *w = &y->wire;
	if (w->step == WIRE_NAME)
		doctor_tell(y->d, SERVER_NAME, y->at.text, w->host, w->why);
	else if (w->step == WIRE_TCP)
		doctor_tell(
			y->d, SERVER_REACHABLE, y->at.text, y->server, w->why, w->port);
	else
		doctor_tell(y->d, SERVER_TLS, y->at.text, y->server, w->why);
}

/* True: it answers. */
static bool check_server(struct way *y, const char *address)
{
	wire_open(&y->wire, &y->d->servers, address);
	if (y->wire.step != WIRE_OPEN) {
		tell_closed(y);
		return false;
	}
	doctor_fine(y->d, CHECK_SERVER_REACHABLE, y->server);
	check_peer(y);
	if (is_anonymous(y->d)) {
		doctor_unseen(y->d, CHECK_CLIENT_ENROLLED, y->server,
			"this user may not read the certificate and key");
		return false;
	}
	if (ping(y))
		return true;
	tell_refused(y);
	return false;
}

void doctor_network(struct doctor *d)
{
	bool has_asked = false;
	struct way y = { .d = d, .path = d->agent_conf.path };
	if (!d->has_servers)
		return;
	check_identity(d, y.client, sizeof(y.client));
	check_ca(d);
	y.at = at_option(d, "servers");
	for (size_t i = 0; i < d->servers.servers.n; i++) {
		y.server = d->servers.servers.item[i];
		bool answers = check_server(&y, y.server);
		for (size_t k = 0; answers && !has_asked && k < d->n_refs; k++)
			check_key(&y, &d->refs[k]);
		has_asked |= answers;
		wire_close(&y.wire);
	}
}
