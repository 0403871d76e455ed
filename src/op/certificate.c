/* SPDX-License-Identifier: Apache-2.0 */
#include "op/certificate.h"
#include "crypt/ossl.h"
#include "op/certificate_name.h"
#include "ttlv/utf8.h"
#include <openssl/pem.h>

enum { REQUEST_MAX = 65536 };

static void names_freep(GENERAL_NAMES **n) { GENERAL_NAMES_free(*n); }

static kf_err parse(struct slice der, struct buf *item, X509 **ret)
{
	const unsigned char *p = der.p;
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);

	ossl_forgive(item);
	KF_TRY(buf_err(item));
	if (!x || p != der.p + der.n)
		return kf_fail(INVALID_FIELD, "not one X.509 certificate");
	*ret = x;
	x = NULL;
	return KF_OK;
}

/* What is added to, and room for one item of it. */
struct description {
	struct buf *attrs, *item;
};

/* One side of a certificate: who it is for, or whom it is of. */
struct party {
	const X509_NAME *name;
	const GENERAL_NAMES *others; /* or NULL */
};

/* The tags of an attribute about a party, and of its fields. */
struct party_tags {
	enum ttlv_tag whole, name, other;
};

/* How names and serial numbers are said: X.509's own bytes since 1.1, in words in 1.0. */
struct wording {
	struct party_tags subject, issuer;
	enum ttlv_tag identifier, identifier_issuer;
	void (*put_name)(struct ttlv_writer *w, enum ttlv_tag tag, const X509_NAME *name);
	void (*put_others)(
		struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAMES *names);
	void (*put_serial)(struct ttlv_writer *w, const ASN1_INTEGER *serial);
};

static void put_name(struct ttlv_writer *w, enum ttlv_tag tag, const X509_NAME *name)
{
	const unsigned char *der = NULL;
	size_t n = 0;
	if (X509_NAME_get0_der(name, &der, &n))
		ttlv_put_bytes(w, tag, (struct slice){ der, n });
	else
		buf_fail(w->out, ossl_fail(NOMEM, "a name's DER"));
}

/* A DER INTEGER, as the names are DER (TC-ECC-3). */
static void put_serial(struct ttlv_writer *w, const ASN1_INTEGER *serial)
{
	unsigned char *der = NULL;
	const int n = i2d_ASN1_INTEGER(serial, &der);
	if (n <= 0) {
		buf_fail(w->out, ossl_fail(NOMEM, "the serial number's DER"));
		return;
	}
	ttlv_put_bytes(
		w, TAG_CERTIFICATE_SERIAL_NUMBER, (struct slice){ der, (size_t)n });
	OPENSSL_free(der);
}

static const struct wording in_bytes = {
	.subject = { TAG_X_509_CERTIFICATE_SUBJECT, TAG_SUBJECT_DISTINGUISHED_NAME,
		TAG_SUBJECT_ALTERNATIVE_NAME },
	.issuer = { TAG_X_509_CERTIFICATE_ISSUER, TAG_ISSUER_DISTINGUISHED_NAME,
		TAG_ISSUER_ALTERNATIVE_NAME },
	.identifier = TAG_X_509_CERTIFICATE_IDENTIFIER,
	.identifier_issuer = TAG_ISSUER_DISTINGUISHED_NAME,
	.put_name = put_name,
	.put_others = certificate_put_alternatives,
	.put_serial = put_serial,
};

/* In hexadecimal, however long it is: authorities stay below 21 bytes, others need not. */
static void put_serial_words(struct ttlv_writer *w, const ASN1_INTEGER *serial)
{
	const uint8_t *p = ASN1_STRING_get0_data(serial);
	const size_t n = (size_t)ASN1_STRING_length(serial);
	autobuf hex = buf_new(2 * n + 1);
	for (size_t i = 0; i < n; i++)
		buf_printf(&hex, "%02X", p[i]);
	buf_fail(w->out, buf_err(&hex));
	ttlv_put_text(w, TAG_SERIAL_NUMBER, buf_slice(&hex));
}

