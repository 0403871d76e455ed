/* SPDX-License-Identifier: Apache-2.0 */
#include "op/encipher.h"
#include "op/parameters.h"
#include "op/secret.h"
#include "op/step.h"
#include "op/token_use.h"
#include "op/usage.h"
#include <string.h>

struct parts_request encipher_parts(const struct decrypt_request *q)
{
	return (struct parts_request){ q->correlation_value, q->init_indicator,
		q->final_indicator };
}

enum { TAG_MIN = 12 };

static struct encipher *request_of(struct op_call *call)
{
	return OP_REQUEST(call, struct encipher);
}

static void release(struct op_call *call) { buf_free(&request_of(call)->material); }

/* --- what is meant --- */

/* The key says what it is for; a request may only repeat it.  ChaCha20 keys serve both of its forms. */
static kf_err find_cipher(const struct op_call *call, struct encipher *s)
{
	uint32_t algorithm = call->object->algorithm, mode = s->p.block_cipher_mode;
	const uint32_t wanted = s->p.cryptographic_algorithm;

	if (algorithm == CIPHER_CHACHA20 &&
		(mode == MODE_AEAD || wanted == CIPHER_CHACHA20POLY1305))
		algorithm = CIPHER_CHACHA20POLY1305;
	if (wanted && wanted != algorithm)
		return kf_fail(BAD_PARAMETERS, "the key is of another algorithm");
	if (algorithm == CIPHER_CHACHA20POLY1305 && !mode)
		mode = MODE_AEAD;
	KF_TRY(cipher_find(algorithm, mode, s->key.n, &s->info));
	return cipher_check_padding(s->info, s->p.padding_method);
}

/* Before 1.4 there is no field for the tag: it is the end of the data. */
static kf_err cut_tag(struct encipher *s)
{
	struct slice *data = &s->q.data;

	if (data->n < s->tag_n)
		return kf_fail(DATA, "decryption failed");
	data->n -= s->tag_n;
	s->q.tag = (struct slice){ data->p + data->n, s->tag_n };
	return KF_OK;
}

/* Who can have tags checked that are so short guesses one of 2^32. */
static kf_err check_tag(const struct op_call *call, const struct encipher *s)
{
	const size_t least = call->server->tag_min ? call->server->tag_min : TAG_MIN;
	KF_TRY(cipher_check_tag(s->info, s->tag_n));
	return s->tag_n >= least
		       ? KF_OK
		       : kf_fail(TAG_LENGTH, "shorter than the server's `tag_length`");
}

static kf_err choose_tag(const struct op_call *call, struct encipher *s)
{
	if (!cipher_has_tag(s->info)) {
		if (s->q.tag.n || s->q.additional_data.n)
			return kf_fail(INVALID_FIELD, "this cipher makes no tags");
		return KF_OK;
	}
	if (s->p.has_tag_length && s->p.tag_length < 0)
		return kf_fail(TAG_LENGTH, "the cipher has no tags of this length");
	s->tag_n = s->p.has_tag_length ? (size_t)s->p.tag_length : CIPHER_TAG_MAX;
	KF_TRY(check_tag(call, s));
	const struct parts_request stream = encipher_parts(&s->q);
	if (!s->decrypts || parts_are_meant(&stream))
		return KF_OK;
	if (call->version < KMIP_1_4)
		return cut_tag(s);
	return s->q.tag.n ? KF_OK : kf_fail(MISSING, "Authenticated Encryption Tag");
}

static kf_err prepare_first(struct op_call *call, struct encipher *s)
{
	const struct object *o = call->object;

	s->p = parameters_of(o, s->q.has_parameters, &s->q.parameters);
	s->material = buf_new(call->server->message_max);
	call->release = release;
	if (!s->q.has_data && !s->q.init_indicator)
		return kf_fail(MISSING, "Data");
	KF_TRY(op_secret_open(call, o, &s->material, &s->key));
	KF_TRY(find_cipher(call, s));
	call->mechanism = s->info->name;
	KF_TRY(choose_tag(call, s));
	return iv_choose(s->info, &s->p, s->q.iv, s->decrypts, &s->iv);
}

static kf_err prepare_more(struct op_call *call, const struct encipher *s)
{
	const struct parts_request stream = encipher_parts(&s->q);

	if (s->q.iv.n || s->q.additional_data.n)
		return kf_fail(INVALID_FIELD, "only the first part has these");
	return parts_check(call, &stream);
}

static kf_err prepare(struct op_call *call, struct encipher *s)
{
	const uint32_t usage = s->decrypts ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT
					   : KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT;

	if (call->object->type != OBJECT_SYMMETRIC_KEY)
		return kf_fail(OBJECT_TYPE, "the object is no key for this");
	KF_TRY(op_check_use(call, s->decrypts ? OP_PROCESS : OP_PROTECT, usage));
	return s->q.correlation_value.n ? prepare_more(call, s) : prepare_first(call, s);
}

