/* SPDX-License-Identifier: Apache-2.0 */
/* Objects come, are looked at, and go. */
#include "client/typed.h"
#include "crypt/alg.h"
#include "kmip/activate.h"
#include "kmip/create.h"
#include "kmip/create_key_pair.h"
#include "kmip/destroy.h"
#include "kmip/get.h"
#include "kmip/register.h"
#include "kmip/revoke.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ANSWER_MAX = 1 << 26, ATTRS_MAX = 4096 };

/* ---- Get ---- */

struct kf_object {
	kf_object_type type;
	kf_key_format format;
	struct buf bytes;
};

kf_object_type kf_object_get_type(const struct kf_object *o) { return o->type; }
kf_key_format kf_object_get_format(const struct kf_object *o) { return o->format; }

const void *kf_object_get_bytes(const struct kf_object *o, size_t *size)
{
	*size = o->bytes.n;
	return o->bytes.p;
}

void kf_object_free(struct kf_object *o)
{
	if (!o)
		return;
	buf_free(&o->bytes);
	free(o);
}

static kf_err object_of(const struct get_response *a, struct kf_object **ret)
{
	struct slice bytes =
		a->object.value.n ? a->object.value : a->object.block.material;
	struct kf_object *o = calloc(1, sizeof(*o));
	if (!o)
		return kf_fail(NOMEM, "keeping an object");
	o->type = (kf_object_type)a->object_type;
	o->format = (kf_key_format)a->object.block.format;
	o->bytes = buf_new(bytes.n);
	buf_add_slice(&o->bytes, bytes);
	kf_err err = buf_err(&o->bytes);
	if (!kf_ok(err)) {
		kf_object_free(o);
		return err;
	}
	*ret = o;
	return KF_OK;
}

TYPED(get)

kf_result kf_get(struct kf_client *client, const char *id, kf_key_format format,
	struct kf_object **ret, kf_call *call)
{
	static const struct typed get = { KMIP_OPERATION_GET, get_put, get_get, 0, 0 };
	if (!typed_is_id(id))
		return status_refuse(call, KF_INVALID_ARGUMENT, "id");
	struct get_request q = { .uid = kmip_uid_text(slice_of(id)),
		.key_format_type = (uint32_t)format };
	autobuf answer = buf_new(ANSWER_MAX);
	struct get_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = typed_call(client, &get, &io, call);
	if (result)
		return result;
	kf_err err = object_of(&a, ret);
	return kf_ok(err) ? KF_SUCCESS : status_tell(call, err, NULL);
}

/* ---- Create, Create Key Pair, Register ---- */

static const uint32_t usage_of_type[] = {
	[KF_CERTIFICATE] = KF_MAY_VERIFY,
	[KF_SYMMETRIC_KEY] = KF_MAY_ENCRYPT | KF_MAY_DECRYPT,
	[KF_PUBLIC_KEY] = KF_MAY_VERIFY,
	[KF_PRIVATE_KEY] = KF_MAY_SIGN,
	[KF_SECRET_DATA] = 0,
	[KF_OPAQUE_OBJECT] = 0,
};

static uint32_t usage_of(const kf_new_object *q, kf_object_type type)
{
	if (q->usage)
		return q->usage;
	return type < sizeof(usage_of_type) / sizeof(*usage_of_type) ? usage_of_type[type]
								     : 0;
}

/* The public half does what undoes the private half's work. */
static uint32_t usage_of_public(uint32_t of_private)
{
	uint32_t usage = 0;
	if (of_private & (KF_MAY_SIGN | KF_MAY_SIGN_CERTIFICATES | KF_MAY_SIGN_CRLS))
		usage |= KF_MAY_VERIFY;
	if (of_private & KF_MAY_DECRYPT)
		usage |= KF_MAY_ENCRYPT;
	if (of_private & KF_MAY_UNWRAP)
		usage |= KF_MAY_WRAP;
	/* Keys agree in both directions. */
	return usage | (of_private & (KF_MAY_DERIVE | KF_MAY_AGREE));
}

static void add_common(struct buf *set, const kf_new_object *q)
{
	if (q->name)
		attrs_add_name(set, slice_of(q->name));
	if (q->is_active)
		attrs_add_date(set, TAG_ACTIVATION_DATE, time(NULL) - 1);
}

static void add_usage(struct buf *set, uint32_t usage)
{
	if (usage)
		attrs_add_int(set, TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)usage);
}

TYPED(create)
TYPED(create_key_pair)
TYPED(register)

