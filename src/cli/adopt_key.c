/* SPDX-License-Identifier: Apache-2.0
 *
 * Import, grant, reference: all of it may be repeated at will.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include "cli/key_import.h"
#include "client/keyref.h"
#include "client/settings.h"
#include "crypt/x509.h"
#include "kmip/activate.h"
#include "kmip/admin.h"
#include "policy/policy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- who this host is ---- */

struct agent_facts {
	char *certificate;
};
static const struct conf_section agent_sections[] = { { "client", 0, 0, "" } };
static const struct conf_option agent_options[] = {
	{ "client", "certificate", CONF_PATH, offsetof(struct agent_facts, certificate) },
};
static const struct conf_table agent_table = CONF_TABLE(agent_sections, agent_options);

/* Only the one option is of interest; that the table does not know the others is no mistake. */
static kf_err read_agent_certificate(struct buf *ret)
{
	struct agent_facts facts = { 0 };
	autobuf unknown = buf_new(1 << 20), why = buf_new(8192);
	kf_err e = conf_read(&agent_table, ADOPT_AGENT_CONF, &facts, &unknown);
	e = facts.certificate ? conf_read_file(facts.certificate, ret, &why)
	    : kf_ok(e)        ? kf_fail(MISSING, "agent.conf names no certificate")
			      : e;
	conf_free(&agent_table, &facts);
	return e;
}

kf_err adopt_client_name(struct adopt *a)
{
	if (a->client)
		return slice_to_text(
			slice_of(a->client), a->client_name, sizeof(a->client_name));
	autobuf pem = buf_new(CERT_PEM_MAX);
	kf_err e = read_agent_certificate(&pem);
	if (kf_ok(e))
		e = cert_common_name(
			buf_slice(&pem), a->client_name, sizeof(a->client_name));
	if (!kf_ok(e))
		cli_note(a->cli,
			"who is this host to the key servers?  %s names no certificate "
			"that can be "
			"read; say --client NAME (`keyfleet client list`)",
			ADOPT_AGENT_CONF);
	return e;
}

void adopt_key_id(struct slice spki, char ret[2 * KEY_ID_SIZE + 1])
{
	uint8_t id[KEY_ID_SIZE];
	spki_id(spki, id);
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(ret + 2 * i, 3, "%02x", id[i]);
}

/* ---- import ---- */

static kf_err import_as(struct adopt *a, struct adopt_item *it, const char *name)
{
	const struct key_import in = { .cli = a->cli, .name = name };
	return key_register(&in, &it->key, it->id, sizeof(it->id));
}

/* The certificate's name; when another key has it, with the beginning of this key's id behind it. */
static kf_err import(struct adopt *a, struct adopt_item *it)
{
	char name[240];
	uint8_t id[KEY_ID_SIZE];
	const char *base = it->pair->names.n ? it->pair->names.item[0].text : "";
	if (!*base || !strcmp(base, "_") || it->subject[0])
		base = it->subject[0] ? it->subject : "key";
	snprintf(name, sizeof(name), "%s%.180s", a->prefix ? a->prefix : "", base);
	struct key_ids other;
	kf_err e = key_has_name(a->cli, name, &other);
	if (kf_is(e, KF_E_NOT_FOUND))
		return import_as(a, it, name);
	KF_TRY(e);
	spki_id(buf_slice(&it->key.spki), id);
	size_t n = strlen(name);
	snprintf(name + n, sizeof(name) - n, "-%02x%02x%02x%02x", id[0], id[1], id[2],
		id[3]);
	return import_as(a, it, name);
}

static kf_err find_or_import(struct adopt *a, struct adopt_item *it)
{
	struct key_ids ids;
	kf_err e = key_find_spki(a->cli, buf_slice(&it->key.spki), &ids);
	if (kf_is(e, KF_E_NOT_FOUND))
		return import(a, it);
	KF_TRY(e);
	it->is_there = true;
	return slice_to_text(slice_of(ids.id), it->id, sizeof(it->id));
}

/* ---- grants ---- */

struct grants {
	char (*ids)[KEY_ID_TEXT];
	size_t n;
};

static bool may_sign(const struct adopt *a, const struct admin_grant *g)
{
	return slice_is(g->who, a->client_name) && (g->permissions & PERM_SIGN);
}

/* The keys that this host may sign with; "*" stands for all. */
static kf_err read_grants(struct adopt *a, struct grants *ret)
{
	struct list_pages pages = { .operation = KMIP_OPERATION_GRANT_LIST };
	kf_err e;
	while (list_next_page(a->cli, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_grant g;
		while (admin_grant_next(&r, &g)) {
			if (!may_sign(a, &g))
				continue;
			void *ids = reallocarray(ret->ids, ret->n + 1, sizeof(*ret->ids));
			if (!ids)
				return kf_fail(NOMEM, "no memory for the grants");
			ret->ids = ids;
			KF_TRY(slice_to_text(g.key, ret->ids[ret->n++], KEY_ID_TEXT));
		}
	}
	return e;
}

static bool is_granted(const struct grants *g, const char *id)
{
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->ids[i], id) || !strcmp(g->ids[i], "*"))
			return true;
	return false;
}

static kf_err grant(struct adopt *a, const struct adopt_item *it)
{
	const struct admin_grant q = {
		.who = slice_of(a->client_name),
		.key = slice_of(it->id),
		.permissions = PERM_SIGN,
		.constraints = CONSTRAINT_TLS_ONLY,
	};
	autopayload p;
	payload_init(&p);
	grant_add_put_request(&p.w, &q);
	return cli_tell(a->cli, KMIP_OPERATION_GRANT_ADD, &p);
}

/* ---- references ---- */

static kf_err make_reference(struct adopt_item *it)
{
	const struct keyref ref = { .id = slice_of(it->id),
		.spki = buf_slice(&it->key.spki) };
	it->reference = buf_new(KEYREF_PEM_MAX);
	keyref_put_pem(&it->reference, &ref);
	return buf_err(&it->reference);
}

static kf_err do_item(struct adopt *a, struct adopt_item *it, const struct grants *g)
{
	kf_err e = find_or_import(a, it);
	if (kf_ok(e))
		e = make_reference(it);
	if (kf_ok(e) && !is_granted(g, it->id))
		e = grant(a, it);
	return cli_file_error(a->cli, it->pair->key.text, e);
}

kf_err adopt_keys(struct adopt *a)
{
	struct grants g = { 0 };
	kf_err e = read_grants(a, &g);
	struct progress shown = progress_start("moving keys");
	for (size_t i = 0; i < a->n_items && kf_ok(e); i++) {
		progress_show(&shown, a->cli, (double)i / (double)a->n_items);
		if (!a->items[i].why_not)
			e = do_item(a, &a->items[i], &g);
	}
	progress_done(&shown, a->cli);
	free(g.ids);
	return e;
}
