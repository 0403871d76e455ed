/* SPDX-License-Identifier: Apache-2.0
 *
 * pin: the login.  A PIN is sent only after the card has said how many tries are left, and a wrong one is
 * forgotten at once: nothing here ever sends it again.
 */
#include "base/mem.h"
#include "token/schsm/card.h"
#include <string.h>

enum { INS_VERIFY = 0x20, INS_CHANGE = 0x24, USER_PIN = 0x81, SO_PIN = 0x88 };

static kf_err ask(struct token *t, uint8_t which, uint16_t *ret)
{
	struct card_answer a;
	KF_TRY(schsm_say(
		t, &(struct card_command){ .ins = INS_VERIFY, .p2 = which }, &a));
	*ret = a.sw;
	return KF_OK;
}

static int tries_of(uint16_t sw)
{
	if (sw == CARD_OK)
		return TOKEN_TRIES_ENOUGH;
	return sw_is_tries(sw) ? sw & 0x0f : 0;
}

/* Every card that was initialised has a user PIN. */
static void note_user(struct token *t, uint16_t sw)
{
	t->facts.is_initialised = sw != CARD_NO_REFERENCE;
	t->has_transport_pin = sw == CARD_USED_UP;
	t->facts.pin_tries = tries_of(sw);
	t->knows_tries = true;
}

static bool is_told(uint16_t sw)
{
	return sw == CARD_OK || sw_is_tries(sw) || sw == CARD_BLOCKED ||
	       sw == CARD_USED_UP || sw == CARD_NO_REFERENCE;
}

static kf_err read_user_tries(struct token *t)
{
	uint16_t sw;
	KF_TRY(ask(t, USER_PIN, &sw));
	if (!is_told(sw))
		return kf_fail(TOKEN, "the card does not tell the tries of its PIN");
	note_user(t, sw);
	return KF_OK;
}

kf_err schsm_read_tries(struct token *t)
{
	uint16_t sw;
	KF_TRY(read_user_tries(t));
	KF_TRY(ask(t, SO_PIN, &sw));
	t->facts.so_pin_tries = tries_of(sw);
	return KF_OK;
}

static bool is_fit(const struct token_pin *pin)
{
	return pin->n >= CARD_PIN_MIN && pin->n <= CARD_PIN_MAX;
}

static kf_err may_try(struct token *t, const struct token_pin *pin)
{
	if (!is_fit(pin))
		return kf_fail(AUTH, "the PIN of a SmartCard-HSM has 6 to 16 characters");
	if (!t->knows_tries)
		KF_TRY(read_user_tries(t));
	if (!t->facts.is_initialised)
		return kf_fail(AUTH, "the card is not initialised: it has no PIN");
	if (t->has_transport_pin)
		return kf_fail(AUTH, "the card has a transport PIN, to be changed first");
	if (t->facts.pin_tries == 0)
		return kf_fail(AUTH, "the PIN is blocked: no tries are left");
	if (!token_may_try_pin(&t->facts))
		return kf_fail(AUTH, "the last two tries of the PIN are left to people");
	return KF_OK;
}

static kf_err verify(struct token *t, const struct token_pin *pin)
{
	struct card_answer a;
	KF_TRY(may_try(t, pin));
	t->knows_tries = false;
	t->facts.pin_asked = t->facts.pin_tries;
	KF_TRY(schsm_say(t,
		&(struct card_command){ .ins = INS_VERIFY,
			.p2 = USER_PIN,
			.data = { pin->bytes, pin->n } },
		&a));
	t->facts.pin_asked = 0;
	if (a.sw == CARD_OK)
		return KF_OK;
	if (is_told(a.sw))
		note_user(t, a.sw);
	if (a.sw == CARD_DATA || a.sw == CARD_LENGTH)
		return kf_fail(AUTH, "the card takes no PIN of this form");
	return sw_is_tries(a.sw) ? kf_fail(AUTH, "the PIN is wrong") : sw_error(a.sw);
}

void schsm_forget_pin(struct token *t)
{
	secret_free(t->pin);
	t->pin = NULL;
}

kf_err schsm_remember_pin(struct token *t, const struct token_pin *pin)
{
	struct token_pin *copy = secret_alloc(sizeof(*copy));
	if (!copy)
		return kf_fail(NOMEM, "no locked memory for a PIN");
	*copy = *pin;
	schsm_forget_pin(t);
	t->pin = copy;
	return KF_OK;
}

kf_err schsm_login(struct token *t, const struct token_pin *pin)
{
	if (t->pin)
		return KF_OK;
	KF_TRY(schsm_remember_pin(t, pin));
	kf_err e = verify(t, t->pin);
	if (kf_ok(e))
		e = schsm_read_dkek_again(t);
	if (!kf_ok(e))
		schsm_forget_pin(t);
	return e;
}

kf_err schsm_renew_login(struct token *t)
{
	if (!t->pin)
		return kf_fail(AUTH, "nobody is logged in to the card");
	KF_TRY(schsm_select(t, NULL));
	KF_TRY(schsm_is_same(t));
	kf_err e = verify(t, t->pin);
	if (!kf_ok(e))
		schsm_forget_pin(t);
	return e;
}

static kf_err change(
	struct token *t, const struct token_pin *old, const struct token_pin *new)
{
	uint8_t both[2 * CARD_PIN_MAX];
	struct card_answer a;
	memcpy(both, old->bytes, old->n);
	memcpy(both + old->n, new->bytes, new->n);
	t->knows_tries = false;
	kf_err e = schsm_do(t,
		&(struct card_command){ .ins = INS_CHANGE,
			.p2 = USER_PIN,
			.data = { both, old->n + new->n } },
		&a);
	explicit_bzero(both, sizeof(both));
	return e;
}

kf_err schsm_change_pin(
	struct token *t, const struct token_pin *old, const struct token_pin *new)
{
	bool was_logged_in = t->pin;
	if (!is_fit(old) || !is_fit(new))
		return kf_fail(BAD_PARAMETERS,
			"the PIN of a SmartCard-HSM has 6 to 16 characters");
	/* Who is logged in is not told how many tries are left. */
	schsm_forget_pin(t);
	KF_TRY(schsm_select(t, NULL));
	KF_TRY(read_user_tries(t));
	if (!t->has_transport_pin)
		KF_TRY(may_try(t, old));
	kf_err e = change(t, old, new);
	kf_err told = read_user_tries(t);
	KF_TRY(e);
	KF_TRY(told);
	return was_logged_in ? schsm_login(t, new) : KF_OK;
}
