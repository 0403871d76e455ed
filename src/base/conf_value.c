/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf_value.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *text;
	int64_t factor;
};

static const struct unit size_units[] = { { "", 1 }, { "K", 1024 }, { "M", 1024 * 1024 },
	{ "G", 1024 * 1024 * 1024 }, { NULL, 0 } };
static const struct unit duration_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

__attribute__((format(printf, 2, 3))) static bool fail(char *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, CONF_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits only: no sign but a minus, no spaces, no base.  Returns the rest, NULL when it is no number. */
static const char *get_number(const char *text, int64_t *ret)
{
	bool is_negative = *text == '-';
	text += is_negative;
	if (!is_digit(*text))
		return NULL;
	int64_t v = 0;
	for (; is_digit(*text); text++)
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, *text - '0', &v))
			return NULL;
	*ret = is_negative ? -v : v;
	return text;
}

static bool get_scaled(const char *text, const struct unit *u, int64_t *ret)
{
	int64_t v;
	const char *rest = get_number(text, &v);
	if (!rest)
		return false;
	if (v == 0 && *rest == 0) {
		*ret = 0;
		return true;
	}
	while (u->text && strcmp(u->text, rest) != 0)
		u++;
	return u->text && !__builtin_mul_overflow(v, u->factor, ret);
}

static bool is_in_range(const struct conf_option *o, int64_t v, char *why)
{
	bool is_open = o->min == 0 && o->max == 0;
	if (v >= o->min && (is_open || v <= o->max))
		return true;
	const char *unit = o->type == CONF_DURATION ? " ms"
			   : o->type == CONF_SIZE   ? " bytes"
						    : "";
	if (is_open)
		return fail(why, "is negative; give 0 or more");
	return fail(why, "is out of range; give %lld to %lld%s", (long long)o->min,
		(long long)o->max, unit);
}

static bool set_number(
	const struct conf_option *o, const char *text, void *field, char *why)
{
	static const struct {
		const struct unit *units;
		const char *want;
	} kinds[] = {
		[CONF_INTEGER] = { no_units, "a number" },
		[CONF_SIZE] = { size_units, "bytes, or a number with K, M or G" },
		[CONF_DURATION] = { duration_units, "a number with ms, s, m, h or d" },
	};
	int64_t v;
	if (!get_scaled(text, kinds[o->type].units, &v))
		return fail(why, "is not %s", kinds[o->type].want);
	if (!is_in_range(o, v, why))
		return false;
	*(int64_t *)field = v;
	return true;
}

static bool set_bool(const char *text, bool *field, char *why)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0) {
			*field = i % 2;
			return true;
		}
	return fail(why, "is neither yes nor no");
}

static bool set_enum(const char *const *words, const char *text, int *field, char *why)
{
	size_t used = 0;
	char list[CONF_WHY_MAX / 2] = "";
	for (int i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*field = i;
			return true;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
				i ? ", " : "", words[i]);
	}
	return fail(why, "is not one of: %s", list);
}

/* A copy of prefix + path, with the directory between them when the path is relative. */
static char *absolute(const char *prefix, const char *dir, const char *path)
{
	char *out = NULL;
	bool needs_dir = path[0] != '/' && dir[0];
	if (asprintf(&out, "%s%s%s%s", prefix, needs_dir ? dir : "", needs_dir ? "/" : "",
		    path) < 0)
		return NULL;
	return out;
}

static bool is_port(const char *text)
{
	int64_t port;
	const char *rest = get_number(text, &port);
	return rest && *rest == 0 && port >= 0 && port <= 65535;
}

static char *copy_address(const char *dir, const char *text, char *why)
{
	if (strncmp(text, "unix:@", 6) == 0 && text[6])
		return strdup(text);
	if (strncmp(text, "unix:", 5) == 0 && text[5] && text[5] != '@')
		return absolute("unix:", dir, text + 5);
	if (strncmp(text, "file:", 5) == 0 && text[5])
		return absolute("file:", dir, text + 5);
	const char *colon = strrchr(text, ':');
	bool is_bare_v6 =
		text[0] != '[' && colon && memchr(text, ':', (size_t)(colon - text));
	bool is_open = text[0] == '[' && colon && colon[-1] != ']';
	if (colon && colon > text && is_port(colon + 1) && !is_bare_v6 && !is_open)
		return strdup(text);
	fail(why, "is not an address; write HOST:PORT, [IPV6]:PORT, unix:PATH or "
		  "unix:@NAME");
	return NULL;
}

