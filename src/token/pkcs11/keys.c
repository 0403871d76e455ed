/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: a key is known by its public half, which is in the private object, in a public one, or in a
 * certificate with the same CKA_ID.  Labels and ids are not trusted: whoever uses a key proves first
 * that it belongs to what is said here.
 */
#include "base/mem.h"
#include "token/pkcs11/private.h"
#include "token/pkcs11/public.h"
#include "token/text.h"
#include <stdlib.h>
#include <string.h>

enum {
	NUMBER_MAX = 2048,
	CERTIFICATE_BYTES_MAX = 65536,
	HANDLES_MAX = 4 * TOKEN_KEYS_MAX
};

/* ---- public halves ---- */

static kf_err public_of_info(struct token *t, CK_OBJECT_HANDLE o, struct pubkey **ret)
{
	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(p11_object_get_buf(t, o, CKA_PUBLIC_KEY_INFO, &spki));
	return pubkey_parse(buf_slice(&spki), ret);
}

static kf_err public_of_numbers(
	struct token *t, CK_OBJECT_HANDLE o, CK_KEY_TYPE type, struct pubkey **ret)
{
	bool is_rsa = type == CKK_RSA;
	autobuf a = buf_new(NUMBER_MAX), b = buf_new(NUMBER_MAX);
	KF_TRY(p11_object_get_buf(t, o, is_rsa ? CKA_MODULUS : CKA_EC_PARAMS, &a));
	KF_TRY(p11_object_get_buf(t, o, is_rsa ? CKA_PUBLIC_EXPONENT : CKA_EC_POINT, &b));
	if (is_rsa)
		return p11_public_of_rsa(buf_slice(&a), buf_slice(&b), ret);
	return type == CKK_EC ? p11_public_of_ec(buf_slice(&a), buf_slice(&b), ret)
			      : p11_public_of_ed25519(buf_slice(&b), ret);
}

static kf_err public_of_certificate(
	struct token *t, CK_OBJECT_HANDLE o, struct pubkey **ret)
{
	autobuf der = buf_new(CERTIFICATE_BYTES_MAX);
	KF_TRY(p11_object_get_buf(t, o, CKA_VALUE, &der));
	return p11_public_of_certificate(buf_slice(&der), ret);
}

static kf_err public_of_object(
	struct token *t, CK_OBJECT_HANDLE o, CK_OBJECT_CLASS class, struct pubkey **ret)
{
	CK_ULONG type = 0;
	if (class == CKO_CERTIFICATE)
		return public_of_certificate(t, o, ret);
	if (kf_ok(public_of_info(t, o, ret)))
		return KF_OK;
	KF_TRY(p11_object_get_number(t, o, CKA_KEY_TYPE, &type));
	if (type != CKK_RSA && type != CKK_EC && type != CKK_EC_EDWARDS)
		return kf_fail(KEY_FORMAT, "a kind of key that keyfleet does not know");
	return public_of_numbers(t, o, type, ret);
}

static kf_err find_by_id(
	struct token *t, CK_OBJECT_CLASS class, struct slice id, struct p11_objects *ret)
{
	CK_BBOOL yes = CK_TRUE;
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_TOKEN, yes),
		{ CKA_ID, (void *)(uintptr_t)id.p, id.n } };
	return p11_object_find(t, template, 3, ret);
}

/* What objects of one class beside the private one say. */
struct search {
	struct token *token;
	struct slice id;
	CK_ULONG type; /* of the private key; what is of another is not meant */
	struct pubkey *found;
	bool is_ambiguous;
};

static CK_ULONG type_of(const struct pubkey *public)
{
	switch (pubkey_alg(public)->family) {
	case FAMILY_RSA: return CKK_RSA;
	case FAMILY_EC: return CKK_EC;
	case FAMILY_AES:
	case FAMILY_ED25519:
	default: return CKK_EC_EDWARDS;
	}
}

