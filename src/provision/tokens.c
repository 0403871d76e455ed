/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens: what is done to tokens that have no keys yet: PINs, DKEK shares.
 */
#include "base/mem.h"
#include "provision/each.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- initialise ---- */

struct init {
	const struct token_init *in;
	bool force;
};

static kf_err run_init(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct init *i = arg;
	(void)row;
	if (!driver->initialise)
		return kf_fail(UNSUPPORTED,
			"tokens of this kind are initialised by their "
			"own tools");
	if (driver->facts(t)->is_initialised && !i->force)
		return kf_fail(EXISTS,
			"the token is initialised already; initialising erases its keys");
	return driver->initialise(t, i->in);
}

kf_err provision_init(const struct provision *p, const char *serial,
	const struct token_init *in, bool force)
{
	const struct init i = { in, force };
	const struct each e = { .task = "initialising",
		.changes = true,
		.gives_pin = true,
		.run = run_init,
		.arg = &i };
	return each_one(p, &e, serial);
}

/* ---- PIN ---- */

struct pins {
	const struct token_pin *old, *new;
};

static kf_err run_change_pin(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct pins *pins = arg;
	(void)row;
	if (!driver->change_pin)
		return kf_fail(UNSUPPORTED,
			"PINs of this kind of token are changed by its "
			"own tools");
	return driver->change_pin(t, pins->old, pins->new);
}

kf_err provision_change_pin(const struct provision *p, const char *serial,
	const struct token_pin *old, const struct token_pin *new)
{
	const struct pins pins = { old, new };
	const struct each e = { .task = "changing the PIN",
		.changes = true,
		.gives_pin = true,
		.run = run_change_pin,
		.arg = &pins };
	return each_one(p, &e, serial);
}

/* ---- which one is it? ---- */

static kf_err run_identify(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	(void)row;
	(void)arg;
	if (!driver->identify)
		return kf_fail(
			UNSUPPORTED, "tokens of this kind cannot make themselves known");
	return driver->identify(t);
}

kf_err provision_identify(const struct provision *p, const char *serial)
{
	const struct each e = { .task = "identifying", .run = run_identify };
	return each_one(p, &e, serial);
}

/* ---- DKEK shares ---- */

/* Together they are the DKEK: what tokens of other kinds take as their wrapping key. */
struct shares {
	const struct provision_shares *in;
	uint8_t (*sum)[SHARE_SIZE];           /* in locked memory */
	uint8_t check_value[DKEK_CHECK_SIZE]; /* of their DKEK */
};

static kf_err is_whole_already(
	const struct token_facts *f, struct provision_row *row, const struct shares *s)
{
	if (s->in->n < f->shares)
		return kf_fail(EXISTS, "the token has all shares of its DKEK");
	if (!f->has_kcv)
		return kf_fail(AUTH,
			"whether the token has this DKEK it tells only after "
			"a login: --pin-file");
	if (memcmp(f->kcv, s->check_value, sizeof(f->kcv)) != 0) {
		kf_err e = kf_fail(CONFLICT, "the token has another DKEK");
		each_fail(row, e,
			"only initialising it anew, which erases its keys, gives it "
			"this one");
		return e;
	}
	row->outcome = PROVISION_WAS_SO;
	snprintf(row->why, sizeof(row->why), "has this DKEK already");
	return KF_OK;
}

static kf_err import_all(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const struct shares *s)
{
	const struct token_facts *f = driver->facts(t);
	for (size_t i = 0; i < s->in->n; i++)
		KF_TRY(driver->import_share(t, s->in->share[i]));
	if (f->shares_missing) {
		snprintf(row->why, sizeof(row->why), "%u of %u shares are still missing",
			f->shares_missing, f->shares);
		return KF_OK;
	}
	if (!f->has_kcv)
		snprintf(row->why, sizeof(row->why),
			"tells its key check value only after a login: compare it");
	if (s->in->n == f->shares && f->has_kcv &&
		memcmp(f->kcv, s->check_value, sizeof(f->kcv)) != 0)
		return kf_fail(CONFLICT, "the token's DKEK is not that of its shares: a "
					 "share was imported "
					 "before that is none of these");
	return KF_OK;
}

/* Tokens that know no shares, or were initialised without; which, they say. */
static kf_err import_wrapping_key(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const struct shares *s)
{
	bool had_one = driver->facts(t)->has_kcv;
	KF_TRY(driver->import_share(t, *s->sum));
	if (had_one) {
		row->outcome = PROVISION_WAS_SO;
		snprintf(row->why, sizeof(row->why), "has this wrapping key already");
	}
	return KF_OK;
}

static kf_err run_shares(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct shares *s = arg;
	const struct token_facts *f = driver->facts(t);
	if (!driver->import_share)
		return kf_fail(UNSUPPORTED, "tokens of this kind have no DKEK");
	if (!f->is_initialised)
		return kf_fail(
			STATE, "the token is not initialised: `keyfleet token init`");
	if (f->shares == 0)
		return import_wrapping_key(driver, t, row, s);
	if (f->shares_missing == 0)
		return is_whole_already(f, row, s);
	if (s->in->n > f->shares_missing)
		return kf_fail(CONFLICT, "more shares than the token still waits for: it "
					 "has some of them, or "
					 "was initialised for fewer");
	return import_all(driver, t, row, s);
}

static kf_err add_up(struct shares *s)
{
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	KF_TRY(dkek_new(&d));
	for (size_t i = 0; i < s->in->n; i++) {
		KF_TRY(dkek_add(d, s->in->share[i]));
		for (size_t k = 0; k < SHARE_SIZE; k++)
			(*s->sum)[k] ^= s->in->share[i][k];
	}
	dkek_check_value(d, s->check_value);
	return KF_OK;
}

static void shares_done(struct shares *s) { secret_free(s->sum); }

kf_err provision_import_shares(const struct provision *p,
	const struct provision_targets *to, const struct provision_shares *shares,
	struct provision_report *ret)
{
	CLEANUP(shares_done)
	struct shares s = { .in = shares, .sum = secret_alloc(SHARE_SIZE) };
	const struct each e = { .task = "importing DKEK shares",
		.changes = true,
		.run = run_shares,
		.arg = &s };
	if (shares->n == 0)
		return kf_fail(MISSING, "no DKEK share");
	if (!s.sum)
		return kf_fail(NOMEM, "no locked memory for a DKEK");
	KF_TRY(add_up(&s));
	KF_TRY(each_fill(p, to, ret));
	return each_token(p, &e, ret);
}
