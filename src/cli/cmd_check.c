/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet check server|agent|sign: plug-ins for Nagios and its kin; also run as check_keyfleet.
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "client/keyref.h"
#include "crypt/pubkey.h"
#include "keyfleet.h"
#include <assert.h>
#include <math.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { DAY_S = 86400, TIMEOUT_S = 10, SIGNATURE_MAX = 1024 };

static const struct check_limits no_limits = { NAN, NAN };

static struct check_options defaults(struct check_limits limits)
{
	return (struct check_options){ .host = "127.0.0.1",
		.timeout_s = TIMEOUT_S,
		.limits = limits,
		.certificate = { 14, 3 } };
}

/* Every way ends here: what is printed is the result, and the exit status is the state. */
static kf_err end(struct cli *c, struct check *k)
{
	check_end(k, &c->exit_status);
	return KF_OK;
}

/* False: there is nothing to check. */
static bool begin(struct cli *c, struct check *k, struct check_options *o)
{
	if (!kf_ok(check_options(c, k, o)))
		return false;
	if (!o->is_version)
		return true;
	check_find(k, CHECK_UNKNOWN, "check_keyfleet " KEYFLEET_VERSION);
	return false;
}

/* ---- what servers and agents have in common ---- */

static void check_high(struct check *k, const char *what, double value, const char *unit,
	struct check_limits limits)
{
	if (value >= limits.critical)
		check_find(k, CHECK_CRITICAL, "%s is %.4g%s", what, value, unit);
	else if (value >= limits.warning)
		check_find(k, CHECK_WARNING, "%s is %.4g%s", what, value, unit);
}

static void check_certificate(struct check *k, const struct buf *page, const char *which,
	struct check_limits limits)
{
	char series[96], figure[48];
	snprintf(series, sizeof(series),
		"keyfleet_certificate_expiry_seconds{certificate=\"%s\"}", which);
	double days = (page_value(page, series) - (double)clock_wall_s()) / DAY_S;
	if (isnan(days))
		return;
	enum check_state state = days < limits.critical ? CHECK_CRITICAL : CHECK_WARNING;
	if (days < 0)
		check_find(k, CHECK_CRITICAL, "certificate (%s) has expired", which);
	else if (days < limits.critical || days < limits.warning)
		check_find(k, state, "certificate (%s) ends in %.1f days", which, days);
	snprintf(figure, sizeof(figure), "%s_certificate_days", which);
	check_figure(k, figure, floor(days * 10) / 10, "", limits);
}

static bool is_off(const struct buf *page, const char *series)
{
	return page_value(page, series) == 0;
}

static bool is_on(const struct buf *page, const char *series)
{
	return page_value(page, series) > 0;
}

/* ---- a key server ---- */

static void judge_server(struct check *k, const struct buf *page)
{
	if (is_off(page, "keyfleet_audit_healthy"))
		check_find(k, CHECK_CRITICAL,
			"audit records cannot be written, so nothing is signed");
	else if (is_on(page, "keyfleet_draining"))
		check_find(k, CHECK_WARNING, "it is stopping");
	else if (is_off(page, "keyfleet_up"))
		check_find(k, CHECK_CRITICAL, "it does not answer requests");
	if (page_value(page, "keyfleet_audit_reserve_bytes") <
		page_value(page, "keyfleet_audit_segment_bytes"))
		check_find(k, CHECK_WARNING, "no spare audit segment: is the disk full?");
	if (is_off(page, "keyfleet_store_writable"))
		check_find(k, CHECK_WARNING, "changes cannot be committed");
	if (is_on(page, "keyfleet_store_tampered_rows") ||
		is_on(page, "keyfleet_store_rolled_back"))
		check_find(k, CHECK_CRITICAL, "the store was changed outside keyfleet");
	if (is_off(page, "keyfleet_audit_intact"))
		check_find(k, CHECK_CRITICAL,
			"the audit log is not what was written: keyfleet audit verify");
}

/* Pools of tokens, if there are any. */
static void judge_tokens(struct check *k, const struct buf *page)
{
	double all = page_sum(page, "keyfleet_pool_tokens{");
	double serving = page_sum(page, "keyfleet_pool_tokens_serving{");
	if (isnan(all))
		return;
	if (serving < 1)
		check_find(k, CHECK_CRITICAL, "no token takes work: keyfleet token list");
	else if (serving < all)
		check_find(
			k, CHECK_WARNING, "%.0f of %.0f tokens take work", serving, all);
	check_figure(k, "tokens", serving, "", no_limits);
	check_figure(k, "token_queue", page_sum(page, "keyfleet_pool_queue_length{"), "",
		no_limits);
}