static void consider(struct search *s, struct pubkey **candidate)
{
	if (type_of(*candidate) != s->type)
		return;
	if (!s->found) {
		s->found = *candidate;
		*candidate = NULL;
		return;
	}
	s->is_ambiguous |= !slice_eq(pubkey_spki(s->found), pubkey_spki(*candidate));
}

static kf_err search_class(struct search *s, CK_OBJECT_CLASS class)
{
	CLEANUP(mem_freep) struct p11_objects *beside = malloc(sizeof(*beside));
	if (!beside)
		return kf_fail(NOMEM, "objects");
	KF_TRY(find_by_id(s->token, class, s->id, beside));
	for (size_t i = 0; i < beside->n; i++) {
		CLEANUP(pubkey_freep) struct pubkey *candidate = NULL;
		kf_err err =
			public_of_object(s->token, beside->object[i], class, &candidate);
		if (kf_ok(err))
			consider(s, &candidate);
		else if (kf_is(err, KF_E_TOKEN) || kf_is(err, KF_E_CLOSED))
			return err;
	}
	return KF_OK;
}

/* Written even when there is none: then `problem` says why. */
static kf_err find_public(struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f,
	struct pubkey **ret)
{
	struct search s = {
		.token = t, .id = { f->id, f->id_n }, .type = CK_UNAVAILABLE_INFORMATION
	};
	kf_err own = public_of_object(t, o, CKO_PRIVATE_KEY, ret);
	if (kf_ok(own))
		return KF_OK;
	kf_err err = p11_object_get_number(t, o, CKA_KEY_TYPE, &s.type);
	if (kf_is(err, KF_E_NOT_FOUND))
		err = KF_OK; /* nothing fits, then */
	if (f->id_n && kf_ok(err))
		err = search_class(&s, CKO_PUBLIC_KEY);
	if (f->id_n && kf_ok(err) && !s.found)
		err = search_class(&s, CKO_CERTIFICATE);
	if (s.is_ambiguous) {
		pubkey_free(s.found);
		s.found = NULL;
		f->problem = "several public keys have its id (CKA_ID)";
	} else if (!s.found) {
		f->problem =
			kf_is(own, KF_E_NOT_FOUND)
				? "it has no public key or certificate with its id "
				  "(CKA_ID)"
				: "its public key is damaged, or of a kind that keyfleet "
				  "does not know";
	}
	*ret = s.found;
	return err;
}

/* ---- the private object ---- */

kf_err p11_keys_read_names(struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f)
{
	uint8_t label[TOKEN_LABEL_SIZE];
	CK_ATTRIBUTE a = P11_ATTRIBUTE(CKA_LABEL, label);
	kf_err err = p11_object_get(t, o, &a);
	if (kf_ok(err))
		text_of_field(label, a.ulValueLen, f->label, sizeof(f->label));
	else if (!kf_is(err, KF_E_NOT_FOUND) && !kf_is(err, KF_E_TOO_BIG))
		return err;

	a = (CK_ATTRIBUTE)P11_ATTRIBUTE(CKA_ID, f->id);
	err = p11_object_get(t, o, &a);
	if (kf_ok(err))
		f->id_n = a.ulValueLen;
	else if (kf_is(err, KF_E_TOO_BIG))
		f->problem = "its id (CKA_ID) is too long";
	else if (!kf_is(err, KF_E_NOT_FOUND))
		return err;
	return KF_OK;
}

static bool has_mechanism(const struct token *t, enum alg_family family)
{
	switch (family) {
	case FAMILY_RSA: return t->has[P11_RSA_PKCS] || t->has[P11_RSA_RAW];
	case FAMILY_EC: return t->has[P11_ECDSA];
	case FAMILY_AES: return false;
	case FAMILY_ED25519:
	default: return t->has[P11_EDDSA];
	}
}

