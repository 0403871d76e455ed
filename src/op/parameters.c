/* SPDX-License-Identifier: Apache-2.0 */
#include "op/parameters.h"
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

kf_err parameters_to_mech(const struct cryptographic_parameters *p,
	enum alg_family family, const struct mech **ret, int *salt)
{
	const struct mech_kmip in = {
		.signature = p->digital_signature_algorithm,
		.padding = p->padding_method,
		.hash = p->hashing_algorithm,
		.mask_hash = p->mask_generator_hashing_algorithm,
		.has_salt = p->has_salt_length,
		.salt = p->salt_length,
	};
	return mech_by_kmip(&in, family, ret, salt);
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
	switch (algorithm) {
	case KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA1: return KMIP_HASHING_ALGORITHM_SHA_1;
	case KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA224:
		return KMIP_HASHING_ALGORITHM_SHA_224;
	case KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256:
		return KMIP_HASHING_ALGORITHM_SHA_256;
	case KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384:
		return KMIP_HASHING_ALGORITHM_SHA_384;
	case KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512:
		return KMIP_HASHING_ALGORITHM_SHA_512;
	default: return 0;
	}
}
