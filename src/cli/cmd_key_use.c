/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key ref, csr, activate, revoke, destroy.
 */
#include "base/mem.h"
#include "cli/call.h"
#include "cli/key_csr.h"
#include "cli/tokens.h"
#include "client/keyref.h"
#include "kmip/activate.h"
#include "kmip/attrs.h"
#include "kmip/destroy.h"
#include "kmip/revoke.h"
#include "kmip/token_admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static kf_err run_ref(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	struct key_ids ids;
	KF_TRY(key_find(c, c->argv[0], &ids));
	autobuf spki = buf_new(SPKI_MAX), pem = buf_new(KEYREF_PEM_MAX);
	KF_TRY(key_spki(c, &ids, &spki));
	const struct keyref ref = { .id = slice_of(ids.id), .spki = buf_slice(&spki) };
	keyref_put_pem(&pem, &ref);
	KF_TRY(buf_err(&pem));
	fwrite(pem.p, 1, pem.n, stdout);
	return KF_OK;
}

static kf_err run_csr(struct cli *c)
{
	struct key_csr q = { 0 };
	struct key_ids ids;
	const struct cli_option options[] = { { "subject", &q.subject, NULL },
		{ "names", &q.names, NULL } };
	KF_TRY(cli_options(c, options, 2));
	KF_TRY(cli_operands(c, 1, 1));
	q.key = c->argv[0];
	KF_TRY(key_find(c, q.key, &ids));
	autobuf pem = buf_new(CERT_PEM_MAX);
	KF_TRY(key_csr_make(c, &q, &ids, &pem));
	fwrite(pem.p, 1, pem.n, stdout);
	return KF_OK;
}

/* What is done to both halves of a pair, private first. */
typedef void put_one(struct ttlv_writer *w, const char *id, const char *argument);

static kf_err both_halves(
	struct cli *c, uint32_t operation, put_one *put, const char *argument)
{
	struct key_ids ids;
	KF_TRY(key_find(c, c->argv[0], &ids));
	const char *const id[] = { ids.id, ids.public_key };
	for (size_t i = 0; i < 2 && id[i][0]; i++) {
		autopayload p;
		payload_init(&p);
		put(&p.w, id[i], argument);
		autobuf answer = buf_new(CALL_PAYLOAD_MAX);
		KF_TRY(cli_call(c, operation, &p, &answer));
	}
	return KF_OK;
}

static void put_activate(struct ttlv_writer *w, const char *id, const char *unused)
{
	(void)unused;
	const struct activate_request q = { .uid = kmip_uid_text(slice_of(id)) };
	activate_put_request(w, &q);
}

static void put_destroy(struct ttlv_writer *w, const char *id, const char *unused)
{
	(void)unused;
	const struct destroy_request q = { .uid = kmip_uid_text(slice_of(id)) };
	destroy_put_request(w, &q);
}

static void put_revoke(struct ttlv_writer *w, const char *id, const char *reason)
{
	struct revoke_request q = {
		.uid = kmip_uid_text(slice_of(id)),
		.reason = KMIP_REVOCATION_REASON_CODE_UNSPECIFIED,
	};
	ttlv_value_find(TTLV_KIND_REVOCATION_REASON_CODE, slice_of(reason), &q.reason);
	revoke_put_request(w, &q);
}

static kf_err run_activate(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	return both_halves(c, KMIP_OPERATION_ACTIVATE, put_activate, NULL);
}

static kf_err run_revoke(struct cli *c)
{
	const char *reason = "unspecified";
	const struct cli_option options[] = { { "reason", &reason, NULL } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 1, 1));
	uint32_t code;
	if (!ttlv_value_find(TTLV_KIND_REVOCATION_REASON_CODE, slice_of(reason), &code))
		return kf_fail(INVALID_FIELD,
			"the reasons are unspecified, key-compromise, ca-compromise, "
			"affiliation-changed, "
			"superseded, cessation-of-operation, privilege-withdrawn");
	return both_halves(c, KMIP_OPERATION_REVOKE, put_revoke, reason);
}

/* ---- destroy ---- */

