/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include <string.h>

static const struct cli_option *find(
	const struct cli_option *options, size_t n, const char *name, size_t length)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(options[i].name) == length &&
			!strncmp(options[i].name, name, length))
			return &options[i];
	return NULL;
}

static kf_err add(struct cli *c, const struct cli_option *o, const char *value)
{
	if (o->list->n == CLI_LIST_MAX) {
		cli_note(c, "--%s takes %d values at most", o->name, CLI_LIST_MAX);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	o->list->item[o->list->n++] = value;
	return KF_OK;
}

/* --name=VALUE, or all arguments up to the next option. */
static kf_err take_list(
	struct cli *c, const struct cli_option *o, const char *equals, int *i)
{
	if (*equals == '=')
		return add(c, o, equals + 1);
	size_t before = o->list->n;
	while (*i + 1 < c->argc && strncmp(c->argv[*i + 1], "--", 2) != 0) {
		KF_TRY(add(c, o, c->argv[++*i]));
		if (o->takes_one)
			break;
	}
	if (o->list->n > before)
		return KF_OK;
	cli_note(c, "--%s needs a value", o->name);
	return kf_fail(INVALID_FIELD, "see --help");
}

/* --name VALUE, --name=VALUE or --flag at argv[*i]; moves *i past a separate value. */
static kf_err take_option(
	struct cli *c, const struct cli_option *options, size_t n, int *i)
{
	const char *name = c->argv[*i] + 2;
	size_t length = strcspn(name, "=");
	const struct cli_option *o = find(options, n, name, length);
	if (!o) {
		cli_note(c, "unknown option: --%.*s", (int)length, name);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	if (o->flag) {
		*o->flag = true;
		return KF_OK;
	}
	if (o->list)
		return take_list(c, o, name + length, i);
	if (name[length] == '=') {
		*o->value = name + length + 1;
		return KF_OK;
	}
	if (*i + 1 >= c->argc) {
		cli_note(c, "--%s needs a value", o->name);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*o->value = c->argv[++*i];
	return KF_OK;
}

kf_err cli_options(struct cli *c, const struct cli_option *options, size_t n)
{
	int kept = 0;
	bool is_over = false; /* after "--" everything is an operand */
	for (int i = 0; i < c->argc; i++) {
		if (!is_over && !strcmp(c->argv[i], "--"))
			is_over = true;
		else if (!is_over && !strncmp(c->argv[i], "--", 2))
			KF_TRY(take_option(c, options, n, &i));
		else
			c->argv[kept++] = c->argv[i];
	}
	c->argc = kept;
	return KF_OK;
}

kf_err cli_operands(struct cli *c, int min, int max)
{
	if (c->argc < min)
		return kf_fail(INVALID_FIELD, "too few arguments; see --help");
	if (c->argc > max) {
		cli_note(c, "what is `%s`?", c->argv[max]);
		return kf_fail(INVALID_FIELD, "too many arguments; see --help");
	}
	return KF_OK;
}
