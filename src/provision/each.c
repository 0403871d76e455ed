/* SPDX-License-Identifier: Apache-2.0 */
#include "provision/each.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which ---- */

static bool is_here(const struct pool_token_status *s)
{
	return s->state != POOL_TOKEN_GONE && s->state != POOL_TOKEN_TAKEN &&
	       s->state != POOL_TOKEN_AMBIGUOUS && s->facts.serial[0];
}

/* All rows of all pools; the caller frees. */
static kf_err read_status(
	const struct provision *p, struct pool_token_status **ret, size_t *ret_n)
{
	size_t n = pool_tokens(p->pools, NULL, 0) + POOL_TOKENS_MAX;
	struct pool_token_status *s = calloc(n, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	size_t found = pool_tokens(p->pools, s, n);
	*ret = s;
	*ret_n = found < n ? found : n;
	return KF_OK;
}

static bool is_in(const struct provision *p, const struct pool_token_status *s)
{
	return !strcmp(s->pool, p->pool);
}

kf_err each_status(
	const struct provision *p, const char *serial, struct pool_token_status *ret)
{
	CLEANUP(mem_freep) struct pool_token_status *s = NULL;
	size_t n;
	KF_TRY(read_status(p, &s, &n));
	for (size_t i = 0; i < n; i++) {
		if (!is_in(p, &s[i]) || strcmp(s[i].facts.serial, serial) != 0)
			continue;
		*ret = s[i];
		return is_here(&s[i])
			       ? KF_OK
			       : kf_fail(UNAVAILABLE,
					 "the token is away, or another process has it");
	}
	return kf_fail(NOT_FOUND, "no token of the pool has this serial number");
}

kf_err provision_find(
	const struct provision *p, const char *name, char ret[TOKEN_SERIAL_SIZE])
{
	CLEANUP(mem_freep) struct pool_token_status *s = NULL;
	const struct pool_token_status *found = NULL;
	size_t n, labels = 0;
	KF_TRY(read_status(p, &s, &n));
	for (size_t i = 0; i < n; i++) {
		bool is_serial = !strcmp(s[i].facts.serial, name);
		bool is_label = s[i].facts.label[0] && !strcmp(s[i].facts.label, name) &&
				s[i].state != POOL_TOKEN_GONE;
		if (!is_in(p, &s[i]) || (!is_serial && !is_label))
			continue;
		found = &s[i];
		labels += !is_serial;
		if (is_serial) {
			labels = 0;
			break;
		}
	}
	if (!found)
		return kf_fail(NOT_FOUND,
			"no token of the pool has this serial number or label");
	if (labels > 1)
		return kf_fail(
			CONFLICT, "several tokens have this label; name a serial number");
	memcpy(ret, found->facts.serial, TOKEN_SERIAL_SIZE);
	return KF_OK;
}

struct provision_row *each_add(struct provision_report *r, const char *serial)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->row[i].serial, serial))
			return &r->row[i];
	if (r->n == POOL_TOKENS_MAX)
		return NULL;
	struct provision_row *row = &r->row[r->n++];
	*row = (struct provision_row){ .outcome = PROVISION_DONE };
	snprintf(row->serial, sizeof(row->serial), "%s", serial);
	return row;
}

static kf_err fill_named(const struct provision *p, const struct provision_targets *to,
	struct provision_report *ret)
{
	char serial[TOKEN_SERIAL_SIZE];
	if (to->n > POOL_TOKENS_MAX)
		return kf_fail(TOO_BIG, "more tokens than a pool can have");
	for (size_t i = 0; i < to->n; i++) {
		KF_TRY(provision_find(p, to->serial[i], serial));
		each_add(ret, serial);
	}
	return KF_OK;
}

static kf_err fill(
	const struct provision *p, bool with_blank, struct provision_report *ret)
{
	CLEANUP(mem_freep) struct pool_token_status *s = NULL;
	size_t n;
	ret->n = ret->done = ret->failed = 0;
	KF_TRY(read_status(p, &s, &n));
	for (size_t i = 0; i < n; i++)
		if (is_in(p, &s[i]) && is_here(&s[i]) &&
			(with_blank || s[i].facts.is_initialised))
			each_add(ret, s[i].facts.serial);
	return KF_OK;
}

