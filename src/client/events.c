/* SPDX-License-Identifier: Apache-2.0 */
/* The functions for event loops of include/keyfleet.h, on top of async.c. */
#include "client/async.h"
#include "client/cipher.h"
#include "client/sign.h"
#include "client/status.h"
#include <string.h>

kf_result kf_async_new(const kf_options *options, const kf_loop *loop,
	struct kf_async **ret, kf_call *call)
{
	static const struct async_options plain;
	autobuf why = buf_new(65536);
	struct settings s = { 0 };
	kf_err err = settings_copy(options, &s, &why);
	if (kf_ok(err))
		err = async_new(&s, loop, &plain, &why, ret);
	settings_free(&s);
	return status_tell_lines(call, err, buf_slice(&why));
}

kf_result kf_async_open(
	const char *path, const kf_loop *loop, struct kf_async **ret, kf_call *call)
{
	static const struct async_options plain;
	autobuf why = buf_new(65536);
	struct settings s = { 0 };
	kf_err err = settings_read(path, &s, &why);
	if (kf_ok(err))
		err = async_new(&s, loop, &plain, &why, ret);
	settings_free(&s);
	return status_tell_lines(call, err, buf_slice(&why));
}

static void tell(void *arg, const struct async_outcome *o, kf_err err, struct slice bytes)
{
	kf_call call = { 0 };
	if (status_tell(&call, err, o->report) != KF_SUCCESS)
		bytes = (struct slice){ 0 };
	((kf_done)o->hook)(arg, &call, bytes.p, bytes.n);
}

static struct ttlv_reader reader_of(const struct async_outcome *o)
{
	return ttlv_read_as(o->payload, o->report->version, true);
}

static void signed_(void *arg, const struct async_outcome *o)
{
	struct sign_response a = { 0 };
	struct ttlv_reader r = reader_of(o);
	kf_err err = kf_ok(o->err) ? sign_get_response(&r, &a) : o->err;
	tell(arg, o, err, a.signature);
}

static void decrypted(void *arg, const struct async_outcome *o)
{
	struct decrypt_response a = { 0 };
	struct ttlv_reader r = reader_of(o);
	kf_err err = kf_ok(o->err) ? decrypt_get_response(&r, &a) : o->err;
	tell(arg, o, err, a.data);
}

static void coded(void *arg, const struct async_outcome *o)
{
	struct mac_response a = { 0 };
	struct ttlv_reader r = reader_of(o);
	kf_err err = kf_ok(o->err) ? mac_get_response(&r, &a) : o->err;
	if (kf_ok(err))
		err = cipher_check_mac(&a);
	tell(arg, o, err, a.mac);
}

static kf_bytes bytes_at(struct slice s) { return (kf_bytes){ s.p, s.n }; }

static void encrypted(
	void *arg, const struct async_outcome *o, bool has_random_iv, bool has_tag)
{
	struct decrypt_response a = { 0 };
	struct ttlv_reader r = reader_of(o);
	kf_err err = kf_ok(o->err) ? encrypt_get_response(&r, &a) : o->err;
	if (kf_ok(err))
		err = cipher_check_encrypted(&a, has_random_iv, has_tag);
	kf_encrypted_bytes e = { bytes_at(a.data), bytes_at(a.iv), bytes_at(a.tag) };
	kf_call call = { 0 };
	bool is_good = status_tell(&call, err, o->report) == KF_SUCCESS;
	((kf_done_encrypted)o->hook)(arg, &call, is_good ? &e : NULL);
}

/* A call keeps of its request who is told in the end, and so what has to be there. */
static void encrypted_with_iv(void *arg, const struct async_outcome *o)
{
	encrypted(arg, o, false, false);
}

static void encrypted_with_iv_gives_tag(void *arg, const struct async_outcome *o)
{
	encrypted(arg, o, false, true);
}

static void encrypted_gives_iv(void *arg, const struct async_outcome *o)
{
	encrypted(arg, o, true, false);
}

