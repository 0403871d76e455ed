/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/cryptographic_parameters.h"
#include "kmip/wire.h"

static void put_number(
	struct ttlv_writer *w, enum ttlv_tag tag, bool is_there, int32_t value)
{
	if (is_there && wire_knows(w, tag))
		ttlv_put_int(w, tag, value);
}

static void put_choice(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t value)
{
	if (value && wire_knows(w, tag) && wire_knows_value(w, tag, value))
		ttlv_put_enum(w, tag, value);
}

/* What 1.2 and later added behind the first four fields. */
static void put_newer(struct ttlv_writer *w, const struct cryptographic_parameters *p)
{
	put_choice(w, TAG_DIGITAL_SIGNATURE_ALGORITHM, p->digital_signature_algorithm);
	put_choice(w, TAG_CRYPTOGRAPHIC_ALGORITHM, p->cryptographic_algorithm);
	if (p->has_random_iv)
		ttlv_put_bool(w, TAG_RANDOM_IV, p->random_iv);
	put_number(w, TAG_IV_LENGTH, p->has_iv_length, p->iv_length);
	put_number(w, TAG_TAG_LENGTH, p->has_tag_length, p->tag_length);
	put_number(w, TAG_FIXED_FIELD_LENGTH, p->has_fixed_field_length,
		p->fixed_field_length);
	put_number(w, TAG_INVOCATION_FIELD_LENGTH, p->has_invocation_field_length,
		p->invocation_field_length);
	put_number(w, TAG_COUNTER_LENGTH, p->has_counter_length, p->counter_length);
	put_number(w, TAG_INITIAL_COUNTER_VALUE, p->has_initial_counter_value,
		p->initial_counter_value);
	put_number(w, TAG_SALT_LENGTH, p->has_salt_length, p->salt_length);
	put_choice(w, TAG_MASK_GENERATOR, p->mask_generator);
	put_choice(w, TAG_MASK_GENERATOR_HASHING_ALGORITHM,
		p->mask_generator_hashing_algorithm);
	if (wire_knows(w, TAG_P_SOURCE))
		wire_put_bytes(w, TAG_P_SOURCE, p->p_source);
	put_number(w, TAG_TRAILER_FIELD, p->has_trailer_field, p->trailer_field);
}

void cryptographic_parameters_put_as(struct ttlv_writer *w, enum ttlv_tag tag,
	const struct cryptographic_parameters *p)
{
	ttlv_begin(w, tag);
	put_choice(w, TAG_BLOCK_CIPHER_MODE, p->block_cipher_mode);
	put_choice(w, TAG_PADDING_METHOD, p->padding_method);
	put_choice(w, TAG_HASHING_ALGORITHM, p->hashing_algorithm);
	put_choice(w, TAG_KEY_ROLE_TYPE, p->key_role_type);
	if (w->version == 0 || w->version >= KMIP_1_2)
		put_newer(w, p);
	ttlv_end(w);
}

void cryptographic_parameters_put(
	struct ttlv_writer *w, const struct cryptographic_parameters *p)
{
	cryptographic_parameters_put_as(w, TAG_CRYPTOGRAPHIC_PARAMETERS, p);
}

static void get_numbers(struct ttlv_reader *r, struct cryptographic_parameters *p)
{
	p->has_random_iv = ttlv_opt_bool(r, TAG_RANDOM_IV, &p->random_iv);
	p->has_iv_length = ttlv_opt_int(r, TAG_IV_LENGTH, &p->iv_length);
	p->has_tag_length = ttlv_opt_int(r, TAG_TAG_LENGTH, &p->tag_length);
	p->has_fixed_field_length =
		ttlv_opt_int(r, TAG_FIXED_FIELD_LENGTH, &p->fixed_field_length);
	p->has_invocation_field_length =
		ttlv_opt_int(r, TAG_INVOCATION_FIELD_LENGTH, &p->invocation_field_length);
	p->has_counter_length = ttlv_opt_int(r, TAG_COUNTER_LENGTH, &p->counter_length);
	p->has_initial_counter_value =
		ttlv_opt_int(r, TAG_INITIAL_COUNTER_VALUE, &p->initial_counter_value);
	p->has_salt_length = ttlv_opt_int(r, TAG_SALT_LENGTH, &p->salt_length);
}

void cryptographic_parameters_get(
	struct ttlv_reader *r, struct cryptographic_parameters *ret)
{
	struct cryptographic_parameters p = { 0 };
	ttlv_open(r, TAG_CRYPTOGRAPHIC_PARAMETERS);
	ttlv_opt_enum(r, TAG_BLOCK_CIPHER_MODE, &p.block_cipher_mode);
	ttlv_opt_enum(r, TAG_PADDING_METHOD, &p.padding_method);
	ttlv_opt_enum(r, TAG_HASHING_ALGORITHM, &p.hashing_algorithm);
	ttlv_opt_enum(r, TAG_KEY_ROLE_TYPE, &p.key_role_type);
	ttlv_opt_enum(r, TAG_DIGITAL_SIGNATURE_ALGORITHM, &p.digital_signature_algorithm);
	ttlv_opt_enum(r, TAG_CRYPTOGRAPHIC_ALGORITHM, &p.cryptographic_algorithm);
	get_numbers(r, &p);
	ttlv_opt_enum(r, TAG_MASK_GENERATOR, &p.mask_generator);
	ttlv_opt_enum(r, TAG_MASK_GENERATOR_HASHING_ALGORITHM,
		&p.mask_generator_hashing_algorithm);
	ttlv_opt_bytes(r, TAG_P_SOURCE, &p.p_source);
	p.has_trailer_field = ttlv_opt_int(r, TAG_TRAILER_FIELD, &p.trailer_field);
	ttlv_close(r);
	*ret = p;
}

bool cryptographic_parameters_opt(
	struct ttlv_reader *r, struct cryptographic_parameters *ret)
{
	if (!ttlv_at(r, TAG_CRYPTOGRAPHIC_PARAMETERS))
		return false;
	cryptographic_parameters_get(r, ret);
	return ttlv_ok(r);
}
