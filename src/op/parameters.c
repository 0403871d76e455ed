/* SPDX-License-Identifier: Apache-2.0 */
#include "op/parameters.h"
#include "crypt/digest.h"
#include "kmip/attrs.h"

struct cryptographic_parameters parameters_of(
	const struct object *o, bool has_own, const struct cryptographic_parameters *own)
{
	struct cryptographic_parameters p = { 0 };
	struct ttlv_item it;

	if (has_own)
		return *own;
	if (!attrs_find(o->attrs, TAG_CRYPTOGRAPHIC_PARAMETERS, 0, &it))
		return p;
	struct ttlv_reader r = ttlv_read(it.whole);
	cryptographic_parameters_get(&r, &p);
	return p;
}

bool parameters_name_mode(const struct object *o, uint32_t mode)
{
	struct cryptographic_parameters p;
	struct ttlv_item it;

	for (size_t n = 0; attrs_find(o->attrs, TAG_CRYPTOGRAPHIC_PARAMETERS, n, &it);
		n++) {
		struct ttlv_reader r = ttlv_read(it.whole);
		cryptographic_parameters_get(&r, &p);
		if (ttlv_ok(&r) && p.block_cipher_mode == mode)
			return true;
	}
	return false;
}

static bool is_ecdsa(const struct cryptographic_parameters *p)
{
	return p->cryptographic_algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
	       p->cryptographic_algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
}

static uint32_t hash_of_curve(uint32_t bits)
{
	if (bits <= 256)
		return KMIP_HASHING_ALGORITHM_SHA_256;
	return bits <= 384 ? KMIP_HASHING_ALGORITHM_SHA_384
			   : KMIP_HASHING_ALGORITHM_SHA_512;
}

kf_err parameters_to_mech(const struct cryptographic_parameters *p, const struct alg *alg,
	const struct mech **ret, int *salt)
{
	const bool is_unsaid = alg->family == FAMILY_EC && is_ecdsa(p) &&
			       !p->hashing_algorithm && !p->digital_signature_algorithm;
	const struct mech_kmip in = {
		.signature = p->digital_signature_algorithm,
		.padding = p->padding_method,
		.hash = is_unsaid ? hash_of_curve(alg->bits) : p->hashing_algorithm,
		.mask_hash = p->mask_generator_hashing_algorithm,
		.has_salt = p->has_salt_length,
		.salt = p->salt_length,
	};
	return mech_by_kmip(&in, alg->family, ret, salt);
}

static kf_err hash_of(uint32_t kmip, enum hash_id otherwise, enum hash_id *ret)
{
	const struct hash *h = kmip ? hash_by_kmip(kmip) : hash_get(otherwise);
	if (!h)
		return kf_fail(BAD_PARAMETERS, "unknown hash");
	*ret = h->id;
	return KF_OK;
}

static kf_err fill_oaep(const struct cryptographic_parameters *p, struct rsa_padding *ret)
{
	if (p->mask_generator && p->mask_generator != KMIP_MASK_GENERATOR_MGF1)
		return kf_fail(BAD_PARAMETERS, "unknown mask generator");
	ret->is_oaep = true;
	ret->label = p->p_source;
	KF_TRY(hash_of(p->hashing_algorithm, HASH_SHA1, &ret->hash));
	return hash_of(p->mask_generator_hashing_algorithm, ret->hash, &ret->mask_hash);
}

kf_err parameters_to_padding(const struct cryptographic_parameters *p,
	struct rsa_padding *ret, const char **ret_name)
{
	*ret = (struct rsa_padding){ 0 };
	if (p->cryptographic_algorithm &&
		p->cryptographic_algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
		return kf_fail(BAD_PARAMETERS, "the key is of another algorithm");
	if (p->padding_method == KMIP_PADDING_METHOD_OAEP) {
		*ret_name = "RSA_OAEP";
		return fill_oaep(p, ret);
	}
	if (p->padding_method != KMIP_PADDING_METHOD_PKCS1_V1_5)
		return kf_fail(BAD_PARAMETERS, "Padding Method OAEP or PKCS1 v1.5");
	*ret_name = "RSA_PKCS1";
	return KF_OK;
}

const char *mech_name(const struct mech *mech)
{
	static const char *const names[] = {
#define X(id, ...) [MECH_##id] = #id,
#include "crypt/mech.def"
#undef X
	};
	return names[mech->id];
}

uint32_t parameters_hash_of_hmac(uint32_t algorithm)
{
	const struct digest_info *hash = digest_of_hmac(algorithm);
	return hash ? hash->kmip : 0;
}
