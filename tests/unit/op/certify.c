/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/certify.h"
#include "kmip/import.h"
#include "op/authority.h"
#include "world.h"
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { DAY = 86400 };

/* An authority whose key "ca-key" is the administrator's, and a key pair of alice's. */
struct rig {
	struct world w;
	struct cert ca;
	struct authority authority;
	struct id ca_key;
	EVP_PKEY *key, *other;
	struct id public_key;
	struct buf csr;
};

static const char *const names[] = { ".example.com", "single" };

static void rig_free(struct rig *r)
{
	issue_ca_free(r->authority.ca);
	cert_free(&r->ca);
	EVP_PKEY_free(r->key);
	EVP_PKEY_free(r->other);
	buf_free(&r->csr);
	world_close(&r->w);
}

static kf_err put_object(struct world *w, const struct material_key *k,
	struct slice attributes, struct id *ret)
{
	struct register_response a;
	struct ttlv_writer q = question(w);
	register_put_request(&q, &(struct register_request){ .attributes = attributes,
					 .object = { .type = k->object_type,
						 .block = { .format = k->format,
							 .algorithm = k->algorithm,
							 .length = k->length,
							 .has_value = true,
							 .material = k->bytes } } });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_REGISTER));
	struct ttlv_reader r = answer(w);
	KF_TRY(register_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static kf_err put_ca_key(struct rig *r)
{
	autobuf attrs = buf_new(4096);
	struct keypair k = { 0 };
	KF_TRY(keypair_import(buf_slice(&r->ca.key_pem), NULL, NULL, &k));
	attrs_add_name(&attrs, slice_of("ca-key"));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, r->w.now_s - 10);
	const struct material_key m = { .object_type = OBJECT_PRIVATE_KEY,
		.format = KMIP_KEY_FORMAT_TYPE_PKCS_8,
		.algorithm = 6,
		.length = 256,
		.bytes = buf_slice(&k.pkcs8) };
	be(&r->w, "admin", true);
	kf_err err = put_object(&r->w, &m, buf_slice(&attrs), &r->ca_key);
	keypair_free(&k);
	be(&r->w, "alice", false);
	return err;
}

static kf_err put_public_key(struct rig *r, EVP_PKEY *key, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	unsigned char *der = NULL;
	const int n = i2d_PUBKEY(key, &der);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
	const struct material_key m = { .object_type = OBJECT_PUBLIC_KEY,
		.format = KMIP_KEY_FORMAT_TYPE_X_509,
		.algorithm = 6,
		.length = EVP_PKEY_get_bits(key),
		.bytes = { der, (size_t)n } };
	kf_err err = put_object(&r->w, &m, buf_slice(&attrs), ret);
	OPENSSL_free(der);
	return err;
}

static void set_authority(struct rig *r)
{
	r->authority = (struct authority){ .name = "web",
		.key = "ca-key",
		.role = CERT_SERVER,
		.valid_s = 90 * DAY,
		.valid_max_s = 398 * DAY,
		.policy = { .names = names,
			.names_n = 2,
			.rsa_bits = 2048,
			.ec_bits = 256 } };
	r->authority.may_issue[CERT_SERVER] = true;
	unsigned line;
	OK(kf_ok(issue_ca_new(buf_slice(&r->ca.pem), &line, &r->authority.ca)));
	r->w.server.authorities = &r->authority;
	r->w.server.authorities_n = 1;
}

static void rig_open(struct rig *r)
{
	*r = (struct rig){ .key = EVP_EC_gen("P-256"), .other = EVP_EC_gen("P-256") };
	r->csr = buf_new(1 << 16);
	OK(kf_ok(world_open(&r->w)));
	r->w.now_s = time(NULL);
	OK(kf_ok(cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "test" }, &r->ca)));
	set_authority(r);
	OK(kf_ok(let_alice_create(&r->w)));
	OK(kf_ok(put_ca_key(r)));
	OK(kf_ok(add_grant(&r->w, "alice", r->ca_key.text, PERM_CERTIFY, 0)));
	OK(kf_ok(put_public_key(r, r->key, &r->public_key)));
}

#define RIG(r)                                                                           \
	CLEANUP(rig_free) struct rig r;                                                  \
	rig_open(&r)

/* --- requests --- */

struct csr_shape {
	const char *cn, *sans, *basic, *usage;
	EVP_PKEY *key, *signer; /* NULL: the rig's */
};

static void add_extension(STACK_OF(X509_EXTENSION) * list, int nid, const char *value)
{
	if (value)
		sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, nid, value));
}

