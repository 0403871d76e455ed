/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/adopt.h"
#include "client/keyref.h"
#include "crypt/alg.h"
#include "crypt/x509.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- one item ---- */

/* Keys that are no private keys in a file: what they are, for people. */
static const char *foreign_key(struct slice text)
{
	if (pem_has(text, KEYREF_LABEL))
		return "it is a key reference already";
	if (pem_has(text, "-----BEGIN PKCS#11 PROVIDER URI"))
		return "the key is in a PKCS#11 token";
	if (pem_has(text, "-----BEGIN TSS2 PRIVATE KEY"))
		return "the key is in a TPM";
	if (pem_has(text, "-----BEGIN ENCRYPTED PRIVATE KEY") ||
		pem_has(text, "Proc-Type: 4,ENCRYPTED"))
		return "the key has a pass phrase: decrypt it, or `keyfleet key import`";
	return NULL;
}

static const char *read_key(struct adopt_item *it)
{
	autobuf text = buf_new(ADOPT_PEM_MAX);
	kf_err e = site_disk.read(NULL, it->pair->key.text, &text);
	if (!kf_ok(e))
		return e.site->text;
	const char *why = foreign_key(buf_slice(&text));
	if (why)
		return why;
	e = keypair_import(buf_slice(&text), NULL, NULL, &it->key);
	return kf_ok(e) ? NULL : e.site->text;
}

static const char *read_chain(struct adopt_item *it)
{
	autobuf text = buf_new(ADOPT_PEM_MAX);
	kf_err e = site_disk.read(NULL, it->pair->certificate.text, &text);
	if (!kf_ok(e))
		return "the certificate cannot be read";
	it->chain = buf_new(ADOPT_PEM_MAX);
	pem_without_keys(buf_slice(&text), &it->chain);
	if (!kf_ok(cert_common_name(
		    buf_slice(&it->chain), it->subject, sizeof(it->subject))))
		it->subject[0] = 0;
	return kf_ok(buf_err(&it->chain)) ? NULL : "the certificate's file is too big";
}

static const char *check_belongs(const struct adopt_item *it)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	if (!kf_ok(pubkey_from_pem(buf_slice(&it->chain), &k)))
		return "the certificate's file holds none that we can read";
	return slice_eq(pubkey_spki(k), buf_slice(&it->key.spki))
		       ? NULL
		       : "certificate and key do not belong together";
}

static const char *look_at(struct adopt_item *it)
{
	const char *why = it->pair->why_not;
	why = why ? why : read_chain(it);
	why = why ? why : read_key(it);
	return why ? why : check_belongs(it);
}

/* Where the reference goes: NAME.ref.pem beside the key, or the key's own file where the server finds it by its
 * name. */
static kf_err name_reference(struct adopt_item *it)
{
	const char *key = it->pair->key.text;
	it->is_in_place =
		it->pair->shape == SITE_BESIDE || it->pair->source == SITE_FOUND;
	if (it->is_in_place)
		return slice_to_text(slice_of(key), it->ref_path, sizeof(it->ref_path));
	size_t n = strlen(key);
	if (n > 4 && (!strcmp(key + n - 4, ".pem") || !strcmp(key + n - 4, ".key")))
		n -= 4;
	if (snprintf(it->ref_path, sizeof(it->ref_path), "%.*s.ref.pem", (int)n, key) >=
		(int)sizeof(it->ref_path))
		return kf_fail(TOO_BIG, "the path of a reference is too long");
	return KF_OK;
}

/* "www.key" and "www.pem" are both "www": the later one keeps its whole name. */
static kf_err avoid_clash(const struct adopt *a, size_t at)
{
	struct adopt_item *it = &a->items[at];
	for (size_t i = 0; i < at; i++) {
		if (a->items[i].why_not ||
			strcmp(a->items[i].ref_path, it->ref_path) != 0 ||
			!strcmp(a->items[i].pair->key.text, it->pair->key.text))
			continue;
		if (snprintf(it->ref_path, sizeof(it->ref_path), "%s.ref.pem",
			    it->pair->key.text) >= (int)sizeof(it->ref_path))
			return kf_fail(TOO_BIG, "the path of a reference is too long");
		return KF_OK;
	}
	return KF_OK;
}

