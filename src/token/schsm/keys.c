/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: what private keys a card has.  A key is three files with its number: the key itself (CC), its
 * description (C4) and a certificate or request with its public key (CE).  Whatever is missing or
 * damaged, the others are told, and why.
 */
#include "base/tlv.h"
#include "crypt/ossl.h"
#include "token/schsm/card.h"
#include "token/schsm/cvc.h"
#include "token/schsm/prkd.h"
#include "token/text.h"
#include <stdlib.h>
#include <string.h>

/* Which of a key's files the card lists. */
struct parts {
	bool has_key, has_description, has_certificate;
};

/* ---- the public key ---- */

kf_err schsm_certificate_key(struct slice der, struct pubkey **ret)
{
	const uint8_t *p = der.p;
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	EVP_PKEY *pkey = x ? X509_get0_pubkey(x) : NULL;
	if (!pkey)
		return ossl_fail(MALFORMED, "this is no certificate");
	CLEANUP(ossl_pkey_freep) EVP_PKEY *copy = EVP_PKEY_dup(pkey);
	if (!copy)
		return ossl_fail(NOMEM, "no memory for a public key");
	return pubkey_of_pkey(copy, ret);
}

static struct slice first_element(struct slice file)
{
	struct tlv t;
	return tlv_next(&file, &t) ? t.whole : (struct slice){ NULL, 0 };
}

static void note(struct token_key_facts *f, const char *problem)
{
	if (!f->problem)
		f->problem = problem;
}

static kf_err take_public(const struct pubkey *k, struct token_key_facts *f)
{
	f->alg = pubkey_alg(k);
	f->spki = buf_new(SPKI_MAX);
	buf_add_slice(&f->spki, pubkey_spki(k));
	pubkey_id(k, f->key_id);
	return buf_err(&f->spki);
}

static kf_err take_certificate(struct slice file, struct token_key_facts *f)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	bool is_cvc = cvc_is(file);
	struct slice certificate = is_cvc ? file : first_element(file);
	kf_err e = is_cvc ? cvc_public_key(file, &k)
			  : schsm_certificate_key(certificate, &k);
	if (kf_is(e, KF_E_KEY_FORMAT))
		note(f, "keyfleet does not use keys of this kind");
	else if (kf_is(e, KF_E_MALFORMED))
		note(f, "its certificate is damaged: the public key is not known");
	else
		KF_TRY(e);
	if (!k)
		return KF_OK;
	if (!is_cvc) {
		f->certificate = buf_new(CARD_FILE_MAX);
		buf_add_slice(&f->certificate, certificate);
		KF_TRY(buf_err(&f->certificate));
	}
	return take_public(k, f);
}

static kf_err read_certificate(struct token *t, struct token_key_facts *f)
{
	autobuf file = buf_new(CARD_FILE_MAX);
	kf_err e = schsm_read_file(t, FID_CERTIFICATE | f->handle, &file);
	if (kf_is(e, KF_E_NOT_FOUND) || (kf_ok(e) && file.n == 0)) {
		note(f, "it has no certificate: the public key is not known");
		return KF_OK;
	}
	KF_TRY(e);
	return take_certificate(buf_slice(&file), f);
}

/* ---- the description ---- */

static void take_usage(const struct prkd *d, struct token_key_facts *f)
{
	f->can_sign = d->usage & (PRKD_SIGN | PRKD_SIGN_RECOVER);
	f->can_decrypt = d->usage & PRKD_DECRYPT;
	f->can_agree = d->usage & PRKD_DERIVE;
	f->can_leave &= !(d->access & PRKD_NEVER_EXTRACTABLE);
	/* Those that count never leave; of a description without such words nothing follows. */
	f->has_counter = !d->access || !f->can_leave;
}

/* Without a description: what keys of its kind can do. */
static void guess_usage(struct token_key_facts *f)
{
	f->can_sign = true;
	f->can_decrypt = !f->alg || f->alg->family == FAMILY_RSA;
}

static void take_names(const struct prkd *d, struct token_key_facts *f)
{
	text_of_field(
		(const uint8_t *)d->label, sizeof(d->label), f->label, sizeof(f->label));
	memcpy(f->id, d->id, d->id_n);
	f->id_n = d->id_n;
}

