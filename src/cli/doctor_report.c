/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct row {
	const char *id;
	enum doctor_state state;
	enum doctor_part part;
	const char *looks_at, *text, *remedy;
};

static const struct row rows[] = {
#define X(id, state, part, looks_at, text, remedy)                                       \
	{ #id, DOCTOR_##state, DOCTOR_##part, looks_at, text, remedy },
#include "cli/doctor.def"
#undef X
};

static const char *const part_titles[] = { "this host", "provider",
	"web servers and their keys", "agent", "way to the key servers", "key server",
	"handshakes" };

static const char *const state_words[] = { "OK", "-", "WARN", "FAIL" };

/* ---- places and numbers ---- */

struct doctor_place doctor_at(const char *file, size_t line)
{
	struct doctor_place p = { "" };
	if (file && line)
		snprintf(p.text, sizeof(p.text), "%.*s:%zu", DOCTOR_PATH - 1, file, line);
	else if (file)
		snprintf(p.text, sizeof(p.text), "%.*s", DOCTOR_PATH - 1, file);
	return p;
}

struct doctor_place doctor_at_pid(pid_t pid, const char *file)
{
	struct doctor_place p;
	snprintf(p.text, sizeof(p.text), "/proc/%d/%s", pid, file);
	return p;
}

struct doctor_number doctor_number(int64_t v)
{
	struct doctor_number n;
	snprintf(n.text, sizeof(n.text), "%" PRId64, v);
	return n;
}

struct doctor_line doctor_first_line(const struct buf *complaints, const char *otherwise)
{
	struct doctor_line line;
	struct slice text = buf_slice(complaints), first = slice_take_line(&text);
	if (!first.n || !kf_ok(slice_to_text(first, line.text, sizeof(line.text))))
		snprintf(line.text, sizeof(line.text), "%s", otherwise);
	return line;
}

/* ---- findings ---- */

static char *copy(const char *text)
{
	char *s = strdup(text ? text : "");
	if (!s)
		abort();
	return s;
}

/* As one word of a shell: remedies are pasted, and facts come from files that may be anybody's. */
static void add_word(struct buf *b, const char *fact)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./:@%+=,-";
	if (*fact && fact[strspn(fact, safe)] == 0) {
		buf_add_text(b, fact);
		return;
	}
	buf_add_u8(b, '\'');
	for (; *fact; fact++)
		if (*fact == '\'')
			buf_add_text(b, "'\\''");
		else
			buf_add_u8(b, (uint8_t)*fact);
	buf_add_u8(b, '\'');
}

/* {1}, or as it stands {=1}: the length of it, and which fact; 0: it is neither. */
static size_t read_place(const char *text, size_t *ret_fact)
{
	bool is_plain = text[0] == '{' && text[1] == '=';
	const char *digit = text + 1 + is_plain;
	if (text[0] != '{' || *digit < '1' || *digit > '9' || digit[1] != '}')
		return 0;
	*ret_fact = (size_t)(*digit - '1');
	return 3 + is_plain;
}

/* A brace of another kind is itself. */
static char *fill_in(const char *text, const char *const *facts, bool is_remedy)
{
	size_t n = 0, fact = 0;
	while (facts && facts[n])
		n++;
	autobuf b = buf_new(65536);
	while (*text) {
		size_t length = read_place(text, &fact);
		if (!length || fact >= n)
			buf_add(&b, text, length = 1);
		else if (is_remedy && length == 3)
			add_word(&b, facts[fact]);
		else
			buf_add_text(&b, facts[fact]);
		text += length;
	}
	buf_add_u8(&b, 0);
	return copy(kf_ok(buf_err(&b)) ? (const char *)b.p : "too long to be shown");
}

static void add(struct doctor *d, const struct finding *f)
{
	struct finding *grown =
		reallocarray(d->findings, d->n_findings + 1, sizeof(*grown));
	if (!grown)
		abort();
	d->findings = grown;
	d->findings[d->n_findings++] = *f;
}

