/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/card.h"
#include "base/mem.h"
#include "base/tlv.h"
#include "token/schsm/cvc.h"
#include "token/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COMMAND_MAX_DEFAULT = 1014, /* with every card and reader that is known */
	SERIAL_SUFFIX = 5,          /* the number of the device's key, after the serial */
	KCV_AT = 2,
};

#define AID SLICE_LIT("\xe8\x2b\x06\x01\x04\x01\x81\xc3\x1f\x02\x01")

/* What differs between cards, by the first bytes of their ATR. */
static const struct quirk {
	struct slice atr;
	size_t command_max;
} quirks[] = {
	{ { (const uint8_t *)"\x3b\xde\x18", 3 }, 1232 }, /* JCOP 3 */
	{ { (const uint8_t *)"\x3b\xde\x96", 3 }, 1232 },
};

static size_t command_max_of(struct slice atr)
{
	for (size_t i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++)
		if (atr.n >= quirks[i].atr.n &&
			!memcmp(atr.p, quirks[i].atr.p, quirks[i].atr.n))
			return quirks[i].command_max;
	return COMMAND_MAX_DEFAULT;
}

/* ---- commands ---- */

static kf_err transmit(struct token *t, const struct card_command *c)
{
	uint8_t command[APDU_MAX];
	size_t n;
	if (t->is_lost)
		return kf_fail(CLOSED, "the card was lost before");
	KF_TRY(apdu_encode(c, t->command_max, command, &n));
	kf_err e =
		t->link->ops->transmit(t->link, (struct slice){ command, n }, &t->answer);
	explicit_bzero(command, n); /* may hold a PIN */
	return e;
}

static kf_err answer_of(struct token *t, struct card_answer *ret)
{
	if (!kf_ok(apdu_answer(buf_slice(&t->answer), ret)))
		return kf_fail(TOKEN, "an answer of the card has no status word");
	return KF_OK;
}

/* What did not fit into the answer is fetched. */
static kf_err fetch_rest(struct token *t, struct card_answer *ret)
{
	autobuf all = buf_new(CARD_ANSWER_MAX);
	while ((ret->sw & 0xff00) == CARD_MORE) {
		size_t le = ret->sw & 0xff ? ret->sw & 0xff : APDU_LE_SHORT;
		buf_add_slice(&all, ret->data);
		if (!kf_ok(buf_err(&all)))
			return kf_fail(TOKEN, "an answer of the card is too long");
		KF_TRY(transmit(t, &(struct card_command){ .ins = 0xc0, .le = le }));
		KF_TRY(answer_of(t, ret));
		if (ret->data.n == 0 && (ret->sw & 0xff00) == CARD_MORE)
			return kf_fail(TOKEN, "the card promises an answer for ever");
	}
	buf_add_slice(&all, buf_slice(&t->answer));
	if (!kf_ok(buf_err(&all)))
		return kf_fail(TOKEN, "an answer of the card is too long");
	buf_clear(&t->answer);
	buf_add_slice(&t->answer, buf_slice(&all));
	KF_TRY(buf_err(&t->answer));
	return answer_of(t, ret);
}

kf_err schsm_say(struct token *t, const struct card_command *c, struct card_answer *ret)
{
	struct card_answer a;
	KF_TRY(transmit(t, c));
	KF_TRY(answer_of(t, &a));
	if ((a.sw & 0xff00) == CARD_MORE)
		KF_TRY(fetch_rest(t, &a));
	*ret = a;
	return KF_OK;
}

kf_err schsm_do(struct token *t, const struct card_command *c, struct card_answer *ret)
{
	KF_TRY(schsm_say(t, c, ret));
	return sw_error(ret->sw);
}

static bool is_repairable(struct token *t, kf_err e)
{
	if (kf_is(e, KF_E_TOKEN) && kf_ok(t->link->ops->repair(t->link)))
		return true;
	t->is_lost = true;
	return false;
}

kf_err schsm_do_logged_in(struct token *t, const struct card_command *c,
	bool is_repeatable, struct card_answer *ret)
{
	kf_err e = schsm_say(t, c, ret);
	if (kf_ok(e) && !sw_is_lost_login(ret->sw))
		return sw_error(ret->sw);
	if (!kf_ok(e) && !kf_is(e, KF_E_TOKEN) && !kf_is(e, KF_E_CLOSED))
		return e; /* it was never sent */
	if (!kf_ok(e) && (!is_repeatable || !is_repairable(t, e)))
		return e;
	KF_TRY(schsm_renew_login(t));
	KF_TRY(schsm_say(t, c, ret));
	/* The PIN was right just now: it must not count as refused. */
	return ret->sw == CARD_NOT_LOGGED_IN
		       ? kf_fail(DENIED, "the card does not allow it to who is logged in")
		       : sw_error(ret->sw);
}