static struct slice csr(struct rig *r, const struct csr_shape *s)
{
	X509_REQ *q = X509_REQ_new();
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	X509_NAME *name = X509_REQ_get_subject_name(q);
	unsigned char *der = NULL;
	if (s->cn)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			(const unsigned char *)s->cn, -1, -1, 0);
	X509_NAME_add_entry_by_txt(
		name, "O", MBSTRING_ASC, (const unsigned char *)"Nobody", -1, -1, 0);
	add_extension(list, NID_subject_alt_name, s->sans);
	add_extension(list, NID_basic_constraints, s->basic);
	add_extension(list, NID_key_usage, s->usage);
	X509_REQ_add_extensions(q, list);
	X509_REQ_set_pubkey(q, s->key ? s->key : r->key);
	X509_REQ_sign(q, s->signer ? s->signer : s->key ? s->key : r->key, EVP_sha256());
	const int n = i2d_X509_REQ(q, &der);
	buf_clear(&r->csr);
	buf_add(&r->csr, der, (size_t)n);
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(q);
	return buf_slice(&r->csr);
}

static const struct csr_shape www = { .cn = "www.example.com",
	.sans = "DNS:www.example.com" };

static kf_err ask_certify(struct rig *r, uint32_t operation,
	const struct certify_request *q, struct id *ret)
{
	struct certify_response a;
	struct ttlv_writer w = question(&r->w);
	if (operation == KMIP_OPERATION_CERTIFY)
		certify_put_request(&w, q);
	else
		recertify_put_request(&w, q);
	KF_TRY(ttlv_written(&w));
	KF_TRY(ask(&r->w, operation));
	struct ttlv_reader in = answer(&r->w);
	KF_TRY(certify_get_response(&in, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static kf_err certify(struct rig *r, struct slice request, struct id *ret)
{
	return ask_certify(r, KMIP_OPERATION_CERTIFY,
		&(struct certify_request){ .uid = uid(&r->public_key),
			.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
			.request = request },
		ret);
}

static X509 *certificate(struct rig *r, const struct id *id)
{
	struct get_response a;
	if (!kf_ok(get(&r->w, id, &a)))
		return NULL;
	const unsigned char *p = a.object.value.p;
	return d2i_X509(NULL, &p, (long)a.object.value.n);
}

static bool links_to(
	struct rig *r, const struct id *from, uint32_t type, const struct id *to)
{
	struct slice id;
	return kf_ok(attributes(&r->w, from)) &&
	       attrs_get_link(buf_slice(&r->w.attrs), type, &id) &&
	       slice_is(id, to->text);
}

static bool is_refused(struct rig *r, const struct csr_shape *s, enum kf_code code)
{
	struct id id;
	return kf_is(certify(r, csr(r, s), &id), code);
}

static bool chain_is_valid(struct rig *r, X509 *x)
{
	BIO *in = BIO_new_mem_buf(r->ca.pem.p, (int)r->ca.pem.n);
	X509 *root = PEM_read_bio_X509(in, NULL, NULL, NULL);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, x, NULL);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	const bool is_valid = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(root);
	BIO_free(in);
	return is_valid;
}

/* --- Certify --- */

TEST(a_request_becomes_a_certificate_that_its_authority_has_signed)
{
	static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3,
		KMIP_1_4, KMIP_2_0, KMIP_2_1 };
	RIG(r);
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		struct id id;
		r.w.version = versions[i];
		OK(kf_ok(certify(&r, csr(&r, &www), &id)));
		X509 *x = certificate(&r, &id);
		OK(x && chain_is_valid(&r, x));
		OK(X509_check_host(x, "www.example.com", 0, 0, NULL) == 1);
		EQ(EVP_PKEY_eq(X509_get0_pubkey(x), r.key), 1);
		OK(ASN1_STRING_length(X509_get0_serialNumber(x)) >= 16);
		EQ(X509_NAME_entry_count(X509_get_subject_name(x)), 1);
		OK(links_to(&r, &id, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &r.public_key));
		OK(links_to(&r, &r.public_key, KMIP_LINK_TYPE_CERTIFICATE_LINK, &id));
		X509_free(x);
	}
	OK(r.w.worked);
}

TEST(a_certificate_is_good_for_as_long_as_the_authority_says)
{
	RIG(r);
	struct id id;
	time_t then = r.w.now_s + 90 * DAY;
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
	X509 *x = certificate(&r, &id);
	EQ(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), then), 0);
	X509_free(x);
	r.authority.valid_s = r.authority.valid_max_s = 100000 * (int64_t)DAY;
	then = issue_ca_not_after(r.authority.ca);
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
	x = certificate(&r, &id);
	EQ(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), then), 0);
	X509_free(x);
}

