/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/sign.h"
#include "kmip/wire.h"

void sign_put_request(struct ttlv_writer *w, const struct sign_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (q->has_parameters)
		cryptographic_parameters_put(w, &q->parameters);
	if (q->has_data)
		ttlv_put_bytes(w, TAG_DATA, q->data);
	if (q->has_digested_data)
		ttlv_put_bytes(w, TAG_DIGESTED_DATA, q->digested_data);
	wire_put_stream(w, q->correlation_value, q->init_indicator, q->final_indicator);
}

kf_err sign_get_request(struct ttlv_reader *r, struct sign_request *ret)
{
	*ret = (struct sign_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ret->has_data = wire_opt_data(r, &ret->data);
	ret->has_digested_data =
		ttlv_opt_bytes(r, TAG_DIGESTED_DATA, &ret->digested_data);
	wire_get_stream(
		r, &ret->correlation_value, &ret->init_indicator, &ret->final_indicator);
	/* The last part of a stream may be empty. */
	if (ttlv_ok(r) && !ret->has_data && !ret->has_digested_data &&
		!ret->correlation_value.n)
		ttlv_refuse(r, kf_fail(MISSING, "neither Data nor Digested Data"));
	return ttlv_done(r);
}

void sign_put_response(struct ttlv_writer *w, const struct sign_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	/* Only the last answer of a stream has it. */
	wire_put_bytes(w, TAG_SIGNATURE_DATA, a->signature);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err sign_get_response(struct ttlv_reader *r, struct sign_response *ret)
{
	*ret = (struct sign_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_opt_bytes(r, TAG_SIGNATURE_DATA, &ret->signature);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}