static void show_server(
	struct check *k, const struct buf *page, const struct check_options *o)
{
	double load = page_value(page, "keyfleet_load_ratio") * 100;
	double signatures = page_sum(page, "keyfleet_requests_total{operation=\"Sign\",");
	check_high(k, "load", load, "%", o->limits);
	check_fact(k,
		"key server is well, load %.0f%%, %.0f connections, %.0f signatures",
		load, page_value(page, "keyfleet_connections"), signatures);
	check_figure(k, "load", load, "%", o->limits);
	check_figure(k, "connections", page_value(page, "keyfleet_connections"), "",
		no_limits);
	check_figure(k, "in_flight", page_value(page, "keyfleet_requests_in_flight"), "",
		no_limits);
	check_figure(k, "signatures", signatures, "c", no_limits);
	check_figure(
		k, "objects", page_value(page, "keyfleet_store_objects"), "", no_limits);
	check_figure(k, "audit_reserve", page_value(page, "keyfleet_audit_reserve_bytes"),
		"B", no_limits);
}

static kf_err run_server(struct cli *c)
{
	autocheck k;
	autobuf page = buf_new(0);
	struct check_options o = defaults((struct check_limits){ 90, 98 });
	check_init(&k);
	if (!begin(c, &k, &o) || !kf_ok(check_fetch(&k, &o, &page)))
		return end(c, &k);
	if (isnan(page_value(&page, "keyfleet_up"))) {
		check_find(&k, CHECK_UNKNOWN, "this is not a key server's page");
		return end(c, &k);
	}
	judge_server(&k, &page);
	judge_tokens(&k, &page);
	check_certificate(&k, &page, "server", o.certificate);
	check_certificate(&k, &page, "ca", o.certificate);
	check_certificate(&k, &page, "crl", (struct check_limits){ 1, 0 });
	show_server(&k, &page, &o);
	return end(c, &k);
}

/* ---- an agent ---- */

static void judge_servers(
	struct check *k, double up, double all, struct check_limits least)
{
	double warning = isnan(least.warning) ? all : least.warning;
	if (up < least.critical)
		check_find(k, CHECK_CRITICAL, "%.0f of %.0f key servers can be reached",
			up, all);
	else if (up < warning)
		check_find(k, CHECK_WARNING, "%.0f of %.0f key servers can be reached",
			up, all);
	check_figure(k, "servers_up", up, "",
		(struct check_limits){ warning, least.critical });
}

/* Open breakers of servers that can be reached are told one by one. */
static void judge_breakers(struct check *k, const struct buf *page)
{
	static const char series[] = "keyfleet_agent_server_breaker{server=\"";
	const char *at = (const char *)page->p;
	for (; (at = strstr(at, series)); at++) {
		const char *name = at + sizeof(series) - 1;
		int n = (int)strcspn(name, "\"\n");
		if (strncmp(name + n, "\"} 2\n", 5) == 0)
			check_find(k, CHECK_WARNING, "%.*s is left alone", n, name);
	}
}

static void show_agent(struct check *k, const struct buf *page)
{
	double done = page_sum(page, "keyfleet_agent_requests_total{operation=\"Sign\",");
	check_fact(k, "agent is well, %.0f of %.0f key servers, %.0f signatures",
		page_value(page, "keyfleet_agent_servers_up"),
		page_value(page, "keyfleet_agent_servers"), done);
	check_figure(
		k, "servers", page_value(page, "keyfleet_agent_servers"), "", no_limits);
	check_figure(k, "in_flight",
		page_value(page, "keyfleet_agent_requests_in_flight"), "", no_limits);
	check_figure(k, "connections", page_value(page, "keyfleet_agent_connections"), "",
		no_limits);
	check_figure(k, "signatures", done, "c", no_limits);
	check_figure(k, "hedges", page_value(page, "keyfleet_agent_hedges_total"), "c",
		no_limits);
}

static kf_err run_agent(struct cli *c)
{
	autocheck k;
	autobuf page = buf_new(0);
	struct check_options o = defaults((struct check_limits){ NAN, 1 });
	check_init(&k);
	if (!begin(c, &k, &o) || !kf_ok(check_fetch(&k, &o, &page)))
		return end(c, &k);
	double up = page_value(&page, "keyfleet_agent_servers_up");
	if (isnan(up)) {
		check_find(&k, CHECK_UNKNOWN, "this is not an agent's page");
		return end(c, &k);
	}
	judge_servers(&k, up, page_value(&page, "keyfleet_agent_servers"), o.limits);
	judge_breakers(&k, &page);
	check_certificate(&k, &page, "client", o.certificate);
	check_certificate(&k, &page, "ca", o.certificate);
	show_agent(&k, &page);
	return end(c, &k);
}