/* Whoever may write the folder could have put a link there, to a file that root would then overwrite. */
static const char *why_no_reference(const struct adopt *a, const struct adopt_item *it)
{
	autobuf argument = buf_new(2 * sizeof(it->ref_path));
	struct stat st;
	kf_err e = site_quote(a->kind, it->ref_path, &argument);
	if (!kf_ok(e))
		return e.site->text;
	if (!it->is_in_place && lstat(it->ref_path, &st) == 0 && !S_ISREG(st.st_mode))
		return "where its reference would be there is something that is no file";
	return NULL;
}

static bool is_wanted(const struct adopt *a, const struct site_pair *p)
{
	if (!a->only || !strcmp(a->only, p->certificate.text))
		return true;
	for (size_t i = 0; i < p->names.n; i++)
		if (!strcmp(a->only, p->names.item[i].text))
			return true;
	return false;
}

/* ---- all ---- */

static kf_err read_site(struct adopt *a)
{
	autobuf why = buf_new(65536);
	kf_err e = site_read(a->kind, a->file, NULL, &a->site, &why);
	if (!kf_ok(e) && why.n)
		cli_note_lines(a->cli, &why);
	else if (!kf_ok(e))
		cli_note(a->cli, "%s: %s", a->file, e.site->text);
	return e;
}

static kf_err add_item(struct adopt *a, const struct site_pair *p)
{
	struct adopt_item *it = &a->items[a->n_items++];
	it->pair = p;
	it->why_not = look_at(it);
	if (it->why_not)
		return KF_OK;
	KF_TRY(name_reference(it));
	KF_TRY(avoid_clash(a, a->n_items - 1));
	it->why_not = why_no_reference(a, it);
	a->moving += !it->why_not;
	return KF_OK;
}

kf_err adopt_plan(struct adopt *a)
{
	KF_TRY(read_site(a));
	a->items = calloc(a->site.n_pairs + 1, sizeof(*a->items));
	if (!a->items)
		return kf_fail(NOMEM, "no memory for the plan");
	for (size_t i = 0; i < a->site.n_pairs; i++)
		if (is_wanted(a, &a->site.pairs[i]))
			KF_TRY(add_item(a, &a->site.pairs[i]));
	return KF_OK;
}

void adopt_clear(struct adopt *a)
{
	for (size_t i = 0; i < a->n_items; i++) {
		keypair_free(&a->items[i].key);
		buf_free(&a->items[i].chain);
		buf_free(&a->items[i].reference);
	}
	free(a->items);
	site_free(&a->site);
}

/* ---- for people ---- */

static void join_names(const struct adopt_item *it, char *ret, size_t size)
{
	size_t at = 0;
	snprintf(ret, size, "%s", it->subject[0] ? it->subject : "-");
	for (size_t i = 0; i < it->pair->names.n && at + 1 < size; i++) {
		int n = snprintf(ret + at, size - at, "%s%s", i ? "," : "",
			it->pair->names.item[i].text);
		at += n > 0 ? (size_t)n : 0;
	}
}

static void add_row(struct table *t, const struct adopt_item *it)
{
	char names[512], where[4200], what[4400];
	const struct site_value *at =
		it->pair->key.file ? &it->pair->key : &it->pair->certificate;
	join_names(it, names, sizeof(names));
	snprintf(where, sizeof(where), "%s:%zu", at->file ? at->file : "-", at->line);
	if (it->why_not)
		snprintf(what, sizeof(what), "stays: %s", it->why_not);
	else if (it->is_in_place)
		snprintf(what, sizeof(what), "moves; %s becomes the reference",
			it->ref_path);
	else
		snprintf(what, sizeof(what), "moves; reference %s", it->ref_path);
	table_row(t, (const char *const[]){ it->pair->certificate.text, names,
			     it->key.alg ? it->key.alg->name : "-", where, what });
}

void adopt_print_plan(const struct adopt *a)
{
	static const char *const titles[] = { "CERTIFICATE", "NAMES", "KEY", "WHERE",
		"WHAT HAPPENS" };
	struct table *t = table_new(a->cli, titles, 5);
	for (size_t i = 0; i < a->n_items; i++)
		add_row(t, &a->items[i]);
	kf_err e = table_end(t, KF_OK);
	(void)e; /* a table that is too big for memory is the least of the plan's worries */
}
