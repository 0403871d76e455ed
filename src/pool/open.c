/* SPDX-License-Identifier: Apache-2.0
 *
 * open: from a place where something is plugged in to a token that is logged in, with its keys listed.
 */
#include "pool/inside.h"
#include <stdlib.h>
#include <string.h>

bool fails_token(kf_err e)
{
	return kf_is(e, KF_E_TOKEN) || kf_is(e, KF_E_CLOSED) || kf_is(e, KF_E_TIMEOUT);
}

static uint64_t start_limit(const struct worker *w)
{
	return ns_of_ms((uint64_t)HUNG_START * w->pool->timeout_ms);
}

static void set_token(struct worker *w, struct token *t)
{
	pthread_mutex_lock(&w->token_lock);
	w->token = t;
	pthread_mutex_unlock(&w->token_lock);
}

static void drop_keys(struct worker *w)
{
	for (size_t i = 0; i < w->held_n; i++) {
		set_put(&w->held[i].group->held, w->slot, false);
		group_put(w->pool, w->held[i].group);
	}
	free(w->held);
	w->held = NULL;
	w->held_n = w->problems = 0;
}

static void remember(const struct pool *p)
{
	if (p->remember)
		p->remember(p->remember_arg,
			container_of(p->refusals, struct pools, refusals));
}

/* What comes back to a pool that was given up must not touch its owner's PIN. */
static bool note_unanswered(struct worker *w)
{
	const struct pool *p = w->pool;
	if (!w->token || !p->pin || p->is_over)
		return false;
	int asked = p->driver->facts(w->token)->pin_asked;
	if (asked)
		refusal_note(p->refusals, w->facts.serial, p->pin, asked);
	return asked;
}

static void close_token(struct worker *w)
{
	struct token *t = w->token;
	bool is_unanswered = note_unanswered(w);
	worker_begin(w, start_limit(w)); /* logging out may hang, too */
	if (is_unanswered)
		remember(w->pool);
	set_token(w, NULL);
	if (t)
		w->pool->driver->close(t);
	worker_end(w);
	worker_forgive(w);
}

void worker_let_go(struct worker *w)
{
	w->is_released = true;
	close_token(w);
}

void worker_close(struct worker *w)
{
	w->is_open = w->is_listed = w->is_pin_bad = w->is_hung = w->is_released = false;
	worker_settle(
		w); /* while it still has its keys, which are served by others now */
	drop_keys(w);
	close_token(w);
}

/* ---- keys ---- */

static enum proof proof_of(const struct worker *w, const struct token_key_facts *f)
{
	for (size_t i = 0; i < w->held_n; i++)
		if (w->held[i].handle == f->handle &&
			!memcmp(w->held[i].group->key.id, f->key_id, KEY_ID_SIZE))
			return w->held[i].proof == PROOF_DONE ? PROOF_DONE : PROOF_DUE;
	return PROOF_DUE;
}

static bool take_key(struct worker *w, const struct token_key_facts *f, struct held *to)
{
	bool is_secret = f->alg && f->alg->family == FAMILY_AES;
	if (!f->alg)
		return false;
	*to = (struct held){ .handle = f->handle,
		.has_counter = f->has_counter,
		/* By this very name it has proved which one it is. */
		.proof = is_secret ? PROOF_DONE : proof_of(w, f) };
	to->can[OP_SIGN] = f->can_sign;
	to->can[OP_DECRYPT] = f->can_decrypt && f->alg->family == FAMILY_RSA &&
			      w->pool->driver->decrypt_raw;
	to->can[OP_USE] = (is_secret || f->can_agree) && w->pool->driver->use;
	kf_err e = group_get(w->pool, f, &to->group);
	worker_why(w, e);
	return kf_ok(e);
}

static bool is_among(const struct held *held, size_t n, const struct pool_key_group *g)
{
	for (size_t i = 0; i < n; i++)
		if (held[i].group == g)
			return true;
	return false;
}

static void put_keys(struct worker *w, struct held *take, size_t n)
{
	w->held = take;
	w->held_n = n;
	for (size_t i = 0; i < n; i++)
		set_put(&take[i].group->held, w->slot, true);
}