static kf_err certify_with(
	struct rig *r, const struct buf *attributes, struct slice request, struct id *ret)
{
	return ask_certify(r, KMIP_OPERATION_CERTIFY,
		&(struct certify_request){ .uid = uid(&r->public_key),
			.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
			.request = request,
			.attributes = buf_slice(attributes) },
		ret);
}

TEST(dates_in_the_attributes_are_those_of_the_certificate)
{
	RIG(r);
	struct id id;
	autobuf attrs = buf_new(4096);
	const time_t from = r.w.now_s + DAY, to = r.w.now_s + 9 * DAY;
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, from);
	attrs_add_date(&attrs, TAG_DEACTIVATION_DATE, to);
	OK(kf_ok(certify_with(&r, &attrs, csr(&r, &www), &id)));
	X509 *x = certificate(&r, &id);
	EQ(ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), from), 0);
	EQ(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), to), 0);
	X509_free(x);
	EQ(state_of(&r.w, &id), STATE_PRE_ACTIVE);
	attrs_set_date(&attrs, TAG_DEACTIVATION_DATE, r.w.now_s + 399 * DAY);
	OK(kf_is(certify_with(&r, &attrs, csr(&r, &www), &id), KF_E_NOT_ISSUED_TIME));
}

TEST(a_pem_request_is_read_too_and_other_kinds_are_not)
{
	RIG(r);
	struct id id;
	char *text;
	BIO *out = BIO_new(BIO_s_mem());
	const unsigned char *p = csr(&r, &www).p;
	X509_REQ *q = d2i_X509_REQ(NULL, &p, (long)r.csr.n);
	PEM_write_bio_X509_REQ(out, q);
	const long n = BIO_get_mem_data(out, &text);
	struct certify_request ask = { .uid = uid(&r.public_key),
		.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PEM,
		.request = { (const uint8_t *)text, (size_t)n } };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &ask, &id)));
	ask.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_CRMF;
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &ask, &id), KF_E_FEATURE));
	ask.uid = (struct kmip_uid){ 0 }; /* nor without a key */
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &ask, &id), KF_E_FEATURE));
	X509_REQ_free(q);
	BIO_free(out);
}

TEST(names_that_the_authority_does_not_issue_to_are_refused)
{
	RIG(r);
	static const struct csr_shape shapes[] = {
		{ .cn = "www.example.org", .sans = "DNS:www.example.com" },
		{ .cn = "www.example.com", .sans = "DNS:www.example.org" },
		{ .cn = "www.example.com", .sans = "DNS:example.com" },
		{ .cn = "www.example.com", .sans = "DNS:notexample.com" },
		{ .cn = "www.example.com", .sans = "DNS:*.example.com" },
		{ .cn = "www.example.com", .sans = "DNS:a.*.example.com" },
		{ .cn = "www.example.com", .sans = "DNS:.example.com" },
		{ .cn = "www.example.com", .sans = "DNS:www.example.com." },
		{ .cn = "www.example.com", .sans = "DNS:www.example.com,IP:127.0.0.1" },
		{ .cn = "www.example.com", .sans = "DNS:www.example.com,email:a@b.c" },
		{ .cn = "www.example.com", .sans = "DNS:www.example.com,URI:http://a/" },
		{ .cn = "www.example.com" },
	};
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		OK(is_refused(&r, &shapes[i], KF_E_NOT_ISSUED_NAME));
	OK(kf_ok(certify(&r,
		csr(&r, &(struct csr_shape){ .cn = "Single",
				.sans = "DNS:single,DNS:A.B.EXAMPLE.com" }),
		&(struct id){ 0 })));
}

/* Who asks is not told more than that. */
TEST(the_record_says_which_name_was_refused)
{
	static const struct {
		struct csr_shape shape;
		const char *text;
	} rows[] = {
		{ { .cn = "www.example.com",
			  .sans = "DNS:www.example.com,DNS:www.example.org" },
			"refused=www.example.org names=www.example.com,www.example.org "
			"subject=www.example.com" },
		{ { .cn = "a b=c", .sans = "DNS:www.example.com" }, "refused=a?b=c " },
		{ { .sans = "IP:192.0.2.1" }, "refused=ip:c0000201 " },
		{ { .sans = "email:a@b.c" }, "refused=email:a@b.c " },
		{ { .sans = "URI:http://a/" }, "refused=uri:http://a/ " },
		{ { .cn = "www.example.com" }, "profile=server names= subject=www" },
	};
	RIG(r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		OK(is_refused(&r, &rows[i].shape, KF_E_NOT_ISSUED_NAME));
		OK(strstr(r.w.message, rows[i].text));
		OK(!strncmp(r.w.message, "ca=", 3));
	}
}