static const struct wording in_words = {
	.subject = { TAG_CERTIFICATE_SUBJECT, TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME,
		TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME },
	.issuer = { TAG_CERTIFICATE_ISSUER, TAG_CERTIFICATE_ISSUER_DISTINGUISHED_NAME,
		TAG_CERTIFICATE_ISSUER_ALTERNATIVE_NAME },
	.identifier = TAG_CERTIFICATE_IDENTIFIER,
	.identifier_issuer = TAG_ISSUER,
	.put_name = certificate_put_name,
	.put_others = certificate_put_alternatives_text,
	.put_serial = put_serial_words,
};

/* An item that failed stays as it is: nothing comes after it, and the caller is told. */
static void end_item(struct description *d, struct ttlv_writer *w)
{
	ttlv_end(w);
	if (!kf_ok(buf_err(d->item)))
		return;
	attrs_set_item(d->attrs, buf_slice(d->item));
	buf_clear(d->item);
}

static void add_identifier(
	struct description *d, const struct wording *words, const X509 *x)
{
	struct ttlv_writer w = ttlv_write(d->item, 0);
	ttlv_begin(&w, words->identifier);
	words->put_name(&w, words->identifier_issuer, X509_get_issuer_name(x));
	words->put_serial(&w, X509_get0_serialNumber(x));
	end_item(d, &w);
}

static void add_party(struct description *d, const struct wording *words,
	const struct party_tags *tags, const struct party *party)
{
	struct ttlv_writer w = ttlv_write(d->item, 0);
	ttlv_begin(&w, tags->whole);
	words->put_name(&w, tags->name, party->name);
	words->put_others(&w, tags->other, party->others);
	end_item(d, &w);
}

/* Two such extensions, or one that cannot be read, name nobody. */
static GENERAL_NAMES *alternatives(const struct description *d, const X509 *x, int nid)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, nid, NULL, NULL);
	ossl_forgive(d->item);
	return names;
}

static void add_wording(struct description *d, const struct wording *words, const X509 *x)
{
	CLEANUP(names_freep)
	GENERAL_NAMES *subject = alternatives(d, x, NID_subject_alt_name),
		      *issuer = alternatives(d, x, NID_issuer_alt_name);

	add_identifier(d, words, x);
	add_party(d, words, &words->subject,
		&(struct party){ X509_get_subject_name(x), subject });
	add_party(d, words, &words->issuer,
		&(struct party){ X509_get_issuer_name(x), issuer });
}

/* ---- names by their parts, as 2.x has them ---- */

static const struct certificate_part parts[] = {
#define PART(nid, name)                                                                  \
	{                                                                                \
		nid, TAG_CERTIFICATE_SUBJECT_##name, TAG_CERTIFICATE_ISSUER_##name       \
	}
	PART(NID_commonName, CN),
	PART(NID_organizationName, O),
	PART(NID_organizationalUnitName, OU),
	PART(NID_pkcs9_emailAddress, EMAIL),
	PART(NID_countryName, C),
	PART(NID_stateOrProvinceName, ST),
	PART(NID_localityName, L),
	PART(NID_userId, UID),
	PART(NID_serialNumber, SERIAL_NUMBER),
	PART(NID_title, TITLE),
	PART(NID_domainComponent, DC),
	PART(NID_dnQualifier, DN_QUALIFIER),
#undef PART
};

const struct certificate_part *certificate_parts(size_t *ret_n)
{
	*ret_n = sizeof(parts) / sizeof(parts[0]);
	return parts;
}

static const struct certificate_part *part_of(const X509_NAME_ENTRY *entry)
{
	int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].nid == nid)
			return &parts[i];
	return NULL;
}

/* Of what has one value the last part counts, which names most closely. */
static void add_part(struct buf *attrs, uint32_t tag, const X509_NAME_ENTRY *entry)
{
	unsigned char *text = NULL;
	int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	/* A text that TTLV cannot say, and an empty one, say nothing. */
	if (n > 0 && utf8_is_text((struct slice){ text, (size_t)n })) {
		if (!attr_info(tag)->is_multi)
			attrs_remove_all(attrs, tag);
		attrs_add_text(attrs, tag, (struct slice){ text, (size_t)n });
	}
	OPENSSL_free(text);
	ossl_forgive(attrs);
}

