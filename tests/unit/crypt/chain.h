/* SPDX-License-Identifier: Apache-2.0
 *
 * chain: a key with a certificate of an authority, for the tests of files that hold both.
 */
#pragma once
#include "crypt/keygen.h"
#include "crypt/pkcs12.h"
#include "crypt/x509.h"

static inline kf_err content_add(struct pkcs12 *c, const struct cert *from)
{
	c->chain[c->n] = buf_new(65536);
	return cert_to_der(buf_slice(&from->pem), &c->chain[c->n++]);
}

static inline kf_err content_fill(
	struct pkcs12 *c, const struct cert *ca, const struct cert *leaf)
{
	struct keypair pair = { 0 };

	KF_TRY(keypair_import(buf_slice(&leaf->key_pem), NULL, NULL, &pair));
	buf_add_slice(&c->pkcs8, buf_slice(&pair.pkcs8));
	keypair_free(&pair);
	KF_TRY(content_add(c, leaf));
	return content_add(c, ca);
}

/* A new key, its certificate, and that of who issued it. */
static inline kf_err content_make(const char *name, struct pkcs12 *ret)
{
	struct cert ca = { 0 }, leaf = { 0 };
	struct pkcs12 c = { .pkcs8 = buf_new(PKCS8_MAX),
		.name = buf_new(PKCS12_NAME_MAX) };
	kf_err err = cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca);

	if (kf_ok(err))
		err = cert_issue(buf_slice(&ca.pem), buf_slice(&ca.key_pem),
			&(struct cert_wish){ .role = CERT_SERVER, .common_name = "www" },
			&leaf);
	if (kf_ok(err))
		err = content_fill(&c, &ca, &leaf);
	buf_add_text(&c.name, name);
	cert_free(&ca);
	cert_free(&leaf);
	*ret = c;
	return err;
}
