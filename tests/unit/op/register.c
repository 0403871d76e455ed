/* SPDX-License-Identifier: Apache-2.0 */
#include "../pki.h"
#include "crypt/keygen.h"
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include "kmip/signature_verify.h"
#include "kmip/token_admin.h"
#include "world.h"

struct wish {
	uint32_t type;
	struct key_block block;
	uint32_t certificate_type, secret_data_type, opaque_data_type;
	struct slice value;
	int32_t usage;
	const char *name;
	uint32_t algorithm; /* attribute */
	int32_t length;
	const struct id *private_key; /* Link */
};

static kf_err put(struct world *w, const struct wish *wish, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	if (wish->usage)
		attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, wish->usage);
	if (wish->name)
		attrs_add_name(&attrs, slice_of(wish->name));
	if (wish->algorithm)
		attrs_add_enum(&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, wish->algorithm);
	if (wish->private_key)
		attrs_add_link(&attrs, KMIP_LINK_TYPE_PRIVATE_KEY_LINK,
			slice_of(wish->private_key->text));
	if (wish->length)
		attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, wish->length);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){
			.type = wish->type,
			.block = wish->block,
			.certificate_type = wish->certificate_type,
			.secret_data_type = wish->secret_data_type,
			.opaque_data_type = wish->opaque_data_type,
			.value = wish->value,
		},
		ret);
}

static struct key_block block(
	uint32_t format, uint32_t algorithm, int32_t length, struct slice m)
{
	return (struct key_block){ .format = format,
		.algorithm = algorithm,
		.length = length,
		.has_value = true,
		.material = m };
}

struct pairs {
	struct keypair rsa, ec, ed, brainpool;
};

static void pairs_free(struct pairs *p)
{
	keypair_free(&p->rsa);
	keypair_free(&p->ec);
	keypair_free(&p->ed);
	keypair_free(&p->brainpool);
}

static kf_err pairs_make(struct pairs *p)
{
	KF_TRY(keypair_generate(alg_get(ALG_RSA_2048), &p->rsa));
	KF_TRY(keypair_generate(alg_get(ALG_P256), &p->ec));
	KF_TRY(keypair_generate(alg_get(ALG_BRAINPOOL_P256R1), &p->brainpool));
	return keypair_generate(alg_get(ALG_ED25519), &p->ed);
}

#define READY(w, p)                                                                      \
	WORLD(w);                                                                        \
	CLEANUP(pairs_free) struct pairs p = { 0 };                                      \
	OK(kf_ok(pairs_make(&p)));                                                       \
	OK(kf_ok(let_alice_create(&w)))

TEST(private_keys_of_every_format_come_back_as_they_came_and_sign)
{
	READY(w, p);
	const struct {
		const struct keypair *pair;
		enum key_format format;
		uint32_t algorithm;
		int32_t length;
		struct cryptographic_parameters parameters;
	} kinds[] = {
		{ &p.rsa, KEY_PKCS1, 4, 2048,
			{ .padding_method = 8, .hashing_algorithm = 6 } },
		{ &p.rsa, KEY_PKCS8, 4, 2048,
			{ .padding_method = 10, .hashing_algorithm = 6 } },
		{ &p.ec, KEY_PKCS8, 6, 256, { .hashing_algorithm = 6 } },
		{ &p.ec, KEY_EC_PRIVATE, 0x1a, 256, { .hashing_algorithm = 6 } },
		{ &p.ec, KEY_RAW, 6, 256, { .hashing_algorithm = 6 } },
		{ &p.brainpool, KEY_PKCS8, 6, 256, { .hashing_algorithm = 6 } },
		{ &p.brainpool, KEY_EC_PRIVATE, 0x1a, 0, { .hashing_algorithm = 6 } },
		{ &p.ed, KEY_PKCS8, 0x37, 256, { .cryptographic_algorithm = 0x37 } },
		{ &p.ed, KEY_RAW, 0x37, 256, { .cryptographic_algorithm = 0x37 } },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct id id;
		struct get_response a;
		autobuf der = buf_new(PKCS8_MAX);
		OK(kf_ok(private_to_format(
			buf_slice(&kinds[i].pair->pkcs8), kinds[i].format, &der)));
		OK(kf_ok(put(&w,
			&(struct wish){ .type = OBJECT_PRIVATE_KEY,
				.usage = 1,
				.block = block(kinds[i].format, kinds[i].algorithm,
					kinds[i].length, buf_slice(&der)) },
			&id)));
		OK(kf_ok(get(&w, &id, &a)));
		EQ(a.object.block.format, kinds[i].format);
		EQ(a.object.block.algorithm, kinds[i].algorithm);
		OK(slice_eq(a.object.block.material, buf_slice(&der)));
		OK(kf_ok(sign(&w, &id,
			&(struct sign_wish){ .data = SLICE_LIT("x"),
				.parameters = kinds[i].parameters },
			NULL)));
	}
}

