/* SPDX-License-Identifier: Apache-2.0
 *
 * vhsm: virtual SmartCard-HSMs for pcscd.
 */
#include "base/mem.h"
#include "vhsm/link.h"
#include "vhsm/server.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
	const char *dir, *socket, *time, *readers, *driver;
	size_t cards;
	bool is_help;
};

static const char usage[] =
	"vhsm --dir DIR --socket PATH [options]\n"
	"    Virtual SmartCard-HSMs, for development, demos and tests.  NOT for keys "
	"that matter:\n"
	"    they lie in the clear in DIR/card-N.\n"
	"\n"
	"    --dir DIR           where the cards are kept; blank ones are made\n"
	"    --cards N           how many (1)\n"
	"    --socket PATH       Unix socket for readers and `vhsm ctl`\n"
	"    --time NAME=MS,...  how long operations take; names are below\n"
	"    --readers FILE      writes the configuration of the readers for `pcscd "
	"--config`\n"
	"    --driver PATH       of libifdvhsm.so, for --readers\n"
	"    --version\n"
	"\n"
	"vhsm ctl PATH status\n"
	"vhsm ctl PATH card N|all FAULT\n"
	"    unplug | replug               out of the reader, back into it\n"
	"    reset                         loses its login and the command at work\n"
	"    hang [N] | resume             answers no more, from the next command or the "
	"N-th on\n"
	"    garbage N | short N           the next N answers are noise, or cut\n"
	"    wrong N                       the next N signatures and decryptions have a "
	"wrong bit\n"
	"    sw XXXX N                     the next N answers are this status word\n"
	"    pin-blocked                   the user PIN has no tries left\n"
	"    uses KEY N                    the key reference may be used N times more\n"
	"    slow FACTOR                   everything takes FACTOR times as long\n"
	"    time NAME=MS,...              as --time\n"
	"    apdu-max N                    longer commands are refused; 0: any length\n"
	"    heal                          no more faults\n"
	"\n"
	"times:\n";

static void print_help(void)
{
	autobuf times = buf_new(8192);
	vhsm_times(&times);
	printf("%s%.*s", usage, (int)times.n, (const char *)times.p);
}

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "vhsm: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

static int control(int n, char **words)
{
	autobuf line = buf_new(4096), answer = buf_new(LINK_FRAME_MAX);
	CLEANUP(mem_closep) int fd = -1;
	if (n < 2)
		return complain("ctl",
			"say `vhsm ctl PATH status` or `vhsm ctl PATH card N FAULT`");
	for (int i = 1; i < n; i++) {
		buf_add_text(&line, i > 1 ? " " : "");
		buf_add_text(&line, words[i]);
	}
	kf_err e = link_connect(words[0], &fd);
	if (kf_ok(e))
		e = link_ask(fd, LINK_TELL, buf_slice(&line), &answer);
	if (kf_is(e, KF_E_DENIED)) {
		fprintf(stderr, "vhsm: %.*s\n", (int)answer.n, (const char *)answer.p);
		return EXIT_FAILURE;
	}
	if (!kf_ok(e))
		return complain(words[0], e.site->text);
	printf("%.*s", (int)answer.n, (const char *)answer.p);
	return EXIT_SUCCESS;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = { { "dir", 1, NULL, 'd' },
		{ "cards", 1, NULL, 'n' }, { "socket", 1, NULL, 's' },
		{ "time", 1, NULL, 't' }, { "readers", 1, NULL, 'r' },
		{ "driver", 1, NULL, 'l' }, { "help", 0, NULL, 'h' },
		{ "version", 0, NULL, 'v' }, { 0 } };
	for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		switch (c) {
		case 'd': o->dir = optarg; break;
		case 'n': o->cards = strtoul(optarg, NULL, 10); break;
		case 's': o->socket = optarg; break;
		case 't': o->time = optarg; break;
		case 'r': o->readers = optarg; break;
		case 'l': o->driver = optarg; break;
		case 'v': printf("vhsm %s\n", KEYFLEET_VERSION); exit(EXIT_SUCCESS);
		case 'h': o->is_help = true; return true;
		default: return false;
		}
	}
	return optind == argc;
}

/* One reader a card; its name ends in "00 00", which pcscd adds. */
static bool write_readers(const struct options *o)
{
	char socket[PATH_MAX], driver[PATH_MAX];
	FILE *f = realpath(o->socket, socket) && realpath(o->driver, driver)
			  ? fopen(o->readers, "we")
			  : NULL;
	for (size_t i = 1; f && i <= o->cards; i++)
		fprintf(f,
			"FRIENDLYNAME \"vhsm %zu\"\nDEVICENAME %s:%zu\nLIBPATH %s\n"
			"CHANNELID %zu\n\n",
			i, socket, i, driver, i);
	return f && fclose(f) == 0;
}

static int serve(const struct options *o)
{
	static struct server s;
	char dir[PATH_MAX];
	if (mkdir(o->dir, 0700) < 0 && errno != EEXIST)
		return complain(o->dir, strerror(errno));
	if (!realpath(o->dir, dir))
		return complain(o->dir, strerror(errno));
	kf_err e = link_listen(o->socket, &s.listener);
	if (!kf_ok(e))
		return complain(o->socket, e.site->text);
	e = server_open_cards(&s, dir, o->cards);
	for (size_t i = 0; kf_ok(e) && o->time && i < s.n_cards; i++) {
		autobuf line = buf_new(4096);
		buf_printf(&line, "time %s%c", o->time, 0);
		e = vhsm_tell(s.cards[i], (const char *)line.p);
	}
	if (!kf_ok(e))
		return complain(dir, e.site->text);
	if (o->readers && !write_readers(o))
		return complain(o->readers, strerror(errno));
	printf("vhsm: %zu cards at %s\n", s.n_cards, o->socket);
	fflush(stdout);
	e = server_run(&s);
	return complain(o->socket, e.site->text);
}

int main(int argc, char **argv)
{
	struct options o = { .cards = 1 };
	if (argc > 1 && !strcmp(argv[1], "ctl") && (argc < 3 || argv[2][0] != '-'))
		return control(argc - 2, argv + 2);
	bool is_good = argc > 1 && !strcmp(argv[1], "ctl") ? (o.is_help = true)
							   : read_options(argc, argv, &o);
	if (o.is_help) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (!is_good || !o.dir || !o.socket)
		return complain(
			"usage", "--dir and --socket are needed; see vhsm --help");
	if (o.cards < 1 || o.cards > SERVER_CARDS_MAX)
		return complain("--cards", "1 to 64");
	if (o.readers && !o.driver)
		return complain("--readers", "needs --driver, the path of libifdvhsm.so");
	return serve(&o);
}