TEST(wildcards_and_networks_are_issued_where_they_are_allowed)
{
	RIG(r);
	struct id id;
	const struct issue_network loopback = {
		.address = { [10] = 255, [11] = 255, [12] = 127 }, .bits = 104
	};
	const struct csr_shape wide = { .sans = "DNS:*.example.com,IP:127.1.2.3" };
	OK(is_refused(&r, &wide, KF_E_NOT_ISSUED_NAME));
	r.authority.policy.allows_wildcards = true;
	OK(is_refused(&r, &wide, KF_E_NOT_ISSUED_NAME));
	r.authority.policy.networks = &loopback;
	r.authority.policy.networks_n = 1;
	OK(kf_ok(certify(&r, csr(&r, &wide), &id)));
	X509 *x = certificate(&r, &id);
	EQ(X509_check_ip_asc(x, "127.1.2.3", 0), 1);
	/* There is no subject: the names must be understood. */
	EQ(X509_get_extension_flags(x) & EXFLAG_INVALID, 0);
	const int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	EQ(X509_EXTENSION_get_critical(X509_get_ext(x, at)), 1);
	X509_free(x);
	OK(is_refused(
		&r, &(struct csr_shape){ .sans = "IP:128.0.0.1" }, KF_E_NOT_ISSUED_NAME));
	OK(is_refused(&r, &(struct csr_shape){ .sans = "IP:::1" }, KF_E_NOT_ISSUED_NAME));
}

TEST(nothing_else_of_a_request_gets_into_the_certificate)
{
	RIG(r);
	struct id id;
	const struct csr_shape shape = { .sans = "DNS:www.example.com",
		.basic = "critical,CA:FALSE",
		.usage = "keyCertSign,cRLSign" };
	OK(kf_ok(certify(&r, csr(&r, &shape), &id)));
	X509 *x = certificate(&r, &id);
	EQ(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
	EQ(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
	EQ(X509_check_ca(x), 0);
	X509_free(x);
	const struct csr_shape greedy = { .sans = "DNS:www.example.com",
		.basic = "critical,CA:TRUE" };
	OK(is_refused(&r, &greedy, KF_E_NOT_ISSUED));
}

TEST(who_asks_must_have_the_key_and_it_must_be_the_named_one)
{
	RIG(r);
	const struct csr_shape stolen = { .sans = "DNS:www.example.com",
		.signer = r.other };
	const struct csr_shape other = { .sans = "DNS:www.example.com", .key = r.other };
	OK(is_refused(&r, &stolen, KF_E_INVALID_CSR));
	OK(is_refused(&r, &other, KF_E_INVALID_CSR));
	struct slice whole = csr(&r, &www);
	struct id id;
	for (size_t n = 0; n < whole.n; n += 7)
		OK(kf_is(certify(&r, (struct slice){ whole.p, n }, &id),
			KF_E_INVALID_CSR));
	r.csr.p[r.csr.n - 3] ^= 1;
	OK(kf_is(certify(&r, buf_slice(&r.csr), &id), KF_E_INVALID_CSR));
}

TEST(small_and_weak_keys_are_refused)
{
	RIG(r);
	EVP_PKEY *small = EVP_RSA_gen(1024);
	EVP_PKEY *rsa = EVP_RSA_gen(2048);
	struct id id;
	struct certify_request q = { .request_type =
					     KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10 };
	q.request =
		csr(&r, &(struct csr_shape){ .sans = "DNS:a.example.com", .key = small });
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id), KF_E_NOT_ISSUED_KEY));
	q.request =
		csr(&r, &(struct csr_shape){ .sans = "DNS:a.example.com", .key = rsa });
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id)));
	r.authority.policy.rsa_bits = 3072;
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id), KF_E_NOT_ISSUED_KEY));
	r.authority.policy.ec_bits = 384;
	OK(is_refused(&r, &www, KF_E_NOT_ISSUED_KEY));
	EVP_PKEY_free(small);
	EVP_PKEY_free(rsa);
}

