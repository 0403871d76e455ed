/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/authorities.h"
#include "base/log.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARN_S = 30 * 86400 };

/* What an authority points to. */
struct held {
	char *key, **names;
	size_t names_n;
	struct issue_network *networks;
};

struct authorities {
	size_t n;
	struct authority item[AUTHORITIES_MAX];
	struct held held[AUTHORITIES_MAX];
};

/* --- the file --- */

static bool is_name(const char *name)
{
	const size_t n = strlen(name);
	return n > 0 && n < AUTHORITY_NAME_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == n;
}

/* A dot alone, or an asterisk, would be everything. */
static bool is_pattern(const char *text)
{
	const char *p = text[0] == '.' ? text + 1 : text;
	for (const char *c = p; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(".-_", *c))
			return false;
	return *p && *p != '.' && strlen(text) <= 253;
}

static void check_lists(const struct ca_options *o, const char *path, const char *section,
	struct buf *errors)
{
	struct network network;
	enum cert_role role;
	for (size_t i = 0; i < o->names.n; i++)
		if (!is_pattern(o->names.item[i]))
			conf_complain(errors, path, section, "names",
				"not a list of names like www.example.com, or "
				".example.com for all that end so");
	for (size_t i = 0; i < o->networks.n; i++)
		if (!config_network(o->networks.item[i], &network))
			conf_complain(errors, path, section, "networks",
				"not a list of networks like 192.0.2.0/24");
	for (size_t i = 0; i < o->profiles.n; i++)
		if (!authority_role(slice_of(o->profiles.item[i]), &role))
			conf_complain(errors, path, section, "profiles",
				"names something else than server and client");
	if (!o->profiles.n)
		conf_complain(errors, path, section, "profiles",
			"is empty: name server, client or both");
}

static void check_section(const struct ca_options *o, const char *path,
	const char *section, struct buf *errors)
{
	if (!is_name(o->name))
		conf_complain(errors, path, section, "certificate",
			"the authority's name has letters, digits, . _ and - only");
	if (!o->certificate)
		conf_complain(errors, path, section, "certificate",
			"is missing: a PEM file with the authority's certificate first");
	if (!o->key)
		conf_complain(errors, path, section, "key",
			"is missing: the Unique Identifier or name of its private key "
			"(keyfleet key list)");
	if (o->valid_ms > o->valid_max_ms)
		conf_complain(errors, path, section, "valid", "is longer than valid_max");
	check_lists(o, path, section, errors);
}

void authorities_check_conf(const struct conf *c, const char *path, struct buf *errors)
{
	char section[96];
	if (c->cas.n > AUTHORITIES_MAX)
		conf_complain(errors, path, "ca", "key", "more than 16 authorities");
	for (size_t i = 0; i < c->cas.n; i++) {
		const struct ca_options *o = config_ca(c, i);
		snprintf(section, sizeof(section), "ca %.64s", o->name);
		check_section(o, path, section, errors);
	}
}

/* --- memory --- */

static void held_free(struct held *h)
{
	for (size_t i = 0; i < h->names_n; i++)
		free(h->names[i]);
	free(h->names);
	free(h->networks);
	free(h->key);
}

void authorities_free(struct authorities *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < AUTHORITIES_MAX; i++) {
		issue_ca_free(a->item[i].ca);
		held_free(&a->held[i]);
	}
	free(a);
}

static void authorities_freep(struct authorities **a) { authorities_free(*a); }

const struct authority *authorities_list(const struct authorities *a, size_t *ret_n)
{
	*ret_n = a ? a->n : 0;
	return a ? a->item : NULL;
}

static kf_err copy_names(const struct conf_list *from, struct held *h)
{
	h->names = calloc(from->n + 1, sizeof(*h->names));
	for (size_t i = 0; h->names && i < from->n; i++)
		if ((h->names[i] = strdup(from->item[i])))
			h->names_n++;
	return h->names && h->names_n == from->n ? KF_OK : kf_fail(NOMEM, "authority");
}