/* The card's description is all that says how long an AES key is. */
static kf_err take_secret(struct slice der, struct token_key_facts *f)
{
	struct prkd d;
	if (!kf_ok(prkd_parse(der, &d))) {
		note(f, "its description is damaged");
		return KF_OK;
	}
	take_names(&d, f);
	f->can_leave &= !(d.access & PRKD_NEVER_EXTRACTABLE);
	f->has_counter = !d.access || !f->can_leave;
	f->alg = d.bits ? alg_aes(d.bits) : NULL;
	if (!f->alg)
		note(f, "no length that AES keys have");
	return KF_OK;
}

/* *is_private is false: it describes a key of AES. */
static kf_err take_description(
	struct slice file, struct token_key_facts *f, bool *is_private)
{
	struct prkd d;
	struct slice der = first_element(file);
	*is_private = der.n == 0 || der.p[0] != PRKD_AES;
	if (!*is_private)
		return take_secret(der, f);
	if (!kf_ok(prkd_parse(der, &d))) {
		note(f, "its description is damaged");
		guess_usage(f);
		return KF_OK;
	}
	take_names(&d, f);
	take_usage(&d, f);
	return KF_OK;
}

/* Keys are described last, when all else of them is done. */
static const char half_made[] = "it was left half made: it has no description";

static kf_err read_description(
	struct token *t, struct token_key_facts *f, bool *is_private)
{
	autobuf file = buf_new(CARD_FILE_MAX);
	kf_err e = schsm_read_file(t, FID_DESCRIPTION | f->handle, &file);
	*is_private = true;
	if (kf_is(e, KF_E_NOT_FOUND) || (kf_ok(e) && file.n == 0)) {
		note(f, half_made);
		return KF_OK;
	}
	KF_TRY(e);
	return take_description(buf_slice(&file), f, is_private);
}

/* ---- one key ---- */

/* Some cards tell what is left of a use counter where they describe the key's file. */
static kf_err read_counter(struct token *t, struct token_key_facts *f)
{
	struct card_answer a;
	uint8_t id[] = { FID_KEY >> 8, (uint8_t)f->handle };
	KF_TRY(schsm_say(t,
		&(struct card_command){
			.ins = 0xa4, .data = { id, sizeof(id) }, .le = APDU_LE_SHORT },
		&a));
	struct slice uses = tlv_find(tlv_find(tlv_find(a.data, 0x62), 0xa5), 0x90);
	f->has_counter = sw_is_good(a.sw) && uses.n == 4;
	if (!f->has_counter)
		return KF_OK;
	f->uses_left = (uint64_t)uses.p[0] << 24 | (uint64_t)uses.p[1] << 16 |
		       (uint64_t)uses.p[2] << 8 | uses.p[3];
	return KF_OK;
}

static kf_err read_pair(struct token *t, struct token_key_facts *f)
{
	KF_TRY(read_certificate(t, f));
	if (f->has_counter)
		KF_TRY(read_counter(t, f));
	if (f->problem == half_made)
		f->alg = NULL;
	f->can_decrypt &= f->alg && f->alg->family == FAMILY_RSA;
	f->can_agree &= f->alg && f->alg->family == FAMILY_EC;
	return KF_OK;
}

/* To ask one that counts its uses which it is would be a use. */
static kf_err read_secret(struct token *t, struct token_key_facts *f)
{
	if (f->has_counter)
		KF_TRY(read_counter(t, f));
	if (f->has_counter) {
		note(f, "an AES key that counts its uses");
		f->alg = NULL;
	}
	return f->alg ? schsm_read_secret(t, f) : KF_OK;
}

static kf_err read_key(struct token *t, struct token_key_facts *f)
{
	bool is_private;
	f->uses_left = UINT64_MAX;
	f->can_leave = f->has_counter = true; /* as far as is known */
	KF_TRY(read_description(t, f, &is_private));
	KF_TRY(is_private ? read_pair(t, f) : read_secret(t, f));
	f->can_leave &= !f->has_counter;
	f->can_leave &= t->facts.wrapping == WRAPPING_DKEK && !t->facts.shares_missing;
	return KF_OK;
}