TEST(an_authority_that_has_expired_or_lost_its_key_issues_nothing)
{
	RIG(r);
	struct id id;
	const int64_t now = r.w.now_s;
	r.w.now_s = issue_ca_not_after(r.authority.ca);
	OK(is_refused(&r, &www, KF_E_AUTHORITY));
	r.w.now_s = now;
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
	be(&r.w, "admin", true);
	OK(kf_ok(revoke(&r.w, &r.ca_key, KMIP_REVOCATION_REASON_CODE_SUPERSEDED)));
	OK(is_refused(&r, &www, KF_E_AUTHORITY));
	OK(kf_ok(destroy(&r.w, &r.ca_key)));
	OK(is_refused(&r, &www, KF_E_AUTHORITY));
	r.authority.key = "nobody";
	OK(is_refused(&r, &www, KF_E_AUTHORITY));
}

TEST(certify_needs_the_right_to_the_authority_and_to_the_key)
{
	RIG(r);
	struct id id;
	be(&r.w, "bob", false);
	OK(is_refused(&r, &www, KF_E_DENIED));
	OK(kf_ok(add_grant(&r.w, "bob", "name:ca-key", PERM_CERTIFY, 0)));
	OK(is_refused(&r, &www, KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&r.w, "bob", r.public_key.text, PERM_CERTIFY, 0)));
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
	be(&r.w, "carol", false);
	OK(kf_ok(add_grant(&r.w, "carol", r.public_key.text, PERM_CERTIFY, 0)));
	OK(is_refused(&r, &www, KF_E_DENIED));
}

TEST(without_an_authority_the_operation_is_not_there)
{
	RIG(r);
	r.w.server.authorities_n = 0;
	OK(is_refused(&r, &www, KF_E_UNSUPPORTED));
}

TEST(the_authority_and_the_profile_may_be_named)
{
	RIG(r);
	struct id id;
	autobuf attrs = buf_new(4096);
	attrs_add_vendor_text(
		&attrs, slice_of("keyfleet"), slice_of("ca"), slice_of("web"));
	OK(kf_ok(certify_with(&r, &attrs, csr(&r, &www), &id)));
	attrs_add_vendor_text(
		&attrs, slice_of("keyfleet"), slice_of("profile"), slice_of("client"));
	OK(kf_is(certify_with(&r, &attrs, csr(&r, &www), &id), KF_E_NOT_ISSUED));
	r.authority.may_issue[CERT_CLIENT] = true;
	OK(kf_ok(certify_with(&r, &attrs, csr(&r, &www), &id)));
	X509 *x = certificate(&r, &id);
	EQ(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
	X509_free(x);
	buf_clear(&attrs);
	attrs_add_vendor_text(
		&attrs, slice_of("keyfleet"), slice_of("ca"), slice_of("other"));
	OK(kf_is(certify_with(&r, &attrs, csr(&r, &www), &id), KF_E_NO_AUTHORITY));
	buf_clear(&attrs);
	attrs_add_vendor_text(
		&attrs, slice_of("keyfleet"), slice_of("chain"), slice_of("-----BEGIN"));
	OK(kf_is(certify_with(&r, &attrs, csr(&r, &www), &id), KF_E_READ_ONLY));
}

/* --- without a request --- */

static void add_subject(struct buf *attrs, const char *cn, const char *dns)
{
	X509_NAME *name = X509_NAME_new();
	unsigned char *der = NULL;
	uint8_t san[64] = { 0x82, (uint8_t)strlen(dns) };
	memcpy(san + 2, dns, strlen(dns));
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	const int n = i2d_X509_NAME(name, &der);
	struct ttlv_writer w = ttlv_write(attrs, 0);
	ttlv_begin(&w, TAG_X_509_CERTIFICATE_SUBJECT);
	ttlv_put_bytes(
		&w, TAG_SUBJECT_DISTINGUISHED_NAME, (struct slice){ der, (size_t)n });
	ttlv_put_bytes(
		&w, TAG_SUBJECT_ALTERNATIVE_NAME, (struct slice){ san, strlen(dns) + 2 });
	ttlv_end(&w);
	OPENSSL_free(der);
	X509_NAME_free(name);
}

TEST(without_a_request_the_subject_is_in_the_attributes_and_the_private_key_here)
{
	RIG(r);
	struct pair pair;
	struct id id;
	autobuf attrs = buf_new(4096);
	add_subject(&attrs, "www.example.com", "www.example.com");
	OK(kf_ok(create_p256(&r.w, "www", &pair)));
	struct certify_request q = { .uid = uid(&pair.public_key),
		.attributes = buf_slice(&attrs) };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id)));
	X509 *x = certificate(&r, &id);
	OK(chain_is_valid(&r, x));
	EQ(X509_check_host(x, "www.example.com", 0, 0, NULL), 1);
	X509_free(x);
	OK(links_to(&r, &pair.private_key, KMIP_LINK_TYPE_CERTIFICATE_LINK, &id));
	OK(links_to(&r, &pair.public_key, KMIP_LINK_TYPE_CERTIFICATE_LINK, &id));
	/* The other half of this one is not here. */
	q.uid = uid(&r.public_key);
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id), KF_E_NOT_ISSUED));
	q.uid = uid(&pair.private_key);
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id), KF_E_OBJECT_TYPE));
}

