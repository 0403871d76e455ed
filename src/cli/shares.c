/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shares.h"
#include "base/conf.h"
#include "base/mem.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 128, PASSWORD_MIN = 6, ITERATIONS_MAX = 1000000000 };

void shares_freep(struct shares **s) { secret_free(*s); }

/* In locked memory, with what was typed. */
struct password {
	size_t n;
	char text[SHARE_PASSWORD_MAX + 2], again[SHARE_PASSWORD_MAX + 2];
	struct part part[PARTS_MAX];
};
static void password_freep(struct password **p) { secret_free(*p); }

static kf_err password_new(struct password **ret)
{
	*ret = secret_alloc(sizeof(**ret));
	return *ret ? KF_OK : kf_fail(NOMEM, "no locked memory for a password");
}

/* ---- numbers of options ---- */

static kf_err read_number(const struct cli *c, const char *what, const char *text,
	unsigned long max, unsigned long *ret)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v == 0 || v > max) {
		cli_note(c, "%s %s: a number from 1 to %lu", what, text, max);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*ret = v;
	return KF_OK;
}

static kf_err iterations_of(
	const struct cli *c, const struct shares_options *o, uint32_t *ret)
{
	unsigned long n = SHARE_ITERATIONS;
	if (o->iterations)
		KF_TRY(read_number(c, "--iterations", o->iterations, ITERATIONS_MAX, &n));
	*ret = (uint32_t)n;
	return KF_OK;
}

/* ---- passwords ---- */

static kf_err from_file(const struct cli *c, const char *file, struct password *p)
{
	autobuf bytes = buf_new(4096);
	KF_TRY(cli_read_secret(c, file, &bytes));
	if (bytes.n == 0 || bytes.n > SHARE_PASSWORD_MAX)
		return cli_file_error(c, file,
			kf_fail(INVALID_FIELD, "a password has 1 to 256 characters"));
	memcpy(p->text, bytes.p, bytes.n);
	p->n = bytes.n;
	return KF_OK;
}

