/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/prf.h"
#include "op/secret.h"
#include "op/token_use.h"
#include "op/token_wrap.h"
#include "op/wrap_key.h"
#include <openssl/crypto.h>
#include <string.h>

void unwrapping_clear(struct unwrapping *u)
{
	object_unref(u->encryption);
	object_unref(u->mac);
	*u = (struct unwrapping){ 0 };
}

/* --- which keys --- */

/* What a public key has wrapped its private key unwraps. */
static kf_err find_private(struct op_call *call, const struct object **o)
{
	struct slice id;

	if ((*o)->type != OBJECT_PUBLIC_KEY)
		return KF_OK;
	if (!attrs_get_link((*o)->attrs, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &id))
		return kf_fail(WRAP_NOT_FOUND, "a public key does not unwrap");
	const struct kmip_uid uid = kmip_uid_text(id);
	return wrap_key_find(call, &uid, PERM_UNWRAP, o);
}

static kf_err find_allowed(struct op_call *call, const struct key_information *i,
	uint32_t usage, const struct object **ret)
{
	struct cryptographic_parameters p;

	KF_TRY(wrap_key_find(call, &i->uid, PERM_UNWRAP, ret));
	KF_TRY(find_private(call, ret));
	KF_TRY(wrap_key_check(*ret, call->now_s, OP_PROCESS, usage));
	return wrap_key_parameters(*ret, i, &p);
}

/* A key that is not here, or that is not for this, leaves the object wrapped; one that was used too often
 * does not: it can be unwrapped, only not now. */
static kf_err find(struct op_call *call, const struct key_information *i, uint32_t usage,
	struct object **ret)
{
	const struct object *o = NULL;
	const kf_err err = find_allowed(call, i, usage, &o);

	if (kf_ok(err))
		*ret = object_ref(o);
	return op_is_over_limit(err) ? err : KF_OK;
}

static kf_err find_both(struct op_call *call, struct unwrapping *u, bool *ret_is_known)
{
	const bool encrypts = wrap_encrypts(&u->how), macs = wrap_macs(&u->how);

	if (encrypts)
		KF_TRY(find(call, &u->how.encryption,
			KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY, &u->encryption));
	if (macs && (!encrypts || u->encryption))
		KF_TRY(find(call, &u->how.mac, KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
			&u->mac));
	*ret_is_known = (!encrypts || u->encryption) && (!macs || u->mac);
	return KF_OK;
}

kf_err op_unwrap_find(struct op_call *call, const struct key_block *kb,
	struct unwrapping *ret, bool *ret_is_known)
{
	struct unwrapping u = { 0 };

	*ret_is_known = false;
	KF_TRY(key_wrapping_data_parse(kb->wrapping_data, 0, &u.how));
	if (!kb->has_value || !kf_ok(wrap_check_method(&u.how)))
		return KF_OK;
	const kf_err err = find_both(call, &u, ret_is_known);
	if (*ret_is_known)
		*ret = u;
	else
		unwrapping_clear(&u);
	return err;
}

bool unwrapping_waits_for_tokens(const struct unwrapping *u)
{
	return u->encryption && token_has_key(u->encryption);
}

bool unwrapping_is_quick(const struct unwrapping *u)
{
	return !u->encryption || (u->encryption->type == OBJECT_SYMMETRIC_KEY &&
					 !token_has_key(u->encryption));
}

/* --- RSA --- */

static kf_err decrypt_here(struct decrypt_job *job)
{
	struct token_session *session = NULL;
	KF_TRY(soft_open(&session));
	soft_decrypt(session, job);
	soft_close(session);
	return job->err;
}

static kf_err hash_of(uint32_t kmip, enum hash_id otherwise, enum hash_id *ret)
{
	const struct hash *hash = kmip ? hash_by_kmip(kmip) : hash_get(otherwise);
	if (!hash)
		return kf_fail(BAD_PARAMETERS, "this hash is not for OAEP");
	*ret = hash->id;
	return KF_OK;
}

static kf_err fill_job(
	const struct keywrap_oaep *how, struct slice sealed, struct decrypt_job *job)
{
	job->scheme = DECRYPT_OAEP;
	KF_TRY(hash_of(how->hash, HASH_SHA1, &job->hash));
	KF_TRY(hash_of(how->mask_hash, job->hash, &job->mask_hash));
	if (sealed.n > sizeof(job->cipher) || how->label.n > sizeof(job->label))
		return kf_fail(DATA, "more data than the key can have encrypted");
	memcpy(job->cipher, sealed.p, sealed.n);
	job->n = sealed.n;
	if (how->label.n)
		memcpy(job->label, how->label.p, how->label.n);
	job->label_n = how->label.n;
	return KF_OK;
}