/* Check, state, place and text are what a finding is. */
static char *key_of(const struct finding *f)
{
	char *key;
	if (asprintf(&key, "%d %d %s\n%s", f->check, f->state, f->where, f->what) < 0)
		abort();
	return key;
}

static void forget(struct finding *f)
{
	free(f->where);
	free(f->what);
	free(f->remedy);
	free(f->key);
}

static void add_once(struct doctor *d, struct finding *f)
{
	static char is_there;
	f->key = key_of(f);
	if (kf_ok(map_put(&d->known, slice_of(f->key), &is_there)))
		add(d, f);
	else
		forget(f);
}

void doctor_add(struct doctor *d, enum doctor_check check, const char *where,
	const char *const *facts)
{
	const struct row *r = &rows[check];
	add_once(d, &(struct finding){ check, r->state, copy(where),
			    fill_in(r->text, facts, false),
			    fill_in(r->remedy, facts, true) });
}

void doctor_fine(struct doctor *d, enum doctor_check check, const char *where)
{
	add_once(d, &(struct finding){ check, DOCTOR_OK, copy(where),
			    copy(rows[check].looks_at), copy("") });
}

void doctor_unseen(
	struct doctor *d, enum doctor_check check, const char *where, const char *why)
{
	const char *const facts[] = { rows[check].looks_at, why, NULL };
	add_once(d, &(struct finding){ check, DOCTOR_UNSEEN, copy(where),
			    fill_in("not seen: {1}: {2}", facts, false), copy("") });
}

void doctor_stage(struct doctor *d, const struct stage *s)
{
	struct stage *grown = reallocarray(d->stages, d->n_stages + 1, sizeof(*grown));
	if (!grown)
		abort();
	d->stages = grown;
	d->stages[d->n_stages] = *s;
	d->stages[d->n_stages++].of = copy(s->of);
}

void doctor_forget(struct doctor *d)
{
	map_free(&d->known);
	for (size_t i = 0; i < d->n_findings; i++)
		forget(&d->findings[i]);
	for (size_t i = 0; i < d->n_stages; i++)
		free(d->stages[i].of);
	free(d->findings);
	free(d->stages);
}

/* ---- printing ---- */

static size_t count(const struct doctor *d, enum doctor_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < d->n_findings; i++)
		n += d->findings[i].state == state;
	return n;
}

/* PAIR_MATCHES is pair-matches outside. */
static void name_of(enum doctor_check check, char *ret, size_t size)
{
	size_t i = 0;
	for (const char *s = rows[check].id; *s && i + 1 < size; s++)
		ret[i++] = *s == '_' ? '-' : (char)tolower((unsigned char)*s);
	ret[i] = 0;
}

/* What a configuration or another process says could hold what a terminal takes as a command. */
static void print_text(const char *s)
{
	while (*s) {
		size_t n = cli_char(slice_of(s));
		printf("%.*s", n ? (int)n : 1, n ? s : "?");
		s += n ? n : 1;
	}
}

static void print_line(const char *name, const char *value)
{
	if (!*value)
		return;
	printf("        %-7s ", name);
	print_text(value);
	putchar('\n');
}

/* What is well is one line a check, however often it was looked at. */
static void print_fine(const struct finding *f, size_t n)
{
	printf("  %-4s  ", state_words[f->state]);
	print_text(f->what);
	if (*f->where) {
		printf("  (");
		print_text(f->where);
		if (n > 1)
			printf(" and %zu more", n - 1);
		putchar(')');
	}
	putchar('\n');
}

static void print_finding(const struct finding *f)
{
	printf("  %-4s  ", state_words[f->state]);
	print_text(f->what);
	putchar('\n');
	print_line("where", f->where);
	print_line("remedy", f->remedy);
}

static bool is_shown(const struct doctor *d, const struct finding *f)
{
	return f->state >= DOCTOR_WARN || !d->cli->is_quiet;
}

static void count_fine(const struct doctor *d, size_t ret[DOCTOR_CHECKS])
{
	memset(ret, 0, DOCTOR_CHECKS * sizeof(*ret));
	for (size_t i = 0; i < d->n_findings; i++)
		ret[d->findings[i].check] += d->findings[i].state == DOCTOR_OK;
}

