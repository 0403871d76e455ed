/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/replay.h"
#include "kmip/message.h"
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MESSAGE_MAX = 16 << 20 };

/* ---- the connection ---- */

static bool has_name(struct wire *w, const char *host)
{
	X509 *peer = SSL_get0_peer_certificate(w->ssl);
	return peer && (X509_check_host(peer, host, 0, 0, NULL) == 1 ||
			       X509_check_ip_asc(peer, host, 0) == 1);
}

/* Whoever tests a server wants to know that it is that one. */
static kf_err connect_to(const struct replay_server *s, struct wire *w, struct buf *why)
{
	wire_open(w, s->settings, s->address);
	if (w->step != WIRE_OPEN) {
		buf_printf(why, "no connection to %s: %s", s->address,
			w->why[0] ? w->why : "our certificate cannot be used");
		return kf_fail(UNAVAILABLE, "the server cannot be reached");
	}
	if (w->verify_error != X509_V_OK) {
		buf_printf(why, "the server's certificate: %s",
			X509_verify_cert_error_string(w->verify_error));
		return kf_fail(AUTH, "the server is not believed");
	}
	if (s->host && !has_name(w, s->host)) {
		buf_printf(why, "the server's certificate is for another host than %s",
			s->host);
		return kf_fail(AUTH, "the server is not believed");
	}
	wire_set_patience(w, s->timeout_ms);
	return KF_OK;
}

/* ---- exchanges ---- */

static void show(
	const struct replay_server *s, const char *title, const struct buf *message)
{
	autobuf text = buf_new(8 * MESSAGE_MAX);
	if (!s->is_verbose)
		return;
	printf("%s\n", title);
	if (kf_ok(ttlv_print(buf_slice(message), false, &text)))
		fwrite(text.p, 1, text.n, stdout);
	putchar('\n');
}

static const char *operation_of(const struct replay_node *request)
{
	const struct replay_node *o = replay_child_at(
		request, (uint32_t[]){ TAG_BATCH_ITEM, TAG_OPERATION, 0 });
	return o ? o->text : "";
}

static bool breaks(struct replay_result *ret, const char *what, const char *why)
{
	ret->verdict = REPLAY_BROKEN;
	buf_printf(&ret->text, "%s%s%s", what, *why ? ": " : "", why);
	return false;
}

static bool exchange(struct replay_server *s, struct wire *w,
	const struct replay_node *request, struct replay_result *ret)
{
	autobuf message = buf_new(MESSAGE_MAX), answer = buf_new(MESSAGE_MAX);
	struct replay_diff diff = { .text = buf_new(65536) };
	kf_err e = replay_encode(request, &s->scope, &message);
	if (!kf_ok(e))
		return breaks(ret, "the request cannot be written", e.site->text);
	show(s, "request:", &message);
	e = wire_exchange(w, buf_slice(&message), &answer);
	if (!kf_ok(e))
		return breaks(ret, e.site->text, w->why);
	show(s, "answer:", &answer);
	bool is_same = replay_compare(
		request, request->next, buf_slice(&answer), &s->scope, &diff);
	if (!is_same) {
		ret->verdict = diff.is_status ? REPLAY_STATUS : REPLAY_DIFFERS;
		buf_add_slice(&ret->text, buf_slice(&diff.text));
	}
	buf_free(&diff.text);
	return is_same;
}

void replay_run(
	struct replay_server *s, const struct replay_case *c, struct replay_result *ret)
{
	struct wire w;
	s->scope.now = (int64_t)time(NULL);
	ret->verdict = REPLAY_PASS;
	if (!kf_ok(connect_to(s, &w, &ret->text)))
		ret->verdict = REPLAY_BROKEN;
	const struct replay_node *request = c->root->first;
	while (request && ret->verdict == REPLAY_PASS) {
		ret->exchange++;
		ret->operation = operation_of(request);
		if (!exchange(s, &w, request, ret))
			break;
		request = request->next->next;
	}
	wire_close(&w);
	replay_vars_clear(&s->scope.vars);
}

kf_err replay_reset(struct replay_server *s, struct buf *why)
{
	struct wire w;
	autobuf payload = buf_new(1024);
	struct ttlv_writer out = ttlv_write(&payload, KMIP_2_1);
	ttlv_put_enum(&out, TAG_INTEROP_FUNCTION, KMIP_INTEROP_FUNCTION_RESET);
	ttlv_put_text(&out, TAG_INTEROP_IDENTIFIER, SLICE_LIT("keyfleet replay"));
	KF_TRY(ttlv_written(&out));
	kf_err e = connect_to(s, &w, why);
	struct wire_answer answer = { 0 };
	if (kf_ok(e))
		e = wire_ask(&w, KMIP_OPERATION_INTEROP, buf_slice(&payload), &answer);
	if (kf_ok(e))
		e = answer.result;
	if (!kf_ok(e) && !why->n)
		buf_printf(why, "Interop Reset: %s", kf_code_name(e.code));
	buf_free(&answer.bytes);
	wire_close(&w);
	return e;
}