TEST(an_rsa_key_has_a_digest_of_its_pkcs1_form_in_2_0)
{
	READY(w, p);
	struct id one, two;
	struct ttlv_item first, second;
	uint32_t format = 0;
	autobuf pkcs1 = buf_new(PKCS8_MAX);
	struct wish wish = { .type = OBJECT_PRIVATE_KEY,
		.usage = 1,
		.block = block(KEY_PKCS8, 4, 2048, buf_slice(&p.rsa.pkcs8)) };
	OK(kf_ok(private_to_format(buf_slice(&p.rsa.pkcs8), KEY_PKCS1, &pkcs1)));
	OK(kf_ok(put(&w, &wish, &one)));
	wish.block = block(KEY_PKCS1, 4, 2048, buf_slice(&pkcs1));
	OK(kf_ok(put(&w, &wish, &two)));

	OK(kf_ok(attributes(&w, &two)));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 1);
	autobuf same = buf_new(1024);
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 0, &first));
	buf_add_slice(&same, first.whole);
	OK(kf_ok(attributes(&w, &one)));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 2);
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 1, &second));
	OK(attrs_get_enum(second.value, TAG_KEY_FORMAT_TYPE, &format));
	EQ(format, KMIP_KEY_FORMAT_TYPE_PKCS_1);
	OK(slice_eq(second.whole, buf_slice(&same)));
}

TEST(an_imported_key_says_its_curve_where_a_length_would_name_another)
{
	READY(w, p);
	struct id id;
	struct get_response a;
	OK(kf_ok(put(&w,
		&(struct wish){ .type = OBJECT_PUBLIC_KEY,
			.usage = 2,
			.block = block(KEY_X509, 6, 256, buf_slice(&p.brainpool.spki)) },
		&id)));

	const struct object *o = catalog_find(w.server.catalog, slice_of(id.text));
	OK(material_alg(o) == alg_get(ALG_BRAINPOOL_P256R1));
	OK(kf_ok(get_as(&w, &id, KEY_RAW, &a)));
	EQ(a.object.block.material.n, 65);
}

TEST(rsa_1024_is_kept_but_used_only_while_the_server_says_so)
{
	WORLD(w);
	CLEANUP(keypair_free) struct keypair weak = { 0 };
	struct id id;
	const struct sign_wish job = { .data = SLICE_LIT("x"),
		.parameters = { .padding_method = 8, .hashing_algorithm = 6 } };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(keypair_generate(alg_get(ALG_RSA_1024), &weak)));
	const struct wish wish = { .type = OBJECT_PRIVATE_KEY,
		.usage = 1,
		.block = block(KEY_PKCS8, 4, 1024, buf_slice(&weak.pkcs8)) };

	OK(kf_ok(put(&w, &wish, &id)));
	OK(kf_is(sign(&w, &id, &job, NULL), KF_E_INVALID_FIELD));
	w.server.allows_legacy = true;
	OK(kf_ok(sign(&w, &id, &job, NULL)));
	w.server.allows_legacy = false;
	OK(kf_is(sign(&w, &id, &job, NULL), KF_E_INVALID_FIELD));
}

