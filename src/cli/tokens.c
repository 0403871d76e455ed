/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tokens.h"
#include "base/conf.h"
#include "base/mem.h"
#include "crypt/keygen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRETS = 1 << 17 };

kf_err tokens_secrets(void)
{
	KF_TRY(secret_init(SECRETS));
	KF_TRY(crypt_init(SECRETS));
	(void)mem_lock_all(); /* where that is allowed: what is wiped was not swapped out before */
	return KF_OK;
}

kf_err tokens_open(
	struct cli *c, const struct tokens_options *o, bool logs_in, struct tokens **ret)
{
	KF_TRY(tokens_secrets());
	if (o->is_local)
		return tokens_open_local(c, o, logs_in, ret);
	if (o->driver || o->module || o->sockets.n || o->token) {
		cli_note(c, "--driver, --module, --socket and --token are for --local");
		return kf_fail(INVALID_FIELD, "see --help");
	}
	return tokens_open_server(c, o, ret);
}

void tokens_close(struct tokens *t)
{
	if (t)
		t->ops->close(t);
}

/* ---- PINs ---- */

void token_pin_freep(struct token_pin **p) { secret_free(*p); }

static kf_err read_pin_file(const struct cli *c, const char *file, struct token_pin *pin)
{
	autobuf bytes = buf_new(1024);
	KF_TRY(cli_read_secret(c, file, &bytes));
	if (bytes.n == 0 || bytes.n > TOKEN_PIN_MAX)
		return cli_file_error(c, file,
			kf_fail(INVALID_FIELD,
				"a PIN has 1 to 64 characters, in one line"));
	memcpy(pin->bytes, bytes.p, bytes.n);
	pin->n = bytes.n;
	return KF_OK;
}

/* In locked memory, as the PIN. */
struct typed {
	char text[TOKEN_PIN_MAX + 2], again[TOKEN_PIN_MAX + 2];
};
static void typed_freep(struct typed **t) { secret_free(*t); }

static kf_err ask_pin(
	const struct cli *c, const char *what, bool twice, struct token_pin *pin)
{
	CLEANUP(typed_freep) struct typed *t = secret_alloc(sizeof(*t));
	char question[96];
	if (!t)
		return kf_fail(NOMEM, "no locked memory for a PIN");
	int n = terminal_ask(what, t->text, sizeof(t->text));
	if (n < 1) {
		cli_note(c,
			"the %s is needed, and there is no terminal to ask at: put it "
			"into a file",
			what);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	snprintf(question, sizeof(question), "%s again", what);
	if (twice && (terminal_ask(question, t->again, sizeof(t->again)) != n ||
			     memcmp(t->text, t->again, (size_t)n) != 0))
		return kf_fail(INVALID_FIELD, "the two are not the same");
	memcpy(pin->bytes, t->text, (size_t)n);
	pin->n = (size_t)n;
	return KF_OK;
}

kf_err tokens_read_pin(const struct cli *c, const char *file, const char *what,
	bool twice, struct token_pin **ret)
{
	struct token_pin *pin = secret_alloc(sizeof(*pin));
	if (!pin)
		return kf_fail(NOMEM, "no locked memory for a PIN");
	kf_err e = file ? read_pin_file(c, file, pin) : ask_pin(c, what, twice, pin);
	if (kf_ok(e))
		*ret = pin;
	else
		secret_free(pin);
	return e;
}

/* ---- for people ---- */

void token_line_of_status(const struct pool_token_status *s, struct token_line *ret)
{
	const struct token_facts *f = &s->facts;
	*ret = (struct token_line){
		.is_initialised = f->is_initialised,
		.is_write_protected = f->is_write_protected,
		.has_kcv = f->has_kcv,
		.pin_tries = f->pin_tries,
		.so_pin_tries = f->so_pin_tries,
		.wrapping = f->wrapping,
		.shares = f->shares,
		.shares_missing = f->shares_missing,
		.keys = s->keys,
		.problems = s->keys_with_problems,
		.signatures = s->signatures,
		.failures = s->failures,
	};
	memcpy(ret->pool, s->pool, sizeof(ret->pool));
	memcpy(ret->serial, f->serial, sizeof(ret->serial));
	memcpy(ret->label, f->label, sizeof(ret->label));
	memcpy(ret->model, f->model, sizeof(ret->model));
	memcpy(ret->place, s->place, sizeof(ret->place));
	memcpy(ret->why, s->why, sizeof(ret->why));
	memcpy(ret->task, s->task, sizeof(ret->task));
	memcpy(ret->kcv, f->kcv, sizeof(ret->kcv));
	snprintf(ret->state, sizeof(ret->state), "%s", pool_token_state_text(s->state));
}

void token_line_dkek(const struct token_line *l, char *ret, size_t size)
{
	char kcv[2 * TOKEN_KCV_SIZE + 1];
	for (size_t i = 0; i < TOKEN_KCV_SIZE; i++)
		snprintf(kcv + 2 * i, 3, "%02X", l->kcv[i]);
	if (l->shares_missing)
		snprintf(ret, size, "%u of %u shares missing", l->shares_missing,
			l->shares);
	else
		snprintf(ret, size, "%s",
			l->has_kcv                     ? kcv
			: l->wrapping == WRAPPING_NONE ? "-"
						       : "?");
}

static const char *outcome_text(enum provision_outcome o)
{
	return o == PROVISION_DONE ? "done" : o == PROVISION_WAS_SO ? "was so" : "failed";
}

kf_err tokens_print_report(
	const struct cli *c, const struct provision_report *r, const char *id)
{
	static const char *const titles[] = { "TOKEN", "RESULT", "WHY", "KEY" };
	struct table *t = table_new(c, titles, c->is_json && id ? 4 : 3);
	for (size_t i = 0; i < r->n; i++)
		table_row(
			t, (const char *const[]){ r->row[i].serial,
				   outcome_text(r->row[i].outcome), r->row[i].why, id });
	KF_TRY(table_end(t, KF_OK));
	if (!r->failed)
		return KF_OK;
	cli_note(c, "%zu of %zu tokens failed", r->failed, r->n);
	return kf_fail(TOKEN, "not every token was done");
}

kf_err tokens_error(const struct cli *c, const char *name, kf_err e)
{
	if (!kf_ok(e) && !*c->has_told)
		cli_note(c, "%s: %s", name, e.site->text);
	return e;
}