kf_err schsm_select(struct token *t, struct card_answer *ret)
{
	struct card_answer a;
	t->knows_tries = false;
	kf_err e = schsm_do(t,
		&(struct card_command){
			.ins = 0xa4, .p1 = 0x04, .data = AID, .le = APDU_LE_SHORT },
		&a);
	if (kf_is(e, KF_E_NOT_FOUND) || kf_is(e, KF_E_UNSUPPORTED))
		return kf_fail(UNSUPPORTED, "this card is not a SmartCard-HSM");
	if (kf_ok(e) && ret)
		*ret = a;
	return e;
}

/* ---- files ---- */

enum { OFFSET_MAX = 0x7fff };

static bool is_whole(const struct buf *file)
{
	struct slice rest = buf_slice(file);
	struct tlv t;
	return tlv_next(&rest, &t);
}

/* True when there may be more. */
static kf_err read_part(struct token *t, unsigned fid, struct buf *to, bool *ret)
{
	struct card_answer a;
	uint8_t offset[] = { 0x54, 0x02, (uint8_t)(to->n >> 8), (uint8_t)to->n };
	struct card_command c = { .ins = 0xb1,
		.p1 = (uint8_t)(fid >> 8),
		.p2 = (uint8_t)fid,
		.data = { offset, sizeof(offset) },
		.le = APDU_LE_ALL };
	KF_TRY(schsm_say(t, &c, &a));
	*ret = false;
	if (to->n && a.sw == CARD_OFFSET)
		return KF_OK; /* its end */
	KF_TRY(sw_error(a.sw));
	if (a.data.n == 0)
		return KF_OK;
	buf_add_slice(to, a.data);
	*ret = a.sw == CARD_OK && !is_whole(to) && to->n <= OFFSET_MAX;
	return buf_err(to);
}

kf_err schsm_read_file(struct token *t, unsigned fid, struct buf *ret)
{
	autobuf file = buf_new(CARD_FILE_MAX);
	for (bool is_more = true; is_more;) {
		kf_err e = read_part(t, fid, &file, &is_more);
		if (kf_is(e, KF_E_TOO_BIG))
			return kf_fail(TOKEN, "a file of the card has no end");
		KF_TRY(e);
	}
	buf_add_slice(ret, buf_slice(&file));
	return buf_err(ret);
}

static kf_err write_part(struct token *t, unsigned fid, size_t offset, struct slice part)
{
	struct card_answer a;
	autobuf data = buf_new(APDU_MAX);
	const uint8_t head[] = { 0x54, 0x02, (uint8_t)(offset >> 8), (uint8_t)offset };
	buf_add(&data, head, sizeof(head));
	tlv_add(&data, 0x53, part);
	KF_TRY(buf_err(&data));
	return schsm_do_logged_in(t,
		&(struct card_command){ .ins = 0xd7,
			.p1 = (uint8_t)(fid >> 8),
			.p2 = (uint8_t)fid,
			.data = buf_slice(&data) },
		false, &a);
}

kf_err schsm_write_file(struct token *t, unsigned fid, struct slice data)
{
	enum { HEAD = 4 + 4 }; /* the offset; tag and length of the part */
	size_t part_max = t->command_max - APDU_OVERHEAD - HEAD;
	if (data.n > OFFSET_MAX)
		return kf_fail(TOO_BIG, "no file of the card is that long");
	for (size_t at = 0; at == 0 || at < data.n;) {
		size_t n = data.n - at < part_max ? data.n - at : part_max;
		KF_TRY(write_part(
			t, fid, at, (struct slice){ data.n ? data.p + at : NULL, n }));
		at += n;
		if (n == 0)
			break;
	}
	return KF_OK;
}

kf_err schsm_delete_file(struct token *t, unsigned fid)
{
	struct card_answer a;
	uint8_t id[] = { (uint8_t)(fid >> 8), (uint8_t)fid };
	kf_err e = schsm_do_logged_in(t,
		&(struct card_command){
			.ins = 0xe4, .p1 = 0x02, .data = { id, sizeof(id) } },
		true, &a);
	return kf_is(e, KF_E_NOT_FOUND) ? KF_OK : e;
}

kf_err schsm_enumerate(struct token *t, struct slice *ret)
{
	struct card_answer a;
	KF_TRY(schsm_do(t,
		&(struct card_command){ .cla = 0x80, .ins = 0x58, .le = APDU_LE_ALL },
		&a));
	*ret = a.data;
	return KF_OK;
}

/* ---- facts ---- */

static void put_text(struct slice from, char *to, size_t size)
{
	*to = 0;
	if (from.n)
		text_of_field(from.p, from.n, to, size);
}

static bool has_mark(struct slice atr) { return memmem(atr.p, atr.n, "HSM1", 4) != NULL; }

/* Options, platform, version: old firmware tells the version alone. */
static kf_err read_version(struct token *t, struct slice fcp)
{
	struct slice about = tlv_find(tlv_find(fcp, 0x62), 0x85);
	if (about.n < 2 && !has_mark((struct slice){ t->link->atr, t->link->atr_n }))
		return kf_fail(UNSUPPORTED, "this card is not a SmartCard-HSM");
	snprintf(t->facts.model, sizeof(t->facts.model), "SmartCard-HSM");
	if (about.n >= 2)
		snprintf(t->facts.model, sizeof(t->facts.model), "SmartCard-HSM %u.%u",
			about.p[about.n - 2], about.p[about.n - 1]);
	return KF_OK;
}

