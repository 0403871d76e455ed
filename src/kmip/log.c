/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/log.h"

void log_put_request(struct ttlv_writer *w, const struct log_request *q)
{
	ttlv_put_text(w, TAG_LOG_MESSAGE, q->message);
}

kf_err log_get_request(struct ttlv_reader *r, struct log_request *ret)
{
	*ret = (struct log_request){ 0 };
	ttlv_get_text(r, TAG_LOG_MESSAGE, &ret->message);
	return ttlv_done(r);
}