/* Each part that has one value takes the place of the one before, among all attributes; on a loop. */
static kf_err check_parts(const X509_NAME *name)
{
	return X509_NAME_entry_count(name) <= ATTRS_COUNT_MAX
		       ? KF_OK
		       : kf_fail(LIMIT, "a name of more parts than an object has "
					"attributes");
}

static void add_parts(struct buf *attrs, const X509_NAME *name, bool is_subject)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		attrs_remove_all(attrs, is_subject ? parts[i].subject : parts[i].issuer);
	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		const struct certificate_part *p = part_of(entry);
		if (p)
			add_part(attrs, is_subject ? p->subject : p->issuer, entry);
	}
}

/* ---- how it is signed ---- */

static uint32_t signature_algorithm(const X509 *x)
{
#define KMIP_SIGNED(name) KMIP_DIGITAL_SIGNATURE_ALGORITHM_##name
	switch (X509_get_signature_nid(x)) {
	case NID_md5WithRSAEncryption: return KMIP_SIGNED(MD5_WITH_RSA_ENCRYPTION);
	case NID_sha1WithRSAEncryption: return KMIP_SIGNED(SHA_1_WITH_RSA_ENCRYPTION);
	case NID_sha224WithRSAEncryption: return KMIP_SIGNED(SHA_224_WITH_RSA_ENCRYPTION);
	case NID_sha256WithRSAEncryption: return KMIP_SIGNED(SHA_256_WITH_RSA_ENCRYPTION);
	case NID_sha384WithRSAEncryption: return KMIP_SIGNED(SHA_384_WITH_RSA_ENCRYPTION);
	case NID_sha512WithRSAEncryption: return KMIP_SIGNED(SHA_512_WITH_RSA_ENCRYPTION);
	case NID_RSA_SHA3_256: return KMIP_SIGNED(SHA3_256_WITH_RSA_ENCRYPTION);
	case NID_RSA_SHA3_384: return KMIP_SIGNED(SHA3_384_WITH_RSA_ENCRYPTION);
	case NID_RSA_SHA3_512: return KMIP_SIGNED(SHA3_512_WITH_RSA_ENCRYPTION);
	case NID_rsassaPss: return KMIP_SIGNED(RSASSA_PSS);
	case NID_dsaWithSHA1: return KMIP_SIGNED(DSA_WITH_SHA_1);
	case NID_dsa_with_SHA224: return KMIP_SIGNED(DSA_WITH_SHA224);
	case NID_dsa_with_SHA256: return KMIP_SIGNED(DSA_WITH_SHA256);
	case NID_ecdsa_with_SHA1: return KMIP_SIGNED(ECDSA_WITH_SHA_1);
	case NID_ecdsa_with_SHA224: return KMIP_SIGNED(ECDSA_WITH_SHA224);
	case NID_ecdsa_with_SHA256: return KMIP_SIGNED(ECDSA_WITH_SHA256);
	case NID_ecdsa_with_SHA384: return KMIP_SIGNED(ECDSA_WITH_SHA384);
	case NID_ecdsa_with_SHA512: return KMIP_SIGNED(ECDSA_WITH_SHA512);
	default: return 0;
	}
#undef KMIP_SIGNED
}

static void add_signature_algorithm(struct buf *attrs, const X509 *x)
{
	uint32_t algorithm = signature_algorithm(x);
	if (algorithm)
		attrs_set_enum(attrs, TAG_DIGITAL_SIGNATURE_ALGORITHM, algorithm);
}

/* 0: KMIP has no name for it. */
static uint32_t key_algorithm(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS: return KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
	case EVP_PKEY_EC: return KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
	case EVP_PKEY_DSA: return KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA;
	case EVP_PKEY_ED25519: return KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519;
	case EVP_PKEY_ED448: return KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448;
	default: return 0;
	}
}