/* "aes:256": kinds of symmetric keys, their lengths, what they are for unless the caller says. */
static const struct symmetric {
	const char *name;
	uint32_t algorithm;
	int32_t least, most, step;
	uint32_t usage;
} symmetrics[] = {
	{ "aes:", KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, 256, 64,
		KF_MAY_ENCRYPT | KF_MAY_DECRYPT },
	{ "chacha20:", KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, 256, 256, 8,
		KF_MAY_ENCRYPT | KF_MAY_DECRYPT },
	{ "hmac-sha256:", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 128, 4096, 8,
		KF_MAY_MAC | KF_MAY_VERIFY_MAC },
	{ "hmac-sha384:", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384, 128, 4096, 8,
		KF_MAY_MAC | KF_MAY_VERIFY_MAC },
	{ "hmac-sha512:", KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512, 128, 4096, 8,
		KF_MAY_MAC | KF_MAY_VERIFY_MAC },
};

static const struct symmetric *symmetric_by_name(const char *text, int32_t *ret_bits)
{
	for (size_t i = 0; text && i < sizeof(symmetrics) / sizeof(*symmetrics); i++) {
		const struct symmetric *s = &symmetrics[i];
		size_t n = strlen(s->name);
		if (strncmp(text, s->name, n) != 0)
			continue;
		char *end;
		long bits = strtol(text + n, &end, 10);
		if (*end || bits < s->least || bits > s->most || bits % s->step)
			return NULL;
		*ret_bits = (int32_t)bits;
		return s;
	}
	return NULL;
}

kf_result kf_create(
	struct kf_client *client, const kf_new_object *request, kf_id *ret, kf_call *call)
{
	static const struct typed create = { KMIP_OPERATION_CREATE, create_put,
		create_get, 0, 0 };
	int32_t bits;
	const struct symmetric *s = symmetric_by_name(request->algorithm, &bits);
	if (!s)
		return status_refuse(call, KF_INVALID_ARGUMENT,
			"algorithm or its length is not like aes:256, hmac-sha256:256 or "
			"chacha20:256");
	autobuf set = buf_new(ATTRS_MAX), answer = buf_new(ANSWER_MAX);
	attrs_add_enum(&set, TAG_CRYPTOGRAPHIC_ALGORITHM, s->algorithm);
	attrs_add_int(&set, TAG_CRYPTOGRAPHIC_LENGTH, bits);
	add_usage(&set, request->usage ? request->usage : s->usage);
	add_common(&set, request);
	struct create_request q = { KMIP_OBJECT_TYPE_SYMMETRIC_KEY, buf_slice(&set) };
	struct create_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = kf_ok(buf_err(&set)) ? typed_call(client, &create, &io, call)
						: status_refuse(call, KF_INVALID_ARGUMENT,
							  "name is too long");
	return result ? result : typed_id(call, &a.uid, ret);
}

struct pair_sets {
	struct buf common, private_key, public_key;
};

static void free_sets(struct pair_sets *s)
{
	buf_free(&s->common);
	buf_free(&s->private_key);
	buf_free(&s->public_key);
}

/* The public key has the private key's name with .pub behind it: names are unique. */
static void add_public_name(struct buf *set, const char *name)
{
	autobuf text = buf_new(ATTRS_MAX);
	buf_add_text(&text, name);
	buf_add_text(&text, ".pub");
	attrs_add_name(set, buf_slice(&text));
}

static void fill_sets(struct pair_sets *s, const kf_new_object *q, const struct alg *alg)
{
	*s = (struct pair_sets){ buf_new(ATTRS_MAX), buf_new(ATTRS_MAX),
		buf_new(ATTRS_MAX) };
	attrs_add_enum(&s->common, TAG_CRYPTOGRAPHIC_ALGORITHM, alg->kmip_algorithm);
	attrs_add_int(&s->common, TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)alg->bits);
	attrs_add_curve(&s->common, alg->kmip_curve);
	if (q->is_active)
		attrs_add_date(&s->common, TAG_ACTIVATION_DATE, time(NULL) - 1);
	uint32_t usage = usage_of(q, KF_PRIVATE_KEY);
	add_usage(&s->private_key, usage);
	add_usage(&s->public_key, usage_of_public(usage));
	if (!q->name)
		return;
	attrs_add_name(&s->private_key, slice_of(q->name));
	add_public_name(&s->public_key, q->name);
}

kf_result kf_create_key_pair(struct kf_client *client, const kf_new_object *request,
	kf_id *ret_private, kf_id *ret_public, kf_call *call)
{
	static const struct typed pair = { KMIP_OPERATION_CREATE_KEY_PAIR,
		create_key_pair_put, create_key_pair_get, 0, 0 };
	const struct alg *alg = alg_by_name(slice_of(request->algorithm));
	if (!alg)
		return status_refuse(call, KF_INVALID_ARGUMENT, "algorithm is unknown");
	CLEANUP(free_sets) struct pair_sets sets;
	fill_sets(&sets, request, alg);
	autobuf answer = buf_new(ANSWER_MAX);
	struct create_key_pair_request q = { buf_slice(&sets.common),
		buf_slice(&sets.private_key), buf_slice(&sets.public_key) };
	struct create_key_pair_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = typed_call(client, &pair, &io, call);
	if (!result)
		result = typed_id(call, &a.private_key, ret_private);
	return result ? result : typed_id(call, &a.public_key, ret_public);
}