TEST(a_key_that_is_not_what_it_is_said_to_be_is_refused)
{
	READY(w, p);
	struct id id;
	struct slice rsa = buf_slice(&p.rsa.pkcs8), ec = buf_slice(&p.ec.pkcs8);
	autobuf broken = buf_new(PKCS8_MAX);
	buf_add_slice(&broken, rsa);
	broken.p[broken.n - 1] ^= 1;
	const struct wish bad[] = {
		{ .type = OBJECT_PRIVATE_KEY, .block = block(KEY_PKCS8, 4, 3072, rsa) },
		{ .type = OBJECT_PRIVATE_KEY, .block = block(KEY_PKCS8, 4, 2048, ec) },
		{ .type = OBJECT_PRIVATE_KEY, .block = block(KEY_PKCS8, 6, 384, ec) },
		{ .type = OBJECT_PRIVATE_KEY,
			.block = block(KEY_PKCS8, 4, 2048, buf_slice(&broken)) },
		{ .type = OBJECT_PRIVATE_KEY,
			.block = block(KEY_PKCS8, 4, 2048, SLICE_LIT("nonsense")) },
		{ .type = OBJECT_PUBLIC_KEY, .block = block(KEY_X509, 4, 2048, ec) },
		{ .type = OBJECT_SYMMETRIC_KEY,
			.block = block(KEY_RAW, 3, 256, SLICE_LIT("too short")) },
		{ .type = OBJECT_PRIVATE_KEY,
			.block = block(KEY_PKCS8, 4, 2048, rsa),
			.algorithm = 6 },
		{ .type = OBJECT_CERTIFICATE,
			.certificate_type = 1,
			.value = SLICE_LIT("no certificate") },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK(!kf_ok(put(&w, &bad[i], &id)));
	EQ(catalog_count(w.server.catalog), 0);
}

TEST(keys_that_we_cannot_use_are_kept_all_the_same)
{
	READY(w, p);
	struct id id;
	struct get_response a;

	OK(kf_ok(put(&w,
		&(struct wish){ .type = OBJECT_PRIVATE_KEY,
			.usage = 1,
			.block = block(KEY_PKCS8, 5, 512, SLICE_LIT("a DSA key")) },
		&id)));

	OK(kf_ok(get(&w, &id, &a)));
	OK(slice_is(a.object.block.material, "a DSA key"));
	OK(kf_is(sign_text(&w, &id, "x"), KF_E_BAD_PARAMETERS));
}

TEST(public_keys_are_read_and_verify)
{
	READY(w, p);
	struct id id;
	struct get_response a;

	OK(kf_ok(put(&w,
		&(struct wish){ .type = OBJECT_PUBLIC_KEY,
			.usage = 2,
			.block = block(KEY_X509, 4, 0, buf_slice(&p.rsa.spki)) },
		&id)));

	OK(kf_ok(get(&w, &id, &a)));
	OK(slice_eq(a.object.block.material, buf_slice(&p.rsa.spki)));
	OK(kf_ok(attributes(&w, &id)));
	int32_t length = 0;
	OK(attrs_get_int(buf_slice(&w.attrs), TAG_CRYPTOGRAPHIC_LENGTH, &length));
	EQ(length, 2048);
}

TEST(secrets_and_opaque_things_come_back)
{
	READY(w, p);
	struct id id;
	struct get_response a;

	OK(kf_ok(put(&w,
		&(struct wish){ .type = OBJECT_SECRET_DATA,
			.secret_data_type = 1,
			.block = block(2, 0, 0, SLICE_LIT("password")) },
		&id)));
	OK(kf_ok(get(&w, &id, &a)));
	EQ(a.object.secret_data_type, 1);
	OK(slice_is(a.object.block.material, "password"));

	OK(kf_ok(put(&w,
		&(struct wish){ .type = OBJECT_OPAQUE,
			.opaque_data_type = 0x80123456,
			.value = SLICE_LIT("anything") },
		&id)));
	OK(kf_ok(get(&w, &id, &a)));
	EQ(a.object.opaque_data_type, 0x80123456);
	OK(slice_is(a.object.value, "anything"));
}

/* A certificate of its own, in the store. */
static bool keep_certificate(struct world *w, struct id *id, struct buf *der)
{
	struct cert ca = { 0 };
	*der = buf_new(65536);
	kf_err err = cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca);
	if (kf_ok(err))
		err = cert_to_der(buf_slice(&ca.pem), der);
	cert_free(&ca);
	return kf_ok(err) && kf_ok(put(w,
				     &(struct wish){ .type = OBJECT_CERTIFICATE,
					     .certificate_type = 1,
					     .value = buf_slice(der) },
				     id));
}

static kf_err create_in(struct world *w, uint32_t format, bool is_rsa, struct pair *ret)
{
	autobuf extra = buf_new(1024);
	attrs_add_enum(&extra, TAG_KEY_FORMAT_TYPE, format);
	attrs_add_bool(&extra, TAG_SENSITIVE, false);
	attrs_add_bool(&extra, TAG_EXTRACTABLE, true);
	return create_pair(w,
		&(struct pair_wish){ .algorithm = is_rsa ? 4 : 6,
			.bits = is_rsa ? 2048 : 0,
			.curve = is_rsa ? 0 : 7,
			.private_extra = buf_slice(&extra) },
		ret);
}

TEST(what_is_made_is_in_the_format_that_was_asked_for_or_not_made)
{
	static const struct {
		uint32_t format;
		bool is_rsa, is_made;
	} cases[] = { { KMIP_KEY_FORMAT_TYPE_PKCS_1, true, true },
		{ KMIP_KEY_FORMAT_TYPE_PKCS_8, true, true },
		{ KMIP_KEY_FORMAT_TYPE_X_509, true, false },
		{ KMIP_KEY_FORMAT_TYPE_PKCS_8, false, true },
		{ KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY, false, true },
		{ KMIP_KEY_FORMAT_TYPE_PKCS_1, false, false } };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct pair pair;
		struct get_response a;
		const kf_err err = create_in(&w, cases[i].format, cases[i].is_rsa, &pair);
		if (!cases[i].is_made) {
			OK(kf_is(err, KF_E_INVALID_FIELD));
			continue;
		}
		OK(kf_ok(err));
		OK(kf_ok(get(&w, &pair.private_key, &a)));
		EQ(a.object.block.format, cases[i].format);
		OK(kf_ok(attributes(&w, &pair.private_key)));
		const bool is_other =
			cases[i].is_rsa && cases[i].format == KMIP_KEY_FORMAT_TYPE_PKCS_8;
		EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), is_other ? 2 : 1);
	}
}

