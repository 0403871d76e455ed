/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: AES keys that the token made, or unwrapped.  They may do all that AES keys do but wrap: what they may be used
 * for is the key server's to say, and a token that wraps with them would let others of its keys out.
 */
#include "base/mem.h"
#include "token/pkcs11/pair.h"
#include "token/pkcs11/private.h"
#include "token/use.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { ID_SIZE = 20 };

/* ---- which there are ---- */

kf_err p11_secret_find(struct token *t, struct p11_objects *ret)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_BBOOL yes = CK_TRUE;
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_SIGN, yes) };
	return p11_object_find(t, template, 4, ret);
}

/* SoftHSM does not know how long a key is that it unwrapped. */
static kf_err read_alg(struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f)
{
	CK_ULONG bytes = 0;
	const kf_err err = p11_object_get_number(t, o, CKA_VALUE_LEN, &bytes);
	if (!kf_is(err, KF_E_NOT_FOUND))
		KF_TRY(err);
	f->alg = bytes <= 32 ? alg_aes((uint32_t)bytes * 8) : NULL;
	return f->alg ? KF_OK : kf_fail(NOT_FOUND, "no length that AES keys have");
}

static kf_err mac(const struct p11_operation *o, uint8_t ret[USE_MAC_SIZE])
{
	size_t n = 0;
	struct p11_operation m = *o;
	m.kind = P11_SIGN;
	m.mechanism = (CK_MECHANISM){ CKM_AES_CMAC, NULL, 0 };
	m.out = ret;
	m.out_size = USE_MAC_SIZE;
	KF_TRY(p11_operate(&m, &n));
	return n == USE_MAC_SIZE ? KF_OK : kf_fail(TOKEN, "a CMAC has the wrong length");
}

/* It says itself which key it is. */
static kf_err read_id(struct token *t, CK_OBJECT_HANDLE object, struct token_key_facts *f)
{
	uint8_t made[USE_MAC_SIZE];
	const struct p11_key key = { .object = object, .alg = f->alg };
	const struct p11_operation o = { .token = t, .key = &key, .in = use_challenge };
	const kf_err err = mac(&o, made);
	if (kf_is(err, KF_E_UNSUPPORTED) || kf_is(err, KF_E_BAD_PARAMETERS) ||
		kf_is(err, KF_E_DENIED))
		return kf_fail(NOT_FOUND, "the key makes no CMAC");
	KF_TRY(err);
	use_key_id(made, f->key_id);
	return KF_OK;
}

kf_err p11_secret_describe(
	struct token *t, CK_OBJECT_HANDLE object, struct token_key_facts *ret)
{
	struct token_key_facts f = { .uses_left = UINT64_MAX };
	if (!t->has[P11_AES_CMAC])
		return kf_fail(NOT_FOUND, "the token makes no CMAC (CKM_AES_CMAC)");
	KF_TRY(p11_keys_read_names(t, object, &f));
	if (p11_object_get_flag(t, object, CKA_WRAP, false))
		return kf_fail(NOT_FOUND, "a key that wraps is none of ours");
	KF_TRY(read_alg(t, object, &f));
	KF_TRY(read_id(t, object, &f));
	f.can_leave = t->facts.wrapping == WRAPPING_AES &&
		      p11_object_get_flag(t, object, CKA_EXTRACTABLE, false) &&
		      !p11_object_get_flag(t, object, CKA_WRAP_WITH_TRUSTED, false);
	KF_TRY(p11_keys_give_handle(t, object, &f, &f.handle));
	*ret = f;
	return KF_OK;
}

/* ---- where they come from ---- */

/* The same for those that are made and those that come. */
struct wish {
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;
	CK_BBOOL yes, no, may_leave;
	CK_ULONG bytes;
	struct slice label, id;
};

enum { WISHES = 14 };