static kf_err no_terminal(const struct cli *c)
{
	cli_note(c, "a password is needed, and there is no terminal to ask at: "
		    "--password-file");
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err from_terminal(
	const struct cli *c, const char *file, bool twice, struct password *p)
{
	char question[512];
	snprintf(question, sizeof(question), "password of %s", file);
	int n = terminal_ask(question, p->text, SHARE_PASSWORD_MAX + 1);
	if (n < 1)
		return no_terminal(c);
	if (twice && n < PASSWORD_MIN)
		return kf_fail(INVALID_FIELD, "a password has six characters or more");
	if (twice && (terminal_ask("again", p->again, SHARE_PASSWORD_MAX + 1) != n ||
			     memcmp(p->text, p->again, (size_t)n) != 0))
		return kf_fail(INVALID_FIELD, "the two passwords are not the same");
	p->n = (size_t)n;
	return KF_OK;
}

/* ---- passwords in parts ---- */

/* Typed at a terminal that does not show it, or a line of standard input. */
static kf_err ask_line(const struct cli *c, const char *what, char *ret, int size)
{
	if (isatty(STDIN_FILENO))
		return terminal_ask(what, ret, size) > 0 ? KF_OK : no_terminal(c);
	for (int n = 0; n < size - 1; n++) {
		if (read(STDIN_FILENO, ret + n, 1) != 1)
			return no_terminal(c);
		if (ret[n] != '\n')
			continue;
		ret[n] = 0;
		return KF_OK;
	}
	return kf_fail(TOO_BIG, "the line is too long");
}

static kf_err ask_number(
	const struct cli *c, const char *what, struct password *p, uint64_t *ret)
{
	KF_TRY(ask_line(c, what, p->again, LINE_MAX_SIZE));
	return part_number(slice_of(p->again), ret);
}

/* What was typed is not told back: it may be the part's value. */
static kf_err ask_id(
	const struct cli *c, const char *what, struct password *p, unsigned *ret)
{
	enum { ID_MAX = 255 };
	char *end;
	KF_TRY(ask_line(c, what, p->again, LINE_MAX_SIZE));
	unsigned long id = strtoul(p->again, &end, 10);
	if (p->again[0] < '1' || p->again[0] > '9' || *end || id > ID_MAX)
		return kf_fail(INVALID_FIELD, "a share ID is a number from 1 to 255");
	*ret = (unsigned)id;
	return KF_OK;
}

static kf_err ask_part(const struct cli *c, unsigned i, unsigned n, struct password *p)
{
	char what[64];
	snprintf(what, sizeof(what), "part %u of %u: share ID", i + 1, n);
	KF_TRY(ask_id(c, what, p, &p->part[i].id));
	p->part[i].prime = p->part[0].prime;
	snprintf(what, sizeof(what), "part %u of %u: share value", i + 1, n);
	return ask_number(c, what, p, &p->part[i].value);
}

static kf_err from_parts(const struct cli *c, const char *text, struct password *p)
{
	unsigned long n;
	KF_TRY(read_number(c, "--parts", text, PARTS_MAX, &n));
	KF_TRY(ask_number(c, "prime", p, &p->part[0].prime));
	for (unsigned i = 0; i < n; i++)
		KF_TRY(ask_part(c, i, (unsigned)n, p));
	return parts_join(p->part, n, (uint8_t *)p->text, &p->n);
}

static kf_err read_password(const struct cli *c, const struct shares_options *o, size_t i,
	const char *file, struct password *p)
{
	if (i < o->password_files.n)
		return from_file(c, o->password_files.item[i], p);
	if (o->parts)
		return from_parts(c, o->parts, p);
	return from_terminal(c, file, false, p);
}

/* ---- the work, and its bar ---- */

struct work {
	const struct cli *cli;
	struct progress bar;
};

static void show(void *arg, double part)
{
	struct work *w = arg;
	progress_show(&w->bar, w->cli, part);
}

static struct share_work work_with(
	const struct password *p, uint32_t iterations, struct work *w)
{
	return (struct share_work){ .password = { (const uint8_t *)p->text, p->n },
		.iterations = iterations,
		.show = show,
		.arg = w };
}

/* ---- open ---- */

static kf_err open_share(
	struct cli *c, const struct shares_options *o, size_t i, uint8_t *ret)
{
	const char *file = o->files.item[i];
	CLEANUP(password_freep) struct password *p = NULL;
	autobuf bytes = buf_new(4096), why = buf_new(4096);
	struct work w = { c, progress_start("opening a DKEK share") };
	uint32_t iterations;
	kf_err e = conf_read_file(file, &bytes, &why);
	if (!kf_ok(e)) {
		cli_note_lines(c, &why);
		return e;
	}
	KF_TRY(iterations_of(c, o, &iterations));
	KF_TRY(password_new(&p));
	KF_TRY(read_password(c, o, i, file, p));
	const struct share_work work = work_with(p, iterations, &w);
	e = share_open(buf_slice(&bytes), &work, ret);
	progress_done(&w.bar, c);
	return cli_file_error(c, file, e);
}

kf_err shares_read(struct cli *c, const struct shares_options *o, struct shares **ret)
{
	CLEANUP(shares_freep) struct shares *s = secret_alloc(sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "no locked memory for DKEK shares");
	if (o->files.n > SHARES_MAX)
		return kf_fail(INVALID_FIELD, "sixteen shares at most");
	for (size_t i = 0; i < o->files.n; i++) {
		KF_TRY(open_share(c, o, i, s->share[i]));
		s->n++;
	}
	*ret = s;
	s = NULL;
	return KF_OK;
}

kf_err shares_dkek(const struct shares *s, struct dkek **ret)
{
	CLEANUP(dkek_freep) struct dkek *d = NULL;
	KF_TRY(dkek_new(&d));
	for (size_t i = 0; i < s->n; i++)
		KF_TRY(dkek_add(d, s->share[i]));
	*ret = d;
	d = NULL;
	return KF_OK;
}

/* ---- make ---- */

static void print_hex(FILE *out, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		fprintf(out, "%02X%s", (unsigned)(v >> shift) & 0xff, shift ? ":" : "\n");
}

/* At a terminal one person after the other: what the one before saw is cleared, scrolled lines too. */
static void next_person(void)
{
	char c;
	puts("\nNote it, then press Enter: the screen is cleared for the next person.");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
	fputs("\033[H\033[2J\033[3J", stdout);
}

/* As sc-hsm-tool shows them, so that its users find them again. */
static kf_err print_parts(const struct password *p, unsigned threshold, unsigned total)
{
	printf("Any %u of these %u parts open the share.  Each is for another person:\n",
		threshold, total);
	for (unsigned i = 0; i < total; i++) {
		printf("\nPart %u of %u\nPrime       : ", i + 1, total);
		print_hex(stdout, p->part[i].prime);
		printf("Share ID    : %u\nShare value : ", p->part[i].id);
		print_hex(stdout, p->part[i].value);
		if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
			next_person();
	}
	return fflush(stdout) || ferror(stdout)
		       ? kf_fail(IO, "the parts cannot be shown: no share was made")
		       : KF_OK;
}

static kf_err choose_password(const struct cli *c, const struct shares_options *o,
	const char *file, unsigned threshold, unsigned total, struct password *p)
{
	if (total) {
		p->n = PARTS_PASSWORD_SIZE;
		return parts_make(threshold, total, (uint8_t *)p->text, p->part);
	}
	if (o->password_files.n)
		return from_file(c, o->password_files.item[0], p);
	return from_terminal(c, file, true, p);
}

static kf_err seal(struct cli *c, const struct share_work *work, struct buf *ret)
{
	CLEANUP(shares_freep) struct shares *s = secret_alloc(sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "no locked memory for a DKEK share");
	if (RAND_priv_bytes(s->share[0], SHARE_SIZE) != 1)
		return kf_fail(CRYPTO, "no random bytes");
	kf_err e = share_close(s->share[0], work, ret);
	progress_done(&((struct work *)work->arg)->bar, c);
	return e;
}

kf_err shares_make(struct cli *c, const struct shares_options *o, const char *file,
	unsigned threshold, unsigned total)
{
	CLEANUP(password_freep) struct password *p = NULL;
	autobuf bytes = buf_new(SHARE_FILE_SIZE);
	struct work w = { c, progress_start("enciphering a DKEK share") };
	uint32_t iterations;
	if (access(file, F_OK) == 0)
		return cli_file_error(c, file,
			kf_fail(EXISTS,
				"there is such a file: a share that is lost cannot "
				"be made again"));
	KF_TRY(iterations_of(c, o, &iterations));
	KF_TRY(password_new(&p));
	KF_TRY(choose_password(c, o, file, threshold, total, p));
	const struct share_work work = work_with(p, iterations, &w);
	KF_TRY(seal(c, &work, &bytes));
	if (total)
		KF_TRY(print_parts(p, threshold, total));
	return cli_file_error(c, file, file_create(file, buf_slice(&bytes), 0600));
}
