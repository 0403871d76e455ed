/* SPDX-License-Identifier: Apache-2.0 */
#include "op/derive.h"
#include "crypt/cipher.h"
#include "crypt/ossl.h"
#include "crypt/pubkey.h"
#include "op/material.h"
#include "op/parameters.h"
#include "op/secret.h"
#include "op/step.h"
#include "op/token_use.h"
#include <openssl/core_names.h>

enum { QUICK_DATA = 1024, QUICK_BYTES = 64, POINT_MAX = 256, LONG_ITERATIONS = 50000 };

bool op_derive_is_slow(const struct derivation *d)
{
	size_t data = d->how->iv.n + d->how->salt.n;

	for (size_t i = 0; i < d->how->data_n; i++)
		data += d->how->data[i].n;
	return d->method == KMIP_DERIVATION_METHOD_PBKDF2 ||
	       d->method == KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY || d->base[1] ||
	       d->base[0]->type == OBJECT_SECRET_DATA || data > QUICK_DATA ||
	       d->n > QUICK_BYTES;
}

bool op_derive_is_long(const struct derivation *d)
{
	return d->method == KMIP_DERIVATION_METHOD_PBKDF2 &&
	       d->how->iterations >= LONG_ITERATIONS;
}

bool op_derive_waits_for_tokens(const struct derivation *d)
{
	return d->method == KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY &&
	       (token_has_key(d->base[0]) || (d->base[1] && token_has_key(d->base[1])));
}

/* --- key and data --- */

struct input {
	struct cryptographic_parameters p;
	const struct object *base; /* of the key */
	struct slice key, data;
	struct buf key_scratch, data_scratch;
};

static void input_free(struct input *in)
{
	buf_free(&in->key_scratch);
	buf_free(&in->data_scratch);
}

/* Of two objects secret data is the data; if both are, the second one. */
static const struct object *data_object(const struct derivation *d)
{
	if (!d->base[1])
		return NULL;
	return d->base[1]->type != OBJECT_SECRET_DATA &&
			       d->base[0]->type == OBJECT_SECRET_DATA
		       ? d->base[0]
		       : d->base[1];
}

/* Some methods go over all of it for each block that they make. */
static kf_err check_size(struct slice from)
{
	return from.n <= KDF_DATA_MAX
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "more than keys are derived from");
}

static kf_err open_data(
	struct op_call *call, const struct derivation *d, struct input *in)
{
	const struct object *o = data_object(d);

	if (!o) {
		in->data = d->how->data_n ? d->how->data[0] : (struct slice){ 0 };
		return check_size(in->data);
	}
	if (o->type != OBJECT_SECRET_DATA)
		return kf_fail(INVALID_FIELD, "the second object is not secret data");
	if (d->how->data_n)
		return kf_fail(MALFORMED, "Derivation Data and a secret data object");
	KF_TRY(op_secret_open(call, o, &in->data_scratch, &in->data));
	return check_size(in->data);
}

/* --- what is encryption or a code by another name --- */

enum {
	ENCRYPTS = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT,
	CODES = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE,
	IS_FOR_CODES = CODES | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
	IS_FOR_MORE = ENCRYPTS | IS_FOR_CODES | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT |
		      KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY |
		      KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY,
};

/* Method, the usage it is, the usages that make it matter.  PBKDF2 of one iteration, and the first block of SP 800-108, are
 * codes of chosen data with a counter. */
static const struct protection {
	uint32_t method, does, matters;
	enum permission permission;
} protections[] = {
	{ KMIP_DERIVATION_METHOD_ENCRYPT, ENCRYPTS, IS_FOR_MORE, PERM_ENCRYPT },
	{ KMIP_DERIVATION_METHOD_HMAC, CODES, IS_FOR_CODES, PERM_MAC },
	{ KMIP_DERIVATION_METHOD_PBKDF2, CODES, IS_FOR_CODES, PERM_MAC },
	{ KMIP_DERIVATION_METHOD_NIST800_108_C, CODES, IS_FOR_CODES, PERM_MAC },
	{ KMIP_DERIVATION_METHOD_NIST800_108_F, CODES, IS_FOR_CODES, PERM_MAC },
	{ KMIP_DERIVATION_METHOD_NIST800_108_DPI, CODES, IS_FOR_CODES, PERM_MAC },
};

static const struct protection *protection_of(
	const struct derivation *d, const struct object *o)
{
	for (size_t i = 0; i < sizeof(protections) / sizeof(*protections); i++)
		if (protections[i].method == d->method &&
			(o->usage_mask & protections[i].matters))
			return &protections[i];
	return NULL;
}