static kf_err decrypt(struct op_call *call, const struct object *key,
	const struct keywrap_oaep *how, struct slice sealed, struct decrypt_job *job)
{
	if (!key->key || key->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only private keys of RSA unwrap");
	KF_TRY(op_check_legacy(call, key->key->alg));
	job->key = key->key;
	KF_TRY(fill_job(how, sealed, job));
	return pool_key_is(key->key)
		       ? token_wait(call, &(struct pool_job){ .decrypt = job })
		       : decrypt_here(job);
}

static kf_err open_by_private(struct op_call *call, const struct object *key,
	const struct cryptographic_parameters *p, struct slice sealed, struct buf *ret)
{
	struct decrypt_job job = { 0 };
	struct keywrap_oaep how;

	KF_TRY(wrap_key_oaep(p, &how));
	const kf_err err = decrypt(call, key, &how, sealed, &job);
	if (kf_ok(err))
		buf_add(ret, job.plain, job.plain_n);
	job.key = NULL;
	decrypt_job_clear(&job);
	KF_TRY(err);
	return buf_err(ret);
}

/* --- AES and MAC --- */

static kf_err open_by_secret(struct op_call *call, const struct unwrapping *u,
	const struct cryptographic_parameters *p, struct slice sealed, struct buf *ret)
{
	autobuf scratch = buf_new(call->server->message_max);
	struct slice secret;
	struct keywrap how;
	const char *name = NULL;

	KF_TRY(op_secret_open(call, u->encryption, &scratch, &secret));
	KF_TRY(wrap_key_cipher(u->encryption, p, secret, &how, &name));
	call->mechanism = name;
	return keywrap_open(&how, u->how.iv, sealed, ret);
}

static kf_err open_by_token(struct op_call *call, const struct unwrapping *u,
	const struct cryptographic_parameters *p, struct slice sealed, struct buf *ret)
{
	struct keywrap how;
	const char *name = NULL;

	KF_TRY(wrap_key_cipher(u->encryption, p, (struct slice){ 0 }, &how, &name));
	call->mechanism = name;
	return token_wrap_open(call, u, &how, sealed, ret);
}

static kf_err open_by(struct op_call *call, const struct unwrapping *u,
	const struct cryptographic_parameters *p, struct slice sealed, struct buf *ret)
{
	if (u->encryption->type == OBJECT_PRIVATE_KEY)
		return open_by_private(call, u->encryption, p, sealed, ret);
	return token_has_key(u->encryption) ? open_by_token(call, u, p, sealed, ret)
					    : open_by_secret(call, u, p, sealed, ret);
}

static kf_err open_sealed(struct op_call *call, const struct unwrapping *u,
	const struct key_block *kb, struct buf *ret)
{
	struct cryptographic_parameters p;

	if (!kb->is_encoded)
		return kf_fail(INVALID_FIELD, "a wrapped Key Value is bytes");
	KF_TRY(wrap_key_parameters(u->encryption, &u->how.encryption, &p));
	return open_by(call, u, &p, kb->material, ret);
}

static kf_err verify(
	struct op_call *call, const struct unwrapping *u, const struct key_block *kb)
{
	autobuf scratch = buf_new(call->server->message_max), mac = buf_new(PRF_SIZE_MAX);
	const bool is_bare = u->how.encoding == KMIP_ENCODING_OPTION_NO_ENCODING;
	struct cryptographic_parameters p;
	struct slice secret;

	KF_TRY(wrap_key_parameters(u->mac, &u->how.mac, &p));
	if (token_has_key(u->mac))
		return kf_fail(FEATURE, "MAC/Signature Key Information: tokens hold this "
					"key, and authenticate no wrapped keys");
	KF_TRY(op_secret_open(call, u->mac, &scratch, &secret));
	KF_TRY(wrap_key_mac(u->mac, &p, secret,
		kb->is_encoded || is_bare ? kb->material : kb->value, &mac));
	if (mac.n != u->how.mac_signature.n ||
		CRYPTO_memcmp(mac.p, u->how.mac_signature.p, mac.n))
		return kf_fail(DATA, "the MAC of the wrapped key is another one");
	return KF_OK;
}

/* --- the block --- */

static kf_err take(const struct unwrapping *u, struct slice plain, struct key_block *kb)
{
	if (u->how.encoding != KMIP_ENCODING_OPTION_NO_ENCODING)
		return key_value_parse(plain, 0, kb);
	kb->material = plain;
	kb->is_transparent = kb->is_encoded = false;
	return KF_OK;
}

/* Nobody learns whether it was the padding or what came out that was wrong. */
static kf_err open_block(struct op_call *call, const struct unwrapping *u,
	struct key_block *kb, struct buf *bytes)
{
	kf_err err = open_sealed(call, u, kb, bytes);
	if (kf_ok(err) && (!kf_ok(take(u, buf_slice(bytes), kb)) || !kb->material.n))
		err = kf_fail(DATA, "no Key Value");
	return kf_is(err, KF_E_DATA)
		       ? kf_fail(DATA, "this was not wrapped with this key, or is no "
				       "Key Value")
		       : err;
}

kf_err op_unwrap(struct op_call *call, const struct unwrapping *u, struct key_block *kb,
	struct buf *bytes)
{
	struct key_block plain = *kb;

	if (wrap_macs(&u->how))
		KF_TRY(verify(call, u, kb));
	if (wrap_encrypts(&u->how))
		KF_TRY(open_block(call, u, &plain, bytes));
	if (!plain.material.n)
		return kf_fail(INVALID_FIELD, "an empty key");
	plain.is_wrapped = false;
	plain.wrapping_data = (struct slice){ 0 };
	*kb = plain;
	return KF_OK;
}