static void remember(struct token *t, const struct token_key_facts *f)
{
	t->keys[f->handle] = (struct card_key){ f->alg, f->has_counter };
}

kf_err schsm_read_key(struct token *t, unsigned handle, struct token_key_facts *ret)
{
	struct token_key_facts f = { .handle = handle };
	kf_err e = read_key(t, &f);
	if (!kf_ok(e)) {
		token_key_facts_free(&f);
		return e;
	}
	bool had_counter = t->keys[handle].has_counter;
	f.has_counter |= had_counter;
	remember(t, &f);
	*ret = f;
	return KF_OK;
}

/* What is there without a key.  Two of three cannot be told apart from what a card that was pulled left. */
static void orphan(const struct parts *p, struct token_key_facts *f)
{
	f->problem = p->has_certificate ? "there is a certificate, but no key"
					: "there is a description, but no key";
	f->uses_left = UINT64_MAX;
}

/* ---- all of them ---- */

static void note_part(struct parts *all, unsigned fid)
{
	struct parts *p = &all[fid & 0xff];
	p->has_key |= (fid & 0xff00) == FID_KEY;
	p->has_description |= (fid & 0xff00) == FID_DESCRIPTION;
	p->has_certificate |= (fid & 0xff00) == FID_CERTIFICATE;
}

static kf_err read_parts(struct token *t, struct parts all[CARD_KEYS])
{
	struct slice list;
	KF_TRY(schsm_enumerate(t, &list));
	if (list.n % 2)
		return kf_fail(TOKEN, "the card's list of files is cut");
	for (size_t i = 0; i < list.n; i += 2)
		note_part(all, (unsigned)list.p[i] << 8 | list.p[i + 1]);
	all[0] = (struct parts){ 0 }; /* the device's own */
	return KF_OK;
}

static kf_err add_key(struct token *t, unsigned handle, const struct parts *p,
	struct token_key_list *to)
{
	struct token_key_facts *f = &to->key[to->n];
	*f = (struct token_key_facts){ .handle = handle };
	if (p->has_key)
		KF_TRY(read_key(t, f));
	else
		orphan(p, f);
	f->has_counter |= p->has_key && t->keys[handle].has_counter;
	remember(t, f);
	to->n++;
	return KF_OK;
}

static bool is_same_key(const struct token_key_facts *a, const struct token_key_facts *b)
{
	return a->alg && b->alg && !memcmp(a->key_id, b->key_id, KEY_ID_SIZE);
}

static bool is_same_id(const struct token_key_facts *a, const struct token_key_facts *b)
{
	return a->id_n && a->id_n == b->id_n && !memcmp(a->id, b->id, a->id_n);
}

/* Neither keeps a key from being used: it is known by its public key. */
static void note_doubles(struct token_key_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->n; k++) {
			if (i == k)
				continue;
			if (is_same_key(&l->key[i], &l->key[k]))
				note(&l->key[i], "the token has this key twice");
			else if (is_same_id(&l->key[i], &l->key[k]))
				note(&l->key[i], "another key has the same id (CKA_ID)");
		}
}

kf_err schsm_list_keys(struct token *t, struct token_key_list *ret)
{
	struct parts all[CARD_KEYS] = { 0 };
	struct token_key_list l = { 0, calloc(CARD_KEYS, sizeof(*l.key)) };
	kf_err e = l.key ? read_parts(t, all) : kf_fail(NOMEM, "no memory for a list");
	for (unsigned i = 1; i < CARD_KEYS && kf_ok(e); i++) {
		const struct parts *p = &all[i];
		if (p->has_key || p->has_description || p->has_certificate)
			e = add_key(t, i, p, &l);
		else
			t->keys[i] = (struct card_key){ 0 };
	}
	if (!kf_ok(e)) {
		l.n = l.key ? CARD_KEYS : 0;
		token_key_list_free(&l);
		return e;
	}
	note_doubles(&l);
	token_key_list_free(ret);
	*ret = l;
	return KF_OK;
}
