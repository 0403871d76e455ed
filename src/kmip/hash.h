/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash (KMIP 1.2 and later; streams 1.3), RNG Retrieve and RNG Seed (KMIP 1.2 and later): what needs no
 * object.
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

struct hash_request {
	bool has_parameters;
	struct cryptographic_parameters parameters;
	bool has_data;
	struct slice data;
	struct slice correlation_value; /* of a stream; empty: none */
	bool init_indicator, final_indicator;
};

struct hash_response {
	struct slice data; /* only the last answer of a stream has it */
	struct slice correlation_value;
};

void hash_put_request(struct ttlv_writer *w, const struct hash_request *q);
kf_err hash_get_request(struct ttlv_reader *r, struct hash_request *ret);
void hash_put_response(struct ttlv_writer *w, const struct hash_response *a);
kf_err hash_get_response(struct ttlv_reader *r, struct hash_response *ret);

struct rng_retrieve_request {
	int32_t data_length; /* bytes */
};

struct rng_retrieve_response {
	struct slice data;
};

void rng_retrieve_put_request(
	struct ttlv_writer *w, const struct rng_retrieve_request *q);
kf_err rng_retrieve_get_request(struct ttlv_reader *r, struct rng_retrieve_request *ret);
void rng_retrieve_put_response(
	struct ttlv_writer *w, const struct rng_retrieve_response *a);
kf_err rng_retrieve_get_response(
	struct ttlv_reader *r, struct rng_retrieve_response *ret);

struct rng_seed_request {
	struct slice data;
};

struct rng_seed_response {
	int32_t data_length; /* bytes that were used */
};

void rng_seed_put_request(struct ttlv_writer *w, const struct rng_seed_request *q);
kf_err rng_seed_get_request(struct ttlv_reader *r, struct rng_seed_request *ret);
void rng_seed_put_response(struct ttlv_writer *w, const struct rng_seed_response *a);
kf_err rng_seed_get_response(struct ttlv_reader *r, struct rng_seed_response *ret);
