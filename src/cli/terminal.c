/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets from the terminal, which does not show them, and shows everything again whatever happens; and from files.
 */
#include "base/conf.h"
#include "cli/cli.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
enum { ENDS = sizeof(ends) / sizeof(ends[0]) };

static struct termios as_it_was; /* signals have no other way back */

/* tcsetattr() and raise() may be called in a handler (POSIX).  The handler is gone when it runs, so the
 * signal that is raised does what it always does as soon as this returns. */
static void give_back(int number)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
	raise(number);
}

static void catch (struct sigaction *before)
{
	struct sigaction mine = { .sa_handler = give_back,
		.sa_flags = (int)SA_RESETHAND };
	for (size_t i = 0; i < ENDS; i++) {
		sigaction(ends[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(ends[i], &mine, NULL);
	}
}

static void release(const struct sigaction *before)
{
	for (size_t i = 0; i < ENDS; i++)
		sigaction(ends[i], &before[i], NULL);
}

/* A line at a time comes from a terminal.  Not through stdio, whose buffer nobody wipes. */
static ssize_t read_line(char *into, size_t size)
{
	ssize_t n;
	do
		n = read(STDIN_FILENO, into, size);
	while (n < 0 && errno == EINTR);
	return n;
}

int terminal_ask(const char *what, char *into, int size)
{
	struct sigaction before[ENDS];
	if (size < 2 || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &as_it_was))
		return -1;
	struct termios quiet = as_it_was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_cc[VSUSP] =
		_POSIX_VDISABLE; /* who comes back from a pause would type in the open */
	catch (before);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fprintf(stderr, "%s: ", what);
	ssize_t n = read_line(into, (size_t)size);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
	release(before);
	fputc('\n', stderr);
	if (n < 1 || into[n - 1] != '\n') /* an end without a line, or more than fits */
		return -1;
	into[n - 1] = 0;
	return (int)n - 1;
}

kf_err cli_read_secret(const struct cli *c, const char *file, struct buf *ret)
{
	autobuf why = buf_new(4096);
	kf_err e = conf_read_secret(file, ret, &why);
	if (!kf_ok(e))
		cli_note_lines(c, &why);
	while (ret->n && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == '\r'))
		ret->n--;
	return e;
}
