/* SPDX-License-Identifier: Apache-2.0 */
#include "op/symmetric.h"
#include "crypt/digest.h"
#include "op/material.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>

enum { GENERIC_BITS_MAX = 4096 };

/* Keys of any length: those of HMAC, but with hashes that sign nothing any more, and ChaCha20's. */
static bool is_generic(uint32_t algorithm)
{
	const struct digest_info *hash = digest_of_hmac(algorithm);

	return (hash && hash_by_kmip(hash->kmip)) ||
	       algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20 ||
	       algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305;
}

static kf_err check_bits(int32_t bits)
{
	return bits > 0 && bits <= GENERIC_BITS_MAX && bits % 8 == 0
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "no such key length");
}

static kf_err check_length(uint32_t algorithm, int32_t bits)
{
	if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
		return bits == 128 || bits == 192 || bits == 256
			       ? KF_OK
			       : kf_fail(INVALID_FIELD,
					 "an AES key has 128, 192 or 256 bits");
	if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES)
		return bits == 112 || bits == 128 || bits == 168 || bits == 192
			       ? KF_OK
			       : kf_fail(INVALID_FIELD, "a 3DES key has 112 or 168 bits");
	if (!is_generic(algorithm))
		return kf_fail(INVALID_FIELD, "keys of this algorithm are not created");
	return check_bits(bits);
}

size_t symmetric_bytes(uint32_t algorithm, int32_t bits)
{
	if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES && bits == 168)
		return 24;
	if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES && bits == 112)
		return 16;
	return (size_t)bits / 8;
}

kf_err symmetric_generate(struct make *m)
{
	uint8_t key[GENERIC_BITS_MAX / 8];
	const size_t n = symmetric_bytes(m->algorithm, m->length);

	if (RAND_priv_bytes(key, (int)n) != 1)
		return kf_fail(CRYPTO, "random numbers");
	const kf_err err = material_make(
		&(struct material_key){
			.object_type = m->type,
			.secret_data_type = m->type == OBJECT_SECRET_DATA
						    ? KMIP_SECRET_DATA_TYPE_PASSWORD
						    : 0,
			.format = m->format,
			.algorithm = m->algorithm,
			.length = m->length,
			.bytes = { key, n },
		},
		&m->material);
	make_digest(m, (struct slice){ key, n });
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}

/* Searching for a key takes a quantum computer the square root of the time. */
static kf_err check_quantum_safe(struct slice attrs, int32_t bits)
{
	bool is_wanted = false;

	(void)attrs_get_bool(attrs, TAG_QUANTUM_SAFE, &is_wanted);
	if (is_wanted && bits < 256)
		return kf_fail(QUANTUM, "a key of this length is not quantum safe");
	return KF_OK;
}

kf_err symmetric_describe(struct make *m)
{
	static const uint32_t formats[] = { KMIP_KEY_FORMAT_TYPE_RAW, 0 };
	const struct slice attrs = buf_slice(&m->attrs);

	if (!attrs_get_enum(attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, &m->algorithm) ||
		!attrs_get_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, &m->length))
		return kf_fail(MISSING, "Cryptographic Algorithm or Length");
	m->is_generated = true;
	KF_TRY(make_choose_format(m, formats));
	KF_TRY(check_length(m->algorithm, m->length));
	return check_quantum_safe(attrs, m->length);
}

kf_err symmetric_describe_data(struct make *m)
{
	static const uint32_t formats[] = { KMIP_KEY_FORMAT_TYPE_OPAQUE,
		KMIP_KEY_FORMAT_TYPE_RAW, 0 };
	const struct slice attrs = buf_slice(&m->attrs);

	if (!attrs_get_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, &m->length))
		return kf_fail(MISSING, "Cryptographic Length");
	m->is_generated = true;
	KF_TRY(make_choose_format(m, formats));
	return check_bits(m->length);
}
