/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/mac.h"
#include "kmip/wire.h"

static void put_request(struct ttlv_writer *w, const struct mac_request *q, bool verifies)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (q->has_parameters)
		cryptographic_parameters_put(w, &q->parameters);
	if (q->has_data)
		ttlv_put_bytes(w, TAG_DATA, q->data);
	if (verifies)
		wire_put_bytes(w, TAG_MAC_DATA, q->mac);
	wire_put_stream(w, q->correlation_value, q->init_indicator, q->final_indicator);
}

static kf_err get_request(struct ttlv_reader *r, struct mac_request *ret, bool verifies)
{
	*ret = (struct mac_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ret->has_data = wire_opt_data(r, &ret->data);
	/* Absent in all but the last message of a stream. */
	if (verifies)
		ttlv_opt_bytes(r, TAG_MAC_DATA, &ret->mac);
	wire_get_stream(
		r, &ret->correlation_value, &ret->init_indicator, &ret->final_indicator);
	return ttlv_done(r);
}

void mac_put_request(struct ttlv_writer *w, const struct mac_request *q)
{
	put_request(w, q, false);
}

kf_err mac_get_request(struct ttlv_reader *r, struct mac_request *ret)
{
	return get_request(r, ret, false);
}

void mac_verify_put_request(struct ttlv_writer *w, const struct mac_request *q)
{
	put_request(w, q, true);
}

kf_err mac_verify_get_request(struct ttlv_reader *r, struct mac_request *ret)
{
	return get_request(r, ret, true);
}

void mac_put_response(struct ttlv_writer *w, const struct mac_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	wire_put_bytes(w, TAG_MAC_DATA, a->mac);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err mac_get_response(struct ttlv_reader *r, struct mac_response *ret)
{
	*ret = (struct mac_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_opt_bytes(r, TAG_MAC_DATA, &ret->mac);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}

void mac_verify_put_response(struct ttlv_writer *w, const struct mac_verify_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	ttlv_put_enum(w, TAG_VALIDITY_INDICATOR, a->validity);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err mac_verify_get_response(struct ttlv_reader *r, struct mac_verify_response *ret)
{
	*ret = (struct mac_verify_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_get_enum(r, TAG_VALIDITY_INDICATOR, &ret->validity);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}
