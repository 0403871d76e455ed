/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_use.h"
#include "crypt/block.h"
#include "op/parameters.h"
#include "op/step.h"
#include "op/usage.h"
#include <string.h>

/* ---- Encrypt and Decrypt ---- */

static struct encipher *request_of(struct op_call *call)
{
	return OP_REQUEST(call, struct encipher);
}

static void release(struct op_call *call) { buf_free(&request_of(call)->material); }

static kf_err kind_of(const struct encipher *s, enum use_kind *ret)
{
	switch ((int)s->info->mode) {
	case MODE_ECB: *ret = s->decrypts ? USE_ECB_DECRYPT : USE_ECB_ENCRYPT; break;
	case MODE_CBC: *ret = s->decrypts ? USE_CBC_DECRYPT : USE_CBC_ENCRYPT; break;
	case MODE_CTR: *ret = USE_CTR; break;
	case MODE_NISTKEYWRAP: *ret = s->decrypts ? USE_UNWRAP : USE_WRAP; break;
	case MODE_AESKEYWRAPPADDING:
		*ret = s->decrypts ? USE_UNWRAP_PADDED : USE_WRAP_PADDED;
		break;
	default: return kf_fail(FEATURE, "the key's tokens do not do this mode");
	}
	return KF_OK;
}

static kf_err check_whole(const struct encipher *s)
{
	const struct parts_request stream = encipher_parts(&s->q);
	if (parts_are_meant(&stream))
		return kf_fail(FEATURE, "tokens encrypt in one piece");
	if (s->q.tag.n || s->q.additional_data.n)
		return kf_fail(INVALID_FIELD, "this cipher makes no tags");
	return s->q.has_data ? KF_OK : kf_fail(MISSING, "Data");
}

static kf_err find_cipher(const struct op_call *call, struct encipher *s)
{
	const uint32_t algorithm = call->object->algorithm;
	const uint32_t said = s->p.cryptographic_algorithm;
	if (said && said != algorithm)
		return kf_fail(BAD_PARAMETERS, "the key is of another algorithm");
	KF_TRY(cipher_find(
		algorithm, s->p.block_cipher_mode, call->object->length / 8, &s->info));
	return cipher_check_padding(s->info, s->p.padding_method);
}

/* Those of key wrapping have one of their own. */
static kf_err choose_iv(struct op_call *call, struct encipher *s)
{
	if (call->use.kind < USE_WRAP)
		return iv_choose(s->info, &s->p, s->q.iv, s->decrypts, &s->iv);
	return s->q.iv.n ? kf_fail(FEATURE, "tokens wrap with the standard's own IV")
			 : KF_OK;
}

static bool has_padding(const struct encipher *s)
{
	return s->info->kind == CIPHER_BLOCK && s->p.padding_method > PADDING_NONE;
}

/* The message with what is to follow it. */
static kf_err pad(struct op_call *call, struct encipher *s)
{
	uint8_t more[CIPHER_BLOCK_MAX];
	size_t n = 0;
	KF_TRY(block_pad((enum padding)s->p.padding_method, CIPHER_BLOCK_MAX, s->q.data.n,
		more, &n));
	s->material = buf_new(call->server->message_max);
	call->release = release;
	buf_add_slice(&s->material, s->q.data);
	buf_add(&s->material, more, n);
	call->use.in = buf_slice(&s->material);
	return buf_err(&s->material);
}

/* The padding is looked at when the token has answered. */
static kf_err unpad(struct op_call *call)
{
	const struct encipher *s = request_of(call);
	struct buf *out = &call->scratch;
	size_t n = 0;
	if (!s->decrypts || !has_padding(s))
		return KF_OK;
	if (out->n < CIPHER_BLOCK_MAX)
		return kf_fail(DATA, "decryption failed");
	const size_t before = out->n - CIPHER_BLOCK_MAX;
	KF_TRY(block_unpad((enum padding)s->p.padding_method, out->p + before,
		CIPHER_BLOCK_MAX, &n));
	out->n = before + n; /* what follows is wiped with the rest */
	return KF_OK;
}

static kf_err prepare_job(struct op_call *call, struct encipher *s)
{
	call->use = (struct use_job){
		.key = call->object->key, .in = s->q.data, .out = &call->scratch
	};
	KF_TRY(kind_of(s, &call->use.kind));
	KF_TRY(choose_iv(call, s));
	memcpy(call->use.iv, s->iv.used,
		s->iv.used_n < USE_IV_SIZE ? s->iv.used_n : USE_IV_SIZE);
	call->after_use = unpad;
	return has_padding(s) && !s->decrypts ? pad(call, s) : KF_OK;
}

static kf_err prepare(struct op_call *call, struct encipher *s)
{
	KF_TRY(op_check_use(call, s->decrypts ? OP_PROCESS : OP_PROTECT,
		s->decrypts ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT
			    : KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT));
	KF_TRY(check_whole(s));
	s->p = parameters_of(call->object, s->q.has_parameters, &s->q.parameters);
	KF_TRY(find_cipher(call, s));
	call->mechanism = s->info->name;
	buf_clear(&call->scratch);
	return prepare_job(call, s);
}

enum op_next token_encipher_start(struct op_call *call, bool decrypts)
{
	struct encipher *s = request_of(call);
	s->decrypts = decrypts;
	const kf_err err = prepare(call, s);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	return decrypts ? OP_USE : op_spend_usage(call, s->q.data.n, OP_USE);
}

/* ---- MAC ---- */

kf_err token_mac(
	struct op_call *call, const struct cryptographic_parameters *p, struct slice data)
{
	const uint32_t said = p->cryptographic_algorithm;
	if ((said && said != call->object->algorithm) ||
		p->block_cipher_mode != KMIP_BLOCK_CIPHER_MODE_CMAC)
		return kf_fail(FEATURE, "the key's tokens authenticate with CMAC only");
	call->mechanism = "AES-CMAC";
	buf_clear(&call->scratch);
	call->use = (struct use_job){ .key = call->object->key,
		.kind = USE_CMAC,
		.in = data,
		.out = &call->scratch };
	return KF_OK;
}

/* ---- in the middle of other work ---- */

kf_err token_said(kf_err e)
{
	if (kf_is(e, KF_E_TOKEN))
		return kf_fail(UNAVAILABLE,
			"no token could do it: `keyfleet token list` says why");
	if (kf_is(e, KF_E_CLOSED))
		return kf_fail(UNAVAILABLE, "the key server is stopping");
	if (kf_is(e, KF_E_UNSUPPORTED))
		return kf_fail(FEATURE, "the key's tokens do not do this");
	return e;
}

kf_err token_wait(const struct op_call *call, const struct pool_job *job)
{
	struct pool_job waits = { .deadline_ns = call->deadline_ns,
		.is_given_up = call->is_withdrawn,
		.sign = job->sign,
		.decrypt = job->decrypt,
		.use = job->use };
	if (!call->server->pools)
		return kf_fail(UNAVAILABLE, "no pool with the key");
	KF_TRY(token_said(pool_submit_and_wait(call->server->pools, &waits)));
	return token_said(job->sign      ? job->sign->err
			  : job->decrypt ? job->decrypt->err
					 : job->use->err);
}

kf_err token_use_now(
	const struct op_call *call, const struct object *key, struct use_job *job)
{
	job->key = key->key;
	return token_wait(call, &(struct pool_job){ .use = job });
}