/* --- work --- */

static kf_err begin(struct cipher *c, const struct encipher *s, bool has_parts)
{
	return cipher_begin(c, &(struct cipher_setup){
				       .info = s->info,
				       .padding = (enum padding)s->p.padding_method,
				       .decrypts = s->decrypts,
				       .has_parts = has_parts,
				       .key = s->key,
				       .iv = { s->iv.used, s->iv.used_n },
				       .aad = s->q.additional_data,
				       .tag_n = s->tag_n,
				       .bytes_max = s->iv.bytes_max,
			       });
}

static kf_err finish(struct op_call *call, struct encipher *s, struct cipher *c)
{
	KF_TRY(cipher_last(c, s->q.data, s->q.tag, &call->scratch, s->tag));
	s->tag_n = c->tag_n;
	s->has_tag = !s->decrypts && cipher_has_tag(c->info);
	if (!s->has_tag || call->version >= KMIP_1_4)
		return KF_OK;
	buf_add(&call->scratch, s->tag, s->tag_n);
	s->has_tag = false;
	return buf_err(&call->scratch);
}

static kf_err work_whole(struct op_call *call, struct encipher *s)
{
	struct cipher c;
	kf_err err = begin(&c, s, false);
	if (kf_ok(err))
		err = finish(call, s, &c);
	cipher_end(&c);
	return err;
}

/* Before 1.4 the tag is the end of the last part, which therefore has all of it. */
static kf_err finish_stream(struct op_call *call, struct encipher *s, struct cipher *c)
{
	call->mechanism = c->info->name;
	s->tag_n = c->tag_n;
	if (s->decrypts && cipher_has_tag(c->info) && call->version < KMIP_1_4)
		KF_TRY(cut_tag(s));
	return finish(call, s, c);
}

static kf_err keep(struct op_call *call, struct encipher *s, struct parts **st)
{
	KF_TRY(cipher_part(&(*st)->cipher, s->q.data, &call->scratch));
	memcpy(s->correlation, (*st)->id, sizeof(s->correlation));
	call->mechanism = (*st)->cipher.info->name;
	KF_TRY(parts_put(call, st));
	s->has_next = true;
	return KF_OK;
}

static kf_err work_part(struct op_call *call, struct encipher *s)
{
	const struct parts_request want = encipher_parts(&s->q);
	struct parts *st = NULL;
	kf_err err = KF_OK;

	KF_TRY(parts_open(call, &want, &st));
	if (!st->cipher.ctx)
		err = begin(&st->cipher, s, true);
	if (kf_ok(err))
		err = want.is_last ? finish_stream(call, s, &st->cipher)
				   : keep(call, s, &st);
	parts_free(call, &st);
	return err;
}

static enum op_next work(struct op_call *call)
{
	struct encipher *s = request_of(call);
	const struct parts_request stream = encipher_parts(&s->q);

	buf_clear(&call->scratch);
	const kf_err err =
		parts_are_meant(&stream) ? work_part(call, s) : work_whole(call, s);
	if (!kf_ok(err))
		buf_clear(&call->scratch);
	return op_then(call, err, OP_ANSWER);
}

static enum op_next spend(struct op_call *call, const struct encipher *s)
{
	if (s->decrypts)
		return OP_WORK;
	return s->q.correlation_value.n ? op_spend_usage_more(call, s->q.data.n, OP_WORK)
					: op_spend_usage(call, s->q.data.n, OP_WORK);
}

enum { PART_INLINE_MAX = 4096 };

enum op_next encipher_start(struct op_call *call, bool decrypts)
{
	struct encipher *s = request_of(call);

	if (call->object->type == OBJECT_SYMMETRIC_KEY && token_has_key(call->object))
		return token_encipher_start(call, decrypts);
	s->decrypts = decrypts;
	const kf_err err = prepare(call, s);
	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->work = work;
	const enum op_next next = spend(call, s);
	const size_t inline_max = s->info ? s->info->inline_max : PART_INLINE_MAX;
	return next == OP_WORK && s->q.data.n <= inline_max ? work(call) : next;
}

struct decrypt_response encipher_answer(struct op_call *call)
{
	struct encipher *s = request_of(call);

	return (struct decrypt_response){
		.uid = op_uid(call),
		/* A part that makes nothing yet has no Data. */
		.has_data = call->scratch.n || !(s->has_next || s->q.correlation_value.n),
		.data = buf_slice(&call->scratch),
		.iv = { s->iv.said, s->iv.is_ours ? s->iv.said_n : 0 },
		.correlation_value = { s->correlation,
			s->has_next ? sizeof(s->correlation) : 0 },
		.tag = { s->tag, s->has_tag ? s->tag_n : 0 },
	};
}
