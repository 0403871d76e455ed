/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/signature_verify.h"
#include "kmip/wire.h"

void signature_verify_put_request(
	struct ttlv_writer *w, const struct signature_verify_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (q->has_parameters)
		cryptographic_parameters_put(w, &q->parameters);
	if (q->has_data)
		ttlv_put_bytes(w, TAG_DATA, q->data);
	if (q->has_digested_data)
		ttlv_put_bytes(w, TAG_DIGESTED_DATA, q->digested_data);
	wire_put_bytes(w, TAG_SIGNATURE_DATA, q->signature);
	wire_put_stream(w, q->correlation_value, q->init_indicator, q->final_indicator);
}

kf_err signature_verify_get_request(
	struct ttlv_reader *r, struct signature_verify_request *ret)
{
	*ret = (struct signature_verify_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ret->has_data = wire_opt_data(r, &ret->data);
	ret->has_digested_data =
		ttlv_opt_bytes(r, TAG_DIGESTED_DATA, &ret->digested_data);
	/* Absent in all but the last message of a stream. */
	ttlv_opt_bytes(r, TAG_SIGNATURE_DATA, &ret->signature);
	wire_get_stream(
		r, &ret->correlation_value, &ret->init_indicator, &ret->final_indicator);
	return ttlv_done(r);
}

void signature_verify_put_response(
	struct ttlv_writer *w, const struct signature_verify_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	ttlv_put_enum(w, TAG_VALIDITY_INDICATOR, a->validity);
	wire_put_bytes(w, TAG_DATA, a->data);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err signature_verify_get_response(
	struct ttlv_reader *r, struct signature_verify_response *ret)
{
	*ret = (struct signature_verify_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_get_enum(r, TAG_VALIDITY_INDICATOR, &ret->validity);
	ttlv_opt_bytes(r, TAG_DATA, &ret->data);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}
