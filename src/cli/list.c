/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/call.h"
#include "kmip/admin.h"

static kf_err ask(struct cli *c, struct list_pages *p)
{
	autopayload q;
	payload_init(&q);
	const struct page page = { .offset = p->offset, .maximum = 0 };
	page_put_request(&q.w, &page);
	KF_TRY(cli_call(c, p->operation, &q, &p->answer));
	struct ttlv_reader r = answer_reader(&p->answer);
	struct list_response a = { 0 };
	KF_TRY(list_get_response(&r, &a));
	p->items = a.items;
	p->total = a.total;
	return KF_OK;
}

static int32_t count_items(struct slice items)
{
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;
	int32_t n = 0;
	while (ttlv_next(&r, &it))
		n++;
	return n;
}

bool list_next_page(struct cli *c, struct list_pages *p, kf_err *ret_err)
{
	*ret_err = KF_OK;
	if (p->is_started) {
		int32_t n = count_items(p->items);
		p->offset += n;
		buf_free(&p->answer);
		if (n == 0 || p->offset >= p->total)
			return false;
	}
	p->is_started = true;
	p->answer = buf_new(CALL_PAYLOAD_MAX);
	*ret_err = ask(c, p);
	if (!kf_ok(*ret_err))
		buf_free(&p->answer);
	return kf_ok(*ret_err);
}
