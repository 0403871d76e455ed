/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said of a certificate while OpenSSL runs out of memory: all of it, or an error.
 */
#include "op/certificate.h"
#include "crypt/x509.h"
#include "test.h"
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static struct {
	unsigned n;       /* how many were asked for */
	unsigned refused; /* which one is not given, from 1; 0: all are */
} asked;

static void *give(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return ++asked.n == asked.refused ? NULL : malloc(n);
}

static void *give_more(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return ++asked.n == asked.refused ? NULL : realloc(p, n);
}

static void take_back(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

/* Only before anything of OpenSSL's was called. */
__attribute__((constructor)) static void be_its_memory(void)
{
	if (!CRYPTO_set_mem_functions(give, give_more, take_back))
		abort();
}

/* The certificate of a server with names of two kinds, in DER. */
static kf_err make_certificate(struct buf *ret)
{
	const char *const names[] = { "dns:a.example.com", "ip:192.0.2.1", NULL };
	struct cert ca = { 0 }, server = { 0 };
	kf_err err = cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca);
	if (kf_ok(err))
		err = cert_issue(buf_slice(&ca.pem), buf_slice(&ca.key_pem),
			&(struct cert_wish){ .role = CERT_SERVER,
				.common_name = "a.example.com",
				.sans = names },
			&server);
	if (kf_ok(err))
		err = cert_to_der(buf_slice(&server.pem), ret);
	cert_free(&ca);
	cert_free(&server);
	return err;
}

static kf_err describe(struct slice der, struct make *m)
{
	const struct kmip_object o = { .type = KMIP_OBJECT_TYPE_CERTIFICATE,
		.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
		.value = der };
	*m = (struct make){ .attrs = buf_new(65536), .material = buf_new(65536) };
	return certificate_describe(&o, m);
}

TEST(memory_that_runs_out_leaves_no_attribute_out)
{
	autobuf der = buf_new(65536);
	CLEANUP(make_free) struct make whole;
	unsigned told = 0;

	OK(kf_ok(make_certificate(&der)));
	OK(kf_ok(describe(buf_slice(&der), &whole)));
	do {
		CLEANUP(make_free) struct make m;
		asked.n = 0;
		asked.refused++;
		const kf_err err = describe(buf_slice(&der), &m);
		told += kf_is(err, KF_E_NOMEM);
		OK(!kf_ok(err) || slice_eq(buf_slice(&m.attrs), buf_slice(&whole.attrs)));
	} while (asked.n >= asked.refused);
	asked.refused = 0;
	OK(told > 20);
}

TEST_MAIN