static void read_uses(struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f)
{
	f->uses_left = UINT64_MAX;
	f->can_sign = has_mechanism(t, f->alg->family) &&
		      p11_object_get_flag(t, o, CKA_SIGN, true);
	f->can_decrypt = f->alg->family == FAMILY_RSA && t->has[P11_RSA_RAW_OPEN] &&
			 p11_object_get_flag(t, o, CKA_DECRYPT, false);
	f->can_agree = f->alg->family == FAMILY_EC && t->has[P11_ECDH] &&
		       p11_object_get_flag(t, o, CKA_DERIVE, false);
	f->can_leave = t->facts.wrapping == WRAPPING_AES &&
		       p11_object_get_flag(t, o, CKA_EXTRACTABLE, false) &&
		       !p11_object_get_flag(t, o, CKA_WRAP_WITH_TRUSTED, false);
}

static kf_err read_certificate(struct token *t, struct token_key_facts *f)
{
	CLEANUP(mem_freep)
	struct p11_objects *certificates = malloc(sizeof(*certificates));
	if (!certificates)
		return kf_fail(NOMEM, "objects");
	if (!f->id_n)
		return KF_OK;
	KF_TRY(find_by_id(
		t, CKO_CERTIFICATE, (struct slice){ f->id, f->id_n }, certificates));
	for (size_t i = 0; i < certificates->n && !f->certificate.n; i++) {
		autobuf der = buf_new(CERTIFICATE_BYTES_MAX);
		CLEANUP(pubkey_freep) struct pubkey *public = NULL;
		if (!kf_ok(p11_object_get_buf(
			    t, certificates->object[i], CKA_VALUE, &der)) ||
			!kf_ok(p11_public_of_certificate(buf_slice(&der), &public)) ||
			!slice_eq(pubkey_spki(public), buf_slice(&f->spki)))
			continue;
		f->certificate = der;
		der = buf_new(0);
	}
	return KF_OK;
}

static kf_err take_public(struct token_key_facts *f, const struct pubkey *public)
{
	f->alg = pubkey_alg(public);
	pubkey_id(public, f->key_id);
	f->spki = buf_new(SPKI_MAX);
	buf_add_slice(&f->spki, pubkey_spki(public));
	return buf_err(&f->spki);
}

static kf_err describe(struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	KF_TRY(p11_keys_read_names(t, o, f));
	KF_TRY(find_public(t, o, f, &public));
	if (!public)
		return KF_OK;
	KF_TRY(take_public(f, public));
	read_uses(t, o, f);
	return read_certificate(t, f);
}

/* ---- handles ---- */

static kf_err grow(struct token *t)
{
	size_t cap = t->keys_cap ? 2 * t->keys_cap : 16;
	if (t->keys_n < t->keys_cap)
		return KF_OK;
	if (cap > HANDLES_MAX)
		return kf_fail(TOKEN, "more keys came and went than there are handles");
	struct p11_key *key = realloc(t->key, cap * sizeof(*key));
	if (!key)
		return kf_fail(NOMEM, "keys");
	t->key = key;
	t->keys_cap = cap;
	return KF_OK;
}

static size_t signature_size(const struct alg *alg)
{
	size_t bytes = (alg->bits + 7) / 8;
	return alg->family == FAMILY_RSA ? bytes : 2 * bytes;
}

/* The same object with the same public key keeps its handle. */
kf_err p11_keys_give_handle(struct token *t, CK_OBJECT_HANDLE o,
	const struct token_key_facts *f, unsigned *ret)
{
	size_t i = 0;
	while (i < t->keys_n &&
		(t->key[i].object != o || t->key[i].alg != f->alg ||
			memcmp(t->key[i].key_id, f->key_id, KEY_ID_SIZE) != 0))
		i++;
	if (i == t->keys_n) {
		KF_TRY(grow(t));
		t->keys_n++;
	}
	struct p11_key *key = &t->key[i];
	*key = (struct p11_key){ .object = o, .alg = f->alg, .id_n = f->id_n };
	memcpy(key->key_id, f->key_id, KEY_ID_SIZE);
	memcpy(key->id, f->id, f->id_n);
	key->sig_n = f->alg ? signature_size(f->alg) : 0;
	key->asks_pin = p11_object_get_flag(t, o, CKA_ALWAYS_AUTHENTICATE, false);
	*ret = (unsigned)i;
	return KF_OK;
}