/* "credential:NAME" is a file of the folder that systemd makes for the service, "pool:NAME" no file. */
static char *copy_path(const char *dir, const char *text, char *why)
{
	static const char prefix[] = "credential:";
	const char *name = text + sizeof(prefix) - 1;
	if (strncmp(text, "pool:", 5) == 0)
		return strdup(text);
	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return absolute("", dir, text);
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	if (credentials && credentials[0] == '/' && *name && !strchr(name, '/'))
		return absolute("", credentials, name);
	fail(why, credentials ? "names no credential"
			      : "is not there: the service manager gave no credentials "
				"(LoadCredential=)");
	return NULL;
}

static char *copy_item(enum conf_type type, const char *dir, const char *text, char *why)
{
	fail(why, "cannot be kept: out of memory");
	switch ((int)type) {
	case CONF_PATH:
	case CONF_PATHS: return copy_path(dir, text, why);
	case CONF_ADDRESS:
	case CONF_ADDRESSES: return copy_address(dir, text, why);
	default: return strdup(text);
	}
}

static bool set_text(const struct conf_option *o, const char *dir, const char *text,
	char **field, char *why)
{
	if (!*text && o->type != CONF_TEXT)
		return fail(why, "is empty");
	char *copy = copy_item(o->type, dir, text, why);
	if (!copy)
		return false;
	free(*field);
	*field = copy;
	return true;
}

static void free_list(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i]);
	free(l->item);
	*l = (struct conf_list){ 0 };
}

static bool add_item(struct conf_list *l, char *item)
{
	char **bigger = item ? reallocarray(l->item, l->n + 1, sizeof(*bigger)) : NULL;
	if (!bigger) {
		free(item);
		return false;
	}
	l->item = bigger;
	l->item[l->n++] = item;
	return true;
}

static bool set_list(const struct conf_option *o, const char *dir, const char *text,
	struct conf_list *field, char *why)
{
	CLEANUP(free_list) struct conf_list l = { 0 };
	CLEANUP(mem_freep) char *copy = strdup(text);
	char *rest = NULL;
	for (char *word = copy ? strtok_r(copy, ", \t", &rest) : NULL; word;
		word = strtok_r(NULL, ", \t", &rest))
		if (!add_item(&l, copy_item(o->type, dir, word, why)))
			return false;
	free_list(field);
	*field = l;
	l = (struct conf_list){ 0 };
	return true;
}

bool conf_set(const struct conf_option *o, const char *dir, const char *text, void *field,
	char why[CONF_WHY_MAX])
{
	const char *remark = o->check ? o->check(text) : NULL;
	if (remark)
		return fail(why, "%s", remark);
	switch (o->type) {
	case CONF_INTEGER:
	case CONF_SIZE:
	case CONF_DURATION: return set_number(o, text, field, why);
	case CONF_BOOL: return set_bool(text, field, why);
	case CONF_ENUM: return set_enum(o->words, text, field, why);
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_ADDRESS: return set_text(o, dir, text, field, why);
	case CONF_LIST:
	case CONF_PATHS:
	case CONF_ADDRESSES: return set_list(o, dir, text, field, why);
	}
	return fail(why, "has a type that the table does not know");
}

void conf_clear(const struct conf_option *o, void *field)
{
	if (o->type == CONF_TEXT || o->type == CONF_PATH || o->type == CONF_ADDRESS)
		mem_freep(field);
	if (o->type == CONF_LIST || o->type == CONF_PATHS || o->type == CONF_ADDRESSES)
		free_list(field);
}

const char *conf_type_text(enum conf_type type)
{
	static const char *const texts[] = {
		[CONF_TEXT] = "TEXT",
		[CONF_PATH] = "PATH",
		[CONF_INTEGER] = "NUMBER",
		[CONF_SIZE] = "SIZE",
		[CONF_DURATION] = "DURATION",
		[CONF_BOOL] = "yes|no",
		[CONF_ADDRESS] = "ADDRESS",
		[CONF_ENUM] = "WORD",
		[CONF_LIST] = "TEXT...",
		[CONF_PATHS] = "PATH...",
		[CONF_ADDRESSES] = "ADDRESS...",
	};
	return texts[type];
}
