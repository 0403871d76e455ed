/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_secret.h"
#include "base/clock.h"
#include "cli/call.h"
#include "kmip/attrs.h"
#include "kmip/create.h"
#include "kmip/cryptographic_parameters.h"
#include "kmip/token_admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool key_secret_is_meant(const char *type)
{
	return strncasecmp(type, "aes:", 4) == 0 || strncasecmp(type, "aes-", 4) == 0;
}

const struct alg *key_secret_type(const char *type)
{
	char *end;
	if (!key_secret_is_meant(type) || type[4] < '1' || type[4] > '9')
		return NULL;
	const unsigned long bits = strtoul(type + 4, &end, 10);
	return *end || bits > 256 ? NULL : alg_aes((uint32_t)bits);
}

static void put_mode(struct buf *set, uint32_t mode)
{
	autobuf item = buf_new(256);
	struct ttlv_writer w = ttlv_write(&item, 0);
	cryptographic_parameters_put(
		&w, &(struct cryptographic_parameters){ .block_cipher_mode = mode });
	attrs_add_item(set, buf_slice(&item));
}

/* What wraps others does nothing else: what it decrypted would be their bytes. */
static void put_usage(const struct key_wish *wish, struct buf *set)
{
	attrs_add_int(set, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		wish->usage   ? (int32_t)wish->usage
		: wish->wraps ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY |
					KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY
			      : KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT |
					KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
	if (!wish->wraps)
		return;
	put_mode(set, KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING);
	put_mode(set, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP);
}

static void put_place(const struct key_wish *wish, const char *pool, struct buf *set)
{
	const struct slice vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR);
	char copies[16];
	if (!pool)
		return;
	attrs_add_vendor_text(
		set, vendor, slice_of(TOKEN_ATTRIBUTE_POOL), slice_of(pool));
	snprintf(copies, sizeof(copies), "%u", wish->copies);
	if (wish->copies)
		attrs_add_vendor_text(
			set, vendor, slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of(copies));
}

static kf_err put_attributes(
	const struct key_wish *wish, const char *pool, struct buf *set)
{
	attrs_add_enum(set, TAG_CRYPTOGRAPHIC_ALGORITHM, wish->alg->kmip_algorithm);
	attrs_add_int(set, TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)wish->alg->bits);
	put_usage(wish, set);
	attrs_add_name(set, slice_of(wish->name));
	if (!wish->is_inactive)
		attrs_add_date(set, TAG_ACTIVATION_DATE, clock_wall_s() - 1);
	put_place(wish, pool, set);
	return buf_err(set);
}

kf_err key_secret_create(
	struct cli *c, const struct key_wish *wish, const char *pool, struct buf *ret_id)
{
	autobuf set = buf_new(4096), answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct create_response a = { 0 };
	payload_init(&p);
	KF_TRY(put_attributes(wish, pool, &set));
	create_put_request(&p.w, &(struct create_request){ KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
					 buf_slice(&set) });
	KF_TRY(pool ? cli_call_slow(c, KMIP_OPERATION_CREATE, &p, &answer)
		    : cli_call(c, KMIP_OPERATION_CREATE, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(create_get_response(&r, &a));
	buf_add_slice(ret_id, a.uid.text);
	return buf_err(ret_id);
}