/* ---- a signature ---- */

static const struct {
	enum alg_id alg;
	kf_scheme scheme;
	enum mech_id mech;
} schemes[] = {
	{ ALG_RSA_1024, KF_RSA_PSS_SHA256, MECH_RSA_PSS_SHA256 },
	{ ALG_RSA_2048, KF_RSA_PSS_SHA256, MECH_RSA_PSS_SHA256 },
	{ ALG_RSA_3072, KF_RSA_PSS_SHA256, MECH_RSA_PSS_SHA256 },
	{ ALG_RSA_4096, KF_RSA_PSS_SHA256, MECH_RSA_PSS_SHA256 },
	{ ALG_P256, KF_ECDSA_SHA256, MECH_ECDSA_SHA256 },
	{ ALG_P384, KF_ECDSA_SHA384, MECH_ECDSA_SHA384 },
	{ ALG_P521, KF_ECDSA_SHA512, MECH_ECDSA_SHA512 },
	{ ALG_BRAINPOOL_P256R1, KF_ECDSA_SHA256, MECH_ECDSA_SHA256 },
	{ ALG_SECP256K1, KF_ECDSA_SHA256, MECH_ECDSA_SHA256 },
	{ ALG_BRAINPOOL_P384R1, KF_ECDSA_SHA384, MECH_ECDSA_SHA384 },
	{ ALG_BRAINPOOL_P512R1, KF_ECDSA_SHA512, MECH_ECDSA_SHA512 },
	{ ALG_ED25519, KF_ED25519, MECH_ED25519 },
};

static size_t scheme_of(const struct pubkey *key)
{
	size_t i = 0;
	while (schemes[i].alg != pubkey_alg(key)->id)
		i++; /* every algorithm has its row */
	return i;
}

static_assert(
	sizeof(schemes) / sizeof(schemes[0]) == ALG_COUNT, "a row for each algorithm");

/* What a TLS 1.3 server signs, so that a grant for TLS alone allows it; with a hash of no handshake. */
static kf_err make_message(struct buf *ret)
{
	uint8_t hash[32];
	if (RAND_bytes(hash, sizeof(hash)) != 1)
		return kf_fail(CRYPTO, "random numbers");
	for (int i = 0; i < 64; i++)
		buf_add_u8(ret, ' ');
	buf_add_text(ret, "TLS 1.3, server CertificateVerify");
	buf_add_u8(ret, 0);
	buf_add(ret, hash, sizeof(hash));
	return buf_err(ret);
}

static kf_err load_reference(const char *path, struct check *k,
	char id[KEYREF_ID_MAX + 1], struct pubkey **ret)
{
	autobuf pem = buf_new(KEYREF_PEM_MAX), der = buf_new(KEYREF_DER_MAX),
		why = buf_new(1024);
	struct keyref ref;
	kf_err e = conf_read_file(path, &pem, &why);
	if (kf_ok(e))
		e = keyref_get_pem(buf_slice(&pem), &der, &ref);
	if (kf_ok(e))
		e = slice_to_text(ref.id, id, KEYREF_ID_MAX + 1);
	if (kf_ok(e))
		e = pubkey_parse(ref.spki, ret);
	if (!kf_ok(e))
		check_find(k, CHECK_UNKNOWN, "%s: %s", path, e.site->text);
	return e;
}

struct attempt {
	const char *id;
	const struct pubkey *key;
	struct buf message;
	uint8_t bytes[SIGNATURE_MAX];
	kf_buffer signature;
	double took_s;
};

static bool sign_once(struct attempt *a, const struct check_options *o, struct check *k)
{
	kf_client *client = NULL;
	kf_call call = { .timeout_ms = (uint32_t)(o->timeout_s * 1000) };
	const kf_options options = { .agent = o->socket ? o->socket : "@keyfleet-agent",
		.timeout_ms = call.timeout_ms };
	const kf_sign_request request = { .key = a->id,
		.scheme = schemes[scheme_of(a->key)].scheme,
		.data = a->message.p,
		.size = a->message.n };
	a->signature = (kf_buffer){ a->bytes, sizeof(a->bytes), 0 };
	uint64_t began = clock_monotonic_ns();
	kf_result result = kf_client_new(&options, &client, &call);
	if (result == KF_SUCCESS)
		result = kf_sign(client, &request, &a->signature, &call);
	a->took_s = (double)(clock_monotonic_ns() - began) / 1e9;
	kf_client_free(client);
	if (result != KF_SUCCESS)
		check_find(k, CHECK_CRITICAL, "no signature: %s", kf_error_text(&call));
	return result == KF_SUCCESS;
}