TEST(a_certificate_is_described)
{
	READY(w, p);
	struct id id;
	struct get_response a;
	struct ttlv_item it;
	autobuf der = { 0 };

	OK(keep_certificate(&w, &id, &der));

	OK(kf_ok(get(&w, &id, &a)));
	OK(slice_eq(a.object.value, buf_slice(&der)));
	OK(kf_ok(get_as(&w, &id, KMIP_KEY_FORMAT_TYPE_X_509, &a)));
	OK(slice_eq(a.object.value, buf_slice(&der)));
	OK(kf_is(get_as(&w, &id, KMIP_KEY_FORMAT_TYPE_RAW, &a), KF_E_KEY_FORMAT));
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_find(buf_slice(&w.attrs), TAG_X_509_CERTIFICATE_SUBJECT, 0, &it));
	OK(attrs_find(buf_slice(&w.attrs), TAG_X_509_CERTIFICATE_IDENTIFIER, 0, &it));
	uint32_t format = 0;
	bool is_sensitive = true;
	OK(attrs_get_enum(buf_slice(&w.attrs), TAG_KEY_FORMAT_TYPE, &format));
	EQ(format, KMIP_KEY_FORMAT_TYPE_X_509);
	OK(attrs_get_bool(buf_slice(&w.attrs), TAG_SENSITIVE, &is_sensitive) &&
		!is_sensitive);
	OK(attrs_find(it.value, TAG_CERTIFICATE_SERIAL_NUMBER, 0, &it));
	OK(it.value.n > 2 && it.value.p[0] == 2 && it.value.p[1] == it.value.n - 2);
	int32_t length = 0;
	OK(attrs_get_int(buf_slice(&w.attrs), TAG_CERTIFICATE_LENGTH, &length));
	EQ(length, der.n);
	uint32_t kind = 0;
	OK(attrs_get_enum(buf_slice(&w.attrs), TAG_CRYPTOGRAPHIC_ALGORITHM, &kind));
	OK(attrs_get_int(buf_slice(&w.attrs), TAG_CRYPTOGRAPHIC_LENGTH, &length));
	EQ(kind, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
	EQ(length, 256);
	struct slice name = { 0 };
	OK(attrs_get_text(buf_slice(&w.attrs), TAG_CERTIFICATE_SUBJECT_CN, &name));
	OK(slice_is(name, "Test CA"));
	OK(attrs_get_text(buf_slice(&w.attrs), TAG_CERTIFICATE_ISSUER_CN, &name));
	OK(slice_is(name, "Test CA"));
	uint32_t algorithm = 0;
	OK(attrs_get_enum(
		buf_slice(&w.attrs), TAG_DIGITAL_SIGNATURE_ALGORITHM, &algorithm));
	EQ(algorithm, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256);
}

/* Text of a field of the first instance. */
static struct slice field_of(struct world *w, uint32_t tag, enum ttlv_tag field)
{
	struct ttlv_item it;
	struct slice text = { 0 };
	if (attrs_find(buf_slice(&w->attrs), tag, 0, &it))
		(void)attrs_get_text(it.value, field, &text);
	return text;
}

TEST(a_certificate_is_described_in_the_words_of_1_0)
{
	READY(w, p);
	struct id id;
	struct ttlv_item it;
	autobuf der = { 0 };
	OK(keep_certificate(&w, &id, &der));

	w.version = KMIP_1_0;
	OK(kf_ok(attributes(&w, &id)));
	OK(slice_is(field_of(&w, TAG_CERTIFICATE_SUBJECT,
			    TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME),
		"CN=Test CA"));
	OK(slice_is(field_of(&w, TAG_CERTIFICATE_ISSUER,
			    TAG_CERTIFICATE_ISSUER_DISTINGUISHED_NAME),
		"CN=Test CA"));
	OK(slice_is(field_of(&w, TAG_CERTIFICATE_IDENTIFIER, TAG_ISSUER), "CN=Test CA"));
	OK(field_of(&w, TAG_CERTIFICATE_IDENTIFIER, TAG_SERIAL_NUMBER).n > 0);
	OK(!attrs_find(buf_slice(&w.attrs), TAG_X_509_CERTIFICATE_SUBJECT, 0, &it));
	w.version = KMIP_2_0;
	OK(kf_ok(attributes(&w, &id)));
	OK(!attrs_find(buf_slice(&w.attrs), TAG_CERTIFICATE_SUBJECT, 0, &it));
}

