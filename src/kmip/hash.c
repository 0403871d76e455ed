/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/hash.h"
#include "kmip/wire.h"

void hash_put_request(struct ttlv_writer *w, const struct hash_request *q)
{
	if (q->has_parameters)
		cryptographic_parameters_put(w, &q->parameters);
	if (q->has_data)
		ttlv_put_bytes(w, TAG_DATA, q->data);
	wire_put_stream(w, q->correlation_value, q->init_indicator, q->final_indicator);
}

kf_err hash_get_request(struct ttlv_reader *r, struct hash_request *ret)
{
	*ret = (struct hash_request){ 0 };
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ret->has_data = wire_opt_data(r, &ret->data);
	wire_get_stream(
		r, &ret->correlation_value, &ret->init_indicator, &ret->final_indicator);
	return ttlv_done(r);
}

void hash_put_response(struct ttlv_writer *w, const struct hash_response *a)
{
	wire_put_bytes(w, TAG_DATA, a->data);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation_value);
}

kf_err hash_get_response(struct ttlv_reader *r, struct hash_response *ret)
{
	*ret = (struct hash_response){ 0 };
	ttlv_opt_bytes(r, TAG_DATA, &ret->data);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation_value);
	return ttlv_done(r);
}

void rng_retrieve_put_request(struct ttlv_writer *w, const struct rng_retrieve_request *q)
{
	ttlv_put_int(w, TAG_DATA_LENGTH, q->data_length);
}

kf_err rng_retrieve_get_request(struct ttlv_reader *r, struct rng_retrieve_request *ret)
{
	*ret = (struct rng_retrieve_request){ 0 };
	ttlv_get_int(r, TAG_DATA_LENGTH, &ret->data_length);
	return ttlv_done(r);
}

void rng_retrieve_put_response(
	struct ttlv_writer *w, const struct rng_retrieve_response *a)
{
	ttlv_put_bytes(w, TAG_DATA, a->data);
}

kf_err rng_retrieve_get_response(struct ttlv_reader *r, struct rng_retrieve_response *ret)
{
	*ret = (struct rng_retrieve_response){ 0 };
	ttlv_get_bytes(r, TAG_DATA, &ret->data);
	return ttlv_done(r);
}

void rng_seed_put_request(struct ttlv_writer *w, const struct rng_seed_request *q)
{
	ttlv_put_bytes(w, TAG_DATA, q->data);
}

kf_err rng_seed_get_request(struct ttlv_reader *r, struct rng_seed_request *ret)
{
	*ret = (struct rng_seed_request){ 0 };
	if (!wire_opt_data(r, &ret->data) && ttlv_ok(r))
		ttlv_refuse(r, kf_fail(MISSING, "Data"));
	return ttlv_done(r);
}

void rng_seed_put_response(struct ttlv_writer *w, const struct rng_seed_response *a)
{
	ttlv_put_int(w, TAG_DATA_LENGTH, a->data_length);
}

kf_err rng_seed_get_response(struct ttlv_reader *r, struct rng_seed_response *ret)
{
	*ret = (struct rng_seed_response){ 0 };
	ttlv_get_int(r, TAG_DATA_LENGTH, &ret->data_length);
	return ttlv_done(r);
}
