/* SPDX-License-Identifier: Apache-2.0 */
#include "op/wrap_key.h"
#include "crypt/prf.h"
#include "op/parameters.h"
#include "op/wrap.h"
#include <string.h>

/* --- which key --- */

/* For the record: the key that wraps, or from which is derived, stands beside the one it is about. */
static void note(struct op_call *call, const struct object *o)
{
	if (!call->with[0])
		memcpy(call->with, o->id, OBJECT_ID_SIZE);
}

kf_err wrap_key_find(struct op_call *call, const struct kmip_uid *uid,
	enum permission wanted, const struct object **ret)
{
	const struct object *o = NULL;

	KF_TRY(op_find_named(call, uid, &o));
	const kf_err err = op_use_other(call, o, wanted);
	if (kf_is(err, KF_E_NOT_FOUND))
		return kf_fail(WRAP_NOT_FOUND,
			"no such wrapping key, or none that this client may use so");
	KF_TRY(err);
	note(call, o);
	*ret = o;
	return KF_OK;
}

kf_err wrap_key_check(
	const struct object *o, int64_t now_s, enum op_use use, uint32_t usage)
{
	const kf_err err = op_check_use_of(o, now_s, use, usage);
	if (kf_is(err, KF_E_DESTROYED))
		return kf_fail(WRAP_DESTROYED, "the wrapping key is destroyed");
	if (kf_is(err, KF_E_ARCHIVED))
		return kf_fail(WRAP_ARCHIVED, "the wrapping key is archived");
	return err;
}

/* --- how --- */

static bool agrees(uint32_t wanted, uint32_t have) { return !wanted || wanted == have; }

/* An algorithm or a hash that the key's parameters leave open may be said by the request. */
static bool is_open(uint32_t wanted, uint32_t have)
{
	return !have || agrees(wanted, have);
}

static bool matches(const struct cryptographic_parameters *want,
	const struct cryptographic_parameters *have)
{
	return agrees(want->block_cipher_mode, have->block_cipher_mode) &&
	       agrees(want->padding_method, have->padding_method) &&
	       agrees(want->hashing_algorithm, have->hashing_algorithm) &&
	       agrees(want->key_role_type, have->key_role_type) &&
	       is_open(want->cryptographic_algorithm, have->cryptographic_algorithm) &&
	       is_open(want->mask_generator, have->mask_generator) &&
	       is_open(want->mask_generator_hashing_algorithm,
		       have->mask_generator_hashing_algorithm);
}

static void say(uint32_t *have, uint32_t wanted)
{
	if (wanted)
		*have = wanted;
}

/* What the request leaves open the key's parameters say. */
static struct cryptographic_parameters merge(
	struct cryptographic_parameters p, const struct cryptographic_parameters *want)
{
	say(&p.cryptographic_algorithm, want->cryptographic_algorithm);
	say(&p.mask_generator, want->mask_generator);
	say(&p.mask_generator_hashing_algorithm, want->mask_generator_hashing_algorithm);
	if (want->p_source.n)
		p.p_source = want->p_source;
	if (want->has_iv_length)
		p.iv_length = want->iv_length;
	if (want->has_tag_length)
		p.tag_length = want->tag_length;
	p.has_iv_length |= want->has_iv_length;
	p.has_tag_length |= want->has_tag_length;
	return p;
}

kf_err wrap_key_parameters(const struct object *o, const struct key_information *i,
	struct cryptographic_parameters *ret)
{
	struct cryptographic_parameters have;
	struct ttlv_item it;

	for (size_t n = 0; attrs_find(o->attrs, TAG_CRYPTOGRAPHIC_PARAMETERS, n, &it);
		n++) {
		struct ttlv_reader r = ttlv_read(it.whole);
		cryptographic_parameters_get(&r, &have);
		if (i->has_parameters && !matches(&i->parameters, &have))
			continue;
		KF_TRY(ttlv_done(&r));
		*ret = i->has_parameters ? merge(have, &i->parameters) : have;
		return KF_OK;
	}
	return kf_fail(WRAP_PARAMETERS,
		"the wrapping key's Cryptographic Parameters do not say so");
}