static kf_err put_with_names(struct world *w, const char *const *names, struct id *ret)
{
	struct cert ca = { 0 }, leaf = { 0 };
	autobuf der = buf_new(65536);
	const struct cert_wish authority = { .role = CERT_CA, .common_name = "Test CA" };
	const struct cert_wish server = {
		.role = CERT_SERVER, .common_name = "www", .sans = names
	};
	kf_err err = cert_make_ca(&authority, &ca);
	if (kf_ok(err))
		err = cert_issue(
			buf_slice(&ca.pem), buf_slice(&ca.key_pem), &server, &leaf);
	if (kf_ok(err))
		err = cert_to_der(buf_slice(&leaf.pem), &der);
	cert_free(&ca);
	cert_free(&leaf);
	KF_TRY(err);
	return put(w,
		&(struct wish){ .type = OBJECT_CERTIFICATE,
			.certificate_type = 1,
			.value = buf_slice(&der) },
		ret);
}

/* The n-th field of this tag in the first instance of an attribute. */
static struct slice nth_of(struct world *w, uint32_t tag, uint32_t field, size_t n)
{
	struct ttlv_item it, f;
	if (attrs_find(buf_slice(&w->attrs), tag, 0, &it) &&
		attrs_find(it.value, field, n, &f))
		return f.value;
	return (struct slice){ 0 };
}

TEST(alternative_names_of_a_certificate_are_attributes_in_every_version)
{
	static const char *const names[] = { "dns:www.example.com", "ip:192.0.2.7",
		"ip:2001:db8::1", NULL };
	static const uint8_t dns[] = "\x82\x0fwww.example.com";
	static const uint8_t ip[] = { 0x87, 4, 192, 0, 2, 7 };
	READY(w, p);
	struct id id, found;
	OK(kf_ok(put_with_names(&w, names, &id)));

	static const uint16_t versions[] = { KMIP_1_1, KMIP_1_4, KMIP_2_0, KMIP_2_1 };
	for (size_t i = 0; i < 4; i++) {
		w.version = versions[i];
		OK(kf_ok(attributes(&w, &id)));
		OK(slice_eq(nth_of(&w, TAG_X_509_CERTIFICATE_SUBJECT,
				    TAG_SUBJECT_ALTERNATIVE_NAME, 0),
			(struct slice){ dns, sizeof(dns) - 1 }));
		OK(slice_eq(nth_of(&w, TAG_X_509_CERTIFICATE_SUBJECT,
				    TAG_SUBJECT_ALTERNATIVE_NAME, 1),
			(struct slice){ ip, sizeof(ip) }));
		EQ(nth_of(&w, TAG_X_509_CERTIFICATE_SUBJECT, TAG_SUBJECT_ALTERNATIVE_NAME,
			   2)
				.n,
			18);
		OK(!nth_of(
			&w, TAG_X_509_CERTIFICATE_ISSUER, TAG_ISSUER_ALTERNATIVE_NAME, 0)
				.n);
	}

	autobuf wanted = buf_new(1024);
	struct ttlv_writer q = ttlv_write(&wanted, 0);
	ttlv_begin(&q, TAG_X_509_CERTIFICATE_SUBJECT);
	ttlv_put_bytes(
		&q, TAG_SUBJECT_ALTERNATIVE_NAME, (struct slice){ ip, sizeof(ip) });
	ttlv_end(&q);
	EQ(located(&w, buf_slice(&wanted), &found), 1);
	OK(!strcmp(found.text, id.text));
	wanted.p[wanted.n - 3] ^= 1; /* an address beside it */
	EQ(located(&w, buf_slice(&wanted), &found), 0);
}

TEST(alternative_names_are_words_in_1_0)
{
	static const char *const names[] = { "dns:www.example.com", "ip:192.0.2.7",
		"ip:2001:db8::1", NULL };
	READY(w, p);
	struct id id;
	OK(kf_ok(put_with_names(&w, names, &id)));
	w.version = KMIP_1_0;
	OK(kf_ok(attributes(&w, &id)));
	for (size_t i = 0; i < 3; i++)
		OK(slice_is(nth_of(&w, TAG_CERTIFICATE_SUBJECT,
				    TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME, i),
			strchr(names[i], ':') + 1));
}

