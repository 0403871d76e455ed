/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap: keys travel under an AES key that all tokens of a pool hold: PKCS#8 under RFC 5649, as
 * CKM_AES_KEY_WRAP_KWP and CKM_AES_KEY_WRAP_PAD make it.  It can wrap and unwrap and nothing else, and
 * never leaves its token.  Its CKA_ID is its key check value: encrypting zeroes would need a right
 * that it better has not.
 */
#include "base/mem.h"
#include "crypt/ossl.h"
#include "token/pkcs11/pair.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { WRAPPED_MAX = 16384, CHECK_VALUE_SIZE = 3, AES_BLOCK = 16, ID_SIZE = 20 };

static const char label_of_wrapping_key[] = "keyfleet wrapping key";

/* ---- the wrapping key ---- */

static bool encrypt_zeroes(struct token *t, uint8_t ret[TOKEN_KCV_SIZE])
{
	CK_BYTE zeroes[AES_BLOCK] = { 0 }, out[2 * AES_BLOCK];
	CK_ULONG n = sizeof(out);
	CK_MECHANISM ecb = { CKM_AES_ECB, NULL, 0 };
	if (!t->has[P11_AES_ECB] ||
		!p11_object_get_flag(t, t->wrapping_key, CKA_ENCRYPT, false) ||
		CALL(t->module, EncryptInit, t->session, &ecb, t->wrapping_key) !=
			CKR_OK ||
		CALL(t->module, Encrypt, t->session, zeroes, sizeof(zeroes), out, &n) !=
			CKR_OK ||
		n != AES_BLOCK)
		return false;
	memcpy(ret, out, TOKEN_KCV_SIZE);
	return true;
}

/* What we wrote there, unless the token says otherwise. */
static bool read_id(struct token *t, uint8_t ret[TOKEN_KCV_SIZE])
{
	uint8_t id[TOKEN_KCV_SIZE], check[CHECK_VALUE_SIZE];
	CK_ATTRIBUTE a = P11_ATTRIBUTE(CKA_ID, id);
	CK_ATTRIBUTE c = P11_ATTRIBUTE(CKA_CHECK_VALUE, check);
	if (!kf_ok(p11_object_get(t, t->wrapping_key, &a)) || a.ulValueLen != sizeof(id))
		return false;
	if (kf_ok(p11_object_get(t, t->wrapping_key, &c)) &&
		c.ulValueLen == sizeof(check) && memcmp(check, id, sizeof(check)) != 0)
		return false;
	memcpy(ret, id, sizeof(id));
	return true;
}

void p11_find_wrapping_key(struct token *t)
{
	struct token_facts *f = &t->facts;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_BBOOL yes = CK_TRUE;
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		{ CKA_LABEL, (void *)(uintptr_t)label_of_wrapping_key,
			sizeof(label_of_wrapping_key) - 1 } };
	CLEANUP(mem_freep) struct p11_objects *found = malloc(sizeof(*found));
	t->wrapping_keys = 0;
	f->wrapping = WRAPPING_NONE;
	f->has_kcv = false;
	if (!found || !kf_ok(p11_object_find(t, template, 4, found)))
		return;
	t->wrapping_keys = found->n;
	if (found->n != 1)
		return;
	t->wrapping_key = found->object[0];
	f->has_kcv = encrypt_zeroes(t, f->kcv) || read_id(t, f->kcv);
	if (t->has[P11_WRAP_KWP] || t->has[P11_WRAP_PAD])
		f->wrapping = WRAPPING_AES;
}

static kf_err kcv_of(const uint8_t key[32], uint8_t ret[TOKEN_KCV_SIZE])
{
	uint8_t zeroes[AES_BLOCK] = { 0 }, out[2 * AES_BLOCK];
	int n = 0;
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || !EVP_EncryptInit_ex2(ctx, EVP_aes_256_ecb(), key, NULL, NULL) ||
		!EVP_EncryptUpdate(ctx, out, &n, zeroes, sizeof(zeroes)) ||
		n != AES_BLOCK)
		return ossl_fail(CRYPTO, "key check value");
	memcpy(ret, out, TOKEN_KCV_SIZE);
	return KF_OK;
}

static kf_err create_wrapping_key(
	struct token *t, const uint8_t key[32], const uint8_t kcv[TOKEN_KCV_SIZE])
{
	CK_OBJECT_HANDLE o;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	struct slice label = SLICE_LIT(label_of_wrapping_key),
		     id = { kcv, TOKEN_KCV_SIZE }, value = { key, 32 };
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, yes), P11_ATTRIBUTE(CKA_SENSITIVE, yes),
		P11_ATTRIBUTE(CKA_EXTRACTABLE, no), P11_ATTRIBUTE(CKA_WRAP, yes),
		P11_ATTRIBUTE(CKA_UNWRAP, yes), P11_ATTRIBUTE(CKA_ENCRYPT, no),
		P11_ATTRIBUTE(CKA_DECRYPT, no), P11_BYTES(CKA_LABEL, label),
		P11_BYTES(CKA_ID, id), P11_BYTES(CKA_VALUE, value) };
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	KF_TRY(p11_writer_open(t, &w));
	return p11_writer_create(&w, template, sizeof(template) / sizeof(*template), &o);
}