/* As the device's certificate has it; NOT_FOUND. */
static kf_err read_serial(struct token *t, char ret[TOKEN_SERIAL_SIZE])
{
	autobuf file = buf_new(CARD_FILE_MAX);
	struct slice holder;
	KF_TRY(schsm_read_file(t, FID_DEVICE_CERTIFICATE, &file));
	if (!kf_ok(cvc_holder(buf_slice(&file), &holder)) || holder.n <= SERIAL_SUFFIX)
		return kf_fail(NOT_FOUND, "the card's certificate names nobody");
	holder.n -= SERIAL_SUFFIX;
	put_text(holder, ret, TOKEN_SERIAL_SIZE);
	return KF_OK;
}

/* The label, and the serial number if the certificate had none. */
static kf_err read_info(struct token *t)
{
	autobuf file = buf_new(CARD_FILE_MAX);
	struct token_facts *f = &t->facts;
	kf_err e = schsm_read_file(t, FID_TOKEN_INFO, &file);
	if (kf_is(e, KF_E_NOT_FOUND) || kf_is(e, KF_E_AUTH))
		return KF_OK; /* a blank card */
	KF_TRY(e);
	struct slice info = tlv_find(buf_slice(&file), 0x30);
	put_text(slice_trimmed(tlv_find(info, 0x80)), f->label, sizeof(f->label));
	if (!*f->serial)
		put_text(slice_trimmed(tlv_find(info, 0x04)), f->serial,
			sizeof(f->serial));
	return KF_OK;
}

/* Total, outstanding, key check value: which some tell as zeros until somebody logs in. */
kf_err schsm_read_dkek(struct token *t)
{
	static const uint8_t untold[TOKEN_KCV_SIZE];
	struct token_facts *f = &t->facts;
	struct card_answer a;
	f->wrapping = WRAPPING_NONE;
	f->shares = f->shares_missing = 0;
	f->has_kcv = false;
	KF_TRY(schsm_say(t,
		&(struct card_command){ .cla = 0x80, .ins = 0x52, .le = APDU_LE_SHORT },
		&a));
	if (!sw_is_good(a.sw) || a.data.n < KCV_AT + TOKEN_KCV_SIZE)
		return KF_OK; /* keys do not leave this card */
	f->wrapping = WRAPPING_DKEK;
	f->shares = a.data.p[0];
	f->shares_missing = a.data.p[1];
	memcpy(f->kcv, a.data.p + KCV_AT, TOKEN_KCV_SIZE);
	f->has_kcv = !f->shares_missing && memcmp(f->kcv, untold, TOKEN_KCV_SIZE) != 0;
	return KF_OK;
}

kf_err schsm_read_dkek_again(struct token *t)
{
	if (t->facts.wrapping != WRAPPING_DKEK || t->facts.shares_missing ||
		t->facts.has_kcv)
		return KF_OK;
	return schsm_read_dkek(t);
}

kf_err schsm_is_same(struct token *t)
{
	char serial[TOKEN_SERIAL_SIZE] = "";
	kf_err e = read_serial(t, serial);
	if (kf_is(e, KF_E_NOT_FOUND))
		return KF_OK; /* it never had one; the link knows that it was not pulled */
	KF_TRY(e);
	if (strcmp(serial, t->facts.serial) != 0)
		return kf_fail(TOKEN, "another card is in the reader");
	return KF_OK;
}

kf_err schsm_read_facts(struct token *t)
{
	struct card_answer a;
	t->facts = (struct token_facts){ .concurrency = 1 };
	KF_TRY(schsm_select(t, &a));
	KF_TRY(read_version(t, a.data));
	kf_err e = read_serial(t, t->facts.serial);
	if (!kf_is(e, KF_E_NOT_FOUND))
		KF_TRY(e);
	KF_TRY(read_info(t));
	if (!*t->facts.serial)
		return kf_fail(UNSUPPORTED, "the card tells no serial number");
	KF_TRY(schsm_read_tries(t));
	return schsm_read_dkek(t);
}

/* ---- life ---- */

void schsm_close(struct token *t)
{
	if (!t)
		return;
	if (t->pin && !t->is_lost)
		(void)schsm_select(t, NULL); /* logs out */
	schsm_forget_pin(t);
	buf_free(&t->answer);
	t->link->ops->close(t->link);
	free(t);
}

kf_err schsm_open_link(struct card_link *take, struct token **ret)
{
	struct token *t = calloc(1, sizeof(*t));
	if (!t) {
		take->ops->close(take);
		return kf_fail(NOMEM, "no memory for a token");
	}
	t->link = take;
	t->answer = buf_new(CARD_ANSWER_MAX);
	t->command_max = command_max_of((struct slice){ take->atr, take->atr_n });
	kf_err e = schsm_read_facts(t);
	if (kf_ok(e))
		*ret = t;
	else
		schsm_close(t);
	return e;
}