static size_t put_wish(struct wish *w, CK_ATTRIBUTE to[WISHES])
{
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, w->class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, w->type), P11_ATTRIBUTE(CKA_TOKEN, w->yes),
		P11_ATTRIBUTE(CKA_PRIVATE, w->yes), P11_ATTRIBUTE(CKA_SENSITIVE, w->yes),
		P11_ATTRIBUTE(CKA_EXTRACTABLE, w->may_leave),
		P11_ATTRIBUTE(CKA_ENCRYPT, w->yes), P11_ATTRIBUTE(CKA_DECRYPT, w->yes),
		P11_ATTRIBUTE(CKA_SIGN, w->yes), P11_ATTRIBUTE(CKA_WRAP, w->no),
		P11_ATTRIBUTE(CKA_UNWRAP, w->no), P11_BYTES(CKA_LABEL, w->label),
		P11_BYTES(CKA_ID, w->id), P11_ATTRIBUTE(CKA_VALUE_LEN, w->bytes) };
	static_assert(sizeof(template) / sizeof(*template) == WISHES, "room for them");
	memcpy(to, template, sizeof(template));
	return WISHES;
}

static struct wish wish_of(const struct alg *alg, bool may_leave)
{
	return (struct wish){ CKO_SECRET_KEY, CKK_AES, CK_TRUE, CK_FALSE, may_leave,
		alg->bits / 8, { 0 }, { 0 } };
}

static kf_err finish(struct p11_writer *w, CK_OBJECT_HANDLE o, const struct alg *alg,
	struct token_key_facts *ret)
{
	struct token_key_facts f;
	kf_err err = p11_secret_describe(w->token, o, &f);
	if (kf_is(err, KF_E_NOT_FOUND))
		err = kf_fail(UNSUPPORTED,
			"the token makes no CMAC (CKM_AES_CMAC), by which its AES keys "
			"are told apart");
	if (kf_ok(err) && f.alg != alg && f.alg->bits)
		err = kf_fail(TOKEN, "the token made another key than it was asked for");
	if (kf_ok(err))
		*ret = f;
	else
		p11_writer_destroy(w, o);
	return err;
}

kf_err p11_secret_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	uint8_t id[ID_SIZE];
	CK_ATTRIBUTE template[WISHES];
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_OBJECT_HANDLE o = 0;
	struct wish wish = wish_of(in->alg, in->may_leave);
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	if (!t->has[P11_AES_KEY_GEN] || !t->has[P11_AES_CMAC])
		return kf_fail(UNSUPPORTED,
			"the token makes no AES keys (CKM_AES_KEY_GEN, CKM_AES_CMAC)");
	if (RAND_bytes(id, sizeof(id)) != 1)
		return kf_fail(CRYPTO, "random bytes");
	wish.id = in->id.n ? in->id : (struct slice){ id, sizeof(id) };
	wish.label = slice_of(in->label);
	KF_TRY(p11_writer_open(t, &w));
	const size_t n = put_wish(&wish, template);
	KF_TRY(p11_outcome(
		CALL(t->module, GenerateKey, w.session, &mechanism, template, n, &o)));
	return finish(&w, o, in->alg, ret);
}

/* How long it is the wrapped key says; some modules refuse to be told. */
kf_err p11_secret_unwrap(struct p11_writer *w, CK_MECHANISM *mechanism,
	const struct token_blob *blob, struct token_key_facts *ret)
{
	CK_ATTRIBUTE template[WISHES];
	CK_OBJECT_HANDLE o = 0;
	struct token *t = w->token;
	struct wish wish = wish_of(blob->alg, true);
	wish.label = slice_of(blob->label);
	wish.id = (struct slice){ blob->id, blob->id_n };
	const size_t n = put_wish(&wish, template) - 1;
	KF_TRY(p11_outcome(CALL(t->module, UnwrapKey, w->session, mechanism,
		t->wrapping_key, blob->wrapped.p, blob->wrapped.n, template, n, &o)));
	KF_TRY(finish(w, o, blob->alg, ret));
	if (!memcmp(ret->key_id, blob->key_id, KEY_ID_SIZE))
		return KF_OK;
	p11_writer_destroy(w, o);
	t->key[ret->handle].is_gone = true;
	return kf_fail(CRYPTO, "another key was in the blob than it says");
}

