/* SPDX-License-Identifier: Apache-2.0 */
#include "op/wrap.h"
#include "crypt/prf.h"
#include "op/material.h"
#include "op/secret.h"
#include "op/token_use.h"
#include "op/token_wrap.h"
#include "op/usage.h"
#include "op/wrap_key.h"
#include <stdlib.h>

struct wrapping {
	struct key_wrapping how;
	struct buf value;      /* the Key Value, or what its bytes become */
	struct buf attributes; /* inside the Key Value */
	struct buf iv, mac;
	struct buf sealed;      /* by a token */
	struct object *key;     /* that the token has: owned reference, or NULL */
	struct object *mac_key; /* owned reference, or NULL */
	struct cryptographic_parameters mac_parameters;
	bool waits;
};

static struct wrapping *wrapping_new(const struct op_call *call)
{
	const size_t most = call->server->message_max;
	struct wrapping *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->value = buf_new(most);
	w->attributes = buf_new(most);
	w->sealed = buf_new(most);
	w->iv = buf_new(KEYWRAP_IV_MAX);
	w->mac = buf_new(PRF_SIZE_MAX);
	return w;
}

void wrapping_free(struct wrapping *w)
{
	if (!w)
		return;
	buf_free(&w->value);
	buf_free(&w->attributes);
	buf_free(&w->sealed);
	buf_free(&w->iv);
	buf_free(&w->mac);
	object_unref(w->key);
	object_unref(w->mac_key);
	free(w);
}

bool wrapping_waits(const struct wrapping *w) { return w->waits; }

/* --- what is wrapped --- */

static kf_err add_named(struct op_call *call, const struct key_wrapping *how,
	struct slice all, struct buf *set)
{
	struct ttlv_reader r = ttlv_read_as(how->attributes, call->version, false);
	struct attr_ref ref;
	struct ttlv_item it;

	while (attr_ref_get(&r, &ref))
		for (size_t n = 0; ref.tag && attrs_find_ref(all, &ref, n, &it); n++)
			attrs_add_item(set, it.whole);
	KF_TRY(ttlv_done(&r));
	return buf_err(set);
}

/* The attributes that the specification names, as this version has them inside Key Value. */
static kf_err put_attributes(
	struct op_call *call, const struct key_wrapping *how, struct buf *ret)
{
	autobuf all = buf_new(call->server->message_max);
	autobuf named = buf_new(call->server->message_max);
	struct ttlv_writer w = ttlv_write(ret, call->version);

	KF_TRY(op_check_tells(call));
	op_attrs_now(call, &all);
	KF_TRY(buf_err(&all));
	KF_TRY(add_named(call, how, buf_slice(&all), &named));
	attrs_put_list(&w, buf_slice(&named));
	return ttlv_written(&w);
}

static kf_err put_encoded(struct op_call *call, struct key_block *kb,
	struct buf *attributes, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, call->version);

	kb->attributes = buf_slice(attributes);
	kb->writes_attributes = attributes->n > 0;
	key_value_put(&w, kb);
	return ttlv_written(&w);
}

static kf_err put_value(struct op_call *call, struct wrapping *w, struct key_block *kb)
{
	const struct key_wrapping *how = &w->how;
	const bool is_bare = how->encoding == KMIP_ENCODING_OPTION_NO_ENCODING;

	if (how->encoding && !is_bare &&
		how->encoding != KMIP_ENCODING_OPTION_TTLV_ENCODING)
		return kf_fail(ENCODING_OPTION, "no such Encoding Option");
	if (is_bare && how->attributes_n)
		return kf_fail(ENCODING_OPTION,
			"attributes are wrapped with TTLV Encoding only");
	if (is_bare && kb->is_transparent)
		return kf_fail(ENCODING_OPTION, "a structure needs TTLV Encoding");
	if (is_bare) {
		buf_add_slice(&w->value, kb->material);
		return buf_err(&w->value);
	}
	if (how->attributes_n)
		KF_TRY(put_attributes(call, how, &w->attributes));
	return put_encoded(call, kb, &w->attributes, &w->value);
}

