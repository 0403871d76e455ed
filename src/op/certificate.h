/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate: what the server says about a certificate that is registered.
 */
#pragma once
#include "kmip/key_block.h"
#include "op/make.h"

/* Those of web sites have a few kilobytes.  Longer ones are read by a worker: each part of a name costs an allocation. */
enum { CERTIFICATE_INLINE_MAX = 16384 };

/* Certificate Type and Length, Digest and, of an X.509 certificate, its identifier, how it is signed, and
 * subject and issuer as DER names, with their alternative names, and by their parts.  INVALID_FIELD if an X.509 certificate cannot be
 * read. */
kf_err certificate_describe(const struct kmip_object *o, struct make *m);
/* The same of a certificate request: Certificate Length, Digest and, of PKCS#10, the subject with its alternative names.  Kinds that we cannot
 * read are kept as they are. */
kf_err certificate_describe_request(const struct kmip_object *o, struct make *m);

/* The attributes of 2.x that say a subject or an issuer by its parts, and what OpenSSL calls them. */
struct certificate_part {
	int nid;
	uint32_t subject, issuer;
};
const struct certificate_part *certificate_parts(size_t *ret_n);
