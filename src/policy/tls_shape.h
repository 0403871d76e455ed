/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_shape: what is it that somebody wants signed?  Pure functions over the bytes; anything that
 * is not exactly the named structure is not it.  A key "for TLS only" signs nothing else.
 */
#pragma once
#include "base/buf.h"

/* TLS 1.3: 64 blanks, the server's context string, a zero byte and a transcript hash of 32 or 48
 * bytes (RFC 8446, 4.4.3).  A client's CertificateVerify is not accepted. */
bool tls_is_certificate_verify(struct slice data);

/* TLS 1.2: both randoms, then ServerECDHParams on a curve we know with a point of the curve's
 * exact length, or ServerDHParams of 1024 to 8192 bits; nothing after (RFC 5246, 7.4.3; RFC 8422). */
bool tls_is_server_key_exchange(struct slice data);

bool tls_shape_ok(struct slice data); /* one of the two */

/* PKCS#10 CertificationRequestInfo of exactly this public key, version 0, nothing after. */
bool csr_info_is_for(struct slice data, struct slice spki);