/* RFC 5280 has 20 bytes at most; whoever registers a certificate has not made it. */
TEST(a_serial_number_is_told_whole_however_long_it_is)
{
	READY(w, p);
	struct id id;
	uint8_t serial[100];
	char hex[2 * sizeof(serial) + 1];
	EVP_PKEY *key = pki_key();
	X509 *x = pki_draft("long", key, 1, 3600);
	unsigned char *der = NULL;
	for (size_t i = 0; i < sizeof(serial); i++) {
		serial[i] = (uint8_t)(i + 1);
		sprintf(hex + 2 * i, "%02X", serial[i]);
	}
	ASN1_STRING_set(X509_get_serialNumber(x), serial, sizeof(serial));
	X509_sign(x, key, EVP_sha256());
	const int n = i2d_X509(x, &der);
	const kf_err err = put(&w,
		&(struct wish){ .type = OBJECT_CERTIFICATE,
			.certificate_type = 1,
			.value = { der, (size_t)n } },
		&id);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	OK(kf_ok(err));
	w.version = KMIP_1_0;
	OK(kf_ok(attributes(&w, &id)));
	OK(slice_is(field_of(&w, TAG_CERTIFICATE_IDENTIFIER, TAG_SERIAL_NUMBER), hex));
}

/* Whoever registers a certificate has made it up, perhaps: so many parts, each with this value. */
static kf_err register_named(
	struct world *w, int parts, const char *value, struct id *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = pki_key();
	CLEANUP(ossl_x509_freep) X509 *x = pki_draft("name", key, 1, 86400);
	autobuf attrs = buf_new(1024);
	unsigned char *der = NULL;
	for (int i = 0; i < parts; i++)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), i % 2 ? "CN" : "OU",
			MBSTRING_ASC, (const unsigned char *)value, -1, -1, 0);
	X509_sign(x, key, EVP_sha256());
	const int n = i2d_X509(x, &der);
	const struct kmip_object o = { .type = OBJECT_CERTIFICATE,
		.certificate_type = 1,
		.value = { der, (size_t)n } };
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 2);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, NOW - 1);
	w->worked = false;
	const kf_err err = register_object(w, buf_slice(&attrs), &o, ret);
	OPENSSL_free(der);
	return err;
}

TEST(a_name_of_a_certificate_has_no_more_parts_than_an_object_has_attributes)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(register_named(&w, 100, "a", &id)));
	OK(kf_is(register_named(&w, 600, "a", &id), KF_E_LIMIT));
	OK(!w.worked);
	OK(kf_is(register_named(&w, 20000, "a", &id), KF_E_LIMIT));
	OK(w.worked); /* to read it takes long by itself */
}

static kf_err verify_by(struct world *w, const struct id *id)
{
	struct ttlv_writer out = question(w);
	w->worked = false;
	signature_verify_put_request(&out,
		&(struct signature_verify_request){ .uid = uid(id),
			.has_parameters = true,
			.parameters = { .digital_signature_algorithm =
						KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256 },
			.has_data = true,
			.data = SLICE_LIT("text"),
			.signature = SLICE_LIT("none") });
	return ask(w, KMIP_OPERATION_SIGNATURE_VERIFY);
}

TEST(a_long_certificate_is_read_by_a_worker_each_time)
{
	WORLD(w);
	struct id usual, tall;
	char value[65] = { 0 };
	memset(value, 'a', sizeof(value) - 1);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(register_named(&w, 10, value, &usual)));
	OK(kf_ok(register_named(&w, 400, value, &tall)));
	OK(w.worked);
	OK(kf_ok(verify_by(&w, &usual)));
	OK(!w.worked);
	OK(kf_ok(verify_by(&w, &tall)));
	OK(w.worked);
}

