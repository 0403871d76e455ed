/* SPDX-License-Identifier: Apache-2.0
 *
 * Cryptographic Parameters: how a key is to be used.  0 is an enumeration that is absent.
 */
#pragma once
#include "ttlv/ttlv.h"

struct cryptographic_parameters {
	uint32_t block_cipher_mode;
	uint32_t padding_method;
	uint32_t hashing_algorithm;
	uint32_t key_role_type;
	uint32_t digital_signature_algorithm;
	uint32_t cryptographic_algorithm;
	uint32_t mask_generator;
	uint32_t mask_generator_hashing_algorithm;
	struct slice p_source;
	int32_t iv_length, tag_length, fixed_field_length, invocation_field_length;
	int32_t counter_length, initial_counter_value, salt_length, trailer_field;
	bool random_iv;
	/* presence of the numbers and booleans, whose 0 is a value */
	bool has_random_iv, has_iv_length, has_tag_length, has_fixed_field_length;
	bool has_invocation_field_length, has_counter_length, has_initial_counter_value;
	bool has_salt_length, has_trailer_field;
};

/* The whole structure.  Fields that the writer's version does not know are left out. */
void cryptographic_parameters_put(
	struct ttlv_writer *w, const struct cryptographic_parameters *p);
void cryptographic_parameters_get(
	struct ttlv_reader *r, struct cryptographic_parameters *ret);
/* The same under another tag (Attribute Value). */
void cryptographic_parameters_put_as(struct ttlv_writer *w, enum ttlv_tag tag,
	const struct cryptographic_parameters *p);
/* Reads it if it is there. */
bool cryptographic_parameters_opt(
	struct ttlv_reader *r, struct cryptographic_parameters *ret);