static bool has_key_block(kf_object_type type)
{
	return type != KF_CERTIFICATE && type != KF_OPAQUE_OBJECT;
}

static void fill_object(const kf_new_object *q, struct kmip_object *ret)
{
	struct slice bytes = { q->bytes, q->size };
	*ret = (struct kmip_object){ .type = (uint32_t)q->type };
	if (!has_key_block(q->type)) {
		ret->value = bytes;
		ret->certificate_type = KMIP_CERTIFICATE_TYPE_X_509;
		ret->opaque_data_type = 0x80000001; /* no type is standard */
		return;
	}
	int32_t bits = 0;
	const struct alg *alg = alg_by_name(slice_of(q->algorithm));
	const struct symmetric *s = symmetric_by_name(q->algorithm, &bits);
	if (q->type == KF_SECRET_DATA)
		ret->secret_data_type = KMIP_SECRET_DATA_TYPE_SEED;
	ret->block = (struct key_block){ .format = (uint32_t)q->format,
		.algorithm = s     ? s->algorithm
			     : alg ? alg->kmip_algorithm
				   : 0,
		.length = s     ? bits
			  : alg ? (int32_t)alg->bits
				: 0,
		.has_value = true,
		.material = bytes };
}

kf_result kf_register(
	struct kf_client *client, const kf_new_object *request, kf_id *ret, kf_call *call)
{
	static const struct typed reg = { KMIP_OPERATION_REGISTER, register_put,
		register_get, 0, 0 };
	if (!request->bytes || !request->size || !request->type)
		return status_refuse(
			call, KF_INVALID_ARGUMENT, "bytes, size or type missing");
	if (has_key_block(request->type) && !request->format)
		return status_refuse(call, KF_INVALID_ARGUMENT, "format is missing");
	autobuf set = buf_new(ATTRS_MAX), answer = buf_new(ANSWER_MAX);
	int32_t bits;
	const struct symmetric *s = symmetric_by_name(request->algorithm, &bits);
	add_usage(
		&set, s && !request->usage ? s->usage : usage_of(request, request->type));
	add_common(&set, request);
	struct register_request q = { .attributes = buf_slice(&set) };
	fill_object(request, &q.object);
	struct register_response a;
	struct typed_io io = { &q, &answer, &a };
	kf_result result = typed_call(client, &reg, &io, call);
	return result ? result : typed_id(call, &a.uid, ret);
}

/* ---- Activate, Revoke, Destroy ---- */

TYPED(activate)
TYPED(revoke)
TYPED(destroy)

kf_result kf_activate(struct kf_client *client, const char *id, kf_call *call)
{
	static const struct typed activate = { KMIP_OPERATION_ACTIVATE, activate_put,
		activate_get, 0, 0 };
	if (!typed_is_id(id))
		return status_refuse(call, KF_INVALID_ARGUMENT, "id");
	struct activate_request q = { kmip_uid_text(slice_of(id)) };
	struct activate_response a;
	autobuf answer = buf_new(ANSWER_MAX);
	return typed_call(client, &activate, &(struct typed_io){ &q, &answer, &a }, call);
}

kf_result kf_revoke(struct kf_client *client, const char *id, uint32_t reason,
	const char *text, kf_call *call)
{
	static const struct typed revoke = { KMIP_OPERATION_REVOKE, revoke_put,
		revoke_get, 0, 0 };
	if (!typed_is_id(id))
		return status_refuse(call, KF_INVALID_ARGUMENT, "id");
	struct revoke_request q = { .uid = kmip_uid_text(slice_of(id)),
		.reason = reason,
		.message = slice_of(text) };
	/* A compromise has a date (KMIP 2.1, Revoke); without better knowledge it is now. */
	q.has_compromise_date = reason == KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE ||
				reason == KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE;
	q.compromise_occurrence_date = time(NULL);
	struct revoke_response a;
	autobuf answer = buf_new(ANSWER_MAX);
	return typed_call(client, &revoke, &(struct typed_io){ &q, &answer, &a }, call);
}

kf_result kf_destroy(struct kf_client *client, const char *id, kf_call *call)
{
	static const struct typed destroy = { KMIP_OPERATION_DESTROY, destroy_put,
		destroy_get, 0, 0 };
	if (!typed_is_id(id))
		return status_refuse(call, KF_INVALID_ARGUMENT, "id");
	struct destroy_request q = { kmip_uid_text(slice_of(id)) };
	struct destroy_response a;
	autobuf answer = buf_new(ANSWER_MAX);
	return typed_call(client, &destroy, &(struct typed_io){ &q, &answer, &a }, call);
}