TEST(since_2_0_the_subject_may_be_in_the_attributes_by_its_parts)
{
	RIG(r);
	struct pair pair;
	struct id id;
	autobuf attrs = buf_new(4096), wrong = buf_new(4096);
	attrs_add_text(&attrs, TAG_CERTIFICATE_SUBJECT_CN, slice_of("www.example.com"));
	attrs_add_text(&attrs, TAG_CERTIFICATE_SUBJECT_O, slice_of("Example"));
	attrs_add_text(&wrong, TAG_CERTIFICATE_SUBJECT_CN, slice_of("www.example.org"));
	r.authority.policy.takes_whole_subject = true;
	OK(kf_ok(create_p256(&r.w, "www", &pair)));
	struct certify_request q = { .uid = uid(&pair.public_key),
		.attributes = buf_slice(&attrs) };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id)));
	X509 *x = certificate(&r, &id);
	OK(chain_is_valid(&r, x));
	EQ(X509_check_host(x, "www.example.com", 0, 0, NULL), 1);
	EQ(X509_NAME_entry_count(X509_get_subject_name(x)), 2);
	X509_free(x);
	q.attributes = buf_slice(&wrong);
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &id), KF_E_NOT_ISSUED_NAME));
}

/* --- a registered request --- */

static kf_err put_request(struct rig *r, struct slice bytes, struct id *ret)
{
	struct register_response a;
	struct ttlv_writer w = question(&r->w);
	register_put_request(&w,
		&(struct register_request){
			.object = { .type = OBJECT_CERTIFICATE_REQUEST,
				.certificate_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
				.value = bytes } });
	KF_TRY(ttlv_written(&w));
	KF_TRY(ask(&r->w, KMIP_OPERATION_REGISTER));
	struct ttlv_reader in = answer(&r->w);
	KF_TRY(register_get_response(&in, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

TEST(a_certificate_request_is_an_object_since_2_0)
{
	RIG(r);
	struct id id;
	struct get_response a;
	struct slice cn = { 0 };
	autobuf type = buf_new(64);
	r.w.version = KMIP_2_0;
	OK(kf_ok(put_request(&r, csr(&r, &www), &id)));
	OK(kf_ok(get(&r.w, &id, &a)));
	EQ(a.object.type, OBJECT_CERTIFICATE_REQUEST);
	OK(slice_eq(a.object.value, buf_slice(&r.csr)));
	OK(kf_ok(attributes(&r.w, &id)));
	OK(attrs_get_text(buf_slice(&r.w.attrs), TAG_CERTIFICATE_SUBJECT_CN, &cn));
	OK(slice_is(cn, "www.example.com"));
	attrs_add_enum(&type, TAG_OBJECT_TYPE, OBJECT_CERTIFICATE_REQUEST);
	EQ(located(&r.w, buf_slice(&type), NULL), 1);
	OK(kf_is(put_request(&r, slice_of("junk"), &id), KF_E_INVALID_FIELD));
	r.w.version = KMIP_1_4;
	OK(!kf_ok(put_request(&r, buf_slice(&r.csr), &id)));
	OK(!kf_ok(get(&r.w, &id, &a)));
}

TEST(a_registered_request_is_certified_and_renews)
{
	RIG(r);
	struct id request, first, second;
	OK(kf_ok(put_request(&r, csr(&r, &www), &request)));
	struct certify_request q = { .uid = uid(&request) };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &first)));
	X509 *x = certificate(&r, &first);
	EQ(EVP_PKEY_eq(X509_get0_pubkey(x), r.key), 1);
	X509_free(x);
	q.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10;
	q.request = csr(&r, &www);
	OK(kf_is(
		ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &first), KF_E_INVALID_FIELD));
	q = (struct certify_request){ .uid = uid(&first), .request_uid = uid(&request) };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &second)));
	q.request_uid = uid(&first);
	q.uid = uid(&second);
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &first),
		KF_E_OBJECT_TYPE));
	OK(kf_ok(destroy(&r.w, &request)));
	q = (struct certify_request){ .uid = uid(&request) };
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_CERTIFY, &q, &first), KF_E_DESTROYED));
}

/* --- what is known of the key --- */