/* --- wrapping it --- */

static kf_err seal_by_public(struct op_call *call, const struct object *key,
	const struct cryptographic_parameters *p, struct wrapping *w)
{
	autobuf material = buf_new(call->server->message_max);
	autobuf out = buf_new(call->server->message_max);
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	struct keywrap_oaep how;
	struct slice bytes;

	KF_TRY(wrap_key_oaep(p, &how));
	KF_TRY(store_material(call->server->store, key, &material, &bytes));
	KF_TRY(material_public(bytes, key, &public));
	KF_TRY(keywrap_seal_oaep(pubkey_spki(public), &how, buf_slice(&w->value), &out));
	buf_clear(&w->value);
	buf_add_slice(&w->value, buf_slice(&out));
	call->mechanism = "RSA_OAEP";
	return buf_err(&w->value);
}

static kf_err seal_by_secret(struct op_call *call, const struct object *key,
	const struct cryptographic_parameters *p, struct wrapping *w)
{
	autobuf scratch = buf_new(call->server->message_max);
	autobuf out = buf_new(call->server->message_max);
	struct slice secret;
	struct keywrap how;

	KF_TRY(op_secret_open(call, key, &scratch, &secret));
	KF_TRY(wrap_key_cipher(key, p, secret, &how, &call->mechanism));
	KF_TRY(keywrap_seal(&how, buf_slice(&w->value), &w->iv, &out));
	buf_clear(&w->value);
	buf_add_slice(&w->value, buf_slice(&out));
	return buf_err(&w->value);
}

/* What it will be is not there yet. */
static kf_err seal_by_token(struct op_call *call, const struct object *key,
	const struct cryptographic_parameters *p, struct wrapping *w)
{
	struct keywrap how;

	KF_TRY(wrap_key_cipher(key, p, (struct slice){ 0 }, &how, &call->mechanism));
	KF_TRY(token_wrap_seal(key, &how, &w->value, &w->iv, &call->use));
	call->use.out = &w->sealed;
	w->key = object_ref(key);
	w->waits = true;
	return KF_OK;
}

static kf_err seal_by(struct op_call *call, const struct object *key,
	const struct cryptographic_parameters *p, struct wrapping *w)
{
	if (key->type == OBJECT_PUBLIC_KEY)
		return seal_by_public(call, key, p, w);
	return token_has_key(key) ? seal_by_token(call, key, p, w)
				  : seal_by_secret(call, key, p, w);
}

/* KMIP 1.x tells keys that are not for this from what is no key. */
static kf_err not_for(const struct object *o, kf_err otherwise)
{
	const bool is_key = o->type == OBJECT_SYMMETRIC_KEY ||
			    o->type == OBJECT_PUBLIC_KEY || o->type == OBJECT_PRIVATE_KEY;
	return is_key ? otherwise : kf_fail(ILLEGAL, "the object is not a key");
}

static kf_err seal(struct op_call *call, struct wrapping *w)
{
	const struct object *key = NULL;
	struct cryptographic_parameters p;

	KF_TRY(wrap_key_find(call, &w->how.encryption.uid, PERM_WRAP, &key));
	if (key->type != OBJECT_SYMMETRIC_KEY && key->type != OBJECT_PUBLIC_KEY)
		return not_for(
			key, kf_fail(OBJECT_TYPE, "keys of this type do not wrap"));
	KF_TRY(wrap_key_check(
		key, call->now_s, OP_PROTECT, KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY));
	KF_TRY(wrap_key_parameters(key, &w->how.encryption, &p));
	KF_TRY(op_count_usage(call, key, w->value.n));
	return seal_by(call, key, &p, w);
}