static void encrypted_gives_both(void *arg, const struct async_outcome *o)
{
	encrypted(arg, o, true, true);
}

static async_done *encrypted_of(const struct cryptographic_parameters *p)
{
	if (p->has_random_iv)
		return p->has_tag_length ? encrypted_gives_both : encrypted_gives_iv;
	return p->has_tag_length ? encrypted_with_iv_gives_tag : encrypted_with_iv;
}

/* Requests of these operations look the same in every version that has them. */
static kf_result start(struct kf_async *a, struct async_request *q,
	kf_err (*put)(struct ttlv_writer *, const void *), const void *request,
	const kf_call *call)
{
	if (call && call->timeout_ms > SETTINGS_TIMEOUT_MAX_MS)
		return KF_INVALID_ARGUMENT;
	q->options.timeout_ms = call ? call->timeout_ms : 0;
	autobuf payload = buf_new(1 << 26);
	struct ttlv_writer w = ttlv_write(&payload, KMIP_2_1);
	kf_err err = put(&w, request);
	q->payload = buf_slice(&payload);
	if (kf_ok(err))
		err = async_call(a, q);
	/* Nothing has been received: what is too big is ours. */
	return kf_is(err, KF_E_TOO_BIG) ? KF_INVALID_ARGUMENT : status_of(err.code);
}

kf_result kf_async_sign(struct kf_async *async, const kf_sign_request *request,
	const kf_call *call, kf_done done, void *arg)
{
	struct sign_plan plan;
	if (sign_plan(request, &plan))
		return KF_INVALID_ARGUMENT;
	struct async_request q = { .operation = KMIP_OPERATION_SIGN,
		.done = signed_,
		.arg = arg,
		.hook = (async_hook *)done };
	return start(async, &q, sign_put, &plan.q, call);
}

kf_result kf_async_decrypt(struct kf_async *async, const kf_decrypt_request *request,
	const kf_call *call, kf_done done, void *arg)
{
	struct decrypt_request d;
	if (decrypt_plan(request, &d))
		return KF_INVALID_ARGUMENT;
	struct async_request q = { .operation = KMIP_OPERATION_DECRYPT,
		.done = decrypted,
		.arg = arg,
		.hook = (async_hook *)done };
	if (request->padding == KF_PKCS1_V15_TLS) {
		q.options.tls_client_version = request->tls_client_version;
		q.options.tls_negotiated_version = request->tls_negotiated_version;
	}
	return start(async, &q, decrypt_put, &d, call);
}

kf_result kf_async_cipher_encrypt(struct kf_async *async,
	const kf_cipher_request *request, const kf_call *call, kf_done_encrypted done,
	void *arg)
{
	struct decrypt_request e;
	if (cipher_plan(request, false, &e))
		return KF_INVALID_ARGUMENT;
	struct async_request q = { .operation = KMIP_OPERATION_ENCRYPT,
		.done = encrypted_of(&e.parameters),
		.arg = arg,
		.hook = (async_hook *)done };
	return start(async, &q, cipher_encrypt_put, &e, call);
}

kf_result kf_async_cipher_decrypt(struct kf_async *async,
	const kf_cipher_request *request, const kf_call *call, kf_done done, void *arg)
{
	struct decrypt_request d;
	if (cipher_plan(request, true, &d))
		return KF_INVALID_ARGUMENT;
	struct async_request q = { .operation = KMIP_OPERATION_DECRYPT,
		.done = decrypted,
		.arg = arg,
		.hook = (async_hook *)done };
	return start(async, &q, cipher_decrypt_put, &d, call);
}

kf_result kf_async_mac(struct kf_async *async, const kf_mac_request *request,
	const kf_call *call, kf_done done, void *arg)
{
	struct mac_request m;
	if (mac_plan(request, &m))
		return KF_INVALID_ARGUMENT;
	struct async_request q = { .operation = KMIP_OPERATION_MAC,
		.done = coded,
		.arg = arg,
		.hook = (async_hook *)done };
	return start(async, &q, cipher_mac_put, &m, call);
}
