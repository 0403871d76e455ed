/* SPDX-License-Identifier: Apache-2.0
 *
 * provision: the card as a whole: initialising, shares of its DKEK, random bytes.
 */
#include "base/tlv.h"
#include "token/schsm/card.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { INS_INITIALIZE = 0x50, INS_DKEK = 0x52, INS_CHALLENGE = 0x84, SHARE_SIZE = 32 };

/* ---- initialise ---- */

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* As the tools of the card have it: 16 hexadecimal digits. */
static kf_err read_so_pin(const struct token_pin *pin, uint8_t ret[CARD_SO_PIN_SIZE])
{
	bool is_hex = pin->n == (size_t)2 * CARD_SO_PIN_SIZE;
	for (size_t i = 0; i < pin->n; i++)
		is_hex &= digit(pin->bytes[i]) >= 0;
	if (!is_hex)
		return kf_fail(BAD_PARAMETERS, "the SO-PIN of a SmartCard-HSM has 16 "
					       "hexadecimal digits");
	for (size_t i = 0; i < CARD_SO_PIN_SIZE; i++)
		ret[i] = (uint8_t)(digit(pin->bytes[2 * i]) << 4 |
				   digit(pin->bytes[2 * i + 1]));
	return KF_OK;
}

static kf_err check(const struct token *t, const struct token_init *in)
{
	if (in->pin->n < CARD_PIN_MIN || in->pin->n > CARD_PIN_MAX)
		return kf_fail(BAD_PARAMETERS,
			"the PIN of a SmartCard-HSM has 6 to 16 characters");
	if (in->pin_tries > 10 || in->shares > UINT8_MAX)
		return kf_fail(BAD_PARAMETERS, "no SmartCard-HSM takes so many");
	if (t->facts.is_initialised && t->facts.so_pin_tries < 3)
		return kf_fail(
			AUTH, "the last two tries of the SO-PIN are left to people");
	return KF_OK;
}

static kf_err send_initialize(
	struct token *t, const struct token_init *in, struct card_answer *ret)
{
	enum { TRIES_DEFAULT = 3, DATA_MAX = 64 };
	autobuf data = buf_new(DATA_MAX);
	uint8_t so_pin[CARD_SO_PIN_SIZE];
	KF_TRY(read_so_pin(in->so_pin, so_pin));
	tlv_add(&data, 0x80, SLICE_LIT("\x00\x01")); /* the SO may give the tries back */
	tlv_add(&data, 0x81, (struct slice){ in->pin->bytes, in->pin->n });
	tlv_add(&data, 0x82, (struct slice){ so_pin, sizeof(so_pin) });
	tlv_add_byte(&data, 0x91,
		in->pin_tries ? (uint8_t)in->pin_tries : (uint8_t)TRIES_DEFAULT);
	if (in->shares >= 0)
		tlv_add_byte(&data, 0x92, (uint8_t)in->shares);
	explicit_bzero(so_pin, sizeof(so_pin));
	KF_TRY(buf_err(&data));
	return schsm_say(t,
		&(struct card_command){
			.cla = 0x80, .ins = INS_INITIALIZE, .data = buf_slice(&data) },
		ret);
}

static bool is_wrong_so_pin(uint16_t sw)
{
	return sw == CARD_CONDITIONS || sw == CARD_COMMAND || sw == CARD_BLOCKED ||
	       sw_is_tries(sw);
}

/* What the card says of itself, with another label. */
static kf_err write_label(struct token *t, const char *label)
{
	autobuf file = buf_new(CARD_FILE_MAX), info = buf_new(CARD_FILE_MAX),
		out = buf_new(CARD_FILE_MAX);
	kf_err e = schsm_read_file(t, FID_TOKEN_INFO, &file);
	if (!kf_is(e, KF_E_NOT_FOUND))
		KF_TRY(e);
	struct slice rest = tlv_find(buf_slice(&file), 0x30);
	bool has_label = false;
	if (rest.n == 0) {
		tlv_add_byte(&info, 0x02, 1);
		tlv_add(&info, 0x04, slice_of(t->facts.serial));
		tlv_add(&info, 0x0c, SLICE_LIT("CardContact"));
	}
	for (struct tlv v; tlv_next(&rest, &v);) {
		has_label |= v.tag == 0x80;
		tlv_add(&info, v.tag, v.tag == 0x80 ? slice_of(label) : v.value);
	}
	if (!has_label)
		tlv_add(&info, 0x80, slice_of(label));
	KF_TRY(buf_err(&info));
	tlv_add(&out, 0x30, buf_slice(&info));
	KF_TRY(buf_err(&out));
	return schsm_write_file(t, FID_TOKEN_INFO, buf_slice(&out));
}

kf_err schsm_initialise(struct token *t, const struct token_init *in)
{
	struct card_answer a;
	KF_TRY(check(t, in));
	schsm_forget_pin(t);
	KF_TRY(send_initialize(t, in, &a));
	bool is_wrong = is_wrong_so_pin(a.sw);
	kf_err e = sw_error(a.sw);
	memset(t->keys, 0, sizeof(t->keys));
	KF_TRY(schsm_read_facts(t));
	if (is_wrong)
		return kf_fail(AUTH, "the SO-PIN is wrong");
	KF_TRY(e);
	KF_TRY(schsm_login(t, in->pin));
	if (!in->label || !*in->label)
		return KF_OK;
	KF_TRY(write_label(t, in->label));
	snprintf(t->facts.label, sizeof(t->facts.label), "%s", in->label);
	return KF_OK;
}

/* ---- DKEK ---- */

kf_err schsm_import_share(struct token *t, const uint8_t share[SHARE_SIZE])
{
	struct card_answer a;
	if (t->facts.wrapping != WRAPPING_DKEK)
		return kf_fail(UNSUPPORTED,
			"the card was initialised without a DKEK: no key leaves it");
	if (t->facts.shares_missing == 0)
		return kf_fail(CONFLICT, "the card has all shares of its DKEK");
	KF_TRY(schsm_do(t,
		&(struct card_command){ .cla = 0x80,
			.ins = INS_DKEK,
			.data = { share, SHARE_SIZE },
			.le = APDU_LE_SHORT },
		&a));
	return schsm_read_dkek(t);
}

/* ---- random bytes, and a light ---- */

kf_err schsm_random(struct token *t, uint8_t *ret, size_t n)
{
	enum { PART_MAX = 128 };
	for (size_t at = 0; at < n;) {
		size_t part = n - at < PART_MAX ? n - at : PART_MAX;
		struct card_answer a;
		KF_TRY(schsm_do(t,
			&(struct card_command){ .ins = INS_CHALLENGE, .le = part }, &a));
		if (a.data.n != part)
			return kf_fail(TOKEN, "the card gives too few random bytes");
		memcpy(ret + at, a.data.p, part);
		at += part;
	}
	return KF_OK;
}

/* The reader's light follows its work: on and off for three seconds. */
kf_err schsm_identify(struct token *t)
{
	enum { BLINKS = 6, COMMANDS = 8, BYTES = 128 };
	static const struct timespec dark = { .tv_nsec = 350000000 };
	uint8_t random[BYTES];
	for (int i = 0; i < BLINKS; i++) {
		for (int k = 0; k < COMMANDS; k++)
			KF_TRY(schsm_random(t, random, sizeof(random)));
		nanosleep(&dark, NULL);
	}
	return KF_OK;
}