/* Twice the same key on a token: the first serves. */
static void take_keys(
	struct worker *w, const struct token_key_list *list, struct held *to)
{
	size_t n = 0;
	unsigned problems = 0;
	for (size_t i = 0; i < list->n; i++) {
		bool is_taken = take_key(w, &list->key[i], &to[n]);
		problems += !is_taken || list->key[i].problem;
		if (!is_taken)
			continue;
		if (is_among(to, n, to[n].group))
			group_put(w->pool, to[n].group);
		else
			n++;
	}
	/* What is not there any more is not served. */
	w->is_listed = false;
	worker_settle(w);
	drop_keys(w);
	put_keys(w, to, n);
	w->problems = problems;
	w->is_listed = true;
}

kf_err worker_list(struct worker *w)
{
	struct token_key_list list = { 0 };
	struct held *held = NULL;
	worker_begin(w, start_limit(w));
	kf_err e = w->pool->driver->list_keys(w->token, &list);
	worker_end(w);
	if (kf_ok(e) && !(held = calloc(list.n + 1, sizeof(*held))))
		e = kf_fail(NOMEM, "keys of a token");
	if (kf_ok(e))
		take_keys(w, &list, held);
	token_key_list_free(&list);
	worker_settle(w);
	return e;
}

/* ---- opening ---- */

/* It is written down before it is sent: whoever dies meanwhile knows it in his next life. */
static kf_err send_pin(struct worker *w, const struct token_facts *f)
{
	const struct pool *p = w->pool;
	if (token_may_try_pin(f)) {
		refusal_note(p->refusals, f->serial, p->pin, f->pin_tries);
		remember(p);
	}
	return p->driver->login(w->token, p->pin);
}

/* A PIN that was tried in vain is not tried again, nor is one that cost a try before its answer was lost: that may
 * also come of a card that was pulled while it compared the right one, so that people may say that it is to be tried
 * again.  The token stays open for tasks. */
static kf_err log_in(struct worker *w)
{
	const struct token_facts before = w->facts;
	if (refusal_is_known(
		    w->pool->refusals, before.serial, w->pool->pin, before.pin_tries)) {
		w->is_pin_bad = true;
		worker_why(w, kf_fail(AUTH, "the PIN was refused: not tried again"));
		return KF_OK;
	}
	worker_begin(w, start_limit(w));
	kf_err e = send_pin(w, &before);
	worker_end(w);
	if (w->pool->is_over)
		return kf_fail(CLOSED, "the pool was closed meanwhile");
	bool is_refused = kf_is(e, KF_E_AUTH);
	if (is_refused)
		worker_refuse_pin(w, e);
	if (kf_ok(e))
		refusal_accepted(w->pool->refusals, before.serial, w->pool->pin);
	/* Some things a token tells only those who are logged in. */
	w->facts = *w->pool->driver->facts(w->token);
	return is_refused ? KF_OK : e;
}

static kf_err open_place(struct worker *w)
{
	struct token *t = NULL;
	worker_begin(w, start_limit(w));
	kf_err e = w->pool->driver->open(w->watch->source, &w->place, &t);
	if (kf_ok(e))
		set_token(w, t);
	worker_end(w);
	w->is_hung = false;
	w->is_taken = kf_is(e, KF_E_DENIED);
	if (kf_ok(e)) {
		w->facts = *w->pool->driver->facts(t);
		w->has_facts = true;
		pthread_cond_broadcast(&w->pool->changed);
	}
	return e;
}

kf_err worker_enter(struct worker *w)
{
	w->is_listed = w->is_pin_bad = false;
	if (w->pool->is_closing) /* and its owner may have wiped the PIN */
		return kf_fail(CLOSED, "the pool is being closed");
	if (w->facts.is_initialised && w->pool->pin)
		KF_TRY(log_in(w));
	worker_settle(w);
	return w->facts.is_initialised && !w->is_pin_bad ? worker_list(w) : KF_OK;
}

kf_err worker_open(struct worker *w)
{
	KF_TRY(open_place(w));
	bool is_ours = worker_claim(w);
	w->must_restart = false;
	if (!is_ours)
		return KF_OK;
	w->is_open = true;
	return worker_enter(w);
}

kf_err worker_take_again(struct worker *w)
{
	if (!w->is_released)
		return KF_OK;
	kf_err e = open_place(w);
	w->is_taken = false; /* by another program, as drained tokens may be */
	KF_TRY(e);
	w->is_released = false;
	if (!w->card || strcmp(w->card->serial, w->facts.serial))
		return kf_fail(CLOSED, "another token was plugged in");
	return worker_enter(w);
}
