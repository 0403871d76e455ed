/* SPDX-License-Identifier: Apache-2.0
 *
 * MAC and MAC Verify, with a symmetric key or secret data.
 */
#include "kmip/mac.h"
#include "op/parameters.h"
#include "op/parts.h"
#include "op/secret.h"
#include "op/step.h"
#include "op/token_use.h"
#include "op/usage.h"
#include <openssl/crypto.h>
#include <string.h>

/* More takes longer than to hand it to another thread (HMAC-SHA-256 without instructions of its own). */
enum { INLINE_MAX = 8192 };

struct mac_call {
	struct mac_request q;
	bool verifies;
	struct mac_kind kind;
	struct slice key;    /* in locked memory, or in `material` */
	struct buf material; /* released with the call */
	uint8_t mac[MAC_MAX];
	size_t mac_n; /* 0: there is none yet */
	bool is_valid, has_next;
	uint8_t correlation[PARTS_ID_SIZE]; /* of the next part, if has_next */
};

static struct mac_call *request_of(struct op_call *call)
{
	return OP_REQUEST(call, struct mac_call);
}

static struct parts_request parts_of(const struct mac_call *m)
{
	return (struct parts_request){ m->q.correlation_value, m->q.init_indicator,
		m->q.final_indicator };
}

static kf_err decode(struct op_call *call, bool verifies)
{
	struct ttlv_reader r = op_payload(call);
	struct mac_call *m = request_of(call);

	m->verifies = verifies;
	KF_TRY(verifies ? mac_verify_get_request(&r, &m->q) : mac_get_request(&r, &m->q));
	const struct parts_request parts = parts_of(m);
	return parts_name_object(call, &m->q.uid, &parts);
}

kf_err op_mac_decode(struct op_call *call) { return decode(call, false); }
kf_err op_mac_verify_decode(struct op_call *call) { return decode(call, true); }

static void release(struct op_call *call) { buf_free(&request_of(call)->material); }

/* CBC-MAC of one block is that block encrypted: for whoever may make MACs it opens CTR, GCM and key wraps under the
 * same key.  So the key's own parameters must say that it is for this, which whoever may set attributes can have them
 * say; and its mask, which nobody can change, that it is for nothing else. */
static kf_err check_cbc_mac(const struct object *o)
{
	const uint32_t codes = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE |
			       KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY;

	if (!parameters_name_mode(o, KMIP_BLOCK_CIPHER_MODE_CBC_MAC))
		return kf_fail(BAD_PARAMETERS,
			"the key's Cryptographic Parameters do not say CBC-MAC");
	return o->usage_mask & ~codes
		       ? kf_fail(BAD_PARAMETERS,
				 "CBC-MAC is for keys whose Cryptographic Usage Mask has "
				 "nothing but MAC Generate and MAC Verify")
		       : KF_OK;
}

/* Any secret makes an HMAC.  A block cipher's key is for its own MACs alone, and a key of Poly1305, which
 * authenticates one message, for nothing else. */
static kf_err find_kind(const struct op_call *call, struct mac_call *m)
{
	const struct object *o = call->object;
	const struct cryptographic_parameters p =
		parameters_of(o, m->q.has_parameters, &m->q.parameters);
	const struct mac_wish wish = {
		.algorithm = p.cryptographic_algorithm ? p.cryptographic_algorithm
						       : o->algorithm,
		.mode = p.block_cipher_mode,
		.padding = p.padding_method,
		.hash = p.hashing_algorithm,
		.key_n = m->key.n,
	};
	const bool is_own =
		wish.mode || wish.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_POLY1305;

	if (is_own && wish.algorithm != o->algorithm)
		return kf_fail(BAD_PARAMETERS, "the key is of another algorithm");
	if (wish.mode == KMIP_BLOCK_CIPHER_MODE_CBC_MAC)
		KF_TRY(check_cbc_mac(o));
	return mac_find(&wish, &m->kind);
}

static kf_err prepare_first(struct op_call *call, struct mac_call *m)
{
	if (!m->q.has_data && !m->q.init_indicator)
		return kf_fail(MISSING, "Data");
	m->material = buf_new(call->server->message_max);
	call->release = release;
	KF_TRY(op_secret_open(call, call->object, &m->material, &m->key));
	KF_TRY(find_kind(call, m));
	call->mechanism = m->kind.name;
	return KF_OK;
}

/* The token's answer is in call->scratch. */
static kf_err take_from_token(struct op_call *call)
{
	struct mac_call *m = request_of(call);
	if (call->scratch.n > sizeof(m->mac))
		return kf_fail(INTERNAL, "a MAC is too long");
	m->mac_n = call->scratch.n;
	memcpy(m->mac, call->scratch.p, m->mac_n);
	m->is_valid =
		m->q.mac.n == m->mac_n && !CRYPTO_memcmp(m->q.mac.p, m->mac, m->mac_n);
	return KF_OK;
}