static kf_err put_private_key(struct rig *r, EVP_PKEY *key, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	const int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
	attrs_add_int(
		&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
	const struct material_key m = { .object_type = OBJECT_PRIVATE_KEY,
		.format = KMIP_KEY_FORMAT_TYPE_PKCS_8,
		.algorithm = 6,
		.length = EVP_PKEY_get_bits(key),
		.bytes = { der, (size_t)n } };
	kf_err err = put_object(&r->w, &m, buf_slice(&attrs), ret);
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(info);
	return err;
}

/* By whatever way it is asked for, and whoever told that it is. */
TEST(a_key_that_is_known_to_be_compromised_is_not_certified)
{
	RIG(r);
	struct id private_key, old, id;
	struct certify_request any = { .request_type =
					       KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10 };
	OK(kf_ok(certify(&r, csr(&r, &www), &old)));
	be(&r.w, "admin", true);
	OK(kf_ok(put_private_key(&r, r.key, &private_key)));
	be(&r.w, "alice", false);
	any.request = csr(&r, &www);
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_CERTIFY, &any, &id)));
	be(&r.w, "admin", true);
	OK(kf_ok(revoke(&r.w, &private_key, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE)));
	be(&r.w, "alice", false);
	any.request = csr(&r, &www);
	OK(kf_is(
		ask_certify(&r, KMIP_OPERATION_CERTIFY, &any, &id), KF_E_NOT_ISSUED_KEY));
	OK(is_refused(&r, &www, KF_E_NOT_ISSUED_KEY));
	struct certify_request q = { .uid = uid(&old) };
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &id),
		KF_E_NOT_ISSUED_KEY));
}

TEST(a_certificate_of_a_compromised_public_key_is_not_renewed)
{
	RIG(r);
	struct id old, id;
	OK(kf_ok(certify(&r, csr(&r, &www), &old)));
	OK(kf_ok(
		revoke(&r.w, &r.public_key, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE)));
	struct certify_request q = { .uid = uid(&old) };
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &id),
		KF_E_NOT_ISSUED_KEY));
}

/* --- the authority's name, and its records --- */

TEST(an_object_with_the_name_of_the_authoritys_key_as_identifier_is_not_the_key)
{
	RIG(r);
	struct import_response a;
	struct id id;
	struct ttlv_writer w = question(&r.w);
	import_put_request(
		&w, &(struct import_request){ .uid = kmip_uid_text(slice_of("ca-key")),
			    .object = { .type = OBJECT_OPAQUE,
				    .opaque_data_type = 0x80000001,
				    .value = slice_of("anything") } });
	OK(kf_ok(ask(&r.w, KMIP_OPERATION_IMPORT)));
	struct ttlv_reader in = answer(&r.w);
	OK(kf_ok(import_get_response(&in, &a)));
	OK(slice_is(a.uid.text, "ca-key"));
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
}

TEST(what_does_not_fit_into_its_record_is_not_issued)
{
	RIG(r);
	struct id id;
	char sans[100 * 40] = "";
	for (int i = 0; i < 100; i++) {
		const size_t n = strlen(sans);
		snprintf(sans + n, sizeof(sans) - n, "%sDNS:a-long-name-%03d.example.com",
			i ? "," : "", i);
		if (i == 49)
			OK(kf_ok(certify(
				&r, csr(&r, &(struct csr_shape){ .sans = sans }), &id)));
	}
	OK(is_refused(&r, &(struct csr_shape){ .sans = sans }, KF_E_NOT_ISSUED_NAME));
}

static bool is_printed(struct rig *r, bool has_whole_subject, const char *want)
{
	struct issue_request *q = NULL;
	autobuf text = buf_new(4096);
	const struct csr_shape shape = { .cn = "www.example.com",
		.sans = "DNS:www.example.com,IP:192.0.2.1" };
	if (!kf_ok(issue_request_read(csr(r, &shape), false, &q)))
		return false;
	issue_request_print(q, has_whole_subject, &text);
	issue_request_free(q);
	return kf_ok(buf_err(&text)) && slice_is(buf_slice(&text), want);
}

TEST(a_record_has_the_names_and_as_much_of_the_subject_as_is_issued)
{
	RIG(r);
	OK(is_printed(
		&r, false, "names=www.example.com,ip:c0000201 subject=www.example.com"));
	OK(is_printed(&r, true,
		"names=www.example.com,ip:c0000201 subject=O=Nobody,CN=www.example.com"));
}

static struct rig *contested;
static struct id recorded;

static void activate_key(struct world *w)
{
	OK(kf_ok(activate(w, &contested->public_key)));
}