static kf_err copy_networks(const struct conf_list *from, struct held *h)
{
	struct network n;
	h->networks = calloc(from->n + 1, sizeof(*h->networks));
	if (!h->networks)
		return kf_fail(NOMEM, "authority");
	for (size_t i = 0; i < from->n; i++) {
		if (!config_network(from->item[i], &n))
			return kf_fail(CONFIG, "network");
		memcpy(h->networks[i].address, n.address, sizeof(n.address));
		h->networks[i].bits = n.bits;
	}
	return KF_OK;
}

/* --- an authority --- */

static void set_roles(const struct ca_options *o, struct authority *a)
{
	enum cert_role role;
	for (size_t i = 0; i < o->profiles.n; i++) {
		if (!authority_role(slice_of(o->profiles.item[i]), &role))
			continue;
		a->may_issue[role] = true;
		a->role = i ? a->role : role;
	}
}

static void set_policy(
	const struct ca_options *o, const struct held *h, struct authority *a)
{
	a->key = h->key;
	a->policy = (struct issue_policy){
		.names = (const char *const *)h->names,
		.names_n = h->names_n,
		.networks = h->networks,
		.networks_n = o->networks.n,
		.allows_wildcards = o->allows_wildcards,
		.takes_whole_subject = o->subject == CONF_SUBJECT_WHOLE,
		.rsa_bits = (unsigned)o->rsa_bits,
		.ec_bits = (unsigned)o->ec_bits,
	};
}

static kf_err copy(const struct ca_options *o, struct held *h, struct authority *a)
{
	static const enum hash_id hashes[] = { HASH_NONE, HASH_SHA256, HASH_SHA384,
		HASH_SHA512 };
	h->key = strdup(o->key);
	if (!h->key)
		return kf_fail(NOMEM, "authority");
	KF_TRY(copy_names(&o->names, h));
	KF_TRY(copy_networks(&o->networks, h));
	snprintf(a->name, sizeof(a->name), "%s", o->name);
	set_roles(o, a);
	set_policy(o, h, a);
	a->hash = hashes[o->hash];
	a->valid_s = o->valid_ms / 1000;
	a->valid_max_s = o->valid_max_ms / 1000;
	return KF_OK;
}

static kf_err read_certificate(
	const struct ca_options *o, struct buf *why, struct authority *a)
{
	autobuf pem = buf_new(CERT_PEM_MAX);
	unsigned line = 0;
	KF_TRY(conf_read_file(o->certificate, &pem, why));
	kf_err e = issue_ca_new(buf_slice(&pem), &line, &a->ca);
	if (kf_ok(e))
		return KF_OK;
	buf_add_text(why, o->certificate);
	if (line)
		buf_printf(why, ":%u", line);
	buf_printf(why,
		": %s; `certificate` in [ca %s] wants the authority's certificate first, "
		"then those above it\n",
		e.site->text, o->name);
	return e;
}

kf_err authorities_open(
	const struct conf *c, const char *path, struct buf *why, struct authorities **ret)
{
	CLEANUP(authorities_freep) struct authorities *a = calloc(1, sizeof(*a));
	if (!a)
		return kf_fail(NOMEM, "authorities");
	for (; a->n < c->cas.n && a->n < AUTHORITIES_MAX; a->n++) {
		const struct ca_options *o = config_ca(c, a->n);
		struct authority *item = &a->item[a->n];
		KF_TRY(copy(o, &a->held[a->n], item));
		KF_TRY(read_certificate(o, why, item));
		if (issue_ca_mech(item->ca, item->hash))
			continue;
		buf_printf(why, "%s: `hash` in [ca %s]: its key cannot sign so\n", path,
			o->name);
		return kf_fail(CONFIG, "hash of an authority");
	}
	*ret = a;
	a = NULL;
	return KF_OK;
}

/* --- at the start --- */

void authorities_warn(
	const struct authorities *a, const struct op_server *server, int64_t now_s)
{
	size_t n;
	const struct authority *list = authorities_list(a, &n);
	for (size_t i = 0; i < n; i++) {
		kf_err e =
			authority_check(&list[i], authority_key(server, &list[i]), now_s);
		if (!kf_ok(e))
			log_err(e, "an authority cannot issue certificates",
				LOG_TEXT("ca", list[i].name));
		else if (issue_ca_not_after(list[i].ca) < now_s + WARN_S)
			log_warn("an authority's certificate ends soon",
				LOG_TEXT("ca", list[i].name));
	}
}