static const struct object *key_object(const struct derivation *d)
{
	return data_object(d) == d->base[0] ? d->base[1] : d->base[0];
}

bool op_derive_protects(const struct derivation *d, const struct object *base)
{
	return base == key_object(d) && protection_of(d, base);
}

static kf_err check_protection(
	struct op_call *call, const struct derivation *d, const struct object *o)
{
	const struct protection *p = protection_of(d, o);
	if (!p)
		return KF_OK;
	KF_TRY(op_check_use_of(o, call->now_s, OP_PROTECT, p->does));
	const kf_err err = op_use_other(call, o, p->permission);
	return kf_is(err, KF_E_NOT_FOUND)
		       ? kf_fail(DENIED, "this method needs leave to encrypt or to make "
					 "codes with the key")
		       : err;
}

/* What one key has encrypted whoever has it decrypts: data that go this way are given out. */
static kf_err check_data(struct op_call *call, const struct object *o)
{
	const kf_err err = op_use_other(call, o, PERM_GET);
	if (kf_is(err, KF_E_NOT_FOUND))
		return kf_fail(DENIED, "secret data that this client may not get");
	KF_TRY(err);
	return op_check_secrecy(o);
}

kf_err op_derive_check(struct op_call *call, const struct derivation *d)
{
	const struct object *data = data_object(d);

	KF_TRY(check_protection(call, d, key_object(d)));
	return data && data->type == OBJECT_SECRET_DATA &&
			       d->method == KMIP_DERIVATION_METHOD_ENCRYPT
		       ? check_data(call, data)
		       : KF_OK;
}

/* --- key and data, opened --- */

static kf_err open_input(
	struct op_call *call, const struct derivation *d, struct input *in)
{
	const size_t most = call->server->message_max;

	*in = (struct input){ .key_scratch = buf_new(most),
		.data_scratch = buf_new(most) };
	in->base = key_object(d);
	in->p = parameters_of(in->base, d->how->has_parameters, &d->how->parameters);
	if (d->how->data_n > 1 &&
		d->method != KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4)
		return kf_fail(INVALID_FIELD, "Derivation Data more than once");
	KF_TRY(open_data(call, d, in));
	KF_TRY(op_secret_open(call, in->base, &in->key_scratch, &in->key));
	return check_size(in->key);
}

/* --- with what --- */

static bool is_cmac(const struct input *in)
{
	return in->base->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES &&
	       (in->p.block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_CMAC ||
		       !in->p.hashing_algorithm);
}

static kf_err hash_of(const struct input *in, uint32_t otherwise, const struct hash **ret)
{
	uint32_t kmip = in->p.hashing_algorithm;

	if (!kmip)
		kmip = parameters_hash_of_hmac(in->base->algorithm);
	*ret = hash_by_kmip(kmip ? kmip : otherwise);
	return *ret ? KF_OK : kf_fail(BAD_PARAMETERS, "which Hashing Algorithm");
}

static kf_err to_kdf(const struct derivation *d, const struct input *in, struct kdf *ret)
{
	const uint32_t otherwise = d->method == KMIP_DERIVATION_METHOD_PBKDF2
					   ? KMIP_HASHING_ALGORITHM_SHA_1
					   : 0;
	*ret = (struct kdf){ .key = in->key,
		.data = in->data,
		.salt = d->how->salt,
		.iterations = d->how->iterations > 0 ? (uint32_t)d->how->iterations : 0,
		.iterations_max = d->iterations_max };
	KF_TRY(hash_of(in, otherwise, &ret->hash));
	ret->n = d->n ? d->n : ret->hash->size;
	return KF_OK;
}

/* --- the methods --- */

static kf_err pbkdf2(const struct derivation *d, const struct input *in, struct buf *ret)
{
	struct kdf k;
	if (!d->how->has_salt || !d->how->has_iterations)
		return kf_fail(INVALID_FIELD, "Salt or Iteration Count");
	if (d->how->data_n)
		return kf_fail(MALFORMED, "two pass phrases: Derivation Data, an object");
	KF_TRY(to_kdf(d, in, &k));
	return kdf_pbkdf2(&k, ret);
}

static kf_err hash(const struct derivation *d, const struct input *in, struct buf *ret)
{
	struct kdf k;
	if (d->how->data_n || d->base[1])
		return kf_fail(INVALID_FIELD, "HASH is of one object alone");
	KF_TRY(to_kdf(d, in, &k));
	return kdf_hash(&k, ret);
}