struct erasing {
	const char *id;
	struct key_line left; /* who holds it still; "" nobody */
};

static void see_left(void *arg, const struct key_line *k)
{
	struct erasing *e = arg;
	if (!strcmp(k->destroyed, e->id))
		e->left = *k;
}

static kf_err look_for_left(struct tokens *t, struct erasing *e)
{
	e->left = (struct key_line){ 0 };
	return t->ops->keys(t, see_left, e);
}

/* The key server deletes it from its tokens; this takes a moment, and not all of them may be here. */
static kf_err wait_for_tokens(struct cli *c, const char *id)
{
	enum { PATIENCE_S = 20, LOOK_MS = 200 };
	const struct tokens_options o = { 0 };
	CLEANUP(tokens_freep) struct tokens *t = NULL;
	CLEANUP(mem_freep) struct erasing *e = calloc(1, sizeof(*e));
	if (!e)
		return kf_fail(NOMEM, "no memory for a key");
	e->id = id;
	KF_TRY(tokens_open(c, &o, false, &t));
	KF_TRY(look_for_left(t, e));
	for (int i = 0; e->left.destroyed[0] && i < PATIENCE_S * 1000 / LOOK_MS; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000 }, NULL);
		KF_TRY(look_for_left(t, e));
	}
	if (e->left.destroyed[0])
		cli_note(c,
			"%s: destroyed, but tokens still hold it: %s; it is deleted as "
			"soon as that can be done (keyfleet dkek status --drift)",
			c->argv[0], e->left.holders);
	else
		cli_note(c,
			"%s: deleted from the tokens of this key server; from those that "
			"are away as soon as they are back",
			c->argv[0]);
	return KF_OK;
}

static bool is_on_tokens(struct cli *c, const char *id)
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	struct ttlv_item it;
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(TOKEN_ATTRIBUTE_POOL) };
	return kf_ok(key_attributes(c, id, &attrs)) &&
	       attrs_find_ref(buf_slice(&attrs), &ref, 0, &it);
}

static kf_err run_destroy(struct cli *c)
{
	bool is_sure = false;
	const struct cli_option options[] = { { "yes", NULL, &is_sure } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 1, 1));
	if (!is_sure)
		return kf_fail(INVALID_FIELD, "a destroyed key never comes back; say "
					      "--yes if that is what you want");
	struct key_ids ids;
	KF_TRY(key_find(c, c->argv[0], &ids));
	bool has_tokens = is_on_tokens(c, ids.id);
	kf_err e = both_halves(c, KMIP_OPERATION_DESTROY, put_destroy, NULL);
	if (kf_is(e, KF_E_READ_ONLY))
		cli_note(c, "%s: its pool is read only, so that it cannot be destroyed",
			c->argv[0]);
	return kf_ok(e) && has_tokens ? wait_for_tokens(c, ids.id) : e;
}

const struct command command_key_ref = {
	.words = "key ref",
	.args = "NAME|ID",
	.summary = "print the key reference that a web server loads in place of the key",
	.help = "It holds no secret and may lie beside the certificate.  See `keyfleet "
		"snippet`.\n",
	.run = run_ref,
};
const struct command command_key_csr = {
	.words = "key csr",
	.args = "NAME|ID [--names www.example,...] [--subject CN=www.example,O=Example]",
	.summary = "print a certification request (PKCS#10) signed by the key",
	.help = "  --names NAME,...  DNS names and addresses for the certificate\n"
		"  --subject NAME    [CN= the first of the names]\n",
	.run = run_csr,
};
const struct command command_key_activate = { .words = "key activate",
	.args = "NAME|ID",
	.summary = "let a key be used",
	.run = run_activate };
const struct command command_key_revoke = {
	.words = "key revoke",
	.args = "NAME|ID [--reason key-compromise|superseded|...]",
	.summary = "let a key be used no more",
	.run = run_revoke,
};
const struct command command_key_destroy = { .words = "key destroy",
	.args = "NAME|ID --yes",
	.summary = "destroy a revoked key for ever, on tokens too",
	.run = run_destroy };