static kf_err prepare_on_token(struct op_call *call, struct mac_call *m)
{
	const struct parts_request parts = parts_of(m);
	const struct cryptographic_parameters p =
		parameters_of(call->object, m->q.has_parameters, &m->q.parameters);
	if (parts_are_meant(&parts))
		return kf_fail(FEATURE, "tokens authenticate in one piece");
	if (!m->q.has_data)
		return kf_fail(MISSING, "Data");
	call->after_use = take_from_token;
	return token_mac(call, &p, m->q.data);
}

static kf_err prepare(struct op_call *call, struct mac_call *m)
{
	const struct parts_request parts = parts_of(m);
	const bool is_end = !parts_are_meant(&parts) || parts.is_last;
	const uint32_t usage = m->verifies ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY
					   : KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE;

	if (call->object->type != OBJECT_SYMMETRIC_KEY &&
		call->object->type != OBJECT_SECRET_DATA)
		return kf_fail(OBJECT_TYPE, "the object is no key for this");
	KF_TRY(op_check_use(call, m->verifies ? OP_PROCESS : OP_PROTECT, usage));
	if (m->verifies && is_end && !m->q.mac.n)
		return kf_fail(MISSING, "MAC Data");
	if (token_has_key(call->object))
		return prepare_on_token(call, m);
	return parts.correlation_value.n ? parts_check(call, &parts)
					 : prepare_first(call, m);
}

/* --- work --- */

static kf_err finish(struct mac_call *m, struct mac *mac)
{
	KF_TRY(mac_add(mac, m->q.data));
	KF_TRY(mac_last(mac, m->mac));
	m->mac_n = mac->size;
	m->is_valid =
		m->q.mac.n == m->mac_n && !CRYPTO_memcmp(m->q.mac.p, m->mac, m->mac_n);
	return KF_OK;
}

static kf_err work_whole(struct mac_call *m)
{
	struct mac mac = { 0 };
	kf_err err = mac_begin(&mac, &m->kind, m->key);
	if (kf_ok(err))
		err = finish(m, &mac);
	mac_end(&mac);
	return err;
}

static kf_err keep(struct op_call *call, struct mac_call *m, struct parts **parts)
{
	KF_TRY(mac_add(&(*parts)->mac, m->q.data));
	memcpy(m->correlation, (*parts)->id, sizeof(m->correlation));
	KF_TRY(parts_put(call, parts));
	m->has_next = true;
	return KF_OK;
}

static kf_err work_part(struct op_call *call, struct mac_call *m)
{
	const struct parts_request want = parts_of(m);
	struct parts *parts = NULL;
	kf_err err = KF_OK;

	KF_TRY(parts_open(call, &want, &parts));
	if (!parts->mac.size)
		err = mac_begin(&parts->mac, &m->kind, m->key);
	if (kf_ok(err))
		err = want.is_last ? finish(m, &parts->mac) : keep(call, m, &parts);
	parts_free(call, &parts);
	return err;
}

static enum op_next work(struct op_call *call)
{
	struct mac_call *m = request_of(call);
	const struct parts_request parts = parts_of(m);

	return op_then(call, parts_are_meant(&parts) ? work_part(call, m) : work_whole(m),
		OP_ANSWER);
}

static enum op_next spend(struct op_call *call, const struct mac_call *m)
{
	if (m->verifies)
		return OP_WORK;
	return m->q.correlation_value.n ? op_spend_usage_more(call, m->q.data.n, OP_WORK)
					: op_spend_usage(call, m->q.data.n, OP_WORK);
}

static enum op_next start(struct op_call *call)
{
	struct mac_call *m = request_of(call);
	const kf_err err = prepare(call, m);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->work = work;
	if (token_has_key(call->object))
		return m->verifies ? OP_USE : op_spend_usage(call, m->q.data.n, OP_USE);
	const enum op_next next = spend(call, m);
	return next == OP_WORK && m->q.data.n <= INLINE_MAX ? work(call) : next;
}

enum op_next op_mac_start(struct op_call *call) { return start(call); }
enum op_next op_mac_verify_start(struct op_call *call) { return start(call); }

static struct slice next_part(const struct mac_call *m)
{
	return (struct slice){ m->correlation, m->has_next ? sizeof(m->correlation) : 0 };
}

void op_mac_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct mac_call *m = request_of(call);
	mac_put_response(w, &(struct mac_response){
				    .uid = op_uid(call),
				    .mac = { m->mac, m->mac_n },
				    .correlation_value = next_part(m),
			    });
}

static uint32_t validity(const struct mac_call *m)
{
	if (!m->mac_n)
		return KMIP_VALIDITY_INDICATOR_UNKNOWN;
	return m->is_valid ? KMIP_VALIDITY_INDICATOR_VALID
			   : KMIP_VALIDITY_INDICATOR_INVALID;
}

void op_mac_verify_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct mac_call *m = request_of(call);
	mac_verify_put_response(w, &(struct mac_verify_response){
					   .uid = op_uid(call),
					   .validity = validity(m),
					   .correlation_value = next_part(m),
				   });
}
