/* SPDX-License-Identifier: Apache-2.0
 *
 * kmip: what the fuzz targets of requests and responses share: every operation's four functions as a
 * row.  What was read can be written again, and what was written can be read.
 */
#pragma once
#include "kmip/activate.h"
#include "kmip/admin.h"
#include "kmip/archive.h"
#include "kmip/asynchronous.h"
#include "kmip/certify.h"
#include "kmip/change_attribute.h"
#include "kmip/check.h"
#include "kmip/create.h"
#include "kmip/create_key_pair.h"
#include "kmip/decrypt.h"
#include "kmip/derive_key.h"
#include "kmip/destroy.h"
#include "kmip/discover_versions.h"
#include "kmip/get.h"
#include "kmip/get_attribute_list.h"
#include "kmip/get_attributes.h"
#include "kmip/hash.h"
#include "kmip/import.h"
#include "kmip/interop.h"
#include "kmip/lease.h"
#include "kmip/locate.h"
#include "kmip/log.h"
#include "kmip/mac.h"
#include "kmip/pkcs11.h"
#include "kmip/query.h"
#include "kmip/register.h"
#include "kmip/rekey.h"
#include "kmip/revoke.h"
#include "kmip/sign.h"
#include "kmip/signature_verify.h"
#include "kmip/validate.h"
#include <stdlib.h>

enum { FUZZ_OUT = 1 << 20 };

/* Reads from r, and if the writer's version can say it, writes and reads once more. */
#define ROUND(type, get, put)                                                            \
	{                                                                                \
		type x;                                                                  \
		autobuf set = buf_new(FUZZ_OUT), out = buf_new(FUZZ_OUT);                \
		(void)set;                                                               \
		if (!kf_ok(get))                                                         \
			return;                                                          \
		struct ttlv_writer w = ttlv_write(&out, r->version);                     \
		put;                                                                     \
		if (!kf_ok(ttlv_written(&w)))                                            \
			return;                                                          \
		struct ttlv_reader again =                                               \
			ttlv_read_as(buf_slice(&out), r->version, r->is_lenient);        \
		r = &again;                                                              \
		kf_err e = get;                                                          \
		if (!kf_ok(e))                                                           \
			abort();                                                         \
	}

#define ROW_PLAIN(code, name, kind)                                                      \
	case KMIP_OPERATION_##code:                                                      \
		ROUND(struct name##_##kind, name##_get_##kind(r, &x),                    \
			name##_put_##kind(&w, &x))                                       \
		break;

#define ROW_ATTRS(code, name, kind)                                                      \
	case KMIP_OPERATION_##code:                                                      \
		ROUND(struct name##_##kind, name##_get_##kind(r, &x, &set),              \
			name##_put_##kind(&w, &x))                                       \
		break;

#define ROW_CHANGE(code)                                                                 \
	case KMIP_OPERATION_##code##_ATTRIBUTE:                                          \
		ROUND(struct change_attribute_request,                                   \
			change_attribute_get_request(r, ATTRIBUTE_##code, &set, &x),     \
			change_attribute_put_request(&w, ATTRIBUTE_##code, &x))          \
		break;

#define ROW_CHANGED(code)                                                                \
	case KMIP_OPERATION_##code##_ATTRIBUTE:                                          \
		ROUND(struct change_attribute_response,                                  \
			change_attribute_get_response(r, &set, &x),                      \
			change_attribute_put_response(&w, &x))                           \
		break;

#define ROW_TYPED_ATTRS(code, type, name)                                                \
	case KMIP_OPERATION_##code:                                                      \
		ROUND(struct type, name##_get_request(r, &x, &set),                      \
			name##_put_request(&w, &x))                                      \
		break;

#define ROW_TYPED(code, type, name)                                                      \
	case KMIP_OPERATION_##code:                                                      \
		ROUND(struct type, name##_get_request(r, &x),                            \
			name##_put_request(&w, &x))                                      \
		break;