/* Whoever may sign with a key reads its public key, but not what a stranger says is one. */
TEST(a_stranger_cannot_attach_objects_to_a_key)
{
	READY(w, p);
	struct pair pair;
	struct id mine, foreign;
	struct get_response a;
	OK(kf_ok(create_p256(&w, "www", &pair)));
	const struct wish wish = { .type = OBJECT_PUBLIC_KEY,
		.usage = 2,
		.block = block(KEY_X509, 6, 256, buf_slice(&p.ec.spki)),
		.private_key = &pair.private_key };
	OK(kf_ok(put(&w, &wish, &mine)));
	OK(kf_ok(add_grant(&w, "mallory", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_grant(&w, "web", "name:www", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	be(&w, "mallory", false);
	OK(kf_ok(put(&w, &wish, &foreign)));

	be(&w, "web", false);
	OK(kf_ok(get(&w, &pair.public_key, &a)));
	OK(kf_ok(get(&w, &mine, &a)));
	OK(kf_is(get(&w, &foreign, &a), KF_E_NOT_FOUND));
}

TEST(registering_needs_its_own_permission)
{
	READY(w, p);
	struct id id;
	const struct wish wish = { .type = OBJECT_SYMMETRIC_KEY,
		.block = block(KEY_RAW, 3, 128, SLICE_LIT("0123456789abcdef")) };

	OK(kf_ok(put(&w, &wish, &id)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_CREATE, 0)));
	be(&w, "bob", false);
	OK(kf_is(put(&w, &wish, &id), KF_E_DENIED));
}

/* --- Decrypt, with registered RSA keys --- */

static kf_err decrypt(struct world *w, const struct id *id, struct slice data,
	const struct cryptographic_parameters *parameters, struct slice *ret)
{
	struct decrypt_response a;
	struct ttlv_writer q = question(w);
	decrypt_put_request(&q,
		&(struct decrypt_request){ .uid = uid(id),
			.has_parameters = parameters != NULL,
			.parameters = parameters ? *parameters
						 : (struct cryptographic_parameters){ 0 },
			.has_data = true,
			.data = data });
	KF_TRY(ask(w, KMIP_OPERATION_DECRYPT));
	struct ttlv_reader r = answer(w);
	KF_TRY(decrypt_get_response(&r, &a));
	*ret = a.data;
	return KF_OK;
}

#include <openssl/evp.h>
#include <openssl/rsa.h>

static bool encrypt(struct slice spki, int padding, struct slice plain, uint8_t out[256])
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	size_t n = 256;
	if (!kf_ok(pubkey_parse(spki, &key)))
		return false;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pubkey_pkey(key), NULL);
	bool done = EVP_PKEY_encrypt_init(ctx) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1 &&
		    EVP_PKEY_encrypt(ctx, out, &n, plain.p, plain.n) == 1;
	EVP_PKEY_CTX_free(ctx);
	return done;
}

static kf_err put_rsa(struct world *w, const struct keypair *pair, struct id *ret)
{
	return put(w,
		&(struct wish){ .type = OBJECT_PRIVATE_KEY,
			.usage = 8,
			.name = "rsa",
			.block = block(KEY_PKCS8, 4, 2048, buf_slice(&pair->pkcs8)) },
		ret);
}

static const struct cryptographic_parameters oaep = { .padding_method = 2,
	.hashing_algorithm = 4 };
static const struct cryptographic_parameters pkcs1 = { .padding_method = 8 };

TEST(rsa_decrypts_oaep_and_pkcs1)
{
	READY(w, p);
	struct id id;
	struct slice plain = { 0 };
	uint8_t cipher[256];
	const struct slice secret = SLICE_LIT("a secret"), text = { cipher, 256 };
	OK(kf_ok(put_rsa(&w, &p.rsa, &id)));

	OK(encrypt(buf_slice(&p.rsa.spki), RSA_PKCS1_OAEP_PADDING, secret, cipher));
	OK(kf_ok(decrypt(&w, &id, text, &oaep, &plain)));
	OK(slice_eq(plain, secret));
	cipher[0] ^= 1;
	OK(kf_is(decrypt(&w, &id, text, &oaep, &plain), KF_E_DATA));
	OK(encrypt(buf_slice(&p.rsa.spki), RSA_PKCS1_PADDING, secret, cipher));
	OK(kf_ok(decrypt(&w, &id, text, &pkcs1, &plain)));
	OK(slice_eq(plain, secret));
	cipher[5] ^= 1;
	OK(kf_ok(decrypt(&w, &id, text, &pkcs1, &plain)));
	OK(!slice_eq(plain, secret));
	OK(kf_is(decrypt(&w, &id, text, NULL, &plain), KF_E_BAD_PARAMETERS));
}

TEST(what_is_registered_without_its_value_says_so_and_not_when_it_was_made)
{
	WORLD(w);
	struct id id;
	struct get_response a;
	struct ttlv_item it;
	bool is_present = true;
	struct wish wish = { .type = OBJECT_SYMMETRIC_KEY,
		.block = block(KMIP_KEY_FORMAT_TYPE_RAW, 3, 128, (struct slice){ 0 }),
		.usage = 4 };
	wish.block.has_value = false;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put(&w, &wish, &id)));
	OK(kf_ok(attributes(&w, &id)));
	const struct slice attrs = buf_slice(&w.attrs);
	OK(attrs_get_bool(attrs, TAG_KEY_VALUE_PRESENT, &is_present) && !is_present);
	OK(!attrs_find(attrs, TAG_ORIGINAL_CREATION_DATE, 0, &it));
	OK(!attrs_find(attrs, TAG_DIGEST, 0, &it));
	OK(kf_ok(get(&w, &id, &a)));
	OK(!a.object.block.has_value);

	wish.block.has_value = true;
	wish.block.material = SLICE_LIT("0123456789abcdef");
	OK(kf_ok(put(&w, &wish, &id)));
	OK(kf_ok(attributes(&w, &id)));
	OK(!attrs_find(buf_slice(&w.attrs), TAG_KEY_VALUE_PRESENT, 0, &it));
	OK(!attrs_find(buf_slice(&w.attrs), TAG_ORIGINAL_CREATION_DATE, 0, &it));
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 0, &it));
}