static void judge_signature(
	struct attempt *a, const struct check_options *o, struct check *k)
{
	const struct signature s = { .mech = mech_get(schemes[scheme_of(a->key)].mech),
		.salt = SALT_AS_DIGEST,
		.data = buf_slice(&a->message),
		.sig = { a->bytes, a->signature.used } };
	if (!kf_ok(pubkey_verify(a->key, &s)))
		check_find(k, CHECK_CRITICAL, "the signature is wrong");
	check_high(k, "time of a signature", a->took_s * 1000, " ms", o->limits);
	check_fact(k, "signed with %s in %.1f ms", pubkey_alg(a->key)->name,
		a->took_s * 1000);
	check_figure(k, "time", a->took_s, "s",
		(struct check_limits){
			o->limits.warning / 1000, o->limits.critical / 1000 });
}

static kf_err run_sign(struct cli *c)
{
	autocheck k;
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	char id[KEYREF_ID_MAX + 1];
	struct check_options o = defaults(no_limits);
	check_init(&k);
	if (!begin(c, &k, &o))
		return end(c, &k);
	if (!o.key) {
		check_find(
			&k, CHECK_UNKNOWN, "no key: give -k FILE with a key reference");
		return end(c, &k);
	}
	if (!kf_ok(load_reference(o.key, &k, id, &key)))
		return end(c, &k);
	struct attempt a = { .id = id, .key = key, .message = buf_new(256) };
	if (!kf_ok(make_message(&a.message)))
		check_find(&k, CHECK_UNKNOWN, "no random numbers");
	else if (sign_once(&a, &o, &k))
		judge_signature(&a, &o, &k);
	buf_free(&a.message);
	return end(c, &k);
}

/* ---- the commands ---- */

#define COMMON                                                                           \
	"  -t, --timeout SECONDS    for all of it [10]\n"                                \
	"  -V, --version            print the version\n"                                 \
	"\n"                                                                             \
	"Also installed as check_keyfleet.  Status: 0 ok, 1 warning, 2 critical, 3 "     \
	"unknown.\n"

const struct command command_check_server = {
	.words = "check server",
	.args = "-p PORT [-H HOST|unix:PATH] [-w LOAD] [-c LOAD] [-C DAYS,DAYS]",
	.summary = "monitoring plug-in: is the key server of this host well?",
	.help = "Asks its health endpoint ([health] listen).\n\n"
		"  -H, --hostname HOST      address, localhost, or unix:PATH "
		"[127.0.0.1]\n"
		"  -p, --port PORT\n"
		"  -w, --warning LOAD       per cent of its processors [90]\n"
		"  -c, --critical LOAD      [98]\n"
		"  -C, --certificate W,C    days before a certificate ends "
		"[14,3]\n" COMMON,
	.run = run_server,
};
const struct command command_check_agent = {
	.words = "check agent",
	.args = "-p PORT [-H HOST|unix:PATH] [-w SERVERS] [-c SERVERS] [-C DAYS,DAYS]",
	.summary =
		"monitoring plug-in: does the agent of this host reach its key servers?",
	.help = "Asks its endpoint ([metrics] listen).\n\n"
		"  -H, --hostname HOST      address, localhost, or unix:PATH "
		"[127.0.0.1]\n"
		"  -p, --port PORT\n"
		"  -w, --warning SERVERS    with fewer within reach [all]\n"
		"  -c, --critical SERVERS   with fewer within reach [1]\n"
		"  -C, --certificate W,C    days before a certificate ends "
		"[14,3]\n" COMMON,
	.run = run_agent,
};
const struct command command_check_sign = {
	.words = "check sign",
	.args = "-k FILE [-s SOCKET] [-w MS] [-c MS]",
	.summary = "monitoring plug-in: does a signature through the agent succeed?",
	.help = "Has what a TLS server signs signed with the key of a reference, and "
		"verifies "
		"it.\nThe agent must allow it to the user that runs this.\n\n"
		"  -k, --key FILE           a key reference (keyfleet key ref)\n"
		"  -s, --socket SOCKET      the agent's, @NAME or /PATH "
		"[@keyfleet-agent]\n"
		"  -w, --warning MS         when it takes so long\n"
		"  -c, --critical MS\n" COMMON,
	.run = run_sign,
};
