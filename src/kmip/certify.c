/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/certify.h"
#include "kmip/rekey.h"
#include "kmip/wire.h"

static enum ttlv_tag value_tag(uint16_t version)
{
	return kmip_is_2(version) ? TAG_CERTIFICATE_REQUEST_VALUE
				  : TAG_CERTIFICATE_REQUEST;
}

static void put_request(struct ttlv_writer *w, const struct certify_request *q)
{
	wire_put_enum(w, TAG_CERTIFICATE_REQUEST_TYPE, q->request_type);
	if (q->request_type)
		ttlv_put_bytes(w, value_tag(w->version), q->request);
}

/* Since 1.2 there need not be one.  MALFORMED: the type without the request, or the other way round;
 * INVALID_FIELD: a type of 0, which is none. */
static void get_request(struct ttlv_reader *r, struct certify_request *ret)
{
	const enum ttlv_tag tag = value_tag(r->version);
	const bool may_lack = r->version >= KMIP_1_2;

	if (may_lack && !ttlv_at(r, TAG_CERTIFICATE_REQUEST_TYPE) && !ttlv_at(r, tag))
		return;
	ttlv_get_enum(r, TAG_CERTIFICATE_REQUEST_TYPE, &ret->request_type);
	if (ttlv_ok(r) && !ret->request_type)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "Certificate Request Type is 0"));
	ttlv_get_bytes(r, tag, &ret->request);
}

static void put_attributes(struct ttlv_writer *w, const struct certify_request *q)
{
	if (q->attributes.n)
		attrs_put_template(w, ATTRS_PLAIN, q->attributes);
}

static kf_err get_attributes(
	struct ttlv_reader *r, struct certify_request *ret, struct buf *attrs)
{
	const size_t at = attrs->n;

	attrs_get_template(r, ATTRS_PLAIN, attrs);
	wire_skip_masks(r, TAG_PROTECTION_STORAGE_MASKS);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void certify_put_request(struct ttlv_writer *w, const struct certify_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	put_request(w, q);
	put_attributes(w, q);
}

kf_err certify_get_request(
	struct ttlv_reader *r, struct certify_request *ret, struct buf *attrs)
{
	*ret = (struct certify_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	get_request(r, ret);
	return get_attributes(r, ret, attrs);
}

void recertify_put_request(struct ttlv_writer *w, const struct certify_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (kmip_is_2(w->version))
		kmip_put_uid(
			w, TAG_CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER, &q->request_uid);
	put_request(w, q);
	rekey_put_offset(w, q->has_offset, q->offset_s);
	put_attributes(w, q);
}

kf_err recertify_get_request(
	struct ttlv_reader *r, struct certify_request *ret, struct buf *attrs)
{
	*ret = (struct certify_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	if (kmip_is_2(r->version))
		kmip_get_uid(
			r, TAG_CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER, &ret->request_uid);
	get_request(r, ret);
	ret->has_offset = rekey_get_offset(r, &ret->offset_s);
	return get_attributes(r, ret, attrs);
}

void certify_put_response(struct ttlv_writer *w, const struct certify_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err certify_get_response(struct ttlv_reader *r, struct certify_response *ret)
{
	*ret = (struct certify_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	wire_skip_template(r, TAG_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}