kf_err p11_import_share(struct token *t, const uint8_t share[32])
{
	uint8_t kcv[TOKEN_KCV_SIZE];
	KF_TRY(kcv_of(share, kcv));
	p11_find_wrapping_key(t);
	if (t->wrapping_keys) {
		bool is_same =
			t->facts.has_kcv && !memcmp(kcv, t->facts.kcv, sizeof(kcv));
		return is_same ? KF_OK
			       : kf_fail(EXISTS, "the token has another wrapping key");
	}
	struct secret {
		uint8_t bytes[32];
	} *copy = secret_alloc(sizeof(*copy));
	if (!copy)
		return kf_fail(NOMEM, "no locked memory for the wrapping key");
	memcpy(copy->bytes, share, sizeof(copy->bytes));
	kf_err err = create_wrapping_key(t, copy->bytes, kcv);
	secret_free(copy);
	/* Some modules call it a failure: a token that is well afterwards only cannot. */
	bool is_well = kf_is(err, KF_E_TOKEN) && kf_ok(p11_probe(t));
	if (is_well || kf_is(err, KF_E_UNSUPPORTED))
		return kf_fail(UNSUPPORTED,
			"the token takes no AES key from outside: its keys cannot be "
			"copied to others; use tokens of another kind, or a key on one "
			"token only");
	KF_TRY(err);
	p11_find_wrapping_key(t);
	return t->wrapping_keys == 1 ? KF_OK
				     : kf_fail(TOKEN, "the wrapping key was not kept");
}

static kf_err pick_mechanism(const struct token *t, CK_MECHANISM *ret)
{
	if (!t->has[P11_WRAP_KWP] && !t->has[P11_WRAP_PAD])
		return kf_fail(UNSUPPORTED,
			"the token has neither CKM_AES_KEY_WRAP_KWP nor "
			"CKM_AES_KEY_WRAP_PAD: its keys stay where they are");
	if (t->wrapping_keys > 1)
		return kf_fail(UNSUPPORTED,
			"the token has several wrapping keys: delete all but one");
	if (!t->wrapping_keys)
		return kf_fail(
			UNSUPPORTED, "the token has no wrapping key: import one first");
	*ret = (CK_MECHANISM){
		t->has[P11_WRAP_KWP] ? CK_AES_KEY_WRAP_KWP : CKM_AES_KEY_WRAP_PAD, NULL, 0
	};
	return KF_OK;
}

/* ---- out ---- */

static kf_err wrap_into(struct token *t, CK_OBJECT_HANDLE object, struct buf *ret)
{
	CK_MECHANISM mechanism;
	CK_ULONG n = WRAPPED_MAX;
	KF_TRY(pick_mechanism(t, &mechanism));
	uint8_t *p = buf_reserve(ret, n);
	if (!p)
		return buf_err(ret);
	KF_TRY(p11_outcome(CALL(t->module, WrapKey, t->session, &mechanism,
		t->wrapping_key, object, p, &n)));
	if (n == 0 || n > WRAPPED_MAX)
		return kf_fail(TOKEN, "a wrapped key has an impossible length");
	buf_commit(ret, n);
	return KF_OK;
}

kf_err p11_wrap(struct token *t, unsigned handle, struct token_blob *ret)
{
	struct p11_key *key;
	struct token_key_facts f;
	KF_TRY(p11_keys_get(t, handle, &key));
	autobuf wrapped = buf_new(WRAPPED_MAX);
	KF_TRY(wrap_into(t, key->object, &wrapped));
	KF_TRY(key->alg->family == FAMILY_AES ? p11_secret_describe(t, key->object, &f)
					      : p11_keys_describe(t, key->object, &f));
	struct token_blob blob = { .wrapping = WRAPPING_AES,
		.alg = f.alg,
		.may_decrypt = f.can_decrypt,
		.may_agree = f.can_agree,
		.wrapped = wrapped,
		.spki = f.spki,
		.certificate = f.certificate,
		.id_n = f.id_n };
	memcpy(blob.kcv, t->facts.kcv, sizeof(blob.kcv));
	memcpy(blob.key_id, f.key_id, sizeof(blob.key_id));
	memcpy(blob.label, f.label, sizeof(blob.label));
	memcpy(blob.id, f.id, sizeof(blob.id));
	wrapped = buf_new(0); /* the blob's now, as the parts of the facts are */
	*ret = blob;
	return KF_OK;
}

/* ---- in ---- */