static kf_err cbc_mode(uint32_t padding, enum keywrap_mode *ret)
{
	switch (padding) {
	case 0:
	case KMIP_PADDING_METHOD_NONE: *ret = KEYWRAP_CBC; return KF_OK;
	case KMIP_PADDING_METHOD_PKCS5: *ret = KEYWRAP_CBC_PADDED; return KF_OK;
	default: return kf_fail(BAD_PARAMETERS, "Padding Method None or PKCS5");
	}
}

static kf_err mode_of(const struct cryptographic_parameters *p, enum keywrap_mode *ret)
{
	switch (p->block_cipher_mode) {
	case KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP: *ret = KEYWRAP_NIST; return KF_OK;
	case KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING:
		*ret = KEYWRAP_NIST_PADDED;
		return KF_OK;
	case KMIP_BLOCK_CIPHER_MODE_GCM: *ret = KEYWRAP_GCM; return KF_OK;
	case KMIP_BLOCK_CIPHER_MODE_CBC: return cbc_mode(p->padding_method, ret);
	case 0: return kf_fail(BAD_PARAMETERS, "wrapped in which Block Cipher Mode");
	default: return kf_fail(BAD_PARAMETERS, "this mode does not wrap keys");
	}
}

kf_err wrap_key_cipher(const struct object *o, const struct cryptographic_parameters *p,
	struct slice key, struct keywrap *ret, const char **ret_name)
{
	static const char *const names[] = { "AES_KEY_WRAP", "AES_KEY_WRAP_PADDING",
		"AES_CBC", "AES_CBC", "AES_GCM" };
	struct keywrap k = { .key = key };

	if (o->algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES ||
		(p->cryptographic_algorithm &&
			p->cryptographic_algorithm != o->algorithm))
		return kf_fail(BAD_PARAMETERS, "the wrapping key is not one of AES");
	KF_TRY(mode_of(p, &k.mode));
	/* IV Length is in bits, Tag Length in bytes (KMIP 1.2, Cryptographic Parameters). */
	if (p->has_iv_length && (p->iv_length <= 0 || p->iv_length > 8 * KEYWRAP_IV_MAX))
		return kf_fail(BAD_PARAMETERS, "no such IV Length");
	if (p->has_tag_length && (p->tag_length < 12 || p->tag_length > 16))
		return kf_fail(TAG_LENGTH, "a tag has 12 to 16 bytes");
	k.iv_size = p->has_iv_length ? (size_t)p->iv_length / 8 : 0;
	k.tag_size = p->has_tag_length ? (size_t)p->tag_length : 0;
	*ret_name = names[k.mode];
	*ret = k;
	return KF_OK;
}

kf_err wrap_key_oaep(const struct cryptographic_parameters *p, struct keywrap_oaep *ret)
{
	if (p->padding_method != KMIP_PADDING_METHOD_OAEP)
		return kf_fail(BAD_PARAMETERS, "RSA keys wrap with Padding Method OAEP");
	if (p->mask_generator && p->mask_generator != KMIP_MASK_GENERATOR_MGF1)
		return kf_fail(BAD_PARAMETERS, "unknown mask generator");
	*ret = (struct keywrap_oaep){ p->hashing_algorithm,
		p->mask_generator_hashing_algorithm, p->p_source };
	return KF_OK;
}

/* --- MAC --- */

kf_err wrap_key_mac(const struct object *o, const struct cryptographic_parameters *p,
	struct slice key, struct slice data, struct buf *ret)
{
	if (p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_CMAC &&
		o->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
		return prf_cmac(key, data, ret);
	const uint32_t hash = p->hashing_algorithm
				      ? p->hashing_algorithm
				      : parameters_hash_of_hmac(o->algorithm);
	if (!hash_by_kmip(hash))
		return kf_fail(BAD_PARAMETERS, "which Hashing Algorithm");
	return prf_hmac(hash_by_kmip(hash), key, data, ret);
}

kf_err wrap_check_method(const struct key_wrapping *how)
{
	switch (how->method) {
	case KMIP_WRAPPING_METHOD_ENCRYPT:
	case KMIP_WRAPPING_METHOD_MAC_SIGN:
	case KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN: break;
	default: return kf_fail(FEATURE, "this Wrapping Method");
	}
	if (wrap_encrypts(how) != how->encryption.is_there)
		return kf_fail(INVALID_FIELD, "Encryption Key Information and method");
	if (wrap_macs(how) != how->mac.is_there)
		return kf_fail(INVALID_FIELD, "MAC/Signature Key Information and method");
	return KF_OK;
}
