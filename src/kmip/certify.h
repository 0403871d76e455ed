/* SPDX-License-Identifier: Apache-2.0
 *
 * Certify and Re-certify: a certificate for a public key, and a new one in the place of another.
 */
#pragma once
#include "kmip/attrs.h"

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
struct certify_request {
	/* Certify: of the public key, or (2.x) of a Certificate Request.  Re-certify: of the certificate. */
	struct kmip_uid uid;
	struct kmip_uid request_uid; /* Re-certify, 2.x: of a Certificate Request */
	uint32_t request_type; /* KMIP_CERTIFICATE_REQUEST_TYPE_...; 0: there is none */
	struct slice request;  /* its bytes */
	bool has_offset;       /* Re-certify */
	uint32_t offset_s;     /* from now to the new certificate's Activation Date */
	struct slice attributes;
};

/* Vendor attributes (kmip/token_admin.h), as text, which a request may bring, and which the certificate keeps: which
 * authority, "server" or "client". */
#define CERTIFY_ATTRIBUTE_CA      "ca"
#define CERTIFY_ATTRIBUTE_PROFILE "profile"
/* The server adds: PEM, what a TLS server sends behind the certificate. */
#define CERTIFY_ATTRIBUTE_CHAIN "chain"

struct certify_response {
	struct kmip_uid uid; /* of the new certificate */
};

void certify_put_request(struct ttlv_writer *w, const struct certify_request *q);
kf_err certify_get_request(
	struct ttlv_reader *r, struct certify_request *ret, struct buf *attrs);
void recertify_put_request(struct ttlv_writer *w, const struct certify_request *q);
kf_err recertify_get_request(
	struct ttlv_reader *r, struct certify_request *ret, struct buf *attrs);
/* Of both. */
void certify_put_response(struct ttlv_writer *w, const struct certify_response *a);
kf_err certify_get_response(struct ttlv_reader *r, struct certify_response *ret);
