/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/decrypt.h"
#include "kmip/wire.h"

static void put_request(struct ttlv_writer *w, const struct decrypt_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (q->has_parameters)
		cryptographic_parameters_put(w, &q->parameters);
	if (q->has_data)
		ttlv_put_bytes(w, TAG_DATA, q->data);
	wire_put_bytes(w, TAG_IV_COUNTER_NONCE, q->iv);
	wire_put_stream(w, q->correlation_value, q->init_indicator, q->final_indicator);
	wire_put_bytes(
		w, TAG_AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, q->additional_data);
}

static void get_request(struct ttlv_reader *r, struct decrypt_request *ret)
{
	*ret = (struct decrypt_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ret->has_data = wire_opt_data(r, &ret->data);
	ttlv_opt_bytes(r, TAG_IV_COUNTER_NONCE, &ret->iv);
	wire_get_stream(
		r, &ret->correlation_value, &ret->init_indicator, &ret->final_indicator);
	ttlv_opt_bytes(
		r, TAG_AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, &ret->additional_data);
}

void decrypt_put_request(struct ttlv_writer *w, const struct decrypt_request *q)
{
	put_request(w, q);
	wire_put_bytes(w, TAG_AUTHENTICATED_ENCRYPTION_TAG, q->tag);
}

kf_err decrypt_get_request(struct ttlv_reader *r, struct decrypt_request *ret)
{
	get_request(r, ret);
	ttlv_opt_bytes(r, TAG_AUTHENTICATED_ENCRYPTION_TAG, &ret->tag);
	return ttlv_done(r);
}

void decrypt_put_response(struct ttlv_writer *w, const struct decrypt_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	if (a->has_data)
		ttlv_put_bytes(w, TAG_DATA, a->data);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err decrypt_get_response(struct ttlv_reader *r, struct decrypt_response *ret)
{
	*ret = (struct decrypt_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_data = ttlv_opt_bytes(r, TAG_DATA, &ret->data);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}

void encrypt_put_request(struct ttlv_writer *w, const struct decrypt_request *q)
{
	put_request(w, q);
}

kf_err encrypt_get_request(struct ttlv_reader *r, struct decrypt_request *ret)
{
	get_request(r, ret);
	return ttlv_done(r);
}

void encrypt_put_response(struct ttlv_writer *w, const struct decrypt_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	if (a->has_data)
		ttlv_put_bytes(w, TAG_DATA, a->data);
	wire_put_bytes(w, TAG_IV_COUNTER_NONCE, a->iv);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
	wire_put_bytes(w, TAG_AUTHENTICATED_ENCRYPTION_TAG, a->tag);
}

kf_err encrypt_get_response(struct ttlv_reader *r, struct decrypt_response *ret)
{
	*ret = (struct decrypt_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_data = ttlv_opt_bytes(r, TAG_DATA, &ret->data);
	ttlv_opt_bytes(r, TAG_IV_COUNTER_NONCE, &ret->iv);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	ttlv_opt_bytes(r, TAG_AUTHENTICATED_ENCRYPTION_TAG, &ret->tag);
	return ttlv_done(r);
}
