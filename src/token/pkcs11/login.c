/* SPDX-License-Identifier: Apache-2.0
 *
 * login: a PIN is tried once.  What the token says of tries left is read before each.
 */
#include "base/mem.h"
#include "token/pkcs11/private.h"
#include "token/text.h"
#include <string.h>

/* The module is given no pointer to what we keep: it may write where it should only read. */
static CK_RV login_with(struct token *t, CK_SESSION_HANDLE session, CK_USER_TYPE user,
	const struct token_pin *pin)
{
	struct token_pin *copy = secret_alloc(sizeof(*copy));
	if (!copy)
		return CKR_HOST_MEMORY;
	*copy = *pin;
	CK_RV rv = CALL(t->module, Login, session, user, copy->bytes, copy->n);
	secret_free(copy);
	return rv;
}

static void refuse_pin(struct token *t)
{
	t->is_pin_refused = true;
	secret_free(t->pin);
	t->pin = NULL;
}

static kf_err may_try(struct token *t)
{
	if (t->is_pin_refused)
		return kf_fail(AUTH, "the token refused the PIN before; not tried again");
	KF_TRY(p11_read_facts(t));
	if (t->flags & CKF_PROTECTED_AUTHENTICATION_PATH)
		return kf_fail(AUTH, "the token wants its PIN typed at a keypad");
	if (!(t->flags & CKF_USER_PIN_INITIALIZED))
		return kf_fail(AUTH, "the token has no user PIN yet");
	if (t->facts.pin_tries == 0)
		return kf_fail(AUTH, "the PIN is blocked");
	return token_may_try_pin(&t->facts)
		       ? KF_OK
		       : kf_fail(AUTH, "few tries of the PIN are left: they are for "
				       "people; log in elsewhere once");
}

/* Some modules say so of a wrong PIN.  A token that answered before and does afterwards is there: to ask it again and
 * again would spend its tries. */
static bool is_general(CK_RV rv)
{
	return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED;
}

static kf_err outcome(struct token *t, CK_RV rv)
{
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		t->is_logged_in = true;
		t->facts.pin_asked = 0;
		return KF_OK;
	}
	kf_err err = p11_outcome(rv);
	const kf_err facts = p11_read_facts(t); /* tries left, for people */
	if (is_general(rv) && kf_ok(facts))
		err = kf_fail(AUTH, "the token does not say why it refused the login");
	if (kf_is(err, KF_E_AUTH)) {
		refuse_pin(t);
		t->facts.pin_asked = 0;
	}
	return err;
}

static kf_err ask(struct token *t, CK_USER_TYPE user)
{
	t->facts.pin_asked = t->facts.pin_tries;
	return outcome(t, login_with(t, t->session, user, t->pin));
}

static kf_err keep_pin(struct token *t, const struct token_pin *pin)
{
	if (t->pin == pin)
		return KF_OK;
	if (!t->pin)
		t->pin = secret_alloc(sizeof(*t->pin));
	if (!t->pin)
		return kf_fail(NOMEM, "no locked memory for the PIN");
	*t->pin = *pin;
	return KF_OK;
}

kf_err p11_login(struct token *t, const struct token_pin *pin)
{
	if (t->is_logged_in)
		return KF_OK;
	if (!t->session)
		return kf_fail(AUTH, "the token is not initialised");
	if (t->flags & CKF_LOGIN_REQUIRED) {
		KF_TRY(may_try(t));
		KF_TRY(keep_pin(t, pin));
		KF_TRY(ask(t, CKU_USER));
	}
	p11_find_wrapping_key(t);
	return KF_OK;
}

kf_err p11_renew_login(struct token *t)
{
	t->is_logged_in = false;
	if (!t->pin)
		return kf_fail(AUTH, "the token wants a login");
	KF_TRY(may_try(t));
	return ask(t, CKU_USER);
}

kf_err p11_login_for_key(struct token *t)
{
	if (!t->pin)
		return kf_fail(AUTH, "the key wants the PIN each time");
	KF_TRY(may_try(t));
	return ask(t, CKU_CONTEXT_SPECIFIC);
}

/* ---- for people: they spend their own tries ---- */

kf_err p11_change_pin(
	struct token *t, const struct token_pin *old, const struct token_pin *new)
{
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	struct token_pin *copy = secret_alloc(2 * sizeof(*copy));
	if (!copy)
		return kf_fail(NOMEM, "no locked memory for the PIN");
	copy[0] = *old;
	copy[1] = *new;
	kf_err err = may_try(t);
	if (kf_ok(err))
		err = p11_writer_open(t, &w);
	if (kf_ok(err))
		err = p11_outcome(CALL(t->module, SetPIN, w.session, copy[0].bytes,
			copy[0].n, copy[1].bytes, copy[1].n));
	if (kf_ok(err) && t->pin)
		*t->pin = *new;
	secret_free(copy);
	return err;
}

static kf_err set_user_pin(struct token *t, const struct token_init *in)
{
	CLEANUP(p11_writer_close) struct p11_writer w = { 0 };
	KF_TRY(p11_writer_open(t, &w));
	KF_TRY(p11_outcome(login_with(t, w.session, CKU_SO, in->so_pin)));
	struct token_pin *copy = secret_alloc(sizeof(*copy));
	CK_RV rv = CKR_HOST_MEMORY;
	if (copy) {
		*copy = *in->pin;
		rv = CALL(t->module, InitPIN, w.session, copy->bytes, copy->n);
	}
	secret_free(copy);
	CALL(t->module, Logout, w.session);
	return p11_outcome(rv);
}

static kf_err init_token(struct token *t, const struct token_init *in)
{
	uint8_t label[32];
	struct token_pin *copy = secret_alloc(sizeof(*copy));
	if (!copy)
		return kf_fail(NOMEM, "no locked memory for the PIN");
	*copy = *in->so_pin;
	text_to_field(in->label ? in->label : "", label, sizeof(label));
	CK_RV rv = CALL(t->module, InitToken, t->slot, copy->bytes, copy->n, label);
	secret_free(copy);
	return p11_outcome(rv);
}

static kf_err check_init(struct token *t, const struct token_init *in)
{
	if (in->pin_tries)
		return kf_fail(UNSUPPORTED,
			"tokens behind PKCS#11 take no number of tries; leave it out");
	if (in->label && strlen(in->label) > 32)
		return kf_fail(BAD_PARAMETERS, "a label has 32 bytes at most");
	KF_TRY(p11_read_facts(t));
	return !t->facts.is_initialised || t->facts.so_pin_tries > 2
		       ? KF_OK
		       : kf_fail(AUTH, "few tries of the SO-PIN are left");
}

kf_err p11_initialise(struct token *t, const struct token_init *in)
{
	KF_TRY(check_init(t, in));
	if (t->session) { /* a token in use cannot be initialised */
		CALL(t->module, CloseSession, t->session);
		t->session = 0;
		t->is_logged_in = false;
	}
	KF_TRY(init_token(t, in));
	t->is_pin_refused = false;
	t->keys_n = 0;
	KF_TRY(set_user_pin(t, in));
	KF_TRY(p11_read_facts(t));
	return p11_open_session(t);
}