/* Cryptographic Algorithm and Length are those of the key in it. */
static void note_key(struct make *m, const X509 *x)
{
	const EVP_PKEY *key = X509_get0_pubkey(x);
	if (key) {
		m->algorithm = key_algorithm(key);
		m->length = EVP_PKEY_get_bits(key);
	}
	ossl_forgive(&m->attrs);
}

static kf_err describe_x509(struct slice der, struct make *m)
{
	/* Names in words have escapes; the shortest alternative names become five times as long. */
	autobuf item = buf_new(8 * der.n + 256);
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	struct buf *attrs = &m->attrs;

	KF_TRY(parse(der, &item, &x));
	KF_TRY(check_parts(X509_get_subject_name(x)));
	KF_TRY(check_parts(X509_get_issuer_name(x)));
	note_key(m, x);
	m->format = KMIP_KEY_FORMAT_TYPE_X_509;
	struct description d = { attrs, &item };
	add_wording(&d, &in_bytes, x);
	add_wording(&d, &in_words, x);
	add_parts(attrs, X509_get_subject_name(x), true);
	add_parts(attrs, X509_get_issuer_name(x), false);
	add_signature_algorithm(attrs, x);
	KF_TRY(buf_err(&item));
	return buf_err(attrs);
}

kf_err certificate_describe(const struct kmip_object *o, struct make *m)
{
	make_digest(m, o->value);
	attrs_set_enum(&m->attrs, TAG_CERTIFICATE_TYPE, o->certificate_type);
	attrs_remove_all(&m->attrs, TAG_CERTIFICATE_LENGTH);
	attrs_add_int(&m->attrs, TAG_CERTIFICATE_LENGTH, (int32_t)o->value.n);
	if (o->certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
		return KF_OK;
	return describe_x509(o->value, m);
}

/* --- requests --- */

static X509_REQ *parse_request(const struct kmip_object *o)
{
	const unsigned char *p = o->value.p;
	if (o->certificate_type == KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10)
		return d2i_X509_REQ(NULL, &p, (long)o->value.n);
	BIO *in = BIO_new_mem_buf(p, (int)o->value.n);
	X509_REQ *request = in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	return request;
}

static void add_requested(struct description *d, X509_REQ *request)
{
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
	CLEANUP(names_freep)
	GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);

	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	ossl_forgive(d->item);
	add_party(d, &in_bytes, &in_bytes.subject,
		&(struct party){ X509_REQ_get_subject_name(request), names });
}

static kf_err describe_pkcs10(const struct kmip_object *o, struct buf *attrs)
{
	autobuf item = buf_new(8 * o->value.n + 256);
	if (!o->value.n || o->value.n > REQUEST_MAX)
		return kf_fail(
			INVALID_FIELD, "a certificate request has 1 to 65536 bytes");
	CLEANUP(ossl_x509_req_freep) X509_REQ *request = parse_request(o);
	ossl_forgive(&item);
	KF_TRY(buf_err(&item));
	if (!request)
		return kf_fail(INVALID_FIELD, "not one PKCS#10 request");
	KF_TRY(check_parts(X509_REQ_get_subject_name(request)));
	add_requested(&(struct description){ attrs, &item }, request);
	add_parts(attrs, X509_REQ_get_subject_name(request), true);
	KF_TRY(buf_err(&item));
	return buf_err(attrs);
}

kf_err certificate_describe_request(const struct kmip_object *o, struct make *m)
{
	make_digest(m, o->value);
	attrs_remove_all(&m->attrs, TAG_CERTIFICATE_LENGTH);
	attrs_add_int(&m->attrs, TAG_CERTIFICATE_LENGTH, (int32_t)o->value.n);
	return o->certificate_type == KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10 ||
			       o->certificate_type == KMIP_CERTIFICATE_REQUEST_TYPE_PEM
		       ? describe_pkcs10(o, &m->attrs)
		       : KF_OK;
}
