/* SPDX-License-Identifier: Apache-2.0
 *
 * make: keys come into being on a token, and go.  What fails half way is destroyed again.
 */
#include "base/mem.h"
#include "token/pkcs11/pair.h"
#include "token/pkcs11/public.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { ID_SIZE = 20, CURVE_MAX = 64 };

static const uint8_t exponent[] = { 1, 0, 1 };

/* ---- half keys ---- */

void p11_pair_destroy(struct p11_writer *w, const struct p11_pair *pair)
{
	p11_writer_destroy(w, pair->private);
	p11_writer_destroy(w, pair->public);
	p11_writer_destroy(w, pair->certificate);
	for (size_t i = 0; i < w->token->keys_n; i++)
		if (w->token->key[i].object == pair->private)
			w->token->key[i].is_gone = true;
}

kf_err p11_pair_describe(struct p11_writer *w, const struct p11_pair *pair,
	const struct alg *alg, struct token_key_facts *ret)
{
	struct token_key_facts f;
	KF_TRY(p11_keys_describe(w->token, pair->private, &f));
	kf_err err = f.alg == alg
			     ? p11_prove(w->token, f.handle, buf_slice(&f.spki))
			     : kf_fail(TOKEN, "the token made another key than it was "
					      "asked for");
	if (kf_ok(err))
		*ret = f;
	else
		token_key_facts_free(&f);
	return err;
}

/* ---- generation ---- */

static CK_RV generate_as(struct p11_writer *w, const struct token_new_key *in,
	CK_MECHANISM_TYPE type, const CK_ATTRIBUTE kind[2], struct p11_pair *ret)
{
	CK_MECHANISM mechanism = { type, NULL, 0 };
	bool is_rsa = in->alg->family == FAMILY_RSA, is_ec = in->alg->family == FAMILY_EC;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE, may_leave = in->may_leave,
		 may_more = is_rsa ? in->may_decrypt : in->may_agree;
	struct slice label = slice_of(in->label);
	CK_ATTRIBUTE public[] = { kind[0], P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, no), P11_ATTRIBUTE(CKA_VERIFY, yes),
		P11_BYTES(CKA_LABEL, label), P11_BYTES(CKA_ID, in->id), kind[1] };
	CK_ATTRIBUTE private[] = { P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, yes), P11_ATTRIBUTE(CKA_SENSITIVE, yes),
		P11_ATTRIBUTE(CKA_EXTRACTABLE, may_leave), P11_ATTRIBUTE(CKA_SIGN, yes),
		P11_BYTES(CKA_LABEL, label), P11_BYTES(CKA_ID, in->id),
		P11_ATTRIBUTE(is_rsa ? CKA_DECRYPT : CKA_DERIVE, may_more) };
	size_t public_n = sizeof(public) / sizeof(*public) - !is_rsa;
	size_t private_n = sizeof(private) / sizeof(*private) - !(is_rsa || is_ec);
	return CALL(w->token->module, GenerateKeyPair, w->session, &mechanism, public,
		public_n, private, private_n, &ret->public, &ret->private);
}

static CK_RV generate_rsa(
	struct p11_writer *w, const struct token_new_key *in, struct p11_pair *ret)
{
	CK_ULONG bits = in->alg->bits;
	const CK_ATTRIBUTE kind[] = { P11_ATTRIBUTE(CKA_MODULUS_BITS, bits),
		{ CKA_PUBLIC_EXPONENT, (void *)(uintptr_t)exponent, sizeof(exponent) } };
	return generate_as(w, in, CKM_RSA_PKCS_KEY_PAIR_GEN, kind, ret);
}

/* Ed25519 is named by its OID or, in PKCS#11 3.0's other form, by a printable string. */
static CK_RV generate_curve(
	struct p11_writer *w, const struct token_new_key *in, struct p11_pair *ret)
{
	static const uint8_t printable[] = { 0x13, 12, 'e', 'd', 'w', 'a', 'r', 'd', 's',
		'2', '5', '5', '1', '9' };
	autobuf curve = buf_new(CURVE_MAX);
	bool is_ec = in->alg->family == FAMILY_EC;
	CK_MECHANISM_TYPE type =
		is_ec ? CKM_EC_KEY_PAIR_GEN : CKM_EC_EDWARDS_KEY_PAIR_GEN;
	if (!kf_ok(p11_curve_of(in->alg, &curve)))
		return CKR_CURVE_NOT_SUPPORTED;
	CK_ATTRIBUTE kind[2] = { P11_BYTES(CKA_EC_PARAMS, curve) };
	CK_RV rv = generate_as(w, in, type, kind, ret);
	if (is_ec || rv == CKR_OK || rv == CKR_MECHANISM_INVALID)
		return rv;
	kind[0].pValue = (void *)(uintptr_t)printable;
	kind[0].ulValueLen = sizeof(printable);
	return generate_as(w, in, type, kind, ret);
}

static bool set_id(struct p11_writer *w, CK_OBJECT_HANDLE o, struct slice id)
{
	CK_ATTRIBUTE a = P11_BYTES(CKA_ID, id);
	return CALL(w->token->module, SetAttributeValue, w->session, o, &a, 1) == CKR_OK;
}