static kf_err unwrap_private(struct p11_writer *w, const struct token_blob *blob,
	const struct token_key_facts *names, CK_OBJECT_HANDLE *ret)
{
	struct token *t = w->token;
	CK_OBJECT_HANDLE o = 0;
	CK_MECHANISM mechanism;
	KF_TRY(pick_mechanism(t, &mechanism));
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = blob->alg->family == FAMILY_RSA  ? CKK_RSA
			   : blob->alg->family == FAMILY_EC ? CKK_EC
							    : CKK_EC_EDWARDS;
	bool is_rsa = type == CKK_RSA;
	CK_BBOOL yes = CK_TRUE, may_more = is_rsa ? blob->may_decrypt : blob->may_agree;
	struct slice label = slice_of(names->label), id = { names->id, names->id_n };
	CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, yes), P11_ATTRIBUTE(CKA_SENSITIVE, yes),
		P11_ATTRIBUTE(CKA_EXTRACTABLE, yes), P11_ATTRIBUTE(CKA_SIGN, yes),
		P11_BYTES(CKA_LABEL, label), P11_BYTES(CKA_ID, id),
		P11_ATTRIBUTE(is_rsa ? CKA_DECRYPT : CKA_DERIVE, may_more) };
	size_t n = sizeof(template) / sizeof(*template) - (!is_rsa && !may_more);
	KF_TRY(p11_outcome(CALL(t->module, UnwrapKey, w->session, &mechanism,
		t->wrapping_key, blob->wrapped.p, blob->wrapped.n, template, n, &o)));
	*ret = o;
	return KF_OK;
}

static kf_err unwrap_all(struct p11_writer *w, const struct token_blob *blob,
	const struct token_key_facts *names, struct p11_pair *pair)
{
	KF_TRY(unwrap_private(w, blob, names, &pair->private));
	KF_TRY(p11_writer_create_public(w, buf_slice(&blob->spki), names, &pair->public));
	return blob->certificate.n
		       ? p11_writer_create_certificate(w, buf_slice(&blob->certificate),
				 names, &pair->certificate)
		       : KF_OK;
}

/* The public object is ours; that it and the private one belong together is proved. */
static kf_err check_unwrapped(struct p11_writer *w, const struct token_blob *blob,
	const struct p11_pair *pair, struct token_key_facts *ret)
{
	struct token_key_facts f;
	KF_TRY(p11_pair_describe(w, pair, blob->alg, &f));
	if (!slice_eq(buf_slice(&f.spki), buf_slice(&blob->spki))) {
		token_key_facts_free(&f);
		return kf_fail(CRYPTO, "another key was in the blob than it says");
	}
	*ret = f;
	return KF_OK;
}

static kf_err check_wrapping(struct token *t, const struct token_blob *blob)
{
	if (blob->wrapping != WRAPPING_AES || !blob->alg || !blob->wrapped.n)
		return kf_fail(UNSUPPORTED, "the key is not wrapped for PKCS#11 tokens");
	if (blob->id_n > TOKEN_ID_MAX)
		return kf_fail(BAD_PARAMETERS, "the blob contradicts itself");
	if (t->facts.has_kcv && memcmp(blob->kcv, t->facts.kcv, TOKEN_KCV_SIZE) != 0)
		return kf_fail(CONFLICT, "the key is wrapped with another wrapping key "
					 "than the token has");
	return KF_OK;
}

static kf_err check_blob(struct token *t, const struct token_blob *blob)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	uint8_t key_id[KEY_ID_SIZE];
	KF_TRY(check_wrapping(t, blob));
	token_blob_id(blob, key_id);
	if (blob->alg->family != FAMILY_AES) {
		KF_TRY(pubkey_parse(buf_slice(&blob->spki), &public));
		if (pubkey_alg(public) != blob->alg)
			return kf_fail(BAD_PARAMETERS, "the blob contradicts itself");
	}
	return p11_keys_has(t, key_id) ? kf_fail(EXISTS, "the token has the key already")
				       : KF_OK;
}

static void take_names(const struct token_blob *blob, struct token_key_facts *ret)
{
	*ret = (struct token_key_facts){ .id_n = blob->id_n };
	memcpy(ret->label, blob->label, sizeof(ret->label));
	memcpy(ret->id, blob->id, blob->id_n);
	if (blob->id_n)
		return;
	spki_id(buf_slice(&blob->spki), ret->key_id);
	memcpy(ret->id, ret->key_id, ID_SIZE);
	ret->id_n = ID_SIZE;
}

kf_err p11_unwrap(
	struct token *t, const struct token_blob *blob, struct token_key_facts *ret)
{
	struct token_key_facts names;
	struct p11_pair pair = { 0 };
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	KF_TRY(check_blob(t, blob));
	take_names(blob, &names);
	KF_TRY(p11_writer_open(t, &w));
	if (blob->alg->family == FAMILY_AES) {
		CK_MECHANISM mechanism;
		KF_TRY(pick_mechanism(t, &mechanism));
		return p11_secret_unwrap(&w, &mechanism, blob, ret);
	}
	kf_err err = unwrap_all(&w, blob, &names, &pair);
	if (kf_ok(err))
		err = check_unwrapped(&w, blob, &pair, ret);
	if (!kf_ok(err))
		p11_pair_destroy(&w, &pair);
	return err;
}
