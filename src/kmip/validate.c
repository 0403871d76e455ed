/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/validate.h"
#include "kmip/wire.h"

void validate_put_request(struct ttlv_writer *w, const struct validate_request *q)
{
	ttlv_put_items(w, q->certificates);
	ttlv_put_items(w, q->uids);
	if (q->has_date)
		ttlv_put_date(w, TAG_VALIDITY_DATE, q->date_s);
}

bool validate_next_certificate(struct ttlv_reader *r, struct kmip_object *ret)
{
	if (kmip_object_next(r) != KMIP_OBJECT_TYPE_CERTIFICATE)
		return false;
	kmip_object_get(r, KMIP_OBJECT_TYPE_CERTIFICATE, ret);
	return ttlv_ok(r);
}

bool validate_next_uid(struct ttlv_reader *r, struct kmip_uid *ret)
{
	if (!ttlv_at(r, TAG_UNIQUE_IDENTIFIER))
		return false;
	*ret = (struct kmip_uid){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, ret);
	return ttlv_ok(r);
}

/* What was read between two looks at the rest. */
static struct slice between(struct slice before, struct slice after)
{
	return (struct slice){ before.p, before.n - after.n };
}

kf_err validate_get_request(struct ttlv_reader *r, struct validate_request *ret)
{
	*ret = (struct validate_request){ 0 };
	struct kmip_object certificate;
	struct kmip_uid uid;
	const struct slice all = wire_rest(r);
	while (validate_next_certificate(r, &certificate))
		;
	const struct slice rest = wire_rest(r);
	while (validate_next_uid(r, &uid))
		;
	ret->certificates = between(all, rest);
	ret->uids = between(rest, wire_rest(r));
	ret->has_date = ttlv_opt_date(r, TAG_VALIDITY_DATE, &ret->date_s);
	return ttlv_done(r);
}

void validate_put_response(struct ttlv_writer *w, const struct validate_response *a)
{
	ttlv_put_enum(w, TAG_VALIDITY_INDICATOR, a->indicator);
}

kf_err validate_get_response(struct ttlv_reader *r, struct validate_response *ret)
{
	*ret = (struct validate_response){ 0 };
	ttlv_get_enum(r, TAG_VALIDITY_INDICATOR, &ret->indicator);
	return ttlv_done(r);
}
