/* SPDX-License-Identifier: Apache-2.0 */
#include "op/certificate.h"
#include <openssl/err.h>
#include <openssl/x509.h>

static void x509_freep(X509 **x) { X509_free(*x); }

static kf_err parse(struct slice der, X509 **ret)
{
	const unsigned char *p = der.p;
	CLEANUP(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);

	ERR_clear_error();
	if (!x || p != der.p + der.n)
		return kf_fail(INVALID_FIELD, "not one X.509 certificate");
	*ret = x;
	x = NULL;
	return KF_OK;
}

static void put_name(struct ttlv_writer *w, enum ttlv_tag tag, const X509_NAME *name)
{
	const unsigned char *der = NULL;
	size_t n = 0;
	if (X509_NAME_get0_der(name, &der, &n))
		ttlv_put_bytes(w, tag, (struct slice){ der, n });
}

static void put_serial(struct ttlv_writer *w, const X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	ttlv_put_bytes(w, TAG_CERTIFICATE_SERIAL_NUMBER,
		(struct slice){ ASN1_STRING_get0_data(serial),
			(size_t)ASN1_STRING_length(serial) });
}

static void add_identifier(struct buf *attrs, const X509 *x, struct buf *item)
{
	struct ttlv_writer w = ttlv_write(item, 0);

	ttlv_begin(&w, TAG_X_509_CERTIFICATE_IDENTIFIER);
	put_name(&w, TAG_ISSUER_DISTINGUISHED_NAME, X509_get_issuer_name(x));
	put_serial(&w, x);
	ttlv_end(&w);
	attrs_set_item(attrs, buf_slice(item));
	buf_clear(item);
}

static void add_party(struct buf *attrs, enum ttlv_tag tag, enum ttlv_tag name_tag,
	const X509_NAME *name, struct buf *item)
{
	struct ttlv_writer w = ttlv_write(item, 0);

	ttlv_begin(&w, tag);
	put_name(&w, name_tag, name);
	ttlv_end(&w);
	attrs_set_item(attrs, buf_slice(item));
	buf_clear(item);
}

static kf_err describe_x509(struct slice der, struct buf *attrs)
{
	autobuf item = buf_new(der.n + 256);
	CLEANUP(x509_freep) X509 *x = NULL;

	KF_TRY(parse(der, &x));
	add_identifier(attrs, x, &item);
	add_party(attrs, TAG_X_509_CERTIFICATE_SUBJECT, TAG_SUBJECT_DISTINGUISHED_NAME,
		X509_get_subject_name(x), &item);
	add_party(attrs, TAG_X_509_CERTIFICATE_ISSUER, TAG_ISSUER_DISTINGUISHED_NAME,
		X509_get_issuer_name(x), &item);
	return buf_err(&item);
}

kf_err certificate_describe(const struct kmip_object *o, struct make *m)
{
	make_digest(m, o->value);
	attrs_set_enum(&m->attrs, TAG_CERTIFICATE_TYPE, o->certificate_type);
	attrs_remove_all(&m->attrs, TAG_CERTIFICATE_LENGTH);
	attrs_add_int(&m->attrs, TAG_CERTIFICATE_LENGTH, (int32_t)o->value.n);
	if (o->certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
		return KF_OK;
	return describe_x509(o->value, &m->attrs);
}