static kf_err hmac(const struct derivation *d, const struct input *in, struct buf *ret)
{
	struct kdf k;
	if (!in->data.n)
		return kf_fail(INVALID_FIELD, "Derivation Data");
	KF_TRY(to_kdf(d, in, &k));
	return kdf_hmac(&k, ret);
}

static kf_err hkdf(const struct derivation *d, const struct input *in, struct buf *ret)
{
	struct kdf k;
	KF_TRY(to_kdf(d, in, &k));
	return kdf_hkdf(&k, ret);
}

static kf_err sp800_108(enum kdf_mode mode, const struct derivation *d,
	const struct input *in, struct buf *ret)
{
	struct kdf k = { .key = in->key, .data = in->data, .n = d->n ? d->n : 16 };

	if (!in->data.n)
		return kf_fail(INVALID_FIELD, "Derivation Data");
	if (!is_cmac(in))
		KF_TRY(to_kdf(d, in, &k));
	k.salt = d->how->iv;
	return kdf_sp800_108(mode, &k, ret);
}

/* "20150830/us-east-1/iam/aws4_request" */
static size_t split(struct slice scope, struct slice part[DERIVE_KEY_DATA])
{
	size_t n = 0, from = 0;

	for (size_t i = 0; i <= scope.n; i++) {
		if (i < scope.n && scope.p[i] != '/')
			continue;
		if (n == DERIVE_KEY_DATA)
			return 0;
		part[n++] = (struct slice){ scope.p + from, i - from };
		from = i + 1;
	}
	return n;
}

static kf_err aws4(const struct derivation *d, const struct input *in, struct buf *ret)
{
	struct slice part[DERIVE_KEY_DATA];
	size_t n = d->how->data_n;

	if (!in->data.n)
		return kf_fail(INVALID_FIELD, "Derivation Data");
	for (size_t i = 0; i < n; i++)
		part[i] = d->how->data[i];
	if (n < 2)
		n = split(in->data, part);
	if (!n)
		return kf_fail(INVALID_FIELD, "Derivation Data in too many parts");
	return kdf_aws4(in->key, part, n, d->n ? d->n : 32, ret);
}

static kf_err find_cipher(
	const struct derivation *d, const struct input *in, struct cipher_setup *ret)
{
	const uint32_t algorithm = in->base->algorithm;
	const uint32_t said = in->p.cryptographic_algorithm;

	if (in->base->type != OBJECT_SYMMETRIC_KEY || (said && said != algorithm))
		return kf_fail(BAD_PARAMETERS, "the key is of another algorithm");
	*ret = (struct cipher_setup){ .key = in->key,
		.iv = d->how->iv,
		.padding = (enum padding)in->p.padding_method };
	KF_TRY(cipher_find(algorithm, in->p.block_cipher_mode, in->key.n, &ret->info));
	if (ret->info->kind != CIPHER_BLOCK && ret->info->kind != CIPHER_STREAM)
		return kf_fail(BAD_PARAMETERS, "keys are not derived in this mode");
	if (ret->iv.n != ret->info->iv_max)
		return kf_fail(MISSING_IV, "Initialization Vector");
	return cipher_check_padding(ret->info, in->p.padding_method);
}

static kf_err run_cipher(
	const struct cipher_setup *setup, struct slice data, struct buf *ret)
{
	uint8_t tag[CIPHER_TAG_MAX];
	struct cipher c = { 0 };
	kf_err err = cipher_begin(&c, setup);

	if (kf_ok(err))
		err = cipher_last(&c, data, (struct slice){ 0 }, ret, tag);
	cipher_end(&c);
	return err;
}

static kf_err encrypt(const struct derivation *d, const struct input *in, struct buf *ret)
{
	/* The cipher wants room for two blocks behind the data, and behind the padding. */
	autobuf made = buf_new(in->data.n + 4 * CIPHER_BLOCK_MAX);
	struct cipher_setup setup;

	if (!in->data.n)
		return kf_fail(INVALID_FIELD, "Derivation Data");
	KF_TRY(find_cipher(d, in, &setup));
	KF_TRY(run_cipher(&setup, in->data, &made));
	if (made.n < d->n)
		return kf_fail(DATA, "the method does not give so many bytes");
	buf_add(ret, made.p, d->n ? d->n : made.n);
	return buf_err(ret);
}