/* The record was written before the act; then the key's object changes, and the call begins anew. */
static void change_the_key(struct world *w)
{
	static const char before[] = "certificate=";
	const struct slice text = w->call->message;
	const size_t n = sizeof(before) - 1;
	OK(text.n > n + OBJECT_ID_SIZE && !memcmp(text.p, before, n));
	memcpy(recorded.text, text.p + n, OBJECT_ID_SIZE - 1);
	meanwhile(w, activate_key);
}

TEST(the_certificate_is_the_one_in_the_record_though_its_key_changed_meanwhile)
{
	RIG(r);
	struct id id;
	contested = &r;
	r.w.before_commit = change_the_key;
	OK(kf_ok(certify(&r, csr(&r, &www), &id)));
	OK(!r.w.before_commit && !strcmp(id.text, recorded.text));
}

/* --- Re-certify --- */

TEST(a_renewed_certificate_takes_the_place_of_the_old_one)
{
	RIG(r);
	struct id old, new;
	autobuf attrs = buf_new(4096);
	attrs_add_name(&attrs, slice_of("www-certificate"));
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, r.w.now_s);
	OK(kf_ok(certify_with(&r, &attrs, csr(&r, &www), &old)));
	r.w.now_s += 60 * DAY;
	struct certify_request q = { .uid = uid(&old), .has_offset = true };
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &new)));
	X509 *x = certificate(&r, &new), *was = certificate(&r, &old);
	OK(X509_check_host(x, "www.example.com", 0, 0, NULL) == 1);
	EQ(EVP_PKEY_eq(X509_get0_pubkey(x), r.key), 1);
	OK(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(was)));
	OK(ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(was)) > 0);
	X509_free(x);
	X509_free(was);
	struct id named;
	EQ(located_by_name(&r.w, "www-certificate", &named), 1);
	OK(!strcmp(named.text, new.text));
	OK(links_to(&r, &old, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &new));
	OK(links_to(&r, &new, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, &old));
	OK(links_to(&r, &r.public_key, KMIP_LINK_TYPE_CERTIFICATE_LINK, &new));
	EQ(state_of(&r.w, &new), STATE_ACTIVE);
}

TEST(renewing_brings_no_other_key_and_nothing_that_was_revoked)
{
	RIG(r);
	struct id old, new;
	OK(kf_ok(certify(&r, csr(&r, &www), &old)));
	struct certify_request q = { .uid = uid(&old),
		.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10 };
	q.request = csr(
		&r, &(struct csr_shape){ .sans = "DNS:a.example.com", .key = r.other });
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &new), KF_E_INVALID_CSR));
	q.request = csr(&r, &(struct csr_shape){ .sans = "DNS:a.example.com" });
	OK(kf_ok(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &new)));
	OK(kf_ok(revoke(&r.w, &new, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE)));
	q = (struct certify_request){ .uid = uid(&new) };
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &old), KF_E_NOT_ISSUED));
	q.uid = uid(&r.public_key);
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &old), KF_E_OBJECT_TYPE));
}

/* Whoever finds a certificate may register it, which does not make it his. */
TEST(what_the_authority_has_not_issued_is_not_renewed_without_a_request)
{
	RIG(r);
	struct cert other = { 0 }, leaf = { 0 };
	struct id id, new;
	struct register_response a;
	autobuf der = buf_new(1 << 16);
	static const char *const sans[] = { "dns:www.example.com", NULL };
	OK(kf_ok(cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "other" }, &other)));
	OK(kf_ok(cert_issue(buf_slice(&other.pem), buf_slice(&other.key_pem),
		&(struct cert_wish){ .role = CERT_SERVER,
			.common_name = "www.example.com",
			.sans = sans },
		&leaf)));
	OK(kf_ok(cert_to_der(buf_slice(&leaf.pem), &der)));
	struct ttlv_writer w = question(&r.w);
	register_put_request(
		&w, &(struct register_request){
			    .object = { .type = OBJECT_CERTIFICATE,
				    .certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
				    .value = buf_slice(&der) } });
	OK(kf_ok(ask(&r.w, KMIP_OPERATION_REGISTER)));
	struct ttlv_reader in = answer(&r.w);
	OK(kf_ok(register_get_response(&in, &a)));
	keep_id(&a.uid, &id);
	struct certify_request q = { .uid = uid(&id) };
	OK(kf_is(ask_certify(&r, KMIP_OPERATION_RE_CERTIFY, &q, &new), KF_E_NOT_ISSUED));
	cert_free(&other);
	cert_free(&leaf);
}

TEST_MAIN