/* Its id shall be its own name; on a token that does not let ids change the one at random stays. */
static kf_err name_it(struct p11_writer *w, const struct p11_pair *pair, struct slice old,
	struct token_key_facts *f)
{
	struct slice new = { f->key_id, ID_SIZE };
	if (!set_id(w, pair->private, new))
		return KF_OK;
	if (!set_id(w, pair->public, new) && !set_id(w, pair->private, old))
		return kf_fail(TOKEN, "the halves of a new key cannot be named alike");
	token_key_facts_free(f);
	return p11_keys_describe(w->token, pair->private, f);
}

static kf_err finish(struct p11_writer *w, const struct token_new_key *in,
	const struct p11_pair *pair, bool is_named, struct token_key_facts *ret)
{
	struct token_key_facts f;
	KF_TRY(p11_pair_describe(w, pair, in->alg, &f));
	kf_err err = is_named ? KF_OK : name_it(w, pair, in->id, &f);
	if (kf_ok(err))
		*ret = f;
	else
		token_key_facts_free(&f);
	return err;
}

static kf_err check_new(const struct token_new_key *in)
{
	if (in->uses)
		return kf_fail(UNSUPPORTED, "tokens behind PKCS#11 do not count uses");
	if (in->id.n > TOKEN_ID_MAX)
		return kf_fail(BAD_PARAMETERS, "the id is too long");
	if (in->may_decrypt && in->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt");
	if (in->may_agree && in->alg->family != FAMILY_EC)
		return kf_fail(BAD_PARAMETERS, "only EC keys agree");
	return KF_OK;
}

kf_err p11_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	uint8_t id[ID_SIZE];
	struct p11_pair pair = { 0 };
	struct token_new_key named = *in;
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	KF_TRY(check_new(in));
	if (in->alg->family == FAMILY_AES)
		return p11_secret_generate(t, in, ret);
	if (RAND_bytes(id, sizeof(id)) != 1)
		return kf_fail(CRYPTO, "random bytes");
	if (!in->id.n)
		named.id = (struct slice){ id, sizeof(id) };
	KF_TRY(p11_writer_open(t, &w));
	KF_TRY(p11_outcome(in->alg->family == FAMILY_RSA
				   ? generate_rsa(&w, &named, &pair)
				   : generate_curve(&w, &named, &pair)));
	kf_err err = finish(&w, &named, &pair, in->id.n != 0, ret);
	if (!kf_ok(err))
		p11_pair_destroy(&w, &pair);
	return err;
}

/* ---- deletion ---- */

static kf_err destroy_all(struct p11_writer *w, const struct p11_objects *objects)
{
	for (size_t i = 0; i < objects->n; i++)
		KF_TRY(p11_outcome(CALL(w->token->module, DestroyObject, w->session,
			objects->object[i])));
	return KF_OK;
}

kf_err p11_delete(struct token *t, unsigned handle)
{
	struct p11_key *key;
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	CLEANUP(mem_freep) struct p11_objects *beside = calloc(2, sizeof(*beside));
	if (!beside)
		return kf_fail(NOMEM, "objects");
	if (handle >= t->keys_n || t->key[handle].is_gone)
		return kf_fail(NOT_FOUND, "no such key on the token");
	key = &t->key[handle]; /* those with a problem can be deleted too */
	KF_TRY(p11_keys_find_beside(t, key, CKO_PUBLIC_KEY, &beside[0]));
	KF_TRY(p11_keys_find_beside(t, key, CKO_CERTIFICATE, &beside[1]));
	KF_TRY(p11_writer_open(t, &w));
	KF_TRY(p11_outcome(CALL(t->module, DestroyObject, w.session, key->object)));
	key->is_gone = true;
	KF_TRY(destroy_all(&w, &beside[0]));
	return destroy_all(&w, &beside[1]);
}

/* ---- certificates ---- */

static kf_err check_certificate(const struct p11_key *key, struct slice der)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	uint8_t id[KEY_ID_SIZE];
	if (!key->id_n)
		return kf_fail(UNSUPPORTED, "the key has no id (CKA_ID) to go by");
	if (!kf_ok(p11_public_of_certificate(der, &public)))
		return kf_fail(BAD_PARAMETERS, "the certificate cannot be read");
	pubkey_id(public, id);
	return memcmp(id, key->key_id, sizeof(id)) == 0
		       ? KF_OK
		       : kf_fail(BAD_PARAMETERS, "the certificate is for another key");
}

kf_err p11_store_certificate(struct token *t, unsigned handle,
	enum token_certificate_kind kind, struct slice der)
{
	struct p11_key *key;
	CK_OBJECT_HANDLE new;
	struct token_key_facts f;
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	CLEANUP(mem_freep) struct p11_objects *old = calloc(1, sizeof(*old));
	if (!old)
		return kf_fail(NOMEM, "objects");
	if (kind != CERTIFICATE_OF_KEY)
		return kf_fail(UNSUPPORTED, "PKCS#11 has no object for certification "
					    "requests; keep the file");
	KF_TRY(p11_keys_get(t, handle, &key));
	KF_TRY(check_certificate(key, der));
	KF_TRY(p11_keys_find_beside(t, key, CKO_CERTIFICATE, old));
	KF_TRY(p11_writer_open(t, &w));
	KF_TRY(p11_keys_describe(t, key->object, &f));
	kf_err err = p11_writer_create_certificate(&w, der, &f, &new);
	token_key_facts_free(&f);
	KF_TRY(err);
	return destroy_all(&w, old);
}
