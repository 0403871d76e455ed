/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet grant: who may do what with which keys.
 */
#include "cli/call.h"
#include "kmip/admin.h"
#include "policy/policy.h"
#include <stdio.h>
#include <string.h>

static bool is_selector(const char *key)
{
	return !strcmp(key, "*") || !strncmp(key, "name:", 5) ||
	       !strncmp(key, "group:", 6);
}

/* A plain name means the key that has it now: the grant is of its id, so that nobody gains rights by
 * giving another key the same name. */
static kf_err resolve_key(struct cli *c, const char *key, char *ret, size_t size)
{
	if (is_selector(key))
		return slice_to_text(slice_of(key), ret, size);
	struct key_ids ids;
	KF_TRY(key_find(c, key, &ids));
	return slice_to_text(slice_of(ids.private_key), ret, size);
}

static kf_err parse_masks(struct cli *c, bool is_tls_only, struct admin_grant *ret)
{
	kf_err e = permissions_parse(slice_of(c->argv[2]), &ret->permissions);
	if (!kf_ok(e)) {
		autobuf all = buf_new(4096);
		permissions_print(UINT32_MAX & ~(uint32_t)PERM_ADMINISTER, &all);
		cli_note(c, "%s: the operations are %.*s", c->argv[2], (int)all.n,
			(const char *)all.p);
		return e;
	}
	ret->constraints = is_tls_only ? CONSTRAINT_TLS_ONLY : 0;
	return KF_OK;
}

static kf_err run_add(struct cli *c)
{
	bool is_tls_only = false;
	const struct cli_option options[] = { { "tls-only", NULL, &is_tls_only } };
	KF_TRY(cli_options(c, options, 1));
	KF_TRY(cli_operands(c, 3, 3));
	struct admin_grant q = { .who = slice_of(c->argv[0]) };
	KF_TRY(parse_masks(c, is_tls_only, &q));
	char key[KEY_ID_TEXT];
	KF_TRY(resolve_key(c, c->argv[1], key, sizeof(key)));
	q.key = slice_of(key);

	autopayload p;
	payload_init(&p);
	grant_add_put_request(&p.w, &q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_GRANT_ADD, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct grant_id id = { 0 };
	KF_TRY(grant_id_get(&r, &id));
	printf("%.*s\n", (int)id.id.n, (const char *)id.id.p);
	return KF_OK;
}

static void add_row(struct table *t, const struct admin_grant *g)
{
	char id[KEY_ID_TEXT], who[KEY_ID_TEXT], key[KEY_ID_TEXT];
	autobuf operations = buf_new(4096), constraints = buf_new(4096);
	permissions_print(g->permissions, &operations);
	constraints_print(g->constraints, &constraints);
	buf_add_u8(&operations, 0);
	buf_add_u8(&constraints, 0);
	if (!kf_ok(slice_to_text(g->id, id, sizeof(id))) ||
		!kf_ok(slice_to_text(g->who, who, sizeof(who))) ||
		!kf_ok(slice_to_text(g->key, key, sizeof(key))) ||
		!kf_ok(buf_err(&operations)) || !kf_ok(buf_err(&constraints)))
		return;
	const char *cells[] = { id, who, key, (const char *)operations.p,
		(const char *)constraints.p };
	table_row(t, cells);
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "ID", "WHO", "KEY", "OPERATIONS",
		"CONSTRAINTS" };
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 0));
	struct table *t = table_new(c, titles, 5);
	struct list_pages pages = { .operation = KMIP_OPERATION_GRANT_LIST };
	kf_err e;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_grant g;
		while (admin_grant_next(&r, &g))
			add_row(t, &g);
	}
	return table_end(t, e);
}

static kf_err run_remove(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	autopayload p;
	payload_init(&p);
	const struct grant_id id = { slice_of(c->argv[0]) };
	grant_id_put(&p.w, &id);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	return cli_call(c, KMIP_OPERATION_GRANT_REMOVE, &p, &answer);
}

const struct command command_grant_add = {
	.words = "grant add",
	.args = "WHO KEY OPERATION[,OPERATION...] [--tls-only]",
	.summary = "allow a client something; prints the grant's id",
	.help = "  WHO        a client's name, or '*' for every client\n"
		"  KEY        a key's name or id (the grant is of the id), name:NAME, "
		"group:GROUP, or '*'\n"
		"  OPERATION  sign, verify, decrypt, decrypt-tls, csr, get, "
		"get-attributes, locate,\n"
		"             create, register, activate, revoke, destroy, encrypt\n"
		"  --tls-only signatures for TLS servers only: nothing but a TLS 1.3 "
		"server\n"
		"             CertificateVerify or a TLS 1.2 ServerKeyExchange is "
		"signed\n",
	.run = run_add,
};
const struct command command_grant_list = { .words = "grant list",
	.args = "",
	.summary = "list what is allowed",
	.run = run_list };
const struct command command_grant_remove = { .words = "grant remove",
	.args = "ID",
	.summary = "take a grant back, at once and everywhere",
	.run = run_remove };
