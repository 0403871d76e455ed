/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/validate.h"
#include "../pki.h"
#include "world.h"
#include <time.h>

enum { VALID = 1, INVALID = 2, UNKNOWN = 3 };

struct rig {
	struct pki_ca ca;
	struct pki_leaf leaf, brief;
};

static void rig_free(struct rig *r)
{
	pki_ca_free(&r->ca);
	pki_leaf_free(&r->leaf);
	pki_leaf_free(&r->brief);
}

static void rig_open(struct rig *r, struct world *w)
{
	r->ca = pki_ca_new("root");
	r->leaf = pki_issue(&r->ca, "www", "serverAuth", NULL, 7200);
	r->brief = pki_issue(&r->ca, "old", "serverAuth", NULL, -60);
	w->now_s = time(NULL);
	OK(kf_ok(let_alice_create(w)));
}

#define RIG(w, r)                                                                        \
	WORLD(w);                                                                        \
	CLEANUP(rig_free) struct rig r;                                                  \
	rig_open(&r, &w)

static void der_of(struct slice pem, struct buf *ret)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	*ret = buf_new(1 << 16);
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(x);
	BIO_free(b);
}

static void add_certificate(struct buf *items, struct slice pem)
{
	autobuf der = { 0 };
	der_of(pem, &der);
	struct ttlv_writer w = ttlv_write(items, 0);
	ttlv_begin(&w, TAG_CERTIFICATE);
	ttlv_put_enum(&w, TAG_CERTIFICATE_TYPE, KMIP_CERTIFICATE_TYPE_X_509);
	ttlv_put_bytes(&w, TAG_CERTIFICATE_VALUE, buf_slice(&der));
	ttlv_end(&w);
}

static kf_err put(struct world *w, struct slice pem, struct id *ret)
{
	autobuf der = { 0 };
	struct register_response a;
	der_of(pem, &der);
	struct ttlv_writer q = question(w);
	register_put_request(
		&q, &(struct register_request){
			    .object = { .type = OBJECT_CERTIFICATE,
				    .certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
				    .value = buf_slice(&der) } });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_REGISTER));
	struct ttlv_reader r = answer(w);
	KF_TRY(register_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static kf_err validate_at(struct world *w, const struct buf *certificates,
	const struct id *id, int64_t date_s, uint32_t *ret)
{
	autobuf uids = buf_new(1024);
	struct validate_response a = { 0 };
	struct ttlv_writer u = ttlv_write(&uids, 0);
	if (id)
		ttlv_put_text(&u, TAG_UNIQUE_IDENTIFIER, slice_of(id->text));
	struct ttlv_writer q = question(w);
	validate_put_request(
		&q, &(struct validate_request){
			    .certificates = certificates ? buf_slice(certificates)
							 : (struct slice){ 0 },
			    .uids = buf_slice(&uids),
			    .has_date = date_s != 0,
			    .date_s = date_s });
	*ret = 0;
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_VALIDATE));
	struct ttlv_reader r = answer(w);
	KF_TRY(validate_get_response(&r, &a));
	*ret = a.indicator;
	return KF_OK;
}

static uint32_t judged(
	struct world *w, const struct buf *certificates, const struct id *id)
{
	uint32_t said = 0;
	return kf_ok(validate_at(w, certificates, id, 0, &said)) ? said : 99;
}

TEST(a_chain_to_an_authority_that_is_here_is_valid)
{
	RIG(w, r);
	struct id root, leaf;
	autobuf chain = buf_new(1 << 16);
	OK(kf_ok(put(&w, buf_slice(&r.ca.pem), &root)));
	OK(kf_ok(put(&w, buf_slice(&r.leaf.certificate), &leaf)));
	add_certificate(&chain, buf_slice(&r.leaf.certificate));
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_2, KMIP_1_4, KMIP_2_0, KMIP_2_1 };
	for (size_t i = 0; i < 5; i++) {
		w.version = versions[i];
		EQ(judged(&w, &chain, &root), VALID);
	}
	EQ(judged(&w, NULL, &root), VALID);
}

TEST(what_a_request_brings_along_is_no_authority)
{
	RIG(w, r);
	struct id leaf;
	autobuf chain = buf_new(1 << 16), alone = buf_new(1 << 16);
	OK(kf_ok(put(&w, buf_slice(&r.leaf.certificate), &leaf)));
	add_certificate(&chain, buf_slice(&r.ca.pem));
	EQ(judged(&w, &chain, &leaf), UNKNOWN);
	EQ(judged(&w, NULL, &leaf), UNKNOWN);
	add_certificate(&alone, buf_slice(&r.ca.pem));
	EQ(judged(&w, &alone, NULL), UNKNOWN);
}

TEST(what_is_wrong_is_invalid)
{
	RIG(w, r);
	struct id root;
	uint32_t said;
	autobuf late = buf_new(1 << 16), chain = buf_new(1 << 16);
	OK(kf_ok(put(&w, buf_slice(&r.ca.pem), &root)));
	add_certificate(&late, buf_slice(&r.brief.certificate));
	EQ(judged(&w, &late, &root), INVALID);
	OK(kf_ok(validate_at(&w, &late, &root, w.now_s - 120, &said)));
	EQ(said, VALID);

	add_certificate(&chain, buf_slice(&r.leaf.certificate));
	OK(kf_ok(validate_at(&w, &chain, &root, w.now_s + 7300, &said)));
	EQ(said, INVALID);
	chain.p[chain.n - 16] ^= 1; /* in the signature */
	EQ(judged(&w, &chain, &root), INVALID);
}

TEST(a_certificate_that_was_revoked_here_is_invalid)
{
	RIG(w, r);
	struct id root;
	autobuf chain = buf_new(1 << 16);
	add_certificate(&chain, buf_slice(&r.leaf.certificate));
	OK(kf_ok(put(&w, buf_slice(&r.ca.pem), &root)));
	OK(kf_ok(revoke(&w, &root, KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE)));
	EQ(judged(&w, &chain, &root), INVALID);
}

TEST(what_is_no_chain_is_refused)
{
	RIG(w, r);
	struct id root, key;
	uint32_t said;
	autobuf two = buf_new(1 << 16), garbage = buf_new(1 << 16);
	OK(kf_ok(put(&w, buf_slice(&r.ca.pem), &root)));
	OK(kf_ok(create_aes(&w, NULL, &key)));
	OK(kf_is(validate_at(&w, NULL, NULL, 0, &said), KF_E_MALFORMED));
	OK(kf_is(validate_at(&w, NULL, &key, 0, &said), KF_E_OBJECT_TYPE));
	add_certificate(&two, buf_slice(&r.leaf.certificate));
	add_certificate(&two, buf_slice(&r.brief.certificate));
	OK(kf_is(validate_at(&w, &two, &root, 0, &said), KF_E_MALFORMED));
	struct ttlv_writer g = ttlv_write(&garbage, 0);
	ttlv_begin(&g, TAG_CERTIFICATE);
	ttlv_put_enum(&g, TAG_CERTIFICATE_TYPE, KMIP_CERTIFICATE_TYPE_X_509);
	ttlv_put_bytes(&g, TAG_CERTIFICATE_VALUE, SLICE_LIT("no certificate"));
	ttlv_end(&g);
	EQ(judged(&w, &garbage, &root), UNKNOWN);
	be(&w, "mallory", false);
	OK(kf_is(validate_at(&w, NULL, &root, 0, &said), KF_E_NOT_FOUND));
}

TEST_MAIN