kf_err each_fill_all(const struct provision *p, struct provision_report *ret)
{
	return fill(p, true, ret);
}

kf_err each_fill(const struct provision *p, const struct provision_targets *to,
	struct provision_report *ret)
{
	ret->n = ret->done = ret->failed = 0;
	if (to && to->n)
		return fill_named(p, to, ret);
	KF_TRY(fill(p, false, ret));
	return ret->n ? KF_OK
		      : kf_fail(UNAVAILABLE, "the pool has no token that is initialised");
}

/* ---- results ---- */

void each_fail(struct provision_row *row, kf_err e, const char *remedy)
{
	row->outcome = PROVISION_FAILED;
	row->err = e;
	snprintf(row->why, sizeof(row->why), "%s%s%s", e.site ? e.site->text : "failed",
		remedy ? "; " : "", remedy ? remedy : "");
}

void each_count(struct provision_report *r)
{
	r->done = r->failed = 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->row[i].outcome == PROVISION_FAILED)
			r->failed++;
		else
			r->done++;
}

/* ---- at the same time ---- */

struct round {
	const struct provision *p;
	const struct each *each;
	pthread_mutex_t lock; /* guards done, and show() is called under it */
	size_t done, of;
};

struct one {
	struct round *round;
	struct provision_row *row;
	pthread_t thread;
	bool is_due, has_thread;
};

static kf_err run_on_token(const struct token_driver *driver, struct token *t, void *arg)
{
	struct one *o = arg;
	return o->round->each->run(driver, t, o->row, o->round->each->arg);
}

static void *run_one(void *arg)
{
	struct one *o = arg;
	struct round *r = o->round;
	const struct pool_task task = { .serial = o->row->serial,
		.task = r->each->task,
		.changes = r->each->changes,
		.gives_pin = r->each->gives_pin,
		.run = run_on_token,
		.arg = o };
	kf_err e = pool_run(r->p->pools, &task);
	if (!kf_ok(e) && o->row->outcome != PROVISION_FAILED)
		each_fail(o->row, e, NULL);
	pthread_mutex_lock(&r->lock);
	r->done++;
	if (r->p->show)
		r->p->show(r->p->arg, r->each->task, r->done, r->of);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void run_all(struct one *one, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (one[i].is_due)
			one[i].has_thread =
				!pthread_create(&one[i].thread, NULL, run_one, &one[i]);
	for (size_t i = 0; i < n; i++)
		if (one[i].has_thread)
			pthread_join(one[i].thread, NULL);
		else if (one[i].is_due)
			run_one(&one[i]);
}

kf_err each_token(
	const struct provision *p, const struct each *e, struct provision_report *r)
{
	struct round round = { .p = p, .each = e };
	CLEANUP(mem_freep) struct one *one = calloc(r->n + 1, sizeof(*one));
	if (!one)
		return kf_fail(NOMEM, "no memory for work on tokens");
	for (size_t i = 0; i < r->n; i++) {
		bool is_due = r->row[i].outcome == PROVISION_DONE;
		one[i] = (struct one){ &round, &r->row[i], .is_due = is_due };
		round.of += is_due;
	}
	if (p->show && round.of)
		p->show(p->arg, e->task, 0, round.of);
	pthread_mutex_init(&round.lock, NULL);
	run_all(one, r->n);
	pthread_mutex_destroy(&round.lock);
	each_count(r);
	return KF_OK;
}

kf_err each_one(const struct provision *p, const struct each *e, const char *serial)
{
	CLEANUP(mem_freep) struct provision_report *r = calloc(1, sizeof(*r));
	if (!r)
		return kf_fail(NOMEM, "no memory for work on tokens");
	each_add(r, serial);
	KF_TRY(each_token(p, e, r));
	return r->row[0].err;
}
