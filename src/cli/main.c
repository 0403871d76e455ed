/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet: the administrator's tool.
 */
#include "base/mem.h"
#include "cli/cli.h"
#include "client/settings.h"
#include "keyfleet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
#define COMMAND(id) &id,
#include "cli/command.def"
#undef COMMAND
};
enum { ARGUMENTS_MAX = 64 }; /* of a plug-in */
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* "key" of "key create"; NULL is of every command. */
static bool is_of_group(const struct command *c, const char *group)
{
	size_t n = group ? strlen(group) : 0;
	return !group || (!strncmp(c->words, group, n) && c->words[n] == ' ');
}

static bool is_group(const char *word)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (is_of_group(commands[i], word))
			return true;
	return false;
}

/* All commands, or those of a group. */
static void print_usage(FILE *out, const char *group)
{
	fputs("usage: keyfleet [--config FILE] [--json] [--quiet] COMMAND "
	      "[ARGUMENT...]\n\n",
		out);
	for (size_t i = 0; i < COMMANDS; i++)
		if (is_of_group(commands[i], group))
			fprintf(out, "  %-16s %s\n", commands[i]->words,
				commands[i]->summary);
	fputs("\nkeyfleet COMMAND --help tells the rest.  --config is $KEYFLEET_CONFIG, "
	      "else\n"
	      "/etc/keyfleet/client.conf.  --options prints every option of that file, "
	      "--version the\n"
	      "version.\n",
		out);
}

static void print_options(void)
{
	autobuf text = buf_new(1 << 16);
	settings_print_manual(&text);
	fwrite(text.p, 1, text.n, stdout);
}

/* --version, --options: true when that was all. */
static bool answers_alone(const struct cli *c)
{
	if (c->argc && !strcmp(c->argv[0], "--version"))
		puts("keyfleet " KEYFLEET_VERSION);
	else if (c->argc && !strcmp(c->argv[0], "--options"))
		print_options();
	else
		return false;
	return true;
}

static void print_command(const struct command *c)
{
	printf("usage: keyfleet %s %s\n\n%s\n", c->words, c->args, c->summary);
	if (c->help)
		printf("\n%s", c->help);
}

/* How many of the arguments are the command's words; 0: it is another command. */
static int matches(const struct command *c, int argc, char **argv)
{
	const char *at = c->words;
	for (int i = 0; i < argc; i++) {
		size_t n = strcspn(at, " ");
		if (strlen(argv[i]) != n || strncmp(argv[i], at, n) != 0)
			return 0;
		at += n;
		if (!*at)
			return i + 1;
		at++;
	}
	return 0;
}

/* The longest that fits: "adopt list" is not "adopt" with an operand. */
static const struct command *find_command(int argc, char **argv, int *ret_words)
{
	const struct command *found = NULL;
	*ret_words = 0;
	for (size_t i = 0; i < COMMANDS; i++) {
		int words = matches(commands[i], argc, argv);
		if (words <= *ret_words)
			continue;
		found = commands[i];
		*ret_words = words;
	}
	return found;
}

/* Global options may stand anywhere; they are taken out. */
static kf_err take_globals(struct cli *c)
{
	int kept = 0;
	for (int i = 0; i < c->argc; i++) {
		if (!strcmp(c->argv[i], "--json")) {
			c->is_json = true;
		} else if (!strcmp(c->argv[i], "--quiet")) {
			c->is_quiet = true;
		} else if (!strcmp(c->argv[i], "--config")) {
			if (++i == c->argc)
				return kf_fail(INVALID_FIELD, "--config needs a file");
			c->config = c->argv[i];
		} else {
			c->argv[kept++] = c->argv[i];
		}
	}
	c->argc = kept;
	return KF_OK;
}

static bool wants_help(const struct cli *c)
{
	for (int i = 0; i < c->argc; i++)
		if (!strcmp(c->argv[i], "--help") || !strcmp(c->argv[i], "-h"))
			return true;
	return false;
}

static int report(const struct cli *c, kf_err e)
{
	if (kf_ok(e))
		return EXIT_SUCCESS;
	/* A usage error's text says what to do, whatever was noted before it. */
	if (!*c->has_told || kf_is(e, KF_E_INVALID_FIELD))
		cli_note(c, "%s", e.site->text);
	return kf_is(e, KF_E_INVALID_FIELD) ? 2 : EXIT_FAILURE;
}

static int run(struct cli *c, const struct command *command)
{
	kf_err e = command->run(c);
	kf_client_free(c->client);
	if (kf_ok(e) && fflush(stdout))
		e = kf_fail(IO, "standard output cannot be written");
	return kf_ok(e) ? c->exit_status : report(c, e);
}

/* No command, an unknown one, or half of one. */
static int explain(const struct cli *c)
{
	const char *group = c->argc && is_group(c->argv[0]) ? c->argv[0] : NULL;
	bool is_asked = c->argc && wants_help(c);
	if (group && c->argc > 1 && !is_asked)
		cli_note(c, "unknown command: %s %s", group, c->argv[1]);
	else if (c->argc && !group && !is_asked)
		cli_note(c, "unknown command: %s", c->argv[0]);
	print_usage(is_asked ? stdout : stderr, group);
	return is_asked ? EXIT_SUCCESS : 2;
}

/* As monitoring systems call it: check_keyfleet server ... is `keyfleet check server ...`. */
static void take_plugin_name(int *argc, char ***argv, char *room[])
{
	const char *slash = strrchr((*argv)[0], '/');
	if (strcmp(slash ? slash + 1 : (*argv)[0], "check_keyfleet") != 0 ||
		*argc > ARGUMENTS_MAX)
		return;
	static char word[] = "check";
	room[0] = (*argv)[0];
	room[1] = word;
	memcpy(room + 2, *argv + 1, (size_t)*argc * sizeof(char *)); /* with the NULL */
	++*argc;
	*argv = room;
}

int main(int argc, char **argv)
{
	char *room[ARGUMENTS_MAX + 2];
	if (argc > 0)
		take_plugin_name(&argc, &argv, room);
	const char *config = getenv("KEYFLEET_CONFIG");
	mem_forbid_dumps(); /* keys to import and the authority's pass through here */
	bool has_told = false;
	struct cli c = {
		.has_told = &has_told,
		.config = config && *config ? config : "/etc/keyfleet/client.conf",
		.argc = argc - 1,
		.argv = argv + 1,
	};
	kf_err e = take_globals(&c);
	if (!kf_ok(e))
		return report(&c, e);
	if (answers_alone(&c))
		return EXIT_SUCCESS;

	int words = 0;
	const struct command *command = find_command(c.argc, c.argv, &words);
	if (!command)
		return explain(&c);
	c.argc -= words;
	c.argv += words;
	if (wants_help(&c)) {
		print_command(command);
		return EXIT_SUCCESS;
	}
	return run(&c, command);
}