static kf_err find_mac_key(struct op_call *call, struct wrapping *w)
{
	const struct object *key = NULL;
	const size_t n = w->waits ? token_wrap_size(&call->use) : w->value.n;

	KF_TRY(wrap_key_find(call, &w->how.mac.uid, PERM_WRAP, &key));
	if (key->type == OBJECT_PRIVATE_KEY)
		return kf_fail(FEATURE, "wrapped keys with a signature");
	if (key->type != OBJECT_SYMMETRIC_KEY)
		return not_for(key,
			kf_fail(OBJECT_TYPE, "keys of this type do not authenticate"));
	KF_TRY(wrap_key_check(key, call->now_s, OP_PROTECT,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE));
	KF_TRY(wrap_key_parameters(key, &w->how.mac, &w->mac_parameters));
	if (token_has_key(key))
		return kf_fail(FEATURE, "MAC/Signature Key Information: tokens hold this "
					"key, and authenticate no wrapped keys");
	KF_TRY(op_count_usage(call, key, n));
	w->mac_key = object_ref(key);
	if (!call->mechanism)
		call->mechanism = "MAC";
	return KF_OK;
}

static kf_err authenticate(struct op_call *call, struct wrapping *w)
{
	autobuf scratch = buf_new(call->server->message_max);
	struct slice secret;

	KF_TRY(op_secret_open(call, w->mac_key, &scratch, &secret));
	return wrap_key_mac(
		w->mac_key, &w->mac_parameters, secret, buf_slice(&w->value), &w->mac);
}

/* --- the block --- */

/* Everything that the block will point to; the writer of the answer looks at it later. */
static kf_err fill(
	struct op_call *call, struct wrapping *w, struct key_block *kb, struct buf *bytes)
{
	const bool is_sealed = wrap_encrypts(&w->how);
	const struct slice value = is_sealed ? buf_slice(&w->value) : kb->material;
	struct ttlv_writer out = ttlv_write(bytes, call->version);

	w->how.iv = buf_slice(&w->iv);
	w->how.mac_signature = buf_slice(&w->mac);
	key_wrapping_data_put(&out, &w->how);
	const size_t data_n = bytes->n;
	buf_add_slice(bytes, value);
	buf_add_slice(bytes, buf_slice(&w->attributes));
	KF_TRY(buf_err(bytes));
	kb->is_wrapped = true;
	kb->is_encoded = is_sealed;
	kb->wrapping_data = (struct slice){ bytes->p, data_n };
	kb->material = (struct slice){ bytes->p + data_n, value.n };
	kb->attributes = (struct slice){ bytes->p + data_n + value.n,
		is_sealed ? 0 : w->attributes.n };
	kb->writes_attributes = kb->attributes.n > 0;
	return KF_OK;
}

static kf_err begin(struct op_call *call, struct wrapping *w, struct key_block *kb)
{
	KF_TRY(put_value(call, w, kb));
	if (wrap_encrypts(&w->how))
		KF_TRY(seal(call, w));
	return wrap_macs(&w->how) ? find_mac_key(call, w) : KF_OK;
}

kf_err op_wrap(struct op_call *call, struct slice specification, struct key_block *kb,
	struct wrapping **ret)
{
	CLEANUP(wrapping_freep) struct wrapping *w = wrapping_new(call);

	if (!w)
		return kf_fail(NOMEM, "key wrapping");
	KF_TRY(key_wrapping_specification_parse(specification, call->version, &w->how));
	KF_TRY(wrap_check_method(&w->how));
	if (kb->is_wrapped || kb->is_encoded)
		return kf_fail(WRAP_TYPE, "the key is wrapped by a key that is not here");
	if (!kb->has_value)
		return kf_fail(NO_VALUE, "there is no Key Value here");
	KF_TRY(begin(call, w, kb));
	*ret = w;
	w = NULL;
	return KF_OK;
}

kf_err op_wrap_end(
	struct op_call *call, struct wrapping *w, struct key_block *kb, struct buf *bytes)
{
	if (w->waits) {
		buf_clear(&w->value);
		buf_add_slice(&w->value, buf_slice(&w->sealed));
		KF_TRY(buf_err(&w->value));
	}
	if (w->mac_key)
		KF_TRY(authenticate(call, w));
	return fill(call, w, kb, bytes);
}