static void print_state(const struct doctor *d, enum doctor_part part,
	enum doctor_state state, bool *has_title)
{
	size_t fine[DOCTOR_CHECKS];
	count_fine(d, fine);
	for (size_t i = 0; i < d->n_findings; i++) {
		const struct finding *f = &d->findings[i];
		if (f->state != state || rows[f->check].part != part || !is_shown(d, f) ||
			(state == DOCTOR_OK && !fine[f->check]))
			continue;
		if (!*has_title)
			printf("%s\n", part_titles[part]);
		*has_title = true;
		if (state == DOCTOR_OK)
			print_fine(f, fine[f->check]);
		else
			print_finding(f);
		fine[f->check] = 0;
	}
}

/* What is wrong first. */
static void print_part(const struct doctor *d, enum doctor_part part)
{
	bool has_title = false;
	for (int state = DOCTOR_FAIL; state >= DOCTOR_OK; state--)
		print_state(d, part, (enum doctor_state)state, &has_title);
}

static void print_stages(const struct doctor *d)
{
	for (size_t i = 0; i < d->n_stages; i++) {
		const struct stage *s = &d->stages[i];
		if (!i || strcmp(s->of, d->stages[i - 1].of) != 0) {
			printf("  where the time goes: ");
			print_text(s->of);
			putchar('\n');
		}
		printf("    %9.3f ms  %-36s %s\n", s->ms, s->name, s->how);
	}
}

static void print_summary(const struct doctor *d)
{
	printf("%zu failed, %zu warnings, %zu fine, %zu not seen%s\n",
		count(d, DOCTOR_FAIL), count(d, DOCTOR_WARN), count(d, DOCTOR_OK),
		count(d, DOCTOR_UNSEEN),
		count(d, DOCTOR_UNSEEN) && geteuid() ? " (root sees more)" : "");
}

static void print_for_people(const struct doctor *d)
{
	for (int part = DOCTOR_HOST; part <= DOCTOR_HANDSHAKE; part++)
		print_part(d, (enum doctor_part)part);
	if (!d->cli->is_quiet)
		print_stages(d);
	print_summary(d);
}

static void add_stage_row(struct table *t, const struct stage *s)
{
	char ms[32];
	snprintf(ms, sizeof(ms), "%.3f", s->ms);
	const char *cells[] = { "STAGE", "stage", "", s->name, s->of, s->how, ms };
	table_row(t, cells);
}

static void print_as_json(const struct doctor *d)
{
	static const char *const titles[] = { "STATE", "ID", "PART", "WHAT", "WHERE",
		"REMEDY", "MS" };
	static const char *const words[] = { "OK", "UNSEEN", "WARN", "FAIL" };
	struct table *t = table_new(d->cli, titles, 7);
	for (size_t i = 0; i < d->n_findings; i++) {
		const struct finding *f = &d->findings[i];
		char name[64];
		name_of(f->check, name, sizeof(name));
		const char *cells[] = { words[f->state], name,
			part_titles[rows[f->check].part], f->what, f->where, f->remedy,
			"" };
		table_row(t, cells);
	}
	for (size_t i = 0; i < d->n_stages; i++)
		add_stage_row(t, &d->stages[i]);
	kf_err e = table_end(t, KF_OK);
	(void)e;
}

int doctor_print(const struct doctor *d)
{
	if (d->cli->is_json)
		print_as_json(d);
	else
		print_for_people(d);
	return count(d, DOCTOR_FAIL) ? 2 : count(d, DOCTOR_WARN) ? 1 : 0;
}

/* For the manual and for people who want to know what is looked at. */
void doctor_list_checks(void)
{
	int part = -1;
	for (size_t i = 0; i < DOCTOR_CHECKS; i++) {
		char name[64];
		if ((int)rows[i].part != part)
			printf("[%s]\n", part_titles[part = (int)rows[i].part]);
		name_of((enum doctor_check)i, name, sizeof(name));
		printf("  %s = %s\n      %s\n      remedy: %s\n", name,
			state_words[rows[i].state], rows[i].looks_at, rows[i].remedy);
	}
}
