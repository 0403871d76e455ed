/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet completion: a completion script for bash, made from the table of commands.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
#define COMMAND(id) &id,
#include "cli/command.def"
#undef COMMAND
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static bool is_first_of_its_word(size_t i, size_t n)
{
	for (size_t j = 0; j < i; j++)
		if (!strncmp(commands[j]->words, commands[i]->words, n) &&
			strcspn(commands[j]->words, " ") == n)
			return false;
	return true;
}

static void print_first_words(void)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		size_t n = strcspn(commands[i]->words, " ");
		if (is_first_of_its_word(i, n))
			printf("%.*s ", (int)n, commands[i]->words);
	}
}

static void print_second_words(void)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const char *words = commands[i]->words;
		size_t n = strcspn(words, " ");
		if (!words[n] || !is_first_of_its_word(i, n))
			continue;
		printf("\t\t%.*s) words=\"", (int)n, words);
		for (size_t j = i; j < COMMANDS; j++)
			if (!strncmp(commands[j]->words, words, n + 1))
				printf("%s ", commands[j]->words + n + 1);
		puts("\" ;;");
	}
}

/* Every `--name` of a command's usage line and option list, once. */
static void print_options(const struct command *c)
{
	const char *texts[] = { c->args, c->help ? c->help : "" };
	const char *seen[32];
	size_t n = 0;
	for (size_t i = 0; i < 2; i++) {
		for (const char *p = texts[i]; (p = strstr(p, "--")); p += 2) {
			size_t length = 2 + strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-");
			bool is_new = length > 2 && n < 32;
			for (size_t j = 0; j < n && is_new; j++)
				is_new = strncmp(seen[j], p, length) != 0;
			if (!is_new)
				continue;
			seen[n++] = p;
			printf("%.*s ", (int)length, p);
		}
	}
}

static void print_script(void)
{
	fputs("# bash completion for keyfleet: source this, or install it as\n"
	      "# /usr/share/bash-completion/completions/keyfleet\n"
	      "_keyfleet()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words= i\n"
	      "\t# what stands before the word, without the options of every command\n"
	      "\tlocal said=()\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t--config) i=$((i + 1)) ;;\n"
	      "\t\t--json|--quiet) ;;\n"
	      "\t\t*) said+=(\"${COMP_WORDS[i]}\") ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif [ ${#said[@]} = 0 ]; then\n\t\twords=\"--config --json --quiet ",
		stdout);
	print_first_words();
	fputs("\"\n\telif [ ${#said[@]} = 1 ]; then\n\t\tcase ${said[0]} in\n", stdout);
	print_second_words();
	fputs("\t\tesac\n\tfi\n\tcase \"${said[0]} ${said[1]}\" in\n", stdout);
	for (size_t i = 0; i < COMMANDS; i++) {
		printf("\t\"%s%s\"*) words+=\" ", commands[i]->words,
			strchr(commands[i]->words, ' ') ? "" : " ");
		print_options(commands[i]);
		puts("\" ;;");
	}
	fputs("\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"; compgen -f "
	      "-- \"$cur\")\n"
	      "}\ncomplete -o filenames -F _keyfleet keyfleet\n",
		stdout);
}

static kf_err run(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 1));
	if (c->argc && strcmp(c->argv[0], "bash") != 0)
		return kf_fail(INVALID_FIELD, "there is completion for bash");
	print_script();
	return KF_OK;
}

const struct command command_completion = {
	.words = "completion",
	.args = "[bash]",
	.summary = "print the completion script for bash",
	.run = run,
};
