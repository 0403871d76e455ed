/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/revoke.h"
#include "kmip/wire.h"

void revoke_put_request(struct ttlv_writer *w, const struct revoke_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	ttlv_begin(w, TAG_REVOCATION_REASON);
	ttlv_put_enum(w, TAG_REVOCATION_REASON_CODE, q->reason);
	wire_put_text(w, TAG_REVOCATION_MESSAGE, q->message);
	ttlv_end(w);
	if (q->has_compromise_date)
		ttlv_put_date(
			w, TAG_COMPROMISE_OCCURRENCE_DATE, q->compromise_occurrence_date);
}

kf_err revoke_get_request(struct ttlv_reader *r, struct revoke_request *ret)
{
	*ret = (struct revoke_request){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_open(r, TAG_REVOCATION_REASON);
	ttlv_get_enum(r, TAG_REVOCATION_REASON_CODE, &ret->reason);
	ttlv_opt_text(r, TAG_REVOCATION_MESSAGE, &ret->message);
	ttlv_close(r);
	ret->has_compromise_date = ttlv_opt_date(
		r, TAG_COMPROMISE_OCCURRENCE_DATE, &ret->compromise_occurrence_date);
	return ttlv_done(r);
}

void revoke_put_response(struct ttlv_writer *w, const struct revoke_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err revoke_get_response(struct ttlv_reader *r, struct revoke_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