/* ---- what they do ---- */

static kf_err run_cipher(struct p11_operation *o, const struct token_use *u, uint8_t *ret)
{
	const bool is_cbc = u->kind == USE_CBC_ENCRYPT || u->kind == USE_CBC_DECRYPT;
	const bool encrypts = u->kind == USE_ECB_ENCRYPT || u->kind == USE_CBC_ENCRYPT;
	size_t n = 0;
	if (!o->token->has[is_cbc ? P11_AES_CBC : P11_AES_ECB])
		return kf_fail(UNSUPPORTED, "the key's token does not do this mode");
	o->mechanism = is_cbc ? (CK_MECHANISM){ CKM_AES_CBC, (void *)(uintptr_t)u->iv,
		USE_IV_SIZE }
			      : (CK_MECHANISM){ CKM_AES_ECB, NULL, 0 };
	o->kind = encrypts ? P11_ENCRYPT : P11_DECRYPT;
	o->out = ret;
	o->out_size = u->in.n;
	KF_TRY(p11_operate(o, &n));
	return n == u->in.n ? KF_OK
			    : kf_fail(TOKEN, "what was enciphered has the wrong length");
}

static CK_RV derive(const struct p11_operation *o, CK_ULONG bytes, CK_OBJECT_HANDLE *ret)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ECDH1_DERIVE_PARAMS params = { .kdf = CKD_NULL,
		.ulPublicDataLen = o->in.n,
		.pPublicData = (CK_BYTE *)(uintptr_t)o->in.p };
	CK_MECHANISM mechanism = { CKM_ECDH1_DERIVE, &params, sizeof(params) };
	CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, no),
		P11_ATTRIBUTE(CKA_SENSITIVE, no), P11_ATTRIBUTE(CKA_EXTRACTABLE, yes),
		P11_ATTRIBUTE(CKA_VALUE_LEN, bytes) };
	return CALL(o->token->module, DeriveKey, o->token->session, &mechanism,
		o->key->object, template, sizeof(template) / sizeof(*template), ret);
}

/* What two keys share is an object of this session for a moment. */
static kf_err agree(struct p11_operation *o, uint8_t *ret)
{
	const size_t bytes = (o->key->alg->bits + 7) / 8;
	struct token *t = o->token;
	CK_OBJECT_HANDLE shared = 0;
	CK_ATTRIBUTE value = { CKA_VALUE, ret, bytes };
	if (!t->has[P11_ECDH])
		return kf_fail(UNSUPPORTED, "the token has no CKM_ECDH1_DERIVE");
	CK_RV rv = derive(o, bytes, &shared);
	if (rv == CKR_USER_NOT_LOGGED_IN) {
		KF_TRY(p11_renew_login(t));
		rv = derive(o, bytes, &shared);
	}
	KF_TRY(p11_outcome(rv));
	kf_err err = p11_object_get(t, shared, &value);
	CALL(t->module, DestroyObject, t->session, shared);
	if (kf_ok(err) && value.ulValueLen != bytes)
		err = kf_fail(TOKEN, "a shared secret has the wrong length");
	return err;
}

kf_err p11_use(struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	struct p11_key *key;
	KF_TRY(p11_keys_get(t, handle, &key));
	struct p11_operation o = { .token = t, .key = key, .in = u->in };
	const bool is_agreement = u->kind == USE_AGREE;
	if (key->alg->family != (is_agreement ? FAMILY_EC : FAMILY_AES))
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	if (is_agreement)
		return agree(&o, ret);
	return u->kind == USE_CMAC ? mac(&o, ret) : run_cipher(&o, u, ret);
}