kf_err p11_keys_describe(
	struct token *t, CK_OBJECT_HANDLE object, struct token_key_facts *ret)
{
	struct token_key_facts f = { 0 };
	kf_err err = describe(t, object, &f);
	if (kf_ok(err))
		err = p11_keys_give_handle(t, object, &f, &f.handle);
	if (kf_ok(err))
		*ret = f;
	else
		token_key_facts_free(&f);
	return err;
}

kf_err p11_keys_get(struct token *t, unsigned handle, struct p11_key **ret)
{
	if (handle >= t->keys_n || t->key[handle].is_gone)
		return kf_fail(NOT_FOUND, "no such key on the token");
	if (!t->key[handle].alg)
		return kf_fail(UNSUPPORTED, "the key has a problem");
	*ret = &t->key[handle];
	return KF_OK;
}

bool p11_keys_has(struct token *t, const uint8_t key_id[KEY_ID_SIZE])
{
	for (size_t i = 0; i < t->keys_n; i++)
		if (!t->key[i].is_gone && t->key[i].alg &&
			!memcmp(t->key[i].key_id, key_id, KEY_ID_SIZE))
			return true;
	return false;
}

kf_err p11_keys_find_beside(struct token *t, const struct p11_key *key,
	CK_OBJECT_CLASS class, struct p11_objects *ret)
{
	size_t n = 0;
	ret->n = 0;
	if (!key->id_n)
		return KF_OK;
	KF_TRY(find_by_id(t, class, (struct slice){ key->id, key->id_n }, ret));
	for (size_t i = 0; i < ret->n; i++) {
		CLEANUP(pubkey_freep) struct pubkey *public = NULL;
		uint8_t id[KEY_ID_SIZE];
		if (!kf_ok(public_of_object(t, ret->object[i], class, &public)))
			continue;
		pubkey_id(public, id);
		if (!memcmp(id, key->key_id, sizeof(id)))
			ret->object[n++] = ret->object[i];
	}
	ret->n = n;
	return KF_OK;
}

/* ---- the list ---- */

/* Keys of AES that are nobody's business here are left out. */
static kf_err list_secrets(
	struct token *t, const struct p11_objects *found, struct token_key_list *list)
{
	for (size_t i = 0; i < found->n; i++) {
		kf_err err =
			p11_secret_describe(t, found->object[i], &list->key[list->n]);
		if (kf_is(err, KF_E_NOT_FOUND))
			continue;
		KF_TRY(err);
		list->n++;
	}
	return KF_OK;
}

/* found[0]: private keys; found[1]: those of AES. */
static kf_err list_into(
	struct token *t, const struct p11_objects found[2], struct token_key_list *list)
{
	list->key = calloc(found[0].n + found[1].n + 1, sizeof(*list->key));
	if (!list->key)
		return kf_fail(NOMEM, "keys");
	for (size_t i = 0; i < t->keys_n; i++)
		t->key[i].is_gone = true;
	for (; list->n < found[0].n; list->n++)
		KF_TRY(p11_keys_describe(
			t, found[0].object[list->n], &list->key[list->n]));
	return list_secrets(t, &found[1], list);
}

kf_err p11_keys_list(struct token *t, struct token_key_list *ret)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE;
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_TOKEN, yes) };
	struct token_key_list list = { 0 };
	CLEANUP(mem_freep) struct p11_objects *found = calloc(2, sizeof(*found));
	if (!found)
		return kf_fail(NOMEM, "objects");
	KF_TRY(p11_object_find(t, template, 2, &found[0]));
	KF_TRY(p11_secret_find(t, &found[1]));
	kf_err err = list_into(t, found, &list);
	if (kf_ok(err)) {
		token_key_list_free(ret);
		*ret = list;
	} else {
		token_key_list_free(&list);
	}
	return err;
}
