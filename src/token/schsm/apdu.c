/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/apdu.h"
#include <string.h>

enum { HEADER = 4, LC_SHORT_MAX = 255 };

struct writer {
	uint8_t *p;
	size_t n;
};

static void add(struct writer *w, size_t byte) { w->p[w->n++] = (uint8_t)byte; }

static void add_length(struct writer *w, bool is_extended, size_t n)
{
	if (is_extended)
		add(w, n >> 8);
	add(w, n);
}

static bool is_extended(const struct card_command *c)
{
	return c->data.n > LC_SHORT_MAX || c->le > APDU_LE_SHORT;
}

/* In extended form the first length is told by a zero before it. */
static size_t size_of(const struct card_command *c)
{
	size_t length = is_extended(c) ? 2 : 1;
	size_t n = HEADER + (is_extended(c) ? 1 : 0);
	return n + (c->data.n ? length + c->data.n : 0) + (c->le ? length : 0);
}

kf_err apdu_encode(const struct card_command *c, size_t max, uint8_t *ret, size_t *ret_n)
{
	struct writer w = { ret, 0 };
	if (c->data.n > UINT16_MAX || c->le > APDU_LE_ALL || size_of(c) > max)
		return kf_fail(TOO_BIG, "a command is longer than the card takes");
	add(&w, c->cla);
	add(&w, c->ins);
	add(&w, c->p1);
	add(&w, c->p2);
	if (is_extended(c))
		add(&w, 0);
	if (c->data.n) {
		add_length(&w, is_extended(c), c->data.n);
		memcpy(w.p + w.n, c->data.p, c->data.n);
		w.n += c->data.n;
	}
	if (c->le)
		add_length(&w, is_extended(c), c->le);
	*ret_n = w.n;
	return KF_OK;
}

kf_err apdu_answer(struct slice bytes, struct card_answer *ret)
{
	if (bytes.n < 2)
		return kf_fail(MALFORMED, "an answer of the card has no status word");
	size_t n = bytes.n - 2;
	*ret = (struct card_answer){ (uint16_t)(bytes.p[n] << 8 | bytes.p[n + 1]),
		{ bytes.p, n } };
	return KF_OK;
}
