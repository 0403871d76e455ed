/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "token/pkcs11/private.h"
#include "token/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of tries, flags say "enough", "fewer", "one" and "none". */
static int tries_of(CK_FLAGS flags, CK_FLAGS locked, CK_FLAGS final, CK_FLAGS low)
{
	if (flags & locked)
		return 0;
	if (flags & final)
		return 1;
	return flags & low ? 2 : TOKEN_TRIES_ENOUGH;
}

static void read_texts(struct token *t, const CK_TOKEN_INFO *info)
{
	char model[sizeof(info->model) + 1], maker[sizeof(info->manufacturerID) + 1];
	struct token_facts *f = &t->facts;
	text_of_field(info->label, sizeof(info->label), f->label, sizeof(f->label));
	text_of_field(info->serialNumber, sizeof(info->serialNumber), f->serial,
		sizeof(f->serial));
	text_of_field(info->model, sizeof(info->model), model, sizeof(model));
	text_of_field(
		info->manufacturerID, sizeof(info->manufacturerID), maker, sizeof(maker));
	snprintf(f->model, sizeof(f->model), "%.24s %u.%u", model[0] ? model : maker,
		info->firmwareVersion.major, info->firmwareVersion.minor);
	if (!f->serial[0]) /* blank ones of some kinds */
		snprintf(
			f->serial, sizeof(f->serial), "slot-%lu", (unsigned long)t->slot);
}

kf_err p11_read_facts(struct token *t)
{
	CK_TOKEN_INFO info = { 0 };
	KF_TRY(p11_err(CALL(t->module, GetTokenInfo, t->slot, &info)));
	read_texts(t, &info);
	t->flags = info.flags;
	t->facts.is_initialised = info.flags & CKF_TOKEN_INITIALIZED;
	t->facts.is_write_protected = info.flags & CKF_WRITE_PROTECTED;
	t->facts.pin_tries = tries_of(info.flags, CKF_USER_PIN_LOCKED,
		CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_COUNT_LOW);
	t->facts.so_pin_tries = tries_of(info.flags, CKF_SO_PIN_LOCKED,
		CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_COUNT_LOW);
	t->facts.concurrency = 1; /* one session */
	return KF_OK;
}

static void read_mechanisms(struct token *t)
{
	static const struct {
		CK_MECHANISM_TYPE type;
		CK_FLAGS flag;
	} table[] = {
#define X(id, type, flag) { type, flag },
#include "token/pkcs11/mechanism.def"
#undef X
	};
	for (int i = 0; i < P11_MECHS; i++) {
		CK_MECHANISM_INFO info = { 0 };
		t->has[i] = CALL(t->module, GetMechanismInfo, t->slot, table[i].type,
				    &info) == CKR_OK &&
			    info.flags & table[i].flag;
	}
}

kf_err p11_open_session(struct token *t)
{
	CK_SESSION_HANDLE session = 0;
	if (t->session)
		CALL(t->module, CloseSession, t->session);
	t->session = 0;
	t->is_logged_in = false;
	KF_TRY(p11_err(CALL(t->module, OpenSession, t->slot, CKF_SERIAL_SESSION, NULL,
		NULL, &session)));
	if (!session)
		return kf_fail(TOKEN, "the module opens sessions without a number");
	t->session = session;
	return KF_OK;
}

static kf_err start(struct token *t)
{
	KF_TRY(p11_read_facts(t));
	read_mechanisms(t);
	return t->facts.is_initialised ? p11_open_session(t) : KF_OK;
}

kf_err p11_open(
	struct token_source *s, const struct token_place *place, struct token **ret)
{
	struct token *t = calloc(1, sizeof(*t));
	if (!t)
		return kf_fail(NOMEM, "token");
	kf_err err = p11_module_take(s->module, place, &t->slot);
	if (!kf_ok(err)) {
		free(t);
		return err;
	}
	t->module = s->module;
	t->insertion = place->insertion;
	err = start(t);
	if (kf_ok(err))
		*ret = t;
	else
		p11_close(t);
	return err;
}

void p11_close(struct token *t)
{
	if (!t)
		return;
	bool is_there = p11_module_is_there(t->module, t->slot, t->insertion);
	if (is_there && t->is_logged_in)
		CALL(t->module, Logout, t->session);
	if (is_there && t->session)
		CALL(t->module, CloseSession, t->session);
	p11_module_give_back(t->module, t->slot, t->insertion);
	secret_free(t->pin);
	free(t->key);
	free(t);
}

const struct token_facts *p11_get_facts(struct token *t) { return &t->facts; }

/* A session that is gone is told by itself: after a quick replug the slot looks well. */
kf_err p11_probe(struct token *t)
{
	CK_SESSION_INFO session = { 0 };
	if (t->session)
		KF_TRY(p11_err(CALL(t->module, GetSessionInfo, t->session, &session)));
	return p11_read_facts(t);
}

kf_err p11_random(struct token *t, uint8_t *ret, size_t n)
{
	if (!t->session)
		return kf_fail(DENIED, "the token is not initialised");
	return p11_outcome(CALL(t->module, GenerateRandom, t->session, ret, n));
}
