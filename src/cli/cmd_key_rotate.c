/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet key rotate: the next key beside the one that is in use.  A name never moves to another key: a reference
 * pins the key that it was made for, and old and new serve side by side until the old one is retired.
 */
#include "base/mem.h"
#include "cli/call.h"
#include "crypt/pubkey.h"
#include "keyfleet.h"
#include "kmip/admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_TEXT = 240, GENERATIONS_MAX = 10000 };

struct rotation {
	struct cli *cli;
	struct key_ids old;
	const struct alg *alg;
	char name[NAME_MAX_TEXT + 16];
	kf_id id;
};

/* "www", "www-2", "www-3", ...: whatever generation was asked for, the first name that is free. */
static kf_err next_name(struct rotation *r, const char *name)
{
	char base[NAME_MAX_TEXT];
	struct key_ids other;
	KF_TRY(slice_to_text(slice_of(name), base, sizeof(base)));
	char *dash = strrchr(base, '-');
	if (dash && dash > base && dash[1] && !dash[1 + strspn(dash + 1, "0123456789")] &&
		strlen(dash) < 6)
		*dash = 0;
	for (int i = 2; i < GENERATIONS_MAX; i++) {
		snprintf(r->name, sizeof(r->name), "%s-%d", base, i);
		kf_err e = key_has_name(r->cli, r->name, &other);
		if (kf_is(e, KF_E_NOT_FOUND))
			return KF_OK;
		KF_TRY(e);
	}
	return kf_fail(LIMIT, "too many generations of this key");
}

static kf_err look_at_old(struct rotation *r, const char *name)
{
	autobuf spki = buf_new(SPKI_MAX);
	CLEANUP(pubkey_freep) struct pubkey *public_key = NULL;
	KF_TRY(key_find(r->cli, name, &r->old));
	KF_TRY(key_spki(r->cli, &r->old, &spki));
	KF_TRY(pubkey_parse(buf_slice(&spki), &public_key));
	r->alg = pubkey_alg(public_key);
	return KF_OK;
}

static kf_err create(struct rotation *r)
{
	kf_new_object q = {
		.name = r->name, .algorithm = r->alg->name, .is_active = true
	};
	kf_call call = { .timeout_ms = 60000 };
	kf_id public_key;
	if (r->alg->family == FAMILY_RSA)
		q.usage = KF_MAY_SIGN | KF_MAY_DECRYPT;
	if (kf_create_key_pair(r->cli->client, &q, &r->id, &public_key, &call) ==
		KF_SUCCESS)
		return KF_OK;
	cli_note(r->cli, "%s: %s", r->name, kf_error_text(&call));
	return kf_fail(UNAVAILABLE, "the key was not made");
}

static kf_err copy_grant(struct rotation *r, const struct admin_grant *old)
{
	struct admin_grant q = *old;
	q.id = (struct slice){ 0 };
	q.key = slice_of(r->id.text);
	autopayload p;
	payload_init(&p);
	grant_add_put_request(&p.w, &q);
	return cli_tell(r->cli, KMIP_OPERATION_GRANT_ADD, &p);
}

/* Grants of the old key's id; those of names, groups and "*" say themselves whom they mean.  The list is read to
 * its end before the first is added, so that pages do not shift. */
static kf_err copy_grants(struct rotation *r)
{
	autobuf found = buf_new(64 << 20);
	struct list_pages pages = { .operation = KMIP_OPERATION_GRANT_LIST };
	kf_err e;
	while (list_next_page(r->cli, &pages, &e)) {
		struct ttlv_reader items = ttlv_read(pages.items);
		struct admin_grant g;
		while (admin_grant_next(&items, &g))
			if (slice_is(g.key, r->old.id))
				admin_grant_add(&found, &g);
	}
	KF_TRY(e);
	KF_TRY(buf_err(&found));
	struct ttlv_reader items = ttlv_read(buf_slice(&found));
	struct admin_grant g;
	while (admin_grant_next(&items, &g))
		KF_TRY(copy_grant(r, &g));
	return KF_OK;
}

static void print_new(const struct rotation *r)
{
	static const char *const titles[] = { "NAME", "TYPE", "ID", "OLD ID" };
	struct table *t = table_new(r->cli, titles, 4);
	table_row(
		t, (const char *const[]){ r->name, r->alg->name, r->id.text, r->old.id });
	kf_err e = table_end(t, KF_OK);
	(void)e;
}

static kf_err run(struct cli *c)
{
	struct rotation r = { .cli = c };
	struct kf_client *client;
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(cli_client(c, &client));
	KF_TRY(look_at_old(&r, c->argv[0]));
	KF_TRY(next_name(&r, c->argv[0]));
	KF_TRY(create(&r));
	KF_TRY(copy_grants(&r));
	print_new(&r);
	return KF_OK;
}

const struct command command_key_rotate = {
	.words = "key rotate",
	.args = "NAME|ID",
	.summary = "make the next key beside one in use: same type, same grants",
	.help = "NAME's next generation is NAME-2, then NAME-3.  Both serve until the "
		"old "
		"one is retired:\n"
		"  keyfleet key csr NAME-2 --names ...      for the new certificate\n"
		"  keyfleet key ref NAME-2 > new.ref        beside it\n"
		"  keyfleet key revoke NAME                 when nobody uses it any "
		"more\n",
	.run = run,
};
