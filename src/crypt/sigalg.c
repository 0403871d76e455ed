/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/sigalg.h"

static enum hash_id hash_for(const struct alg *alg)
{
	if (alg->family == FAMILY_RSA)
		return HASH_SHA256;
	return alg->bits > 384   ? HASH_SHA512
	       : alg->bits > 256 ? HASH_SHA384
				 : HASH_SHA256;
}

const struct mech *sigalg_mech(const struct alg *alg, enum hash_id hash)
{
	if (alg->family == FAMILY_ED25519)
		return mech_get(MECH_ED25519);
	return mech_find(alg->family == FAMILY_RSA ? SCHEME_RSA_PKCS1 : SCHEME_ECDSA,
		hash ? hash : hash_for(alg));
}

static int nid_of(enum mech_id mech)
{
	/* clang-format off */
	static const int nids[MECH_COUNT] = {
		[MECH_RSA_PKCS1_SHA256] = NID_sha256WithRSAEncryption,
		[MECH_RSA_PKCS1_SHA384] = NID_sha384WithRSAEncryption,
		[MECH_RSA_PKCS1_SHA512] = NID_sha512WithRSAEncryption,
		[MECH_ECDSA_SHA256] = NID_ecdsa_with_SHA256,
		[MECH_ECDSA_SHA384] = NID_ecdsa_with_SHA384,
		[MECH_ECDSA_SHA512] = NID_ecdsa_with_SHA512,
		[MECH_ED25519] = NID_ED25519,
	};
	/* clang-format on */
	return nids[mech];
}

X509_ALGOR *sigalg_new(const struct mech *mech)
{
	const int parameter =
		mech->scheme == SCHEME_RSA_PKCS1 ? V_ASN1_NULL : V_ASN1_UNDEF;
	X509_ALGOR *algorithm = X509_ALGOR_new();
	if (algorithm && !X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid_of(mech->id)),
				 parameter, NULL)) {
		X509_ALGOR_free(algorithm);
		return NULL;
	}
	return algorithm;
}

bool sigalg_set_bits(ASN1_BIT_STRING *bits, struct slice sig)
{
	if (!ASN1_BIT_STRING_set(bits, (unsigned char *)(uintptr_t)sig.p, (int)sig.n))
		return false;
	bits->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 7);
	bits->flags |= ASN1_STRING_FLAG_BITS_LEFT;
	return true;
}