static kf_err by_secret(
	const struct derivation *d, const struct input *in, struct buf *ret)
{
	switch (d->method) {
	case KMIP_DERIVATION_METHOD_PBKDF2: return pbkdf2(d, in, ret);
	case KMIP_DERIVATION_METHOD_HASH: return hash(d, in, ret);
	case KMIP_DERIVATION_METHOD_HMAC: return hmac(d, in, ret);
	case KMIP_DERIVATION_METHOD_ENCRYPT: return encrypt(d, in, ret);
	case KMIP_DERIVATION_METHOD_NIST800_108_C:
		return sp800_108(KDF_COUNTER, d, in, ret);
	case KMIP_DERIVATION_METHOD_NIST800_108_F:
		return sp800_108(KDF_FEEDBACK, d, in, ret);
	case KMIP_DERIVATION_METHOD_NIST800_108_DPI:
		return sp800_108(KDF_DOUBLE_PIPELINE, d, in, ret);
	case KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4: return aws4(d, in, ret);
	case KMIP_DERIVATION_METHOD_HKDF: return hkdf(d, in, ret);
	default: return kf_fail(FEATURE, "this Derivation Method");
	}
}

/* --- two keys that agree --- */

static kf_err key_as(struct op_call *call, const struct object *o, uint32_t format,
	struct buf *scratch, struct buf *ret)
{
	struct kmip_object k = { 0 };
	struct slice bytes;

	KF_TRY(store_material(call->server->store, o, scratch, &bytes));
	KF_TRY(kmip_object_parse(bytes, &k));
	if (k.block.format != format || k.block.is_wrapped)
		return material_convert(&k, format, material_alg(o), ret);
	buf_add_slice(ret, k.block.material);
	return buf_err(ret);
}

/* 04 X Y.  What pubkey_parse() takes is on its curve: another point would tell about our key. */
static kf_err point_of(struct slice spki, const struct alg *curve, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	size_t n = 0;
	KF_TRY(pubkey_parse(spki, &public));
	if (pubkey_alg(public) != curve || curve->family != FAMILY_EC)
		return kf_fail(BAD_PARAMETERS, "keys that agree on nothing");
	uint8_t *p = buf_reserve(ret, POINT_MAX);
	if (!p || EVP_PKEY_get_octet_string_param(pubkey_pkey(public),
			  OSSL_PKEY_PARAM_PUB_KEY, p, POINT_MAX, &n) != 1)
		return ossl_fail(KEY_FORMAT, "point of a public key");
	buf_commit(ret, n);
	return KF_OK;
}

static kf_err agree_on_token(struct op_call *call, const struct object *private,
	struct slice spki, size_t n, struct buf *ret)
{
	autobuf point = buf_new(POINT_MAX), shared = buf_new(POINT_MAX);
	KF_TRY(point_of(spki, private->key->alg, &point));
	struct use_job job = {
		.kind = USE_AGREE, .in = buf_slice(&point), .out = &shared
	};
	KF_TRY(token_use_now(call, private, &job));
	if (shared.n < n)
		return kf_fail(DATA, "the method does not give so many bytes");
	buf_add(ret, shared.p, n ? n : shared.n);
	return buf_err(ret);
}

static kf_err agree(struct op_call *call, const struct derivation *d, struct buf *ret)
{
	autobuf scratch = buf_new(call->server->message_max);
	autobuf own = buf_new(PKCS8_MAX), peer = buf_new(PKCS8_MAX);
	const struct object *private = d->base[0], *public = d->base[1];

	if (public && public->type == OBJECT_PRIVATE_KEY)
	private = d->base[1], public = d->base[0];
	if (!public || private->type != OBJECT_PRIVATE_KEY ||
		public->type != OBJECT_PUBLIC_KEY)
		return kf_fail(INVALID_FIELD, "a private and a public key agree");
	KF_TRY(key_as(call, public, KMIP_KEY_FORMAT_TYPE_X_509, &scratch, &peer));
	if (token_has_key(private))
		return agree_on_token(call, private, buf_slice(&peer), d->n, ret);
	buf_clear(&scratch);
	KF_TRY(key_as(call, private, KMIP_KEY_FORMAT_TYPE_PKCS_8, &scratch, &own));
	return kdf_agree(buf_slice(&own), buf_slice(&peer), d->n, ret);
}

kf_err op_derive(struct op_call *call, const struct derivation *d, struct buf *ret,
	size_t *ret_data)
{
	CLEANUP(input_free) struct input in = { 0 };

	*ret_data = 0;
	if (d->method == KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY)
		return agree(call, d, ret);
	KF_TRY(open_input(call, d, &in));
	*ret_data = in.data.n;
	return by_secret(d, &in, ret);
}