TEST(the_random_number_generator_of_a_registered_key_is_what_its_owner_says)
{
	WORLD(w);
	struct id id;
	struct ttlv_item it;
	uint32_t kind = 0;
	autobuf attrs = buf_new(4096), generator = buf_new(256);
	struct ttlv_writer g = ttlv_write(&generator, 0);
	ttlv_begin(&g, TAG_RANDOM_NUMBER_GENERATOR);
	ttlv_put_enum(&g, TAG_RNG_ALGORITHM, KMIP_RNG_ALGORITHM_ANSI_X9_31);
	ttlv_end(&g);
	attrs_add_item(&attrs, buf_slice(&generator));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 4);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(register_object(&w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
			.block = block(KMIP_KEY_FORMAT_TYPE_RAW, 3, 128,
				SLICE_LIT("0123456789abcdef")) },
		&id)));
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_find(buf_slice(&w.attrs), TAG_RANDOM_NUMBER_GENERATOR, 0, &it));
	OK(attrs_get_enum(it.value, TAG_RNG_ALGORITHM, &kind) &&
		kind == KMIP_RNG_ALGORITHM_ANSI_X9_31);
}

static kf_err create_data(struct world *w, int32_t bits, const char *pool, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	if (bits)
		attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, bits);
	if (pool)
		attrs_add_vendor_text(&attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR),
			slice_of(TOKEN_ATTRIBUTE_POOL), slice_of(pool));
	return create_object(w, OBJECT_SECRET_DATA, buf_slice(&attrs), ret);
}

TEST(secret_data_is_created_from_2_0_on)
{
	WORLD(w);
	struct id id, other;
	struct get_response a;
	autobuf first = buf_new(64);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_data(&w, 80, NULL, &id)));
	OK(kf_ok(get(&w, &id, &a)));
	OK(a.object_type == OBJECT_SECRET_DATA);
	OK(a.object.secret_data_type == KMIP_SECRET_DATA_TYPE_PASSWORD);
	OK(a.object.block.format == KMIP_KEY_FORMAT_TYPE_OPAQUE);
	OK(!a.object.block.algorithm && !a.object.block.length);
	OK(a.object.block.material.n == 10);
	buf_add_slice(&first, a.object.block.material);
	OK(kf_ok(create_data(&w, 80, NULL, &other)));
	OK(kf_ok(get(&w, &other, &a)));
	OK(!slice_eq(a.object.block.material, buf_slice(&first)));

	OK(kf_is(create_data(&w, 0, NULL, &id), KF_E_MISSING));
	OK(kf_is(create_data(&w, -8, NULL, &id), KF_E_INVALID_FIELD));
	OK(kf_is(create_data(&w, 81, NULL, &id), KF_E_INVALID_FIELD));
	OK(kf_is(create_data(&w, 4104, NULL, &id), KF_E_INVALID_FIELD));
	OK(kf_is(create_data(&w, 128, "office", &id), KF_E_FEATURE));
	w.version = KMIP_1_4;
	OK(kf_is(create_data(&w, 80, NULL, &id), KF_E_INVALID_FIELD));
}

TEST(the_permission_to_decrypt_depends_on_the_request)
{
	READY(w, p);
	struct id id;
	struct slice plain = { 0 };
	uint8_t cipher[256], premaster[48] = { 3, 3 };
	const struct slice text = { cipher, 256 };
	OK(kf_ok(put_rsa(&w, &p.rsa, &id)));
	OK(encrypt(buf_slice(&p.rsa.spki), RSA_PKCS1_PADDING,
		(struct slice){ premaster, 48 }, cipher));
	OK(kf_ok(add_grant(&w, "tls", "name:rsa", PERM_DECRYPT_TLS, 0)));
	OK(kf_ok(add_grant(&w, "any", "name:rsa", PERM_DECRYPT, 0)));

	be(&w, "tls", false);
	OK(kf_is(decrypt(&w, &id, text, &pkcs1, &plain), KF_E_NOT_FOUND));
	w.tls_client_version = 0x0303;
	OK(kf_ok(decrypt(&w, &id, text, NULL, &plain)));
	OK(slice_eq(plain, (struct slice){ premaster, 48 }));
	cipher[9] ^= 1; /* wrong, and 48 bytes all the same */
	OK(kf_ok(decrypt(&w, &id, text, NULL, &plain)));
	EQ(plain.n, 48);
	be(&w, "any", false);
	OK(kf_is(decrypt(&w, &id, text, NULL, &plain), KF_E_NOT_FOUND));
	w.tls_client_version = 0;
	OK(kf_ok(decrypt(&w, &id, text, &pkcs1, &plain)));
}

TEST_MAIN
